// SPDX-License-Identifier: GPL-2.0-only
/* A client's connection before HTTP: limits, the PROXY header, and which protocol it speaks. */
/* Must not know requests. */
#include "ingress/client.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/loop.h"
#include "ingress/front1.h"
#include "ingress/front2.h"
#include "ingress/listen.h"
#include "ingress/peers.h"
#include "ingress/proxy_protocol.h"
#include "ingress/settings.h"
#include "ingress/stats.h"
#include "ingress/tls.h"

#define MAKE_ROOM_LOOKS 256 /* clients that are looked at for an idle one */

static const char http2_preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

static void client_free(void *arg)
{
	struct client *client = arg;

	free(client);
}

void client_close(struct client *client, bool reset)
{
	struct worker *worker = client->worker;

	worker_clear_timer(worker, &client->timer);
	sock_close(&client->sock, reset);
	buf_done(&client->first);
	peers_leave(worker->peers, client->counted ? &client->tcp_peer : NULL);
	TAILQ_REMOVE(&worker->clients, client, link);
	worker->n_clients--;
	atomic_store_explicit(&worker->n_clients_seen, worker->n_clients, memory_order_relaxed);
	stats_gauge(worker->stats, GAUGE_CLIENTS, -1);
	client->grave = (struct worker_grave){ .free = client_free, .arg = client };
	worker_bury(worker, &client->grave);
}

void client_deadline(struct client *client, uint64_t deadline_ns)
{
	if (deadline_ns == UINT64_MAX)
		worker_clear_timer(client->worker, &client->timer);
	else
		worker_set_timer(client->worker, &client->timer, deadline_ns);
}

static void refuse(struct client *client)
{
	stats_add(client->worker->stats, STATS_CONNECTIONS_REFUSED, 1);
	client_close(client, true);
}

/* ---- which protocol -------------------------------------------------------------------------------------------- */

/* Bytes of a plain connection: is it HTTP/2 by prior knowledge? 1: yes; 0: no; -EAGAIN: could be. */
static int is_http2(const char *bytes, size_t len)
{
	size_t n = sizeof(http2_preface) - 1;

	if (memcmp(bytes, http2_preface, len < n ? len : n) != 0)
		return 0;
	return len < n ? -EAGAIN : 1;
}

static void speak_http2(struct client *client, const char *bytes, size_t len)
{
	stats_add(client->worker->stats, STATS_HTTP2_CONNECTIONS, 1);
	if (front2_new(client, bytes, len) < 0)
		client_close(client, true);
}

/* The first bytes: into the scratch memory, behind what was kept of them. */
static void read_first(struct client *client)
{
	struct worker *worker = client->worker;
	size_t kept = client->first.len;
	ssize_t n;

	memcpy(worker->scratch, buf_str(&client->first), kept);
	n = sock_read(&client->sock, worker->scratch + kept, WORKER_SCRATCH - kept);
	if (n == -EAGAIN)
		return;
	if (n <= 0) {
		client_close(client, false);
		return;
	}
	kept += (size_t)n;
	if (!client->tls && is_http2(worker->scratch, kept) == -EAGAIN) {
		client->first.len = 0;
		if (buf_put(&client->first, worker->scratch, kept) < 0)
			client_close(client, true);
		else
			client_deadline(client, worker_now_ns(worker) + worker->settings->head_ns);
		return;
	}
	buf_done(&client->first);
	if (!client->tls && is_http2(worker->scratch, kept))
		speak_http2(client, worker->scratch, kept);
	else if (front1_new(client, worker->scratch, kept) < 0)
		client_close(client, true);
}

/* ---- the PROXY header ------------------------------------------------------------------------------------------ */

static bool is_trusted(const struct settings *settings, const struct address *peer)
{
	for (size_t i = 0; i < settings->n_trusted_proxies; i++)
		if (cidr_contains(&settings->trusted_proxies[i], peer))
			return true;
	return false;
}

/* Taken from the socket exactly, as what follows may be TLS. 0: it is there; -EAGAIN; or it is refused. */
static int read_proxied(struct client *client)
{
	char bytes[PROXY_PROTOCOL_MAX];
	struct proxy_protocol header;
	ssize_t n = recv(client->sock.fd, bytes, sizeof(bytes), MSG_PEEK);
	int len;

	if (n < 0)
		return -errno;
	if (n == 0)
		return -ECONNRESET;
	len = proxy_protocol_read(bytes, (size_t)n, &header);
	if (len == 0)
		return -EAGAIN;
	if (len < 0 || recv(client->sock.fd, bytes, (size_t)len, 0) != len)
		return -EPROTO;
	if (!header.local) {
		client->peer = header.source;
		client->peer_port = header.source_port;
		client->local_port = header.target_port;
		/* Who wrote the header is believed in that; the fields of HTTP are the client's. */
		client->trusted = is_trusted(client->worker->settings, &client->peer);
	}
	client->proxied = false;
	return 0;
}

/* The TLS handshake, as far as it goes. 0: it is over; -EAGAIN; or -errno. */
static int shake_hands(struct client *client)
{
	struct stats *stats = client->worker->stats;
	int rc = sock_handshake(&client->sock);

	if (rc == -EAGAIN)
		return rc;
	if (rc < 0) {
		stats_add(stats, STATS_HANDSHAKES_FAILED, 1);
		return rc;
	}
	stats_add(stats, STATS_HANDSHAKES, 1);
	if (tls_was_resumed(client->sock.ssl))
		stats_add(stats, STATS_HANDSHAKES_RESUMED, 1);
	client_deadline(client,
			worker_now_ns(client->worker) + client->worker->settings->keep_alive_ns);
	return 0;
}

static void on_events(void *arg, uint32_t events)
{
	struct client *client = arg;

	if (events & EPOLLRDHUP)
		client->fin = true;
	if (client->ops) {
		client->ops->events(client->state, events);
		return;
	}
	if (events & (EPOLLERR | EPOLLHUP)) {
		client_close(client, false);
		return;
	}
	if (!(events & (EPOLLIN | EPOLLRDHUP)) && !client->tls)
		return;
	if (client->proxied) {
		int rc = read_proxied(client);

		if (rc < 0 && rc != -EAGAIN)
			refuse(client);
		if (rc < 0)
			return;
	}
	if (client->sock.handshake) {
		int rc = shake_hands(client);

		if (rc < 0 && rc != -EAGAIN)
			client_close(client, false);
		if (rc < 0)
			return;
	}
	if (client->tls && tls_speaks_http2(client->sock.ssl))
		speak_http2(client, NULL, 0);
	else
		read_first(client);
}

static void on_timeout(void *arg)
{
	struct client *client = arg;

	if (client->ops)
		client->ops->timeout(client->state);
	else
		client_close(client, false);
}

/* ---- beginning and end ----------------------------------------------------------------------------------------- */

static uint64_t first_deadline(const struct client *client)
{
	const struct settings *settings = client->worker->settings;

	return worker_now_ns(client->worker) +
	       (client->proxied || client->tls ? settings->handshake_ns : settings->keep_alive_ns);
}

static bool add_tls(struct client *client)
{
	struct worker *worker = client->sock.worker;

	client->sock.ssl = tls_accept(worker->tls, client->sock.fd, worker);
	client->sock.handshake = client->sock.ssl != NULL;
	return client->sock.handshake;
}

static bool is_idle(const struct client *client)
{
	if (client->ops)
		return client->ops->is_idle && client->ops->is_idle(client->state);
	return !client->first.len && !client->tls;
}

/* Room for a new connection: the oldest that waits for nothing but a next request ends. False: all are busy. */
static bool make_room(struct worker *worker)
{
	struct client *client;
	int looked = 0;

	TAILQ_FOREACH_REVERSE(client, &worker->clients, client_list, link)
	{
		if (is_idle(client)) {
			if (client->ops)
				client->ops->cut(client->state, ENDING_COMPLETE);
			else
				client_close(client, false);
			return true;
		}
		if (++looked == MAKE_ROOM_LOOKS)
			break;
	}
	return false;
}

static bool enter(struct worker *worker, const struct address *counted)
{
	if (peers_enter(worker->peers, counted))
		return true;
	return peers_are_full(worker->peers) && make_room(worker) &&
	       peers_enter(worker->peers, counted);
}

void client_new(struct worker *worker, const struct listener *listener, int fd,
		const struct address *peer, uint16_t peer_port)
{
	const struct settings *settings = worker->settings;
	struct client *client;
	bool trusted = is_trusted(settings, peer);
	bool counted = !trusted && peers_by_address(worker->peers);

	stats_add(worker->stats, STATS_CONNECTIONS, 1);
	if ((settings->proxy_protocol && settings->n_trusted_proxies && !trusted) ||
	    !enter(worker, counted ? peer : NULL)) {
		stats_add(worker->stats, STATS_CONNECTIONS_REFUSED, 1);
		close(fd);
		return;
	}
	client = calloc(1, sizeof(*client));
	if (!client || sock_open(&client->sock, worker, fd, on_events, client) < 0 ||
	    (listener->tls && !add_tls(client))) {
		if (client && client->sock.event)
			loop_remove(client->sock.event);
		free(client);
		peers_leave(worker->peers, counted ? peer : NULL);
		close(fd);
		return;
	}
	client->worker = worker;
	client->peer = client->tcp_peer = *peer;
	client->peer_port = peer_port;
	client->local_port = listener->port;
	client->tls = listener->tls;
	client->trusted = trusted;
	client->counted = counted;
	client->proxied = settings->proxy_protocol;
	client->timer = (struct wheel_timer){ .fn = on_timeout, .arg = client };
	TAILQ_INSERT_HEAD(&worker->clients, client, link);
	worker->n_clients++;
	atomic_store_explicit(&worker->n_clients_seen, worker->n_clients, memory_order_relaxed);
	stats_gauge(worker->stats, GAUGE_CLIENTS, 1);
	client_deadline(client, first_deadline(client));
}

/* Each may close its client, and no other. */
void client_drain_all(struct worker *worker)
{
	struct client *client, *next;

	for (client = TAILQ_FIRST(&worker->clients); client; client = next) {
		next = TAILQ_NEXT(client, link);
		if (client->ops)
			client->ops->drain(client->state);
		else if (!client->first.len) /* its request may be on the way */
			client_deadline(client, worker_now_ns(worker) + CLIENT_GRACE_NS);
	}
}

void client_close_all(struct worker *worker, enum ending why)
{
	struct client *client, *next;

	for (client = TAILQ_FIRST(&worker->clients); client; client = next) {
		next = TAILQ_NEXT(client, link);
		if (client->ops)
			client->ops->cut(client->state, why);
		else
			client_close(client, true);
	}
}
