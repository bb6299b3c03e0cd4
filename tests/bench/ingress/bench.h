/* SPDX-License-Identifier: GPL-2.0-only */
/* What the programs of this measurement share. */
#ifndef BENCH_INGRESS_H
#define BENCH_INGRESS_H

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define EVENT_BYTES 35 /* "data: ", 20 digits of time, " token…", an empty line */

static inline uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static inline void die(const char *what)
{
	perror(what);
	exit(1);
}

/* ADDRESS:PORT, IPv4. */
static inline struct sockaddr_in address_of(const char *text)
{
	struct sockaddr_in at = { .sin_family = AF_INET };
	const char *colon = strchr(text, ':');
	char host[INET_ADDRSTRLEN];

	snprintf(host, sizeof(host), "%.*s", colon ? (int)(colon - text) : 0, text);
	if (!colon || inet_pton(AF_INET, host, &at.sin_addr) != 1) {
		fprintf(stderr, "%s: no ADDRESS:PORT\n", text);
		exit(2);
	}
	at.sin_port = htons((uint16_t)atoi(colon + 1));
	return at;
}

static inline void no_delay(int fd)
{
	int one = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

#endif
