// SPDX-License-Identifier: GPL-2.0-only
// Follows an API server and writes down what it learns, a line each (unit/recorder.h); no kernel is touched.
//
//	follow [--kubeconfig FILE] [--state-dir DIR] [--kinds agent|proxy] [URL…]
//
// Lines from the standard input: "stats" writes counters as "stats name=value …"; "relist" lists again; "secrets [NS[/NAME]…]"
// are wanted from now on; "send METHOD TARGET [BODY]" is sent, and "answer STATUS BODY" written. Ends with its input.
#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/loop.h"
#include "source/kube/kube.h"
#include "unit/recorder.h"

static struct loop *loop;
static struct kube *kube;
static struct recorder recorder;
static bool ended;

/* Writes what was recorded since. */
static void flush(void)
{
	if (recorder.said.len) {
		fputs(buf_str(&recorder.said), stdout);
		fflush(stdout);
	}
	buf_reset(&recorder.said);
}

static int count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = 0;

	while (dir && readdir(dir))
		n++;
	if (dir)
		closedir(dir);
	return n - 3; /* ".", "..", and the folder's own */
}

static void write_stats(void)
{
	struct watch_stats sum = { 0 };
	struct kube_stats stats;

	kube_count(kube, &stats);
	for (int i = 0; i < OBJECT_KINDS; i++) {
		const struct watch_stats *s = &stats.watches[i];

		sum.syncs += s->syncs;
		sum.events += s->events;
		sum.expired += s->expired;
		sum.refusals += s->refusals;
		sum.broken += s->broken;
		sum.cut += s->cut;
		sum.failures += s->failures;
	}
	printf("stats syncs=%" PRIu64 " events=%" PRIu64 " expired=%" PRIu64 " refusals=%" PRIu64
	       " broken=%" PRIu64 " cut=%" PRIu64 " failures=%" PRIu64 " generations=%" PRIu64
	       " misses=%" PRIu64 " moves=%" PRIu64 " down=%d fds=%d server=%s\n",
	       sum.syncs, sum.events, sum.expired, sum.refusals, sum.broken, sum.cut, sum.failures,
	       stats.http.generations, stats.http.misses, stats.http.moves, stats.down, count_fds(),
	       stats.http.server);
	fflush(stdout);
}

/* "NS/NAME …", "NS …" */
static void want_secrets(char *words)
{
	struct kube_secret wanted[64];
	size_t n = 0;
	char *word, *slash;

	for (word = strtok(words, " "); word && n < 64; word = strtok(NULL, " ")) {
		slash = strchr(word, '/');
		if (slash)
			*slash = 0;
		wanted[n++] = (struct kube_secret){ word, slash ? slash + 1 : NULL };
	}
	if (kube_set_secrets(kube, wanted, n) < 0)
		printf("error secrets\n");
}

static void on_answer(void *ctx, const struct kube_answer *a)
{
	(void)ctx;
	printf("answer %u %s\n", a->status, a->why ? a->why : a->body);
	fflush(stdout);
}

/* "METHOD TARGET BODY" */
static void send_request(char *words)
{
	char *method = strtok(words, " "), *target = strtok(NULL, " "), *body = strtok(NULL, "");
	const struct kube_http_request request = {
		.method = method,
		.target = target,
		.body = body,
		.body_len = body ? strlen(body) : 0,
	};
	int rc = kube_send(kube, &request, on_answer, NULL, NULL);

	if (rc < 0)
		printf("answer 0 %s\n", strerror(-rc));
	fflush(stdout);
}

static void on_line(char *line)
{
	if (strcmp(line, "stats") == 0)
		write_stats();
	else if (strcmp(line, "relist") == 0)
		kube_relist(kube);
	else if (strncmp(line, "secrets", 7) == 0)
		want_secrets(line + 7);
	else if (strncmp(line, "send ", 5) == 0)
		send_request(line + 5);
}

static void on_input(void *arg, int fd, uint32_t events)
{
	static struct buf input;
	char bytes[4096], *end;
	ssize_t len = read(fd, bytes, sizeof(bytes));

	(void)arg;
	(void)events;
	if (len <= 0) {
		ended = true;
		buf_done(&input);
		return;
	}
	buf_put(&input, bytes, (size_t)len);
	while ((end = memchr(input.data, '\n', input.len))) {
		*end = 0;
		on_line(input.data);
		buf_consume(&input, (size_t)(end - input.data) + 1);
	}
}

int main(int argc, char **argv)
{
	struct kube_options options = { .node_name = "n1", .kinds = OBJECTS_OF_AGENT };
	struct source_sink sink = recorder_sink(&recorder);
	struct loop_event *input;
	struct err err = { 0 };
	int rc, at = 1;

	for (; at + 1 < argc && strncmp(argv[at], "--", 2) == 0; at += 2)
		if (strcmp(argv[at], "--kubeconfig") == 0)
			options.kubeconfig = argv[at + 1];
		else if (strcmp(argv[at], "--state-dir") == 0)
			options.state_dir = argv[at + 1];
		else if (strcmp(argv[at], "--kinds") == 0 && strcmp(argv[at + 1], "proxy") == 0)
			options.kinds = OBJECTS_OF_PROXY;
	options.api_servers = (const char *const *)argv + at;
	options.n_api_servers = (size_t)(argc - at);
	if (loop_new(&loop) < 0 ||
	    loop_add_fd(loop, STDIN_FILENO, EPOLLIN, on_input, NULL, &input) < 0)
		return 1;
	rc = kube_new(loop, &options, &sink, &err, &kube);
	if (rc < 0) {
		printf("error %s\n", err.what);
		loop_free(loop);
		return 1;
	}
	while (rc >= 0 && !ended) {
		rc = loop_turn(loop, UINT64_MAX);
		flush();
	}
	kube_free(kube);
	buf_done(&recorder.said);
	loop_free(loop);
	return 0;
}
