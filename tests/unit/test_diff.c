// SPDX-License-Identifier: GPL-2.0-only
// Diff: what is pending, in which order, until the kernel took it; failures, removals held back, interim values, audits.
/* link: user/core/diff.c user/core/diff_row.c user/core/diff_audit.c user/core/diff_look.c user/core/rows.c user/base/table.c */
#include "unit/test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/diff.h"
#include "unit/failmalloc.h"

/* Rows whose bytes do not matter: the first byte of the value tells them apart. */
static void make(enum row_table t, uint32_t key, unsigned char value, unsigned char *ret_key,
		 unsigned char *ret_value)
{
	memset(ret_key, 0, ROW_KEY_MAX);
	memset(ret_value, 0, ROW_VALUE_MAX);
	memcpy(ret_key, &key, sizeof(key));
	ret_value[0] = value;
	(void)t;
}

static void want(struct diff *d, enum row_table t, uint32_t key, unsigned char value)
{
	unsigned char k[ROW_KEY_MAX], v[ROW_VALUE_MAX];

	make(t, key, value, k, v);
	assert_int_equal(diff_want(d, t, k, v), 0);
}

static void saw(struct diff *d, enum row_table t, uint32_t key, unsigned char value)
{
	unsigned char k[ROW_KEY_MAX], v[ROW_VALUE_MAX];

	make(t, key, value, k, v);
	assert_int_equal(diff_saw(d, t, k, v), 0);
}

static void unwant(struct diff *d, enum row_table t, uint32_t key)
{
	unsigned char k[ROW_KEY_MAX], v[ROW_VALUE_MAX];

	make(t, key, 0, k, v);
	diff_unwant(d, t, k);
}

/*
 * "+4backends 1=7 -4services 2": put (value) or delete; a dot before what is in the removal phase.
 */
static void describe(const struct diff_op *op, char *out, size_t len)
{
	uint32_t key;
	size_t at = strlen(out);

	memcpy(&key, op->key, sizeof(key));
	at += (size_t)snprintf(out + at, len - at, "%s%s%s%s %u", at ? " " : "",
			       op->phase == DIFF_REMOVE ? "." : "",
			       op->action == DIFF_PUT ? "+" : "-", row_tables[op->table].map + 2,
			       key);
	if (op->action == DIFF_PUT)
		snprintf(out + at, len - at, "=%d", *(const unsigned char *)op->value);
}

/* One round in which the operation on this table and key fails (table -1: none). */
static const char *play(struct diff *d, int fail_table, uint32_t fail_key)
{
	static char out[1000];
	struct diff_op op;

	out[0] = '\0';
	diff_begin(d);
	while (diff_next(d, &op)) {
		uint32_t key;

		memcpy(&key, op.key, sizeof(key));
		describe(&op, out, sizeof(out));
		if ((int)op.table == fail_table && key == fail_key)
			diff_failed(d, &op);
		else
			diff_done(d, &op);
	}
	return out;
}

#define ROUND(d) play((d), -1, 0)

TEST(added_in_order_and_removed_in_reverse)
{
	struct diff *d = diff_new();

	diff_allow_removals(d);
	want(d, ROW4_SERVICES, 1, 1);
	want(d, ROW4_RECORDS, 2, 2);
	want(d, ROW4_RINGS, 3, 3);
	want(d, ROW4_BACKENDS, 4, 4);
	want(d, ROW4_FILTER, 5, 5);
	want(d, ROW4_NAMES, 6, 6);
	want(d, ROW_CONFIG, 0, 7);
	assert_int_equal(diff_n_pending(d, false), 7);
	assert_string_equal(
		ROUND(d),
		"+_config 0=7 +4_names 6=6 +4_filter 5=5 +4_backends 4=4 +4_rings 3=3 +4_records 2=2 "
		"+4_services 1=1");
	assert_int_equal(diff_n_pending(d, true), 0);
	assert_string_equal(ROUND(d), "");
	unwant(d, ROW_CONFIG, 0);
	unwant(d, ROW4_NAMES, 6);
	unwant(d, ROW4_FILTER, 5);
	unwant(d, ROW4_BACKENDS, 4);
	unwant(d, ROW4_RINGS, 3);
	unwant(d, ROW4_RECORDS, 2);
	unwant(d, ROW4_SERVICES, 1);
	want(d, ROW4_SERVICES, 8, 8);
	assert_string_equal(
		ROUND(d),
		"+4_services 8=8 .-4_services 1 .+4_records 2=0 .+4_rings 3=0 .+4_backends 4=0 "
		".+4_filter 5=0 .-4_names 6 .+_config 0=0");
	assert_int_equal(diff_n_pending(d, true), 0);
	diff_free(d);
}

TEST(a_mark_is_cleared_only_when_done)
{
	uint32_t key = 1;
	struct diff_op op;
	struct diff *d = diff_new();

	want(d, ROW4_BACKENDS, 1, 1);
	diff_begin(d);
	assert_true(diff_next(d, &op));
	assert_false(diff_next(d, &op)); /* given out once a round */
	assert_true(diff_is_pending(d, ROW4_BACKENDS, &key));
	assert_null(diff_actual(d, ROW4_BACKENDS, &key));
	assert_int_equal(diff_n_pending(d, true), 1);
	assert_string_equal(ROUND(d), "+4_backends 1=1"); /* nobody said what became of it */
	assert_false(diff_is_pending(d, ROW4_BACKENDS, &key));
	assert_int_equal(*(const unsigned char *)diff_actual(d, ROW4_BACKENDS, &key), 1);
	diff_free(d);
}

TEST(what_is_there_need_not_be_written)
{
	struct diff *d = diff_new();

	saw(d, ROW4_BACKENDS, 1, 1);
	saw(d, ROW4_BACKENDS, 2, 0); /* zeros in an array: nothing */
	saw(d, ROW4_SERVICES, 3, 3);
	assert_int_equal(diff_n_pending(d, true), 2); /* nobody wants them yet */
	want(d, ROW4_BACKENDS, 1, 1);
	want(d, ROW4_SERVICES, 3, 3);
	assert_int_equal(diff_n_pending(d, true), 0);
	want(d, ROW4_SERVICES, 3, 4);
	want(d, ROW4_SERVICES, 3, 3); /* there and back */
	assert_int_equal(diff_n_pending(d, true), 0);
	want(d, ROW4_BACKENDS, 9, 9);
	unwant(d, ROW4_BACKENDS, 9);
	want(d, ROW4_BACKENDS, 10, 0); /* zeros are no row */
	assert_int_equal(diff_n_pending(d, true), 0);
	diff_free(d);
}

TEST(removals_wait_until_allowed)
{
	struct diff *d = diff_new();

	saw(d, ROW4_SERVICES, 1, 1);
	saw(d, ROW4_BACKENDS, 2, 2);
	want(d, ROW4_BACKENDS, 3, 3);
	assert_int_equal(diff_n_pending(d, false), 1);
	assert_int_equal(diff_n_pending(d, true), 3);
	assert_string_equal(ROUND(d), "+4_backends 3=3");
	want(d, ROW4_BACKENDS, 2, 4); /* a replacement is no removal */
	assert_string_equal(ROUND(d), "+4_backends 2=4");
	diff_allow_removals(d);
	assert_string_equal(ROUND(d), ".-4_services 1");
	diff_free(d);
}

TEST(a_failure_holds_back_what_may_depend_on_it)
{
	struct diff *d = diff_new();

	diff_allow_removals(d);
	saw(d, ROW4_SERVICES, 7, 7);
	saw(d, ROW4_RECORDS, 7, 7);
	want(d, ROW4_BACKENDS, 1, 1);
	want(d, ROW4_BACKENDS, 2, 2);
	want(d, ROW4_RINGS, 3, 3);
	want(d, ROW4_SERVICES, 4, 4);
	want(d, ROW6_RINGS, 5, 5);
	want(d, ROW6_SERVICES, 6, 6);
	/* the rest of the table, the other family, and services that go are not held back */
	assert_string_equal(play(d, ROW4_BACKENDS, 1),
			    "+4_backends 1=1 +4_backends 2=2 +6_rings 5=5 +6_services 6=6 "
			    ".-4_services 7");
	assert_string_equal(play(d, ROW4_SERVICES, 4),
			    "+4_backends 1=1 +4_rings 3=3 +4_services 4=4");
	assert_string_equal(ROUND(d), "+4_services 4=4 .+4_records 7=0");
	assert_int_equal(diff_n_pending(d, true), 0);
	diff_free(d);
}

TEST(a_removal_that_fails_holds_back_what_it_refers_to)
{
	struct diff *d = diff_new();

	diff_allow_removals(d);
	saw(d, ROW4_SERVICES, 1, 1);
	saw(d, ROW4_SERVICES, 2, 2);
	saw(d, ROW4_RECORDS, 3, 3);
	assert_string_equal(play(d, ROW4_SERVICES, 1), ".-4_services 1 .-4_services 2");
	assert_string_equal(ROUND(d), ".-4_services 1 .+4_records 3=0");
	diff_free(d);
}

TEST(interim_values)
{
	unsigned char k[ROW_KEY_MAX], interim[ROW_VALUE_MAX], value[ROW_VALUE_MAX];
	struct diff *d = diff_new();

	diff_allow_removals(d);
	want(d, ROW4_BACKENDS, 1, 1);
	ROUND(d);
	make(ROW4_BACKENDS, 1, 3, k, interim);
	make(ROW4_BACKENDS, 1, 2, k, value);
	assert_int_equal(diff_want_later(d, ROW4_BACKENDS, k, interim, value), 0);
	want(d, ROW4_RINGS, 5, 5);
	assert_string_equal(ROUND(d), "+4_backends 1=3 +4_rings 5=5 .+4_backends 1=2");
	assert_int_equal(diff_n_pending(d, true), 0);
	/* the kernel holds the interim value already: only the end is left */
	make(ROW4_BACKENDS, 1, 2, k, interim);
	make(ROW4_BACKENDS, 1, 4, k, value);
	assert_int_equal(diff_want_later(d, ROW4_BACKENDS, k, interim, value), 0);
	want(d, ROW4_RINGS, 6, 6);
	assert_string_equal(ROUND(d), "+4_rings 6=6 .+4_backends 1=4");
	/* wanted otherwise meanwhile: that counts */
	assert_int_equal(diff_want_later(d, ROW4_BACKENDS, k, interim, value), 0);
	want(d, ROW4_BACKENDS, 1, 9);
	assert_string_equal(ROUND(d), "+4_backends 1=9");
	assert_int_equal(diff_want_later(d, ROW4_RECORDS, k, interim, value), -EINVAL);
	diff_free(d);
}

TEST(retired_rows_change_last)
{
	unsigned char k[ROW_KEY_MAX], value[ROW_VALUE_MAX];
	struct diff *d = diff_new();

	diff_allow_removals(d);
	want(d, ROW4_RECORDS, 1, 1);
	ROUND(d);
	make(ROW4_RECORDS, 1, 8, k, value);
	diff_retire(d, ROW4_RECORDS, k, value);
	want(d, ROW4_SERVICES, 2, 2);
	assert_string_equal(ROUND(d), "+4_services 2=2 .+4_records 1=8");
	assert_int_equal(*(const unsigned char *)diff_desired(d, ROW4_RECORDS, k), 8);
	value[0] = 0;
	diff_retire(d, ROW4_RECORDS, k, value); /* to zeros: not wanted any more */
	assert_null(diff_desired(d, ROW4_RECORDS, k));
	assert_string_equal(ROUND(d), ".+4_records 1=0");
	make(ROW4_RECORDS, 77, 8, k, value);
	diff_retire(d, ROW4_RECORDS, k, value); /* a row nobody knows */
	assert_int_equal(diff_n_pending(d, true), 0);
	diff_free(d);
}

TEST(runs_are_of_one_kind)
{
	struct diff_op ops[10];
	struct diff *d = diff_new();

	diff_allow_removals(d);
	for (uint32_t i = 1; i <= 5; i++)
		want(d, ROW4_BACKENDS, i, 1);
	want(d, ROW4_RINGS, 1, 1);
	saw(d, ROW4_RINGS, 2, 2);
	diff_begin(d);
	assert_int_equal(diff_next_run(d, ops, 3), 3);
	assert_int_equal(diff_next_run(d, ops + 3, 7), 2); /* not the ring */
	for (int i = 0; i < 5; i++) {
		assert_int_equal(ops[i].table, ROW4_BACKENDS);
		diff_done(d, &ops[i]);
	}
	assert_int_equal(diff_next_run(d, ops, 10), 1); /* not its removal */
	assert_int_equal(ops[0].phase, DIFF_ADD);
	diff_done(d, &ops[0]);
	assert_int_equal(diff_next_run(d, ops, 10), 1);
	assert_int_equal(ops[0].phase, DIFF_REMOVE);
	diff_done(d, &ops[0]);
	assert_int_equal(diff_next_run(d, ops, 10), 0);
	diff_free(d);
}

TEST(reserved_rows_cannot_fail)
{
	unsigned char k[ROW_KEY_MAX], value[ROW_VALUE_MAX];
	struct diff *d = diff_new();

	make(ROW4_SERVICES, 1, 1, k, value);
	assert_int_equal(diff_reserve(d, ROW4_SERVICES, k), 0);
	make(ROW4_BACKENDS, 1, 1, k, value);
	assert_int_equal(diff_reserve(d, ROW4_BACKENDS, k), 0);
	assert_int_equal(diff_n_pending(d, true), 0);
	assert_null(diff_desired(d, ROW4_BACKENDS, k));
	failmalloc_at(1);
	make(ROW4_SERVICES, 1, 1, k, value);
	assert_int_equal(diff_want(d, ROW4_SERVICES, k, value), 0);
	make(ROW4_BACKENDS, 1, 1, k, value);
	assert_int_equal(diff_want_later(d, ROW4_BACKENDS, k, value, value), 0);
	assert_false(failmalloc_done());
	make(ROW4_BACKENDS, 2, 1, k, value);
	failmalloc_at(1);
	assert_int_equal(diff_want(d, ROW4_BACKENDS, k, value), -ENOMEM);
	assert_true(failmalloc_done());
	assert_int_equal(diff_n_pending(d, true), 2);
	make(ROW4_RINGS, 3, 1, k, value);
	assert_int_equal(diff_reserve(d, ROW4_RINGS, k), 0);
	diff_unwant(d, ROW4_RINGS, k); /* given back */
	diff_free(d);
}

static char findings[500];

static void note_finding(void *ctx, enum row_table table, const void *key, const void *expected,
			 const void *found)
{
	uint32_t k;

	(void)ctx;
	memcpy(&k, key, sizeof(k));
	snprintf(findings + strlen(findings), sizeof(findings) - strlen(findings),
		 "%s %u: %d, found %d\n", row_tables[table].map, k,
		 expected ? *(const unsigned char *)expected : -1,
		 found ? *(const unsigned char *)found : -1);
}

static void audit_saw(struct diff *d, enum row_table t, uint32_t key, unsigned char value)
{
	unsigned char k[ROW_KEY_MAX], v[ROW_VALUE_MAX];

	make(t, key, value, k, v);
	assert_int_equal(diff_audit_saw(d, k, v), 0);
}

TEST(audits)
{
	struct diff_stats stats;
	struct diff *d = diff_new();

	diff_allow_removals(d);
	for (uint32_t i = 1; i <= 4; i++)
		want(d, ROW4_BACKENDS, i, (unsigned char)i);
	ROUND(d);
	findings[0] = '\0';
	diff_audit_begin(d, ROW4_BACKENDS);
	audit_saw(d, ROW4_BACKENDS, 1, 1);
	audit_saw(d, ROW4_BACKENDS, 2, 99);                         /* changed */
	audit_saw(d, ROW4_BACKENDS, 3, 0);                          /* zeroed */
	audit_saw(d, ROW4_BACKENDS, 7, 7);                          /* foreign */
	assert_int_equal(diff_audit_end(d, note_finding, NULL), 4); /* and 4 is gone */
	assert_string_equal(
		findings,
		"sl4_backends 2: 2, found 99\nsl4_backends 7: -1, found 7\nsl4_backends 3: 3, found -1\n"
		"sl4_backends 4: 4, found -1\n");
	assert_string_equal(ROUND(d),
			    "+4_backends 2=2 +4_backends 3=3 +4_backends 4=4 .+4_backends 7=0");
	diff_count(d, &stats);
	assert_int_equal(stats.repaired, 4);
	assert_int_equal(stats.done, 8);
	assert_int_equal(stats.rows[ROW4_BACKENDS], 4);
	diff_free(d);
}

/* A table read in pieces, and what is written between them: before, behind and at the place that was reached. */
TEST(audits_between_changes)
{
	struct diff *d = diff_new();

	diff_allow_removals(d);
	for (uint32_t i = 1; i <= 5; i++)
		want(d, ROW4_BACKENDS, i * 10, (unsigned char)i);
	ROUND(d);
	findings[0] = '\0';
	diff_audit_begin(d, ROW4_BACKENDS);
	audit_saw(d, ROW4_BACKENDS, 10, 1);
	audit_saw(d, ROW4_BACKENDS, 20, 99); /* changed */
	audit_saw(d, ROW4_BACKENDS, 25, 7);  /* foreign */
	assert_int_equal(diff_audit_tell(d, note_finding, NULL), 2);
	want(d, ROW4_BACKENDS, 15, 15); /* its place was passed */
	want(d, ROW4_BACKENDS, 35, 35);
	want(d, ROW4_BACKENDS, 10, 11);
	unwant(d, ROW4_BACKENDS, 40);
	assert_string_equal(
		ROUND(d),
		"+4_backends 20=2 +4_backends 15=15 +4_backends 35=35 +4_backends 10=11 .+4_backends 25=0 .+4_backends 40=0");
	audit_saw(d, ROW4_BACKENDS, 30, 3);
	audit_saw(d, ROW4_BACKENDS, 35, 35);
	assert_int_equal(diff_audit_tell(d, note_finding, NULL), 0);
	assert_int_equal(diff_audit_end(d, note_finding, NULL), 1); /* 50 is gone */
	assert_string_equal(
		findings,
		"sl4_backends 20: 2, found 99\nsl4_backends 25: -1, found 7\nsl4_backends 50: 5, found -1\n");
	assert_string_equal(ROUND(d), "+4_backends 50=5");
	diff_free(d);
}

/* A random life against the plainest model: arrays of desired and actual. */
TEST(against_a_model)
{
	enum { KEYS = 40, TABLES = 4 };
	static const enum row_table tables[TABLES] = { ROW4_NAMES, ROW4_BACKENDS, ROW4_RINGS,
						       ROW4_SERVICES };
	unsigned char desired[TABLES][KEYS] = { { 0 } }, actual[TABLES][KEYS] = { { 0 } };
	uint32_t seed = 3;
	struct diff *d = diff_new();

	diff_allow_removals(d);
	for (int step = 0; step < 3000; step++) {
		struct diff_op op;

		for (int i = 0; i < 6; i++) {
			uint32_t t, key;
			unsigned char value;

			seed = seed * 1664525u + 1013904223u;
			t = seed >> 8 & 3, key = (seed >> 12) % KEYS,
			value = (unsigned char)(seed >> 24 & 3);
			if (value)
				want(d, tables[t], key, value);
			else
				unwant(d, tables[t], key);
			desired[t][key] = value;
		}
		diff_begin(d);
		while (diff_next(d, &op)) {
			uint32_t key, t = 0;

			memcpy(&key, op.key, sizeof(key));
			while (tables[t] != op.table)
				t++;
			seed = seed * 1664525u + 1013904223u;
			if (seed >> 28 == 0) {
				diff_failed(d, &op);
				continue;
			}
			actual[t][key] =
				op.action == DIFF_DELETE ? 0 : *(const unsigned char *)op.value;
			diff_done(d, &op);
		}
		if (step % 10 == 0) {
			ROUND(d); /* without failures */
			assert_int_equal(diff_n_pending(d, true), 0);
			memcpy(actual, desired, sizeof(actual));
		}
		for (uint32_t t = 0; t < TABLES; t++) {
			for (uint32_t key = 0; key < KEYS; key++) {
				unsigned char k[ROW_KEY_MAX], v[ROW_VALUE_MAX];
				const unsigned char *want_bytes, *have_bytes;

				make(tables[t], key, 0, k, v);
				want_bytes = diff_desired(d, tables[t], k);
				have_bytes = diff_actual(d, tables[t], k);
				assert_int_equal(want_bytes ? *want_bytes : 0, desired[t][key]);
				assert_int_equal(have_bytes ? *have_bytes : 0, actual[t][key]);
				assert_int_equal(diff_is_pending(d, tables[t], k),
						 desired[t][key] != actual[t][key]);
			}
		}
	}
	diff_free(d);
}

RUN(cmocka_unit_test(added_in_order_and_removed_in_reverse),
    cmocka_unit_test(a_mark_is_cleared_only_when_done),
    cmocka_unit_test(what_is_there_need_not_be_written),
    cmocka_unit_test(removals_wait_until_allowed),
    cmocka_unit_test(a_failure_holds_back_what_may_depend_on_it),
    cmocka_unit_test(a_removal_that_fails_holds_back_what_it_refers_to),
    cmocka_unit_test(interim_values), cmocka_unit_test(retired_rows_change_last),
    cmocka_unit_test(runs_are_of_one_kind), cmocka_unit_test(reserved_rows_cannot_fail),
    cmocka_unit_test(audits), cmocka_unit_test(audits_between_changes),
    cmocka_unit_test(against_a_model))
