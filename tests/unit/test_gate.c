// SPDX-License-Identifier: GPL-2.0-only
// One request through its Ingress's annotations: redirects, ranges, rates, CORS, authentication, canaries, cookies.
/* link: user/ingress/gate.c user/ingress/gate_text.c user/ingress/gate_limits.c user/ingress/gate_basic.c */
/* link: user/ingress/gate_pick.c user/ingress/gate_ask.c user/ingress/gate_cors.c user/ingress/auth_check.c */
/* link: user/ingress/policy.c user/ingress/policy_table.c user/ingress/policy_read.c user/ingress/policy_words.c */
/* link: user/ingress/auth_users.c user/ingress/upstream.c user/ingress/upstream_choose.c user/ingress/epoch.c */
/* link: user/ingress/routes.c user/ingress/routes_make.c user/ingress/routes_host.c user/ingress/route.c */
/* link: user/ingress/class.c user/ingress/setting.c */
/* link: user/ingress/match.c user/ingress/path.c user/ingress/http1.c */
/* link: user/source/decode_ingress.c user/source/decode_secret.c */
/* link: user/source/decode_read.c user/source/decode.c user/source/decode_service.c */
/* link: user/source/decode_slice.c user/source/decode_node.c user/source/object.c */
/* link: user/source/field.c user/source/value.c user/source/value_json.c user/core/model.c user/core/model_ingress.c */
/* link: user/core/address.c user/base/arena.c user/base/buf.c user/base/table.c user/base/options.c */
/* link: user/base/options_value.c */
/* libs: cjson pcre2-8 crypt crypto */
#include "unit/test.h"

#include <crypt.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/table.h"
#include "base/vec.h"
#include "ingress/auth.h"
#include "ingress/gate.h"
#include "ingress/match.h"
#include "ingress/path.h"
#include "source/decode.h"
#include "source/value_json.h"
#include "unit/cases.h"
#include "unit/failmalloc.h"

#define S   CLOCK_NS_PER_S
#define NOW (1000 * S)

static const char *const controllers = "sluice.dev/ingress";

/* ---- a world: Ingresses, their rules, a gate ------------------------------------------------------------------------- */

struct world {
	struct VEC_OF(struct ingress *) ingresses;
	struct ingress_class class;
	struct secret secret; /* the only one; name NULL: none */
	struct secret_item items[4];
	struct table upstreams; /* by service */
	unsigned endpoints;     /* of each Service; 0: one */
	struct routes *routes;
	struct match_work *work;
	struct gate *gate;
	struct buf notes;
};

static const struct secret *find_secret(void *ctx, const char *namespace, const char *name)
{
	const struct world *w = ctx;

	(void)namespace;
	return w->secret.meta.name && strcmp(w->secret.meta.name, name) == 0 ? &w->secret : NULL;
}

static struct upstream *upstream_for(struct world *w, const char *service)
{
	struct upstream_settings settings = upstream_defaults;
	struct upstream *u = table_get_str(&w->upstreams, service);
	struct upstream_endpoint pods[16];
	unsigned n = w->endpoints ? w->endpoints : 1;

	if (u)
		return upstream_hold(u);
	settings.seed = table_hash(1, service, strlen(service));
	assert_int_equal(upstream_new(&settings, NOW, &u), 0);
	for (unsigned i = 0; i < n; i++)
		pods[i] = (struct upstream_endpoint){
			.addr = { .family = 4,
				  .b = { 10, 0, (uint8_t)w->upstreams.len, (uint8_t)i } },
			.port = 80
		};
	assert_int_equal(upstream_set(u, pods, n, NOW, NULL), 0);
	assert_int_equal(table_put_str(&w->upstreams, service, u, NULL), 0);
	return upstream_hold(u);
}

static struct rule *attach(void *ctx, size_t source, struct route *route)
{
	struct world *w = ctx;
	struct rule *rule = calloc(1, sizeof(*rule));
	struct policy_input in = { .ingress = w->ingresses.data[source],
				   .secret = find_secret,
				   .ctx = w,
				   .hsts = "max-age=31536000; includeSubDomains" };
	struct policy *policy;

	assert_int_equal(policy_build(&in, &policy), 0);
	rule->route = route;
	rule->policy = policy;
	rule->upstream = route->service ? upstream_for(w, route->service) : NULL;
	return rule;
}

static void detach(struct rule *rule)
{
	policy_drop(rule->policy);
	upstream_drop(rule->upstream);
	free(rule);
}

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

/* "ns/name; annotation: value; …" on host a.test, path "/", Prefix, to the Service `name`. */
static void add(struct world *w, const char *line)
{
	char *text = strdup(line), *rest, *item = strtok_r(text, ";", &rest),
	     *slash = strchr(item, '/');
	struct ingress *in = calloc(1, sizeof(*in));

	*slash = '\0';
	in->meta.namespace = strdup(item);
	in->meta.name = strdup(slash + 1);
	in->created_ns = (int64_t)w->ingresses.len + 1;
	in->class_name = strdup("ours");
	in->annotations = calloc(24, sizeof(*in->annotations));
	while ((item = strtok_r(NULL, ";", &rest))) {
		struct ingress_annotation *a = &in->annotations[in->n_annotations++];
		char *colon;

		item += strspn(item, " ");
		colon = strstr(item, ": ");
		assert_non_null(colon);
		*colon = '\0';
		assert_true(asprintf(&a->name, "%s%s", strchr(item, '/') ? "" : INGRESS_NGINX,
				     item) > 0);
		a->value = strdup(colon + 2);
	}
	in->rules = calloc(1, sizeof(*in->rules));
	in->n_rules = 1;
	in->rules[0].host = strdup("a.test");
	in->rules[0].paths = calloc(1, sizeof(struct ingress_path));
	in->rules[0].n_paths = 1;
	in->rules[0].paths[0].path = strdup("/");
	in->rules[0].paths[0].type = INGRESS_PREFIX;
	in->rules[0].paths[0].backend.service = strdup(in->meta.name);
	in->rules[0].paths[0].backend.port = 80;
	free(text);
	assert_int_equal(vec_push(&w->ingresses, in), 0);
}

static void build(struct world *w)
{
	const struct ingress_class *class = &w->class;
	struct routes_input in = { .ingresses = (const struct ingress *const *)w->ingresses.data,
				   .n_ingresses = w->ingresses.len,
				   .classes = &class,
				   .n_classes = 1,
				   .controllers = &controllers,
				   .n_controllers = 1,
				   .attach = attach,
				   .detach = detach,
				   .ctx = w };
	struct gate_settings settings = { .seed = 7, .body_max = 1 << 20 };

	if (!w->class.meta.name) {
		w->class.meta.name = strdup("ours");
		w->class.controller = strdup(controllers);
	}
	w->work = match_work_new();
	table_init(&w->upstreams, 1);
	assert_int_equal(gate_new(&settings, &w->gate), 0);
	assert_int_equal(routes_build(&in, &w->routes), 0);
}

static void drop_upstream(void *u)
{
	upstream_drop(u);
}

static void world_done(struct world *w)
{
	struct ingress **ingress;

	routes_drop(w->routes);
	vec_for_each(ingress, &w->ingresses) {
		ingress_done(*ingress);
		free(*ingress);
	}
	vec_done(&w->ingresses);
	ingress_class_done(&w->class);
	table_done(&w->upstreams, drop_upstream);
	gate_free(w->gate);
	match_work_free(w->work);
	buf_done(&w->notes);
}

static struct world make(const char *const *lines)
{
	struct world w = { 0 };

	for (; *lines; lines++)
		add(&w, *lines);
	build(&w);
	return w;
}

#define WORLD(...) make((const char *const[]){ __VA_ARGS__, NULL })

/* ---- a request --------------------------------------------------------------------------------------------------------- */

struct ask {
	const char *path, *host; /* "/", "a.test" */
	const char *method;
	const char *fields; /* lines with CRLF */
	const char *from;   /* address; 192.0.2.1 */
	bool tls;
	uint32_t random;
	uint64_t now_ns;
	const char *cert; /* subject of a client certificate */
	const char *cert_problem;
	bool can_wait;
};

struct got {
	int rc; /* of routes_find() */
	enum gate_verdict verdict;
	struct gate_result result;
	struct gate_request q;
	struct rule *rule;
	struct http1_head head;
	struct buf raw;
	char path[1024];
	struct arena arena;
};

static struct got ask(struct world *w, struct ask a)
{
	struct got *g = calloc(1, sizeof(*g)), out;
	const struct route *route;
	size_t len;

	buf_printf(&g->raw, "%s %s HTTP/1.1\r\nHost: %s\r\n%s\r\n", a.method ? a.method : "GET",
		   a.path ? a.path : "/", a.host ? a.host : "a.test", a.fields ? a.fields : "");
	http1_head_init(&g->head, HTTP1_REQUEST, &http1_limits_request);
	assert_true(http1_head_read(&g->head, g->raw.data, g->raw.len) > 0);
	assert_int_equal(
		path_normalise(g->raw.data + g->head.path.at, g->head.path.len, g->path, &len), 0);
	g->rc = routes_find(w->routes, w->work, g->raw.data + g->head.host.at, g->head.host.len,
			    g->path, len, &route);
	out = *g;
	free(g);
	if (out.rc)
		return out;
	out.rule = route->rule;
	out.q = (struct gate_request){ .gate = w->gate,
				       .bytes = out.raw.data,
				       .path_len = len,
				       .tls = a.tls,
				       .client_cert_problem = a.cert_problem,
				       .has_client_cert = a.cert != NULL,
				       .client_cert_subject = a.cert,
				       .client_cert_issuer = a.cert ? "CN=ca" : NULL,
				       .client_cert_pem = a.cert ? "-----BEGIN" : NULL,
				       .now_ns = a.now_ns ? a.now_ns : NOW,
				       .now_s = 1767225600,
				       .random = a.random,
				       .can_wait = a.can_wait };
	assert_int_equal(address_parse(a.from ? a.from : "192.0.2.1", &out.q.client), 0);
	return out;
}

/* The verdict; got stays where it is. */
static enum gate_verdict check(struct got *g)
{
	g->q.head = &g->head;
	g->q.path = g->path;
	g->q.arena = &g->arena;
	assert_int_equal(gate_check(&g->q, g->rule, &g->verdict, &g->result), 0);
	return g->verdict;
}

static void got_done(struct world *w, struct got *g)
{
	gate_leave(w->gate, &g->result);
	gate_job_drop(g->result.job);
	arena_done(&g->arena);
	buf_done(&g->raw);
}

/* "name: value" a line, of a set; NULL values as "-name". Valid until the next call. */
static const char *text_of(const struct gate_sets *sets)
{
	static struct buf out;

	buf_reset(&out);
	for (size_t i = 0; i < sets->n; i++) {
		if (sets->set[i].value)
			buf_printf(&out, "%s%s: %s\n", sets->set[i].add ? "+" : "",
				   sets->set[i].name, sets->set[i].value);
		else
			buf_printf(&out, "-%s\n", sets->set[i].name);
	}
	return buf_str(&out);
}

static void expect(struct world *w, struct ask a, unsigned status, const char *fields)
{
	struct got g = ask(w, a);

	assert_int_equal(g.rc, 0);
	check(&g);
	if (g.verdict != (status ? GATE_ANSWER : GATE_PASS))
		fail_msg("%s: verdict %d, status %u (%s)", g.path, g.verdict, g.result.status,
			 g.result.reason ? g.result.reason : "");
	if (g.verdict == GATE_ANSWER && g.result.status != status)
		fail_msg("%s: status %u, %s", g.path, g.result.status, g.result.reason);
	if (fields && strcmp(text_of(&g.result.answer_set), fields) != 0)
		fail_msg("%s: %s", g.path, text_of(&g.result.answer_set));
	got_done(w, &g);
}

#define EXPECT(w, status, fields, ...) expect(w, (struct ask){ __VA_ARGS__ }, status, fields)
#define PASSES(w, ...)                 expect(w, (struct ask){ __VA_ARGS__ }, 0, NULL)

/* ---- redirects ---------------------------------------------------------------------------------------------------------- */

TEST(to_https)
{
	struct world w = WORLD("d/force; force-ssl-redirect: true");

	EXPECT(&w, 308, "Location: https://a.test\n", .path = "/");
	EXPECT(&w, 308, "Location: https://a.test/x\n", .path = "/x/");
	EXPECT(&w, 308, "Location: https://a.test/x?y=1\n", .path = "/x?y=1",
	       .host = "a.test:8080");
	EXPECT(&w, 308, "Location: https://a.test/%61//b\n", .path = "/%61//b");
	PASSES(&w, .path = "/x", .tls = true);
	PASSES(&w, .path = "/.well-known/acme-challenge/token");
	EXPECT(&w, 308, NULL, .path = "/.well-known/acme-challenger");
	world_done(&w);
	w = WORLD("d/keep; force-ssl-redirect: true; preserve-trailing-slash: true");
	EXPECT(&w, 308, "Location: https://a.test/x/\n", .path = "/x/");
	world_done(&w);
}

TEST(hsts_goes_out_on_every_answer_over_tls)
{
	struct world w = WORLD("d/i; denylist-source-range: 10.0.0.0/8");
	struct got g = ask(&w, (struct ask){ .tls = true });

	check(&g);
	assert_string_equal(text_of(&g.result.response_set),
			    "Strict-Transport-Security: max-age=31536000; includeSubDomains\n");
	got_done(&w, &g);
	g = ask(&w, (struct ask){ .tls = true, .from = "10.1.2.3" });
	assert_int_equal(check(&g), GATE_ANSWER);
	assert_string_equal(text_of(&g.result.response_set),
			    "Strict-Transport-Security: max-age=31536000; includeSubDomains\n");
	got_done(&w, &g);
	g = ask(&w, (struct ask){ 0 });
	check(&g);
	assert_int_equal(g.result.response_set.n, 0);
	got_done(&w, &g);
	world_done(&w);
}

TEST(redirects)
{
	struct world w = WORLD("d/i; app-root: /home; from-to-www-redirect: true");

	EXPECT(&w, 302, "Location: /home\n", .path = "/");
	PASSES(&w, .path = "/x");
	EXPECT(&w, 308, "Location: http://a.test/x?y\n", .host = "www.a.test", .path = "/x?y");
	EXPECT(&w, 308, "Location: https://a.test/x\n", .host = "www.a.test", .path = "/x/",
	       .tls = true);
	world_done(&w);
	w = WORLD("d/i; permanent-redirect: https://b.test$request_uri");
	EXPECT(&w, 301, "Location: https://b.test/x?y=z\n", .path = "/x?y=z");
	world_done(&w);
	w = WORLD(
		"d/i; temporal-redirect: $scheme://b.test/$arg_to-$http_x_a; temporal-redirect-code: 307");
	EXPECT(&w, 307, "Location: http://b.test/ab-%22c%20%5Cd%22%C3%A9\n", .path = "/?n=1&to=ab",
	       .fields = "X-A: \"c \\d\"\xc3\xa9\r\n");
	EXPECT(&w, 307, "Location: https://b.test/-\n", .tls = true);
	world_done(&w);
}

/* ---- who may come ---------------------------------------------------------------------------------------------------------- */

TEST(source_ranges)
{
	struct world w = WORLD(
		"d/i; whitelist-source-range: 10.0.0.0/8,2001:db8::/32; denylist-source-range: 10.1.0.0/16;"
		" force-ssl-redirect: true");

	EXPECT(&w, 403, "", .from = "192.0.2.1");
	EXPECT(&w, 403, "", .from = "10.1.2.3");
	EXPECT(&w, 308, NULL, .from = "10.2.0.1");
	PASSES(&w, .from = "10.2.0.1", .tls = true);
	PASSES(&w, .from = "2001:db8::1", .tls = true);
	EXPECT(&w, 403, "", .from = "2001:db9::1");
	world_done(&w);
}

TEST(what_cannot_be_kept_is_closed)
{
	struct world w = WORLD("d/i; whitelist-source-range: nonsense");

	EXPECT(&w, 503, "");
	world_done(&w);
	w = WORLD("d/i; auth-type: basic; auth-secret: missing");
	EXPECT(&w, 503, "");
	world_done(&w);
}

TEST(rates)
{
	struct world w = WORLD("d/i; limit-rps: 2; limit-whitelist: 10.0.0.0/8");
	unsigned n = 0;

	while (n < 100) {
		struct got g = ask(&w, (struct ask){ 0 });
		enum gate_verdict verdict = check(&g);

		if (verdict != GATE_PASS) {
			assert_int_equal(g.result.status, 503);
			assert_string_equal(text_of(&g.result.answer_set), "Retry-After: 1\n");
		}
		got_done(&w, &g);
		if (verdict != GATE_PASS)
			break;
		n++;
	}
	assert_int_equal(n, 11); /* five times the rate, and the one that is due */
	PASSES(&w, .from = "192.0.2.2");
	for (int i = 0; i < 50; i++)
		PASSES(&w, .from = "10.0.0.1");
	EXPECT(&w, 503, NULL, .now_ns = NOW + S / 2 - 1);
	PASSES(&w, .now_ns = NOW + S / 2);
	EXPECT(&w, 503, NULL, .now_ns = NOW + S / 2);
	for (int i = 0; i < 11; i++) /* all is forgiven */
		PASSES(&w, .now_ns = NOW + 100 * S);
	EXPECT(&w, 503, NULL, .now_ns = NOW + 100 * S);
	world_done(&w);
	w = WORLD("d/i; limit-rpm: 1; limit-burst-multiplier: 1");
	PASSES(&w, .path = "/");
	PASSES(&w, .path = "/");
	EXPECT(&w, 503, "Retry-After: 60\n", .path = "/");
	EXPECT(&w, 503, "Retry-After: 1\n", .now_ns = NOW + 59 * S + 1);
	PASSES(&w, .now_ns = NOW + 60 * S);
	world_done(&w);
}

TEST(rates_by_key)
{
	struct world w = WORLD(
		"d/i; limit-rps: 1; limit-burst-multiplier: 1; sluice.dev/limit-by: header:X-Key");

	for (int i = 0; i < 2; i++)
		PASSES(&w, .fields = "x-key: one\r\n");
	EXPECT(&w, 503, NULL, .fields = "X-Key: one\r\n", .from = "192.0.2.9");
	PASSES(&w, .fields = "X-Key: two\r\n");
	for (int i = 0; i < 2; i++)
		PASSES(&w, .path = "/"); /* without one, by address */
	EXPECT(&w, 503, NULL, .path = "/");
	PASSES(&w, .from = "192.0.2.3");
	world_done(&w);
}

TEST(requests_at_a_time)
{
	struct world w = WORLD("d/i; limit-connections: 2");
	struct got one = ask(&w, (struct ask){ 0 }), two = ask(&w, (struct ask){ 0 });

	assert_int_equal(check(&one), GATE_PASS);
	assert_int_equal(check(&two), GATE_PASS);
	EXPECT(&w, 503, "Retry-After: 1\n", .path = "/");
	PASSES(&w, .from = "192.0.2.2");
	got_done(&w, &one);
	PASSES(&w, .path = "/");
	got_done(&w, &two);
	world_done(&w);
}

/* More clients than there is memory for: it stays what it is, and those who come often are counted all the same. */
TEST(memory_of_rates_is_bounded)
{
	struct world w = WORLD("d/i; limit-rps: 1; limit-burst-multiplier: 1");
	unsigned refused = 0;

	for (unsigned i = 0; i < 300000; i++) {
		char from[32];
		struct got g;

		snprintf(from, sizeof(from), "10.%u.%u.%u", i >> 16, i >> 8 & 255, i & 255);
		g = ask(&w, (struct ask){ .from = i % 3 ? from : "192.0.2.1",
					  .now_ns = NOW + i * 1000 });
		refused += check(&g) != GATE_PASS && i % 3 == 0;
		got_done(&w, &g);
		if (i == 3000) /* long before it is full */
			assert_in_range(refused, 999, 1001);
	}
	assert_true(refused > 50000);
	world_done(&w);
}

/* ---- CORS -------------------------------------------------------------------------------------------------------------------- */

static void expect_cors(struct world *w, struct ask a, enum gate_verdict verdict,
			const char *fields)
{
	struct got g = ask(w, a);

	assert_int_equal(check(&g), verdict);
	if (verdict == GATE_ANSWER)
		assert_int_equal(g.result.status, 204);
	if (strcmp(text_of(&g.result.response_set), fields) != 0)
		fail_msg("%s", text_of(&g.result.response_set));
	got_done(w, &g);
}

TEST(cors)
{
	static const char any[] =
		"Access-Control-Allow-Origin: *\nAccess-Control-Allow-Credentials: true\n"
		"Access-Control-Allow-Methods: GET, PUT, POST, DELETE, PATCH, OPTIONS\n"
		"Access-Control-Allow-Headers: DNT,Keep-Alive,User-Agent,X-Requested-With,"
		"If-Modified-Since,Cache-Control,Content-Type,Range,Authorization\n"
		"Access-Control-Max-Age: 1728000\n";
	struct world w = WORLD("d/i; enable-cors: true; limit-rps: 1; auth-url: http://x/");

	expect_cors(&w, (struct ask){ .method = "OPTIONS" }, GATE_ANSWER,
		    any); /* not asked who it is */
	expect_cors(&w, (struct ask){ .fields = "Origin: https://x.test\r\n" }, GATE_ASK, any);
	world_done(&w);
	w = WORLD(
		"d/i; enable-cors: true; cors-allow-origin: https://a.test, https://*.b.test:8443; "
		"cors-allow-credentials: false; cors-allow-methods: GET; cors-allow-headers: X-A;"
		"cors-expose-headers: X-B; cors-max-age: 5");
	expect_cors(
		&w, (struct ask){ .fields = "Origin: https://A.test\r\n" }, GATE_PASS,
		"+Vary: Origin\nAccess-Control-Allow-Origin: https://A.test\nAccess-Control-Allow-Methods: GET\n"
		"Access-Control-Allow-Headers: X-A\nAccess-Control-Expose-Headers: X-B\nAccess-Control-Max-Age: 5\n");
	for (unsigned i = 0; i < 9; i++) {
		static const char *const origins[] = {
			"https://x.b.test:8443", "https://x.y.b.test:8443",
			"http://x.b.test:8443",  "https://b.test:8443",
			"https://xb.test:8443",  "https://evil/.b.test:8443",
			"https://a.test.evil",   "null",
			"https://.b.test:8443"
		};
		char field[128];

		snprintf(field, sizeof(field), "Origin: %s\r\n", origins[i]);
		expect_cors(
			&w, (struct ask){ .fields = field, .method = "OPTIONS" },
			i < 2 ? GATE_ANSWER : GATE_PASS,
			i == 0 ? "+Vary: Origin\nAccess-Control-Allow-Origin: https://x.b.test:8443\n"
				 "Access-Control-Allow-Methods: GET\nAccess-Control-Allow-Headers: X-A\n"
				 "Access-Control-Expose-Headers: X-B\nAccess-Control-Max-Age: 5\n"
			: i == 1
				? "+Vary: Origin\nAccess-Control-Allow-Origin: https://x.y.b.test:8443\n"
				  "Access-Control-Allow-Methods: GET\nAccess-Control-Allow-Headers: X-A\n"
				  "Access-Control-Expose-Headers: X-B\nAccess-Control-Max-Age: 5\n"
				: "+Vary: Origin\n");
	}
	world_done(&w);
}

/* ---- authentication ----------------------------------------------------------------------------------------------------------- */

TEST(hashes_of_every_kind)
{
	static const struct {
		const char *hash, *password;
	} known[] = {
		/* made by htpasswd and openssl passwd */
		{ "{SHA}nU4eI71bcnBGqeO0t9tXvY1u5oQ=", "pass" },
		{ "{PLAIN}pass", "pass" },
		{ "$apr1$saltsalt$xx013OFx2cRtDjpNeiZXf.", "pass" },
		{ "$1$saltsalt$hZR.9zfJXcVTsa9iTxnQR1", "pass" },
	};
	static const char *const kinds[] = { "$2b$", "$5$", "$6$", "$y$" };

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (!auth_check(known[i].hash, known[i].password))
			fail_msg("%s", known[i].hash);
		assert_false(auth_check(known[i].hash, "Pass"));
		assert_false(auth_check(known[i].hash, ""));
	}
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		char salt[CRYPT_GENSALT_OUTPUT_SIZE];
		struct crypt_data *data = calloc(1, sizeof(*data));
		const char *hash;

		assert_non_null(
			crypt_gensalt_rn(kinds[i], i == 0 ? 4 : 0, NULL, 0, salt, sizeof(salt)));
		hash = crypt_r("pass word", salt, data);
		assert_non_null(hash);
		assert_true(auth_check(hash, "pass word"));
		assert_false(auth_check(hash, "pass"));
		free(data);
	}
	assert_false(auth_check(NULL, "pass"));
	assert_false(auth_check("{SHA}", ""));
	assert_false(auth_check("{SSHA}AAAA", "x"));
	assert_false(auth_check("$apr1$x", "x"));
	assert_false(auth_check("$2b$nonsense", "x"));
}

static void give_users(struct world *w, const char *file)
{
	w->items[0] = (struct secret_item){ (char *)"auth", (unsigned char *)file, strlen(file) };
	w->secret = (struct secret){ .meta = { .namespace = (char *)"d", .name = (char *)"users" },
				     .items = w->items,
				     .n_items = 1 };
}

#define BASIC "d/i; auth-type: basic; auth-secret: users; auth-realm: Staff"

TEST(basic_authentication)
{
	struct world w = { 0 };
	struct got g;

	give_users(&w, "user:{SHA}nU4eI71bcnBGqeO0t9tXvY1u5oQ=\n");
	add(&w, BASIC);
	build(&w);
	EXPECT(&w, 401, "WWW-Authenticate: Basic realm=\"Staff\"\n", .path = "/");
	EXPECT(&w, 401, NULL, .fields = "Authorization: Basic dXNlcjpiYWQ=\r\n");
	EXPECT(&w, 401, NULL, .fields = "Authorization: Basic bm9ib2R5OnBhc3M=\r\n");
	EXPECT(&w, 401, NULL, .fields = "Authorization: Bearer x\r\n");
	g = ask(&w, (struct ask){ .fields = "Authorization: Basic dXNlcjpwYXNz\r\n" });
	assert_int_equal(check(&g), GATE_PASS);
	assert_string_equal(text_of(&g.result.request_set), "-Authorization\n");
	got_done(&w, &g);
	world_done(&w);
}

TEST(a_password_is_checked_elsewhere_and_remembered)
{
	struct world w = { 0 };
	struct ask right = { .fields = "Authorization: Basic dXNlcjpwYXNz\r\n", .can_wait = true };
	struct ask wrong = { .fields = "Authorization: Basic dXNlcjpiYWQ=\r\n", .can_wait = true };
	struct got g;

	give_users(&w, "user:{SHA}nU4eI71bcnBGqeO0t9tXvY1u5oQ=\n");
	add(&w, BASIC);
	build(&w);
	g = ask(&w, right);
	assert_int_equal(check(&g), GATE_VERIFY);
	gate_job_run(g.result.job);
	assert_int_equal(gate_verified(&g.q, g.rule, true, &g.verdict, &g.result), 0);
	assert_int_equal(g.verdict, GATE_PASS);
	got_done(&w, &g);
	g = ask(&w, right);
	assert_int_equal(check(&g), GATE_PASS); /* at once */
	got_done(&w, &g);
	right.now_ns = NOW + 301 * S;
	g = ask(&w, right);
	assert_int_equal(check(&g), GATE_VERIFY);
	got_done(&w, &g);
	for (int i = 0; i < 2; i++) { /* a wrong one never is */
		g = ask(&w, wrong);
		assert_int_equal(check(&g), GATE_VERIFY);
		gate_job_run(g.result.job);
		assert_int_equal(gate_verified(&g.q, g.rule, true, &g.verdict, &g.result), 0);
		assert_int_equal(g.result.status, 401);
		got_done(&w, &g);
	}
	g = ask(&w, wrong);
	check(&g);
	assert_int_equal(gate_verified(&g.q, g.rule, false, &g.verdict, &g.result), 0);
	assert_int_equal(g.result.status, 503);
	got_done(&w, &g);
	world_done(&w);
}

TEST(either_address_or_password)
{
	struct world w = { 0 };

	give_users(&w, "user:{PLAIN}pass\n");
	add(&w, BASIC "; whitelist-source-range: 10.0.0.0/8; satisfy: any");
	build(&w);
	PASSES(&w, .from = "10.0.0.1");
	EXPECT(&w, 401, NULL, .from = "192.0.2.1");
	PASSES(&w, .from = "192.0.2.1", .fields = "Authorization: Basic dXNlcjpwYXNz\r\n");
	world_done(&w);
	w = WORLD("d/i; whitelist-source-range: 10.0.0.0/8; satisfy: any");
	EXPECT(&w, 403, NULL, .from = "192.0.2.1");
	world_done(&w);
}

/* What comes of an answer of the authentication service. */
static struct got answered(struct world *w, struct ask a, const char *answer)
{
	static struct http1_head head;
	struct got g = ask(w, a);
	size_t len = answer ? strlen(answer) : 0;

	assert_int_equal(check(&g), GATE_ASK);
	if (answer) {
		http1_head_init(&head, HTTP1_RESPONSE, &http1_limits_response);
		assert_int_equal(http1_head_read(&head, answer, len), (int)len);
	}
	assert_int_equal(
		gate_answered(&g.q, g.rule, answer ? &head : NULL, answer, &g.verdict, &g.result),
		0);
	return g;
}

TEST(external_authentication)
{
	struct world w = WORLD(
		"d/i; auth-url: http://auth.test:81/check?u=$escaped_request_uri; auth-response-headers: X-User,X-Role;"
		" auth-signin: https://$host/in?x=1");
	struct ask a = {
		.path = "/p?q=1",
		.method = "POST",
		.fields =
			"X-User: forged\r\nCookie: c=1\r\nContent-Length: 5\r\nContent-Type: text/plain\r\n"
			"X-Original-URL: forged\r\nConnection: x-hop\r\nX-Hop: 1\r\n"
			"Forwarded: for=10.0.0.9\r\nX-Forwarded-For: 10.0.0.9\r\nx-forwarded-port: 1\r\n"
			"X-Forwarded-Prefix: /x\r\nX-Original-Forwarded-For: 10.0.0.9\r\nX-Scheme: https\r\n"
	};
	struct buf out = { 0 };
	struct got g = ask(&w, a);

	assert_int_equal(check(&g), GATE_ASK);
	assert_int_equal(gate_ask(&g.q, g.rule, &out), 0);
	assert_string_equal(
		buf_str(&out),
		"GET /check?u=%2Fp%3Fq%3D1 HTTP/1.1\r\nHost: auth.test:81\r\nX-User: forged\r\nCookie: c=1\r\n"
		"X-Original-URL: http://a.test/p?q=1\r\nX-Original-Method: POST\r\nX-Sent-From: sluice-proxy\r\n"
		"X-Real-IP: 192.0.2.1\r\nX-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: http\r\n"
		"X-Forwarded-Host: a.test\r\nX-Auth-Request-Redirect: /p?q=1\r\n\r\n");
	buf_done(&out);
	got_done(&w, &g);
	g = answered(
		&w, a,
		"HTTP/1.1 202 ok\r\nX-User: ann\r\nSet-Cookie: s=1\r\nSet-Cookie: t=2\r\nContent-Length: 0\r\n\r\n");
	assert_int_equal(g.verdict, GATE_PASS);
	assert_string_equal(text_of(&g.result.request_set), "X-User: ann\n-X-Role\n");
	assert_string_equal(text_of(&g.result.response_set),
			    "+Set-Cookie: s=1\n+Set-Cookie: t=2\n");
	got_done(&w, &g);
	g = answered(&w, a, "HTTP/1.1 401 no\r\nSet-Cookie: s=1\r\nContent-Length: 0\r\n\r\n");
	assert_int_equal(g.result.status, 302);
	assert_string_equal(text_of(&g.result.answer_set),
			    "Location: https://a.test/in?x=1&rd=http%3A%2F%2Fa.test%2Fp%3Fq%3D1\n");
	assert_int_equal(g.result.response_set.n, 0);
	got_done(&w, &g);
	g = answered(&w, a, "HTTP/1.1 403 no\r\nContent-Length: 0\r\n\r\n");
	assert_int_equal(g.result.status, 403);
	got_done(&w, &g);
	g = answered(&w, a, "HTTP/1.1 302 moved\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n");
	assert_int_equal(g.result.status, 503);
	got_done(&w, &g);
	g = answered(&w, a, "HTTP/1.1 500 broken\r\nContent-Length: 0\r\n\r\n");
	assert_int_equal(g.result.status, 503);
	got_done(&w, &g);
	g = answered(&w, a, NULL);
	assert_int_equal(g.result.status, 503);
	got_done(&w, &g);
	world_done(&w);
	w = WORLD("d/i; auth-url: http://a/; auth-method: POST");
	g = answered(&w, a,
		     "HTTP/1.1 401 no\r\nWWW-Authenticate: Bearer\r\nContent-Length: 0\r\n\r\n");
	assert_int_equal(g.result.status, 401);
	assert_string_equal(text_of(&g.result.answer_set), "WWW-Authenticate: Bearer\n");
	got_done(&w, &g);
	world_done(&w);
}

TEST(fields_of_the_authentication_service_are_nobody_elses)
{
	struct world w = WORLD("d/i; auth-url: http://auth.test/; auth-response-headers: X-User;"
			       " whitelist-source-range: 192.0.2.0/24; satisfy: any");
	struct got g = ask(&w, (struct ask){ .fields = "X-User: forged\r\n" });

	assert_int_equal(check(&g), GATE_PASS);
	assert_string_equal(text_of(&g.result.request_set), "-X-User\n");
	got_done(&w, &g);
	world_done(&w);
}

TEST(the_authentication_service_hears_of_the_certificate_from_us)
{
	struct world w = WORLD("d/i; auth-url: http://auth.test/; auth-tls-secret: ca");
	struct got g = ask(&w, (struct ask){ .tls = true,
					     .cert = "CN=eve",
					     .fields = "SSL-Client-Subject-DN: CN=ann\r\n"
						       "ssl-client-verify: SUCCESS\r\n" });
	struct buf out = { 0 };

	assert_int_equal(check(&g), GATE_ASK);
	assert_int_equal(gate_ask(&g.q, g.rule, &out), 0);
	assert_null(strstr(buf_str(&out), "CN=ann"));
	assert_non_null(strstr(buf_str(&out), "\r\nssl-client-verify: SUCCESS\r\n"
					      "ssl-client-subject-dn: CN=eve\r\n"
					      "ssl-client-issuer-dn: CN=ca\r\n"));
	buf_done(&out);
	got_done(&w, &g);
	world_done(&w);
}

TEST(client_certificates)
{
	struct world w = WORLD(
		"d/i; auth-tls-secret: ca; auth-tls-match-cn: CN=(ann|bob)$; auth-tls-pass-certificate-to-upstream: true");
	struct got g;

	EXPECT(&w, 400, "", .tls = true);
	EXPECT(&w, 400, "", .path = "/");
	EXPECT(&w, 400, "", .tls = true, .cert = "CN=ann",
	       .cert_problem = "certificate has expired");
	EXPECT(&w, 403, "", .tls = true, .cert = "CN=eve");
	EXPECT(&w, 403, "", .tls = true, .cert = "CN=annabel");
	g = ask(&w, (struct ask){ .tls = true, .cert = "CN=ann" });
	assert_int_equal(check(&g), GATE_PASS);
	assert_string_equal(
		text_of(&g.result.request_set),
		"ssl-client-verify: SUCCESS\nssl-client-subject-dn: CN=ann\nssl-client-issuer-dn: CN=ca\n"
		"ssl-client-cert: -----BEGIN\n");
	got_done(&w, &g);
	world_done(&w);
	w = WORLD(
		"d/i; auth-tls-secret: ca; auth-tls-verify-client: optional; auth-tls-error-page: https://e.test/");
	g = ask(&w, (struct ask){ .tls = true });
	assert_int_equal(check(&g), GATE_PASS);
	assert_string_equal(
		text_of(&g.result.request_set),
		"ssl-client-verify: NONE\n-ssl-client-subject-dn\n-ssl-client-issuer-dn\n-ssl-client-cert\n");
	got_done(&w, &g);
	EXPECT(&w, 302, "Location: https://e.test/\n", .tls = true,
	       .cert_problem = "self-signed certificate");
	world_done(&w);
}

/* ---- canaries and cookies ------------------------------------------------------------------------------------------------------- */

static const char *side(struct world *w, struct ask a)
{
	struct got g = ask(w, a);
	const char *service;

	assert_int_equal(check(&g), GATE_PASS);
	service = g.result.rule->route->service;
	/* Of the main one, whatever side it is. */
	assert_true(g.result.policy->id == table_hash(table_hash(0, "d", 1), "main", 4));
	got_done(w, &g);
	return service;
}

TEST(canaries)
{
	struct world w = WORLD(
		"d/main; ssl-redirect: true",
		"d/can; canary: true; canary-by-header: X-Can; canary-by-cookie: can; canary-weight: 30");
	unsigned n = 0;

	for (uint32_t i = 0; i < 1000; i++)
		n += strcmp(side(&w, (struct ask){ .random = i * 4294967u }), "can") == 0;
	assert_in_range(n, 295, 305);
	assert_string_equal(
		side(&w, (struct ask){ .fields = "X-Can: always\r\n", .random = UINT32_MAX }),
		"can");
	assert_string_equal(
		side(&w, (struct ask){ .fields = "x-can: never\r\nCookie: can=always\r\n" }),
		"main");
	assert_string_equal(
		side(&w, (struct ask){ .fields = "X-Can: maybe\r\nCookie: can=always\r\n",
				       .random = UINT32_MAX }),
		"can");
	assert_string_equal(side(&w, (struct ask){ .fields = "Cookie: a=b; can=never\r\n" }),
			    "main");
	assert_string_equal(
		side(&w, (struct ask){ .fields = "Cookie: a=b\r\nCookie: can=always\r\n",
				       .random = UINT32_MAX }),
		"can");
	assert_string_equal(
		side(&w, (struct ask){ .fields = "Cookie: xcan=always\r\n", .random = UINT32_MAX }),
		"main");
	world_done(&w);
	w = WORLD(
		"d/main; ssl-redirect: true",
		"d/can; canary: true; canary-by-header: X-Can; canary-by-header-value: v1; canary-weight: 0");
	assert_string_equal(side(&w, (struct ask){ .fields = "X-Can: v1\r\n" }), "can");
	assert_string_equal(side(&w, (struct ask){ .fields = "X-Can: always\r\n" }), "main");
	world_done(&w);
	w = WORLD(
		"d/main; ssl-redirect: true",
		"d/can; canary: true; canary-by-header: X-Can; canary-by-header-pattern: ^v[0-9]$; canary-weight: 100");
	assert_string_equal(side(&w, (struct ask){ .fields = "X-Can: v7\r\n" }), "can");
	assert_string_equal(side(&w, (struct ask){ .fields = "X-Can: w\r\n" }),
			    "can"); /* the weight decides */
	world_done(&w);
	w = WORLD(
		"d/main; ssl-redirect: true",
		"d/can; canary: true; canary-by-header: X-Can; canary-by-header-pattern: (; canary-weight: 100");
	assert_string_equal(side(&w, (struct ask){ .fields = "X-Can: v7\r\n" }),
			    "main"); /* broken: no match */
	world_done(&w);
}

/* The cookie that the client gets from this request, "" for none; the endpoint's last byte in *ret_pod. */
static const char *cookie_of(struct world *w, struct ask a, int *ret_pod, const char **ret_service)
{
	static char text[512];
	struct got g = ask(w, a);
	struct origin *o;
	const char *cookie;

	assert_int_equal(check(&g), GATE_PASS);
	o = upstream_take(g.result.rule->upstream, &g.result.pick);
	assert_non_null(o);
	cookie = gate_cookie(&g.q, &g.result, o);
	snprintf(text, sizeof(text), "%s", cookie ? cookie : "");
	*ret_pod = o->addr.b[3];
	if (ret_service)
		*ret_service = g.result.rule->route->service;
	upstream_release(g.result.rule->upstream, o, UPSTREAM_OK, NOW);
	got_done(w, &g);
	return text;
}

TEST(a_client_with_a_cookie_stays)
{
	struct world w = { .endpoints = 8 };
	char field[256], value[17];
	int pod, again;

	add(&w,
	    "d/main; affinity: cookie; session-cookie-max-age: 60; session-cookie-expires: 60; session-cookie-samesite: None;"
	    " session-cookie-domain: a.test; session-cookie-conditional-samesite-none: true");
	build(&w);
	for (uint32_t i = 0; i < 20; i++) {
		const char *cookie =
			cookie_of(&w, (struct ask){ .random = i, .tls = true }, &pod, NULL);
		int n = 0;

		assert_int_equal(sscanf(cookie, "INGRESSCOOKIE=%16[0-9a-f]%n", value, &n), 1);
		assert_string_equal(
			cookie + n,
			"; Path=/; Domain=a.test; Expires=Thu, 01 Jan 2026 00:01:00 GMT; Max-Age=60; Secure; "
			"HttpOnly; SameSite=None");
		snprintf(field, sizeof(field), "Cookie: x=y; INGRESSCOOKIE=%s\r\n", value);
		for (uint32_t j = 0; j < 20; j++) {
			assert_string_equal(cookie_of(&w,
						      (struct ask){ .random = j, .fields = field },
						      &again, NULL),
					    "");
			assert_int_equal(again, pod);
		}
	}
	/* Of an endpoint that is not there: a new one. */
	assert_true(*cookie_of(
		&w, (struct ask){ .fields = "Cookie: INGRESSCOOKIE=0123456789abcdef\r\n" }, &pod,
		NULL));
	assert_null(strstr(
		cookie_of(
			&w,
			(struct
			 ask){ .fields =
				       "User-Agent: Mozilla/5.0 (iPhone; CPU iPhone OS 12_1)\r\n" },
			&pod, NULL),
		"SameSite"));
	world_done(&w);
}

TEST(a_failed_endpoint_keeps_its_client_unless_told_otherwise)
{
	for (int change = 0; change < 2; change++) {
		struct world w = { .endpoints = 2 };
		struct upstream_pick pick = { .choice = UPSTREAM_ROUND_ROBIN, .now_ns = NOW };
		char field[256], value[17];
		int pod, again;

		add(&w, change ? "d/main; affinity: cookie; session-cookie-change-on-failure: true"
			       : "d/main; affinity: cookie");
		build(&w);
		assert_int_equal(sscanf(cookie_of(&w, (struct ask){ 0 }, &pod, NULL),
					"INGRESSCOOKIE=%16s", value),
				 1);
		value[16] = '\0';
		snprintf(field, sizeof(field), "Cookie: INGRESSCOOKIE=%s\r\n", value);
		for (int failed = 0; failed < 5;) {
			struct upstream *u = table_get_str(&w.upstreams, "main");
			struct origin *o = upstream_take(u, &pick);

			failed += o->addr.b[3] == pod;
			upstream_release(u, o,
					 o->addr.b[3] == pod ? UPSTREAM_FAILED : UPSTREAM_ABANDONED,
					 NOW);
		}
		assert_int_equal(*cookie_of(&w, (struct ask){ .fields = field }, &again, NULL) !=
					 '\0',
				 change);
		assert_int_not_equal(again, pod);
		world_done(&w);
	}
}

TEST(a_client_stays_on_the_side_that_it_met)
{
	struct world w = { .endpoints = 3 };
	char field[256], value[17];
	const char *service;
	int pod, again;

	add(&w, "d/main; affinity: cookie");
	add(&w, "d/can; canary: true; canary-weight: 50");
	build(&w);
	for (uint32_t i = 0; i < 2; i++) {
		const char *met;

		assert_int_equal(
			sscanf(cookie_of(&w, (struct ask){ .random = i * 0xf0000000u }, &pod, &met),
			       "INGRESSCOOKIE=%16s", value),
			1);
		assert_string_equal(met, i ? "main" : "can");
		snprintf(field, sizeof(field), "Cookie: INGRESSCOOKIE=%s\r\n", value);
		for (uint32_t j = 0; j < 16; j++) {
			cookie_of(&w, (struct ask){ .random = j << 28, .fields = field }, &again,
				  &service);
			assert_string_equal(service, met);
			assert_int_equal(again, pod);
		}
	}
	world_done(&w);
}

TEST(hashing_size_and_fields)
{
	struct world w = WORLD(
		"d/i; upstream-hash-by: $http_x_user-$cookie_c-$arg_a-$remote_addr-$uri; sluice.dev/hash-load-factor: 150;"
		" proxy-body-size: 1k; sluice.dev/request-headers: X-A: 1; sluice.dev/response-headers: X-B: 2");
	struct got g = ask(
		&w, (struct ask){ .path = "/%61?a=3", .fields = "X-User: ann\r\nCookie: c=2\r\n" });

	assert_int_equal(check(&g), GATE_PASS);
	assert_int_equal(g.result.pick.choice, UPSTREAM_HASH);
	assert_int_equal(g.result.pick.bound, 150);
	assert_true(g.result.pick.hash == table_hash(0, "ann-2-3-192.0.2.1-/a", 20));
	assert_int_equal(g.result.body_max, 1024);
	assert_string_equal(text_of(&g.result.request_set), "X-A: 1\n");
	assert_string_equal(text_of(&g.result.response_set), "X-B: 2\n");
	got_done(&w, &g);
	PASSES(&w, .method = "POST", .fields = "Content-Length: 1024\r\n");
	EXPECT(&w, 413, "", .method = "POST", .fields = "Content-Length: 1025\r\n");
	world_done(&w);
	w = WORLD("d/i; proxy-body-size: 0");
	PASSES(&w, .method = "POST", .fields = "Content-Length: 99999999999\r\n");
	world_done(&w);
	w = WORLD("d/i");
	EXPECT(&w, 413, "", .method = "POST", .fields = "Content-Length: 1048577\r\n");
	world_done(&w);
}

TEST(every_allocation_may_fail)
{
	struct world w = { .endpoints = 2 };
	struct got g;
	bool failed = true;

	give_users(&w, "user:{PLAIN}pass\n");
	add(&w, BASIC
	    "; enable-cors: true; cors-allow-origin: https://x; limit-rps: 100000; sluice.dev/limit-by: header:Origin;"
	    " upstream-hash-by: $host$request_uri; affinity: cookie; sluice.dev/response-headers: A: b;"
	    " auth-tls-secret: x; auth-tls-verify-client: optional");
	build(&w);
	g = ask(&w, (struct ask){
			    .fields = "Origin: https://x\r\nAuthorization: Basic dXNlcjpwYXNz\r\n",
			    .tls = true });
	g.q.match = w.work;
	for (unsigned n = 1; failed; n++) {
		int rc;

		g.q.head = &g.head;
		g.q.path = g.path;
		g.q.arena = &g.arena;
		g.q.now_ns += 1000 * S; /* not remembered */
		failmalloc_at(n);
		rc = gate_check(&g.q, g.rule, &g.verdict, &g.result);
		failed = failmalloc_done();
		gate_leave(w.gate, &g.result);
		gate_job_drop(g.result.job);
		g.result.job = NULL;
		arena_done(&g.arena);
		if (!failed)
			assert_int_equal(rc, 0);
		else if (rc == 0) /* only crypt's memory, or the limit's key, was not there */
			assert_true(g.verdict == GATE_ANSWER || g.verdict == GATE_PASS);
		else
			assert_int_equal(rc, -ENOMEM);
	}
	got_done(&w, &g);
	world_done(&w);
}

/* ---- cases as data --------------------------------------------------------------------------------------------------------------- */

/* What only sockets can show, and where it is shown instead. */
static const struct {
	const char *name, *reason;
} elsewhere[] = {
	{ "sni_cert", "which certificate is shown: unit/test_certs, e2e" },
	{ "status_loadBalancer_empty",
	  "the Ingress's status is written by another room: unit/test_status, kube" },
};

/* Fields that the exchange makes, not an annotation: unit/test_forwarded, e2e. */
static const char *const made_elsewhere[] = { "x-forwarded-host",  "x-forwarded-for",
					      "x-forwarded-proto", "x-real-ip",
					      "x-request-id",      "x-scheme" };

static unsigned left_out, fields_left_out;

static void count_left_out(const cJSON *e)
{
	for (size_t i = 0; i < sizeof(elsewhere) / sizeof(elsewhere[0]); i++)
		left_out += cases_get(e, elsewhere[i].name) != NULL;
}

static void check_upstream_fields(const char *name, const struct got *g, const cJSON *fields)
{
	const struct policy *p = g->result.policy;
	const cJSON *f;

	cJSON_ArrayForEach(f, fields)
	{
		bool elsewhere_made = false;

		for (size_t i = 0; i < sizeof(made_elsewhere) / sizeof(made_elsewhere[0]); i++)
			elsewhere_made |= strcmp(f->string, made_elsewhere[i]) == 0;
		if (elsewhere_made)
			fields_left_out++;
		else if (strcmp(f->string, "host") == 0)
			assert_string_equal(p->vhost, f->valuestring);
		else if (strcmp(f->string, "x-forwarded-prefix") == 0)
			assert_string_equal(p->forwarded_prefix, f->valuestring);
		else
			fail_msg("%s: nobody looks at %s", name, f->string);
	}
}

static void check_location(const char *name, const struct got *g, const cJSON *e)
{
	const char *location = NULL, *host = cases_text(e, "location_host"),
		   *path = cases_text(e, "location_path");
	char want[256];

	for (size_t i = 0; i < g->result.answer_set.n; i++)
		if (strcmp(g->result.answer_set.set[i].name, "Location") == 0)
			location = g->result.answer_set.set[i].value;
	if (cases_text(e, "location") &&
	    (!location || strcmp(location, cases_text(e, "location")) != 0))
		fail_msg("%s: Location %s", name, location ? location : "is not there");
	if (!host)
		return;
	snprintf(want, sizeof(want), "http://%s%s", host, path);
	assert_string_equal(location, want);
}

static void check_answer_fields(const char *name, const struct got *g, const cJSON *fields)
{
	const cJSON *f;

	cJSON_ArrayForEach(f, fields)
	{
		bool found = false;

		for (size_t i = 0; i < g->result.answer_set.n; i++)
			found |= strcasecmp(g->result.answer_set.set[i].name, f->string) == 0 &&
				 strcmp(g->result.answer_set.set[i].value, f->valuestring) == 0;
		if (!found)
			fail_msg("%s: %s is not \"%s\"", name, f->string, f->valuestring);
	}
}

static void check_pass(struct world *w, const char *name, struct got *g, const cJSON *e)
{
	const struct route *r = g->result.rule->route;
	const cJSON *port = cases_get(e, "port");
	struct buf target = { 0 };

	if (!r->service || strcmp(r->service, cases_text(e, "service")) != 0)
		fail_msg("%s: %s goes to %s", name, g->path, r->service);
	if (cJSON_IsString(port))
		assert_string_equal(r->port_name, port->valuestring);
	else
		assert_int_equal(r->port, port->valueint);
	if (cases_text(e, "namespace"))
		assert_string_equal(r->namespace, cases_text(e, "namespace"));
	assert_int_equal(
		route_target(r, w->work,
			     &(struct route_request){ .path = g->path,
						      .path_len = g->q.path_len,
						      .raw = g->raw.data + g->head.path.at,
						      .raw_len = g->head.path.len,
						      .query = g->raw.data + g->head.query.at,
						      .query_len = g->head.query.len,
						      .has_query = g->head.has_query },
			     &target),
		0);
	if (cases_text(e, "upstream_path") &&
	    strcmp(buf_str(&target), cases_text(e, "upstream_path")) != 0)
		fail_msg("%s: %s arrives as %s", name, g->path, buf_str(&target));
	if (cases_text(e, "upstream_method"))
		assert_true(strncmp(g->raw.data, cases_text(e, "upstream_method"),
				    g->head.method.len) == 0);
	check_upstream_fields(name, g, cases_get(e, "upstream_headers"));
	buf_done(&target);
}

static void check_spread(struct got *g, const cJSON *q, const cJSON *e)
{
	int repeat = cases_get(q, "repeat") ? cases_get(q, "repeat")->valueint : 0, pods = 0;
	bool met[16] = { false };

	if (!cases_get(e, "distinct_pods"))
		return;
	for (int i = 0; i < repeat; i++) {
		struct origin *o;

		g->result.pick.random = (uint32_t)i;
		o = upstream_take(g->result.rule->upstream, &g->result.pick);
		pods += !met[o->addr.b[3]];
		met[o->addr.b[3]] = true;
		upstream_release(g->result.rule->upstream, o, UPSTREAM_OK, NOW);
	}
	assert_int_equal(pods, cases_get(e, "distinct_pods")->valueint);
}

static void check_case(struct world *w, const char *name, const cJSON *q, const cJSON *e)
{
	int status = cases_get(e, "status")->valueint;
	const cJSON *body = cases_get(q, "body_bytes"), *f;
	struct buf fields = { 0 };
	struct got g;

	cJSON_ArrayForEach(f, cases_get(q, "headers"))
		buf_printf(&fields, "%s: %s\r\n", f->string, f->valuestring);
	if (cases_get(q, "chunked"))
		buf_puts(&fields, "Transfer-Encoding: chunked\r\n");
	else if (body)
		buf_printf(&fields, "Content-Length: %d\r\n", body->valueint);
	g = ask(w, (struct ask){ .method = cases_text(q, "method"),
				 .path = cases_text(q, "path"),
				 .host = cases_text(q, "host"),
				 .fields = buf_str(&fields),
				 .from = cases_text(q, "source_ip"),
				 .tls = cases_get(q, "tls") != NULL });
	if (g.rc == 0 && check(&g) == GATE_PASS && body &&
	    (uint64_t)body->valueint > g.result.body_max)
		g.result.status = 413; /* the exchange counts what comes in chunks against it */
	else if (g.rc == 0 && g.verdict == GATE_PASS)
		g.result.status = g.rule->route->service ? 200 : 404;
	else if (g.rc == -ENOENT)
		g.result.status = 404;
	if (g.result.status != (unsigned)status)
		fail_msg("%s: %s is answered %u (%s)", name, cases_text(q, "path"), g.result.status,
			 g.result.reason ? g.result.reason : "");
	if (status == 200) {
		check_pass(w, name, &g, e);
		check_spread(&g, q, e);
	}
	check_location(name, &g, e);
	check_answer_fields(name, &g, cases_get(e, "headers"));
	count_left_out(e);
	if (g.rc == 0)
		got_done(w, &g);
	else
		buf_done(&g.raw);
	buf_done(&fields);
}

/* {"name": …, "htpasswd": {user: password}} as a Secret. */
static void give_secret(struct world *w, const cJSON *secret, struct buf *file)
{
	const cJSON *user;

	if (!cases_get(secret, "htpasswd"))
		return;
	cJSON_ArrayForEach(user, cases_get(secret, "htpasswd"))
		buf_printf(file, "%s:{PLAIN}%s\n", user->string, user->valuestring);
	give_users(w, buf_str(file));
	w->secret.meta.name = cases_get(secret, "name")->valuestring;
}

TEST(imported_cases)
{
	cJSON *json = cases_load("ingress-cases.json");
	unsigned run = 0, cases = 0;
	const cJSON *c, *i, *q;

	cJSON_ArrayForEach(c, cases_get(json, "cases"))
	{
		const cJSON *e = cases_get(c, "expect")->child;
		const cJSON *endpoints = cases_get(c, "endpoints");
		struct world w = { 0 };
		struct buf file = { 0 };

		w.class.meta.name = strdup("test");
		w.class.controller = strdup(controllers);
		w.endpoints = endpoints ? (unsigned)endpoints->child->valueint : 0;
		cJSON_ArrayForEach(i, cases_get(c, "ingresses")) add_json(&w, i);
		cJSON_ArrayForEach(i, cases_get(c, "secrets")) give_secret(&w, i, &file);
		build(&w);
		cJSON_ArrayForEach(q, cases_get(c, "requests"))
		{
			check_case(&w, cases_text(c, "name"), q, e);
			e = e->next;
			run++;
		}
		cases++;
		world_done(&w);
		buf_done(&file);
	}
	print_message(
		"# %u requests of %u cases; shown elsewhere: %u certificates and status, %u fields\n",
		run, cases, left_out, fields_left_out);
	assert_int_equal(run, 140);
	assert_int_equal(cases, 46);
	assert_int_equal(left_out, 3);
	assert_int_equal(fields_left_out, 6);
	cJSON_Delete(json);
}

RUN(cmocka_unit_test(to_https), cmocka_unit_test(hsts_goes_out_on_every_answer_over_tls),
    cmocka_unit_test(redirects), cmocka_unit_test(source_ranges),
    cmocka_unit_test(what_cannot_be_kept_is_closed), cmocka_unit_test(rates),
    cmocka_unit_test(rates_by_key), cmocka_unit_test(requests_at_a_time),
    cmocka_unit_test(memory_of_rates_is_bounded), cmocka_unit_test(cors),
    cmocka_unit_test(hashes_of_every_kind), cmocka_unit_test(basic_authentication),
    cmocka_unit_test(a_password_is_checked_elsewhere_and_remembered),
    cmocka_unit_test(either_address_or_password), cmocka_unit_test(external_authentication),
    cmocka_unit_test(fields_of_the_authentication_service_are_nobody_elses),
    cmocka_unit_test(the_authentication_service_hears_of_the_certificate_from_us),
    cmocka_unit_test(client_certificates), cmocka_unit_test(canaries),
    cmocka_unit_test(a_client_with_a_cookie_stays),
    cmocka_unit_test(a_failed_endpoint_keeps_its_client_unless_told_otherwise),
    cmocka_unit_test(a_client_stays_on_the_side_that_it_met),
    cmocka_unit_test(hashing_size_and_fields), cmocka_unit_test(every_allocation_may_fail),
    cmocka_unit_test(imported_cases))
