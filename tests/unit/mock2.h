/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TESTS_UNIT_MOCK2_H
#define TESTS_UNIT_MOCK2_H

/* A session of nghttp2 as the peer of a connection in a test. */
#include <nghttp2/nghttp2.h>

#include "unit/mock.h"

/* ---- the peer --------------------------------------------------------------------------------------------------- */

#define PEER_STREAMS 512

struct peer_stream {
	struct buf head; /* "name: value\n", interim answers as well */
	struct buf body;
	struct buf trailer;
	bool ended, closed;
	int reset; /* the code of a RST_STREAM, or -1 */
};

static struct {
	nghttp2_session *session;
	struct peer_stream streams[PEER_STREAMS]; /* by id / 2 */
	int goaways;
	uint32_t goaway_code;
	int32_t goaway_last;
	int pings;     /* answered */
	bool consumes; /* gives windows back */
} peer;

static struct peer_stream *peer_stream(int32_t id)
{
	assert(id / 2 < PEER_STREAMS);
	return &peer.streams[id / 2];
}

static int peer_on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
			  size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
			  void *arg)
{
	struct peer_stream *s = peer_stream(frame->hd.stream_id);
	struct buf *to = frame->headers.cat == NGHTTP2_HCAT_HEADERS && s->body.len ? &s->trailer
										   : &s->head;

	(void)session;
	(void)flags;
	(void)arg;
	buf_printf(to, "%.*s: %.*s\n", (int)name_len, name, (int)value_len, value);
	return 0;
}

static int peer_on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data,
			size_t len, void *arg)
{
	(void)flags;
	(void)arg;
	buf_put(&peer_stream(id)->body, data, len);
	if (peer.consumes)
		nghttp2_session_consume(session, id, len);
	return 0;
}

static int peer_on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
	(void)session;
	(void)arg;
	if (frame->hd.type == NGHTTP2_GOAWAY) {
		peer.goaways++;
		peer.goaway_code = frame->goaway.error_code;
		peer.goaway_last = frame->goaway.last_stream_id;
	}
	if (frame->hd.type == NGHTTP2_PING)
		peer.pings++;
	if (frame->hd.type == NGHTTP2_RST_STREAM)
		peer_stream(frame->hd.stream_id)->reset = (int)frame->rst_stream.error_code;
	if ((frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA) &&
	    frame->hd.flags & NGHTTP2_FLAG_END_STREAM)
		peer_stream(frame->hd.stream_id)->ended = true;
	return 0;
}

static int peer_on_close(nghttp2_session *session, int32_t id, uint32_t code, void *arg)
{
	(void)session;
	(void)code;
	(void)arg;
	peer_stream(id)->closed = true;
	return 0;
}

static void peer_start(bool server)
{
	nghttp2_session_callbacks *c;
	nghttp2_option *o;

	memset(&peer, 0, sizeof(peer));
	for (size_t i = 0; i < PEER_STREAMS; i++)
		peer.streams[i].reset = -1;
	peer.consumes = true;
	nghttp2_session_callbacks_new(&c);
	nghttp2_session_callbacks_set_on_header_callback(c, peer_on_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(c, peer_on_data);
	nghttp2_session_callbacks_set_on_frame_recv_callback(c, peer_on_frame);
	nghttp2_session_callbacks_set_on_stream_close_callback(c, peer_on_close);
	nghttp2_option_new(&o);
	nghttp2_option_set_no_auto_window_update(o, 1);
	nghttp2_option_set_no_http_messaging(o, 1); /* it may send what it likes */
	nghttp2_option_set_max_send_header_block_length(o, 1 << 24);
	if (server)
		nghttp2_session_server_new2(&peer.session, c, NULL, o);
	else
		nghttp2_session_client_new2(&peer.session, c, NULL, o);
	nghttp2_session_callbacks_del(c);
	nghttp2_option_del(o);
}

static void peer_end(void)
{
	nghttp2_session_del(peer.session);
	for (size_t i = 0; i < PEER_STREAMS; i++) {
		buf_done(&peer.streams[i].head);
		buf_done(&peer.streams[i].body);
		buf_done(&peer.streams[i].trailer);
	}
}

/* What the peer has to send, into the socket's queue. */
static size_t peer_send(void)
{
	const uint8_t *bytes;
	size_t sent = 0;
	ssize_t n;

	while ((n = nghttp2_session_mem_send(peer.session, &bytes)) > 0) {
		buf_put(&mock.in, bytes, (size_t)n);
		sent += (size_t)n;
	}
	return sent;
}

/* What was written to it. */
static void peer_recv(void)
{
	if (mock.out.len)
		nghttp2_session_mem_recv(peer.session, (const uint8_t *)mock.out.data,
					 mock.out.len);
	buf_reset(&mock.out);
}

static nghttp2_nv peer_nv(const char *name, size_t name_len, const char *value, size_t value_len)
{
	return (nghttp2_nv){ .name = (uint8_t *)(uintptr_t)name,
			     .namelen = name_len,
			     .value = (uint8_t *)(uintptr_t)value,
			     .valuelen = value_len,
			     .flags = NGHTTP2_NV_FLAG_NO_COPY_NAME }; /* as it is, no lower case */
}

/* "name: value\n" lines as fields; how many. */
static size_t peer_fields(const char *lines, nghttp2_nv *nv, size_t max)
{
	size_t n = 0;

	while (*lines && n < max) {
		const char *end = strchr(lines, '\n');
		const char *colon = strchr(lines + 1, ':');

		nv[n++] = peer_nv(lines, (size_t)(colon - lines), colon + 2,
				  (size_t)(end - colon - 2));
		lines = end + 1;
	}
	return n;
}

/* A body that the peer sends: `left` bytes of 'x', then an end, or trailers. */
struct peer_body {
	size_t left;
	bool stays_open;
	const char *trailer; /* lines, or NULL */
};

static ssize_t peer_read(nghttp2_session *session, int32_t id, uint8_t *to, size_t len,
			 uint32_t *flags, nghttp2_data_source *source, void *arg)
{
	struct peer_body *body = source->ptr;
	size_t n = body->left < len ? body->left : len;

	(void)arg;
	if (n == 0 && body->stays_open)
		return NGHTTP2_ERR_DEFERRED;
	memset(to, 'x', n);
	body->left -= n;
	if (body->left || body->stays_open)
		return (ssize_t)n;
	*flags |= NGHTTP2_DATA_FLAG_EOF;
	if (body->trailer) {
		nghttp2_nv nv[8];

		*flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
		nghttp2_submit_trailer(session, id, nv, peer_fields(body->trailer, nv, 8));
	}
	return (ssize_t)n;
}

#endif
