// SPDX-License-Identifier: GPL-2.0-only
// Which pods' devices packets may be handed to: those with programs on both hooks, and no others, whatever was there.
/* link: user/dp/devices.c */
#include "unit/test.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dp/devices.h"

#define ROOM 8

/* ---- the map ------------------------------------------------------------------------------------------------------- */

static uint32_t map[ROOM];
static size_t n_map, room;
static int writes;

int dp_rows_read(struct dp *dp, enum dp_map which, struct dp_rows *ret_rows)
{
	(void)dp;
	assert_int_equal(which, DP_sl_devices);
	*ret_rows = (struct dp_rows){ .n = n_map, .keys = calloc(ROOM, sizeof(map[0])) };
	memcpy(ret_rows->keys, map, n_map * sizeof(map[0]));
	return 0;
}

void dp_rows_done(struct dp_rows *rows)
{
	free(rows->keys);
}

int dp_update(struct dp *dp, enum dp_map which, const void *keys, const void *values, uint32_t n,
	      uint32_t *ret_done)
{
	(void)dp, (void)values, (void)ret_done;
	assert_int_equal(which, DP_sl_devices);
	assert_int_equal(n, 1);
	writes++;
	if (n_map == room)
		return -E2BIG;
	map[n_map++] = *(const uint32_t *)keys;
	return 0;
}

int dp_delete(struct dp *dp, enum dp_map which, const void *keys, uint32_t n, uint32_t *ret_done)
{
	(void)dp, (void)ret_done;
	assert_int_equal(which, DP_sl_devices);
	assert_int_equal(n, 1);
	writes++;
	for (size_t i = 0; i < n_map; i++)
		if (map[i] == *(const uint32_t *)keys)
			map[i--] = map[--n_map];
	return 0;
}

/* ---- what is wanted, and what became of it ------------------------------------------------------------------------- */

static struct attach_want wants[ROOM];
static struct attach_row rows[2 * ROOM];
static size_t n_wants, n_rows;

static int reset(void **state)
{
	(void)state;
	n_map = n_wants = n_rows = 0;
	writes = 0;
	room = ROOM;
	memset(wants, 0, sizeof(wants));
	memset(rows, 0, sizeof(rows));
	return 0;
}

static void hook(uint32_t ifindex, const char *name, enum attach_state state)
{
	rows[n_rows].ifindex = ifindex;
	rows[n_rows].state = state;
	snprintf(rows[n_rows++].hook, sizeof(rows[0].hook), "%s", name);
}

static void want(uint32_t ifindex, bool handover)
{
	wants[n_wants++] = (struct attach_want){ .ifindex = ifindex, .handover = handover };
}

static void pod(uint32_t ifindex)
{
	want(ifindex, true);
	hook(ifindex, "ingress", ATTACH_OK);
	hook(ifindex, "egress", ATTACH_OK);
}

static int sync(void)
{
	return devices_sync(NULL, wants, n_wants, rows, n_rows);
}

static bool has(uint32_t ifindex)
{
	for (size_t i = 0; i < n_map; i++)
		if (map[i] == ifindex)
			return true;
	return false;
}

TEST(a_pod_with_both_hooks_is_there_once)
{
	pod(3);
	pod(4);
	assert_int_equal(sync(), 0);
	assert_true(has(3) && has(4));
	assert_int_equal(sync(), 0);
	assert_int_equal(n_map, 2);
	assert_int_equal(writes, 2);
}

TEST(a_device_without_one_of_the_hooks_is_not)
{
	want(3, true);
	hook(3, "ingress", ATTACH_OK);
	want(4, true);
	hook(4, "egress", ATTACH_OK);
	want(5, true);
	hook(5, "ingress", ATTACH_FAILED);
	hook(5, "egress", ATTACH_OK);
	want(6, true);
	hook(6, "ingress", ATTACH_OK);
	hook(6, "egress", ATTACH_FOREIGN);
	want(7, true);
	hook(7, "xdp", ATTACH_OK);
	assert_int_equal(sync(), 0);
	assert_int_equal(n_map, 0);
}

TEST(a_device_whose_other_end_cannot_be_reached_is_not)
{
	pod(3);
	wants[0].handover = false;
	assert_int_equal(sync(), 0);
	assert_int_equal(n_map, 0);
}

TEST(what_is_wanted_no_more_or_lost_a_hook_leaves)
{
	pod(3);
	pod(4);
	map[n_map++] = 9; /* another agent's, or of a device that is gone */
	assert_int_equal(sync(), 0);
	assert_false(has(9));
	rows[3].state = ATTACH_FAILED; /* egress of 4 */
	assert_int_equal(sync(), 0);
	assert_true(has(3));
	assert_false(has(4));
	n_wants = 0;
	assert_int_equal(sync(), 0);
	assert_int_equal(n_map, 0);
}

TEST(a_full_map_is_said_and_those_that_are_in_it_stay)
{
	room = 2;
	pod(3);
	pod(4);
	pod(5);
	assert_int_equal(sync(), -E2BIG);
	assert_true(has(3) && has(4));
}

#define ALONE(name) cmocka_unit_test_setup(name, reset)

RUN(ALONE(a_pod_with_both_hooks_is_there_once), ALONE(a_device_without_one_of_the_hooks_is_not),
    ALONE(a_device_whose_other_end_cannot_be_reached_is_not),
    ALONE(what_is_wanted_no_more_or_lost_a_hook_leaves),
    ALONE(a_full_map_is_said_and_those_that_are_in_it_stay))
