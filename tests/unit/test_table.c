// SPDX-License-Identifier: GPL-2.0-only
// Hash table: against a plain array as the model, order of iteration, removal while iterating, hostile seeds.
/* link: user/base/table.c */
#include "unit/test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/table.h"

enum { KEYS = 500, STEPS = 200000 };

/* A small generator, so that a failure can be repeated. */
static uint32_t next_random(uint32_t *state)
{
	*state = *state * 1664525u + 1013904223u;
	return *state >> 8;
}

static void check_all(const struct table *table, int *const *model)
{
	size_t len = 0;

	for (uint32_t k = 0; k < KEYS; k++) {
		assert_ptr_equal(table_get(table, &k, sizeof(k)), model[k]);
		len += model[k] != NULL;
	}
	assert_int_equal(table->len, len);
}

TEST(does_what_a_plain_array_does)
{
	static int values[1000];
	int *model[KEYS] = { 0 };
	struct table table;
	uint32_t random = 1;
	void *old;

	table_init(&table, 42);
	for (int i = 0; i < STEPS; i++) {
		uint32_t k = next_random(&random) % KEYS;
		int *value = &values[next_random(&random) % 1000];

		/* Long stretches of growth and of shrinking, so that gaps are closed too. */
		if (next_random(&random) % 10 < (i / 5000 % 2 ? 3u : 7u)) {
			assert_int_equal(table_put(&table, &k, sizeof(k), value, &old), 0);
			assert_ptr_equal(old, model[k]);
			model[k] = value;
		} else {
			assert_ptr_equal(table_remove(&table, &k, sizeof(k)), model[k]);
			model[k] = NULL;
		}
		if (i % 1000 == 0)
			check_all(&table, model);
	}
	check_all(&table, model);
	table_done(&table, NULL);
	assert_int_equal(table.len, 0);
}

TEST(visits_in_order_of_insertion_whatever_the_seed)
{
	for (uint64_t seed = 0; seed < 3; seed++) {
		struct table_entry *entry;
		struct table table;
		char key[16];
		int n = 0;

		table_init(&table, seed);
		for (int i = 0; i < 100; i++) {
			snprintf(key, sizeof(key), "key-%d", i);
			assert_int_equal(table_put_str(&table, key, &table, NULL), 0);
		}
		for (int i = 0; i < 100; i += 2) {
			snprintf(key, sizeof(key), "key-%d", i);
			assert_ptr_equal(table_remove_str(&table, key), &table);
		}
		table_put_str(&table, "key-1", key, NULL); /* keeps its place */
		table_put_str(&table, "key-0", key, NULL); /* comes last */
		table_for_each(entry, &table) {
			snprintf(key, sizeof(key), "key-%d", n < 50 ? 2 * n + 1 : 0);
			assert_string_equal(entry->key, key);
			assert_int_equal(entry->key_len, strlen(key));
			n++;
		}
		assert_int_equal(n, 51);
		table_done(&table, NULL);
	}
}

TEST(may_lose_entries_while_it_is_visited)
{
	struct table_entry *entry;
	struct table table;
	int seen = 0;

	table_init(&table, 7);
	for (uint32_t i = 0; i < 1000; i++)
		table_put(&table, &i, sizeof(i), &table, NULL);
	table_for_each(entry, &table) {
		uint32_t k, behind;

		memcpy(&k, entry->key, sizeof(k));
		behind = k + 1;
		assert_int_equal(k % 2, 0); /* the odd ones went before we came to them */
		assert_non_null(table_remove(&table, &k, sizeof(k)));
		assert_non_null(table_remove(&table, &behind, sizeof(behind)));
		seen++;
	}
	assert_int_equal(seen, 500);
	assert_int_equal(table.len, 0);
	table_done(&table, NULL);
}

TEST(tells_keys_apart_by_length_and_every_byte)
{
	struct table table;
	int a, b, c, d;

	table_init(&table, 0);
	assert_int_equal(table_put(&table, "", 0, &a, NULL), 0);
	assert_int_equal(table_put(&table, "\0", 1, &b, NULL), 0);
	assert_int_equal(table_put(&table, "\0\0", 2, &c, NULL), 0);
	assert_int_equal(table_put(&table, "12345678x", 9, &d, NULL), 0);
	assert_ptr_equal(table_get(&table, "", 0), &a);
	assert_ptr_equal(table_get(&table, "\0", 1), &b);
	assert_ptr_equal(table_get(&table, "\0\0", 2), &c);
	assert_null(table_get(&table, "12345678y", 9));
	assert_null(table_get(&table, "12345678", 8));
	assert_int_equal(table_put(&table, "x", 1, NULL, NULL), -EINVAL);
	table_done(&table, NULL);
}

TEST(frees_values_when_asked)
{
	struct table table;

	table_init(&table, 0);
	for (uint32_t i = 0; i < 20; i++)
		table_put(&table, &i, sizeof(i), malloc(1), NULL);
	table_done(&table, free); /* LeakSanitizer says if not */
	assert_null(table_get_str(&table, "x"));
	assert_null(table_remove_str(&table, "x"));
}

/* The values come from a second implementation, one that agrees with the published vectors of SipHash-2-4;
 * the key's halves are the seed and its complement. */
TEST(hashes_as_siphash_1_3_does)
{
	assert_true(table_hash(0, "", 0) == UINT64_C(0x6b3c89e238a4996e));
	assert_true(table_hash(UINT64_C(0x0123456789abcdef), "namespace/name", 14) ==
		    UINT64_C(0xa3463f9f33f5e7bb));
	assert_true(table_hash(1, "12345678", 8) == UINT64_C(0x2916dfc0849381f7));
}

RUN(cmocka_unit_test(does_what_a_plain_array_does),
    cmocka_unit_test(visits_in_order_of_insertion_whatever_the_seed),
    cmocka_unit_test(may_lose_entries_while_it_is_visited),
    cmocka_unit_test(tells_keys_apart_by_length_and_every_byte),
    cmocka_unit_test(frees_values_when_asked), cmocka_unit_test(hashes_as_siphash_1_3_does))
