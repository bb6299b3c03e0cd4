/* SPDX-License-Identifier: GPL-2.0 */
/* What this kernel can do, found by trying. */
#ifndef DP_PROBE_H
#define DP_PROBE_H

#include <stdbool.h>

#include "base/err.h"

bool probe_coarse_clock(void); /* bpf_ktime_get_coarse_ns in tc programs (5.11) */
bool probe_set_retval(void);   /* bpf_set_retval in connect hooks (5.18) */
bool probe_tcx(void);          /* TCX links (6.6) */

/* -EPERM with the names of the capabilities that are missing for the whole job, or 0. */
int probe_capabilities(struct err *err);
/* Is the running kernel at least this version? Only for words and for locked memory, never for features. */
bool probe_kernel_at_least(unsigned int major, unsigned int minor);
/* Before 5.11 maps count as locked memory: lifts the limit. -EPERM with CAP_SYS_RESOURCE named. */
int probe_raise_memlock(struct err *err);

#endif
