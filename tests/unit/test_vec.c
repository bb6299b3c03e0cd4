// SPDX-License-Identifier: GPL-2.0-only
// Growable arrays: header only, so nothing is linked.
#include "unit/test.h"

#include "base/vec.h"

struct pair {
	int key, value;
};
struct pair_vec VEC_OF(struct pair);

static int compare_keys(const void *a, const void *b)
{
	const struct pair *left = a, *right = b;

	return left->key - right->key;
}

TEST(pushes_and_visits_in_order)
{
	struct pair_vec pairs = { 0 };
	struct pair *pair;
	int n = 0;

	vec_for_each(pair, &pairs)
		fail_msg("an empty array has an element");
	for (int i = 0; i < 1000; i++)
		assert_int_equal(vec_push(&pairs, (struct pair){ i, i * 2 }), 0);
	vec_for_each(pair, &pairs) {
		assert_int_equal(pair->key, n);
		assert_int_equal(pair->value, 2 * n++);
	}
	assert_int_equal(n, 1000);
	assert_int_equal(vec_last(&pairs)->key, 999);
	vec_done(&pairs);
	assert_int_equal(pairs.len, 0);
	assert_null(vec_last(&pairs));
}

TEST(adds_zeroed_elements)
{
	struct pair_vec pairs = { 0 };

	for (int i = 0; i < 100; i++) {
		struct pair *pair = vec_add(&pairs);

		assert_non_null(pair);
		assert_int_equal(pair->key, 0);
		assert_int_equal(pair->value, 0);
		*pair = (struct pair){ -1, -1 };
	}
	vec_clear(&pairs);
	assert_int_equal(vec_add(&pairs)->key, 0); /* also where an old one stood */
	vec_done(&pairs);
}

TEST(removes_with_and_without_order)
{
	struct VEC_OF(int) ints = { 0 };

	for (int i = 0; i < 5; i++)
		vec_push(&ints, i);
	vec_remove(&ints, 1);
	assert_int_equal(ints.len, 4);
	assert_memory_equal(ints.data, ((int[]){ 0, 2, 3, 4 }), 4 * sizeof(int));
	vec_remove_swap(&ints, 0);
	assert_memory_equal(ints.data, ((int[]){ 4, 2, 3 }), 3 * sizeof(int));
	vec_remove(&ints, 2);
	vec_remove_swap(&ints, 1);
	vec_remove(&ints, 0);
	assert_int_equal(ints.len, 0);
	vec_done(&ints);
}

TEST(sorts)
{
	struct pair_vec pairs = { 0 };

	vec_sort(&pairs, compare_keys);
	for (int i = 0; i < 100; i++)
		vec_push(&pairs, (struct pair){ i * 37 % 100, i });
	vec_sort(&pairs, compare_keys);
	for (int i = 0; i < 100; i++)
		assert_int_equal(pairs.data[i].key, i);
	vec_done(&pairs);
}

TEST(says_when_memory_is_out_and_keeps_what_it_has)
{
	struct VEC_OF(uint64_t) big = { 0 };

	vec_push(&big, 7);
	assert_int_equal(vec_reserve(&big, SIZE_MAX / 4), -ENOMEM);
	assert_int_equal(vec_reserve(&big, SIZE_MAX), -ENOMEM);
	assert_int_equal(big.len, 1);
	assert_int_equal(big.data[0], 7);
	vec_done(&big);
}

RUN(cmocka_unit_test(pushes_and_visits_in_order), cmocka_unit_test(adds_zeroed_elements),
    cmocka_unit_test(removes_with_and_without_order), cmocka_unit_test(sorts),
    cmocka_unit_test(says_when_memory_is_out_and_keeps_what_it_has))
