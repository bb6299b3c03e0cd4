// SPDX-License-Identifier: GPL-2.0-only
// HTTP/1 heads, trailers and chunks: what is taken, what is refused and why, the same wherever the bytes are cut.
/* link: user/ingress/http1.c user/ingress/http1_chunk.c user/ingress/http1_write.c user/base/buf.c */
/* libs: cjson */
#include "unit/test.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ingress/http1.h"
#include "unit/cases.h"
#include "unit/guard.h"

static const struct http1_limits *limits_of(enum http1_kind kind)
{
	return kind == HTTP1_REQUEST    ? &http1_limits_request
	       : kind == HTTP1_RESPONSE ? &http1_limits_response
					: &http1_limits_trailer;
}

/* Whole, from memory that ends where the bytes end. */
static int read_head(struct http1_head *head, enum http1_kind kind, const char *bytes, size_t len)
{
	struct guard guard = guard_new(bytes, len);
	int rc;

	http1_head_init(head, kind, limits_of(kind));
	rc = http1_head_read(head, guard.bytes, len);
	guard_free(&guard);
	return rc;
}

static bool same_parts(const struct http1_head *a, const struct http1_head *b)
{
	if (a->n_fields != b->n_fields || memcmp(a, b, offsetof(struct http1_head, fields)) != 0)
		return false;
	for (size_t i = 0; i < a->n_fields; i++) {
		const struct http1_field *f = &a->fields[i], *g = &b->fields[i];

		if (f->name_at != g->name_at || f->name_len != g->name_len ||
		    f->value_at != g->value_at || f->value_len != g->value_len ||
		    f->name != g->name || f->connection != g->connection)
			return false;
	}
	return true;
}

/* A prefix of `first` bytes, then `step` more at a time: as `whole` says, and before that partial. */
static void check_cut(enum http1_kind kind, const char *bytes, size_t len, size_t first,
		      size_t step, int whole, const struct http1_head *expected)
{
	struct http1_head head;
	int rc = HTTP1_PARTIAL;

	http1_head_init(&head, kind, limits_of(kind));
	for (size_t n = first; rc == HTTP1_PARTIAL; n = n + step < len ? n + step : len) {
		struct guard guard = guard_new(bytes, n);

		rc = http1_head_read(&head, guard.bytes, n);
		guard_free(&guard);
		if (rc > 0 && (size_t)rc > n)
			fail_msg("a head of %d bytes was found in %zu", rc, n);
		if (n == len)
			break;
	}
	if (rc != whole)
		fail_msg("cut at %zu, then by %zu: %d (%s) instead of %d in: %.80s", first, step,
			 rc, http1_fault_text(rc < 0 ? -rc : 0), whole, bytes);
	if (rc > 0 && !same_parts(&head, expected))
		fail_msg("cut at %zu, then by %zu: other parts in: %.80s", first, step, bytes);
}

/* Reads it whole and at every cut (large ones at some). */
static int read_everyhow(struct http1_head *head, enum http1_kind kind, const char *bytes,
			 size_t len)
{
	size_t stride = len < 400 ? 1 : len / 61;
	int rc = read_head(head, kind, bytes, len);

	for (size_t first = 0; first < len; first += stride)
		check_cut(kind, bytes, len, first, len, rc, head);
	check_cut(kind, bytes, len, 0, len < 400 ? 1 : 509, rc, head);
	return rc;
}

static void expect_fault(enum http1_kind kind, const char *bytes, size_t len,
			 enum http1_fault fault)
{
	struct http1_head head;
	int rc = read_everyhow(&head, kind, bytes, len);

	if (rc != -(int)fault && !(fault == HTTP1_OK && rc > 0))
		fail_msg("\"%.120s\": %d (%s) instead of \"%s\"", bytes, rc,
			 http1_fault_text(rc < 0 ? -rc : 0), http1_fault_text(fault));
}

static void assert_slice(const char *bytes, struct http1_slice s, const char *text)
{
	if (s.len != strlen(text) || memcmp(bytes + s.at, text, s.len) != 0)
		fail_msg("\"%.*s\" instead of \"%s\"", (int)s.len, bytes + s.at, text);
}

/* ---- heads -------------------------------------------------------------------------------------------------- */

#define LINE(text)   "GET /x HTTP/1.1\r\nHost: a.test\r\n" text "\r\n"
#define HOST(text)   "GET /x HTTP/1.1\r\nHost: " text "\r\n\r\n"
#define TARGET(text) "GET " text " HTTP/1.1\r\nHost: a.test\r\n\r\n"

static const struct {
	const char *raw;
	enum http1_fault fault;
} requests[] = {
	{ LINE(""), HTTP1_OK },
	{ "\r\n" LINE(""), HTTP1_OK },
	{ "\r\n\r\n" LINE(""), HTTP1_BAD_LINE },
	{ "GET  /x HTTP/1.1\r\n\r\n", HTTP1_BAD_LINE },
	{ " GET /x HTTP/1.1\r\n\r\n", HTTP1_BAD_METHOD },
	{ "G@T /x HTTP/1.1\r\n\r\n", HTTP1_BAD_METHOD },
	{ "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA /x HTTP/1.1\r\n\r\n", HTTP1_BAD_METHOD },
	{ "GET /x HTTP/2.0\r\n\r\n", HTTP1_BAD_VERSION },
	{ "GET /x HTTP/1.2\r\n\r\n", HTTP1_BAD_VERSION },
	{ "GET /x HTTP/1.10\r\n\r\n", HTTP1_BAD_VERSION },
	{ "GET /x http/1.1\r\n\r\n", HTTP1_BAD_VERSION },
	{ "GET /x\r\n\r\n", HTTP1_BAD_VERSION },
	{ "GET\r\n\r\n", HTTP1_BAD_LINE },
	{ "CONNECT a.test:443 HTTP/1.1\r\nHost: a.test\r\n\r\n", HTTP1_CONNECT },
	{ "OPTIONS * HTTP/1.1\r\nHost: a.test\r\n\r\n", HTTP1_OK },
	{ TARGET("*"), HTTP1_BAD_TARGET },
	{ TARGET("/a#b"), HTTP1_BAD_TARGET },
	{ TARGET("/a\\b"), HTTP1_BAD_TARGET },
	{ TARGET("/\xc3\xa9"), HTTP1_BAD_TARGET },
	{ TARGET("x/y"), HTTP1_BAD_TARGET },
	{ TARGET("http://"), HTTP1_BAD_TARGET },
	{ TARGET("ftp://b.test/"), HTTP1_BAD_TARGET },
	{ TARGET("http://u@b.test/"), HTTP1_BAD_TARGET },
	{ TARGET("http://b.test:80:80/"), HTTP1_BAD_TARGET },
	{ TARGET("HTTP://b.test"), HTTP1_OK },
	{ TARGET("/a?b{|}\"<>^`"), HTTP1_OK },
	{ LINE("X: a\r\n"), HTTP1_OK },
	{ LINE("X:\r\n"), HTTP1_OK },
	{ LINE("X: \t \r\n"), HTTP1_OK },
	{ LINE("X: \xff\r\n"), HTTP1_OK },
	{ LINE("X : a\r\n"), HTTP1_BAD_NAME },
	{ LINE("X\t: a\r\n"), HTTP1_BAD_NAME },
	{ LINE(": a\r\n"), HTTP1_BAD_NAME },
	{ LINE("X(: a\r\n"), HTTP1_BAD_NAME },
	{ LINE("\xc3\xa9: a\r\n"), HTTP1_BAD_NAME },
	{ LINE("X a\r\n"), HTTP1_NO_COLON },
	{ LINE(" X: a\r\n"), HTTP1_FOLDED },
	{ LINE("X: a\r\n\tb\r\n"), HTTP1_FOLDED },
	{ LINE("X: a\rb\r\n"), HTTP1_BARE_CR },
	{ LINE("X: a\r\r\n"), HTTP1_BARE_CR },
	{ LINE("X: a\n"), HTTP1_BARE_LF },
	{ "GET /x HTTP/1.1\nHost: a.test\r\n\r\n", HTTP1_BARE_LF },
	{ "\nGET /x HTTP/1.1\r\nHost: a.test\r\n\r\n", HTTP1_BARE_LF },
	{ LINE("X: a\vb\r\n"), HTTP1_BAD_BYTE },
	{ LINE("X: a\x7f\r\n"), HTTP1_BAD_BYTE },
	{ LINE("X: 12345678\x01"
	       "2345678\r\n"),
	  HTTP1_BAD_BYTE },
	{ "\x16\x03\x01", HTTP1_BAD_BYTE },
	{ "GET /x HTTP/1.1\r\n\r\n", HTTP1_NO_HOST },
	{ "GET /x HTTP/1.0\r\n\r\n", HTTP1_OK },
	{ LINE("host: a.test\r\n"), HTTP1_TWO_HOSTS },
	{ HOST(""), HTTP1_BAD_HOST },
	{ HOST("."), HTTP1_BAD_HOST },
	{ HOST(".a"), HTTP1_BAD_HOST },
	{ HOST("a..b"), HTTP1_BAD_HOST },
	{ HOST("a.."), HTTP1_BAD_HOST },
	{ HOST("a:"), HTTP1_BAD_HOST },
	{ HOST("a:0"), HTTP1_BAD_HOST },
	{ HOST("a:65536"), HTTP1_BAD_HOST },
	{ HOST("a:080000"), HTTP1_BAD_HOST },
	{ HOST("a:+80"), HTTP1_BAD_HOST },
	{ HOST("a:80"), HTTP1_OK },
	{ HOST("a%2eb"), HTTP1_BAD_HOST },
	{ HOST("a_b.c"), HTTP1_OK },
	{ HOST("[::1"), HTTP1_BAD_HOST },
	{ HOST("[::1]x"), HTTP1_BAD_HOST },
	{ HOST("[]"), HTTP1_BAD_HOST },
	{ HOST("[::g]"), HTTP1_BAD_HOST },
	{ HOST("[fe80::1%25eth0]"), HTTP1_BAD_HOST },
	{ HOST("[2001:db8::1]:8080"), HTTP1_OK },
	{ HOST("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
	  HTTP1_BAD_HOST },
	{ LINE("Content-Length: 0\r\n"), HTTP1_OK },
	{ LINE("Content-Length: 00012\r\n"), HTTP1_OK },
	{ LINE("Content-Length: \r\n"), HTTP1_BAD_LENGTH },
	{ LINE("Content-Length: +5\r\n"), HTTP1_BAD_LENGTH },
	{ LINE("Content-Length: 5\t\r\n"), HTTP1_BAD_LENGTH },
	{ LINE("Content-Length:\t5\r\n"), HTTP1_BAD_LENGTH },
	{ LINE("Content-Length: -1\r\n"), HTTP1_BAD_LENGTH },
	{ LINE("Content-Length: 5_0\r\n"), HTTP1_BAD_LENGTH },
	{ LINE("Content-Length: 5, 5\r\n"), HTTP1_BAD_LENGTH },
	{ LINE("Content-Length: 5\r\ncontent-length: 5\r\n"), HTTP1_BAD_LENGTH },
	{ LINE("Content-Length: 999999999999999999\r\n"), HTTP1_OK },
	{ LINE("Content-Length: 9999999999999999999\r\n"), HTTP1_BAD_LENGTH },
	{ LINE("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"), HTTP1_TWO_FRAMINGS },
	{ LINE("Content-Length: 5\r\nTransfer-Encoding: identity\r\n"), HTTP1_TWO_FRAMINGS },
	{ LINE("Transfer-Encoding: Chunked\r\n"), HTTP1_OK },
	{ LINE("Transfer-Encoding: gzip, chunked\r\n"), HTTP1_BAD_CODING },
	{ LINE("Transfer-Encoding: chunked, chunked\r\n"), HTTP1_BAD_CODING },
	{ LINE("Transfer-Encoding: chunked;q=1\r\n"), HTTP1_BAD_CODING },
	{ LINE("Transfer-Encoding: chunked,\r\n"), HTTP1_BAD_CODING },
	{ LINE("Transfer-Encoding: \r\n"), HTTP1_BAD_CODING },
	{ LINE("Transfer-Encoding: chunked\t\r\n"), HTTP1_BAD_CODING },
	{ LINE("Transfer-Encoding:\tchunked\r\n"), HTTP1_BAD_CODING },
	{ LINE("Transfer-Encoding: xchunked\r\n"), HTTP1_BAD_CODING },
	{ LINE("Transfer-Encoding: chunked\r\nTransfer-Encoding:\r\n"), HTTP1_BAD_CODING },
	{ "GET /x HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", HTTP1_BAD_CODING },
	{ LINE("Connection: a b\r\n"), HTTP1_BAD_CONNECTION },
	{ LINE("Connection: ,,close, ,\r\n"), HTTP1_OK },
	{ LINE("Connection: a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q\r\n"), HTTP1_BAD_CONNECTION },
	{ LINE("Expect: 100-Continue\r\n"), HTTP1_OK },
	{ LINE("Expect: 100-continue, x\r\n"), HTTP1_BAD_EXPECT },
	{ LINE("Expect: 100-continue\r\nExpect: 100-continue\r\n"), HTTP1_BAD_EXPECT },
};

TEST(takes_or_refuses_requests)
{
	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++)
		expect_fault(HTTP1_REQUEST, requests[i].raw, strlen(requests[i].raw),
			     requests[i].fault);
	expect_fault(HTTP1_REQUEST, "GET /\0 HTTP/1.1\r\n", 17, HTTP1_BAD_BYTE);
	expect_fault(HTTP1_REQUEST,
		     LINE("X: 1234567\0"
			  "1234567\r\n"),
		     sizeof(LINE("X: 1234567\0"
				 "1234567\r\n")) -
			     1,
		     HTTP1_BAD_BYTE);
}

static const struct {
	const char *raw;
	enum http1_fault fault;
} responses[] = {
	{ "HTTP/1.1 200 OK\r\n\r\n", HTTP1_OK },
	{ "HTTP/1.0 200\r\n\r\n", HTTP1_OK },
	{ "HTTP/1.1 200 \r\n\r\n", HTTP1_OK },
	{ "HTTP/1.1 200 a \xe4 b\r\n\r\n", HTTP1_OK },
	{ "\r\nHTTP/1.1 200 OK\r\n\r\n", HTTP1_BAD_LINE },
	{ "HTTP/1.1  200 OK\r\n\r\n", HTTP1_BAD_STATUS },
	{ "HTTP/1.1 20x OK\r\n\r\n", HTTP1_BAD_STATUS },
	{ "HTTP/1.1 2000 OK\r\n\r\n", HTTP1_BAD_STATUS },
	{ "HTTP/1.1 099 OK\r\n\r\n", HTTP1_BAD_STATUS },
	{ "HTTP/1.1 600 OK\r\n\r\n", HTTP1_BAD_STATUS },
	{ "HTTP/3.1 200 OK\r\n\r\n", HTTP1_BAD_VERSION },
	{ "ICY 200 OK\r\n\r\n", HTTP1_BAD_LINE },
	{ "HTTP/1.1 101 x\r\n\r\n", HTTP1_UNASKED_UPGRADE },
	{ "HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
	  HTTP1_UNASKED_UPGRADE },
	{ "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
	  HTTP1_TWO_FRAMINGS },
	{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", HTTP1_BAD_CODING },
	{ "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", HTTP1_BAD_CODING },
	{ "HTTP/1.1 200 OK\r\nSet-Cookie : a\r\n\r\n", HTTP1_BAD_NAME },
	{ "HTTP/1.1 200 OK\r\nX_y: a\r\n\r\n", HTTP1_OK },
};

TEST(takes_or_refuses_responses)
{
	for (size_t i = 0; i < sizeof(responses) / sizeof(responses[0]); i++)
		expect_fault(HTTP1_RESPONSE, responses[i].raw, strlen(responses[i].raw),
			     responses[i].fault);
}

/* "GET /" + n × 'a' + rest */
static void expect_repeat(const char *before, size_t n, const char *after, enum http1_fault fault)
{
	struct buf raw = { 0 };

	buf_puts(&raw, before);
	for (size_t i = 0; i < n; i++)
		buf_putc(&raw, 'a');
	buf_puts(&raw, after);
	expect_fault(HTTP1_REQUEST, raw.data, raw.len, fault);
	buf_done(&raw);
}

TEST(limits_hold_to_the_byte)
{
	const uint32_t first = http1_limits_request.first_line, line = http1_limits_request.line;

	expect_repeat("GET /", first - 14, " HTTP/1.1\r\nHost: a\r\n\r\n", HTTP1_OK);
	expect_repeat("GET /", first - 13, " HTTP/1.1\r\nHost: a\r\n\r\n", HTTP1_TARGET_LONG);
	expect_repeat("GET / HTTP/1.1\r\nHost: a\r\nX: ", line - 3, "\r\n\r\n", HTTP1_OK);
	expect_repeat("GET / HTTP/1.1\r\nHost: a\r\nX: ", line - 2, "\r\n\r\n", HTTP1_LINE_LONG);
}

static void expect_fields(size_t n, size_t value_len, enum http1_fault fault)
{
	struct buf raw = { 0 };

	buf_puts(&raw, "GET / HTTP/1.1\r\nHost: a\r\n");
	for (size_t i = 1; i < n; i++)
		buf_printf(&raw, "X: %0*d\r\n", (int)value_len, 0);
	buf_puts(&raw, "\r\n");
	expect_fault(HTTP1_REQUEST, raw.data, raw.len, fault);
	buf_done(&raw);
}

TEST(number_of_fields_and_size_of_the_head_are_limited)
{
	expect_fields(100, 1, HTTP1_OK);
	expect_fields(101, 1, HTTP1_MANY_FIELDS);
	expect_fields(80, 400, HTTP1_OK);
	expect_fields(90, 400, HTTP1_HEAD_LONG);
}

TEST(parts_of_a_request)
{
	static const char raw[] =
		"POST http://B.test:8080/p/q?a=b?c HTTP/1.1\r\nHost: a.test\r\nX-Y:  v w \t\r\n"
		"X_Y: dropped\r\nContent-Length: 007\r\nExpect: 100-continue\r\n\r\nbody";
	struct http1_head head;
	const struct http1_field *f;

	assert_int_equal(read_everyhow(&head, HTTP1_REQUEST, raw, sizeof(raw) - 1),
			 sizeof(raw) - 1 - 4);
	assert_slice(raw, head.method, "POST");
	assert_slice(raw, head.host, "B.test");
	assert_int_equal(head.port, 8080);
	assert_slice(raw, head.path, "/p/q");
	assert_slice(raw, head.query, "a=b?c");
	assert_true(head.has_query && head.expects_continue && head.reusable && !head.close);
	assert_int_equal(head.body, HTTP1_LENGTH);
	assert_int_equal(head.body_len, 7);
	assert_int_equal(head.dropped, 1);
	f = http1_field_find(&head, raw, "x-y", NULL);
	assert_non_null(f);
	assert_slice(raw, (struct http1_slice){ f->value_at, f->value_len }, "v w");
	assert_null(http1_field_find(&head, raw, "x-y", f));
	assert_null(http1_field_find(&head, raw, "x_y", NULL));
}

TEST(host_loses_port_and_final_dot)
{
	static const char raw[] = "GET / HTTP/1.1\r\nHost: A.test.:81\r\n\r\n";
	struct http1_head head;

	assert_true(read_everyhow(&head, HTTP1_REQUEST, raw, sizeof(raw) - 1) > 0);
	assert_slice(raw, head.host, "A.test");
	assert_int_equal(head.port, 81);
	assert_false(head.has_query);
}

TEST(keep_alive_and_close)
{
	static const struct {
		const char *raw;
		bool reusable;
	} cases[] = {
		{ LINE(""), true },
		{ LINE("Connection: close\r\n"), false },
		{ LINE("Connection: keep-alive, CLOSE\r\n"), false },
		{ "GET / HTTP/1.0\r\n\r\n", false },
		{ "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", true },
	};
	struct http1_head head;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_true(read_everyhow(&head, HTTP1_REQUEST, cases[i].raw,
					  strlen(cases[i].raw)) > 0);
		if (head.reusable != cases[i].reusable)
			fail_msg("reusable is %d for: %s", head.reusable, cases[i].raw);
	}
}

TEST(upgrade_is_one_protocol_that_connection_names)
{
	static const struct {
		const char *raw, *upgrade;
	} cases[] = {
		{ LINE("Connection: Upgrade\r\nUpgrade: websocket\r\n"), "websocket" },
		{ LINE("Connection: upgrade\r\nUpgrade: SPDY/3.1\r\n"), "SPDY/3.1" },
		{ LINE("Upgrade: websocket\r\n"), "" },
		{ LINE("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n"),
		  "" },
		{ LINE("Connection: Upgrade\r\nUpgrade: TLS/1.0\r\n"), "" },
		{ LINE("Connection: Upgrade\r\nUpgrade: HTTP/2.0\r\n"), "" },
		{ LINE("Connection: Upgrade\r\nUpgrade: websocket, h2c\r\n"), "" },
		{ LINE("Connection: Upgrade\r\nUpgrade: websocket\r\nUpgrade: h2c\r\n"), "" },
		{ "GET / HTTP/1.0\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", "" },
	};
	struct http1_head head;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_true(read_everyhow(&head, HTTP1_REQUEST, cases[i].raw,
					  strlen(cases[i].raw)) > 0);
		assert_slice(cases[i].raw, head.upgrade, cases[i].upgrade);
	}
}

TEST(framing_of_responses)
{
	static const struct {
		const char *raw;
		bool for_head, reusable;
		enum http1_body body;
		uint64_t len;
	} cases[] = {
		{ "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", false, true, HTTP1_LENGTH, 5 },
		{ "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", false, true, HTTP1_NO_BODY, 0 },
		{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", false, true,
		  HTTP1_CHUNKED, 0 },
		{ "HTTP/1.1 200 OK\r\n\r\n", false, false, HTTP1_UNTIL_CLOSE, 0 },
		{ "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n", false, false, HTTP1_LENGTH, 5 },
		{ "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", true, true, HTTP1_NO_BODY, 0 },
		{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", true, true,
		  HTTP1_NO_BODY, 0 },
		{ "HTTP/1.1 200 OK\r\n\r\n", true, true, HTTP1_NO_BODY, 0 },
		{ "HTTP/1.1 304 NM\r\nContent-Length: 5\r\n\r\n", false, true, HTTP1_NO_BODY, 0 },
		{ "HTTP/1.1 204 NC\r\n\r\n", false, true, HTTP1_NO_BODY, 0 },
		{ "HTTP/1.1 204 NC\r\nContent-Length: 5\r\n\r\n", false, false, HTTP1_NO_BODY, 0 },
		{ "HTTP/1.1 204 NC\r\nTransfer-Encoding: chunked\r\n\r\n", false, false,
		  HTTP1_NO_BODY, 0 },
		{ "HTTP/1.1 100 C\r\n\r\n", false, true, HTTP1_NO_BODY, 0 },
		{ "HTTP/1.1 103 EH\r\nContent-Length: 3\r\n\r\n", false, false, HTTP1_NO_BODY, 0 },
		{ "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\n", false, false,
		  HTTP1_LENGTH, 5 },
	};
	struct http1_head head;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		http1_head_init(&head, HTTP1_RESPONSE, &http1_limits_response);
		http1_head_answers(&head, cases[i].for_head, false);
		assert_int_equal(http1_head_read(&head, cases[i].raw, strlen(cases[i].raw)),
				 strlen(cases[i].raw));
		if (head.body != cases[i].body || head.body_len != cases[i].len ||
		    head.reusable != cases[i].reusable)
			fail_msg("body %d of %d bytes, reusable %d: %s", head.body,
				 (int)head.body_len, head.reusable, cases[i].raw);
	}
}

TEST(switching_protocols_only_when_asked_and_named)
{
	static const char good[] =
		"HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n\x81";
	static const char unnamed[] = "HTTP/1.1 101 S\r\n\r\n";
	struct http1_head head;

	http1_head_init(&head, HTTP1_RESPONSE, &http1_limits_response);
	http1_head_answers(&head, false, true);
	assert_int_equal(http1_head_read(&head, good, sizeof(good) - 1), sizeof(good) - 2);
	assert_int_equal(head.body, HTTP1_TUNNEL);
	assert_false(head.reusable);
	http1_head_init(&head, HTTP1_RESPONSE, &http1_limits_response);
	http1_head_answers(&head, false, true);
	assert_int_equal(http1_head_read(&head, unnamed, sizeof(unnamed) - 1),
			 -(int)HTTP1_UNASKED_UPGRADE);
}

TEST(trailers_are_fields_without_power)
{
	static const char raw[] =
		"Grpc-Status: 0\r\nContent-Length: 5\r\nHost: b\r\nX-Forwarded-For: 1\r\n"
		"Set-Cookie: a\r\nConnection: close\r\nA_b: 1\r\n\r\nGET";
	struct http1_head head;

	assert_int_equal(read_everyhow(&head, HTTP1_TRAILER, raw, sizeof(raw) - 1),
			 sizeof(raw) - 4);
	assert_int_equal(head.n_fields, 1);
	assert_int_equal(head.dropped, 6);
	assert_non_null(http1_field_find(&head, raw, "grpc-status", NULL));
	assert_int_equal(read_everyhow(&head, HTTP1_TRAILER, "\r\n", 2), 2);
	expect_fault(HTTP1_TRAILER, "a\r\n\r\n", 5, HTTP1_NO_COLON);
	expect_fault(HTTP1_TRAILER, "\n", 1, HTTP1_BARE_LF);
}

TEST(says_the_same_again_after_the_end)
{
	struct http1_head head;
	int n = read_head(&head, HTTP1_REQUEST, LINE(""), strlen(LINE("")));

	assert_int_equal(http1_head_read(&head, LINE("") "more", strlen(LINE("")) + 4), n);
	n = read_head(&head, HTTP1_REQUEST, "\n", 1);
	assert_int_equal(n, -(int)HTTP1_BARE_LF);
	assert_int_equal(http1_head_read(&head, "\n" LINE(""), strlen(LINE(""))), n);
}

TEST(every_fault_has_a_status_and_words)
{
	for (int i = 1; i < HTTP1_FAULTS; i++) {
		assert_in_range(http1_fault_status(i), 400, 505);
		assert_true(strlen(http1_fault_text(i)) > 5);
	}
	assert_int_equal(http1_fault_status(HTTP1_FAULTS), 400);
}

/* ---- chunks ------------------------------------------------------------------------------------------------- */

/* The body, fed `step` bytes at a time; the last code. *ret_used: bytes before the trailers. */
static int read_chunks(const char *bytes, size_t len, size_t step, struct buf *body,
		       size_t *ret_used)
{
	struct http1_chunks chunks = { 0 };
	int rc = HTTP1_CHUNK_MORE;
	size_t at = 0;

	while (at < len && rc >= 0 && rc != HTTP1_CHUNK_LAST) {
		size_t n = step < len - at ? step : len - at, used = 0, data_len = 0;
		struct guard guard = guard_new(bytes + at, n);
		const char *data = NULL;

		rc = http1_chunks_read(&chunks, guard.bytes, n, &used, &data, &data_len);
		if (rc == HTTP1_CHUNK_DATA)
			buf_put(body, data, data_len);
		assert_true(used <= n && (rc < 0 || rc == HTTP1_CHUNK_LAST || used > 0));
		guard_free(&guard);
		at += rc < 0 ? 0 : used;
	}
	*ret_used = at;
	return rc;
}

static const struct {
	const char *raw, *body;
	int rc; /* the last code; the bytes behind a '0\r\n' line stay */
} chunked[] = {
	{ "0\r\n\r\n", "", HTTP1_CHUNK_LAST },
	{ "5\r\nhello\r\n0\r\n\r\n", "hello", HTTP1_CHUNK_LAST },
	{ "5\r\nhello\r\n6\r\n world\r\n000\r\n\r\n", "hello world", HTTP1_CHUNK_LAST },
	{ "A\r\n0123456789\r\n0\r\n\r\n", "0123456789", HTTP1_CHUNK_LAST },
	{ "00000000000000a;x=\"y\"\r\n0123456789\r\n0;z\r\n\r\n", "0123456789", HTTP1_CHUNK_LAST },
	{ "5\r\nhel", "hel", HTTP1_CHUNK_DATA },
	{ "5\r\nhello\r", "hello", HTTP1_CHUNK_MORE },
	{ "\r\n", "", -(int)HTTP1_BAD_CHUNK },
	{ ";x\r\n", "", -(int)HTTP1_BAD_CHUNK },
	{ "0x5\r\nhello", "", -(int)HTTP1_BAD_CHUNK },
	{ "+5\r\nhello", "", -(int)HTTP1_BAD_CHUNK },
	{ " 5\r\nhello", "", -(int)HTTP1_BAD_CHUNK },
	{ "5 \r\nhello", "", -(int)HTTP1_BAD_CHUNK },
	{ "5\nhello", "", -(int)HTTP1_BAD_CHUNK },
	{ "5\rhello", "", -(int)HTTP1_BAD_CHUNK },
	{ "5;a\nb\r\nhello", "", -(int)HTTP1_BAD_CHUNK },
	{ "5;a\rb\r\nhello", "", -(int)HTTP1_BAD_CHUNK },
	{ "5\r\nhello\n0\r\n\r\n", "hello", -(int)HTTP1_BAD_CHUNK },
	{ "5\r\nhelloo\r\n0\r\n\r\n", "hello", -(int)HTTP1_BAD_CHUNK },
	{ "5\r\nhello\r\n\r\n", "hello", -(int)HTTP1_BAD_CHUNK },
	{ "8000000000000000\r\n", "", -(int)HTTP1_BAD_CHUNK },
	{ "00000000000000005\r\nhello", "", -(int)HTTP1_BAD_CHUNK },
	{ "7fffffffffffffff\r\nab", "ab", HTTP1_CHUNK_DATA },
};

TEST(chunks_are_taken_apart_alike_at_every_cut)
{
	for (size_t i = 0; i < sizeof(chunked) / sizeof(chunked[0]); i++) {
		size_t len = strlen(chunked[i].raw);

		for (size_t step = 1; step <= len; step++) {
			struct buf body = { 0 };
			size_t used;
			int rc = read_chunks(chunked[i].raw, len, step, &body, &used);

			/* what the last piece happened to hold decides between "data" and "more" */
			if (chunked[i].rc == HTTP1_CHUNK_DATA && rc == HTTP1_CHUNK_MORE)
				rc = HTTP1_CHUNK_DATA;
			if (chunked[i].rc == HTTP1_CHUNK_MORE && rc == HTTP1_CHUNK_DATA)
				rc = HTTP1_CHUNK_MORE;
			if (rc != chunked[i].rc || strcmp(buf_str(&body), chunked[i].body) != 0)
				fail_msg("by %zu: %d, body \"%s\" of: %s", step, rc, buf_str(&body),
					 chunked[i].raw);
			if (rc == HTTP1_CHUNK_LAST)
				assert_int_equal(used, len - 2);
			buf_done(&body);
		}
	}
}

/* A reader that takes another byte for the end of a line sees other chunks than the next one does. */
TEST(lines_of_chunks_end_with_cr_and_lf_and_nothing_else)
{
	static const char sound[] = "3;e=1\r\nabc\r\n10\r\n0123456789abcdef\r\n0\r\n";
	size_t len = sizeof(sound) - 1;

	for (size_t at = 0; at < len; at++) {
		if (sound[at] != '\r' && sound[at] != '\n')
			continue;
		for (int byte = 0; byte < 256; byte++) {
			struct buf body = { 0 };
			char raw[sizeof(sound)];
			size_t used;
			int rc;

			memcpy(raw, sound, sizeof(raw));
			raw[at] = (char)byte;
			rc = read_chunks(raw, len, len, &body, &used);
			if (rc != (raw[at] == sound[at] ? HTTP1_CHUNK_LAST : -(int)HTTP1_BAD_CHUNK))
				fail_msg("%d with byte %d at %zu", rc, byte, at);
			buf_done(&body);
		}
	}
}

static int read_extensions(size_t chunks, size_t len)
{
	struct buf raw = { 0 }, body = { 0 };
	size_t used;
	int rc;

	for (size_t i = 0; i < chunks; i++)
		buf_printf(&raw, "1;%0*d\r\nx\r\n", (int)len, 0);
	buf_puts(&raw, "0\r\n\r\n");
	rc = read_chunks(raw.data, raw.len, raw.len, &body, &used);
	buf_done(&raw);
	buf_done(&body);
	return rc;
}

TEST(chunk_extensions_are_limited)
{
	assert_int_equal(read_extensions(1, HTTP1_EXTENSION_MAX), HTTP1_CHUNK_LAST);
	assert_int_equal(read_extensions(1, HTTP1_EXTENSION_MAX + 1), -(int)HTTP1_CHUNK_LONG);
	assert_int_equal(read_extensions(HTTP1_EXTENSIONS_MAX / 128, 128), HTTP1_CHUNK_LAST);
	assert_int_equal(read_extensions(HTTP1_EXTENSIONS_MAX / 128 + 1, 128),
			 -(int)HTTP1_CHUNK_LONG);
}

/* ---- writing ------------------------------------------------------------------------------------------------ */

static void expect_request(const char *raw, const struct http1_out *o, const char *expected)
{
	struct http1_head head;
	struct buf out = { 0 };

	assert_true(read_head(&head, HTTP1_REQUEST, raw, strlen(raw)) > 0);
	assert_int_equal(http1_write_request(&out, &head, raw, o), 0);
	assert_string_equal(buf_str(&out), expected);
	assert_true(read_head(&head, HTTP1_REQUEST, out.data, out.len) >
		    0); /* what we write we would take */
	buf_done(&out);
}

TEST(a_request_is_written_from_its_parts)
{
	static const struct http1_set set[] = { { .name = "X-Forwarded-For", .value = "192.0.2.1" },
						{ .name = "x-secret", .value = NULL },
						{ .name = "Traceparent", .value = "t" } };

	expect_request(
		"POST http://b.test:81?q HTTP/1.1\r\nhost:x\r\nA:  b\t\r\nContent-Length: 05\r\n"
		"x-forwarded-FOR: evil\r\nX-Secret: s\r\nKeep-Alive: timeout=5\r\n"
		"Connection: X-Hop, close\r\nX-Hop: 1\r\nTE: trailers\r\nProxy-Connection: keep-alive\r\n\r\n",
		&(struct http1_out){ .set = set, .n_set = 3, .body = HTTP1_LENGTH, .body_len = 5 },
		"POST /?q HTTP/1.1\r\nHost: b.test:81\r\nA: b\r\nContent-Length: 5\r\nTE: trailers\r\n"
		"Connection: TE\r\nX-Forwarded-For: 192.0.2.1\r\nTraceparent: t\r\n\r\n");
	expect_request(
		"GET /a?b HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
		&(struct http1_out){
			.target = "/c%20d", .target_len = 6, .host = "up.test", .upgrade = true },
		"GET /c%20d HTTP/1.1\r\nHost: up.test\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n");
	expect_request(
		"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
		&(struct http1_out){ .close = true },
		"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
	expect_request(
		"PUT /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n",
		&(struct http1_out){ .body = HTTP1_CHUNKED },
		"PUT /a HTTP/1.1\r\nHost: a\r\nTrailer: X\r\nTransfer-Encoding: chunked\r\n\r\n");
}

TEST(a_field_may_come_beside_those_that_were_received)
{
	static const struct http1_set set[] = { { .name = "Cookie", .value = "b=2", .add = true },
						{ .name = "X", .value = "ours" } };

	expect_request(
		"GET / HTTP/1.1\r\nHost: a\r\nCookie: a=1\r\nX: theirs\r\n\r\n",
		&(struct http1_out){ .set = set, .n_set = 2 },
		"GET / HTTP/1.1\r\nHost: a\r\nCookie: a=1\r\nCookie: b=2\r\nX: ours\r\n\r\n");
}

TEST(what_protects_the_origin_cannot_be_named_away)
{
	expect_request(
		LINE("Connection: host, cookie, X-Forwarded-For, Authorization, content-length\r\n"
		     "Cookie: c\r\nX-Forwarded-For: 1\r\nAuthorization: x\r\nContent-Length: 3\r\n"),
		&(struct http1_out){ .body = HTTP1_LENGTH, .body_len = 3 },
		"GET /x HTTP/1.1\r\nHost: a.test\r\nCookie: c\r\nX-Forwarded-For: 1\r\nAuthorization: x\r\n"
		"Content-Length: 3\r\n\r\n");
}

TEST(nothing_is_written_that_would_not_be_read)
{
	static const struct http1_set evil_sets[] = { { .name = "X", .value = "a\r\nB: c" },
						      { .name = "X", .value = "a\nb" },
						      { .name = "X Y", .value = "a" },
						      { .name = "", .value = "a" },
						      { .name = "X:", .value = "a" },
						      { .name = "X", .value = "\x7f" },
						      { .name = "Content-Length", .value = "5" },
						      { .name = "connection", .value = "x" } };
	struct http1_head head;
	struct buf out = { 0 };

	assert_true(read_head(&head, HTTP1_REQUEST, LINE(""), strlen(LINE(""))) > 0);
	for (size_t i = 0; i < sizeof(evil_sets) / sizeof(evil_sets[0]); i++)
		assert_int_equal(http1_write_request(
					 &out, &head, LINE(""),
					 &(struct http1_out){ .set = &evil_sets[i], .n_set = 1 }),
				 -EINVAL);
	assert_int_equal(
		http1_write_request(&out, &head, LINE(""),
				    &(struct http1_out){ .target = "/a b", .target_len = 4 }),
		-EINVAL);
	assert_int_equal(
		http1_write_request(&out, &head, LINE(""),
				    &(struct http1_out){ .target = "/\r", .target_len = 2 }),
		-EINVAL);
	assert_int_equal(
		http1_write_request(&out, &head, LINE(""), &(struct http1_out){ .host = "a\nb" }),
		-EINVAL);
	assert_int_equal(http1_write_request(&out, &head, LINE(""),
					     &(struct http1_out){ .body = HTTP1_UNTIL_CLOSE }),
			 -EINVAL);
	assert_int_equal(out.len, 0);
	buf_done(&out);
}

static void expect_response(const char *raw, bool for_head, const struct http1_out *o,
			    const char *expected)
{
	struct http1_head head;
	struct buf out = { 0 };

	http1_head_init(&head, HTTP1_RESPONSE, &http1_limits_response);
	http1_head_answers(&head, for_head, true);
	assert_true(http1_head_read(&head, raw, strlen(raw)) > 0);
	assert_int_equal(http1_write_response(&out, &head, raw, o), 0);
	assert_string_equal(buf_str(&out), expected);
	buf_done(&out);
}

TEST(a_response_is_written_from_its_parts)
{
	struct http1_head head;
	struct buf out = { 0 };

	expect_response("HTTP/1.0 200 Fine\r\nServer: s\r\nConnection: x\r\nX: 1\r\n\r\n", false,
			&(struct http1_out){ .minor = 1, .body = HTTP1_CHUNKED },
			"HTTP/1.1 200 Fine\r\nServer: s\r\nTransfer-Encoding: chunked\r\n\r\n");
	expect_response("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", true,
			&(struct http1_out){ .minor = 1 },
			"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
	expect_response("HTTP/1.1 204 NC\r\nContent-Length: 5\r\n\r\n", false,
			&(struct http1_out){ .minor = 1 }, "HTTP/1.1 204 NC\r\n\r\n");
	expect_response("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", false,
			&(struct http1_out){ .body = HTTP1_LENGTH, .body_len = 5 },
			"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\n");
	expect_response("HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
			false,
			&(struct http1_out){ .minor = 1, .body = HTTP1_TUNNEL, .upgrade = true },
			"HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n");
	assert_true(read_head(&head, HTTP1_RESPONSE, "HTTP/1.1 200 OK\r\n\r\n", 19) > 0);
	assert_int_equal(
		http1_write_response(&out, &head, "HTTP/1.1 200 OK\r\n\r\n",
				     &(struct http1_out){ .minor = 0, .body = HTTP1_CHUNKED }),
		-EINVAL);
	assert_int_equal(
		http1_write_response(&out, &head, "HTTP/1.1 200 OK\r\n\r\n",
				     &(struct http1_out){ .minor = 1, .body = HTTP1_UNTIL_CLOSE }),
		-EINVAL);
	buf_done(&out);
}

TEST(the_last_chunk_carries_the_trailers_that_were_kept)
{
	static const char raw[] = "Grpc-Status:0\r\nContent-Length: 5\r\n\r\n";
	struct http1_head head;
	struct buf out = { 0 };

	assert_true(read_head(&head, HTTP1_TRAILER, raw, sizeof(raw) - 1) > 0);
	assert_int_equal(http1_write_last_chunk(&out, &head, raw), 0);
	assert_string_equal(buf_str(&out), "0\r\nGrpc-Status: 0\r\n\r\n");
	buf_reset(&out);
	assert_int_equal(http1_write_last_chunk(&out, NULL, NULL), 0);
	assert_string_equal(buf_str(&out), "0\r\n\r\n");
	buf_done(&out);
}

/* ---- hostile requests as data --------------------------------------------------------------------------------- */

/* The bytes of an escaped string (see the file's "encoding"). */
static void unescape(const char *text, struct buf *out)
{
	for (; *text; text++) {
		unsigned byte;

		if (*text == '\\' && text[1] == 'x' && sscanf(text + 2, "%2x", &byte) == 1) {
			buf_putc(out, (char)byte);
			text += 3;
		} else {
			text += *text == '\\';
			buf_putc(out, *text);
		}
	}
}

/* What a proxy would make of a connection's bytes: a fault, or the heads it passes on. */
struct served {
	enum http1_fault fault;
	bool partial; /* the bytes end in the middle */
	unsigned requests;
	struct buf out; /* heads as written for the origin */
};

/* Body and trailers; bytes used, or -1 with fault or partial set. */
static ssize_t skip_body(const struct http1_head *head, const char *bytes, size_t len,
			 struct served *served)
{
	struct http1_chunks chunks = { 0 };
	struct http1_head trailer;
	const char *data;
	size_t at = 0, used, data_len;
	int rc = 0;

	if (head->body == HTTP1_LENGTH) {
		served->partial = head->body_len > len;
		return served->partial ? -1 : (ssize_t)head->body_len;
	}
	if (head->body != HTTP1_CHUNKED)
		return 0;
	while (rc >= 0 && rc != HTTP1_CHUNK_LAST && at < len) {
		used = 0;
		rc = http1_chunks_read(&chunks, bytes + at, len - at, &used, &data, &data_len);
		at += used;
	}
	if (rc == HTTP1_CHUNK_LAST) {
		http1_head_init(&trailer, HTTP1_TRAILER, &http1_limits_trailer);
		rc = http1_head_read(&trailer, bytes + at, len - at);
		if (rc > 0)
			return (ssize_t)at + rc;
		rc = rc ? rc : HTTP1_CHUNK_MORE;
	}
	served->partial = rc >= 0;
	served->fault = rc < 0 ? (enum http1_fault) - rc : HTTP1_OK;
	return -1;
}

static void serve(const char *bytes, size_t len, struct served *served)
{
	struct http1_head head;
	size_t at = 0;

	while (at < len && !served->fault && !served->partial) {
		int n;
		ssize_t body;

		n = read_everyhow(&head, HTTP1_REQUEST, bytes + at, len - at);
		served->fault = n < 0 ? (enum http1_fault) - n : HTTP1_OK;
		served->partial = n == HTTP1_PARTIAL;
		if (n <= 0)
			return;
		body = skip_body(&head, bytes + at + n, len - at - (size_t)n, served);
		if (body < 0)
			return;
		served->requests++;
		assert_int_equal(http1_write_request(&served->out, &head, bytes + at,
						     &(struct http1_out){ .body = head.body,
									  .body_len = head.body_len,
									  .upgrade = true }),
				 0);
		at += (size_t)n + (size_t)body;
	}
}

static bool lists(const cJSON *list, unsigned status)
{
	const cJSON *item;

	cJSON_ArrayForEach(item, list) if (item->valueint == (int)status) return true;
	return false;
}

static void check_forwarded(const char *name, const cJSON *expect, struct served *served)
{
	const cJSON *list = cJSON_GetObjectItemCaseSensitive(expect, "upstream_must_not_have"),
		    *item;
	const char *unseen = cases_text(expect, "origin_must_not_see");

	if (unseen && strstr(buf_str(&served->out), unseen))
		fail_msg("%s: the origin sees %s", name, unseen);
	cJSON_ArrayForEach(item, list) if (strcasestr(buf_str(&served->out), item->valuestring))
		fail_msg("%s: the origin gets %s", name, item->valuestring);
	if (strcasestr(buf_str(&served->out), "forwarded_for"))
		fail_msg("%s: a name with '_' is passed on", name);
}

static void check_request(const cJSON *c)
{
	const cJSON *expect = cJSON_GetObjectItemCaseSensitive(c, "expect");
	const char *name = cases_text(c, "name"), *outcome = cases_text(expect, "outcome");
	const cJSON *statuses = cJSON_GetObjectItemCaseSensitive(expect, "status");
	bool may_refuse = strstr(outcome, "reject") || lists(statuses, 400);
	bool must_refuse = strcmp(outcome, "reject") == 0;
	struct served served = { 0 };
	struct buf raw = { 0 };

	unescape(cases_text(c, "raw"), &raw);
	serve(raw.data, raw.len, &served);
	if (served.partial)
		fail_msg("%s: the bytes are taken for the beginning of something", name);
	if (served.fault && !may_refuse)
		fail_msg("%s: refused (%s)", name, http1_fault_text(served.fault));
	if (!served.fault && must_refuse)
		fail_msg("%s: taken", name);
	if (served.fault && !lists(statuses, http1_fault_status(served.fault)))
		fail_msg("%s: status %u (%s)", name, http1_fault_status(served.fault),
			 http1_fault_text(served.fault));
	if (must_refuse)
		assert_int_equal(served.requests, 0);
	check_forwarded(name, expect, &served);
	buf_done(&served.out);
	buf_done(&raw);
}

/* What the head of an origin's answer leads to; NULL: more than a parser decides. */
static const struct {
	const char *name;
	enum http1_fault fault; /* of the head, or of the body */
	enum http1_body body;
	bool for_head, leftover,
		reusable; /* leftover: bytes behind the answer spoil the connection */
} origin[] = {
	{ "resp-two-cl", HTTP1_BAD_LENGTH, 0, false, false, false },
	{ "resp-bad-chunk", HTTP1_BAD_CHUNK, HTTP1_CHUNKED, false, false, true },
	{ "resp-header-bare-cr", HTTP1_BARE_CR, 0, false, false, false },
	{ "resp-unasked-101", HTTP1_UNASKED_UPGRADE, 0, false, false, false },
	{ "resp-204-with-body", HTTP1_OK, HTTP1_NO_BODY, false, true, false },
	{ "resp-head-with-body", HTTP1_OK, HTTP1_NO_BODY, true, true, true },
	{ "resp-extra-bytes", HTTP1_OK, HTTP1_NO_BODY, false, true, true },
	{ "resp-header-64k", HTTP1_LINE_LONG, 0, false, false, false },
	{ "resp-until-close", HTTP1_OK, HTTP1_UNTIL_CLOSE, false, true, false },
};

static void check_answer(const cJSON *c, size_t i)
{
	struct served served = { 0 };
	struct buf raw = { 0 };
	struct http1_head head;
	int n;

	unescape(cases_text(c, "origin_raw"), &raw);
	http1_head_init(&head, HTTP1_RESPONSE, &http1_limits_response);
	http1_head_answers(&head, origin[i].for_head, false);
	n = http1_head_read(&head, raw.data, raw.len);
	if (n > 0 && head.body == HTTP1_CHUNKED)
		skip_body(&head, raw.data + n, raw.len - (size_t)n, &served);
	if ((n < 0 ? (enum http1_fault) - n : served.fault) != origin[i].fault)
		fail_msg("%s: %s", origin[i].name,
			 http1_fault_text(n < 0 ? -n : (int)served.fault));
	if (n > 0) {
		assert_int_equal(head.body, origin[i].body);
		assert_int_equal(head.reusable, origin[i].reusable);
		assert_int_equal(raw.len > (size_t)n,
				 origin[i].leftover || head.body == HTTP1_CHUNKED);
	}
	buf_done(&raw);
}

TEST(hostile_cases)
{
	cJSON *json = cases_load("http-abuse.json");
	unsigned requests_run = 0, answers_run = 0, timing = 0, http2 = 0, process = 0;
	const cJSON *c;

	cJSON_ArrayForEach(c, cJSON_GetObjectItemCaseSensitive(json, "cases"))
	{
		const char *name = cases_text(c, "name");
		size_t i;

		if (cases_text(c, "raw")) {
			check_request(c);
			requests_run++;
			continue;
		}
		for (i = 0;
		     i < sizeof(origin) / sizeof(origin[0]) && strcmp(origin[i].name, name) != 0;
		     i++)
			;
		if (i < sizeof(origin) / sizeof(origin[0])) {
			check_answer(c, i);
			answers_run++;
		} else if (cases_text(c, "frames")) {
			http2++;
		} else if (cases_text(c, "steps")) {
			timing++;
		} else {
			print_message("# needs the running proxy: %s\n", name);
			process++;
		}
	}
	print_message(
		"# %u requests and %u answers run; left: %u HTTP/2 frames, %u time and resources, %u others\n",
		requests_run, answers_run, http2, timing, process);
	assert_int_equal(requests_run, 66);
	assert_int_equal(answers_run, 9);
	assert_int_equal(http2, 17);
	assert_int_equal(timing, 6);
	assert_int_equal(
		process,
		2); /* an answer cut short, and too many 1xx: the reader of a connection counts */
	cJSON_Delete(json);
}

RUN(cmocka_unit_test(takes_or_refuses_requests), cmocka_unit_test(takes_or_refuses_responses),
    cmocka_unit_test(limits_hold_to_the_byte),
    cmocka_unit_test(number_of_fields_and_size_of_the_head_are_limited),
    cmocka_unit_test(parts_of_a_request), cmocka_unit_test(host_loses_port_and_final_dot),
    cmocka_unit_test(keep_alive_and_close),
    cmocka_unit_test(upgrade_is_one_protocol_that_connection_names),
    cmocka_unit_test(framing_of_responses),
    cmocka_unit_test(switching_protocols_only_when_asked_and_named),
    cmocka_unit_test(trailers_are_fields_without_power),
    cmocka_unit_test(says_the_same_again_after_the_end),
    cmocka_unit_test(every_fault_has_a_status_and_words),
    cmocka_unit_test(chunks_are_taken_apart_alike_at_every_cut),
    cmocka_unit_test(lines_of_chunks_end_with_cr_and_lf_and_nothing_else),
    cmocka_unit_test(chunk_extensions_are_limited),
    cmocka_unit_test(a_request_is_written_from_its_parts),
    cmocka_unit_test(a_field_may_come_beside_those_that_were_received),
    cmocka_unit_test(what_protects_the_origin_cannot_be_named_away),
    cmocka_unit_test(nothing_is_written_that_would_not_be_read),
    cmocka_unit_test(a_response_is_written_from_its_parts),
    cmocka_unit_test(the_last_chunk_carries_the_trailers_that_were_kept),
    cmocka_unit_test(hostile_cases))
