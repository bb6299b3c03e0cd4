// SPDX-License-Identifier: GPL-2.0-only
// Rings: lines, Maglev's evenness and steadiness, the same table whatever the order and the ids.
/* link: user/core/ring.c user/core/address.c */
#include "unit/test.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/ring.h"
#include "unit/failmalloc.h"

enum { LONGEST = 65521 };

static struct ring_backend backend(uint32_t i, uint32_t id)
{
	return (struct ring_backend){
		.addr = { .family = 4,
			  .b = { 10, (uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i } },
		.port = 8080,
		.id = id,
	};
}

static bool is_prime(uint32_t n)
{
	for (uint32_t i = 2; i * i <= n; i++)
		if (n % i == 0)
			return false;
	return n > 1;
}

TEST(lengths)
{
	assert_int_equal(ring_maglev_len(0), 0);
	assert_int_equal(ring_maglev_len(1), 1021);
	assert_int_equal(ring_maglev_len(10), 1021);
	assert_int_equal(ring_maglev_len(11), 4093);
	assert_int_equal(ring_maglev_len(41), 16381);
	assert_int_equal(ring_maglev_len(164), 65521);
	assert_int_equal(ring_maglev_len(100000), 65521);
	for (size_t n = 1; n < 700; n++) {
		assert_true(is_prime(ring_maglev_len(n)));
		assert_true(ring_maglev_len(n) >= 100 * n || ring_maglev_len(n) == LONGEST);
	}
}

TEST(lines)
{
	struct sl_ring_line out[3];
	uint32_t ids[33];

	for (uint32_t i = 0; i < 33; i++)
		ids[i] = i + 1;
	memset(out, 0xff, sizeof(out));
	ring_lines(ids, 33, out);
	for (uint32_t i = 0; i < 33; i++)
		assert_int_equal(out[i / 16].backend[i % 16], i + 1);
	for (uint32_t i = 1; i < 16; i++)
		assert_int_equal(out[2].backend[i], 0);
	memset(out, 0xff, sizeof(out));
	ring_lines(ids, 16, out);
	assert_int_equal(out[0].backend[15], 16);
	assert_int_equal(out[1].backend[0], UINT32_MAX); /* not touched */
	ring_lines(ids, 0, NULL);
}

static void count_shares(const uint32_t *table, uint32_t len, uint32_t n, uint32_t *ret_shares)
{
	memset(ret_shares, 0, (n + 1) * sizeof(*ret_shares));
	for (uint32_t i = 0; i < len; i++) {
		assert_in_range(table[i], 1, n);
		ret_shares[table[i]]++;
	}
}

TEST(maglev_is_even)
{
	static uint32_t table[LONGEST], shares[501];
	static struct ring_backend b[500];

	for (uint32_t n = 1; n <= 500; n += n < 20 ? 1 : 60) {
		uint32_t len = ring_maglev_len(n), least = UINT32_MAX, most = 0;

		for (uint32_t i = 0; i < n; i++)
			b[i] = backend(i, i + 1);
		assert_int_equal(ring_maglev(b, n, table), 0);
		count_shares(table, len, n, shares);
		for (uint32_t i = 1; i <= n; i++) {
			least = shares[i] < least ? shares[i] : least;
			most = shares[i] > most ? shares[i] : most;
		}
		assert_true(most - least <= 1 + most / 50); /* within 2 % */
	}
}

TEST(maglev_moves_little)
{
	static uint32_t before[LONGEST], after[LONGEST];
	static struct ring_backend b[100];
	uint32_t len = ring_maglev_len(100), moved = 0;

	for (uint32_t i = 0; i < 100; i++)
		b[i] = backend(i, i + 1);
	assert_int_equal(ring_maglev(b, 100, before), 0);
	memmove(&b[50], &b[51], 49 * sizeof(b[0]));
	assert_int_equal(ring_maglev_len(99), len);
	assert_int_equal(ring_maglev(b, 99, after), 0);
	for (uint32_t i = 0; i < len; i++) {
		assert_int_not_equal(after[i], 51);
		moved += before[i] != after[i] && before[i] != 51;
	}
	assert_true(
		moved <
		len / 33); /* 3 % of the others; 99 % if the table were rebuilt by another rule */
}

TEST(maglev_depends_on_addresses_only)
{
	struct ring_backend a[5], b[5];
	uint32_t x[1021], y[1021];

	for (uint32_t i = 0; i < 5; i++) {
		a[i] = backend(i, i + 1);
		b[4 - i] = backend(i, 100 + i); /* other ids, other order */
	}
	assert_int_equal(ring_maglev(a, 5, x), 0);
	assert_int_equal(ring_maglev(b, 5, y), 0);
	for (int i = 0; i < 1021; i++)
		assert_int_equal(x[i] + 99, y[i]);
	b[0].port = 8081;
	assert_int_equal(ring_maglev(b, 5, y), 0);
	for (int i = 0; i < 1021; i++)
		if (x[i] + 99 != y[i])
			return;
	fail_msg("the port does not matter");
}

/* Nodes of different versions must agree: whoever changes the table changes this on purpose. */
TEST(maglev_stays_what_it_is)
{
	static const uint32_t expected[16] = { 1, 2, 3, 3, 3, 1, 1, 1, 2, 2, 2, 2, 2, 1, 3, 3 };
	struct ring_backend b[3] = { backend(1, 1), backend(2, 2), backend(3, 3) };
	uint32_t table[1021];

	assert_int_equal(ring_maglev(b, 3, table), 0);
	assert_memory_equal(table, expected, sizeof(expected));
}

TEST(too_many)
{
	static struct ring_backend b[LONGEST + 1];
	uint32_t *none = NULL;

	assert_int_equal(ring_maglev(b, LONGEST + 1, none), -E2BIG);
	assert_int_equal(ring_maglev(b, 0, none), 0);
}

TEST(no_memory)
{
	struct ring_backend b[1] = { backend(1, 1) };
	uint32_t table[1021];

	failmalloc_at(1);
	assert_int_equal(ring_maglev(b, 1, table), -ENOMEM);
	assert_true(failmalloc_done());
}

RUN(cmocka_unit_test(lengths), cmocka_unit_test(lines), cmocka_unit_test(maglev_is_even),
    cmocka_unit_test(maglev_moves_little), cmocka_unit_test(maglev_depends_on_addresses_only),
    cmocka_unit_test(maglev_stays_what_it_is), cmocka_unit_test(too_many),
    cmocka_unit_test(no_memory))
