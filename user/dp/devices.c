/* SPDX-License-Identifier: GPL-2.0 */
/* Keeps sl_devices equal to what is attached. */
/* Must not know why an interface is wanted (links_choose.c), nor who asks. */
#include "dp/devices.h"

#include <string.h>

static bool has_hook(const struct attach_row *rows, size_t n_rows, uint32_t ifindex,
		     const char *hook)
{
	for (size_t i = 0; i < n_rows; i++)
		if (rows[i].ifindex == ifindex && rows[i].state == ATTACH_OK &&
		    strcmp(rows[i].hook, hook) == 0)
			return true;
	return false;
}

/* A request enters by the client's device, its reply by the endpoint's: either must be known where it comes in and where it goes out. */
static bool can_hand_to(const struct attach_want *want, const struct attach_row *rows,
			size_t n_rows)
{
	return want->handover && has_hook(rows, n_rows, want->ifindex, "ingress") &&
	       has_hook(rows, n_rows, want->ifindex, "egress");
}

static bool is_there(const struct dp_rows *there, uint32_t ifindex)
{
	const uint32_t *keys = there->keys;

	for (size_t i = 0; i < there->n; i++)
		if (keys[i] == ifindex)
			return true;
	return false;
}

static bool is_wanted(uint32_t ifindex, const struct attach_want *wants, size_t n_wants,
		      const struct attach_row *rows, size_t n_rows)
{
	for (size_t i = 0; i < n_wants; i++)
		if (wants[i].ifindex == ifindex)
			return can_hand_to(&wants[i], rows, n_rows);
	return false;
}

int devices_sync(struct dp *dp, const struct attach_want *wants, size_t n_wants,
		 const struct attach_row *rows, size_t n_rows)
{
	struct dp_rows there = { 0 };
	struct sl_device device = { 0 };
	int rc = dp_rows_read(dp, DP_sl_devices, &there);
	const uint32_t *keys = there.keys;

	for (size_t i = 0; rc == 0 && i < there.n; i++)
		if (!is_wanted(keys[i], wants, n_wants, rows, n_rows))
			rc = dp_delete(dp, DP_sl_devices, &keys[i], 1, NULL);
	for (size_t i = 0; rc == 0 && i < n_wants; i++)
		if (!is_there(&there, wants[i].ifindex) && can_hand_to(&wants[i], rows, n_rows))
			rc = dp_update(dp, DP_sl_devices, &wants[i].ifindex, &device, 1, NULL);
	dp_rows_done(&there);
	return rc;
}
