// SPDX-License-Identifier: GPL-2.0-only
// Field blocks of HTTP/2 to heads and back: what is taken, what is refused and why, what comes out again.
/* link: user/ingress/http2_head.c user/ingress/http1.c user/ingress/http1_write.c user/base/buf.c */
/* libs: nghttp2 */
#include "unit/test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ingress/http2_head.h"
#include "unit/failmalloc.h"

/* "name: value" lines as a block; lines of "GET https a.test /x" (with spaces, first) stand for the four pseudo-fields. */
static int add_lines(struct http2_block *block, const char *lines)
{
	int rc = 0;

	while (*lines && rc == 0) {
		const char *end = strchrnul(lines, '\n');
		const char *colon = memchr(lines + 1, ':', (size_t)(end - lines - 1));
		const char *value = colon + 1;

		assert_non_null(colon);
		if (*value == ' ')
			value++;
		rc = http2_block_add(block, lines, (size_t)(colon - lines), value,
				     (size_t)(end - value));
		lines = *end ? end + 1 : end;
	}
	return rc;
}

#define REQUEST ":method: GET\n:scheme: https\n:authority: a.test\n:path: /x?y\n"

static const struct http1_limits *limits_of(enum http1_kind kind)
{
	return kind == HTTP1_REQUEST    ? &http1_limits_request
	       : kind == HTTP1_RESPONSE ? &http1_limits_response
					: &http1_limits_trailer;
}

/* The text of the head, "\r\n" written as '\n'; or "!" and the fault. */
static const char *text_of(enum http1_kind kind, const char *lines, bool ended)
{
	static char text[4096];
	struct http2_block block = { 0 };
	struct http1_head head;
	char *to = text;
	int rc;

	http2_block_begin(&block, kind, limits_of(kind));
	assert_int_equal(add_lines(&block, lines), 0);
	http1_head_init(&head, kind, limits_of(kind));
	rc = http2_block_end(&block, ended, &head);
	if (rc < 0) {
		snprintf(text, sizeof(text), "!%s", http1_fault_text((enum http1_fault) - rc));
	} else {
		assert_int_equal(rc, block.text.len);
		for (const char *from = block.text.data; *from; from++)
			if (*from != '\r')
				*to++ = *from;
		*to = '\0';
	}
	http2_block_done(&block);
	return text;
}

TEST(requests_become_text)
{
	assert_string_equal(text_of(HTTP1_REQUEST, REQUEST "accept: */*", true),
			    "GET /x?y HTTP/1.1\nhost: a.test\naccept: */*\n\n");
	assert_string_equal(text_of(HTTP1_REQUEST, REQUEST "te: trailers", false),
			    "GET /x?y HTTP/1.1\nhost: a.test\nte: trailers\ntransfer-encoding: "
			    "chunked\n\n");
	assert_string_equal(text_of(HTTP1_REQUEST, REQUEST "content-length: 5", false),
			    "GET /x?y HTTP/1.1\nhost: a.test\ncontent-length: 5\n\n");
	assert_string_equal(text_of(HTTP1_REQUEST, REQUEST "content-length: 0", true),
			    "GET /x?y HTTP/1.1\nhost: a.test\ncontent-length: 0\n\n");
	assert_string_equal(
		text_of(HTTP1_REQUEST,
			":path: *\n:method: OPTIONS\n:scheme: http\n:authority: [::1]:80", true),
		"OPTIONS * HTTP/1.1\nhost: [::1]:80\n\n");
	assert_string_equal(
		text_of(HTTP1_REQUEST, ":method: GET\n:scheme: http\n:path: /\nhost: a.test", true),
		"GET / HTTP/1.1\nhost: a.test\n\n");
	assert_string_equal(text_of(HTTP1_REQUEST, REQUEST "host: A.test\nx: y", true),
			    "GET /x?y HTTP/1.1\nhost: a.test\nx: y\n\n");
	assert_string_equal(text_of(HTTP1_REQUEST, REQUEST "x:\ny: a\tb", true),
			    "GET /x?y HTTP/1.1\nhost: a.test\nx: \ny: a\tb\n\n");
}

TEST(crumbs_are_joined)
{
	assert_string_equal(
		text_of(HTTP1_REQUEST, REQUEST "cookie: a=1\ncookie: b=2\ncookie: c=3", true),
		"GET /x?y HTTP/1.1\nhost: a.test\ncookie: a=1; b=2; c=3\n\n");
	assert_string_equal(
		text_of(HTTP1_REQUEST, REQUEST "cookie: a=1\nx: y\ncookie: b=2\nz: z\ncookie: c=3",
			true),
		"GET /x?y HTTP/1.1\nhost: a.test\ncookie: a=1; b=2; c=3\nx: y\nz: z\n\n");
}

TEST(responses_and_trailers_become_text)
{
	assert_string_equal(text_of(HTTP1_RESPONSE, ":status: 200\nx: y", false),
			    "HTTP/1.1 200 \nx: y\ntransfer-encoding: chunked\n\n");
	assert_string_equal(text_of(HTTP1_RESPONSE, ":status: 204\nx_y: z", true),
			    "HTTP/1.1 204 \nx_y: z\n\n");
	assert_string_equal(text_of(HTTP1_RESPONSE, ":status: 103\nlink: x", false),
			    "HTTP/1.1 103 \nlink: x\n\n");
	assert_string_equal(text_of(HTTP1_TRAILER, "grpc-status: 0\ngrpc-message: ok", true),
			    "grpc-status: 0\ngrpc-message: ok\n\n");
}

TEST(malformed_blocks_are_refused)
{
	static const struct {
		enum http1_kind kind;
		const char *lines;
		enum http1_fault fault;
	} cases[] = {
		{ HTTP1_REQUEST, ":method: GET\n:scheme: http\n:authority: a", HTTP1_BAD_LINE },
		{ HTTP1_REQUEST, ":method: GET\n:path: /\n:authority: a", HTTP1_BAD_LINE },
		{ HTTP1_REQUEST, ":path: /\n:scheme: http\n:authority: a", HTTP1_BAD_LINE },
		{ HTTP1_REQUEST, ":method:\n:path: /\n:scheme: http\n:authority: a",
		  HTTP1_BAD_LINE },
		{ HTTP1_REQUEST, REQUEST ":path: /", HTTP1_BAD_LINE },
		{ HTTP1_REQUEST, REQUEST "x: y\n:path: /", HTTP1_BAD_LINE },
		{ HTTP1_REQUEST, REQUEST ":protocol: websocket", HTTP1_BAD_NAME },
		{ HTTP1_REQUEST, REQUEST ":status: 200", HTTP1_BAD_NAME },
		{ HTTP1_REQUEST, ":method: G T\n:path: /\n:scheme: http\n:authority: a",
		  HTTP1_BAD_METHOD },
		{ HTTP1_REQUEST, ":method: GET\r\n:path: /\n:scheme: http\n:authority: a",
		  HTTP1_BAD_METHOD },
		{ HTTP1_REQUEST, ":method: G(T\n:path: /\n:scheme: http\n:authority: a",
		  HTTP1_BAD_METHOD },
		{ HTTP1_REQUEST, ":method: CONNECT\n:authority: a:1", HTTP1_CONNECT },
		{ HTTP1_REQUEST, ":method: GET\n:path: / HTTP/1.1\n:scheme: http\n:authority: a",
		  HTTP1_BAD_TARGET },
		{ HTTP1_REQUEST, ":method: GET\n:path: a\n:scheme: http\n:authority: a",
		  HTTP1_BAD_TARGET },
		{ HTTP1_REQUEST, ":method: GET\n:path: /#a\n:scheme: http\n:authority: a",
		  HTTP1_BAD_TARGET },
		{ HTTP1_REQUEST, ":method: GET\n:path: http://b/\n:scheme: http\n:authority: a",
		  HTTP1_BAD_TARGET },
		{ HTTP1_REQUEST, ":method: GET\n:path:\n:scheme: http\n:authority: a",
		  HTTP1_BAD_TARGET },
		{ HTTP1_REQUEST, ":method: GET\n:path: *\n:scheme: http\n:authority: a",
		  HTTP1_BAD_TARGET },
		{ HTTP1_REQUEST, ":method: GET\n:path: /\n:scheme: ftp\n:authority: a",
		  HTTP1_BAD_TARGET },
		{ HTTP1_REQUEST, ":method: GET\n:path: /\n:scheme: http\n:authority: u@a",
		  HTTP1_BAD_HOST },
		{ HTTP1_REQUEST,
		  ":method: GET\n:path: /\n:scheme: http\n:authority:", HTTP1_BAD_HOST },
		{ HTTP1_REQUEST, ":method: GET\n:path: /\n:scheme: http\n:authority: a b",
		  HTTP1_BAD_HOST },
		{ HTTP1_REQUEST, ":method: GET\n:path: /\n:scheme: http", HTTP1_NO_HOST },
		{ HTTP1_REQUEST, ":method: GET\n:path: /\n:scheme: http\nhost: a\nhost: a",
		  HTTP1_TWO_HOSTS },
		{ HTTP1_REQUEST, REQUEST "host: b.test", HTTP1_TWO_HOSTS },
		{ HTTP1_REQUEST, REQUEST "host: a.test\nhost: b.test", HTTP1_TWO_HOSTS },
		{ HTTP1_REQUEST, REQUEST "Upper: x", HTTP1_BAD_NAME },
		{ HTTP1_REQUEST, REQUEST "a b: x", HTTP1_BAD_NAME },
		{ HTTP1_REQUEST, REQUEST "a\r: x", HTTP1_BAD_NAME },
		{ HTTP1_REQUEST, REQUEST "x: a\rb", HTTP1_BAD_BYTE },
		{ HTTP1_REQUEST, REQUEST "x: a\x01", HTTP1_BAD_BYTE },
		{ HTTP1_REQUEST, REQUEST "x: a\x7f", HTTP1_BAD_BYTE },
		{ HTTP1_REQUEST, REQUEST "cookie: a\rb", HTTP1_BAD_BYTE },
		{ HTTP1_REQUEST, REQUEST "connection: close", HTTP1_BAD_CONNECTION },
		{ HTTP1_REQUEST, REQUEST "keep-alive: 1", HTTP1_BAD_CONNECTION },
		{ HTTP1_REQUEST, REQUEST "proxy-connection: 1", HTTP1_BAD_CONNECTION },
		{ HTTP1_REQUEST, REQUEST "transfer-encoding: chunked", HTTP1_BAD_CONNECTION },
		{ HTTP1_REQUEST, REQUEST "upgrade: websocket", HTTP1_BAD_CONNECTION },
		{ HTTP1_REQUEST, REQUEST "te: gzip", HTTP1_BAD_CONNECTION },
		{ HTTP1_REQUEST, REQUEST "content-length: 1", HTTP1_BAD_LENGTH }, /* and ended */
		{ HTTP1_REQUEST, REQUEST "content-length: +0", HTTP1_BAD_LENGTH },
		{ HTTP1_REQUEST, REQUEST "content-length: 0\ncontent-length: 0", HTTP1_BAD_LENGTH },
		{ HTTP1_REQUEST, REQUEST "expect: x", HTTP1_BAD_EXPECT },
		{ HTTP1_RESPONSE, "x: y", HTTP1_BAD_LINE },
		{ HTTP1_RESPONSE, ":status: 20", HTTP1_BAD_STATUS },
		{ HTTP1_RESPONSE, ":status: 2 0", HTTP1_BAD_LINE },
		{ HTTP1_RESPONSE, ":status: 2x0", HTTP1_BAD_STATUS },
		{ HTTP1_RESPONSE, ":status: 999", HTTP1_BAD_STATUS },
		{ HTTP1_RESPONSE, ":status: 101\nupgrade: x", HTTP1_BAD_CONNECTION },
		{ HTTP1_RESPONSE, ":status: 101", HTTP1_UNASKED_UPGRADE },
		{ HTTP1_RESPONSE, ":status: 200\ncontent-length: 7", HTTP1_BAD_LENGTH },
		{ HTTP1_RESPONSE, ":status: 200\n:path: /", HTTP1_BAD_NAME },
		{ HTTP1_TRAILER, ":status: 200", HTTP1_BAD_NAME },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *text = text_of(cases[i].kind, cases[i].lines, true);

		if (text[0] != '!' || strcmp(text + 1, http1_fault_text(cases[i].fault)) != 0)
			fail_msg("%s\nis: %s\nnot: %s", cases[i].lines, text,
				 http1_fault_text(cases[i].fault));
	}
}

/* A NUL, or a line's end, cannot be in the lines above. */
TEST(no_byte_ends_a_line)
{
	static const char bytes[] = { '\0', '\n', '\r' };

	for (size_t i = 0; i < sizeof(bytes); i++) {
		const char value[] = { 'a', bytes[i], 'b' };

		for (int where = 0; where < 4; where++) {
			struct http2_block block = { 0 };
			struct http1_head head;

			http2_block_begin(&block, HTTP1_REQUEST, &http1_limits_request);
			http1_head_init(&head, HTTP1_REQUEST, &http1_limits_request);
			if (where == 0)
				http2_block_add(&block, ":path", 5, value, 3);
			if (where == 1)
				http2_block_add(&block, "x", 1, value, 3);
			if (where == 2)
				http2_block_add(&block, value, 3, "x", 1);
			if (where == 3)
				http2_block_add(&block, "cookie", 6, value, 3);
			assert_true(http2_block_end(&block, true, &head) < 0);
			assert_int_not_equal(block.fault, HTTP1_OK);
			http2_block_done(&block);
		}
	}
}

TEST(limits_are_those_of_http1)
{
	char *big = malloc(HTTP2_BLOCK_MAX);
	struct http2_block block = { 0 };
	struct http1_head head;
	int rc;

	memset(big, '/', HTTP2_BLOCK_MAX);
	for (int n = 0; n < 3; n++) {
		http2_block_begin(&block, HTTP1_REQUEST, &http1_limits_request);
		http1_head_init(&head, HTTP1_REQUEST, &http1_limits_request);
		assert_int_equal(add_lines(&block, ":method: GET\n:scheme: http\n:authority: a"),
				 0);
		assert_int_equal(http2_block_add(&block, ":path", 5, big, n == 0 ? 9000 : 1), 0);
		if (n == 1)
			assert_int_equal(http2_block_add(&block, "x", 1, big, 9000), 0);
		for (int i = 0; n == 2 && i < 200; i++)
			assert_int_equal(http2_block_add(&block, "x", 1, big, 1), 0);
		rc = http2_block_end(&block, true, &head);
		assert_int_equal(rc, -(int)(n == 0   ? HTTP1_TARGET_LONG
					    : n == 1 ? HTTP1_LINE_LONG
						     : HTTP1_MANY_FIELDS));
	}
	/* Much of it: not kept, but counted; too much: no more. */
	http2_block_begin(&block, HTTP1_REQUEST, &http1_limits_request);
	assert_int_equal(http2_block_add(&block, "x", 1, big, 60000), 0);
	assert_int_equal(http2_block_add(&block, "x", 1, big, 100000), 0);
	assert_true(block.text.size < 200000);
	assert_int_equal(block.fault, HTTP1_HEAD_LONG);
	assert_int_equal(http2_block_add(&block, "x", 1, big, 100000), 0);
	assert_int_equal(http2_block_add(&block, "x", 1, big, 100000), -E2BIG);
	http2_block_done(&block);
	free(big);
}

TEST(end_of_stream_is_the_framing)
{
	struct http2_block block = { 0 };
	struct http1_head head;

	http2_block_begin(&block, HTTP1_RESPONSE, &http1_limits_response);
	http1_head_init(&head, HTTP1_RESPONSE, &http1_limits_response);
	assert_int_equal(add_lines(&block, ":status: 200\ngrpc-status: 5"), 0);
	assert_true(http2_block_end(&block, true, &head) > 0);
	assert_int_equal(head.body, HTTP1_NO_BODY);
	assert_int_equal(head.status, 200);
	/* HEAD's answer may say a length and have none. */
	http2_block_begin(&block, HTTP1_RESPONSE, &http1_limits_response);
	http1_head_init(&head, HTTP1_RESPONSE, &http1_limits_response);
	http1_head_answers(&head, true, false);
	assert_int_equal(add_lines(&block, ":status: 200\ncontent-length: 9"), 0);
	assert_true(http2_block_end(&block, true, &head) > 0);
	assert_int_equal(head.body, HTTP1_NO_BODY);
	assert_int_equal(head.length, 9);
	http2_block_done(&block);
}

TEST(memory_may_end_anywhere)
{
	for (unsigned n = 1;; n++) {
		struct http2_block block = { 0 };
		struct http1_head head;
		int rc;

		http1_head_init(&head, HTTP1_REQUEST, &http1_limits_request);
		failmalloc_at(n);
		http2_block_begin(&block, HTTP1_REQUEST, &http1_limits_request);
		rc = add_lines(&block, REQUEST "cookie: a\ncookie: b\nhost: a.test");
		if (rc == 0)
			rc = http2_block_end(&block, true, &head);
		if (!failmalloc_done()) {
			assert_true(rc > 0);
			http2_block_done(&block);
			break;
		}
		assert_true(rc == -ENOMEM || rc == HTTP2_NO_MEMORY);
		http2_block_done(&block);
	}
}

/* ---- sent --------------------------------------------------------------------------------------------------------- */

static const char *nv_text(const struct http2_nv *nv)
{
	static char text[4096];
	size_t at = 0;

	text[0] = '\0';
	for (size_t i = 0; i < nv->n; i++)
		at += (size_t)snprintf(text + at, sizeof(text) - at, "%.*s: %.*s\n",
				       (int)nv->nv[i].namelen, nv->nv[i].name,
				       (int)nv->nv[i].valuelen, nv->nv[i].value);
	return text;
}

static const char *response(const char *bytes, const struct http1_out *out)
{
	static struct http2_nv nv;
	struct http1_head head;

	http1_head_init(&head, HTTP1_RESPONSE, &http1_limits_response);
	assert_true(http1_head_read(&head, bytes, strlen(bytes)) > 0);
	return http2_nv_response(&nv, &head, bytes, out) == 0 ? nv_text(&nv) : "!";
}

TEST(responses_become_fields)
{
	const struct http1_set set[] = { { .name = "Server" },
					 { .name = "X-New", .value = "2" },
					 { .name = "A", .value = "c", .add = true } };
	struct http1_out out = { .body = HTTP1_CHUNKED };
	struct http1_set bad = { .name = "Connection", .value = "x" };

	assert_string_equal(response("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nKeep-Alive: "
				     "1\r\nConnection: Foo\r\nFoo: 1\r\nServer: s\r\nA: b\r\n\r\n",
				     &out),
			    ":status: 200\nServer: s\nA: b\n");
	out.set = set;
	out.n_set = 3;
	assert_string_equal(
		response("HTTP/1.1 200 OK\r\nserver: s\r\nx-new: 1\r\nA: b\r\n\r\n", &out),
		":status: 200\nA: b\nX-New: 2\nA: c\n");
	out = (struct http1_out){ .body = HTTP1_LENGTH, .body_len = 5 };
	assert_string_equal(response("HTTP/1.1 404 \r\nContent-Length: 5\r\n\r\n", &out),
			    ":status: 404\ncontent-length: 5\n");
	out = (struct http1_out){ .body = HTTP1_NO_BODY };
	assert_string_equal(response("HTTP/1.1 304 \r\nContent-Length: 5\r\n\r\n", &out),
			    ":status: 304\ncontent-length: 5\n");
	assert_string_equal(response("HTTP/1.1 204 \r\nContent-Length: 0\r\n\r\n", &out),
			    ":status: 204\n");
	assert_string_equal(response("HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n", &out),
			    ":status: 200\ncontent-length: 0\n");
	assert_string_equal(
		response("HTTP/1.1 200 \r\nContent-Length: 0\r\ngrpc-status: 5\r\n\r\n", &out),
		":status: 200\ngrpc-status: 5\n");
	assert_string_equal(response("HTTP/1.1 100 \r\n\r\n", &out), ":status: 100\n");
	out.set = &bad;
	out.n_set = 1;
	assert_string_equal(response("HTTP/1.1 200 \r\n\r\n", &out), "!");
	bad = (struct http1_set){ .name = "a", .value = "b\r\nc: d" };
	assert_string_equal(response("HTTP/1.1 200 \r\n\r\n", &out), "!");
	bad = (struct http1_set){ .name = "a b", .value = "c" };
	assert_string_equal(response("HTTP/1.1 200 \r\n\r\n", &out), "!");
	bad = (struct http1_set){ .name = "", .value = "c" };
	assert_string_equal(response("HTTP/1.1 200 \r\n\r\n", &out), "!");
}

TEST(requests_become_fields)
{
	static const char bytes[] =
		"POST /x?y HTTP/1.1\r\nHost: a.test:81\r\nX-A: b\r\nContent-Length: 3\r\nTE: trailers\r\n"
		"Connection: TE\r\n\r\n";
	static const char chunked[] =
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
	struct http1_head head;
	static struct http2_nv nv;

	http1_head_init(&head, HTTP1_REQUEST, &http1_limits_request);
	assert_true(http1_head_read(&head, bytes, sizeof(bytes) - 1) > 0);
	assert_int_equal(http2_nv_request(&nv, &head, bytes, "https"), 0);
	assert_string_equal(nv_text(&nv),
			    ":method: POST\n:scheme: https\n:authority: a.test:81\n:path: /x?y\n"
			    "X-A: b\ncontent-length: 3\nte: trailers\n");
	http1_head_init(&head, HTTP1_REQUEST, &http1_limits_request);
	assert_true(http1_head_read(&head, chunked, sizeof(chunked) - 1) > 0);
	assert_int_equal(http2_nv_request(&nv, &head, chunked, "http"), 0);
	assert_string_equal(nv_text(&nv),
			    ":method: POST\n:scheme: http\n:authority: a\n:path: /\n");
}

TEST(as_many_fields_as_a_head_has_fit)
{
	struct http1_set set[40];
	struct http1_out out = { .set = set, .body = HTTP1_LENGTH };
	struct buf bytes = { 0 };
	struct http1_head head;
	static struct http2_nv nv;

	buf_puts(&bytes, "HTTP/1.1 200 OK\r\n");
	for (int i = 0; i < HTTP1_FIELDS_MAX; i++)
		buf_printf(&bytes, "x%d: y\r\n", i);
	buf_puts(&bytes, "\r\n");
	for (int i = 0; i < 40; i++)
		set[i] = (struct http1_set){ .name = "y", .value = "z" };
	http1_head_init(&head, HTTP1_RESPONSE, &http1_limits_response);
	assert_true(http1_head_read(&head, bytes.data, bytes.len) > 0);
	out.n_set = 30;
	assert_int_equal(http2_nv_response(&nv, &head, bytes.data, &out), 0);
	assert_int_equal(nv.n, HTTP2_NV_MAX);
	out.n_set = 31;
	assert_int_equal(http2_nv_response(&nv, &head, bytes.data, &out), -EINVAL);
	buf_done(&bytes);
}

RUN(cmocka_unit_test(requests_become_text), cmocka_unit_test(crumbs_are_joined),
    cmocka_unit_test(responses_and_trailers_become_text),
    cmocka_unit_test(malformed_blocks_are_refused), cmocka_unit_test(no_byte_ends_a_line),
    cmocka_unit_test(limits_are_those_of_http1), cmocka_unit_test(end_of_stream_is_the_framing),
    cmocka_unit_test(memory_may_end_anywhere), cmocka_unit_test(responses_become_fields),
    cmocka_unit_test(requests_become_fields), cmocka_unit_test(as_many_fields_as_a_head_has_fit))
