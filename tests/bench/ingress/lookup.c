/* SPDX-License-Identifier: GPL-2.0-only */
/* What one look-up costs with N Ingresses, each time another one, in scattered order: lines of "key value". */
/* link: user/ingress/routes.c user/ingress/routes_make.c user/ingress/routes_host.c user/ingress/route.c */
/* link: user/ingress/class.c user/ingress/setting.c user/base/options_value.c */
/* link: user/ingress/match.c user/ingress/path.c user/core/model.c user/core/model_ingress.c */
/* link: user/core/address.c user/base/arena.c user/base/buf.c user/base/table.c */
/* libs: pcre2-8 */
#include "bench.h"

#include "ingress/routes.h"

#define HOSTS   1000
#define REPEAT  1000000
#define ROUNDS  5
#define SCATTER 7919 /* a prime: every Ingress is asked for before one is asked for again */

struct world {
	struct ingress *ingresses;
	struct ingress_rule *rules;
	struct ingress_path *paths;
	const struct ingress **list;
	size_t n;
};

static char *text(const char *format, size_t i)
{
	char *s;

	if (asprintf(&s, format, i) < 0)
		die("asprintf");
	return s;
}

static void fill(struct world *w, size_t n)
{
	w->n = n;
	w->ingresses = calloc(n, sizeof(*w->ingresses));
	w->rules = calloc(n, sizeof(*w->rules));
	w->paths = calloc(n, sizeof(*w->paths));
	w->list = calloc(n, sizeof(*w->list));
	if (!w->ingresses || !w->rules || !w->paths || !w->list)
		die("calloc");
	for (size_t i = 0; i < n; i++) {
		struct ingress *in = &w->ingresses[i];

		w->paths[i].path = text("/p%zu", i);
		w->paths[i].type = INGRESS_PREFIX;
		w->paths[i].backend.service = text("service%zu", i);
		w->paths[i].backend.port = 80;
		w->rules[i].host = text("h%zu.test", i % HOSTS);
		w->rules[i].paths = &w->paths[i];
		w->rules[i].n_paths = 1;
		in->meta.namespace = text("n%zu", i);
		in->meta.name = text("i%zu", i);
		in->rules = &w->rules[i];
		in->n_rules = 1;
		w->list[i] = in;
	}
}

struct question {
	char host[24], path[24];
	unsigned char host_len, path_len;
};

/* In the order of asking: a request has just been read when its rule is looked up, so its text must not be what is slow. */
static struct question *ask(const struct world *w)
{
	struct question *questions = calloc(w->n, sizeof(*questions));
	size_t at = 0;

	if (!questions)
		die("calloc");
	for (size_t i = 0; i < w->n; i++) {
		struct question *q = &questions[i];

		q->host_len =
			(unsigned char)snprintf(q->host, sizeof(q->host), "%s", w->rules[at].host);
		q->path_len =
			(unsigned char)snprintf(q->path, sizeof(q->path), "%s", w->paths[at].path);
		at = (at + SCATTER) % w->n;
	}
	return questions;
}

/* Nanoseconds a look-up. */
static double measure(const struct world *w, const struct question *questions,
		      const struct routes *routes, struct match_work *work)
{
	uint64_t start = now_ns();
	size_t at = 0, missed = 0;

	for (size_t i = 0; i < REPEAT; i++) {
		const struct question *q = &questions[at];
		const struct route *route = NULL;

		missed += routes_find(routes, work, q->host, q->host_len, q->path, q->path_len,
				      &route) != 0;
		missed += route && route->port != 80; /* the rule is used */
		at = at + 1 < w->n ? at + 1 : 0;
	}
	if (missed) {
		fprintf(stderr, "lookup: %zu of %d requests found no rule\n", missed, REPEAT);
		exit(1);
	}
	return (double)(now_ns() - start) / REPEAT;
}

int main(int argc, char **argv)
{
	struct routes_input input = { .take_classless = true };
	struct match_work *work = match_work_new();
	struct routes *routes;
	struct question *questions;
	struct world w = { 0 };
	double best = 0;
	uint64_t start;

	if (argc != 2 || atoi(argv[1]) < 1) {
		fprintf(stderr, "usage: lookup N\n");
		return 2;
	}
	fill(&w, (size_t)atoi(argv[1]));
	input.ingresses = w.list;
	input.n_ingresses = w.n;
	questions = ask(&w);
	start = now_ns();
	if (!work || routes_build(&input, &routes))
		die("routes_build");
	printf("build_ms %.2f\n", (double)(now_ns() - start) / 1e6);
	for (int i = 0; i < ROUNDS; i++) {
		double ns = measure(&w, questions, routes, work);

		if (i == 0 || ns < best)
			best = ns;
	}
	printf("lookup_ns %.1f\n", best);
	routes_drop(routes);
	match_work_free(work);
	return 0;
}
