// SPDX-License-Identifier: GPL-2.0-only
/*
 * libmicrohttpd on our loop: its epoll descriptor is one of ours, its timeouts one timer.
 * Must not know what pages say.
 */
#include "serve/http.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <microhttpd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/loop.h"

#define BIND_RETRY_NS   (5 * CLOCK_NS_PER_S)
#define CONNECTIONS     64
#define PER_CLIENT      16 /* of them, so that one slow client does not keep the others out */
#define IDLE_S          15
#define CONNECTION_SIZE (32 * 1024)

struct http {
	struct loop *loop;
	struct http_options o;
	int given; /* a socket that listens already; -1: none, or used */
	int fd;    /* the daemon's; -1: none */
	struct MHD_Daemon *daemon;
	struct loop_event *event;
	struct loop_event *bind_timer;
	struct loop_event *idle_timer;
	bool complained;
};

/* ---- answering ------------------------------------------------------------------------------------- */

static enum MHD_Result send_page(struct MHD_Connection *connection, unsigned int status,
				 struct http_page *page)
{
	size_t len = page->body.len;
	char *body = buf_take(&page->body); /* NULL if it is empty, or if memory was short */
	struct MHD_Response *response;
	enum MHD_Result result;

	response = body ? MHD_create_response_from_buffer(len, body, MHD_RESPMEM_MUST_FREE)
			: MHD_create_response_from_buffer(0, (void *)"", MHD_RESPMEM_PERSISTENT);
	if (!response) {
		free(body);
		return MHD_NO;
	}
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, page->type);
	MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
	MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
	if (page->header)
		MHD_add_response_header(response, page->header, page->header_value);
	result = MHD_queue_response(connection, status, response);
	MHD_destroy_response(response);
	return result;
}

static enum MHD_Result answer(void *arg, struct MHD_Connection *connection, const char *url,
			      const char *method, const char *version, const char *data,
			      size_t *data_len, void **state)
{
	struct http_page page = { .type = "text/plain; charset=utf-8" };
	struct http *http = arg;
	unsigned int status;

	(void)version;
	(void)data;
	if (!*state) { /* first call: headers only */
		*state = http;
		return MHD_YES;
	}
	if (*data_len) { /* a body nobody asked for */
		*data_len = 0;
		return MHD_YES;
	}
	if (!http->o.any_method && strcmp(method, MHD_HTTP_METHOD_GET) != 0 &&
	    strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
		status = MHD_HTTP_METHOD_NOT_ALLOWED;
	else
		status = http->o.fn(http->o.ctx, url, &page);
	if (status == MHD_HTTP_NOT_FOUND)
		buf_puts(&page.body, "not found\n");
	else if (page.body.failed)
		status = MHD_HTTP_INTERNAL_SERVER_ERROR;
	return send_page(connection, status, &page);
}

/* ---- on the loop ----------------------------------------------------------------------------------- */

static void run(struct http *http)
{
	MHD_UNSIGNED_LONG_LONG timeout_ms;

	MHD_run(http->daemon);
	if (MHD_get_timeout(http->daemon, &timeout_ms) == MHD_YES)
		loop_arm(http->idle_timer, timeout_ms * CLOCK_NS_PER_MS, 0);
	else
		loop_disarm(http->idle_timer);
}

static void on_ready(void *arg, int fd, uint32_t events)
{
	(void)fd;
	(void)events;
	run(arg);
}

static void on_idle(void *arg)
{
	struct http *http = arg;

	if (http->daemon)
		run(http);
}

static int open_socket(const struct listen_addr *addr, int v6_only)
{
	_cleanup_close_ int fd =
		socket(addr->addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int one = 1;

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (addr->addr.ss_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6_only, sizeof(v6_only));
	if (bind(fd, (const struct sockaddr *)&addr->addr, addr->len) < 0 ||
	    listen(fd, CONNECTIONS) < 0)
		return -errno;
	return TAKE_FD(fd);
}

/* ":80" on a kernel without IPv6. */
static int open_any(const struct listen_addr *addr, bool v6_only)
{
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&addr->addr;
	struct listen_addr v4 = { .len = sizeof(struct sockaddr_in) };
	struct sockaddr_in *in4 = (struct sockaddr_in *)&v4.addr;
	int fd = open_socket(addr, v6_only);

	if (fd != -EAFNOSUPPORT || v6_only ||
	    memcmp(&in6->sin6_addr, &in6addr_any, sizeof(in6addr_any)) != 0)
		return fd;
	in4->sin_family = AF_INET;
	in4->sin_port = in6->sin6_port;
	return open_socket(&v4, 0);
}

static int start(struct http *http)
{
	_cleanup_close_ int fd = http->given >= 0 ? TAKE_FD(http->given)
						  : open_any(&http->o.addr, http->o.v6_only);
	const union MHD_DaemonInfo *info;
	int rc;

	if (fd < 0)
		return fd;
	http->daemon = MHD_start_daemon(
		MHD_USE_EPOLL, 0, NULL, NULL, answer, http, MHD_OPTION_LISTEN_SOCKET, fd,
		MHD_OPTION_CONNECTION_LIMIT, (unsigned int)CONNECTIONS,
		MHD_OPTION_PER_IP_CONNECTION_LIMIT, (unsigned int)PER_CLIENT,
		MHD_OPTION_CONNECTION_TIMEOUT, (unsigned int)IDLE_S,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_SIZE, MHD_OPTION_END);
	if (!http->daemon)
		return -EIO;
	http->fd = TAKE_FD(fd);
	info = MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_EPOLL_FD);
	rc = info ? loop_add_fd(http->loop, info->epoll_fd, EPOLLIN, on_ready, http, &http->event)
		  : -EIO;
	if (rc < 0) {
		MHD_stop_daemon(http->daemon);
		http->daemon = NULL;
		http->fd = -1;
	}
	return rc;
}

static void try_start(void *arg)
{
	struct http *http = arg;
	int rc = start(http);

	if (rc == 0) {
		http->complained = false;
		log_info("serving what=%s", http->o.what);
		return;
	}
	if (!http->complained && http->o.cannot_bind)
		http->o.cannot_bind(http->o.ctx, strerrordesc_np(-rc));
	else if (!http->complained)
		log_warn(
			"cannot serve %s error=\"%s\"; trying again every 5 s; another address: --%s-addr",
			http->o.what, strerror(-rc), http->o.what);
	http->complained = true;
	loop_arm(http->bind_timer, BIND_RETRY_NS, 0);
}

int http_new_with(struct loop *loop, const struct http_options *options, struct http **ret_http)
{
	_cleanup_close_ int given = options->has_socket ? options->socket : -1;
	struct http *http;
	int rc;

	*ret_http = NULL;
	if (options->addr.addr.ss_family == AF_UNSPEC)
		return 0;
	http = calloc(1, sizeof(*http));
	if (!http)
		return -ENOMEM;
	http->given = TAKE_FD(given);
	http->fd = -1;
	http->loop = loop;
	http->o = *options;
	rc = loop_add_timer(loop, try_start, http, &http->bind_timer);
	if (rc == 0)
		rc = loop_add_timer(loop, on_idle, http, &http->idle_timer);
	if (rc < 0) {
		http_free(http);
		return rc;
	}
	try_start(http);
	*ret_http = http;
	return 0;
}

int http_new(struct loop *loop, const struct listen_addr *addr, const char *what, http_fn *fn,
	     void *ctx, struct http **ret_http)
{
	const struct http_options options = { .addr = *addr, .what = what, .fn = fn, .ctx = ctx };

	return http_new_with(loop, &options, ret_http);
}

int http_listens_at(const struct http *http)
{
	return http ? http->fd : -1;
}

void http_free(struct http *http)
{
	if (!http)
		return;
	if (http->given >= 0)
		close(http->given);
	loop_remove(http->event);
	loop_remove(http->bind_timer);
	loop_remove(http->idle_timer);
	if (http->daemon) {
		/* closed, not shut down: another process may listen at it, too */
		MHD_quiesce_daemon(http->daemon);
		MHD_stop_daemon(http->daemon);
		close(http->fd);
	}
	free(http);
}
