// SPDX-License-Identifier: GPL-2.0-only
/* Requests by libcurl on the loop; who is asked, and when a connection is given up. */
/* Must not know what is asked for, nor what the answers mean. */
#include "source/kube/http.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/loop.h"
#include "source/kube/auth.h"
#include "sluice_version.h"

#define CONNECT_MS        10000L
#define PROBE_MS          900L
#define STUCK_NS          CLOCK_NS_PER_S /* connecting for so long: the SYN was lost */
#define WATCHDOG_NS       (30 * CLOCK_NS_PER_S)
#define WATCHDOG_MS       15000L
#define USER_TIMEOUT_MS   30000
#define KEEP_IDLE_S       15L
#define KEEP_INTERVAL_S   5L
#define KEEP_PROBES       3
#define REFUSAL_BYTES_MAX ((size_t)256 << 10) /* of an answer other than 200 */

/* Connections that belong together: one server, one authority, one client certificate. */
struct pool {
	struct kube_http *http;
	struct pool *next;
	CURLM *multi;
	struct loop_event *timer;
	struct kube_transfer *first;
	bool retired; /* freed when its last transfer ends */
};

struct socket_event {
	struct pool *pool;
	struct loop_event *event;
};

struct kube_transfer {
	struct pool *pool;
	struct kube_transfer *prev, *next;
	CURL *easy;
	struct curl_slist *headers, *connect_to;
	struct kube_http_ops ops;
	void (*probed)(void *ctx, bool reached); /* of a probe; ops.ctx is its argument */
	size_t probe_server;
	bool watchdog;
	bool sends; /* kube_http_send() */
	uint64_t started_ns;
	unsigned status;
	size_t refusal_bytes;
	char retry_after[64];
	char why[CURL_ERROR_SIZE];
};

struct kube_http {
	struct loop *loop;
	struct auth *auth;
	struct kube_server *servers;
	size_t n_servers, current, probed;
	size_t tried;       /* servers that gave no answer since the last one that did */
	struct pool *pools; /* the first is in use, unless it is retired */
	uint64_t auth_generation;
	struct loop_event *watchdog_timer, *sweeper;
	struct kube_transfer *watchdog;
	struct kube_http_stats stats;
};

/* ---- servers ---------------------------------------------------------------------------------------- */

static bool is_loopback(const char *host)
{
	struct in_addr in;

	return strcmp(host, "localhost") == 0 || strcmp(host, "::1") == 0 ||
	       (inet_pton(AF_INET, host, &in) == 1 && (ntohl(in.s_addr) >> 24) == 127);
}

static int copy_part(char *to, size_t size, const char *from, size_t len)
{
	if (len >= size)
		return -EINVAL;
	memcpy(to, from, len);
	to[len] = 0;
	return 0;
}

static int parse_url(const char *url, struct kube_server *s)
{
	const char *host, *end, *colon = NULL, *slash;
	char *stop;
	unsigned long port;
	size_t len;

	s->plain = strncmp(url, "http://", 7) == 0;
	if (!s->plain && strncmp(url, "https://", 8) != 0)
		return -EINVAL;
	host = url + (s->plain ? 7 : 8);
	slash = strchrnul(host, '/');
	if (strpbrk(host, "?#@ \t\r\n"))
		return -EINVAL;
	if (*host == '[') {
		end = memchr(host, ']', (size_t)(slash - host));
		if (!end ||
		    copy_part(s->host, sizeof(s->host), host + 1, (size_t)(end - host) - 1) < 0)
			return -EINVAL;
		colon = end[1] == ':' ? end + 1 : NULL;
		if (!colon && end + 1 != slash)
			return -EINVAL;
	} else {
		colon = memchr(host, ':', (size_t)(slash - host));
		if (copy_part(s->host, sizeof(s->host), host,
			      (size_t)((colon ? colon : slash) - host)) < 0)
			return -EINVAL;
	}
	port = colon ? strtoul(colon + 1, &stop, 10) : s->plain ? 80 : 443;
	if (!*s->host || port < 1 || port > 65535 ||
	    (colon && (stop != slash || colon[1] < '0' || colon[1] > '9')))
		return -EINVAL;
	s->port = (uint16_t)port;
	for (len = strlen(slash); len && slash[len - 1] == '/'; len--)
		;
	return copy_part(s->path, sizeof(s->path), slash, len);
}

int kube_server_parse(const char *url, struct kube_server *ret_server, struct err *err)
{
	struct kube_server s = { 0 };

	if (parse_url(url, &s) < 0)
		return err_set(err, -EINVAL, "API server %s: must be https://HOST[:PORT]", url);
	if (s.plain && !is_loopback(s.host))
		return err_set(err, -EINVAL,
			       "API server %s: http:// is for this machine itself; use https://",
			       url);
	*ret_server = s;
	return 0;
}

static bool same_server(const struct kube_server *a, const struct kube_server *b)
{
	return a->port == b->port && a->plain == b->plain && strcmp(a->host, b->host) == 0 &&
	       strcmp(a->tls_name, b->tls_name) == 0 && strcmp(a->path, b->path) == 0;
}

/* ---- pools ------------------------------------------------------------------------------------------ */

static void finish(struct kube_transfer *t, CURLcode code, bool missed);

static void check_done(struct pool *pool)
{
	CURLMsg *msg;
	int left;

	while ((msg = curl_multi_info_read(pool->multi, &left))) {
		struct kube_transfer *t = NULL;
		CURLcode code = msg->data.result;

		if (msg->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, (char **)&t);
		finish(t, code, false);
	}
}

static void on_socket_ready(void *arg, int fd, uint32_t events)
{
	struct socket_event *s = arg;
	struct pool *pool = s->pool; /* s may go */
	int running, flags = 0;

	if (events & (EPOLLIN | EPOLLHUP | EPOLLRDHUP))
		flags |= CURL_CSELECT_IN;
	if (events & EPOLLOUT)
		flags |= CURL_CSELECT_OUT;
	if (events & EPOLLERR)
		flags |= CURL_CSELECT_ERR;
	curl_multi_socket_action(pool->multi, fd, flags, &running);
	check_done(pool);
}

static void on_timer(void *arg)
{
	struct pool *pool = arg;
	int running;

	curl_multi_socket_action(pool->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	check_done(pool);
}

static int set_timer(CURLM *multi, long timeout_ms, void *arg)
{
	struct pool *pool = arg;

	(void)multi;
	if (timeout_ms < 0)
		loop_disarm(pool->timer);
	else
		return loop_arm(pool->timer, (uint64_t)timeout_ms * CLOCK_NS_PER_MS, 0) < 0 ? -1
											    : 0;
	return 0;
}

static int watch_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg)
{
	struct pool *pool = arg;
	struct socket_event *s = socket_arg;
	uint32_t events = (what & CURL_POLL_IN ? EPOLLIN : 0) |
			  (what & CURL_POLL_OUT ? EPOLLOUT : 0);

	(void)easy;
	if (what == CURL_POLL_REMOVE) {
		if (s)
			loop_remove(s->event);
		free(s);
		return 0;
	}
	if (s)
		return loop_set_fd_events(s->event, events) < 0 ? -1 : 0;
	s = calloc(1, sizeof(*s));
	if (!s)
		return -1;
	s->pool = pool;
	if (loop_add_fd(pool->http->loop, fd, events, on_socket_ready, s, &s->event) < 0) {
		free(s);
		return -1;
	}
	curl_multi_assign(pool->multi, fd, s);
	return 0;
}

static void pool_free(struct pool *pool)
{
	if (pool->multi)
		curl_multi_cleanup(pool->multi); /* ends the sockets' events */
	loop_remove(pool->timer);
	free(pool);
}

static struct pool *pool_new(struct kube_http *http)
{
	struct pool *pool = calloc(1, sizeof(*pool));

	if (!pool)
		return NULL;
	pool->http = http;
	pool->multi = curl_multi_init();
	if (!pool->multi || loop_add_timer(http->loop, on_timer, pool, &pool->timer) < 0) {
		pool_free(pool);
		return NULL;
	}
	curl_multi_setopt(pool->multi, CURLMOPT_SOCKETFUNCTION, watch_socket);
	curl_multi_setopt(pool->multi, CURLMOPT_SOCKETDATA, pool);
	curl_multi_setopt(pool->multi, CURLMOPT_TIMERFUNCTION, set_timer);
	curl_multi_setopt(pool->multi, CURLMOPT_TIMERDATA, pool);
	pool->next = http->pools;
	http->pools = pool;
	http->stats.generations++;
	return pool;
}

/* The next request makes connections of its own; what is under way goes on. */
static void retire(struct kube_http *http)
{
	if (http->pools)
		http->pools->retired = true;
	loop_post(http->sweeper);
}

static void sweep(void *arg)
{
	struct kube_http *http = arg;
	struct pool **slot = &http->pools, *pool;

	while ((pool = *slot)) {
		if (!pool->retired || pool->first) {
			slot = &pool->next;
			continue;
		}
		*slot = pool->next;
		pool_free(pool);
	}
}

/* The connections in use are of no use: everything on them ends now. */
static void give_up(struct kube_http *http)
{
	struct pool *pool = http->pools;
	struct kube_transfer *t;

	if (!pool)
		return;
	retire(http);
	while ((t = pool->first)) {
		pool->first = t->next; /* as unlinking will do once more */
		finish(t, CURLE_OPERATION_TIMEDOUT, true);
	}
}

static struct pool *current_pool(struct kube_http *http)
{
	uint64_t generation;

	auth_refresh(http->auth, clock_now_ns(), AUTH_WHEN_DUE);
	generation = auth_generation(http->auth);
	if (generation != http->auth_generation)
		retire(http);
	http->auth_generation = generation;
	return http->pools && !http->pools->retired ? http->pools : pool_new(http);
}

/* This pool's server gave no answer. True if another one can be tried at once. */
static bool move_on(struct kube_http *http, const struct pool *pool)
{
	bool first = pool == http->pools && !pool->retired;

	if (first) /* also of a single server: connections that failed are not used again */
		retire(http);
	if (http->n_servers < 2)
		return false;
	if (!first)
		return true;
	http->current = (http->current + 1) % http->n_servers;
	http->stats.moves++;
	if (++http->tried < http->n_servers)
		return true;
	http->tried = 0;
	return false;
}

/* ---- transfers -------------------------------------------------------------------------------------- */

static void unlink_transfer(struct kube_transfer *t)
{
	struct pool *pool = t->pool;

	if (t->next)
		t->next->prev = t->prev;
	if (t->prev)
		t->prev->next = t->next;
	else
		pool->first = t->next;
	if (pool->retired)
		loop_post(pool->http->sweeper);
}

static void transfer_free(struct kube_transfer *t)
{
	if (t->easy)
		curl_easy_cleanup(t->easy);
	curl_slist_free_all(t->headers);
	curl_slist_free_all(t->connect_to);
	free(t);
}

static enum kube_http_end end_of(const struct kube_transfer *t, CURLcode code, bool missed)
{
	if (missed)
		return KUBE_HTTP_MISSED;
	if (code == CURLE_OK && t->status)
		return KUBE_HTTP_CLEAN;
	return t->status ? KUBE_HTTP_CUT : KUBE_HTTP_FAILED;
}

static void on_watchdog_end(struct kube_http *http, CURLcode code)
{
	http->watchdog = NULL;
	if (code != CURLE_OPERATION_TIMEDOUT)
		return;
	http->stats.misses++;
	if (http->n_servers > 1)
		http->current = (http->current + 1) % http->n_servers;
	give_up(http);
}

/*
 * The server can be reached: who still waits for an answer to a SYN that was lost would wait for the next one, which TCP sends
 * later and later.
 */
static bool is_stuck(const struct kube_transfer *t, uint64_t now_ns)
{
	curl_off_t connected_us = 0;

	curl_easy_getinfo(t->easy, CURLINFO_CONNECT_TIME_T, &connected_us);
	return !t->probed && !t->watchdog && !t->status && !connected_us &&
	       now_ns - t->started_ns >= STUCK_NS;
}

static void retry_connecting(struct kube_http *http)
{
	struct pool *pool = http->pools;
	uint64_t now_ns = clock_now_ns();
	struct kube_transfer *t = pool && !pool->retired ? pool->first : NULL;

	while (t) {
		if (is_stuck(t, now_ns)) {
			finish(t, CURLE_OPERATION_TIMEDOUT, true);
			t = pool->first; /* whose end it is may have begun and ended others */
		} else {
			t = t->next;
		}
	}
}

static void on_probe_end(struct kube_http *http, const struct kube_transfer *t, CURLcode code)
{
	bool reached = code == CURLE_OK && t->probe_server < http->n_servers;

	if (reached && http->current != t->probe_server) {
		http->current = t->probe_server;
		retire(http);
	}
	if (reached)
		retry_connecting(http);
	t->probed(t->ops.ctx, reached);
}

static void finish(struct kube_transfer *t, CURLcode code, bool missed)
{
	struct kube_http *http = t->pool->http;
	enum kube_http_end how = end_of(t, code, missed);
	bool may_retry = missed;

	curl_multi_remove_handle(t->pool->multi, t->easy);
	unlink_transfer(t);
	if (code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CERTPROBLEM ||
	    t->status == 401)
		auth_refresh(http->auth, clock_now_ns(), AUTH_NOW);
	if (t->status)
		http->tried = 0;
	if (t->probed) {
		on_probe_end(http, t, code);
	} else if (t->watchdog) {
		if (!missed)
			on_watchdog_end(http, code);
		else
			http->watchdog = NULL;
	} else {
		/* one slow answer to a write says nothing about the connection: the watchdog looks after that */
		if (how == KUBE_HTTP_FAILED && !(t->sends && code == CURLE_OPERATION_TIMEDOUT))
			may_retry = move_on(http, t->pool);
		t->ops.end(t->ops.ctx, how, may_retry, *t->why ? t->why : curl_easy_strerror(code));
	}
	transfer_free(t);
}

static size_t on_header(char *line, size_t size, size_t n, void *arg)
{
	struct kube_transfer *t = arg;
	size_t len = size * n, at = sizeof("retry-after:") - 1;
	long status = 0;

	if (len > 5 && strncasecmp(line, "HTTP/", 5) == 0) {
		*t->retry_after = 0;
	} else if (len > at && strncasecmp(line, "retry-after:", at) == 0) {
		for (; at < len && (line[at] == ' ' || line[at] == '\t'); at++)
			;
		while (len > at &&
		       (line[len - 1] == '\r' || line[len - 1] == '\n' || line[len - 1] == ' '))
			len--;
		if (copy_part(t->retry_after, sizeof(t->retry_after), line + at, len - at) < 0)
			*t->retry_after = 0;
	} else if (len <= 2 && !t->status) {
		curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
		if (status >= 200) {
			t->status = (unsigned)status;
			if (t->ops.head)
				t->ops.head(t->ops.ctx, t->status,
					    *t->retry_after ? t->retry_after : NULL);
		}
	}
	return size * n;
}

static size_t on_body(char *bytes, size_t size, size_t n, void *arg)
{
	struct kube_transfer *t = arg;
	size_t len = size * n;

	if (t->status != 200 && !t->sends) {
		t->refusal_bytes += len;
		return t->refusal_bytes <= REFUSAL_BYTES_MAX ? len : 0;
	}
	if (t->ops.bytes && t->ops.bytes(t->ops.ctx, bytes, len) != 0)
		return 0;
	return len;
}

static int on_socket_made(void *arg, curl_socket_t fd, curlsocktype purpose)
{
	unsigned timeout_ms = USER_TIMEOUT_MS;
	int probes = KEEP_PROBES;

	(void)arg;
	(void)purpose;
	setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms, sizeof(timeout_ms));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof(probes));
	return CURL_SOCKOPT_OK;
}

static void put_host(struct buf *buf, const char *host)
{
	buf_printf(buf, strchr(host, ':') ? "[%s]" : "%s", host);
}

/* Where to, and what the certificate must say. */
static int set_address(struct kube_transfer *t, const struct kube_server *s, bool probe,
		       const char *target)
{
	struct buf url = { 0 }, to = { 0 };
	int rc = -ENOMEM;

	buf_puts(&url, s->plain || probe ? "http://" : "https://");
	put_host(&url, *s->tls_name && !probe ? s->tls_name : s->host);
	buf_printf(&url, ":%u%s%s", s->port, probe ? "" : s->path, target);
	if (*s->tls_name && !probe) {
		buf_puts(&to, "::"); /* whatever the URL says */
		put_host(&to, s->host);
		buf_printf(&to, ":%u", s->port);
		t->connect_to = to.failed ? NULL : curl_slist_append(NULL, buf_str(&to));
	}
	if (!url.failed && (!*s->tls_name || probe || t->connect_to)) {
		curl_easy_setopt(t->easy, CURLOPT_URL, buf_str(&url));
		curl_easy_setopt(t->easy, CURLOPT_CONNECT_TO, t->connect_to);
		rc = 0;
	}
	buf_done(&url);
	buf_done(&to);
	return rc;
}

static void set_blob(CURL *easy, CURLoption option, struct auth_pem pem)
{
	struct curl_blob blob = { (void *)(uintptr_t)pem.text, pem.len, CURL_BLOB_COPY };

	if (pem.text)
		curl_easy_setopt(easy, option, &blob);
}

static void set_identity(struct kube_transfer *t, struct auth *auth)
{
	curl_easy_setopt(t->easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	curl_easy_setopt(t->easy, CURLOPT_CA_CACHE_TIMEOUT, 0L);
	if (auth_ca(auth).text) { /* it and no other */
		curl_easy_setopt(t->easy, CURLOPT_CAINFO, NULL);
		curl_easy_setopt(t->easy, CURLOPT_CAPATH, NULL);
		set_blob(t->easy, CURLOPT_CAINFO_BLOB, auth_ca(auth));
	}
	set_blob(t->easy, CURLOPT_SSLCERT_BLOB, auth_cert(auth));
	set_blob(t->easy, CURLOPT_SSLKEY_BLOB, auth_key(auth));
}

static int add_header(struct kube_transfer *t, const char *name, const char *value)
{
	struct curl_slist *list;
	struct buf line = { 0 };

	buf_printf(&line, "%s: %s", name, value);
	list = line.failed ? NULL : curl_slist_append(t->headers, buf_str(&line));
	if (line.data)
		explicit_bzero(line.data, line.len);
	buf_done(&line);
	if (!list)
		return -ENOMEM;
	t->headers = list;
	return 0;
}

static int set_headers(struct kube_transfer *t, const struct kube_server *s, struct auth *auth)
{
	const char *token = s->plain ? NULL : auth_token(auth);
	struct buf bearer = { 0 };
	int rc = add_header(t, "Accept", "application/json");

	if (rc == 0 && token) {
		buf_printf(&bearer, "Bearer %s", token);
		rc = bearer.failed ? -ENOMEM : add_header(t, "Authorization", buf_str(&bearer));
		if (bearer.data)
			explicit_bzero(bearer.data, bearer.len);
		buf_done(&bearer);
	}
	curl_easy_setopt(t->easy, CURLOPT_HTTPHEADER, t->headers);
	return rc;
}

static void set_common(struct kube_transfer *t)
{
	CURL *e = t->easy;

	curl_easy_setopt(e, CURLOPT_PRIVATE, t);
	curl_easy_setopt(e, CURLOPT_ERRORBUFFER, t->why);
	curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(
		e, CURLOPT_PROXY,
		""); /* none from the environment: the token goes to the API server alone */
	curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(e, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
	curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MS);
	curl_easy_setopt(e, CURLOPT_SOCKOPTFUNCTION, on_socket_made);
	curl_easy_setopt(e, CURLOPT_TCP_KEEPALIVE, 1L);
	curl_easy_setopt(e, CURLOPT_TCP_KEEPIDLE, KEEP_IDLE_S);
	curl_easy_setopt(e, CURLOPT_TCP_KEEPINTVL, KEEP_INTERVAL_S);
	curl_easy_setopt(e, CURLOPT_USERAGENT, "sluice/" SLUICE_VERSION);
	curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(e, CURLOPT_HEADERDATA, t);
	curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(e, CURLOPT_WRITEDATA, t);
}

static void set_http(struct kube_transfer *t, bool plain, bool stream)
{
	curl_easy_setopt(t->easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
	if (!plain) /* there ALPN says soon whether to share the connection; without it, all would wait for the first to end */
		curl_easy_setopt(t->easy, CURLOPT_PIPEWAIT, 1L);
	if (!stream)
		curl_easy_setopt(t->easy, CURLOPT_ACCEPT_ENCODING, "gzip");
}

static int start(struct kube_transfer *t, struct pool *pool)
{
	if (curl_multi_add_handle(pool->multi, t->easy) != CURLM_OK)
		return -ENOMEM;
	t->pool = pool;
	t->started_ns = clock_now_ns();
	t->next = pool->first;
	if (t->next)
		t->next->prev = t;
	pool->first = t;
	return 0;
}

static struct kube_transfer *transfer_new(void)
{
	struct kube_transfer *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->easy = curl_easy_init();
	if (!t->easy) {
		free(t);
		return NULL;
	}
	set_common(t);
	return t;
}

/* A request, GET at first, not yet started. */
static int prepare(struct kube_http *http, const char *target, bool stream,
		   struct kube_transfer **ret)
{
	const struct kube_server *s = &http->servers[http->current];
	struct kube_transfer *t = transfer_new();
	int rc;

	if (!t)
		return -ENOMEM;
	rc = set_address(t, s, false, target);
	if (rc == 0)
		rc = set_headers(t, s, http->auth);
	if (rc < 0) {
		transfer_free(t);
		return rc;
	}
	set_identity(t, http->auth);
	set_http(t, s->plain, stream);
	*ret = t;
	return 0;
}

int kube_http_get(struct kube_http *http, const char *target, bool stream,
		  const struct kube_http_ops *ops, struct kube_transfer **ret_transfer)
{
	struct pool *pool = current_pool(http);
	struct kube_transfer *t;
	int rc = pool ? prepare(http, target, stream, &t) : -ENOMEM;

	if (rc < 0)
		return rc;
	t->ops = *ops;
	rc = start(t, pool);
	if (rc < 0)
		transfer_free(t);
	else
		*ret_transfer = t;
	return rc;
}

static int set_request(struct kube_transfer *t, const struct kube_http_request *request)
{
	int rc = 0;

	curl_easy_setopt(t->easy, CURLOPT_CUSTOMREQUEST, request->method);
	curl_easy_setopt(t->easy, CURLOPT_TIMEOUT_MS, (long)KUBE_HTTP_SEND_MS);
	if (!request->body)
		return 0;
	curl_easy_setopt(t->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body_len);
	curl_easy_setopt(t->easy, CURLOPT_POSTFIELDS, request->body);
	rc = add_header(t, "Content-Type", request->content_type);
	if (rc == 0)
		rc = add_header(t, "Expect", ""); /* no 100-continue: bodies are small */
	curl_easy_setopt(t->easy, CURLOPT_HTTPHEADER, t->headers);
	return rc;
}

int kube_http_send(struct kube_http *http, const struct kube_http_request *request,
		   const struct kube_http_ops *ops, struct kube_transfer **ret_transfer)
{
	struct pool *pool = current_pool(http);
	struct kube_transfer *t;
	int rc = pool ? prepare(http, request->target, false, &t) : -ENOMEM;

	if (rc < 0)
		return rc;
	t->ops = *ops;
	t->sends = true;
	rc = set_request(t, request);
	if (rc == 0)
		rc = start(t, pool);
	if (rc < 0)
		transfer_free(t);
	else
		*ret_transfer = t;
	return rc;
}

void kube_http_cancel(struct kube_transfer *t)
{
	if (!t)
		return;
	curl_multi_remove_handle(t->pool->multi, t->easy);
	unlink_transfer(t);
	transfer_free(t);
}

/* ---- is it there? ----------------------------------------------------------------------------------- */

static void on_watchdog(void *arg)
{
	struct kube_http *http = arg;
	struct pool *pool = http->pools;
	struct kube_transfer *t;

	if (http->watchdog || !pool || pool->retired || !pool->first)
		return;
	if (prepare(http, "/version", false, &t) < 0)
		return;
	t->watchdog = true;
	curl_easy_setopt(t->easy, CURLOPT_TIMEOUT_MS, WATCHDOG_MS);
	if (start(t, pool) < 0)
		transfer_free(t);
	else
		http->watchdog = t;
}

void kube_http_probe(struct kube_http *http, void (*fn)(void *ctx, bool reached), void *ctx)
{
	struct pool *pool = http->pools && !http->pools->retired ? http->pools : pool_new(http);
	struct kube_transfer *t = pool ? transfer_new() : NULL;

	if (!t)
		return;
	http->probed = http->probed < http->n_servers ? http->probed : 0;
	t->probed = fn;
	t->ops.ctx = ctx;
	t->probe_server = http->probed++;
	curl_easy_setopt(t->easy, CURLOPT_CONNECT_ONLY, 1L);
	curl_easy_setopt(t->easy, CURLOPT_FRESH_CONNECT, 1L);
	curl_easy_setopt(t->easy, CURLOPT_TIMEOUT_MS, PROBE_MS);
	if (set_address(t, &http->servers[t->probe_server], true, "/") < 0 || start(t, pool) < 0)
		transfer_free(t);
}

/* ---- beginning, end, looking ------------------------------------------------------------------------ */

void kube_http_give_up(struct kube_http *http)
{
	give_up(http);
}

int kube_http_set_servers(struct kube_http *http, const struct kube_server *servers, size_t n)
{
	struct kube_server *copy = calloc(n, sizeof(*copy));
	size_t i, current = n;

	if (!copy)
		return -ENOMEM;
	memcpy(copy, servers, n * sizeof(*copy));
	for (i = 0; i < n && http->n_servers; i++)
		if (same_server(&copy[i], &http->servers[http->current]))
			current = i;
	if (current == n)
		retire(http);
	free(http->servers);
	http->servers = copy;
	http->n_servers = n;
	http->current = current < n ? current : 0;
	http->probed = http->current;
	http->tried = 0;
	return 0;
}

int kube_http_new(struct loop *loop, struct auth *auth, struct kube_http **ret_http)
{
	struct kube_http *http = calloc(1, sizeof(*http));
	int rc;

	if (!http || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
		free(http);
		return -ENOMEM;
	}
	http->loop = loop;
	http->auth = auth;
	http->auth_generation = auth_generation(auth);
	rc = loop_add_deferred(loop, sweep, http, &http->sweeper);
	if (rc == 0)
		rc = loop_add_timer(loop, on_watchdog, http, &http->watchdog_timer);
	if (rc == 0)
		rc = loop_arm(http->watchdog_timer, WATCHDOG_NS, WATCHDOG_NS);
	if (rc < 0)
		kube_http_free(http);
	else
		*ret_http = http;
	return rc;
}

void kube_http_free(struct kube_http *http)
{
	struct pool *pool, *next;
	struct kube_transfer *t;

	if (!http)
		return;
	for (pool = http->pools; pool; pool = next) {
		next = pool->next;
		while ((t = pool->first)) {
			pool->first = t->next; /* as unlinking will do once more */
			kube_http_cancel(t);
		}
		pool_free(pool);
	}
	loop_remove(http->watchdog_timer);
	loop_remove(http->sweeper);
	free(http->servers);
	free(http);
	curl_global_cleanup();
}

void kube_http_count(const struct kube_http *http, struct kube_http_stats *ret_stats)
{
	*ret_stats = http->stats;
	ret_stats->server = http->n_servers ? http->servers[http->current].host : "";
}
