/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef INGRESS_REPORT_H
#define INGRESS_REPORT_H

/* Where a request that is over is told of: access log and counters. */
#include "ingress/record.h"

struct front;
struct worker;

/* Of an exchange, which counts under that slot; logged: the access log is to have it, if there is one. */
void report(struct worker *worker, unsigned slot, struct record *record, bool logged);
/* Of what never became one. */
void report_refused(struct front *front, unsigned status, const char *reason);

#endif
