// SPDX-License-Identifier: GPL-2.0-only
// Bodies out of their framing: the same data however it is cut and however little is taken at a time.
/* link: user/ingress/recv1.c user/ingress/http1.c user/ingress/http1_chunk.c user/base/buf.c */
#include "unit/test.h"

#include <string.h>

#include "base/buf.h"
#include "ingress/recv1.h"

struct read {
	struct buf body;
	struct buf trailer; /* the first one's value */
	int rc;             /* of the last call */
	size_t used;        /* of the input */
};

/* As a connection does it: bytes come `step` at a time, at most `take` of each piece is taken at once. */
static void run(enum http1_body body, uint64_t length, const char *bytes, size_t len, size_t step,
		size_t take, struct read *r)
{
	struct http1_head head;
	struct recv1 recv;
	struct recv1_piece piece;
	size_t have = 0;

	buf_reset(&r->body);
	buf_reset(&r->trailer);
	r->used = 0;
	r->rc = RECV1_MORE;
	recv1_begin(&recv, body, length);
	while (r->rc >= 0 && r->rc != RECV1_END) {
		size_t n;

		r->rc = recv1_next(&recv, bytes + r->used, have - r->used, &head, &piece);
		if (r->rc < 0)
			break;
		r->used += piece.skip;
		if (r->rc == RECV1_DATA) {
			n = piece.len < take ? piece.len : take;
			assert_true(piece.len > 0);
			assert_ptr_equal(piece.data, bytes + r->used);
			buf_put(&r->body, piece.data, n);
			recv1_took(&recv, n, piece.len);
			r->used += n;
			continue;
		}
		if (r->rc == RECV1_END) {
			if (piece.trailer_bytes && head.n_fields)
				buf_put(&r->trailer, piece.trailer_bytes + head.fields[0].value_at,
					head.fields[0].value_len);
			break;
		}
		if (recv1_is_complete(&recv) || have == len)
			break;
		have = have + step < len ? have + step : len;
	}
}

static void expect(enum http1_body body, uint64_t length, const char *bytes, size_t len,
		   const char *data, const char *trailer, size_t used)
{
	static const size_t steps[] = { 1, 2, 3, 5, 100000 }, takes[] = { 1, 2, 7, 100000 };
	struct read r = { 0 };

	for (size_t s = 0; s < 5; s++)
		for (size_t t = 0; t < 4; t++) {
			run(body, length, bytes, len, steps[s], takes[t], &r);
			assert_string_equal(buf_str(&r.body), data);
			assert_string_equal(buf_str(&r.trailer), trailer);
			assert_true(r.rc >= 0);
			assert_int_equal(r.used, used);
		}
	buf_done(&r.body);
	buf_done(&r.trailer);
}

TEST(a_length_ends_where_it_says)
{
	expect(HTTP1_LENGTH, 5, "helloGET / HTTP/1.1", 19, "hello", "", 5);
	expect(HTTP1_LENGTH, 50, "hello", 5, "hello", "", 5);
}

TEST(chunks_and_trailers)
{
	static const char body[] =
		"5\r\nhello\r\n6;x=y\r\n world\r\n0\r\nX-A: b\r\nY: c\r\n\r\nGET";

	expect(HTTP1_CHUNKED, 0, body, sizeof(body) - 1, "hello world", "b", sizeof(body) - 4);
	expect(HTTP1_CHUNKED, 0, "0\r\n\r\n", 5, "", "", 5);
}

TEST(until_close_is_everything)
{
	expect(HTTP1_UNTIL_CLOSE, 0, "anything\r\n\r\n", 12, "anything\r\n\r\n", "", 12);
	expect(HTTP1_TUNNEL, 0, "x", 1, "x", "", 1);
}

TEST(no_body_is_over_before_it_begins)
{
	struct recv1 r;
	struct recv1_piece piece;
	struct http1_head head;

	recv1_begin(&r, HTTP1_NO_BODY, 0);
	assert_true(recv1_is_complete(&r));
	assert_int_equal(recv1_next(&r, "GET", 3, &head, &piece), RECV1_END);
	assert_int_equal(piece.skip, 0);
}

TEST(faults_are_told)
{
	struct read r = { 0 };

	run(HTTP1_CHUNKED, 0, "5\r\nhelloX", 9, 1, 100, &r);
	assert_int_equal(r.rc, -(int)HTTP1_BAD_CHUNK);
	run(HTTP1_CHUNKED, 0, "0\r\nno colon\r\n\r\n", 15, 3, 100, &r);
	assert_int_equal(r.rc, -(int)HTTP1_NO_COLON);
	buf_done(&r.body);
	buf_done(&r.trailer);
}

RUN(cmocka_unit_test(a_length_ends_where_it_says), cmocka_unit_test(chunks_and_trailers),
    cmocka_unit_test(until_close_is_everything), cmocka_unit_test(no_body_is_over_before_it_begins),
    cmocka_unit_test(faults_are_told))
