// SPDX-License-Identifier: GPL-2.0-only
/*
 * One caller of a service: says who answered, and what the socket calls say about the peer.
 * Must not know what stands behind the address.
 *
 *   call tcp|udp ADDRESS PORT [OPTION…]
 *     --unconnected      UDP by sendto() and recvfrom() instead of connect(), send() and recv()
 *     --mapped           an IPv4 address from an IPv6 socket, as ::ffff:A.B.C.D
 *     --source-port P    bind to this port first
 *     --source ADDRESS   bind to this address first
 *     --pause MS         between requests (0)
 *     --count N          so many requests on the one socket (1)
 *     --size N           UDP: bytes of payload (16)
 *     --get N, --put N   TCP: fetch or send so many bytes (0)
 *     --df               UDP: may not be fragmented (IP_PMTUDISC_DO)
 *     --timeout MS       (3000)
 *
 * A line for each request:
 *   ok name=POD peer=getpeername from=recvfrom local=getsockname bytes=N ms=N
 *   error=ECONNREFUSED at=connect ms=N
 * Exit status 1 when a request failed.
 */
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <unistd.h>

#include "endpoint.h"

struct call {
	bool udp, unconnected, mapped, df;
	uint16_t source_port;
	const char *source;
	unsigned int count, pause_ms, timeout_ms;
	uint64_t size, get, put;
	struct endpoint to;
	int fd;
	uint64_t start_us;
	char name[128];
	struct endpoint from;
	uint64_t bytes;
};

static int fail(const struct call *c, const char *at)
{
	printf("error=%s at=%s ms=%.1f\n", strerrorname_np(errno), at,
	       (double)(clock_now_us(CLOCK_MONOTONIC) - c->start_us) / 1000);
	return 1;
}

static int report(const struct call *c)
{
	struct endpoint peer = { .len = sizeof(peer.addr) }, local = { .len = sizeof(local.addr) };
	char peer_text[64] = "-", from_text[64], local_text[64];

	if (getpeername(c->fd, (struct sockaddr *)&peer.addr, &peer.len) == 0)
		endpoint_text(&peer, peer_text);
	getsockname(c->fd, (struct sockaddr *)&local.addr, &local.len);
	printf("ok name=%s peer=%s from=%s local=%s bytes=%llu ms=%.1f\n", c->name, peer_text,
	       c->from.len ? endpoint_text(&c->from, from_text) : "-",
	       endpoint_text(&local, local_text), (unsigned long long)c->bytes,
	       (double)(clock_now_us(CLOCK_MONOTONIC) - c->start_us) / 1000);
	return 0;
}

/* ---- TCP ---------------------------------------------------------------------------------------------------- */

static bool send_all(int fd, const char *data, size_t len)
{
	while (len) {
		ssize_t n = send(fd, data, len, MSG_NOSIGNAL);

		if (n < 0)
			return false;
		data += n;
		len -= (size_t)n;
	}
	return true;
}

static bool send_request(const struct call *c)
{
	static char chunk[65536];
	char head[256];
	uint64_t left = c->put;

	if (c->put)
		snprintf(head, sizeof(head),
			 "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: %llu\r\n\r\n",
			 (unsigned long long)c->put);
	else if (c->get)
		snprintf(head, sizeof(head), "GET /bytes/%llu HTTP/1.1\r\nHost: x\r\n\r\n",
			 (unsigned long long)c->get);
	else
		snprintf(head, sizeof(head), "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
	if (!send_all(c->fd, head, strlen(head)))
		return false;
	while (left) {
		size_t n = left < sizeof(chunk) ? (size_t)left : sizeof(chunk);

		if (!send_all(c->fd, chunk, n))
			return false;
		left -= n;
	}
	return true;
}

/* Reads one answer: head, then Content-Length bytes. The first word of a short body is the pod's name. */
static bool read_answer(struct call *c)
{
	static char in[65536];
	char head[2048];
	size_t head_len = 0, body = 0;
	unsigned long long length;
	const char *at;

	while (head_len < 4 || memcmp(head + head_len - 4, "\r\n\r\n", 4)) {
		ssize_t n = head_len + 1 < sizeof(head) ? recv(c->fd, head + head_len, 1, 0) : 0;

		if (n <= 0) {
			errno = n ? errno : ECONNRESET;
			return false;
		}
		head[++head_len] = 0;
	}
	at = strstr(head, "Content-Length: ");
	if (!at)
		return errno = EPROTO, false;
	length = strtoull(at + 16, NULL, 10);
	for (c->bytes = 0; c->bytes < length; c->bytes += body) {
		size_t want = length - c->bytes < sizeof(in) ? (size_t)(length - c->bytes)
							     : sizeof(in);
		ssize_t n = recv(c->fd, in, want, 0);

		if (n <= 0) {
			errno = n ? errno : ECONNRESET;
			return false;
		}
		body = (size_t)n;
		if (!c->bytes && !c->get)
			sscanf(in, "%127s", c->name);
	}
	if (c->get)
		snprintf(c->name, sizeof(c->name), "-");
	return true;
}

/* ---- UDP ---------------------------------------------------------------------------------------------------- */

static bool udp_send(const struct call *c, unsigned int turn)
{
	static char payload[65536];

	memset(payload, 'x', sizeof(payload));
	snprintf(payload, 12, "%010u", turn);
	payload[10] = 'x';
	if (c->unconnected)
		return sendto(c->fd, payload, c->size, 0, (const struct sockaddr *)&c->to.addr,
			      c->to.len) >= 0;
	return send(c->fd, payload, c->size, 0) >= 0;
}

static bool udp_receive(struct call *c, unsigned int turn)
{
	static char in[65536];
	char want[16], *blank;
	ssize_t n;

	snprintf(want, sizeof(want), "%010u", turn);
	do {
		memset(&c->from, 0, sizeof(c->from));
		c->from.len = sizeof(c->from.addr);
		n = recvfrom(c->fd, in, sizeof(in) - 1, 0, (struct sockaddr *)&c->from.addr,
			     &c->from.len);
		if (n < 0)
			return false;
		in[n] = 0;
		blank = strchr(in, ' ');
		if (!blank)
			return errno = EPROTO, false;
	} while (memcmp(blank + 1, want,
			c->size < 10 ? c->size : 10)); /* an answer of an earlier turn */
	snprintf(c->name, sizeof(c->name), "%.*s", (int)(blank - in), in);
	c->bytes = (uint64_t)(in + n - blank - 1);
	for (const char *p = blank + 11; p < in + n; p++)
		if (*p != 'x')
			return errno = EBADMSG, false;
	return true;
}

/* ---- calls -------------------------------------------------------------------------------------------------- */

static int open_socket(struct call *c)
{
	struct timeval wait = { .tv_sec = c->timeout_ms / 1000,
				.tv_usec = (c->timeout_ms % 1000) * 1000 };
	int family = c->to.addr.ss_family, on = 1, dont = IP_PMTUDISC_DO;
	struct endpoint any;

	c->fd = socket(family, c->udp ? SOCK_DGRAM : SOCK_STREAM, 0);
	if (c->fd < 0)
		return fail(c, "socket");
	setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
	setsockopt(c->fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait));
	setsockopt(c->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (c->df && family == AF_INET)
		setsockopt(c->fd, IPPROTO_IP, IP_MTU_DISCOVER, &dont, sizeof(dont));
	if (c->df && family == AF_INET6)
		setsockopt(c->fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, &dont, sizeof(dont));
	if (c->source_port || c->source) {
		const char *source = c->source ? c->source : family == AF_INET ? "0.0.0.0" : "::";

		endpoint_parse(source, c->source_port, c->mapped && c->source, &any);
		if (bind(c->fd, (struct sockaddr *)&any.addr, any.len) < 0)
			return fail(c, "bind");
	}
	if (!c->unconnected && connect(c->fd, (struct sockaddr *)&c->to.addr, c->to.len) < 0) {
		if (errno == EINPROGRESS) /* SO_SNDTIMEO ran out */
			errno = ETIMEDOUT;
		return fail(c, "connect");
	}
	return 0;
}

static int call(struct call *c, unsigned int turn)
{
	if (c->udp ? !udp_send(c, turn) : !send_request(c))
		return fail(c, "send");
	if (c->udp ? !udp_receive(c, turn) : !read_answer(c)) {
		if (errno == EAGAIN)
			errno = ETIMEDOUT;
		return fail(c, "receive");
	}
	return report(c);
}

static const struct option long_options[] = {
	{ "unconnected", no_argument, NULL, 'u' },       { "mapped", no_argument, NULL, 'm' },
	{ "source-port", required_argument, NULL, 's' }, { "count", required_argument, NULL, 'c' },
	{ "size", required_argument, NULL, 'z' },        { "get", required_argument, NULL, 'g' },
	{ "put", required_argument, NULL, 'p' },         { "df", no_argument, NULL, 'd' },
	{ "timeout", required_argument, NULL, 't' },     { "source", required_argument, NULL, 'a' },
	{ "pause", required_argument, NULL, 'w' },       { 0 },
};

int main(int argc, char *argv[])
{
	struct call c = { .count = 1, .timeout_ms = 3000, .size = 16 };
	int option, bad;

	while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		switch (option) {
		case 'u':
			c.unconnected = true;
			break;
		case 'm':
			c.mapped = true;
			break;
		case 'd':
			c.df = true;
			break;
		case 'a':
			c.source = optarg;
			break;
		case 'w':
			c.pause_ms = (unsigned int)atoi(optarg);
			break;
		case 's':
			c.source_port = (uint16_t)atoi(optarg);
			break;
		case 'c':
			c.count = (unsigned int)atoi(optarg);
			break;
		case 't':
			c.timeout_ms = (unsigned int)atoi(optarg);
			break;
		case 'z':
			c.size = strtoull(optarg, NULL, 10);
			break;
		case 'g':
			c.get = strtoull(optarg, NULL, 10);
			break;
		case 'p':
			c.put = strtoull(optarg, NULL, 10);
			break;
		default:
			return 2;
		}
	}
	if (argc - optind != 3 || c.size > 65000 || c.size < 10 ||
	    !endpoint_parse(argv[optind + 1], (uint16_t)atoi(argv[optind + 2]), c.mapped, &c.to)) {
		fputs("usage: call tcp|udp ADDRESS PORT [OPTION…]\n", stderr);
		return 2;
	}
	c.udp = !strcmp(argv[optind], "udp");
	c.start_us = clock_now_us(CLOCK_MONOTONIC);
	bad = open_socket(&c);
	for (unsigned int i = 0; i < c.count && !bad; i++) {
		if (i) {
			fflush(stdout);
			usleep(c.pause_ms * 1000);
			c.start_us = clock_now_us(CLOCK_MONOTONIC);
		}
		bad = call(&c, i);
	}
	return bad;
}
