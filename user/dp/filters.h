/* SPDX-License-Identifier: GPL-2.0 */
/* Packet filters of the node's stack by which forwarded packets come: what --forwarding fast goes past. */
#ifndef DP_FILTERS_H
#define DP_FILTERS_H

/*
 * Calls fn with the name of each: "nf_tables chain inet filter forward" (chains of type filter that have rules, or drop without one, at
 * any hook that forwarded packets come by, those of devices too), "iptables table filter" (a table of the old kind that was ever used
 * here). This network namespace's. 0; -errno where nf_tables could not be asked
 * (-EPERM: CAP_NET_ADMIN is missing); a kernel without nf_tables has none.
 */
typedef void filters_fn(void *ctx, const char *name);
int filters_each(filters_fn *fn, void *ctx);

#endif
