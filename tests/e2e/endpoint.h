/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Addresses of sockets as text, shared by the programs that make traffic.
 */
#ifndef E2E_ENDPOINT_H
#define E2E_ENDPOINT_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

struct endpoint {
	struct sockaddr_storage addr;
	socklen_t len;
};

/* "10.96.0.20" or "fd00::20"; mapped: an IPv4 address as ::ffff:10.96.0.20. False: no address. */
static inline bool endpoint_parse(const char *host, uint16_t port, bool mapped,
				  struct endpoint *ret)
{
	struct sockaddr_in *in4 = (struct sockaddr_in *)&ret->addr;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&ret->addr;
	char text[64];

	memset(ret, 0, sizeof(*ret));
	if (!mapped && inet_pton(AF_INET, host, &in4->sin_addr) == 1) {
		in4->sin_family = AF_INET;
		in4->sin_port = htons(port);
		ret->len = sizeof(*in4);
		return true;
	}
	snprintf(text, sizeof(text), "%s%s", mapped ? "::ffff:" : "", host);
	in6->sin6_family = AF_INET6;
	in6->sin6_port = htons(port);
	ret->len = sizeof(*in6);
	return inet_pton(AF_INET6, text, &in6->sin6_addr) == 1;
}

/* "10.96.0.20:80", "[fd00::20]:80" */
static inline const char *endpoint_text(const struct endpoint *e, char buf[64])
{
	const struct sockaddr_in *in4 = (const struct sockaddr_in *)&e->addr;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&e->addr;
	char text[INET6_ADDRSTRLEN] = "?";

	if (e->addr.ss_family == AF_INET) {
		inet_ntop(AF_INET, &in4->sin_addr, text, sizeof(text));
		snprintf(buf, 64, "%s:%u", text, ntohs(in4->sin_port));
	} else {
		inet_ntop(AF_INET6, &in6->sin6_addr, text, sizeof(text));
		snprintf(buf, 64, "[%s]:%u", text, ntohs(in6->sin6_port));
	}
	return buf;
}

static inline bool endpoint_equal(const struct endpoint *a, const struct endpoint *b)
{
	char x[64], y[64];

	return !strcmp(endpoint_text(a, x), endpoint_text(b, y));
}

static inline uint64_t clock_now_us(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

#endif
