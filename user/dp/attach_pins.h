/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The pins below links/, shared by those who attach and those who look or clean up:
 *
 *   connect4 …                 link of the cgroup
 *   xdp_12                     XDP link of interface 12
 *   tc_in_12, tc_out_12        TCX links
 *   clsact_in_12, clsact_out_12   marker (a pin of sl_meta): our filter sits in clsact of interface 12
 *   clsact_12                  marker: the qdisc was made by us, and goes when it is empty
 */
#ifndef DP_ATTACH_PINS_H
#define DP_ATTACH_PINS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dp/clsact.h"
#include "dp/load.h"
#include "dp/pin.h"

#define ATTACH_PIN_XDP   "xdp_"
#define ATTACH_PIN_QDISC "clsact_"

/* In the order of taking away; the last is empty and matches all that is left (the cgroup's). */
#define ATTACH_PIN_PREFIXES 7
extern const char *const attach_pin_prefixes[ATTACH_PIN_PREFIXES];

int attach_pin_get(const struct pin_dir *pins, const char *name);
int attach_pin_put(const struct pin_dir *pins, const char *name, int fd);
/* Detaches a link now (not when the last reference goes) and removes its pin. */
void attach_pin_detach(const struct pin_dir *pins, const char *name);
/*
 * Undoes what a pin of any kind stands for, and removes it. Filters only if their program is ours. True if something was
 * attached. Interface indexes are those of this network namespace.
 */
bool attach_pin_remove(const struct pin_dir *pins, const struct dp_programs *programs,
		       const char *name);
/* Is the filter at our priority and handle one of ours, of this agent or of one whose pins were lost? Fills its program's id. */
bool attach_filter_is_ours(const struct dp_programs *programs, struct clsact_hook at,
			   uint32_t *ret_id);
/* The interface index in a name; 0: none. */
uint32_t attach_pin_ifindex(const char *name);
int attach_open_dir(const char *path);

#endif
