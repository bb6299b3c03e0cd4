// SPDX-License-Identifier: GPL-2.0-only
// Annotations of an Ingress as typed values: each one, its limits, and what is said about those that cannot be taken.
/* link: user/ingress/policy.c user/ingress/policy_table.c user/ingress/policy_read.c user/ingress/policy_words.c user/ingress/http1.c */
/* link: user/ingress/policy_docs.c user/ingress/auth_users.c user/ingress/setting.c user/ingress/match.c */
/* link: user/core/model.c user/core/model_ingress.c user/core/address.c user/base/arena.c user/base/buf.c */
/* link: user/base/table.c user/base/options.c user/base/options_value.c */
/* libs: pcre2-8 */
#include "unit/test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "ingress/auth.h"
#include "ingress/match.h"
#include "ingress/policy.h"
#include "ingress/policy_table.h"
#include "unit/failmalloc.h"

static struct buf notes; /* "severity: reason" a line */
static struct secret *the_secret;

static void on_note(void *ctx, const struct ingress *ingress, enum policy_severity severity,
		    const char *reason)
{
	(void)ctx;
	assert_string_equal(ingress->meta.name, "i");
	buf_printf(&notes, "%s: %s\n", severity == POLICY_REFUSED ? "refused" : "warning", reason);
}

static const struct secret *get_secret(void *ctx, const char *namespace, const char *name)
{
	(void)ctx;
	return the_secret && strcmp(namespace, "n") == 0 && strcmp(name, the_secret->meta.name) == 0
		       ? the_secret
		       : NULL;
}

/* "name=value" each; without a prefix that of ingress-nginx. */
static int try_build(const char *const *items, struct policy **ret_policy)
{
	static char names[32][128];
	static struct ingress_annotation list[32];
	struct ingress ingress = { .meta = { .namespace = (char *)"n", .name = (char *)"i" },
				   .annotations = list };
	struct policy_input in = {
		.ingress = &ingress, .secret = get_secret, .note = on_note, .hsts = "max-age=1"
	};

	for (; *items; items++) {
		const char *equals = strchr(*items, '=');
		struct ingress_annotation *a = &list[ingress.n_annotations];

		assert_non_null(equals);
		assert_true(ingress.n_annotations < 32);
		snprintf(names[ingress.n_annotations], sizeof(names[0]), "%s%.*s",
			 memchr(*items, '/', (size_t)(equals - *items)) ? "" : INGRESS_NGINX,
			 (int)(equals - *items), *items);
		a->name = names[ingress.n_annotations++];
		a->value = (char *)equals + 1;
	}
	buf_reset(&notes);
	return policy_build(&in, ret_policy);
}

static struct policy *build(const char *const *items)
{
	struct policy *p = NULL;

	assert_int_equal(try_build(items, &p), 0);
	return p;
}

#define POLICY(...) build((const char *const[]){ __VA_ARGS__, NULL })

static void expect_note(const char *text)
{
	if (!strstr(buf_str(&notes), text))
		fail_msg("\"%s\" is not said, but:\n%s", text, buf_str(&notes));
}

static void expect_quiet(void)
{
	if (notes.len)
		fail_msg("said: %s", buf_str(&notes));
}

/* This annotation is refused, this is said, and the rest works. */
static void refuse(const char *item, const char *said, bool closed)
{
	struct policy *p = POLICY(item, "proxy-read-timeout=7");
	char name[128];

	snprintf(name, sizeof(name), "refused: annotation %s%.*s",
		 strchr(item, '/') && strchr(item, '/') < strchr(item, '=') ? "" : INGRESS_NGINX,
		 (int)strcspn(item, "="), item);
	expect_note(name);
	expect_note(said);
	if (!!p->closed != closed)
		fail_msg("%s: closed: %s", item, p->closed ? p->closed : "no");
	assert_int_equal(p->read_ns, 7 * CLOCK_NS_PER_S);
	policy_drop(p);
}

/* ---- values by type --------------------------------------------------------------------------------------------- */

TEST(nothing_said_is_the_default)
{
	struct policy *p = build((const char *const[]){ NULL });

	expect_quiet();
	assert_int_equal(p->has, 0);
	assert_null(p->closed);
	assert_true(p->id != 0);
	assert_true(p->ssl_redirect);
	assert_false(p->force_ssl_redirect);
	assert_true(p->access_log);
	assert_int_equal(p->body_max, 0);
	assert_int_equal(p->connect_ns, 0);
	assert_int_equal(p->next, POLICY_NEXT_ERROR | POLICY_NEXT_TIMEOUT);
	assert_int_equal(p->next_tries, POLICY_TRIES_UNSAID);
	assert_int_equal(p->choice, UPSTREAM_LEAST);
	assert_string_equal(p->hsts, "max-age=1");
	policy_drop(p);
	assert_null(policy_none()->hsts);
	policy_drop(policy_hold(policy_none()));
}

TEST(times)
{
	static const struct {
		const char *text;
		uint64_t ms;
		bool bad;
	} cases[] = {
		{ "60", 60000, false },
		{ "0", 0, false },
		{ "18000s", 18000000, false },
		{ "5m", 300000, false },
		{ "250ms", 250, false },
		{ "1h30m", 5400000, false },
		{ "1d", 86400000, false },
		{ "1m30s500ms", 90500, false },
		{ "366d", UINT64_C(31622400000), false },
		{ "", 0, true },
		{ "s", 0, true },
		{ "-1", 0, true },
		{ "1 s", 0, true },
		{ "1.5s", 0, true },
		{ "5x", 0, true },
		{ "1m5", 0, true },
		{ "367d", 0, true },
		{ "99999999999999999999", 0, true },
		{ "9223372036854775807h", 0, true },
		{ "0x10", 0, true },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char item[64];
		struct policy *p;

		snprintf(item, sizeof(item), "proxy-read-timeout=%s", cases[i].text);
		p = POLICY(item);
		if (p->read_ns != cases[i].ms * CLOCK_NS_PER_MS || (notes.len != 0) != cases[i].bad)
			fail_msg("\"%s\": %llu ns, %s", cases[i].text,
				 (unsigned long long)p->read_ns, buf_str(&notes));
		policy_drop(p);
	}
	expect_note("write seconds (\"600\"), or a time with units (\"10m\", \"250ms\")");
}

TEST(sizes)
{
	static const struct {
		const char *text;
		uint64_t bytes; /* 0: not taken */
	} cases[] = {
		{ "1024", 1024 },
		{ "1k", 1024 },
		{ "8m", 8 << 20 },
		{ "5G", UINT64_C(5) << 30 },
		{ "0", UINT64_MAX },
		{ "0m", UINT64_MAX },
		{ "", 0 },
		{ "m", 0 },
		{ "1kb", 0 },
		{ "1.5m", 0 },
		{ "-1", 0 },
		{ "99999999999999999999", 0 },
		{ "1073741823g", UINT64_C(1073741823) << 30 },
		{ "1073741825g", 0 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char item[64];
		struct policy *p;

		snprintf(item, sizeof(item), "proxy-body-size=%s", cases[i].text);
		p = POLICY(item);
		if (p->body_max != cases[i].bytes || (notes.len != 0) != !cases[i].bytes)
			fail_msg("\"%s\": %llu bytes, %s", cases[i].text,
				 (unsigned long long)p->body_max, buf_str(&notes));
		policy_drop(p);
	}
}

TEST(our_prefix_goes_before)
{
	struct policy *p = POLICY("sluice.dev/proxy-body-size=1k", "proxy-body-size=2k",
				  "allowlist-source-range=10.0.0.0/8",
				  "whitelist-source-range=11.0.0.0/8");

	expect_quiet();
	assert_int_equal(p->body_max, 1024);
	assert_int_equal(p->allow.item[0].addr.b[0], 10);
	policy_drop(p);
	p = POLICY("proxy-body-size=2k", "sluice.dev/proxy-body-size=1k");
	assert_int_equal(p->body_max, 1024);
	policy_drop(p);
}

TEST(what_cannot_be_taken_is_named_and_the_rest_works)
{
	refuse("ssl-redirect=yes", "is \"yes\": write \"true\" or \"false\"", false);
	refuse("app-root=home", "write a path that begins with \"/\"", false);
	refuse("app-root=/a\r\nSet-Cookie: x",
	       "is \"/a??Set-Cookie: x\": write a path of printable", false);
	refuse("limit-rps=0", "write a number from 1 to 1000000", false);
	refuse("limit-rps=10rps", "write a number", false);
	refuse("backend-protocol=FCGI", "FastCGI is not spoken", false);
	refuse("backend-protocol=h2", "write \"HTTP\"", false);
	refuse("permanent-redirect=javascript:alert(1)", "write a URL that begins with http://",
	       false);
	refuse("permanent-redirect=https://a\"; return 200; #", "write a URL", false);
	refuse("permanent-redirect=https://a/$nosuch", "$nosuch is not known", false);
	refuse("permanent-redirect-code=200", "write a status from 300 to 308", false);
	refuse("cors-allow-origin=example.com", "\"example.com\" is no origin", false);
	refuse("cors-allow-headers=a b", "write names, separated by commas", false);
	refuse("cors-max-age=1h", "write seconds", false);
	refuse("proxy-next-upstream=error http_418", "\"http_418\" is not known", false);
	refuse("load-balance=ip_hash", "write \"least_request\"", false);
	refuse("affinity=ip", "write \"cookie\"", false);
	refuse("session-cookie-name=a b", "write one word", false);
	refuse("session-cookie-samesite=Maybe", "write \"None\"", false);
	refuse("session-cookie-max-age=soon", "write seconds", false);
	refuse("canary-weight=-1", "write a number from 0", false);
	refuse("canary-by-header-pattern=a(", "cannot be compiled", false);
	refuse("upstream-vhost=$service_name.x", "write a host name", false);
	refuse("upstream-hash-by=a b", "write one line without spaces", false);
	refuse("sluice.dev/hash-load-factor=120", "has no effect without upstream-hash-by", false);
	refuse("sluice.dev/limit-by=api-key", "write \"address\", \"header:NAME\"", false);
	refuse("sluice.dev/response-headers=no colon", "write \"Name: value\"", false);
	refuse("sluice.dev/response-headers=Connection: close", "belongs to the connection", false);
	refuse("sluice.dev/request-headers=X-A: a\rb", "control character", false);
	refuse("sluice.dev/hsts=on", "write \"off\", or \"max-age=\"", false);
	refuse("auth-signin=https://x", "has no effect without auth-url", false);
	refuse("proxy-ssl-protocols=SSLv3", "older ones are not spoken", false);
	refuse("proxy-ssl-secret=other/s", "a Secret of another namespace is never read", false);
	refuse("satisfy=most", "write \"all\" or \"any\"", false);
}

TEST(what_protects_closes_if_it_cannot_be_kept)
{
	refuse("whitelist-source-range=10.0.0.0/8, fe80", "\"fe80\" is no address and no CIDR",
	       true);
	refuse("allowlist-source-range=", "write CIDRs", true);
	refuse("denylist-source-range=10.0.0.0/33", "is no address and no CIDR", true);
	refuse("auth-type=digest", "use \"basic\" over TLS", true);
	refuse("auth-url=ftp://x", "write a URL that begins with http://", true);
	refuse("auth-url=http://", "write a URL with a host", true);
	refuse("auth-url=http://a:99999/", "the port is no number", true);
	refuse("auth-url=http://user:pw@a/", "the port is no number", true);
	refuse("auth-url=http://a`b/", "without variables", true);
	refuse("auth-url=http://a@b/", "without variables", true);
	refuse("auth-url=http://$host.x/", "without variables", true);
	refuse("auth-url=http://$arg_x/", "without variables", true);
	refuse("auth-url=http://a/$x", "$x is not known", true);
	refuse("auth-tls-secret=other/ca", "a Secret of another namespace", true);
	refuse("auth-tls-verify-client=maybe", "write \"on\"", true);
	refuse("auth-tls-match-cn=a", "write \"CN=\"", true);
	refuse("auth-tls-match-cn=CN=a(", "cannot be compiled", true);
}

TEST(unknown_missing_and_refused_ones_are_named)
{
	struct policy *p = POLICY("proxy-body-sice=1m", "sluice.dev/whatever=1",
				  "server-snippet=return 418;\n", "modsecurity-snippet=x",
				  "ssl-passthrough=true", "custom-headers=n/cm",
				  "strip-prefix=true", "proxy-buffering=on", "rewrite-target=/$1",
				  "example.com/other=1");

	assert_int_equal(p->has, 0);
	expect_note(
		"annotation nginx.ingress.kubernetes.io/proxy-body-sice is not known and has no effect: did you mean "
		"\"proxy-body-size\"?");
	expect_note("annotation sluice.dev/whatever is not known and has no effect: remove it");
	expect_note(
		"annotation nginx.ingress.kubernetes.io/server-snippet is never taken: text is never put into");
	expect_note("annotation nginx.ingress.kubernetes.io/modsecurity-snippet is never taken");
	expect_note(
		"annotation nginx.ingress.kubernetes.io/ssl-passthrough is not supported and has no effect: TLS ends");
	expect_note(
		"annotation nginx.ingress.kubernetes.io/custom-headers is not supported and has no effect: ConfigMaps are not "
		"read; write the fields into sluice.dev/response-headers");
	expect_note(
		"annotation nginx.ingress.kubernetes.io/strip-prefix is not known and has no effect: did you mean "
		"\"strip-prefix\"?");
	assert_null(strstr(buf_str(&notes), "buffering"));
	assert_null(strstr(buf_str(&notes), "rewrite-target"));
	assert_null(strstr(buf_str(&notes), "example.com"));
	policy_drop(p);
}

/* ---- each of them ------------------------------------------------------------------------------------------------- */

TEST(redirects_and_fields)
{
	struct policy *p =
		POLICY("ssl-redirect=False", "force-ssl-redirect=1", "preserve-trailing-slash=true",
		       "app-root=/home", "permanent-redirect=https://b.test$request_uri",
		       "permanent-redirect-code=308", "from-to-www-redirect=true",
		       "upstream-vhost=up.test:81", "x-forwarded-prefix=/p",
		       "enable-access-log=false", "sluice.dev/hsts=off",
		       "sluice.dev/response-headers=X-A: 1\n  x-b:two words \r\nX-Empty:\n",
		       "sluice.dev/request-headers=X-C: 3");

	expect_quiet();
	assert_false(p->ssl_redirect);
	assert_true(p->force_ssl_redirect);
	assert_true(p->preserve_trailing_slash);
	assert_string_equal(p->app_root, "/home");
	assert_int_equal(p->redirect_status, 308);
	assert_int_equal(p->redirect.n, 2);
	assert_string_equal(p->redirect.part[0].text, "https://b.test");
	assert_int_equal(p->redirect.part[1].kind, POLICY_PART_URI);
	assert_true(p->from_to_www);
	assert_string_equal(p->vhost, "up.test:81");
	assert_string_equal(p->forwarded_prefix, "/p");
	assert_false(p->access_log);
	assert_null(p->hsts);
	assert_int_equal(p->response_headers.n, 3);
	assert_string_equal(p->response_headers.item[1].name, "x-b");
	assert_string_equal(p->response_headers.item[1].value, "two words");
	assert_string_equal(p->response_headers.item[2].value, "");
	assert_string_equal(p->request_headers.item[0].value, "3");
	assert_int_equal(p->has, POLICY_HAS_REDIRECT | POLICY_HAS_HEADERS);
	policy_drop(p);
	p = POLICY("permanent-redirect=https://b", "temporal-redirect=/there",
		   "temporal-redirect-code=307");
	assert_string_equal(p->redirect.part[0].text, "/there");
	assert_int_equal(p->redirect_status, 307);
	policy_drop(p);
	p = POLICY("permanent-redirect=https://b");
	assert_int_equal(p->redirect_status, 301);
	policy_drop(p);
}

TEST(who_may_come_and_how_often)
{
	struct policy *p = POLICY("whitelist-source-range=10.0.0.0/8, 192.0.2.7,2001:db8::/32",
				  "denylist-source-range=10.1.0.0/16", "satisfy=any",
				  "limit-connections=3", "limit-rps=10", "limit-rpm=100",
				  "limit-burst-multiplier=2", "limit-rate=100",
				  "limit-rate-after=1m", "limit-whitelist=10.2.0.0/16",
				  "sluice.dev/limit-by=header:X-Api-Key");

	expect_quiet();
	assert_int_equal(p->allow.n, 3);
	assert_int_equal(p->allow.item[1].len, 32);
	assert_int_equal(p->allow.item[2].addr.family, 6);
	assert_int_equal(p->deny.n, 1);
	assert_true(p->has_allow && p->satisfy_any);
	assert_int_equal(p->limit.connections, 3);
	assert_int_equal(p->limit.rps, 10);
	assert_int_equal(p->limit.rpm, 100);
	assert_int_equal(p->limit.burst, 2);
	assert_int_equal(p->limit.rate, 100 * 1024);
	assert_int_equal(p->limit.rate_after, 1 << 20);
	assert_int_equal(p->limit.exempt.n, 1);
	assert_int_equal(p->limit.key.part[0].kind, POLICY_PART_HEADER);
	assert_string_equal(p->limit.key.part[0].text, "X-Api-Key");
	assert_int_equal(p->has, POLICY_HAS_RANGES | POLICY_HAS_LIMITS);
	policy_drop(p);
}

TEST(cors)
{
	struct policy *p = POLICY("enable-cors=true");

	assert_true(p->cors.any_origin && p->cors.credentials);
	assert_string_equal(p->cors.methods, "GET, PUT, POST, DELETE, PATCH, OPTIONS");
	assert_string_equal(p->cors.max_age, "1728000");
	policy_drop(p);
	p = POLICY("enable-cors=true", "cors-allow-origin=https://a.test, https://*.b.test:8443",
		   "cors-allow-methods=GET,POST", "cors-allow-headers= X-A , X-B",
		   "cors-expose-headers=X-C", "cors-allow-credentials=false", "cors-max-age=600");
	expect_quiet();
	assert_false(p->cors.any_origin);
	assert_int_equal(p->cors.origins.n, 2);
	assert_string_equal(p->cors.origins.item[1], "https://*.b.test:8443");
	assert_string_equal(p->cors.methods, "GET, POST");
	assert_string_equal(p->cors.headers, "X-A, X-B");
	assert_string_equal(p->cors.expose, "X-C");
	assert_string_equal(p->cors.max_age, "600");
	assert_int_equal(p->has, POLICY_HAS_CORS);
	policy_drop(p);
}

TEST(towards_the_origin)
{
	struct policy *p = POLICY(
		"backend-protocol=grpcs", "proxy-connect-timeout=5", "proxy-send-timeout=6s",
		"proxy-next-upstream=error http_502 non_idempotent", "proxy-next-upstream-tries=0",
		"proxy-next-upstream-timeout=2", "service-upstream=true",
		"sluice.dev/wait-for-endpoint=30s", "proxy-ssl-secret=n/s", "proxy-ssl-verify=on",
		"proxy-ssl-verify-depth=2", "proxy-ssl-name=o.test", "proxy-ssl-server-name=on",
		"proxy-ssl-ciphers=HIGH:!aNULL", "proxy-ssl-protocols=TLSv1.2 TLSv1.3",
		"upstream-hash-by=$request_uri-${arg_user}$http_x_y$",
		"sluice.dev/hash-load-factor=125");

	expect_quiet();
	assert_int_equal(p->protocol, POLICY_GRPCS);
	assert_true(p->has_protocol);
	assert_int_equal(p->connect_ns, 5 * CLOCK_NS_PER_S);
	assert_int_equal(p->send_ns, 6 * CLOCK_NS_PER_S);
	assert_int_equal(p->next, POLICY_NEXT_ERROR | POLICY_NEXT_502 | POLICY_NEXT_NON_IDEMPOTENT);
	assert_int_equal(p->next_tries, 0);
	assert_int_equal(p->next_ns, 2 * CLOCK_NS_PER_S);
	assert_true(p->service_upstream);
	assert_int_equal(p->wait_ns, 30 * CLOCK_NS_PER_S);
	assert_string_equal(p->ssl.secret.name, "s");
	assert_true(p->ssl.verify && p->ssl.server_name && p->ssl.tls1_2 && p->ssl.tls1_3);
	assert_int_equal(p->ssl.depth, 2);
	assert_string_equal(p->ssl.name, "o.test");
	assert_string_equal(p->ssl.ciphers, "HIGH:!aNULL");
	assert_int_equal(p->choice, UPSTREAM_HASH);
	assert_int_equal(p->hash_bound, 125);
	assert_int_equal(p->hash.n, 5);
	assert_int_equal(p->hash.part[0].kind, POLICY_PART_URI);
	assert_string_equal(p->hash.part[1].text, "-");
	assert_int_equal(p->hash.part[2].kind, POLICY_PART_ARG);
	assert_string_equal(p->hash.part[2].text, "user");
	assert_string_equal(p->hash.part[3].text, "x_y");
	assert_string_equal(p->hash.part[4].text, "$");
	policy_drop(p);
	p = POLICY("backend-protocol=AUTO_HTTP", "load-balance=round_robin",
		   "proxy-next-upstream=off");
	assert_false(p->has_protocol);
	assert_int_equal(p->choice, UPSTREAM_ROUND_ROBIN);
	assert_int_equal(p->next, 0);
	policy_drop(p);
}

TEST(cookies_and_canaries)
{
	struct policy *p = POLICY(
		"affinity=cookie", "affinity-mode=persistent", "session-cookie-name=route",
		"session-cookie-path=/p", "session-cookie-domain=a.test",
		"session-cookie-max-age=3600", "session-cookie-expires=-1",
		"session-cookie-secure=false", "session-cookie-samesite=lax",
		"session-cookie-change-on-failure=true",
		"session-cookie-conditional-samesite-none=true", "affinity-canary-behavior=legacy",
		"canary=true", "canary-weight=300", "canary-weight-total=200",
		"canary-by-header=X-C", "canary-by-header-value=v",
		"canary-by-header-pattern=^v[0-9]$", "canary-by-cookie=c");

	expect_quiet();
	assert_true(p->affinity.enabled && p->affinity.persistent && p->affinity.legacy_canary);
	assert_string_equal(p->affinity.cookie, "route");
	assert_string_equal(p->affinity.domain, "a.test");
	assert_int_equal(p->affinity.max_age_s, 3600);
	assert_int_equal(p->affinity.expires_s, -1);
	assert_true(p->affinity.has_secure && !p->affinity.secure);
	assert_int_equal(p->affinity.samesite, POLICY_SAMESITE_LAX);
	assert_true(p->affinity.change_on_failure && p->affinity.conditional_samesite_none);
	assert_int_equal(p->canary.weight, 200);
	assert_string_equal(p->canary.header, "X-C");
	assert_string_equal(p->canary.header_value, "v");
	assert_non_null(p->canary.header_pattern);
	assert_string_equal(p->canary.cookie, "c");
	policy_drop(p);
	p = POLICY("canary=true");
	expect_note(
		"warning: annotation nginx.ingress.kubernetes.io/canary is \"true\": nothing leads to it");
	policy_drop(p);
	p = POLICY("canary=true", "canary-by-header=h", "canary-by-header-pattern=(");
	assert_true(p->canary.broken_pattern);
	policy_drop(p);
}

TEST(external_authentication)
{
	struct policy *p = POLICY(
		"auth-url=https://auth.n.svc.cluster.local:8443/check?u=$escaped_request_uri",
		"auth-method=POST", "auth-signin=https://$host/in?rd=$escaped_request_uri",
		"auth-signin-redirect-param=back", "auth-response-headers=X-User, X-Email",
		"auth-request-redirect=$scheme://x", "auth-always-set-cookie=true");

	expect_quiet();
	assert_string_equal(p->ask.url.host, "auth.n.svc.cluster.local");
	assert_int_equal(p->ask.url.port, 8443);
	assert_true(p->ask.url.tls && p->ask.always_set_cookie);
	assert_int_equal(p->ask.url.path.n, 2);
	assert_string_equal(p->ask.url.path.part[0].text, "/check?u=");
	assert_string_equal(p->ask.method, "POST");
	assert_int_equal(p->ask.response_headers.n, 2);
	assert_string_equal(p->ask.response_headers.item[1], "X-Email");
	assert_int_equal(p->ask.signin.n, 4);
	assert_string_equal(p->ask.signin_param, "back");
	assert_int_equal(p->has, POLICY_HAS_EXTERNAL);
	policy_drop(p);
	p = POLICY("auth-url=http://a/\xc3\xa9");
	expect_note("auth-url is \"http://a/\xc3\xa9\": write a URL of printable characters");
	assert_non_null(p->closed);
	policy_drop(p);
	p = POLICY("auth-url=http://a.t]est/");
	expect_note("auth-url is \"http://a.t]est/\": write host and port");
	assert_non_null(p->closed);
	policy_drop(p);
	p = POLICY("upstream-vhost=a:x");
	expect_note("upstream-vhost is \"a:x\": write a host name");
	policy_drop(p);
	p = POLICY("upstream-vhost=a.test:8080");
	expect_quiet();
	policy_drop(p);
	p = POLICY("auth-url=http://a", "auth-method=CONNECT");
	expect_note(
		"refused: annotation nginx.ingress.kubernetes.io/auth-method is \"CONNECT\": write a method");
	assert_string_equal(p->ask.method, "GET");
	policy_drop(p);
	p = POLICY("auth-url=http://a", "auth-method=post");
	expect_note(
		"refused: annotation nginx.ingress.kubernetes.io/auth-method is \"post\": write a method");
	policy_drop(p);
	p = POLICY("auth-url=https://$host/oauth2/auth");
	expect_quiet();
	assert_string_equal(p->ask.url.host, "");
	assert_string_equal(p->ask.url.path.part[0].text, "/oauth2/auth");
	policy_drop(p);
	p = POLICY("auth-url=http://[2001:db8::1]");
	assert_string_equal(p->ask.url.host, "2001:db8::1");
	assert_int_equal(p->ask.url.port, 80);
	assert_string_equal(p->ask.url.path.part[0].text, "/");
	policy_drop(p);
}

TEST(client_certificates)
{
	struct policy *p = POLICY("auth-tls-secret=ca", "auth-tls-verify-client=optional",
				  "auth-tls-verify-depth=3", "auth-tls-error-page=https://x/err",
				  "auth-tls-pass-certificate-to-upstream=true",
				  "auth-tls-match-cn=CN=(a|b)");

	expect_quiet();
	assert_string_equal(p->client_cert.secret.namespace, "n");
	assert_string_equal(p->client_cert.secret.name, "ca");
	assert_int_equal(p->client_cert.verify, POLICY_VERIFY_OPTIONAL);
	assert_int_equal(p->client_cert.depth, 3);
	assert_non_null(p->client_cert.match_cn);
	assert_int_equal(p->has, POLICY_HAS_CLIENT_CERT);
	policy_drop(p);
	p = POLICY("auth-tls-secret=ca", "auth-tls-verify-client=off");
	assert_null(p->client_cert.secret.name);
	assert_int_equal(p->has, 0);
	policy_drop(p);
	p = POLICY("auth-tls-match-cn=CN=a");
	expect_note("auth-tls-match-cn has no effect without auth-tls-secret");
	policy_drop(p);
}

/* ---- users ------------------------------------------------------------------------------------------------------- */

static void set_secret(struct secret *secret, struct secret_item *item, const char *key,
		       const char *data)
{
	*item = (struct secret_item){ (char *)key, (unsigned char *)data, strlen(data) };
	*secret = (struct secret){ .meta = { .namespace = (char *)"n", .name = (char *)"users" },
				   .items = item,
				   .n_items = 1 };
	the_secret = secret;
}

TEST(users_from_a_secret)
{
	struct secret secret;
	struct secret_item item;
	struct policy *p;

	set_secret(
		&secret, &item, "auth",
		"# people\nann:$2y$05$abcdefghijklmnopqrstuv\r\nbob:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=\n\nplain:secret\nann:$1$x$y\n:x\n"
		"carl:$6$salt$hash:a comment");
	p = POLICY("auth-type=basic", "auth-secret=users", "auth-realm=Staff only");
	assert_null(p->closed);
	assert_string_equal(p->auth.realm, "Staff only");
	assert_string_equal(auth_users_find(p->auth.users, "ann", 3),
			    "$2y$05$abcdefghijklmnopqrstuv");
	assert_string_equal(auth_users_find(p->auth.users, "bob", 3),
			    "{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=");
	assert_string_equal(auth_users_find(p->auth.users, "carl", 4), "$6$salt$hash");
	assert_null(auth_users_find(p->auth.users, "plain", 5));
	expect_note("user \"plain\": the hash is of no known kind; make one with 'htpasswd -nB'");
	expect_note("user \"ann\": is there twice");
	assert_null(strstr(buf_str(&notes), "secret\n")); /* no hash, no password is told */
	assert_int_equal(p->has, POLICY_HAS_BASIC);
	policy_drop(p);
	p = POLICY("auth-type=basic", "auth-secret=users", "auth-secret-type=auth-map");
	assert_non_null(p->closed); /* the key "auth" is no user with a hash */
	policy_drop(p);
	set_secret(&secret, &item, "dora", "$apr1$x$y\n");
	p = POLICY("auth-type=basic", "auth-secret=users", "auth-secret-type=auth-map");
	assert_string_equal(auth_users_find(p->auth.users, "dora", 4), "$apr1$x$y");
	policy_drop(p);
	p = POLICY("auth-type=basic", "auth-secret=users");
	expect_note("nobody is in it: put lines \"user:hash\" under the key \"auth\"");
	assert_non_null(p->closed);
	policy_drop(p);
	the_secret = NULL;
	p = POLICY("auth-type=basic", "auth-secret=users");
	expect_note(
		"annotation nginx.ingress.kubernetes.io/auth-secret is \"users\": there is no such Secret");
	assert_non_null(p->closed);
	policy_drop(p);
	p = POLICY("auth-type=basic");
	expect_note("auth-secret is missing: name a Secret");
	assert_non_null(p->closed);
	policy_drop(p);
	p = POLICY("auth-secret=users");
	assert_null(p->closed);
	policy_drop(p);
}

TEST(the_field_of_basic_authentication)
{
	static const struct {
		const char *value, *name, *password; /* NULL: nothing of the kind */
	} cases[] = {
		{ "Basic dXNlcjpwYXNz", "user", "pass" },
		{ "bAsIc   dXNlcjpwYXNz", "user", "pass" },
		{ "Basic dTpwOnE=", "u", "p:q" },
		{ "Basic Og==", "", "" },
		{ "Basic dXNlcg==", NULL, NULL }, /* no colon */
		{ "Basic dTpwOnE", NULL, NULL },  /* no padding */
		{ "Basic dTpwOnF=", NULL, NULL }, /* bits left over */
		{ "Basic dXN=cjpw", NULL, NULL }, /* padding within */
		{ "Basic dXNl=jpw", NULL, NULL },
		{ "Basic dT oA==", NULL, NULL },
		{ "Basic AHU6cA==", NULL, NULL }, /* NUL */
		{ "Basic ====", NULL, NULL },
		{ "Basic ", NULL, NULL },
		{ "Basic", NULL, NULL },
		{ "Bearer dXNlcjpwYXNz", NULL, NULL },
	};
	char out[64];
	const char *name, *password;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		bool ok = auth_parse_basic(cases[i].value, strlen(cases[i].value), out, &name,
					   &password);

		if (ok != !!cases[i].name ||
		    (ok && (strcmp(name, cases[i].name) || strcmp(password, cases[i].password))))
			fail_msg("\"%s\": %d", cases[i].value, ok);
	}
}

/* ---- the table --------------------------------------------------------------------------------------------------- */

TEST(the_table_is_whole)
{
	for (const struct annotation *row = policy_table; row->name; row++) {
		bool taken = row->state == ANNOTATION_TAKEN;

		if (!row->help || !!row->read != taken ||
		    !!row->values != (taken || row->state == ANNOTATION_ROUTES))
			fail_msg("%s is not told completely", row->name);
		for (const struct annotation *other = row + 1; other->name; other++)
			assert_string_not_equal(row->name, other->name);
	}
}

/* UPDATE_DOCS=1 writes it. */
TEST(the_documentation_is_what_the_table_says)
{
	const char *path = "user/ingress/ANNOTATIONS.md";
	struct buf docs = { 0 }, page = { 0 };
	char piece[4096];
	size_t n;
	FILE *f;

	assert_int_equal(policy_write_docs(&docs), 0);
	if (getenv("UPDATE_DOCS")) {
		f = fopen(path, "w");
		assert_non_null(f);
		assert_int_equal(fwrite(docs.data, 1, docs.len, f), docs.len);
		assert_int_equal(fclose(f), 0);
	}
	f = fopen(path, "r");
	if (!f)
		fail_msg("%s: cannot be read; run from the top folder", path);
	while ((n = fread(piece, 1, sizeof(piece), f)))
		buf_put(&page, piece, n);
	fclose(f);
	if (strcmp(buf_str(&page), buf_str(&docs)) != 0)
		fail_msg("%s is behind: run this test with UPDATE_DOCS=1", path);
	buf_done(&docs);
	buf_done(&page);
}

TEST(every_allocation_may_fail)
{
	static const char *const items[] = { "auth-type=basic",
					     "auth-secret=users",
					     "whitelist-source-range=10.0.0.0/8",
					     "upstream-hash-by=$host$arg_x",
					     "cors-allow-origin=https://a.test",
					     "auth-url=http://a/$host",
					     "auth-response-headers=X-A",
					     "canary=true",
					     "canary-by-header-pattern=x",
					     "canary-by-header=h",
					     "sluice.dev/response-headers=A: b",
					     "sluice.dev/limit-by=header:X",
					     "cors-allow-headers=a,b",
					     "auth-tls-secret=x",
					     "auth-tls-match-cn=CN=x",
					     "allowlist-source-range=bad",
					     NULL };
	struct secret secret;
	struct secret_item item;
	bool failed = true;

	set_secret(&secret, &item, "auth", "ann:$1$x$y");
	for (unsigned n = 1; failed; n++) {
		struct policy *p = NULL;
		int rc;

		buf_reset(&notes);
		buf_reserve(&notes, 65536);
		failmalloc_at(n);
		rc = try_build(items, &p);
		failed = failmalloc_done();
		if (rc == 0) { /* at most speed was lost: JIT */
			assert_non_null(p->closed);
			assert_true(p->has & POLICY_HAS_BASIC && p->has & POLICY_HAS_RANGES);
			policy_drop(p);
		} else {
			assert_int_equal(rc, -ENOMEM);
		}
	}
	the_secret = NULL;
	buf_done(&notes);
}

RUN(cmocka_unit_test(nothing_said_is_the_default), cmocka_unit_test(times), cmocka_unit_test(sizes),
    cmocka_unit_test(our_prefix_goes_before),
    cmocka_unit_test(what_cannot_be_taken_is_named_and_the_rest_works),
    cmocka_unit_test(what_protects_closes_if_it_cannot_be_kept),
    cmocka_unit_test(unknown_missing_and_refused_ones_are_named),
    cmocka_unit_test(redirects_and_fields), cmocka_unit_test(who_may_come_and_how_often),
    cmocka_unit_test(cors), cmocka_unit_test(towards_the_origin),
    cmocka_unit_test(cookies_and_canaries), cmocka_unit_test(external_authentication),
    cmocka_unit_test(client_certificates), cmocka_unit_test(users_from_a_secret),
    cmocka_unit_test(the_field_of_basic_authentication), cmocka_unit_test(the_table_is_whole),
    cmocka_unit_test(the_documentation_is_what_the_table_says),
    cmocka_unit_test(every_allocation_may_fail))
