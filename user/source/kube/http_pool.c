// SPDX-License-Identifier: GPL-2.0-only
/* Connections by libcurl on the loop: made, retired, given up. */
/* Must not know what goes over them. */
#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/loop.h"
#include "source/kube/auth.h"
#include "source/kube/http_state.h"

struct socket_event {
	struct pool *pool;
	struct loop_event *event;
};

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
		kube_http_finish(t, code, false);
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

void kube_pool_free(struct pool *pool)
{
	if (pool->multi)
		curl_multi_cleanup(pool->multi); /* ends the sockets' events */
	loop_remove(pool->timer);
	free(pool);
}

struct pool *kube_pool_new(struct kube_http *http)
{
	struct pool *pool = calloc(1, sizeof(*pool));

	if (!pool)
		return NULL;
	pool->http = http;
	pool->multi = curl_multi_init();
	if (!pool->multi || loop_add_timer(http->loop, on_timer, pool, &pool->timer) < 0) {
		kube_pool_free(pool);
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
void kube_pool_retire(struct kube_http *http)
{
	if (http->pools)
		http->pools->retired = true;
	loop_post(http->sweeper);
}

void kube_pool_sweep(void *arg)
{
	struct kube_http *http = arg;
	struct pool **slot = &http->pools, *pool;

	while ((pool = *slot)) {
		if (!pool->retired || pool->first) {
			slot = &pool->next;
			continue;
		}
		*slot = pool->next;
		kube_pool_free(pool);
	}
}

/* The connections in use are of no use: everything on them ends now. */
void kube_http_give_up(struct kube_http *http)
{
	struct pool *pool = http->pools;
	struct kube_transfer *t;

	if (!pool)
		return;
	kube_pool_retire(http);
	while ((t = pool->first)) {
		pool->first = t->next; /* as unlinking will do once more */
		kube_http_finish(t, CURLE_OPERATION_TIMEDOUT, true);
	}
}

struct pool *kube_pool_current(struct kube_http *http)
{
	uint64_t generation;

	auth_refresh(http->auth, clock_now_ns(), AUTH_WHEN_DUE);
	generation = auth_generation(http->auth);
	if (generation != http->auth_generation)
		kube_pool_retire(http);
	http->auth_generation = generation;
	return http->pools && !http->pools->retired ? http->pools : kube_pool_new(http);
}
