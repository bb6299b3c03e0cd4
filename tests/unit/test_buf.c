// SPDX-License-Identifier: GPL-2.0-only
// Growable buffers: content, ends, consumption, hand-over, and the out-of-memory mark.
/* link: user/base/buf.c */
#include "unit/test.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

TEST(is_empty_without_memory)
{
	struct buf buf = { 0 };

	assert_string_equal(buf_str(&buf), "");
	assert_null(buf.data);
	buf_consume(&buf, 5);
	buf_reset(&buf);
	buf_done(&buf);
}

TEST(grows_over_many_sizes_and_stays_a_string)
{
	struct buf buf = { 0 };

	for (unsigned int i = 0; i < 5000; i++) {
		assert_int_equal(buf_putc(&buf, (char)('a' + i % 26)), 0);
		assert_int_equal(strlen(buf_str(&buf)), i + 1);
	}
	for (unsigned int i = 0; i < 5000; i++)
		assert_int_equal(buf.data[i], 'a' + i % 26);
	buf_done(&buf);
}

TEST(prints_longer_than_its_room)
{
	struct buf buf = { 0 };

	assert_int_equal(buf_printf(&buf, "%0300d|", 7), 0);
	assert_int_equal(buf_printf(&buf, "%s=%d", "x", -1), 0);
	assert_int_equal(buf.len, 301 + 4);
	assert_string_equal(buf.data + 299, "7|x=-1");
	buf_done(&buf);
}

TEST(prints_exactly_into_the_room_that_is_left)
{
	for (int len = 55; len < 70; len++) {
		struct buf buf = { 0 };

		assert_int_equal(buf_printf(&buf, "%*s", len, "z"), 0);
		assert_int_equal(strlen(buf_str(&buf)), len);
		assert_int_equal(buf.data[len - 1], 'z');
		buf_done(&buf);
	}
}

TEST(consumes_from_the_front)
{
	struct buf buf = { 0 };

	buf_puts(&buf, "hello world");
	buf_consume(&buf, 6);
	assert_string_equal(buf_str(&buf), "world");
	assert_int_equal(buf.len, 5);
	buf_consume(&buf, 50);
	assert_string_equal(buf_str(&buf), "");
	buf_done(&buf);
}

TEST(keeps_nul_bytes)
{
	struct buf buf = { 0 };

	assert_int_equal(buf_put(&buf, "a\0b", 3), 0);
	assert_int_equal(buf.len, 3);
	assert_memory_equal(buf.data, "a\0b", 4);
	buf_done(&buf);
}

TEST(hands_over_and_starts_again)
{
	struct buf buf = { 0 };
	char *text;

	buf_puts(&buf, "mine");
	text = buf_take(&buf);
	assert_string_equal(text, "mine");
	assert_null(buf.data);
	free(text);
	text = buf_take(&buf); /* nothing was written: an empty string, not NULL */
	assert_string_equal(text, "");
	free(text);
}

TEST(remembers_that_memory_ran_out)
{
	struct buf buf = { 0 };

	buf_puts(&buf, "kept");
	assert_int_equal(buf_reserve(&buf, SIZE_MAX / 2), -ENOMEM);
	assert_true(buf.failed);
	assert_int_equal(buf_puts(&buf, "more"), -ENOMEM);
	assert_string_equal(buf_str(&buf), "kept");
	assert_null(buf_take(&buf));
	assert_int_equal(buf_puts(&buf, "fresh"), 0);
	buf_done(&buf);
}

RUN(cmocka_unit_test(is_empty_without_memory),
    cmocka_unit_test(grows_over_many_sizes_and_stays_a_string),
    cmocka_unit_test(prints_longer_than_its_room),
    cmocka_unit_test(prints_exactly_into_the_room_that_is_left),
    cmocka_unit_test(consumes_from_the_front), cmocka_unit_test(keeps_nul_bytes),
    cmocka_unit_test(hands_over_and_starts_again), cmocka_unit_test(remembers_that_memory_ran_out))
