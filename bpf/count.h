/* SPDX-License-Identifier: GPL-2.0 */
/* Reasons into counters and events; the clock. Family-free. */
#ifndef BPF_COUNT_H
#define BPF_COUNT_H

#include "maps.h"

#define NS_PER_S 1000000000ull

/*
 * Hides where a packet pointer came from, so that the compiler keeps the very pointer whose bounds were checked instead of
 * computing it again, which the verifier would not connect with the check.
 */
#define KEEP(pointer) asm volatile("" : "+r"(pointer))

/* CLOCK_MONOTONIC; the coarse one is as old as a tick and costs a tenth. */
static __always_inline __u64 now_ns(void)
{
	if (sl_consts.coarse_clock)
		return bpf_ktime_get_coarse_ns();
	return bpf_ktime_get_ns();
}

static __always_inline const struct sl_config *config_get(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&sl_config, &zero);
}

/* hook is a constant at every call, so one pair of adds remains. */
static __always_inline void count(enum sl_reason reason, enum sl_hook hook, __u32 len)
{
	__u32 key = reason;
	struct sl_counter *c = bpf_map_lookup_elem(&sl_counters, &key);
	struct sl_hook_counter *h;

	if (!c)
		return;
	h = hook == SL_HOOK_XDP       ? &c->xdp
	    : hook == SL_HOOK_INGRESS ? &c->ingress
	    : hook == SL_HOOK_EGRESS  ? &c->egress
				      : &c->socket;
	h->packets++;
	h->bytes += len;
}

/* Readers are woken by a timer of theirs, not by each event: a flood of refusals must stay cheap. */
static __always_inline void event_send(struct sl_event *e)
{
	bpf_ringbuf_output(&sl_events, e, sizeof(*e), BPF_RB_NO_WAKEUP);
}

static __always_inline bool is_refusal(enum sl_reason reason)
{
	return reason >= SL_REASON_NO_ENDPOINT && reason != SL_REASON_LEFT_TO_TC;
}

#endif
