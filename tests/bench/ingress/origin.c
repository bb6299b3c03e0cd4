/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The origin behind every proxy that is measured: one thread, as little work a request as possible.
 *
 *	origin ADDRESS:PORT NAME
 *
 *	GET /big                             1 MiB with Content-Length
 *	GET /events?n=N&us=US&framing=F      N events, one each US microseconds, stamped with the time of sending;
 *	                                     F: chunked (default), length, close
 *	POST                                 the body is thrown away, then as below
 *	anything else                        128 bytes that begin with NAME and the target
 *
 * Not a general server: no chunked requests, and all event streams that run at the same time have one interval.
 */
#include <errno.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "bench.h"

#define BIG    (1u << 20)
#define SMALL  128
#define IN_MAX 16384
#define EVENTS 512

enum framing { CHUNKED, LENGTH, CLOSE };

struct connection {
	int fd;
	bool dead;       /* closed; freed once nothing points to it */
	uint64_t drain;  /* bytes of a request's body still to come */
	const char *out; /* what is being sent, of text or of the big answer */
	size_t out_len;
	unsigned left; /* events still to be sent; 0: no stream */
	enum framing framing;
	uint64_t interval_ns, due_ns;
	struct connection *next; /* in the queue of streams */
	bool queued;
	unsigned in_len;
	char in[IN_MAX];
	char text[512];
};

static const char *name;
static char *big;
static size_t big_len;
static struct connection *first, *last; /* streams, in order of time */

static void close_connection(struct connection *c)
{
	if (c->dead)
		return;
	c->dead = true;
	close(c->fd);
	if (!c->queued)
		free(c);
}

static void queue_stream(struct connection *c)
{
	c->next = NULL;
	c->queued = true;
	if (last)
		last->next = c;
	else
		first = c;
	last = c;
}

/* False: the connection is broken. */
static bool send_rest(struct connection *c)
{
	while (c->out_len) {
		ssize_t n = send(c->fd, c->out, c->out_len, MSG_NOSIGNAL);

		if (n < 0)
			return errno == EAGAIN;
		c->out += n;
		c->out_len -= (size_t)n;
	}
	return true;
}

static unsigned argument(const char *target, const char *key, unsigned otherwise)
{
	const char *at = strstr(target, key);

	return at ? (unsigned)strtoul(at + strlen(key), NULL, 10) : otherwise;
}

static void start_stream(struct connection *c, const char *target)
{
	int n;

	c->left = argument(target, "n=", 100);
	c->interval_ns = 1000ull * argument(target, "us=", 50000);
	c->framing = strstr(target, "framing=close")    ? CLOSE
		     : strstr(target, "framing=length") ? LENGTH
							: CHUNKED;
	n = snprintf(c->text, sizeof(c->text),
		     "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n");
	if (c->framing == LENGTH)
		n += snprintf(c->text + n, sizeof(c->text) - (size_t)n,
			      "Content-Length: %u\r\n\r\n", c->left * EVENT_BYTES);
	else
		n += snprintf(c->text + n, sizeof(c->text) - (size_t)n, "%s\r\n\r\n",
			      c->framing == CLOSE ? "Connection: close"
						  : "Transfer-Encoding: chunked");
	c->out = c->text;
	c->out_len = (size_t)n;
	c->due_ns = now_ns() + c->interval_ns;
	queue_stream(c);
}

static void answer(struct connection *c, const char *target)
{
	char *body;
	int n, said;

	if (strncmp(target, "/events", 7) == 0) {
		start_stream(c, target);
		return;
	}
	if (strncmp(target, "/big", 4) == 0) {
		c->out = big;
		c->out_len = big_len;
		return;
	}
	n = snprintf(c->text, sizeof(c->text),
		     "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n",
		     SMALL);
	body = c->text + n;
	said = snprintf(body, SMALL, "%s %.60s ", name, target);
	memset(body + said, '.', (size_t)(SMALL - said));
	body[SMALL - 1] = '\n';
	c->out = c->text;
	c->out_len = (size_t)n + SMALL;
}

static void consume(struct connection *c, size_t n)
{
	memmove(c->in, c->in + n, c->in_len - n);
	c->in_len -= (unsigned)n;
}

/* Answers what is complete in the buffer; false: the connection is to be closed. */
static bool serve(struct connection *c)
{
	for (;;) {
		char *end, *target, *target_end, *length;
		size_t head;

		if (c->drain) {
			size_t n = c->drain < c->in_len ? (size_t)c->drain : c->in_len;

			consume(c, n);
			c->drain -= n;
			if (c->drain)
				return true;
		}
		if (!send_rest(c))
			return false;
		if (c->out_len || c->left || !c->in_len)
			return true;
		end = memmem(c->in, c->in_len, "\r\n\r\n", 4);
		if (!end)
			return c->in_len < IN_MAX;
		*end = '\0';
		head = (size_t)(end + 4 - c->in);
		target = strchr(c->in, ' ');
		target_end = target ? strchr(target + 1, ' ') : NULL;
		if (!target_end)
			return false;
		length = strcasestr(target_end, "\r\ncontent-length:");
		c->drain = length ? strtoull(length + 17, NULL, 10) : 0;
		*target_end = '\0';
		answer(c, target + 1); /* sent once the body is here */
		consume(c, head);
	}
}

static void read_connection(struct connection *c)
{
	for (;;) {
		ssize_t n = recv(c->fd, c->in + c->in_len, IN_MAX - c->in_len, 0);

		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0) {
			close_connection(c);
			return;
		}
		c->in_len += (unsigned)n;
		if (!serve(c)) {
			close_connection(c);
			return;
		}
		if (c->in_len == IN_MAX)
			return; /* the answer is stuck; goes on when it has left */
	}
}

static bool send_event(struct connection *c)
{
	char text[128];
	int n = snprintf(text, sizeof(text), "%sdata: %020llu token.\n\n%s",
			 c->framing == CHUNKED ? "23\r\n" : "", (unsigned long long)now_ns(),
			 c->framing != CHUNKED ? ""
			 : c->left == 1        ? "\r\n0\r\n\r\n"
					       : "\r\n");

	return send(c->fd, text, (size_t)n, MSG_NOSIGNAL) == n;
}

static void run_streams(uint64_t now)
{
	while (first && first->due_ns <= now) {
		struct connection *c = first;

		first = c->next;
		if (!first)
			last = NULL;
		c->queued = false;
		if (c->dead) {
			free(c);
			continue;
		}
		if (!send_event(c) || (--c->left == 0 && c->framing == CLOSE)) {
			close_connection(c);
			continue;
		}
		if (!c->left)
			continue;
		c->due_ns += c->interval_ns;
		queue_stream(c);
	}
}

static void accept_all(int epoll, int listener)
{
	int fd;

	while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
		struct connection *c = calloc(1, sizeof(*c));
		struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
					     .data.ptr = c };

		if (!c)
			die("calloc");
		no_delay(fd);
		c->fd = fd;
		epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
	}
}

static int listen_at(const char *where)
{
	struct sockaddr_in at = address_of(where);
	int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&at, sizeof(at)) || listen(fd, 4096))
		die(where);
	return fd;
}

static void prepare(void)
{
	struct rlimit files = { 65536, 65536 };

	setrlimit(RLIMIT_NOFILE, &files);
	signal(SIGPIPE, SIG_IGN);
	prctl(PR_SET_TIMERSLACK, 1);
	big = malloc(BIG + 256);
	if (!big)
		die("malloc");
	big_len = (size_t)sprintf(big,
				  "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n"
				  "Content-Length: %u\r\n\r\n",
				  BIG);
	memset(big + big_len, 'x', BIG);
	big_len += BIG;
}

int main(int argc, char **argv)
{
	struct epoll_event events[EVENTS], listening = { .events = EPOLLIN };
	int epoll = epoll_create1(0), listener;

	if (argc != 3) {
		fprintf(stderr, "usage: origin ADDRESS:PORT NAME\n");
		return 2;
	}
	name = argv[2];
	prepare();
	listener = listen_at(argv[1]);
	epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &listening);
	for (;;) {
		uint64_t now = now_ns(), wait = 0;
		struct timespec t;
		int n;

		if (first && first->due_ns > now)
			wait = first->due_ns - now;
		t.tv_sec = (time_t)(wait / 1000000000u);
		t.tv_nsec = (long)(wait % 1000000000u);
		n = epoll_pwait2(epoll, events, EVENTS, first ? &t : NULL, NULL);
		for (int i = 0; i < n; i++) {
			struct connection *c = events[i].data.ptr;

			if (!c)
				accept_all(epoll, listener);
			else if (!c->dead && !serve(c))
				close_connection(c);
			else if (!c->dead)
				read_connection(c);
		}
		run_streams(now_ns());
	}
}
