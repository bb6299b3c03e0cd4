// SPDX-License-Identifier: GPL-2.0-only
// Arena: alignment, zeroing, stability of pieces, sizes beyond a chunk, reuse after reset.
/* link: user/base/arena.c */
#include "unit/test.h"

#include <string.h>

#include "base/arena.h"

TEST(pieces_are_aligned_zeroed_and_apart)
{
	struct arena arena = { 0 };
	unsigned char *piece[2000];

	for (size_t i = 0; i < 2000; i++) {
		piece[i] = arena_alloc(&arena, i % 97);
		assert_non_null(piece[i]);
		assert_int_equal((uintptr_t)piece[i] % _Alignof(max_align_t), 0);
		for (size_t j = 0; j < i % 97; j++)
			assert_int_equal(piece[i][j], 0);
		memset(piece[i], (int)(i & 0xff), i % 97);
	}
	for (size_t i = 0; i < 2000; i++) /* nobody wrote over a neighbour, nothing moved */
		for (size_t j = 0; j < i % 97; j++)
			assert_int_equal(piece[i][j], i & 0xff);
	arena_done(&arena);
}

TEST(serves_pieces_larger_than_a_chunk)
{
	struct arena arena = { 0 };
	char *big = arena_alloc(&arena, 5 << 20), *small = arena_alloc(&arena, 10);

	assert_non_null(big);
	assert_non_null(small);
	memset(big, 'x', 5 << 20);
	assert_int_equal(small[0], 0);
	arena_done(&arena);
}

TEST(refuses_products_and_sizes_that_overflow)
{
	struct arena arena = { 0 };

	assert_null(arena_new(&arena, uint64_t, SIZE_MAX / 4));
	assert_null(arena_new(&arena, uint64_t, SIZE_MAX / 8 + 2)); /* 8, when it wraps */
	assert_null(arena_alloc(&arena, SIZE_MAX));
	arena_done(&arena);
}

TEST(copies_text_and_bytes)
{
	struct arena arena = { 0 };

	assert_string_equal(arena_strdup(&arena, "abc"), "abc");
	assert_string_equal(arena_strndup(&arena, "abcdef", 3), "abc");
	assert_string_equal(arena_strndup(&arena, "ab", 30), "ab");
	assert_memory_equal(arena_memdup(&arena, "a\0c", 3), "a\0c", 3);
	assert_string_equal(arena_printf(&arena, "%s-%d", "x", 42), "x-42");
	arena_done(&arena);
}

TEST(gives_zeroed_memory_again_after_reset)
{
	struct arena arena = { 0 };

	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 1000; i++) {
			char *piece = arena_alloc(&arena, 100);

			for (int j = 0; j < 100; j++)
				assert_int_equal(piece[j], 0);
			memset(piece, 0xee, 100);
		}
		assert_true(arena.bytes >= 100 * 1000);
		arena_reset(&arena);
		assert_int_equal(arena.bytes, 0);
	}
	arena_done(&arena);
	arena_reset(&arena);
	arena_done(&arena);
}

RUN(cmocka_unit_test(pieces_are_aligned_zeroed_and_apart),
    cmocka_unit_test(serves_pieces_larger_than_a_chunk),
    cmocka_unit_test(refuses_products_and_sizes_that_overflow),
    cmocka_unit_test(copies_text_and_bytes),
    cmocka_unit_test(gives_zeroed_memory_again_after_reset))
