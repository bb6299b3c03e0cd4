// SPDX-License-Identifier: GPL-2.0-only
/* Takes a body out of its framing, piece by piece. */
/* Must not know where bytes come from or go to. */
#include "ingress/recv1.h"

void recv1_begin(struct recv1 *r, enum http1_body body, uint64_t length)
{
	*r = (struct recv1){ .body = body, .left = body == HTTP1_LENGTH ? length : 0 };
}

static int read_trailers(struct recv1 *r, const char *bytes, size_t len, struct http1_head *head,
			 struct recv1_piece *piece)
{
	int n;

	/* From the start again when it is not complete: it is short, and seldom in two pieces. */
	http1_head_init(head, HTTP1_TRAILER, &http1_limits_trailer);
	n = http1_head_read(head, bytes + piece->skip, len - piece->skip);
	if (n == HTTP1_PARTIAL)
		return RECV1_MORE;
	if (n < 0)
		return n;
	piece->trailer_bytes = bytes + piece->skip;
	piece->skip += (size_t)n;
	r->body = HTTP1_NO_BODY;
	return RECV1_END;
}

static int next_chunked(struct recv1 *r, const char *bytes, size_t len, struct http1_head *head,
			struct recv1_piece *piece)
{
	size_t used, data_len;
	const char *data;
	int rc;

	while (!r->trailers) {
		rc = http1_chunks_read(&r->chunks, bytes + piece->skip, len - piece->skip, &used,
				       &data, &data_len);
		if (rc < 0)
			return rc;
		if (rc == HTTP1_CHUNK_DATA) {
			piece->skip += used - data_len;
			piece->data = data;
			piece->len = data_len;
			return RECV1_DATA;
		}
		piece->skip += used;
		if (rc == HTTP1_CHUNK_MORE)
			return RECV1_MORE;
		r->trailers = true;
	}
	return read_trailers(r, bytes, len, head, piece);
}

int recv1_next(struct recv1 *r, const char *bytes, size_t len, struct http1_head *head,
	       struct recv1_piece *ret_piece)
{
	*ret_piece = (struct recv1_piece){ 0 };
	if (r->held) {
		ret_piece->data = bytes;
		ret_piece->len = r->held < len ? r->held : len;
		return len ? RECV1_DATA : RECV1_MORE;
	}
	switch (r->body) {
	case HTTP1_NO_BODY:
		return RECV1_END;
	case HTTP1_CHUNKED:
		return next_chunked(r, bytes, len, head, ret_piece);
	case HTTP1_LENGTH:
		if (r->left == 0)
			return RECV1_END;
		if (len > r->left)
			len = (size_t)r->left;
		break;
	default:
		break;
	}
	ret_piece->data = bytes;
	ret_piece->len = len;
	return len ? RECV1_DATA : RECV1_MORE;
}

void recv1_took(struct recv1 *r, size_t n, size_t len)
{
	if (r->body == HTTP1_LENGTH)
		r->left -= n;
	else if (r->body == HTTP1_CHUNKED)
		r->held = (r->held ? r->held : len) - n;
}

bool recv1_is_complete(const struct recv1 *r)
{
	return r->body == HTTP1_NO_BODY || (r->body == HTTP1_LENGTH && r->left == 0);
}
