/* SPDX-License-Identifier: GPL-2.0-only */
/* The ABI's layout is the one of its version: sizes, offsets, numbers, no holes; keys compare as bytes; names fit. */
/* Must not know what any of it is for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "abi/layout.h"
#include "sluice_abi.h"

struct row {
	const char *structure, *field; /* field NULL: the structure itself */
	size_t at, want_at, size, want_size;
};

#define STRUCT_ROW(name, bytes) { #name, NULL, 0, 0, sizeof(struct name), bytes },
#define FIELD_ROW(name, field, offset, bytes)                                                     \
	{ #name, #field, offsetof(struct name, field), offset, sizeof(((struct name *)0)->field), \
	  bytes },
static const struct row rows[] = { LAYOUT(STRUCT_ROW, FIELD_ROW) };
#define ROWS (sizeof(rows) / sizeof(rows[0]))

static void version(void **state)
{
	(void)state;
	assert_int_equal(SL_ABI_VERSION, LAYOUT_VERSION);
}

static void sizes_and_offsets(void **state)
{
	(void)state;
	for (size_t i = 0; i < ROWS; i++)
		if (rows[i].at != rows[i].want_at || rows[i].size != rows[i].want_size)
			fail_msg(
				"struct %s%s%s is at %zu with %zu bytes; ABI version %d has it at %zu with %zu",
				rows[i].structure, rows[i].field ? "." : "",
				rows[i].field ? rows[i].field : "", rows[i].at, rows[i].size,
				SL_ABI_VERSION, rows[i].want_at, rows[i].want_size);
}

/* Each field begins where the one before ended, and the last ends the structure. */
static void no_holes(void **state)
{
	size_t size = 0, end = 0;

	(void)state;
	for (size_t i = 0; i <= ROWS; i++) {
		if (i < ROWS && rows[i].field) {
			if (rows[i].at != end)
				fail_msg("struct %s has a hole of %zu bytes before %s",
					 rows[i].structure, rows[i].at - end, rows[i].field);
			end += rows[i].size;
			continue;
		}
		if (end != size)
			fail_msg("struct %s has a hole of %zu bytes at its end",
				 rows[i - 1].structure, size - end);
		if (i < ROWS)
			size = rows[i].size;
		end = 0;
	}
}

static void numbers(void **state)
{
	(void)state;
#define CHECK_VALUE(name, value)                                                             \
	if ((int)(name) != (value))                                                          \
		fail_msg(#name " is %d; ABI version %d has %d", (int)(name), SL_ABI_VERSION, \
			 (value));
	LAYOUT_VALUES(CHECK_VALUE)
	assert_true(SL_REASON_COUNT < 256);
	assert_int_equal(sizeof(enum sl_reason), 1);
}

/* One load reads an address: they are aligned for it. Flow elements are two cache lines (IPv4). */
static void alignment(void **state)
{
	(void)state;
	for (size_t i = 0; i < ROWS; i++)
		if (rows[i].field &&
		    (strstr(rows[i].field, "addr") || strstr(rows[i].field, "vip") ||
		     strstr(rows[i].field, "client")) &&
		    rows[i].at % 4)
			fail_msg("struct %s.%s is at %zu", rows[i].structure, rows[i].field,
				 rows[i].at);
	assert_int_equal(sizeof(struct sl4_flow_slot), 64);
	assert_int_equal(offsetof(struct sl4_flow_bucket, slots), 64);
	assert_int_equal(offsetof(struct sl6_flow_bucket, slots), 64);
	assert_int_equal(sizeof(struct sl4_service), 64);
	assert_int_equal(sizeof(struct sl6_service), 64);
	assert_int_equal(sizeof(struct sl_ring_line), 64);
}

/* Both families have the same fields, and no two maps the same name. */
static void names(void **state)
{
	static const char *const maps[] = {
#define MAP_NAME(name, writer) #name,
		SL_MAPS(MAP_NAME)
#undef MAP_NAME
	};
	const size_t n = sizeof(maps) / sizeof(maps[0]);

	(void)state;
	for (size_t i = 0; i < n; i++) {
		if (strlen(maps[i]) > 15)
			fail_msg("map name %s has more than 15 characters", maps[i]);
		for (size_t j = 0; j < i; j++)
			assert_string_not_equal(maps[i], maps[j]);
		if (strncmp(maps[i], "sl4_", 4) == 0) {
			bool found = false;

			for (size_t j = 0; j < n; j++)
				found |= strncmp(maps[j], "sl6_", 4) == 0 &&
					 !strcmp(maps[j] + 4, maps[i] + 4);
			if (!found)
				fail_msg("%s has no sl6_ counterpart", maps[i]);
		}
	}
}

/* Worked out apart from the header, for little-endian machines. */
#define HASH4_SEED_0 0x64f82eddu
#define HASH4_SEED_1 0x420c0274u
#define HASH6_SEED_0 0x3906e310u
#define HASH6_SEED_1 0x4b9f8ea0u
#define FILTER_BIT   351645

/* The hash is part of the ABI: pinned entries lie where it says. */
static void hashes(void **state)
{
	struct sl4_flow_key key4 = { .saddr = { 10, 1, 0, 5 },
				     .daddr = { 10, 96, 0, 10 },
				     .sport = 40000,
				     .dport = 80,
				     .proto = 6,
				     .kind = SL_FLOW_REQUEST };
	struct sl6_flow_key key6 = { .saddr = { 0xfd, 1 },
				     .daddr = { 0xfd, 2 },
				     .sport = 40000,
				     .dport = 80,
				     .proto = 6,
				     .kind = SL_FLOW_REQUEST };
	struct sl4_flow_key other = key4;

	(void)state;
	assert_int_equal(sl4_flow_hash(&key4, 0), HASH4_SEED_0);
	assert_int_equal(sl4_flow_hash(&key4, 0x12345678), HASH4_SEED_1);
	assert_int_equal(sl6_flow_hash(&key6, 0), HASH6_SEED_0);
	assert_int_equal(sl6_flow_hash(&key6, 0x12345678), HASH6_SEED_1);
	assert_int_equal(sl_tag(sl4_flow_mix(&key4, 0x12345678)), (HASH4_SEED_1 & SL_TAG_MASK) | 1);
	assert_int_equal(sl_bucket(0xffffffff, 37450), 37449);
	assert_int_equal(sl_bucket(0xffffffff00000000, 37450), 0);
	assert_int_equal(sl_home(0), 0);
	assert_int_equal(sl_home(UINT32_MAX), SL_BUCKET_SLOTS - 1);
	assert_int_equal(sl_home(SL_TAG_KEEP | 0x40000000), SL_BUCKET_SLOTS / 2);
	for (uint64_t mix = 0; mix < 100000; mix++)
		assert_in_range(sl_tag(mix), 1, SL_TAG_MASK);
	other.kind = SL_FLOW_REPLY;
	assert_int_not_equal(sl4_flow_hash(&key4, 0), sl4_flow_hash(&other, 0));
	assert_int_equal(sl_filter_bit(0x0a006001), FILTER_BIT);
	assert_int_equal(sl_fold6(1, 2, 3, 4), 1 ^ 2 << 7 ^ 3 << 13 ^ 4 << 21);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(version),   cmocka_unit_test(sizes_and_offsets),
		cmocka_unit_test(no_holes),  cmocka_unit_test(numbers),
		cmocka_unit_test(alignment), cmocka_unit_test(names),
		cmocka_unit_test(hashes),
	};

	return cmocka_run_group_tests_name("layout", tests, NULL, NULL);
}
