/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef INGRESS_REPORT_H
#define INGRESS_REPORT_H

/* Where a request that is over is told of: access log and counters. */
#include "ingress/record.h"

struct front;
struct worker;

/* Of an exchange. */
void report(struct worker *worker, struct record *record);
/* Of what never became one. */
void report_refused(struct front *front, unsigned status, const char *reason);

#endif
