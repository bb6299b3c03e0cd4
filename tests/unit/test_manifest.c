// SPDX-License-Identifier: GPL-2.0-only
// Manifest text to trees: documents, scalars, lines, limits; broken documents beside good ones; JSON.
/* link: user/source/manifest.c user/source/manifest_tree.c user/source/manifest_scalar.c user/source/value.c user/base/arena.c user/base/buf.c */
/* libs: yaml */
#include "unit/test.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "source/manifest.h"
#include "unit/failmalloc.h"
#include "unit/guard.h"

static struct buf said; /* what was read, as text */

static void show(struct value v)
{
	struct value c;
	char shown[VALUE_SHOWN_LEN];

	if (value_type(v) != VALUE_LIST && value_type(v) != VALUE_MAP) {
		buf_puts(&said, value_show(v, shown));
		return;
	}
	buf_putc(&said, value_type(v) == VALUE_LIST ? '[' : '{');
	for (c = value_first(v); c.node; c = value_next(c)) {
		if (value_key(c))
			buf_printf(&said, "%s=", value_key(c));
		show(c);
		if (value_next(c).node)
			buf_putc(&said, ' ');
	}
	buf_putc(&said, value_type(v) == VALUE_LIST ? ']' : '}');
}

static int on_document(void *ctx, struct value root)
{
	(void)ctx;
	buf_printf(&said, "%u:", value_line(root));
	show(root);
	buf_putc(&said, '\n');
	return 0;
}

static int on_broken(void *ctx, unsigned line, const char *reason)
{
	(void)ctx;
	buf_printf(&said, "%u! %s\n", line, reason);
	return 0;
}

static const struct manifest_handler handler = { NULL, on_document, on_broken };

/* Every text is read with a page behind it that cannot be. */
static void reads(const char *text, size_t len, bool json, const char *expected)
{
	struct guard guard = guard_new(text, len);

	buf_reset(&said);
	assert_int_equal(manifest_read(guard.bytes, len, json, &handler), 0);
	guard_free(&guard);
	assert_string_equal(buf_str(&said), expected);
	buf_done(&said);
}

#define YAML(text, expected) reads(text, sizeof(text) - 1, false, expected)
#define JSON(text, expected) reads(text, sizeof(text) - 1, true, expected)

TEST(splits_documents)
{
	YAML("", "");
	YAML("\n# nothing\n---\n---\n# nothing\n...\n", "");
	YAML("a: 1", "1:{a=1}\n");
	YAML("a: 1\n---\nb: 2\n--- # more\nc: 3\n--- {d: 4}\n...\ne: 5\n",
	     "1:{a=1}\n3:{b=2}\n5:{c=3}\n6:{d=4}\n8:{e=5}\n");
	YAML("%YAML 1.1\n# said\n---\na: 1\n", "4:{a=1}\n");
	YAML("\xef\xbb\xbf"
	     "---\na: 1\n",
	     "2:{a=1}\n");
	YAML("a: 1\r\n---\r\nb: 2\r\n", "1:{a=1}\n3:{b=2}\n");
	YAML("a: 1\r---\rb: 2\r", "1:{a=1}\n3:{b=2}\n");
	YAML("a: |\n  ---\n  x\nb: \"--- y\"\n", "1:{a=\"---?x?\" b=\"--- y\"}\n");
}

TEST(a_dashed_line_inside_a_scalar_ends_nothing)
{
	YAML("a: >-\n  x\n  --- y\nb: 1\n", "1:{a=\"x --- y\" b=1}\n");
	YAML("----: 1\n---x: 2\n", "1:{----=1 ---x=2}\n");
}

TEST(reads_plain_scalars_as_kubectl)
{
	YAML("a: [~, null, Null, NULL, '', \"null\"]",
	     "1:{a=[not set not set not set not set \"\" \"null\"]}\n");
	YAML("a:\nb: 1\n", "1:{a=not set b=1}\n");
	YAML("a: [true, True, yes, on, false, no, OFF, \"true\", y, n]",
	     "1:{a=[true true true true false false false \"true\" \"y\" \"n\"]}\n");
	YAML("a: [80, \"80\", 8.5, 10.0.0.1, 1e3, +7, -7, .5, 5., .]",
	     "1:{a=[80 \"80\" 8.5 \"10.0.0.1\" 1e3 +7 -7 .5 5. \".\"]}\n");
	YAML("a: [!!int \"80\", !!str 80, ! 80]", "1:{a=[80 \"80\" \"80\"]}\n");
	YAML("a: 2025-01-31T12:00:00Z", "1:{a=\"2025-01-31T12:00:00Z\"}\n");
}

static double number;

static int take_number(void *ctx, struct value root)
{
	struct value v = value_get(root, "a");

	(void)ctx;
	number = value_type(v) == VALUE_NUMBER ? value_number(v) : -1;
	return 0;
}

static double number_of(const char *text)
{
	const struct manifest_handler h = { NULL, take_number, on_broken };

	assert_int_equal(manifest_read(text, strlen(text), false, &h), 0);
	return number;
}

TEST(reads_numbers)
{
	assert_true(number_of("a: 65535") == 65535);
	assert_true(number_of("a: 0x1F") == 31);
	assert_true(number_of("a: 0o17") == 15);
	assert_true(number_of("a: 017") == 15);
	assert_true(number_of("a: 080") == -1); /* text */
	assert_true(number_of("a: 0") == 0);
	assert_true(number_of("a: -12") == -12);
	assert_true(number_of("a: 1.5e2") == 150);
	assert_true(number_of("a: 0x") == -1);
	assert_true(number_of("a: 1e") == -1);
}

TEST(names_line_and_reason_of_broken_documents_and_serves_the_others)
{
	YAML("a: 1\n---\nb: [\n---\nc: 3\n", "1:{a=1}\n"
					     "3! did not find expected node content\n"
					     "5:{c=3}\n");
	YAML("a: 1\n---\nx: 1\n\ty: 2\n---\nc: 3\n",
	     "1:{a=1}\n"
	     "4! found a tab character that violates indentation: indent with spaces, not with tabs\n"
	     "6:{c=3}\n");
	YAML("- 1\n---\ntext\n", "1! a document is a map that begins with apiVersion and kind\n"
				 "3! a document is a map that begins with apiVersion and kind\n");
	YAML("a: 1\nb: 2\na: 3\n", "3! key \"a\" is given twice, first on line 1: remove one\n");
	YAML("a: {x: 1, y: {z: 1, z: 2}}\n---\nb: 2",
	     "1! key \"z\" is given twice, first on line 1: remove one\n3:{b=2}\n");
	YAML("a: \"x\\0y\"\n---\nb: 1\n", "1! text holds a NUL character: remove \\0\n3:{b=1}\n");
	YAML("a: !mine 3", "1! tag !mine is not supported: write the plain value\n");
	YAML("a:\n  <<: {b: 1}\n", "2! merge keys (<<) are not supported: write the members out\n");
	YAML("? [a]\n: 1\n", "1! a key must be plain text, not a list or a map\n");
	YAML("%YAML 9.1\n---\na: 1\n---\nb: 1\n", "1! found incompatible YAML document\n5:{b=1}\n");
}

TEST(refuses_what_is_not_text)
{
	YAML("a: 1\nb: \xff\n---\nc: 1\n",
	     "2! invalid leading UTF-8 octet: a manifest is UTF-8 text without control characters\n4:{c=1}\n");
	YAML("a: 1\nb: \x01\n", "2! control characters are not allowed: a manifest is UTF-8 text "
				"without control characters\n");
	YAML("\xff\xfe"
	     "a\0:\0 \0001\0",
	     "1! invalid leading UTF-8 octet: a manifest is UTF-8 text without control characters\n");
	YAML("a: \xc3",
	     "1! incomplete UTF-8 octet sequence: a manifest is UTF-8 text without control "
	     "characters\n");
}

TEST(resolves_aliases)
{
	YAML("a: &x {p: [1, 2]}\nb: *x\nc: *x\n", "1:{a={p=[1 2]} b={p=[1 2]} c={p=[1 2]}}\n");
	YAML("a: &x 1\nb: &x 2\nc: *x\n", "1:{a=1 b=2 c=2}\n");
	YAML("a: *x\n", "1! alias *x: there is no such anchor before it\n");
	YAML("a: &x 1\n---\nb: *x\n", "1:{a=1}\n3! alias *x: there is no such anchor before it\n");
	YAML("a: &x [*x]\n", "1! alias *x: is inside of what it names\n");
	YAML("a: &x k\n*x : 1\n", "2! an alias as a key is not supported: write the key\n");
}

/* Ten times ten times … : nine lines that stand for a billion values. */
TEST(bounds_what_aliases_make)
{
	struct buf text = { 0 };
	int i, j;

	buf_puts(&text, "a0: &a0 x\n");
	for (i = 1; i < 10; i++) {
		buf_printf(&text, "a%d: &a%d [", i, i);
		for (j = 0; j < 10; j++)
			buf_printf(&text, "%s*a%d", j ? "," : "", i - 1);
		buf_puts(&text, "]\n");
	}
	buf_puts(&text, "---\nb: 1\n");
	reads(buf_str(&text), text.len, false,
	      "7! more than 1048576 values in one document: split it with a line \"---\"\n12:{b=1}\n");
	buf_done(&text);
}

TEST(bounds_anchors)
{
	struct buf text = { 0 };
	int i;

	for (i = 0; i < 257; i++)
		buf_printf(&text, "a%d: &a%d 1\n", i, i);
	reads(buf_str(&text), text.len, false, "257! more than 256 anchors in one document\n");
	buf_done(&text);
}

static void nested(int depth, bool flow, struct buf *text)
{
	int i;

	buf_puts(text, "a: ");
	for (i = 1; i < depth; i++)
		buf_puts(text, flow ? "[" : "\n- ");
	for (i = 1; i < depth && flow; i++)
		buf_puts(text, "]");
}

TEST(bounds_depth)
{
	struct buf text = { 0 };

	nested(64, true, &text);
	buf_reset(&said);
	assert_int_equal(manifest_read(buf_str(&text), text.len, false, &handler), 0);
	assert_non_null(strstr(buf_str(&said), "1:{a=[[[["));
	buf_reset(&text);
	nested(65, true, &text);
	reads(buf_str(&text), text.len, false,
	      "1! more than 64 lists and maps inside each other\n");
	buf_reset(&text);
	nested(100000, true, &text);
	reads(buf_str(&text), text.len, false,
	      "1! more than 64 lists and maps inside each other\n");
	buf_done(&text);
}

TEST(bounds_depth_through_aliases)
{
	struct buf text = { 0 };
	int i;

	/* each anchor holds the one before, one deeper */
	buf_puts(&text, "a0: &a0 [1]\n");
	for (i = 1; i < 70; i++)
		buf_printf(&text, "a%d: &a%d [*a%d]\n", i, i, i - 1);
	reads(buf_str(&text), text.len, false,
	      "64! more than 64 lists and maps inside each other\n");
	buf_done(&text);
}

TEST(bounds_size)
{
	static char text[MANIFEST_BYTES_MAX + 1];

	memset(text, ' ', sizeof(text));
	memcpy(text, "a: 1", 4);
	buf_reset(&said);
	assert_int_equal(manifest_read(text, sizeof(text), false, &handler), -EFBIG);
	assert_string_equal(buf_str(&said), "");
	assert_int_equal(manifest_read(text, sizeof(text) - 1, false, &handler), 0);
	assert_string_equal(buf_str(&said), "1:{a=1}\n");
	buf_done(&said);
}

TEST(reads_json)
{
	JSON("{\"a\":\"b\\/c\",\"l\":[1,true,null,{}],\n\t\"m\" : -2.5e1}\n",
	     "1:{a=\"b/c\" l=[1 true not set {}] m=-2.5e1}\n");
	JSON("{\"a\": 1}{", "1:{a=1}\n1! did not find expected <document start>\n");
	JSON("{\"a\": 1",
	     "1! did not find expected ',' or '}', while parsing a flow mapping that began on "
	     "line 1\n");
}

static int take_text(void *ctx, struct value root)
{
	buf_puts(ctx, value_string(value_get(root, "a")));
	return 0;
}

static void json_text(const char *text, const char *expected)
{
	struct buf out = { 0 };
	const struct manifest_handler h = { &out, take_text, on_broken };
	struct guard guard = guard_new(text, strlen(text));

	assert_int_equal(manifest_read(guard.bytes, guard.len, true, &h), 0);
	guard_free(&guard);
	assert_string_equal(buf_str(&out), expected);
	buf_done(&out);
}

TEST(joins_surrogate_pairs_of_json)
{
	json_text("{\"a\": \"<\\ud83d\\ude00>\"}", "<\xf0\x9f\x98\x80>");
	json_text("{\"a\": \"\\ud800\\udc00\\udbff\\udfff\"}", "\xf0\x90\x80\x80\xf4\x8f\xbf\xbf");
	json_text("{\"a\": \"\\\\ud83d\\\\ude00\"}", "\\ud83d\\ude00"); /* escaped backslashes */
	json_text("{\"a\": \"\\u00e4\\n\\\"\"}", "\xc3\xa4\n\"");
	JSON("{\"a\": \"\\ud83d\"}",
	     "1! found invalid Unicode character escape code, while parsing a quoted scalar that began on line 1\n");
	JSON("{\"a\": \"\\ud83d\\u",
	     "1! found invalid Unicode character escape code, while parsing a quoted scalar that began on line 1\n");
	JSON("{\"a\": \"\\",
	     "1! found unknown escape character, while parsing a quoted scalar that began on line 1\n");
	YAML("a: '\\ud83d\\ude00'\n", "1:{a=\"\\ud83d\\ude00\"}\n");
}

/* Every prefix of a manifest: no read beyond its end, and an answer. */
TEST(reads_nothing_behind_the_text)
{
	static const char text[] =
		"%YAML 1.1\n---\nkind: &k \"S\\u00e4\\x41\"\r\nm: {a: [1, *k, 'it''s']}\n"
		"b: |+2\n    x\n...\n--- # c\nb: >-\n  \xc3\xa4\n---\n? a\n: b\n";
	size_t len;

	for (len = 0; len < sizeof(text); len++) {
		struct guard guard = guard_new(text, len);

		buf_reset(&said);
		assert_int_equal(manifest_read(guard.bytes, len, len % 2, &handler), 0);
		guard_free(&guard);
	}
	buf_done(&said);
}

static int count_document(void *ctx, struct value root)
{
	(void)root;
	++*(int *)ctx;
	return 0;
}

static int count_broken(void *ctx, unsigned line, const char *reason)
{
	(void)line;
	(void)reason;
	*(int *)ctx += 100;
	return 0;
}

TEST(survives_lack_of_memory)
{
	static const char text[] =
		"{\"a\": \"\\n\", \"b\": &x [1, {c: 2, d: 3}], e: *x}\n---\nf: [\n---\ng: 1\n";
	unsigned n;
	int counted, rc;

	for (n = 1;; n++) {
		const struct manifest_handler h = { &counted, count_document, count_broken };

		counted = 0;
		failmalloc_at(n);
		rc = manifest_read(text, sizeof(text) - 1, true, &h);
		if (!failmalloc_done())
			break;
		assert_int_equal(rc, -ENOMEM);
	}
	assert_int_equal(rc, 0);
	assert_int_equal(counted, 102);
	assert_in_range(n, 20, 1000);
}

static int stop(void *ctx, struct value root)
{
	(void)ctx;
	(void)root;
	return -ECANCELED;
}

static int stop_broken(void *ctx, unsigned line, const char *reason)
{
	(void)ctx;
	(void)line;
	(void)reason;
	return -EINVAL;
}

TEST(ends_when_the_handler_says_so)
{
	const struct manifest_handler h = { NULL, stop, stop_broken };

	assert_int_equal(manifest_read("a: 1", 4, false, &h), -ECANCELED);
	assert_int_equal(manifest_read("a: [", 4, false, &h), -EINVAL);
}

RUN(cmocka_unit_test(splits_documents),
    cmocka_unit_test(a_dashed_line_inside_a_scalar_ends_nothing),
    cmocka_unit_test(reads_plain_scalars_as_kubectl), cmocka_unit_test(reads_numbers),
    cmocka_unit_test(names_line_and_reason_of_broken_documents_and_serves_the_others),
    cmocka_unit_test(refuses_what_is_not_text), cmocka_unit_test(resolves_aliases),
    cmocka_unit_test(bounds_what_aliases_make), cmocka_unit_test(bounds_anchors),
    cmocka_unit_test(bounds_depth), cmocka_unit_test(bounds_depth_through_aliases),
    cmocka_unit_test(bounds_size), cmocka_unit_test(reads_json),
    cmocka_unit_test(joins_surrogate_pairs_of_json),
    cmocka_unit_test(reads_nothing_behind_the_text), cmocka_unit_test(survives_lack_of_memory),
    cmocka_unit_test(ends_when_the_handler_says_so))
