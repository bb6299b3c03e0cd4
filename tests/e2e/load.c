// SPDX-License-Identifier: GPL-2.0-only
/*
 * Many clients of one service at once, counted: who answered, what failed, how long the slowest took.
 * Must not know what stands behind the address, or what is being done to it meanwhile.
 *
 *   load ADDRESS PORT [OPTION…]
 *     --long N       N TCP connections that stay, each with a request every --think ms
 *     --tcp N        N short TCP connections, one request each; 0: without end
 *     --udp N        N UDP sockets with one datagram each; 0: without end
 *     --streams N    N UDP sockets that stay, each with a datagram every --think ms
 *     --visits N     N flows that are always new, every other one UDP: each asks, stays, asks again, leaves, and the next
 *                    one comes at once. Over half of --stay until all are there, so that they do not go in step
 *     --stay MS      from a visit's first answer to its second request, half to one and a half times this (1000)
 *     --rate N       short ones started a second, of both protocols together (100)
 *     --think MS     (100)
 *     --unconnected  UDP by sendto() and recvfrom()
 *     --new-ports    short ones take port after port, so that none goes on with the flow of one before, also of a run before,
 *                    as long as they are at most 100 a second
 *     --timeout MS   a request that took longer has failed (3000)
 *     --seconds S    ends after S seconds, whatever was asked for (30)
 *     --least N      SIGTERM ends it only when N short ones of each protocol asked for are over, so that something has been seen
 *                    however short that was which happened meanwhile
 *     --expect A,B   any other name is a wrong pod
 *     --log FILE     a line for each end of a request (of --long: if it failed): start_us kind outcome latency_us
 *                    (start_us: CLOCK_REALTIME; kind: tcp, udp, stream, long, visit_tcp, visit_udp; outcome: name or error)
 *
 * A UDP socket that was taken away (ECONNABORTED: its endpoint left) is counted as aborted and opened anew. The next visit after
 * one that failed comes --stay later. visits.open_mean and visits.open_least: how many had their first answer and were not over,
 * from when nine tenths of them were there to the end.
 * Ends by itself when all short ones are done and no other was asked for, else at SIGTERM (--least) or after --seconds; then prints
 * lines of "key value". Exit status 0 when nothing failed and nobody wrong answered; refusals are counted apart.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include "endpoint.h"

#define PODS_MAX   64
#define ACTORS_MAX 4096
#define NAME_LEN   32
#define PORT_LOW   10000
#define PORTS      50000

enum kind { LONG, TCP, UDP, STREAM, VISIT_TCP, VISIT_UDP, KINDS };
static const char *const kind_names[] = {
	"long", "tcp", "udp", "stream", "visit_tcp", "visit_udp"
};

enum state { FREE, CONNECTING, WAITING, THINKING, DEAD };

/* One client: at most one request on its way. */
struct actor {
	enum kind kind;
	enum state state;
	int fd;
	uint32_t turn;
	uint64_t start_us, due_us; /* CLOCK_MONOTONIC; due: answer or next request */
	uint64_t start_wall_us;
	char pod[NAME_LEN]; /* who answered; of a long connection and a visit it must stay the same */
	char in[512];
	size_t in_len;
};

struct tally {
	uint64_t started, answered, failed, refused, aborted, wrong, foreign;
	uint64_t worst_us, worst_refused_us;
};

static struct load {
	struct endpoint to;
	unsigned int n_long, n_streams, n_visits, rate, think_ms, stay_ms, timeout_ms, seconds,
		least;
	int64_t n[KINDS]; /* short ones asked for: -1 none, 0 without end */
	bool unconnected, new_ports;
	unsigned int next_port; /* from PORT_LOW on */
	char *expect;
	FILE *log;
	int epoll_fd;
	struct tally tally[KINDS];
	struct {
		char name[NAME_LEN];
		uint64_t answers[KINDS];
	} pods[PODS_MAX];
	unsigned int n_pods;
	struct actor actors[ACTORS_MAX];
	unsigned int n_actors; /* highest in use */
	unsigned int busy;     /* short ones on their way */
	struct {
		unsigned int come;        /* of n_visits, so far */
		unsigned int open;        /* had their first answer */
		uint64_t open_us;         /* sum over time of those open */
		uint64_t begin_us, at_us; /* of that sum; begin 0: not all are there yet */
		unsigned int least;
	} visits;
	uint64_t now_us;
	char first_error[128];
} load;

static volatile sig_atomic_t asked_to_stop;
static bool stop;

static void on_signal(int number)
{
	(void)number;
	asked_to_stop = 1;
}

/* ---- counting ------------------------------------------------------------------------------------------------ */

static void log_line(const struct actor *a, const char *outcome)
{
	bool changed = a->pod[0] && strcmp(outcome, a->pod);

	if (load.log && (a->kind != LONG || changed))
		fprintf(load.log, "%llu %s %s %llu\n", (unsigned long long)a->start_wall_us,
			kind_names[a->kind], outcome,
			(unsigned long long)(load.now_us - a->start_us));
}

static bool is_expected(const char *name)
{
	size_t len = strlen(name);

	if (!load.expect)
		return true;
	for (const char *p = load.expect; *p; p += strcspn(p, ","), p += *p == ',')
		if (strcspn(p, ",") == len && !memcmp(p, name, len))
			return true;
	return false;
}

static void count_pod(enum kind kind, const char *name)
{
	unsigned int i;

	for (i = 0; i < load.n_pods; i++)
		if (!strcmp(load.pods[i].name, name))
			break;
	if (i == PODS_MAX)
		return;
	if (i == load.n_pods)
		snprintf(load.pods[load.n_pods++].name, NAME_LEN, "%s", name);
	load.pods[i].answers[kind]++;
}

static bool is_datagram(const struct actor *a)
{
	return a->kind == UDP || a->kind == STREAM || a->kind == VISIT_UDP;
}

static bool is_visit(const struct actor *a)
{
	return a->kind == VISIT_TCP || a->kind == VISIT_UDP;
}

/* The next one comes in its place when it is due. */
static void visit_end(struct actor *a, uint64_t next_us)
{
	if (a->pod[0])
		load.visits.open--;
	a->pod[0] = 0;
	close(a->fd);
	a->fd = -1;
	a->state = THINKING;
	a->due_us = next_us;
}

static void actor_close(struct actor *a, enum state state)
{
	if (a->kind == TCP || a->kind == UDP)
		load.busy--;
	if (a->fd >= 0)
		close(a->fd);
	a->state = state;
}

/* No answer. A stream goes on, with a new socket if this one is of no use; after a visit the next comes; others are over too. */
static void actor_fail(struct actor *a, int error)
{
	struct tally *t = &load.tally[a->kind];
	uint64_t took_us = load.now_us - a->start_us;

	if (error == EDESTADDRREQ && (a->kind == STREAM || a->kind == VISIT_UDP))
		error = ECONNABORTED; /* taken away a moment before send() */
	if (error == ECONNABORTED && is_datagram(a)) {
		t->aborted++;
		if (a->kind == STREAM) {
			close(a->fd);
			a->fd = -1;
		}
	} else if (error == ECONNREFUSED && a->kind != LONG) {
		t->refused++;
		if (took_us > t->worst_refused_us)
			t->worst_refused_us = took_us;
	} else {
		t->failed++;
		if (!load.first_error[0])
			snprintf(load.first_error, sizeof(load.first_error), "%s %s after %llu us",
				 kind_names[a->kind], strerrorname_np(error),
				 (unsigned long long)took_us);
	}
	log_line(a, strerrorname_np(error));
	if (a->kind == STREAM) {
		a->state = THINKING;
		a->due_us = load.now_us + load.think_ms * 1000ull;
		return;
	}
	if (is_visit(a))
		visit_end(a, load.now_us + load.stay_ms * 1000ull);
	else
		actor_close(a, a->kind == LONG ? DEAD : FREE);
}

static void actor_answered(struct actor *a, const char *name)
{
	struct tally *t = &load.tally[a->kind];
	uint64_t took_us = load.now_us - a->start_us;
	bool again = a->pod[0];

	t->answered++;
	if (took_us > t->worst_us)
		t->worst_us = took_us;
	if (!is_expected(name) ||
	    ((a->kind == LONG || is_visit(a)) && again && strcmp(a->pod, name)))
		t->wrong++;
	count_pod(a->kind, name);
	log_line(a, name);
	snprintf(a->pod, sizeof(a->pod), "%s", name);
	a->in_len = 0;
	if (a->kind == TCP || a->kind == UDP) {
		actor_close(a, FREE);
		return;
	}
	if (is_visit(a) && again) {
		visit_end(a, load.now_us);
		return;
	}
	a->state = THINKING;
	a->due_us = load.now_us + load.think_ms * 1000ull;
	if (is_visit(a)) {
		load.visits.open++;
		a->due_us = load.now_us + load.stay_ms * (500ull + (unsigned int)rand() % 1000);
	}
}

/* ---- requests ------------------------------------------------------------------------------------------------ */

static void actor_send(struct actor *a)
{
	static const char request[] = "GET / HTTP/1.1\r\nHost: load\r\n\r\n";
	char datagram[16];
	ssize_t n;

	if (a->state != CONNECTING) { /* else the request began with connect() */
		a->start_us = load.now_us;
		a->start_wall_us = clock_now_us(CLOCK_REALTIME);
		load.tally[a->kind].started++;
	}
	a->state = WAITING;
	a->due_us = a->start_us + load.timeout_ms * 1000ull;
	if (!is_datagram(a)) {
		n = send(a->fd, request, sizeof(request) - 1, MSG_NOSIGNAL);
	} else {
		snprintf(datagram, sizeof(datagram), "%010u", ++a->turn);
		if (load.unconnected)
			n = sendto(a->fd, datagram, 10, 0, (struct sockaddr *)&load.to.addr,
				   load.to.len);
		else
			n = send(a->fd, datagram, 10, 0);
	}
	if (n < 0)
		actor_fail(a, errno);
}

/* The next source port that is free. */
static void take_port(int fd)
{
	struct sockaddr_storage any = { .ss_family = load.to.addr.ss_family };

	do { /* the port is at the same place in both families */
		((struct sockaddr_in6 *)&any)->sin6_port =
			htons((uint16_t)(PORT_LOW + load.next_port++ % PORTS));
	} while (bind(fd, (struct sockaddr *)&any, load.to.len) < 0 && errno == EADDRINUSE);
}

static void actor_start(enum kind kind)
{
	struct actor *a = load.actors;
	struct epoll_event event = { .events = EPOLLIN };
	bool datagram;

	while (a < load.actors + ACTORS_MAX && a->state != FREE)
		a++;
	if (a == load.actors + ACTORS_MAX)
		return; /* so many are waiting already */
	if (a >= load.actors + load.n_actors)
		load.n_actors = (unsigned int)(a - load.actors) + 1;
	memset(a, 0, sizeof(*a));
	a->kind = kind;
	datagram = is_datagram(a);
	a->fd = socket(load.to.addr.ss_family,
		       (datagram ? SOCK_DGRAM : SOCK_STREAM) | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (a->fd < 0) {
		perror("load: socket");
		exit(2);
	}
	if (datagram &&
	    load.unconnected) { /* refusals are told to connected sockets only, unless asked for */
		setsockopt(a->fd, IPPROTO_IP, IP_RECVERR, &(int){ 1 }, sizeof(int));
		setsockopt(a->fd, IPPROTO_IPV6, IPV6_RECVERR, &(int){ 1 }, sizeof(int));
	}
	if ((kind == TCP || kind == UDP) && load.new_ports)
		take_port(a->fd);
	if (kind == TCP || kind == UDP)
		load.busy++;
	if (!datagram) {
		a->state = CONNECTING;
		a->start_us = load.now_us;
		a->start_wall_us = clock_now_us(CLOCK_REALTIME);
		a->due_us = load.now_us + load.timeout_ms * 1000ull;
		load.tally[kind].started++;
		event.events = EPOLLOUT;
	}
	event.data.ptr = a;
	epoll_ctl(load.epoll_fd, EPOLL_CTL_ADD, a->fd, &event);
	if (!(datagram && load.unconnected) &&
	    connect(a->fd, (struct sockaddr *)&load.to.addr, load.to.len) < 0 &&
	    errno != EINPROGRESS) {
		if (datagram) { /* socket translation refuses here already */
			a->start_us = load.now_us;
			a->start_wall_us = clock_now_us(CLOCK_REALTIME);
			load.tally[kind].started++;
		}
		actor_fail(a, errno);
		if (a->kind == STREAM) { /* without a peer it is of no use; it is opened again */
			close(a->fd);
			a->fd = -1;
		}
		return;
	}
	if (datagram)
		actor_send(a);
}

/* ---- answers ------------------------------------------------------------------------------------------------- */

static void take_connected(struct actor *a)
{
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = a };
	int error = 0;
	socklen_t len = sizeof(error);

	getsockopt(a->fd, SOL_SOCKET, SO_ERROR, &error, &len);
	if (error) {
		actor_fail(a, error);
		return;
	}
	epoll_ctl(load.epoll_fd, EPOLL_CTL_MOD, a->fd, &event);
	actor_send(a);
}

static void take_stream_bytes(struct actor *a)
{
	ssize_t n = recv(a->fd, a->in + a->in_len, sizeof(a->in) - 1 - a->in_len, 0);
	char name[NAME_LEN], *body;

	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		actor_fail(a, n ? errno : ECONNRESET);
		return;
	}
	a->in_len += (size_t)n;
	a->in[a->in_len] = 0;
	body = strstr(a->in, "\r\n\r\n");
	if (!body || !strchr(body + 4, '\n'))
		return;
	snprintf(name, sizeof(name), "%.*s", (int)strcspn(body + 4, "\n"), body + 4);
	actor_answered(a, name);
}

static void take_datagram(struct actor *a)
{
	struct endpoint from = { .len = sizeof(from.addr) };
	char in[256], name[NAME_LEN];
	ssize_t n =
		recvfrom(a->fd, in, sizeof(in) - 1, 0, (struct sockaddr *)&from.addr, &from.len);
	unsigned int turn;

	if (n < 0) {
		if (errno == EAGAIN)
			return;
		if (a->state == WAITING || errno == ECONNABORTED)
			actor_fail(a, errno);
		return;
	}
	in[n] = 0;
	if (!endpoint_equal(&from, &load.to))
		load.tally[a->kind].foreign++;
	if (sscanf(in, "%31s %u", name, &turn) == 2 && turn == a->turn && a->state == WAITING)
		actor_answered(a, name);
}

static void actor_ready(struct actor *a)
{
	if (a->state == FREE || a->state == DEAD)
		return;
	if (a->state == CONNECTING)
		take_connected(a);
	else if (is_datagram(a))
		take_datagram(a);
	else
		take_stream_bytes(a);
}

/* ---- time ---------------------------------------------------------------------------------------------------- */

static void actor_tick(struct actor *a)
{
	if (a->state == FREE || a->state == DEAD || load.now_us < a->due_us)
		return;
	if (a->state != THINKING) {
		actor_fail(a, ETIMEDOUT);
	} else if (stop) {
		actor_close(a, FREE);
	} else if (a->fd < 0) {
		a->state = FREE;
		actor_start(a->kind);
	} else {
		actor_send(a);
	}
}

static bool wants(enum kind kind)
{
	return load.n[kind] == 0 ||
	       (load.n[kind] > 0 && load.tally[kind].started < (uint64_t)load.n[kind]);
}

/* Short ones that should have been started by now. */
static void start_short(uint64_t begin_us)
{
	uint64_t should = (load.now_us - begin_us) * load.rate / 1000000 + 1;
	static enum kind next = TCP;

	while (!stop && load.tally[TCP].started + load.tally[UDP].started < should &&
	       (wants(TCP) || wants(UDP))) {
		next = next == TCP ? UDP : TCP;
		if (!wants(next))
			continue;
		if (load.busy >= ACTORS_MAX - load.n_long - load.n_streams - load.n_visits)
			return;
		actor_start(next);
	}
}

static void start_visits(uint64_t begin_us)
{
	uint64_t should = (load.now_us - begin_us) * load.n_visits / (load.stay_ms * 500ull) + 1;

	while (!stop && load.visits.come < load.n_visits && load.visits.come < should)
		actor_start(load.visits.come++ % 2 ? VISIT_UDP : VISIT_TCP);
}

static void count_open_visits(void)
{
	if (!load.n_visits || stop)
		return;
	if (!load.visits.begin_us) {
		if (load.visits.open < load.n_visits * 9 / 10)
			return;
		load.visits.begin_us = load.visits.at_us = load.now_us;
		load.visits.least = load.visits.open;
	}
	load.visits.open_us += load.visits.open * (load.now_us - load.visits.at_us);
	load.visits.at_us = load.now_us;
	if (load.visits.open < load.visits.least)
		load.visits.least = load.visits.open;
}

static bool has_least(void)
{
	for (enum kind k = TCP; k <= UDP; k++) {
		const struct tally *t = &load.tally[k];

		if (load.n[k] >= 0 && t->answered + t->failed + t->refused < load.least)
			return false;
	}
	return true;
}

static bool is_done(void)
{
	unsigned int waiting = 0;

	for (unsigned int i = 0; i < load.n_actors; i++)
		waiting += load.actors[i].state == CONNECTING || load.actors[i].state == WAITING;
	if (waiting)
		return false;
	return stop ||
	       (!wants(TCP) && !wants(UDP) && !load.n_long && !load.n_streams && !load.n_visits);
}

static void run(void)
{
	struct epoll_event events[256];
	uint64_t begin_us = clock_now_us(CLOCK_MONOTONIC);

	load.now_us = begin_us;
	for (unsigned int i = 0; i < load.n_long; i++)
		actor_start(LONG);
	for (unsigned int i = 0; i < load.n_streams; i++)
		actor_start(STREAM);
	while (!is_done()) {
		int n;

		start_short(begin_us);
		start_visits(begin_us);
		n = epoll_wait(load.epoll_fd, events, 256, 1);
		load.now_us = clock_now_us(CLOCK_MONOTONIC);
		for (int i = 0; i < n; i++)
			actor_ready(events[i].data.ptr);
		for (unsigned int i = 0; i < load.n_actors; i++)
			actor_tick(&load.actors[i]);
		count_open_visits();
		if ((asked_to_stop && has_least()) ||
		    load.now_us - begin_us > load.seconds * 1000000ull)
			stop = true;
	}
	printf("seconds %.1f\n", (double)(load.now_us - begin_us) / 1e6);
}

/* ---- report and options -------------------------------------------------------------------------------------- */

static int report(void)
{
	uint64_t bad = 0;

	for (enum kind k = 0; k < KINDS; k++) {
		const struct tally *t = &load.tally[k];

		if (!t->started)
			continue;
		printf("%s.started %llu\n%s.answered %llu\n%s.failed %llu\n%s.refused %llu\n%s.wrong %llu\n",
		       kind_names[k], (unsigned long long)t->started, kind_names[k],
		       (unsigned long long)t->answered, kind_names[k],
		       (unsigned long long)t->failed, kind_names[k], (unsigned long long)t->refused,
		       kind_names[k], (unsigned long long)t->wrong);
		if (k == UDP || k == STREAM || k == VISIT_UDP)
			printf("%s.foreign %llu\n%s.aborted %llu\n", kind_names[k],
			       (unsigned long long)t->foreign, kind_names[k],
			       (unsigned long long)t->aborted);
		printf("%s.worst_ms %.1f\n%s.worst_refused_ms %.1f\n", kind_names[k],
		       (double)t->worst_us / 1000, kind_names[k],
		       (double)t->worst_refused_us / 1000);
		bad += t->failed + t->wrong + t->foreign;
	}
	if (load.n_visits) {
		uint64_t took_us = load.visits.at_us - load.visits.begin_us;

		printf("visits.open_mean %llu\nvisits.open_least %u\n",
		       (unsigned long long)(took_us ? load.visits.open_us / took_us : 0),
		       load.visits.least);
	}
	for (unsigned int i = 0; i < load.n_pods; i++) {
		uint64_t sum = 0;

		for (enum kind k = 0; k < KINDS; k++)
			sum += load.pods[i].answers[k];
		printf("pod.%s %llu\n", load.pods[i].name, (unsigned long long)sum);
	}
	if (load.first_error[0])
		printf("first_error %s\n", load.first_error);
	printf("bad %llu\n", (unsigned long long)bad);
	if (load.log)
		fclose(load.log);
	return bad ? 1 : 0;
}

static const struct option long_options[] = {
	{ "long", required_argument, NULL, 'l' },    { "tcp", required_argument, NULL, 't' },
	{ "udp", required_argument, NULL, 'u' },     { "streams", required_argument, NULL, 's' },
	{ "visits", required_argument, NULL, 'v' },  { "stay", required_argument, NULL, 'y' },
	{ "rate", required_argument, NULL, 'r' },    { "think", required_argument, NULL, 'k' },
	{ "new-ports", no_argument, NULL, 'p' },     { "unconnected", no_argument, NULL, 'n' },
	{ "timeout", required_argument, NULL, 'o' }, { "seconds", required_argument, NULL, 'e' },
	{ "least", required_argument, NULL, 'm' },   { "expect", required_argument, NULL, 'x' },
	{ "log", required_argument, NULL, 'g' },     { 0 },
};

static bool parse(int argc, char *argv[])
{
	int option;

	while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		switch (option) {
		case 'l':
			load.n_long = (unsigned int)atoi(optarg);
			break;
		case 't':
			load.n[TCP] = atoi(optarg);
			break;
		case 'u':
			load.n[UDP] = atoi(optarg);
			break;
		case 's':
			load.n_streams = (unsigned int)atoi(optarg);
			break;
		case 'v':
			load.n_visits = (unsigned int)atoi(optarg);
			break;
		case 'y':
			load.stay_ms = (unsigned int)atoi(optarg);
			break;
		case 'r':
			load.rate = (unsigned int)atoi(optarg);
			break;
		case 'k':
			load.think_ms = (unsigned int)atoi(optarg);
			break;
		case 'n':
			load.unconnected = true;
			break;
		case 'p':
			load.new_ports = true;
			load.next_port =
				(unsigned int)(clock_now_us(CLOCK_REALTIME) / 10000 % PORTS);
			break;
		case 'o':
			load.timeout_ms = (unsigned int)atoi(optarg);
			break;
		case 'e':
			load.seconds = (unsigned int)atoi(optarg);
			break;
		case 'm':
			load.least = (unsigned int)atoi(optarg);
			break;
		case 'x':
			load.expect = optarg;
			break;
		case 'g':
			load.log = fopen(optarg, "we");
			if (!load.log)
				return perror(optarg), false;
			break;
		default:
			return false;
		}
	}
	return argc - optind == 2 && load.stay_ms &&
	       load.n_long + load.n_streams + load.n_visits < ACTORS_MAX / 2 &&
	       endpoint_parse(argv[optind], (uint16_t)atoi(argv[optind + 1]), false, &load.to);
}

int main(int argc, char *argv[])
{
	struct sigaction action = { .sa_handler = on_signal };
	struct rlimit files = { 2 * ACTORS_MAX, 2 * ACTORS_MAX };

	load.rate = 100;
	load.think_ms = 100;
	load.stay_ms = 1000;
	load.timeout_ms = 3000;
	load.seconds = 30;
	for (enum kind k = 0; k < KINDS; k++)
		load.n[k] = -1;
	if (!parse(argc, argv)) {
		fputs("usage: load ADDRESS PORT [OPTION…]\n", stderr);
		return 2;
	}
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	setrlimit(RLIMIT_NOFILE, &files);
	load.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	run();
	return report();
}
