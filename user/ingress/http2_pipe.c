// SPDX-License-Identifier: GPL-2.0-only
/* Moves bytes between a socket and a session of nghttp2. */
/* Must not know requests. */
#include "ingress/http2_pipe.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "ingress/sock.h"
#include "ingress/worker.h"

#define READ_FIRST        (16 * 1024)
#define READ_LEAST        (4 * 1024)
#define READS_MAX         8   /* in one go, before others have theirs */
#define ACKS_MAX          100 /* of PING and SETTINGS that the peer does not read */
/* nghttp2 counts each look at the nine bytes that begin one, of which there are several if they come in pieces. */
#define CONTINUATIONS_MAX 64

/* Debian's 1.52 has these two, older ones do not: then nghttp2's counts are all there is besides ours. */
extern void nghttp2_option_set_stream_reset_rate_limit(nghttp2_option *option, uint64_t burst,
						       uint64_t rate) __attribute__((weak));
extern void nghttp2_option_set_max_continuations(nghttp2_option *option, size_t max)
	__attribute__((weak));

/* ---- options -------------------------------------------------------------------------------------------------------- */

static nghttp2_option *options[2]; /* server, client */

static nghttp2_option *make_options(bool client)
{
	nghttp2_option *o;

	if (nghttp2_option_new(&o))
		return NULL;
	nghttp2_option_set_no_auto_window_update(o, 1);
	nghttp2_option_set_max_outbound_ack(o, ACKS_MAX);
	if (client)
		nghttp2_option_set_peer_max_concurrent_streams(o, 100);
	if (nghttp2_option_set_max_continuations)
		nghttp2_option_set_max_continuations(o, CONTINUATIONS_MAX);
	if (nghttp2_option_set_stream_reset_rate_limit)
		nghttp2_option_set_stream_reset_rate_limit(o, 1000, 100);
	return o;
}

static void make_both(void)
{
	options[0] = make_options(false);
	options[1] = make_options(true);
}

const nghttp2_option *http2_options(bool client)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, make_both);
	return options[client];
}

/* ---- memory ----------------------------------------------------------------------------------------------------------- */

#define LARGE 16384

/* In front of each block; `mapped` is 0 for one of malloc(). */
struct block {
	_Alignas(16) size_t size;
	size_t mapped;
};

static void *mem_malloc(size_t size, void *arg)
{
	struct block *b;

	(void)arg;
	if (size > SIZE_MAX / 2)
		return NULL;
	if (size < LARGE) {
		b = malloc(sizeof(*b) + size);
		if (b)
			*b = (struct block){ .size = size };
		return b ? b + 1 : NULL;
	}
	b = mmap(NULL, sizeof(*b) + size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		 0);
	if (b == MAP_FAILED)
		return NULL;
	*b = (struct block){ .size = size, .mapped = sizeof(*b) + size };
	return b + 1;
}

static void mem_free(void *at, void *arg)
{
	struct block *b = at;

	(void)arg;
	if (!at)
		return;
	b--;
	if (b->mapped)
		munmap(b, b->mapped);
	else
		free(b);
}

static void *mem_calloc(size_t n, size_t size, void *arg)
{
	void *at = size && n > SIZE_MAX / 2 / size ? NULL : mem_malloc(n * size, arg);

	return at ? memset(at, 0, n * size) : NULL;
}

static void *mem_realloc(void *at, size_t size, void *arg)
{
	void *grown = mem_malloc(size, arg);

	if (grown && at) {
		size_t old = ((struct block *)at - 1)->size;

		memcpy(grown, at, old < size ? old : size);
		mem_free(at, arg);
	}
	return grown;
}

nghttp2_mem *http2_mem(void)
{
	static nghttp2_mem mem = {
		.malloc = mem_malloc, .free = mem_free, .calloc = mem_calloc, .realloc = mem_realloc
	};

	return &mem;
}

/* ---- life ------------------------------------------------------------------------------------------------------------- */

int http2_pipe_init(struct http2_pipe *pipe, struct worker *worker, struct sock *sock,
		    loop_fn *on_turn, void *arg)
{
	*pipe = (struct http2_pipe){
		.worker = worker, .sock = sock, .read_size = READ_FIRST, .readable = true
	};
	return loop_add_deferred(worker->loop, on_turn, arg, &pipe->turn);
}

void http2_pipe_done(struct http2_pipe *pipe)
{
	loop_remove(pipe->turn);
	pipe->turn = NULL;
	buf_done(&pipe->out);
}

/* ---- reading ------------------------------------------------------------------------------------------------------------ */

int http2_pipe_feed(struct http2_pipe *pipe, const char *bytes, size_t len)
{
	ssize_t n;

	pipe->inside = true;
	n = nghttp2_session_mem_recv(pipe->session, (const uint8_t *)bytes, len);
	pipe->inside = false;
	if (n == NGHTTP2_ERR_CALLBACK_FAILURE)
		return -ECANCELED;
	if (n == NGHTTP2_ERR_NOMEM)
		return -ENOMEM;
	return n < 0 ? -EPROTO : 0;
}

static void adapt(struct http2_pipe *pipe, size_t got)
{
	if (got == pipe->read_size && pipe->read_size < WORKER_SCRATCH / 2)
		pipe->read_size *= 2;
	else if (got < pipe->read_size / 4 && pipe->read_size > READ_LEAST)
		pipe->read_size /= 2;
}

int http2_pipe_read(struct http2_pipe *pipe)
{
	for (int i = 0; i < READS_MAX && pipe->readable; i++) {
		size_t size = pipe->read_size;
		ssize_t n = sock_read(pipe->sock, pipe->worker->scratch, size);
		int rc;

		if (n == -EAGAIN) {
			pipe->readable = false;
			return 0;
		}
		if (n <= 0) {
			pipe->readable = false;
			pipe->ended = true;
			return n == 0 ? -ENODATA : (int)n;
		}
		adapt(pipe, (size_t)n);
		if ((size_t)n < size && !pipe->sock->ssl && !pipe->fin)
			pipe->readable = false;
		rc = http2_pipe_feed(pipe, pipe->worker->scratch, (size_t)n);
		if (rc < 0)
			return rc;
	}
	return pipe->readable;
}

/* ---- writing ------------------------------------------------------------------------------------------------------------ */

static size_t waiting(const struct http2_pipe *pipe)
{
	return pipe->out.len - pipe->out_at;
}

bool http2_pipe_has_room(const struct http2_pipe *pipe)
{
	return waiting(pipe) < HTTP2_PIPE_WRITE;
}

bool http2_pipe_is_empty(const struct http2_pipe *pipe)
{
	return waiting(pipe) == 0 && !pipe->full && sock_flush(pipe->sock) == 0;
}

/* Puts what waits to the socket until it takes no more. */
static int write_out(struct http2_pipe *pipe)
{
	while (waiting(pipe) && !pipe->full) {
		struct iovec piece = { pipe->out.data + pipe->out_at, waiting(pipe) };
		ssize_t n = sock_writev(pipe->sock, &piece, 1);

		if (n == -EAGAIN)
			pipe->full = true;
		else if (n < 0)
			return (int)n;
		else
			pipe->out_at += (size_t)n;
	}
	if (!waiting(pipe)) {
		pipe->out_at = 0;
		worker_give_buf(pipe->worker, &pipe->out);
	} else if (pipe->out_at >= HTTP2_PIPE_WRITE) {
		buf_consume(&pipe->out, pipe->out_at);
		pipe->out_at = 0;
	}
	return 0;
}

int http2_pipe_data(struct http2_pipe *pipe, const uint8_t *header, const char *bytes, size_t len)
{
	buf_put(&pipe->out, header, 9);
	buf_put(&pipe->out, bytes, len);
	return pipe->out.failed ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

/* One round of nghttp2's frames into out. */
static int collect(struct http2_pipe *pipe)
{
	const uint8_t *bytes;
	ssize_t n;

	if (!pipe->out.data)
		pipe->out = worker_take_buf(pipe->worker);
	do {
		pipe->inside = true;
		n = nghttp2_session_mem_send(pipe->session, &bytes);
		pipe->inside = false;
		if (n > 0)
			buf_put(&pipe->out, bytes, (size_t)n);
	} while (n > 0 && waiting(pipe) < HTTP2_PIPE_MAX);
	if (pipe->out.failed || n == NGHTTP2_ERR_NOMEM)
		return -ENOMEM;
	return n < 0 ? -EPROTO : 0;
}

static int stop(struct http2_pipe *pipe, int rc)
{
	if (rc < 0 && !pipe->error)
		pipe->error = rc;
	return rc;
}

int http2_pipe_fill(struct http2_pipe *pipe)
{
	int rc;

	if (pipe->inside || pipe->error)
		return pipe->error;
	rc = waiting(pipe) < HTTP2_PIPE_MAX ? collect(pipe) : 0;
	if (rc == 0 && waiting(pipe) >= HTTP2_PIPE_WRITE)
		rc = write_out(pipe);
	return stop(pipe, rc);
}

int http2_pipe_flush(struct http2_pipe *pipe)
{
	int rc = http2_pipe_fill(pipe);

	if (rc < 0 || pipe->inside)
		return rc;
	return stop(pipe, write_out(pipe));
}

int http2_pipe_writable(struct http2_pipe *pipe)
{
	int rc = sock_flush(pipe->sock);

	pipe->full = rc == -EAGAIN;
	if (rc < 0)
		return pipe->full ? 0 : stop(pipe, rc);
	return http2_pipe_flush(pipe);
}
