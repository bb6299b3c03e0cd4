/* SPDX-License-Identifier: GPL-2.0 */
/* sl_devices: the pods of this node that packets may be handed to past its stack (--forwarding fast). */
#ifndef DP_DEVICES_H
#define DP_DEVICES_H

#include <stddef.h>

#include "dp/attach.h"
#include "dp/maps.h"

/*
 * Makes sl_devices what can be handed to now: devices of pods (attach_want.handover) with our programs on both tc hooks. rows are
 * attach_rows() after attach_sync(wants). Others leave the map, whoever wrote them. Call it after each attach_sync(); and without any,
 * before the first one, where the pins come from another network namespace. 0 or -errno; then a device that is missing has its packets
 * go through the stack.
 */
int devices_sync(struct dp *dp, const struct attach_want *wants, size_t n_wants,
		 const struct attach_row *rows, size_t n_rows);

#endif
