/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef INGRESS_HTTP2_SESSION_H
#define INGRESS_HTTP2_SESSION_H

/*
 * A connection of HTTP/2 and its streams, as far as both sides have them alike: blocks of fields are put together, windows follow
 * what was taken, who waits for room is asked in turn, streams that nghttp2 has closed are remembered until the end of the turn.
 * The client's side is front2, the endpoint's back2: each embeds a session in its connection and a stream in each of its own.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/buf.h"
#include "ingress/http2_body.h"
#include "ingress/http2_head.h"
#include "ingress/http2_pipe.h"

#define HTTP2_WINDOW (64 * 1024) /* of a stream, at first */
#define HTTP2_WINDOW_MAX \
	(255 * 1024) /* of one whose bytes are taken as they come; fits a buffer of 256 KiB */
#define HTTP2_WINDOW_ALL (1024 * 1024) /* of the connection */

struct http2_session;

struct http2_stream {
	struct http2_session *h2;
	TAILQ_ENTRY(http2_stream) link;    /* in h2->streams */
	TAILQ_ENTRY(http2_stream) waiting; /* in h2->waiting, with is_waiting */
	STAILQ_ENTRY(http2_stream) gone;   /* in h2->gone, with is_gone */
	int32_t id;                        /* 0: none yet */
	uint32_t error;                    /* is_closed: nghttp2's code */
	uint64_t waits_since_ns;           /* is_waiting */
	struct http2_send send;            /* the body to the peer */
	struct http2_take take;            /* the one from it */
	struct buf trailer;                /* from the peer, as text; empty: none */
	bool got_all;                      /* END_STREAM has come */
	bool is_waiting;                   /* the exchange waits for room */
	bool is_closed;                    /* nghttp2 is done with it */
	bool is_gone;                      /* and the owner is to be told */
};

/* What the owner does at its end. Callbacks of nghttp2 return 0 or one of its errors. */
struct http2_session_ops {
	bool is_client;
	const nghttp2_settings_entry *settings;
	size_t n_settings;
	/* What a block of fields that begins is, and how much of it is kept. s: NULL if it opens a stream, or one that is over. */
	enum http1_kind (*block)(struct http2_session *h2, const nghttp2_frame *frame,
				 struct http2_stream *s, const struct http1_limits **ret_limits);
	/* A frame is complete, with its block of fields; bytes of a body. */
	int (*frame)(struct http2_session *h2, const nghttp2_frame *frame, struct http2_stream *s);
	void (*data)(struct http2_stream *s, const char *bytes, size_t len);
	/* May be NULL: the header of a frame has come; a block is malformed, so its stream is reset and no frame() follows; a frame was
	 * sent. */
	int (*begin_frame)(struct http2_session *h2, const nghttp2_frame_hd *hd);
	void (*bad_block)(struct http2_session *h2, const nghttp2_frame *frame);
	int (*sent)(struct http2_session *h2, const nghttp2_frame *frame, struct http2_stream *s);
	/* One that waited may be given more. */
	void (*room)(struct http2_stream *s);
	/* The end of a turn in which something was left to do. */
	void (*turn)(struct http2_session *h2);
};

TAILQ_HEAD(http2_streams, http2_stream);

/* All-zero owns nothing. */
struct http2_session {
	const struct http2_session_ops *ops;
	struct http2_pipe pipe;
	struct http2_block block; /* that is being received */
	struct http2_streams streams;
	struct http2_streams waiting;     /* whoever waited longest is asked first */
	STAILQ_HEAD(, http2_stream) gone; /* closed, to be told and freed */
	unsigned n_streams;               /* in streams */
	bool dead; /* the owner's: no stream is asked for anything any more */
};

/* Opens the session over sock and says our settings. 0 or -ENOMEM, when it is to be stopped and done as well. */
int http2_session_init(struct http2_session *h2, const struct http2_session_ops *ops,
		       struct worker *worker, struct sock *sock);
/* No more turns. Not while nghttp2 may be on the stack: frees the rest. */
void http2_session_stop(struct http2_session *h2);
void http2_session_done(struct http2_session *h2);

/* GOAWAY with this code; once it is written the session wants nothing any more. */
void http2_session_terminate(struct http2_session *h2, uint32_t code);
/* Neither side has anything more to say. */
bool http2_session_is_over(const struct http2_session *h2);

/* The socket's events: what may be read is noted, what waits is written. 1: something was; 0; -errno of the socket, -ENOMEM. */
int http2_session_events(struct http2_session *h2, uint32_t events);
/* Makes frames of everything that there is room for, and writes them. 0 or the same. */
int http2_session_write(struct http2_session *h2);
/* Asks whoever waits whether there is more, each once; who still waits goes to the end of the queue. */
void http2_session_give_room(struct http2_session *h2);
/* Memory for blocks of fields is kept only while one is received. */
void http2_session_drop_block(struct http2_session *h2);

/* The next stream that nghttp2 has closed, or NULL. */
struct http2_stream *http2_session_next_gone(struct http2_session *h2);

/* ---- a stream ----------------------------------------------------------------------------------------------------- */

/* Puts it among the session's. */
void http2_stream_init(struct http2_stream *s, struct http2_session *h2);
/* Its number is known; nghttp2 was given s as its user data. */
void http2_stream_number(struct http2_stream *s, int32_t id);
/* Closed, and out of all lists; nghttp2 does not know it any more. http2_stream_done() frees what it has. */
void http2_stream_remove(struct http2_stream *s);
void http2_stream_done(struct http2_stream *s);

/* Bytes to the peer; how many were taken. If not all, it waits for room. */
size_t http2_stream_body(struct http2_stream *s, const char *data, size_t len);
void http2_stream_unwait(struct http2_stream *s);
/* RST_STREAM; what would still be sent is swallowed. */
void http2_stream_reset(struct http2_stream *s, uint32_t code);

/* nghttp2 is done with it. */
void http2_stream_close(struct http2_stream *s);
/* The same, and the owner is told at the end of the turn; or not, after all. */
void http2_stream_leave(struct http2_stream *s);
void http2_stream_recall(struct http2_stream *s);

/* A complete block behind a body is kept. 0, or negative: it is malformed, or -ENOMEM. */
int http2_stream_take_trailer(struct http2_stream *s);
/* Reads what was kept. false: there was none. */
bool http2_stream_trailer(const struct http2_stream *s, struct http1_head *ret_trailer);

#endif
