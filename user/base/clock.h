/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

/* The only door to the system's clocks. Code that decides by time takes `now_ns` as an argument instead. */
#include <stdint.h>

#define CLOCK_NS_PER_S  UINT64_C(1000000000)
#define CLOCK_NS_PER_MS UINT64_C(1000000)

/* CLOCK_MONOTONIC, the clock of the BPF programs (bpf_ktime_get_ns): never jumps, stands still in suspend. */
uint64_t clock_now_ns(void);

/* CLOCK_REALTIME: nanoseconds since 1970, for people and certificates; may jump. */
uint64_t clock_wall_ns(void);

#endif
