// SPDX-License-Identifier: GPL-2.0-only
// Lists and streams cut into objects: the same whatever the cuts, limits kept, nothing that is no text let through.
/* link: user/source/kube/scan.c user/base/buf.c */
#include "unit/test.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "source/kube/scan.h"
#include "unit/guard.h"

static struct buf said;
static int answer;

static int on_part(void *ctx, enum scan_part part, const char *text, size_t len, bool spoilt)
{
	(void)ctx;
	assert_int_equal(text[len], 0);
	buf_printf(&said, "%s%s %.60s\n", part == SCAN_REST ? "rest" : "object", spoilt ? "!" : "",
		   text);
	return answer;
}

static int clear(void **state)
{
	(void)state;
	buf_done(&said);
	answer = 0;
	return 0;
}

/* Feeds the bytes in pieces of `step`; each piece ends where memory ends. */
static int feed(enum scan_kind kind, const char *bytes, size_t len, size_t step, bool *ret_whole)
{
	struct scan scan;
	size_t at, n;
	int rc = 0;

	buf_reset(&said);
	scan_init(&scan, kind, on_part, NULL);
	for (at = 0; at < len && rc == 0; at += n) {
		struct guard guard;

		n = len - at < step ? len - at : step;
		guard = guard_new(bytes + at, n);
		rc = scan_feed(&scan, guard.bytes, n);
		guard_free(&guard);
	}
	*ret_whole = scan_is_whole(&scan);
	scan_done(&scan);
	return rc;
}

static void gives_bytes(enum scan_kind kind, const char *bytes, size_t len, int code, bool whole,
			const char *expected)
{
	bool is_whole;
	size_t step;

	for (step = 1; step <= len; step++) {
		assert_int_equal(feed(kind, bytes, len, step, &is_whole), code);
		assert_string_equal(buf_str(&said), expected);
		assert_int_equal(is_whole, whole);
	}
}

#define GIVES(kind, text, code, whole, expected) \
	gives_bytes(kind, text, sizeof(text) - 1, code, whole, expected)

TEST(streams_need_no_newlines)
{
	GIVES(SCAN_STREAM, "{\"a\":1}{\"b\":[{}]}\r\n\t {\"c\":\"}{\\\"]\"}", 0, true,
	      "object {\"a\":1}\nobject {\"b\":[{}]}\nobject {\"c\":\"}{\\\"]\"}\n");
	GIVES(SCAN_STREAM, "{\"a\":1}\n{\"b\":", 0, false, "object {\"a\":1}\n");
	GIVES(SCAN_STREAM, "{\"a\":\"\\\\\"}", 0, true, "object {\"a\":\"\\\\\"}\n");
	GIVES(SCAN_STREAM, " \n ", 0, true, "");
}

TEST(lists_give_items_and_the_rest)
{
	GIVES(SCAN_LIST,
	      "{\"kind\":\"L\",\"items\":[{\"a\":1} , {\"b\":{\"items\":[{}]}}],\"metadata\":{}}\n",
	      0, true,
	      "object {\"a\":1}\nobject {\"b\":{\"items\":[{}]}}\n"
	      "rest {\"kind\":\"L\",\"items\":[],\"metadata\":{}}\n");
	GIVES(SCAN_LIST, "{\"other\":[{\"a\":1}],\"items\":[]}", 0, true,
	      "rest {\"other\":[{\"a\":1}],\"items\":[]}\n");
	GIVES(SCAN_LIST, "{\"items\":null}", 0, true, "rest {\"items\":null}\n");
	GIVES(SCAN_LIST, "{\"m\":{\"items\":[{\"a\":1}]},\"k\":\"items\"}", 0, true,
	      "rest {\"m\":{\"items\":[{\"a\":1}]},\"k\":\"items\"}\n");
	GIVES(SCAN_LIST, "{\"items\":[{\"a\":1}", 0, false, "object {\"a\":1}\n");
	GIVES(SCAN_LIST, "{\"items\":[{\"a\":1}]", 0, false, "object {\"a\":1}\n");
}

TEST(what_is_no_list_is_refused)
{
	GIVES(SCAN_LIST, "<html>", -EBADMSG, false, "");
	GIVES(SCAN_LIST, "[]", -EBADMSG, false, "");
	GIVES(SCAN_LIST, "{\"items\":[1]}", -EBADMSG, false, "");
	GIVES(SCAN_LIST, "{\"items\":[{}{}]}", -EBADMSG, false, "object {}\n");
	GIVES(SCAN_LIST, "{\"items\":[,{}]}", -EBADMSG, false, "");
	GIVES(SCAN_LIST, "{\"items\":[{}}", -EBADMSG, false, "object {}\n");
	GIVES(SCAN_LIST, "{\"items\":[{}],\"items\":[{}]}", -EBADMSG, false, "object {}\n");
	GIVES(SCAN_LIST, "{} {}", -EBADMSG, false, "rest {}\n");
	GIVES(SCAN_STREAM, "{\"a\":1}]", -EBADMSG, false, "object {\"a\":1}\n");
	GIVES(SCAN_STREAM, "{\"a\":[}", -EBADMSG, false, "");
	GIVES(SCAN_STREAM, "{\"a\":\0}", -EBADMSG, false, "");
}

/* The object is handed over marked, and those behind it are not touched by it. */
TEST(what_is_no_text_spoils_its_object_only)
{
	GIVES(SCAN_STREAM, "{\"a\":\"\xff\"}{}", 0, true, "object! {\"a\":\"?\"}\nobject {}\n");
	GIVES(SCAN_STREAM, "{\"a\":\"\xe2\x82\"}{}", 0, true,
	      "object! {\"a\":\"??\"}\nobject {}\n");
	GIVES(SCAN_STREAM, "{\"a\":\"\xed\xa0\x80\"}", 0, true, "object! {\"a\":\"???\"}\n");
	GIVES(SCAN_STREAM, "{\"a\":\"\xc0\x80\"}", 0, true, "object! {\"a\":\"??\"}\n");
	GIVES(SCAN_STREAM, "{\"a\":\"\xf4\x90\x80\x80\"}", 0, true, "object! {\"a\":\"????\"}\n");
	GIVES(SCAN_STREAM, "{\"a\":\"\0\"}", 0, true, "object! {\"a\":\"?\"}\n");
	GIVES(SCAN_STREAM, "{\"a\":\"x\\u0000\"}", 0, true, "object! {\"a\":\"x\\u0000\"}\n");
	GIVES(SCAN_STREAM, "{\"a\":\"\\\\u0000\\u0001\"}", 0, true,
	      "object {\"a\":\"\\\\u0000\\u0001\"}\n");
	GIVES(SCAN_STREAM, "{\"a\":\"\xe2\x82\xac\xf0\x9f\x98\x80\xc3\xa9\"}", 0, true,
	      "object {\"a\":\"\xe2\x82\xac\xf0\x9f\x98\x80\xc3\xa9\"}\n");
	GIVES(SCAN_LIST, "{\"items\":[{\"a\":\"\xff\"},{}],\"b\":\"\xff\"}", 0, true,
	      "object! {\"a\":\"?\"}\nobject {}\nrest! {\"items\":[],\"b\":\"?\"}\n");
}

TEST(depth_is_limited)
{
	char text[200];
	bool whole;

	memset(text, '[', sizeof(text));
	memcpy(text, "{\"a\":", 5);
	memset(text + 5 + 63, ']', 63);
	text[5 + 126] = '}';
	assert_int_equal(feed(SCAN_STREAM, text, 5 + 127, 7, &whole), 0);
	assert_true(whole);
	memset(text + 5, '[', 64);
	assert_int_equal(feed(SCAN_STREAM, text, 5 + 64, 7, &whole), -EBADMSG);
}

/* An object of `len` bytes, alone in a list. */
static int feed_large(size_t len)
{
	char *text = malloc(len + 32);
	bool whole;
	int rc;

	assert_non_null(text);
	memcpy(text, "{\"items\":[{\"a\":\"", 16);
	memset(text + 16, 'x', len - 8);
	memcpy(text + 16 + len - 8, "\"}]}", 4);
	rc = feed(SCAN_LIST, text, 12 + len, 1 << 16, &whole);
	free(text);
	return rc;
}

TEST(size_is_limited)
{
	assert_int_equal(feed_large((size_t)7 << 20), 0);
	assert_int_equal(feed_large(SCAN_OBJECT_MAX), 0);
	assert_int_equal(feed_large(SCAN_OBJECT_MAX + 1), -EFBIG);
}

TEST(lists_of_nothing_but_space_end)
{
	static char space[1 << 20];
	struct scan scan;
	unsigned n = 0;

	memset(space, ' ', sizeof(space));
	scan_init(&scan, SCAN_LIST, on_part, NULL);
	while (scan_feed(&scan, space, sizeof(space)) == 0)
		assert_true(n++ < 600);
	assert_int_equal(scan.code, -EFBIG);
	scan_done(&scan);
}

TEST(the_functions_word_ends_it)
{
	bool whole;

	answer = -ECANCELED;
	assert_int_equal(feed(SCAN_STREAM, "{}{}", 4, 4, &whole), -ECANCELED);
	assert_string_equal(buf_str(&said), "object {}\n");
	assert_false(whole);
}

#define ALONE(name) cmocka_unit_test_teardown(name, clear)

RUN(ALONE(streams_need_no_newlines), ALONE(lists_give_items_and_the_rest),
    ALONE(what_is_no_list_is_refused), ALONE(what_is_no_text_spoils_its_object_only),
    ALONE(depth_is_limited), ALONE(size_is_limited), ALONE(lists_of_nothing_but_space_end),
    ALONE(the_functions_word_ends_it))
