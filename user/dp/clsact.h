/* SPDX-License-Identifier: GPL-2.0 */
/* Filters of the clsact qdisc, for kernels before TCX (6.6) and for egresses where somebody else has one. */
#ifndef DP_CLSACT_H
#define DP_CLSACT_H

#include <stdbool.h>
#include <stdint.h>

#define CLSACT_NAME_LEN 32

/* ingress or egress of one interface, and what sits at our priority and handle there */
struct clsact_hook {
	uint32_t ifindex;
	bool egress;
};

/* Id of the program at our priority and handle; -ENOENT: nothing is there. */
int clsact_query(struct clsact_hook hook, uint32_t *ret_prog_id);
/*
 * Name of that program as it was given when the filter was attached ("sl_pod_in"; the kernel keeps the text, TCA_BPF_NAME).
 * It outlives the pins of the program. 0, -ENOENT, -errno.
 */
int clsact_query_name(struct clsact_hook hook, char ret_name[CLSACT_NAME_LEN]);
/* Filters that are not at our priority and handle: how many. 0 also without qdisc. */
int clsact_count_others(struct clsact_hook hook);
/* Puts the program there, in place of what is there; makes the qdisc if need be. *ret_made: it was made. */
int clsact_attach(struct clsact_hook hook, int prog_fd, bool *ret_made);
int clsact_detach(struct clsact_hook hook);
/* Removes the qdisc if no filter is left on either side. 0 also when there is none. */
int clsact_remove_empty(uint32_t ifindex);

#endif
