// SPDX-License-Identifier: GPL-2.0-only
// From Ingresses and a request to the Service and the target: hosts, paths, precedence, expressions, rewriting.
/* link: user/ingress/routes.c user/ingress/routes_make.c user/ingress/routes_host.c user/ingress/route.c */
/* link: user/ingress/class.c user/ingress/setting.c */
/* link: user/ingress/match.c user/ingress/path.c user/ingress/http1.c */
/* link: user/source/decode_ingress.c user/source/decode_secret.c */
/* link: user/source/decode_read.c user/source/decode.c user/source/decode_service.c */
/* link: user/source/decode_slice.c user/source/decode_node.c user/source/object.c */
/* link: user/source/field.c user/source/value.c user/source/value_json.c user/core/model.c user/core/model_ingress.c */
/* link: user/core/address.c user/base/arena.c user/base/buf.c user/base/table.c */
/* link: user/base/options_value.c */
/* libs: cjson pcre2-8 */
#include "unit/test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/vec.h"
#include "source/decode.h"
#include "ingress/http1.h"
#include "ingress/path.h"
#include "ingress/routes.h"
#include "source/value_json.h"
#include "unit/cases.h"
#include "unit/failmalloc.h"

#define CONTROLLER "sluice.dev/ingress"

static const char *const controllers = CONTROLLER;

/* ---- a world of Ingresses -------------------------------------------------------------------------------------- */

struct world {
	struct VEC_OF(struct ingress *) ingresses;
	struct VEC_OF(struct ingress_class *) classes;
	struct routes *routes;
	struct match_work *work;
	struct buf notes; /* "ns/name severity: reason" a line */
	bool take_default, take_classless;
};

static void add_json(struct world *w, const cJSON *json)
{
	struct ingress *ingress = calloc(1, sizeof(*ingress));
	const struct decode_input input = { .from_api = true,
					    .api_version = "networking.k8s.io/v1",
					    .kind = "Ingress" };
	struct decode_report report = { 0 };
	struct object object;

	assert_non_null(ingress);
	if (decode_object(value_of_json(json), &input, &report, &object) != DECODE_OBJECT)
		fail_msg("refused: %s", buf_str(&report.notes.text));
	*ingress = object.ingress;
	decode_report_done(&report);
	assert_int_equal(vec_push(&w->ingresses, ingress), 0);
}

static void add_class(struct world *w, const char *name, const char *controller, bool is_default,
		      int64_t created_ns)
{
	struct ingress_class *class = calloc(1, sizeof(*class));

	assert_non_null(class);
	class->meta.name = strdup(name);
	class->controller = strdup(controller);
	class->is_default = is_default;
	class->created_ns = created_ns;
	assert_int_equal(vec_push(&w->classes, class), 0);
}

static void on_note(void *ctx, const struct ingress *ingress, enum routes_severity severity,
		    const char *reason)
{
	static const char *const words[] = { "loser", "refused", "warning" };
	struct world *w = ctx;

	buf_printf(&w->notes, "%s/%s %s: %s\n", ingress->meta.namespace, ingress->meta.name,
		   words[severity], reason);
}

static void build(struct world *w)
{
	struct routes_input in = { .ingresses = (const struct ingress *const *)w->ingresses.data,
				   .n_ingresses = w->ingresses.len,
				   .classes = (const struct ingress_class *const *)w->classes.data,
				   .n_classes = w->classes.len,
				   .controllers = &controllers,
				   .n_controllers = 1,
				   .take_default = w->take_default,
				   .take_classless = w->take_classless,
				   .note = on_note,
				   .ctx = w };

	if (!w->work)
		w->work = match_work_new();
	assert_non_null(w->work);
	buf_reset(&w->notes);
	routes_drop(w->routes);
	w->routes = NULL;
	assert_int_equal(routes_build(&in, &w->routes), 0);
	/* The snapshot owns what it needs: nothing of the models may be looked at from here on. */
}

static void drop_models(struct world *w)
{
	struct ingress **ingress;
	struct ingress_class **class;

	vec_for_each(ingress, &w->ingresses) {
		ingress_done(*ingress);
		free(*ingress);
	}
	vec_for_each(class, &w->classes) {
		ingress_class_done(*class);
		free(*class);
	}
	vec_done(&w->ingresses);
	vec_done(&w->classes);
}

static void world_done(struct world *w)
{
	drop_models(w);
	routes_drop(w->routes);
	match_work_free(w->work);
	buf_done(&w->notes);
}

/* An Ingress in one line: "ns/name@seconds key=value…; host path type service:port; …", type E, P or I. */
static void add(struct world *w, const char *line)
{
	struct ingress *in = calloc(1, sizeof(*in));
	char *text = strdup(line), *head, *rest, *word, *save, *item;
	char host[256], path[256], type, service[64];
	unsigned port;

	assert_true(in && text);
	head = strtok_r(text, ";", &rest);
	word = strtok_r(head, " ", &save);
	in->meta.namespace = strndup(word, strcspn(word, "/"));
	in->meta.name = strndup(strchr(word, '/') + 1, strcspn(strchr(word, '/') + 1, "@"));
	in->created_ns = atoi(strchr(word, '@') + 1) * 1000000000LL;
	in->class_name = strdup("ours");
	in->annotations = calloc(8, sizeof(*in->annotations));
	in->rules = calloc(16, sizeof(*in->rules));
	while ((word = strtok_r(NULL, " ", &save))) {
		char *equals = strchr(word, '=');
		struct ingress_annotation *a = &in->annotations[in->n_annotations++];
		bool own = strncmp(word, "strip-prefix", 12) == 0;

		assert_non_null(equals);
		*equals = '\0';
		assert_true(asprintf(&a->name, "%s%s", own ? INGRESS_SLUICE : INGRESS_NGINX, word) >
			    0);
		a->value = strdup(equals + 1);
	}
	while ((item = strtok_r(NULL, ";", &rest))) {
		struct ingress_rule *rule;
		struct ingress_path *p;

		if (sscanf(item, " default %63[^:]:%u", service, &port) == 2) {
			in->has_default = true;
			in->default_backend.service = strdup(service);
			in->default_backend.port = (uint16_t)port;
			continue;
		}
		assert_int_equal(sscanf(item, " %255s %255s %c %63[^:]:%u", host, path, &type,
					service, &port),
				 5);
		rule = &in->rules[in->n_rules++];
		rule->host = strcmp(host, "-") ? strdup(host) : NULL;
		rule->paths = p = calloc(1, sizeof(*p));
		rule->n_paths = 1;
		p->path = strdup(path);
		p->type = type == 'E'   ? INGRESS_EXACT
			  : type == 'P' ? INGRESS_PREFIX
					: INGRESS_SPECIFIC;
		p->backend.service = strcmp(service, "none") ? strdup(service) : NULL;
		p->backend.port = (uint16_t)port;
	}
	free(text);
	assert_int_equal(vec_push(&w->ingresses, in), 0);
}

/* A world of these lines, built; the models are gone. */
static struct world make(const char *const *lines)
{
	struct world w = { 0 };

	add_class(&w, "ours", CONTROLLER, false, 0);
	for (; *lines; lines++)
		add(&w, *lines);
	build(&w);
	drop_models(&w);
	return w;
}

#define WORLD(...) make((const char *const[]){ __VA_ARGS__, NULL })

/* The service of "host/path", "" for 404; *target is filled if not NULL. */
static const char *ask(struct world *w, const char *url, struct buf *target)
{
	const char *slash = strchr(url, '/'), *mark = strchr(slash, '?');
	size_t raw_len = mark ? (size_t)(mark - slash) : strlen(slash), len;
	const struct route *route;
	char path[1024];
	int rc;

	assert_int_equal(path_normalise(slash, raw_len, path, &len), 0);
	rc = routes_find(w->routes, w->work, url, (size_t)(slash - url), path, len, &route);
	if (rc == -ENOENT || (rc == 0 && !route->service))
		return "";
	assert_int_equal(rc, 0);
	if (target) {
		buf_reset(target);
		assert_int_equal(route_target(route, w->work,
					      &(struct route_request){
						      .path = path,
						      .path_len = len,
						      .raw = slash,
						      .raw_len = raw_len,
						      .query = mark ? mark + 1 : "",
						      .query_len = mark ? strlen(mark + 1) : 0,
						      .has_query = mark != NULL },
					      target),
				 0);
	}
	return route->service;
}

static void expect(struct world *w, const char *url, const char *service)
{
	const char *got = ask(w, url, NULL);

	if (strcmp(got, service) != 0)
		fail_msg("%s goes to \"%s\" instead of \"%s\"", url, got, service);
}

static void expect_target(struct world *w, const char *url, const char *service, const char *target)
{
	struct buf out = { 0 };
	const char *got = ask(w, url, &out);

	if (strcmp(got, service) != 0 || strcmp(buf_str(&out), target) != 0)
		fail_msg("%s goes to \"%s\" as \"%s\" instead of \"%s\" as \"%s\"", url, got,
			 buf_str(&out), service, target);
	buf_done(&out);
}

static void expect_note(struct world *w, const char *text)
{
	if (!strstr(buf_str(&w->notes), text))
		fail_msg("\"%s\" is not said, but:\n%s", text, buf_str(&w->notes));
}

/* ---- paths on the wire --------------------------------------------------------------------------------------- */

TEST(paths_are_normalised_once)
{
	static const struct {
		const char *raw, *path; /* NULL: refused */
	} cases[] = {
		{ "", "/" },
		{ "/", "/" },
		{ "//", "/" },
		{ "/a", "/a" },
		{ "/a/", "/a/" },
		{ "//a///b//", "/a/b/" },
		{ "/./a/./b", "/a/b" },
		{ "/a/.", "/a/" },
		{ "/a/..", "/" },
		{ "/a/b/..", "/a/" },
		{ "/a/b/../c", "/a/c" },
		{ "/a/b/../../", "/" },
		{ "/..", NULL },
		{ "/a/../..", NULL },
		{ "/...", "/..." },
		{ "/a/..b", "/a/..b" },
		{ "/%61%2f%2E%2e/b", "/b" },
		{ "/a%2fb", "/a/b" },
		{ "/a%20b", "/a b" },
		{ "/%252e", "/%2e" },
		{ "/%", NULL },
		{ "/%4", NULL },
		{ "/%4g", NULL },
		{ "/%00", NULL },
		{ "a", NULL },
		{ "/a;b/..;/c", "/a;b/..;/c" },
		{ "/%c0%af", "/\xc0\xaf" },
		{ "/a/./", "/a/" },
		{ "/a/..//", "/" },
		{ "/%2e%2e/x", NULL },
	};
	char out[64];
	size_t len;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int rc = path_normalise(cases[i].raw, strlen(cases[i].raw), out, &len);

		if (rc != (cases[i].path ? 0 : -EINVAL) ||
		    (!rc && (strcmp(out, cases[i].path) != 0 || len != strlen(out))))
			fail_msg("\"%s\": %d \"%s\"", cases[i].raw, rc, rc ? "" : out);
	}
	assert_int_equal(path_normalise("/a\0b", 4, out, &len), -EINVAL);
}

TEST(paths_are_encoded_so_that_no_line_ends_early)
{
	struct buf out = { 0 };
	char made[] = "/a/%2e./%2E/.%2e/b//c";
	size_t len = sizeof(made) - 1;

	path_encode(&out, "/a b%?#\r\n\xc3\xa9+&", 13);
	assert_string_equal(buf_str(&out), "/a%20b%25%3F%23%0D%0A%C3%A9+&");
	buf_reset(&out);
	path_encode_argument(&out, "a&b=c d", 7);
	assert_string_equal(buf_str(&out), "a%26b%3Dc%20d");
	path_resolve(made, &len);
	assert_int_equal(len, 4);
	assert_memory_equal(made, "/b/c", 4);
	buf_done(&out);
}

/* ---- hosts and paths ------------------------------------------------------------------------------------------ */

TEST(host_first_then_path)
{
	struct world w = WORLD(
		"d/i@1; a.test /x P exact:80; *.test /x P wild:80; - /x P any:80; B.Test /y P b:80");

	expect(&w, "a.test/x", "exact");
	expect(&w, "A.TEST/x", "exact");
	expect(&w, "a.test/y", ""); /* not another host's */
	expect(&w, "c.test/x", "wild");
	expect(&w, "b.test/y", "b");
	expect(&w, "c.d.test/x", "any");
	expect(&w, "test/x", "any");
	expect(&w, ".test/x", "any");
	expect(&w, "/x", "any");
	expect(&w, "[::1]/x", "any");
	expect(&w, "c.test/z", "");
	world_done(&w);
}

TEST(longest_path_and_most_exact_type)
{
	struct world w = WORLD(
		"d/i@1; h /a P a:80; h /a/b P ab:80; h /a/b E abe:80; h /a/bc I abc:80; h /q/ P q:80;"
		" h /z I z:80; h /z P zp:80");

	expect(&w, "h/a", "a");
	expect(&w, "h/ax", "");
	expect(&w, "h/a/", "a");
	expect(&w, "h/a/b", "abe");
	expect(&w, "h/a/b/", "ab");
	expect(&w, "h/a/b/c", "ab");
	expect(&w, "h/a/bc", "abc");
	expect(&w, "h/a/bcd", "abc");
	expect(&w, "h/a/bd", "a");
	expect(&w, "h/q", "q"); /* a final slash of a Prefix says nothing */
	expect(&w, "h/q/x", "q");
	expect(&w, "h/qx", "");
	expect(&w, "h/z/1", "zp");
	expect(&w, "h/z1", "z");
	expect(&w, "h/", "");
	expect(&w, "h/A", "");
	world_done(&w);
}

TEST(root_and_folders)
{
	struct world w =
		WORLD("d/i@1; h / P root:80; h /f P f:80; h /f/ P folder:80; g / E only:80");

	expect(&w, "h/", "root");
	expect(&w, "h/x/y", "root");
	expect(&w, "h/f", "f");
	expect(&w, "h/f/", "folder");
	expect(&w, "h/f/x", "folder");
	expect(&w, "h/fx", "root");
	expect(&w, "g/", "only");
	expect(&w, "g/x", "");
	world_done(&w);
}

TEST(the_oldest_claim_wins_and_the_other_is_told)
{
	struct world w = WORLD("b/young@9; h /p P young:80; h /only P y2:80",
			       "z/old@5; h /p P old:80", "a/same@5; g /p P a:80",
			       "b/same@5; g /p P b:80", "a/exact@9; h /p E exact:80");

	expect(&w, "h/p/x", "old");
	expect(&w, "h/p", "exact"); /* another type is another claim */
	expect(&w, "h/only", "y2");
	expect(&w, "g/p", "a");
	expect_note(&w, "b/young loser: host \"h\" path \"/p\": Ingress z/old is older");
	expect_note(&w, "b/same loser: host \"g\" path \"/p\": Ingress a/same");
	world_done(&w);
}

TEST(default_backends)
{
	struct world w = WORLD("d/host@2; default dflt:80; h /a P a:80",
			       "d/host2@3; default late:80; h /b P b:80", "d/all@4; default all:80",
			       "d/all2@5; default all2:80", "d/none@6; n /a P n:80");

	expect(&w, "h/a", "a");
	expect(&w, "h/b", "b");
	expect(&w, "h/c", "dflt"); /* the oldest Ingress of the host */
	expect(&w, "n/x", "");
	expect(&w, "other/x", "all");
	expect_note(&w, "d/all2 loser: spec.defaultBackend");
	world_done(&w);
	w = WORLD("d/any@1; default mine:80; - /a P a:80", "d/all@2; default all:80");
	expect(&w, "x/a", "a");
	expect(&w, "x/b", "all"); /* next to rules without a host, a default is nobody's */
	world_done(&w);
}

TEST(a_backend_that_is_no_service_is_404_for_its_path_alone)
{
	struct world w = WORLD("d/i@1; h /r P none:80; h / P root:80");

	expect(&w, "h/r/x", "");
	expect(&w, "h/x", "root");
	expect_note(&w, "d/i refused: host \"h\" path \"/r\": the backend is no Service");
	world_done(&w);
}

TEST(hosts_that_cannot_be_are_refused)
{
	struct world w = WORLD(
		"d/i@1; *a.test / P x:80; a.*.test / P x:80; *. / P x:80; * / P x:80; ok / P ok:80");

	expect(&w, "ok/", "ok");
	expect(&w, "a.b.test/", "");
	expect_note(&w, "host \"*a.test\" is not served");
	expect_note(&w, "host \"a.*.test\" is not served");
	expect_note(&w, "host \"*.\" is not served");
	expect_note(&w, "host \"*\" is not served");
	world_done(&w);
}

/* ---- expressions and rewriting ---------------------------------------------------------------------------------- */

TEST(one_ingress_makes_its_hosts_regular_expressions)
{
	struct world w = WORLD("a/rx@9 use-regex=true; h /[A-Z]{3} I rx:80",
			       "b/plain@1; h /headers E hdr:80; h /m P m:80",
			       "b/other@1; g /headers E other:80");

	expect(&w, "h/headers", "rx"); /* the longer text is tried first */
	expect(&w, "h/mx", "m");       /* a Prefix without borders */
	expect(&w, "h/M", "m");
	expect(&w, "h/1/m", ""); /* anchored */
	expect(&w, "g/headers", "other");
	expect(&w, "g/HEADERS", "");
	world_done(&w);
}

TEST(a_target_that_changes_nothing_is_no_expression)
{
	static const struct {
		const char *line;
		bool regex;
	} cases[] = {
		{ "d/i@1 rewrite-target=/; h / P s:80", false },
		{ "d/i@1 rewrite-target=/f; h /f E s:80", false },
		{ "d/i@1 rewrite-target=/f; h /f I s:80", false },
		{ "d/i@1 rewrite-target=/f/; h /f/ P s:80", false },
		{ "d/i@1 rewrite-target=/f/; h /f P s:80", false },
		{ "d/i@1 rewrite-target=/f; h /f P s:80", true },
		{ "d/i@1 rewrite-target=/; h /f P s:80", true },
		{ "d/i@1 rewrite-target=; h /f P s:80", false },
		{ "d/i@1 use-regex=false; h /f P s:80", false },
		{ "d/i@1 use-regex=True; h /f P s:80", true },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		/* the probe tells: as an expression it has no border and no case */
		struct world w = WORLD(cases[i].line, "d/probe@2; h /probe P probe:80");

		if ((strcmp(ask(&w, "h/PROBEx", NULL), "probe") == 0) != cases[i].regex)
			fail_msg("regex mode should be %d: %s", cases[i].regex, cases[i].line);
		world_done(&w);
	}
}

TEST(rewriting)
{
	struct world w = WORLD("d/strip@1 rewrite-target=/$2; h /model(/|$)(.*) I s:80",
			       "d/args@1 rewrite-target=/find?p=$1; h /q/(.*) I q:80",
			       "d/drop@1 rewrite-target=/d?; h /drop P d:80",
			       "d/dots@1 rewrite-target=/in/.$1/x; h /dots/x(.*) I dots:80",
			       "d/bare@1 rewrite-target=$1; h /bare(.*) I bare:80");

	expect_target(&w, "h/model", "s", "/");
	expect_target(&w, "h/model/v1/chat?stream=true", "s", "/v1/chat?stream=true");
	expect_target(&w, "h/MODEL/a%20b%3Fc%23%0D%0A", "s", "/a%20b%3Fc%23%0D%0A");
	expect_target(&w, "h/model/a%2Fb+c%2B", "s", "/a/b+c+");
	expect_target(&w, "h/q/cat?n=2", "q", "/find?p=cat&n=2");
	expect_target(&w, "h/q/a&b=c%26%20", "q", "/find?p=a%26b%3Dc%26%20");
	expect_target(&w, "h/q/cat", "q", "/find?p=cat");
	expect_target(&w, "h/drop/x?a=b", "d", "/d");
	expect_target(&w, "h/dots/x.", "dots", "/x");
	expect_target(&w, "h/barefoot", "bare", "/foot");
	world_done(&w);
}

TEST(the_common_mistake_is_done_and_told)
{
	struct world w = WORLD("d/i@1 rewrite-target=/; - /model P ai-model-service:80");

	expect_target(&w, "any/model/v1/chat?x=1", "ai-model-service", "/?x=1");
	expect_target(&w, "any/modelx", "ai-model-service", "/");
	expect_note(&w, "d/i warning: rewrite-target \"/\" sends /model and all below it to \"/\"");
	expect_note(&w, "path \"/model(/|$)(.*)\"");
	world_done(&w);
}

TEST(stripping_a_prefix)
{
	struct world w = WORLD("d/i@1 strip-prefix=true; h /model P s:80; h / P root:80");

	expect_target(&w, "h/model", "s", "/");
	expect_target(&w, "h/model/", "s", "/");
	expect_target(&w, "h/model/v1/a%20b?x", "s", "/v1/a%20b?x");
	expect_target(&w, "h/models", "root", "/models");
	world_done(&w);
}

TEST(without_rewriting_the_bytes_stay)
{
	struct world w = WORLD("d/i@1; h /admin P adm:80");

	expect_target(&w, "h//public/..//%61dmin/x?", "adm", "//public/..//%61dmin/x?");
	world_done(&w);
}

TEST(an_expression_that_cannot_be_compiled_costs_its_path_alone)
{
	struct world w = WORLD("d/i@1 use-regex=true; h /a( I bad:80; h /a I good:80");

	expect(&w, "h/a", "good");
	expect_note(&w, "path \"/a(\" is not served: the regular expression cannot be compiled");
	expect_note(&w, "at character");
	world_done(&w);
}

TEST(an_expression_cannot_take_forever)
{
	struct world w = WORLD("d/i@1 use-regex=true; h /(a+)+$ I evil:80");
	const struct route *route;
	char path[64] = "/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!";

	assert_int_equal(routes_find(w.routes, w.work, "h", 1, path, strlen(path), &route), -ELOOP);
	expect(&w, "h/aaa", "evil");
	world_done(&w);
}

TEST(canaries_hang_on_their_twins)
{
	struct world w = WORLD("d/can@1 canary=true; h /a P canary:80; h /b P lonely:80",
			       "d/main@2; h /a P main:80",
			       "d/can2@3 canary=true; H /a P second:80");
	const struct route *route;

	assert_int_equal(routes_find(w.routes, w.work, "h", 1, "/a", 2, &route), 0);
	assert_string_equal(route->service, "main");
	assert_string_equal(route->canary->service, "canary");
	expect(&w, "h/b", "");
	expect_note(&w, "d/can refused: host \"h\" path \"/b\": a canary needs");
	expect_note(&w, "d/can2 loser");
	world_done(&w);
}

TEST(an_alias_leads_to_the_same_host)
{
	struct world w = WORLD("d/i@1 server-alias=b.test,*.C.test,taken.test; a.test /x P x:80",
			       "d/j@2 server-alias=b.test,a*b; taken.test / P t:80");

	expect(&w, "a.test/x", "x");
	expect(&w, "B.test/x/y", "x");
	expect(&w, "n.c.test/x", "x");
	expect(&w, "b.test/y", "");
	expect(&w, "taken.test/x", "t");
	expect_note(&w, "d/i loser: server-alias \"taken.test\": another Ingress has this host");
	expect_note(&w, "d/j loser: server-alias \"b.test\"");
	expect_note(&w, "d/j refused: server-alias \"a*b\" is not served");
	world_done(&w);
}

static const char *redirect_of(struct world *w, const char *host)
{
	const struct route *route;
	int rc = routes_find(w->routes, w->work, host, strlen(host), "/p", 2, &route);

	return rc == 0 && route->redirect_host ? route->redirect_host : "";
}

TEST(from_or_to_www_unless_somebody_is_there)
{
	struct world w =
		WORLD("d/i@1 from-to-www-redirect=true; a.test / P a:80; www.b.test / P b:80;"
		      " c.test / P c:80; *.w.test / P w:80; - / P any:80",
		      "d/j@2; www.c.test / P wwwc:80");

	assert_string_equal(redirect_of(&w, "www.a.test"), "a.test");
	assert_string_equal(redirect_of(&w, "B.TEST"), "www.b.test");
	assert_string_equal(redirect_of(&w, "a.test"), "");
	expect(&w, "a.test/", "a");
	expect(&w, "www.c.test/", "wwwc");
	expect(&w, "www.x.test/", "any");
	world_done(&w);
}

/* Is the route of "h/p" one of a host with TLS? */
static bool has_tls(struct world *w, const char *host)
{
	const struct route *route = NULL;

	assert_int_equal(routes_find(w->routes, w->work, host, strlen(host), "/p", 2, &route), 0);
	return route->tls;
}

TEST(a_host_with_tls_has_it_for_all_of_its_paths)
{
	struct world w = { 0 };
	struct ingress *in;

	add_class(&w, "ours", CONTROLLER, false, 0);
	add(&w,
	    "d/i@1; a.test / P a:80; x.w.test / P w:80; other.test / P o:80; *.v.test / P v:80");
	add(&w, "d/j@2; a.test /p P p:80; j.test / P j:80; k.test / P k:80");
	in = w.ingresses.data[0];
	in->tls = calloc(1, sizeof(*in->tls));
	in->n_tls = 1;
	in->tls[0].hosts = calloc(3, sizeof(char *));
	in->tls[0].hosts[0] = strdup("A.test");
	in->tls[0].hosts[1] = strdup("*.w.test");
	in->tls[0].hosts[2] = strdup("k.test");
	in->tls[0].n_hosts = 3;
	build(&w);
	assert_true(has_tls(&w, "a.test")); /* of d/j: it belongs to the host */
	assert_true(has_tls(&w, "x.w.test"));
	assert_false(has_tls(&w, "other.test"));
	assert_false(has_tls(&w, "n.v.test"));
	assert_false(has_tls(&w, "k.test")); /* d/i has no rule for it */
	/* Without hosts it is for all of the Ingress's. */
	in->tls[0].n_hosts = 0;
	build(&w);
	assert_true(has_tls(&w, "other.test"));
	assert_true(has_tls(&w, "n.v.test"));
	assert_false(has_tls(&w, "j.test"));
	in->tls[0].n_hosts = 3;
	world_done(&w);
}

/* ---- one version after another ------------------------------------------------------------------------------- */

static unsigned attached, detached;

static struct rule *on_attach(void *ctx, size_t source, struct route *route)
{
	const struct world *w = ctx;

	assert_string_equal(w->ingresses.data[source]->meta.name, route->ingress);
	attached++;
	return malloc(1);
}

static void on_detach(struct rule *rule)
{
	free(rule);
	detached++;
}

static const struct route *find(struct routes *routes, struct match_work *work, const char *host)
{
	const struct route *route = NULL;

	if (routes_find(routes, work, host, strlen(host), "/a", 2, &route) != 0)
		return NULL;
	return route;
}

static struct routes *make_next(struct routes_maker *maker, struct world *w,
				const uint64_t *versions)
{
	struct routes_input in = { .ingresses = (const struct ingress *const *)w->ingresses.data,
				   .n_ingresses = w->ingresses.len,
				   .versions = versions,
				   .classes = (const struct ingress_class *const *)w->classes.data,
				   .n_classes = w->classes.len,
				   .controllers = &controllers,
				   .n_controllers = 1,
				   .attach = on_attach,
				   .detach = on_detach,
				   .note = on_note,
				   .ctx = w };
	struct routes *routes = NULL;

	buf_reset(&w->notes);
	assert_int_equal(routes_make(maker, &in, &routes), 0);
	return routes;
}

TEST(hosts_that_did_not_change_are_the_same_objects)
{
	struct world w = { 0 };
	struct routes_maker *maker;
	struct routes *one, *two, *three;
	struct match_work *work = match_work_new();
	const struct route *a, *b, *held;

	attached = detached = 0;
	add_class(&w, "ours", CONTROLLER, false, 0);
	add(&w, "d/i@1; a.test /a P a:80; a.test /a P lost:80");
	add(&w, "d/j@2 use-regex=true from-to-www-redirect=true; b.test /a I b:80");
	add(&w, "d/all@3; default all:80");
	add(&w, "d/can@4 canary=true; a.test /a P c:80");
	assert_int_equal(routes_maker_new(1, &maker), 0);
	one = make_next(maker, &w, (uint64_t[]){ 1, 2, 3, 4 });
	assert_int_equal(attached, 5);
	a = find(one, work, "a.test");
	b = find(one, work, "b.test");
	assert_non_null(a->canary);
	assert_int_not_equal(w.notes.len, 0);
	/* d/j changes: only what it says is made again; what is said of the others is said again. */
	two = make_next(maker, &w, (uint64_t[]){ 1, 5, 3, 4 });
	assert_int_equal(attached, 7);
	assert_ptr_equal(find(two, work, "a.test"), a);
	assert_ptr_not_equal(find(two, work, "b.test"), b);
	assert_non_null(b->match);
	assert_ptr_equal(find(two, work, "b.test")->match, b->match); /* compiled once */
	assert_ptr_equal(find(two, work, "else.test"), find(one, work, "else.test"));
	expect_note(&w, "d/i loser: host \"a.test\"");
	/* A request holds what it found, and nothing else. */
	held = route_hold(b);
	routes_drop(one);
	assert_int_equal(detached, 1);
	assert_string_equal(held->service, "b");
	route_drop(held);
	assert_int_equal(detached, 2);
	/* The canary changes: its twin's host with it. */
	three = make_next(maker, &w, (uint64_t[]){ 1, 5, 3, 6 });
	assert_int_equal(attached, 9);
	assert_string_equal(find(three, work, "a.test")->canary->service, "c");
	routes_drop(two);
	assert_int_equal(detached, 4);
	/* One leaves. */
	w.ingresses.len = 3;
	two = make_next(maker, &w, (uint64_t[]){ 1, 5, 3 });
	w.ingresses.len = 4;
	assert_null(find(two, work, "a.test")->canary);
	routes_drop(two);
	routes_drop(three);
	routes_maker_free(maker);
	assert_int_equal(attached, detached);
	match_work_free(work);
	world_done(&w);
}

/* ---- classes ---------------------------------------------------------------------------------------------------- */

static void expect_class(const char *field, const char *annotation, bool take_default,
			 bool take_classless, bool ours, const char *said)
{
	struct world w = { .take_default = take_default, .take_classless = take_classless };
	struct ingress *in;

	add_class(&w, "ours", CONTROLLER, true, 5);
	add_class(&w, "theirs", "example.com/other", false, 0);
	add(&w, "d/i@1; h / P s:80");
	in = w.ingresses.data[0];
	free(in->class_name);
	in->class_name = field ? strdup(field) : NULL;
	if (annotation) {
		in->annotations[0] = (struct ingress_annotation){ strdup(INGRESS_ANNOTATION_CLASS),
								  strdup(annotation) };
		in->n_annotations = 1;
	}
	build(&w);
	if ((strcmp(ask(&w, "h/", NULL), "s") == 0) != ours)
		fail_msg("class \"%s\", annotation \"%s\": ours should be %d", field ? field : "",
			 annotation ? annotation : "", ours);
	if (said)
		expect_note(&w, said);
	else
		assert_int_equal(w.notes.len, 0);
	world_done(&w);
}

TEST(class_by_name_default_and_annotation)
{
	expect_class("ours", NULL, false, false, true, NULL);
	expect_class("theirs", NULL, false, false, false, NULL);
	expect_class("wrong", NULL, false, false, false, "spec.ingressClassName is \"wrong\"");
	expect_class(NULL, "ours", false, false, true, NULL);
	expect_class(NULL, "theirs", true, true, false, NULL);
	expect_class(NULL, "nginx", true, true, false,
		     "annotation kubernetes.io/ingress.class is \"nginx\"");
	expect_class(NULL, NULL, true, false, true, NULL);
	expect_class(NULL, NULL, false, true, true, NULL);
	expect_class(NULL, NULL, false, false, false, "--watch-ingress-without-class");
}

TEST(of_two_default_classes_the_newest_counts)
{
	struct world w = { .take_default = true };

	add_class(&w, "ours", CONTROLLER, true, 5);
	add_class(&w, "theirs", "example.com/other", true, 6);
	add(&w, "d/i@1; h / P s:80");
	free(w.ingresses.data[0]->class_name);
	w.ingresses.data[0]->class_name = NULL;
	build(&w);
	expect(&w, "h/", "");
	w.classes.data[0]->created_ns = 7;
	build(&w);
	expect(&w, "h/", "s");
	world_done(&w);
}

/* ---- many ------------------------------------------------------------------------------------------------------- */

TEST(ten_thousand_ingresses)
{
	struct world w = { 0 };
	char line[128], url[64], service[16];

	add_class(&w, "ours", CONTROLLER, false, 0);
	for (int i = 0; i < 10000; i++) {
		snprintf(line, sizeof(line),
			 "n/i%d@1; h%d.test /p P s%d:80; one.test /q%d P s%d:80", i, i, i, i, i);
		add(&w, line);
	}
	build(&w);
	drop_models(&w);
	assert_int_equal(w.notes.len, 0);
	for (int i = 0; i < 10000; i += 997) {
		snprintf(service, sizeof(service), "s%d", i);
		snprintf(url, sizeof(url), "h%d.test/p/x", i);
		expect(&w, url, service);
		snprintf(url, sizeof(url), "one.test/q%d/x", i);
		expect(&w, url, service);
	}
	world_done(&w);
}

/* Paths of few letters, so that many begin alike, before and behind their eighth byte. */
static void make_path(uint32_t *seed, char *path)
{
	static const char *const pieces[] = { "a",         "b",          "eight-ab", "eight-ac",
					      "long-name", "long-names", "" };
	char *at = path;
	int n = 1 + (int)(*seed >> 8) % 4;

	for (int i = 0; i < n; i++) {
		*seed = *seed * 1664525 + 1013904223;
		at += sprintf(at, "/%s", pieces[(*seed >> 16) % 7]);
	}
	*at = '\0';
}

struct plain_rule {
	char path[64];
	char type; /* E, P, I */
};

/* Does the rule take the path, and before that other one? By the words of the documentation, not by an index. */
static bool takes(const struct plain_rule *r, const char *path)
{
	size_t len = strlen(r->path);

	if (r->type == 'E')
		return strcmp(r->path, path) == 0;
	if (r->type == 'I')
		return strncmp(r->path, path, len) == 0;
	if (r->path[len - 1] == '/')
		len--;
	return strncmp(r->path, path, len) == 0 && (path[len] == '/' || !path[len]);
}

/* Without the final slash of a Prefix: a longer one goes before, then Exact, Prefix, ImplementationSpecific. */
static bool is_better(const struct plain_rule *a, const struct plain_rule *b)
{
	size_t a_len = strlen(a->path), b_len = strlen(b->path);

	a_len -= a->type == 'P' && a->path[a_len - 1] == '/';
	b_len -= b->type == 'P' && b->path[b_len - 1] == '/';
	if (a_len != b_len)
		return a_len > b_len;
	return strchr("EPI", a->type) - strchr("EPI", b->type) < 0;
}

static bool is_there(const struct plain_rule *rules, int n, const struct plain_rule *r)
{
	for (int i = 0; i < n;
	     i++) { /* "/a" and "/a/" would be told apart by which of the two is nearer: not here */
		size_t len = strlen(rules[i].path), r_len = strlen(r->path);

		len -= rules[i].path[len - 1] == '/';
		r_len -= r->path[r_len - 1] == '/';
		if (rules[i].type == r->type && len == r_len &&
		    memcmp(rules[i].path, r->path, len) == 0)
			return true;
	}
	return false;
}

static void check_host(uint32_t *seed, int n_rules)
{
	struct world w = { 0 };
	struct plain_rule *rules = calloc((size_t)n_rules, sizeof(*rules));
	char line[256], path[64], url[96], service[16];
	int n = 0;

	assert_non_null(rules);
	add_class(&w, "ours", CONTROLLER, false, 0);
	for (int i = 0; i < n_rules; i++) {
		struct plain_rule *r = &rules[n];

		make_path(seed, r->path);
		*seed = *seed * 1664525 + 1013904223;
		r->type = "EPI"[(*seed >> 16) % 3];
		if (strstr(r->path, "//") || is_there(rules, n, r))
			continue;
		snprintf(line, sizeof(line), "n/i%d@1; h.test %s %c s%d:80", n, r->path, r->type,
			 n);
		add(&w, line);
		n++;
	}
	build(&w);
	for (int i = 0; i < 300; i++) {
		int best = -1;

		make_path(seed, path);
		if (strstr(path, "//"))
			continue;
		for (int j = 0; j < n; j++)
			if (takes(&rules[j], path) &&
			    (best < 0 || is_better(&rules[j], &rules[best])))
				best = j;
		snprintf(url, sizeof(url), "h.test%s", path);
		snprintf(service, sizeof(service), "s%d", best);
		expect(&w, url, best < 0 ? "" : service);
	}
	drop_models(&w);
	free(rules);
	world_done(&w);
}

TEST(as_a_plain_search_would_find_it)
{
	uint32_t seed = 7;

	for (int n = 1; n <= 200; n += 1 + n / 8)
		check_host(&seed, n);
}

TEST(every_allocation_may_fail)
{
	struct world w = { 0 };

	add_class(&w, "ours", CONTROLLER, false, 0);
	add(&w, "d/i@1; default dflt:80; h /a P a:80; *.w /b E b:80; - /c I c:80");
	add(&w, "d/rx@2 rewrite-target=/$1; r /x(.*) I rx:80");
	add(&w, "d/can@3 canary=true; h /a P canary:80");
	add(&w, "d/all@4; default all:80");
	build(&w);
	for (unsigned n = 1;; n++) {
		struct routes_input in = {
			.ingresses = (const struct ingress *const *)w.ingresses.data,
			.n_ingresses = w.ingresses.len,
			.classes = (const struct ingress_class *const *)w.classes.data,
			.n_classes = w.classes.len,
			.controllers = &controllers,
			.n_controllers = 1
		};
		struct routes *routes = NULL;
		int rc;

		failmalloc_at(n);
		rc = routes_build(&in, &routes);
		if (!failmalloc_done())
			n = 0; /* none failed: this is the last */
		if (rc == 0) { /* or only speed was lost */
			routes_drop(w.routes);
			w.routes = routes;
			expect(&w, "h/a", "a");
			expect(&w, "x.w/b", "b");
			expect_target(&w, "r/xy", "rx", "/y");
			expect(&w, "h/z", "dflt");
			expect(&w, "any/z", "all");
		} else {
			assert_int_equal(rc, -ENOMEM);
			assert_null(routes);
		}
		if (n == 0)
			break;
	}
	world_done(&w);
}

/* ---- cases as data ---------------------------------------------------------------------------------------------- */

static const char *text_of(const cJSON *j, const char *name)
{
	const char *text = cases_text(j, name);

	return text ? text : "";
}

/* What the wire would carry, through the parser, to a route and a target. */
static int run_request(struct world *w, const cJSON *q, const struct route **ret_route,
		       struct buf *target)
{
	struct http1_head head;
	struct buf raw = { 0 };
	char path[512];
	size_t len;
	int rc;

	buf_printf(&raw, "%s %s HTTP/1.1\r\nHost: %s\r\n\r\n", text_of(q, "method"),
		   text_of(q, "path"), text_of(q, "host"));
	http1_head_init(&head, HTTP1_REQUEST, &http1_limits_request);
	assert_true(http1_head_read(&head, raw.data, raw.len) > 0);
	assert_int_equal(path_normalise(raw.data + head.path.at, head.path.len, path, &len), 0);
	rc = routes_find(w->routes, w->work, raw.data + head.host.at, head.host.len, path, len,
			 ret_route);
	if (rc == 0)
		rc = route_target(*ret_route, w->work,
				  &(struct route_request){ .path = path,
							   .path_len = len,
							   .raw = raw.data + head.path.at,
							   .raw_len = head.path.len,
							   .query = raw.data + head.query.at,
							   .query_len = head.query.len,
							   .has_query = head.has_query },
				  target);
	buf_done(&raw);
	return rc;
}

static void check_route(const char *name, const cJSON *q, const cJSON *e, const struct route *r,
			struct buf *target)
{
	const cJSON *port = cases_get(e, "port");

	if (strcmp(r->service, text_of(e, "service")) != 0)
		fail_msg("%s: %s goes to %s", name, text_of(q, "path"), r->service);
	if (cJSON_IsString(port))
		assert_string_equal(r->port_name, port->valuestring);
	else
		assert_int_equal(r->port, port->valueint);
	if (cases_get(e, "namespace"))
		assert_string_equal(r->namespace, text_of(e, "namespace"));
	if (cases_get(e, "upstream_path") &&
	    strcmp(buf_str(target), text_of(e, "upstream_path")) != 0)
		fail_msg("%s: %s arrives as %s", name, text_of(q, "path"), buf_str(target));
}

static void check_case_request(struct world *w, const char *name, const cJSON *q, const cJSON *e)
{
	const struct route *route = NULL;
	struct buf target = { 0 };
	int rc = run_request(w, q, &route, &target);

	if (cases_get(e, "status")->valueint == 404) {
		if (rc != -ENOENT && !(rc == 0 && !route->service))
			fail_msg("%s: %s is found", name, text_of(q, "path"));
	} else if (rc) {
		fail_msg("%s: %s is not found (%d)", name, text_of(q, "path"), rc);
	} else {
		check_route(name, q, e, route, &target);
	}
	buf_done(&target);
}

TEST(imported_cases)
{
	cJSON *json = cases_load("ingress-cases.json");
	unsigned run = 0, redirects = 0, policy = 0, canary = 0, whole = 0;
	const cJSON *c, *i, *q;

	cJSON_ArrayForEach(c, cases_get(json, "cases"))
	{
		const cJSON *e = cases_get(c, "expect")->child;
		struct world w = { 0 };
		unsigned before = redirects + policy + canary;

		add_class(&w, "test", CONTROLLER, false, 0);
		cJSON_ArrayForEach(i, cases_get(c, "ingresses")) add_json(&w, i);
		build(&w);
		drop_models(&w);
		cJSON_ArrayForEach(q, cases_get(c, "requests"))
		{
			int status = cases_get(e, "status")->valueint;

			if (status >= 300 && status < 400) {
				redirects++;
			} else if (status != 200 && status != 404) {
				policy++;
			} else if (strcmp(text_of(e, "service"), "canary") == 0) {
				canary++;
			} else {
				check_case_request(&w, text_of(c, "name"), q, e);
				run++;
			}
			e = e->next;
		}
		whole += before == redirects + policy + canary;
		world_done(&w);
	}
	print_message(
		"# %u requests run, %u cases whole; left: %u redirects, %u judged by other annotations, %u canary choices\n",
		run, whole, redirects, policy, canary);
	assert_int_equal(run, 122);
	assert_int_equal(redirects, 8);
	assert_int_equal(policy, 7);
	assert_int_equal(canary, 3);
	cJSON_Delete(json);
}

RUN(cmocka_unit_test(paths_are_normalised_once),
    cmocka_unit_test(paths_are_encoded_so_that_no_line_ends_early),
    cmocka_unit_test(host_first_then_path), cmocka_unit_test(longest_path_and_most_exact_type),
    cmocka_unit_test(root_and_folders),
    cmocka_unit_test(the_oldest_claim_wins_and_the_other_is_told),
    cmocka_unit_test(default_backends),
    cmocka_unit_test(a_backend_that_is_no_service_is_404_for_its_path_alone),
    cmocka_unit_test(hosts_that_cannot_be_are_refused),
    cmocka_unit_test(one_ingress_makes_its_hosts_regular_expressions),
    cmocka_unit_test(a_target_that_changes_nothing_is_no_expression), cmocka_unit_test(rewriting),
    cmocka_unit_test(the_common_mistake_is_done_and_told), cmocka_unit_test(stripping_a_prefix),
    cmocka_unit_test(without_rewriting_the_bytes_stay),
    cmocka_unit_test(an_expression_that_cannot_be_compiled_costs_its_path_alone),
    cmocka_unit_test(an_expression_cannot_take_forever),
    cmocka_unit_test(canaries_hang_on_their_twins),
    cmocka_unit_test(an_alias_leads_to_the_same_host),
    cmocka_unit_test(from_or_to_www_unless_somebody_is_there),
    cmocka_unit_test(a_host_with_tls_has_it_for_all_of_its_paths),
    cmocka_unit_test(hosts_that_did_not_change_are_the_same_objects),
    cmocka_unit_test(class_by_name_default_and_annotation),
    cmocka_unit_test(of_two_default_classes_the_newest_counts),
    cmocka_unit_test(ten_thousand_ingresses), cmocka_unit_test(as_a_plain_search_would_find_it),
    cmocka_unit_test(every_allocation_may_fail), cmocka_unit_test(imported_cases))
