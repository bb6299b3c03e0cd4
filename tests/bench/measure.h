/* SPDX-License-Identifier: GPL-2.0 */
/* The measurements that `slbench` knows. Each prints lines of tab-separated raw data that report.py reads. */
#ifndef BENCH_MEASURE_H
#define BENCH_MEASURE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct measure_options {
	bool quick;
	uint32_t rounds;
	uint32_t repeat;
	const char *object; /* generators and floors: generate.bpf.o */
	const char *only;   /* part of a case's name; NULL = all */
};

/* "ns<TAB>round<TAB>family<TAB>case<TAB>flows<TAB>base<TAB>ns" */
int measure_ns(const struct measure_options *options, struct err *err);
/* "full<TAB>what<TAB>number<TAB>unit" */
int measure_full(const struct measure_options *options, struct err *err);
/* "control<TAB>what<TAB>number<TAB>unit" */
int measure_control(const struct measure_options *options, struct err *err);

#endif
