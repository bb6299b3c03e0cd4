// SPDX-License-Identifier: GPL-2.0-only
// Any bytes as a path (up to a line break): what is matched is stable, and no rewriting makes a target
// that would end its line, climb, or be read as something else.
/* link: user/ingress/path.c user/ingress/routes.c user/ingress/routes_make.c user/ingress/routes_host.c */
/* link: user/ingress/route.c user/ingress/class.c user/ingress/setting.c */
/* link: user/core/model.c user/core/model_ingress.c user/core/address.c user/ingress/match.c user/ingress/http1.c user/ingress/http1_write.c */
/* link: user/base/arena.c user/base/buf.c user/base/table.c */
/* libs: pcre2-8 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "ingress/http1.h"
#include "ingress/path.h"
#include "ingress/routes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int true_for_every_input)
{
	if (!true_for_every_input)
		abort();
}

/* One host an Ingress: "a": $1 in a path and as an argument; "b": text around $1; "c": a prefix is cut off. */
static struct routes *make_routes(void)
{
	static struct ingress_annotation rewrite[] = {
		{ (char *)INGRESS_NGINX "rewrite-target", (char *)"/$2?a=$1" },
		{ (char *)INGRESS_NGINX "rewrite-target", (char *)"x/.$1/$2.$3" },
		{ (char *)INGRESS_SLUICE "strip-prefix", (char *)"true" },
	};
	static struct ingress_path paths[] = {
		{ (char *)"/(.)(.*)", INGRESS_SPECIFIC, { (char *)"s", NULL, 80 } },
		{ (char *)"/([^/]*)/?([^/]*)/?(.*)", INGRESS_SPECIFIC, { (char *)"s", NULL, 80 } },
		{ (char *)"/", INGRESS_PREFIX, { (char *)"s", NULL, 80 } },
	};
	static struct ingress_rule rules[] = { { (char *)"a", &paths[0], 1 },
					       { (char *)"b", &paths[1], 1 },
					       { (char *)"c", &paths[2], 1 } };
	static struct ingress ingresses[3];
	const struct ingress *list[3];
	struct routes_input in = { .ingresses = list, .n_ingresses = 3, .take_classless = true };
	struct routes *routes = NULL;

	for (int i = 0; i < 3; i++) {
		ingresses[i] =
			(struct ingress){ .meta = { .namespace = (char *)"n", .name = (char *)"i" },
					  .annotations = &rewrite[i],
					  .n_annotations = 1,
					  .rules = &rules[i],
					  .n_rules = 1 };
		list[i] = &ingresses[i];
	}
	must(routes_build(&in, &routes) == 0);
	return routes;
}

/* Normalising what the normalised form is written as gives it again. */
static void check_stable(const char *path, size_t len)
{
	struct buf encoded = { 0 };
	char *again;
	size_t again_len;

	must(path[0] == '/' && !memchr(path, '\0', len) && path[len] == '\0');
	must(!strstr(path, "//") && !strstr(path, "/../") && !strstr(path, "/./"));
	must(path_encode(&encoded, path, len) == 0);
	again = malloc(encoded.len + 1);
	must(again != NULL);
	must(path_normalise(encoded.data, encoded.len, again, &again_len) == 0);
	must(again_len == len && memcmp(again, path, len) == 0);
	free(again);
	buf_done(&encoded);
}

/* The target in a request line means itself. */
static void check_target(const struct buf *target)
{
	struct http1_head head;
	struct buf raw = { 0 };
	struct http1_limits wide = { 1 << 20, 1 << 20, 1 << 22, 100 };
	char *path;
	size_t len;

	buf_printf(&raw, "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", target->data);
	http1_head_init(&head, HTTP1_REQUEST, &wide);
	must(http1_head_read(&head, raw.data, raw.len) == (int)raw.len);
	must(head.target.len == target->len);
	path = malloc(head.path.len + 1);
	must(path != NULL);
	/* No broken escape, and nothing that climbs above the root. */
	must(path_normalise(raw.data + head.path.at, head.path.len, path, &len) == 0);
	free(path);
	buf_done(&raw);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct routes *routes;
	static struct match_work *work;
	const uint8_t *end = memchr(data, '\n', size);
	size_t raw_len = end ? (size_t)(end - data) : size, len;
	struct route_request q = {
		.raw = (const char *)data, .raw_len = raw_len, .query = "q=1", .query_len = 3
	};
	char *path;

	if (!routes) {
		routes = make_routes();
		work = match_work_new();
		must(work != NULL);
	}
	path = malloc(raw_len + 2);
	must(path != NULL);
	q.has_query = end != NULL;
	if (path_normalise((const char *)data, raw_len, path, &len) == 0) {
		check_stable(path, len);
		q.path = path;
		q.path_len = len;
		for (const char *host = "abc"; *host; host++) {
			const struct route *route;
			struct buf target = { 0 };
			int rc = routes_find(routes, work, host, 1, path, len, &route);

			must(rc == 0 || rc == -ENOENT || rc == -ELOOP);
			if (rc == 0 && route_target(route, work, &q, &target) == 0)
				check_target(&target);
			buf_done(&target);
		}
	}
	free(path);
	return 0;
}
