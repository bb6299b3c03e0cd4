/* SPDX-License-Identifier: GPL-2.0 */
/* nb: the traffic of the measurement. One server that echoes; a client that measures slices on command. */
/* Must not know how the packets get through. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MESSAGE   64
#define EVENTS    64
#define TIMES_MAX 1000000
#define TIMEOUT_S 5

static const int one = 1;

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void pin_to(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

/*
 * Who is woken does not preempt who woke it, so that every transaction has the same order of steps. Otherwise there are three orders
 * that differ by 30 us, and which one comes up how often depends on a microsecond here and there.
 */
static void wait_for_turn(void)
{
	struct sched_param none = { 0 };

	sched_setscheduler(0, SCHED_BATCH, &none);
}

static int fail(const char *what)
{
	perror(what);
	return 1;
}

/* ---- server: TCP and UDP on one port ---------------------------------------------------------------------------------- */

static void serve_udp(int udp)
{
	struct sockaddr_in peer;
	char message[2048];

	for (int i = 0; i < EVENTS; i++) {
		socklen_t len = sizeof(peer);
		ssize_t n = recvfrom(udp, message, sizeof(message), MSG_DONTWAIT,
				     (struct sockaddr *)&peer, &len);

		if (n <= 0)
			return;
		sendto(udp, message, (size_t)n, 0, (struct sockaddr *)&peer, len);
	}
}

static void serve_connection(int fd)
{
	char message[2048];
	ssize_t n = recv(fd, message, sizeof(message), 0);

	if (n > 0)
		send(fd, message, (size_t)n, MSG_NOSIGNAL);
	else if (n == 0 || errno != EAGAIN)
		close(fd);
}

static void accept_connection(int epoll, int tcp)
{
	struct epoll_event event = { .events = EPOLLIN };
	int fd = accept4(tcp, NULL, NULL, SOCK_NONBLOCK);

	if (fd < 0)
		return;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	event.data.fd = fd;
	epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}

static int serve(uint16_t port)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(port) };
	int tcp = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0),
	    udp = socket(AF_INET, SOCK_DGRAM, 0);
	int epoll = epoll_create1(0);
	struct epoll_event event = { .events = EPOLLIN, .data.fd = tcp }, events[EVENTS];

	setsockopt(tcp, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(tcp, (struct sockaddr *)&at, sizeof(at)) < 0 || listen(tcp, 4096) < 0 ||
	    bind(udp, (struct sockaddr *)&at, sizeof(at)) < 0)
		return fail("bind");
	epoll_ctl(epoll, EPOLL_CTL_ADD, tcp, &event);
	event.data.fd = udp;
	epoll_ctl(epoll, EPOLL_CTL_ADD, udp, &event);
	for (;;) {
		int n = epoll_wait(epoll, events, EVENTS, -1);

		for (int i = 0; i < n; i++) {
			int fd = events[i].data.fd;

			if (fd == tcp)
				accept_connection(epoll, tcp);
			else if (fd == udp)
				serve_udp(udp);
			else
				serve_connection(fd);
		}
	}
}

/* ---- client: slices ---------------------------------------------------------------------------------------------------- */

static uint32_t times_ns[TIMES_MAX];

static int dial(int type, const struct sockaddr_in *to)
{
	struct timeval timeout = { .tv_sec = TIMEOUT_S };
	int fd = socket(AF_INET, type, 0);

	if (type == SOCK_STREAM)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout)); /* connect() too */
	if (connect(fd, (const struct sockaddr *)to, sizeof(*to)) == 0)
		return fd;
	close(fd);
	return -1;
}

static int exchange(int fd)
{
	char message[MESSAGE] = "";

	return send(fd, message, MESSAGE, MSG_NOSIGNAL) == MESSAGE &&
			       recv(fd, message, MESSAGE, MSG_WAITALL) == MESSAGE
		       ? 0
		       : -1;
}

static int connect_once(const struct sockaddr_in *to)
{
	int fd = dial(SOCK_STREAM, to), rc = fd < 0 ? -1 : exchange(fd);

	if (fd >= 0)
		close(fd);
	return rc;
}

static int compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

/* Transactions of one kind for so long; prints how many, their total, median and lowest tenth. fd -1: a connection each. */
static int slice(int fd, const struct sockaddr_in *to, uint64_t length_ns)
{
	uint64_t began = now_ns(), last = began;
	size_t n = 0;

	while (last - began < length_ns && n < TIMES_MAX) {
		uint64_t now;

		if ((fd < 0 ? connect_once(to) : exchange(fd)) < 0) {
			printf("failed %s\n", strerror(errno));
			return -1;
		}
		now = now_ns();
		times_ns[n++] = (uint32_t)(now - last);
		last = now;
	}
	qsort(times_ns, n, sizeof(times_ns[0]), compare);
	printf("%zu %llu %u %u\n", n, (unsigned long long)(last - began), times_ns[n / 2],
	       times_ns[n / 10]);
	return 0;
}

/*
 * Reads "crr MS", "rr MS", "urr MS" (connect/request/close, TCP and UDP round trips) from stdin, one a line; answers each with
 * "transactions total_ns median_ns lowest_tenth_ns" or "failed reason". Connections of rr and urr are kept.
 */
static int client(const struct sockaddr_in *to)
{
	int tcp = -1, udp = -1;
	char mode[8];
	unsigned int ms;

	setvbuf(stdout, NULL, _IOLBF, 0);
	while (scanf("%7s %u", mode, &ms) == 2) {
		uint64_t length_ns = ms * 1000000ull;

		if (strcmp(mode, "rr") == 0 && tcp < 0)
			tcp = dial(SOCK_STREAM, to);
		if (strcmp(mode, "urr") == 0 && udp < 0)
			udp = dial(SOCK_DGRAM, to);
		if (strcmp(mode, "crr") == 0)
			slice(-1, to, length_ns);
		else if (strcmp(mode, "rr") == 0 && tcp >= 0)
			slice(tcp, to, length_ns);
		else if (strcmp(mode, "urr") == 0 && udp >= 0)
			slice(udp, to, length_ns);
		else
			printf("failed %s\n", strerror(errno));
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct sockaddr_in to = { .sin_family = AF_INET };

	if (argc == 4 && strcmp(argv[1], "server") == 0) {
		pin_to(atoi(argv[3]));
		wait_for_turn();
		return serve((uint16_t)atoi(argv[2]));
	}
	if (argc == 5 && strcmp(argv[1], "client") == 0 &&
	    inet_pton(AF_INET, argv[2], &to.sin_addr) == 1) {
		to.sin_port = htons((uint16_t)atoi(argv[3]));
		pin_to(atoi(argv[4]));
		wait_for_turn();
		return client(&to);
	}
	fputs("usage: nb server PORT CPU | nb client ADDR PORT CPU\n", stderr);
	return 2;
}
