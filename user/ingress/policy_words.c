// SPDX-License-Identifier: GPL-2.0-only
/* Annotations whose values are words of their own. */
/* Must not know requests. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/vec.h"
#include "ingress/http1.h"
#include "ingress/match.h"
#include "ingress/policy_table.h"
#include "ingress/setting.h"

/* Index of the word, in any case, or -1. */
static int word(const char *value, const char *const *words)
{
	for (int i = 0; words[i]; i++)
		if (strcasecmp(words[i], value) == 0)
			return i;
	return -1;
}

static bool is_word(const char *item, size_t len, const char *text)
{
	return strlen(text) == len && strncasecmp(item, text, len) == 0;
}

/* ---- towards the client ------------------------------------------------------------------------------------------ */

bool read_onoff(struct reader *r, const char *value)
{
	static const char *const words[] = { "off", "on", NULL };
	int i = word(value, words);

	if (i < 0)
		return policy_bad(r, value, "write \"on\" or \"off\"");
	*(bool *)policy_field(r) = i == 1;
	return true;
}

bool read_hsts(struct reader *r, const char *value)
{
	if (strcasecmp(value, "off") == 0) {
		r->policy->hsts = NULL;
		return true;
	}
	if (strncasecmp(value, "max-age=", 8) != 0)
		return policy_bad(r, value, "write \"off\", or \"max-age=\" and seconds");
	return read_text(r, value);
}

/* A URL, or a path on the same host. */
static bool read_target(struct reader *r, const char *value, unsigned status)
{
	struct policy_text text;
	char what[64];
	int rc;

	if (!policy_is_text(value) || strpbrk(value, " \"<>\\") ||
	    (strncasecmp(value, "http://", 7) != 0 && strncasecmp(value, "https://", 8) != 0 &&
	     strncmp(value, "$scheme://", 10) != 0 && *value != '/'))
		return policy_bad(r, value,
				  "write a URL that begins with http:// or https://, or a path");
	rc = policy_parse_template(r, value, &text, what);
	if (rc == -ENOMEM)
		return false;
	if (rc)
		return policy_bad(r, value,
				  "%s is not known; use $request_uri, $host, $scheme or $args",
				  what);
	r->policy->redirect = text;
	r->policy->redirect_status = status;
	return true;
}

bool read_redirect(struct reader *r, const char *value)
{
	return read_target(r, value, 301);
}

bool read_temporal(struct reader *r, const char *value)
{
	return read_target(r, value, 302);
}

/* row->min is the status that the kind of redirect has without it. */
bool read_redirect_code(struct reader *r, const char *value)
{
	if (strlen(value) != 3 || value[0] != '3' || value[1] != '0' || value[2] < '0' ||
	    value[2] > '8')
		return policy_bad(r, value, "write a status from 300 to 308");
	if (r->policy->redirect_status == r->row->min)
		r->policy->redirect_status = (unsigned)atoi(value);
	return true;
}

bool read_allow(struct reader *r, const char *value)
{
	if (!read_cidrs(r, value))
		return false;
	r->policy->has_allow = true;
	return true;
}

bool read_satisfy(struct reader *r, const char *value)
{
	static const char *const words[] = { "all", "any", NULL };
	int i = word(value, words);

	if (i < 0)
		return policy_bad(r, value, "write \"all\" or \"any\"");
	r->policy->satisfy_any = i == 1;
	return true;
}

bool read_limit_by(struct reader *r, const char *value)
{
	const char *colon = strchr(value, ':');
	struct policy_part part;

	if (strcasecmp(value, "address") == 0)
		return true;
	if (!colon || !policy_is_token(colon + 1, strlen(colon + 1)) ||
	    (!is_word(value, (size_t)(colon - value), "header") &&
	     !is_word(value, (size_t)(colon - value), "cookie")))
		return policy_bad(r, value,
				  "write \"address\", \"header:NAME\" or \"cookie:NAME\"");
	part.kind = *value == 'h' || *value == 'H' ? POLICY_PART_HEADER : POLICY_PART_COOKIE;
	part.text = policy_copy(r, colon + 1, strlen(colon + 1));
	r->policy->limit.key.part = part.text ? arena_memdup(r->arena, &part, sizeof(part)) : NULL;
	r->policy->limit.key.n = r->policy->limit.key.part ? 1 : 0;
	r->no_memory |= !r->policy->limit.key.n;
	return r->policy->limit.key.n == 1;
}

/* KiB, or with a unit. */
bool read_rate(struct reader *r, const char *value)
{
	uint64_t *field = policy_field(r);

	if (!read_size(r, value))
		return false;
	if (*field == UINT64_MAX)
		*field = 0; /* "0": no limit */
	else if (isdigit((unsigned char)value[strlen(value) - 1]))
		*field *= 1024;
	return true;
}

/* ---- CORS -------------------------------------------------------------------------------------------------------- */

/* scheme://host[:port], with "*." in front of the host at most. */
static bool is_origin(const char *item, size_t len)
{
	const char *at = memmem(item, len, "://", 3);
	size_t left;

	if (!at || !policy_is_token(item, (size_t)(at - item)))
		return false;
	at += 3;
	left = len - (size_t)(at - item);
	if (left > 2 && at[0] == '*' && at[1] == '.') {
		at += 2;
		left -= 2;
	}
	for (size_t i = 0; i < left; i++)
		if (!isalnum((unsigned char)at[i]) && !strchr("-._:[]", at[i]))
			return false;
	return left > 0;
}

bool read_origins(struct reader *r, const char *value)
{
	const char **items = arena_new(r->arena, const char *, strlen(value) / 2 + 1);
	const char *list = value, *item;
	size_t len, n = 0;
	bool any = false;

	r->no_memory |= !items;
	while (items && (item = setting_next(&list, &len))) {
		if (is_word(item, len, "*")) {
			any = true;
			continue;
		}
		if (!is_origin(item, len))
			return policy_bad(
				r, value,
				"\"%.*s\" is no origin; write \"*\", or scheme and host (\"https://a.example\")",
				(int)(len < 60 ? len : 60), item);
		items[n] = policy_copy(r, item, len);
		if (!items[n++])
			return false;
	}
	if (!items)
		return false;
	if (!n && !any)
		return policy_bad(r, value,
				  "write \"*\", or scheme and host (\"https://a.example\")");
	r->policy->cors.any_origin = any;
	r->policy->cors.origins = (struct policy_list){ items, n };
	return true;
}

bool read_field_list(struct reader *r, const char *value)
{
	const char *list = value, *item;
	char *text = arena_alloc(r->arena, 2 * strlen(value) + 3), *end = text;
	size_t len;

	r->no_memory |= !text;
	while (text && (item = setting_next(&list, &len))) {
		if (!policy_is_token(item, len))
			return policy_bad(r, value, "write names, separated by commas");
		end += sprintf(end, "%s%.*s", end == text ? "" : ", ", (int)len, item);
	}
	if (!text)
		return false;
	if (end == text)
		return policy_bad(r, value, "write names, separated by commas");
	*(const char **)policy_field(r) = text;
	return true;
}

bool read_seconds_text(struct reader *r, const char *value)
{
	if (!*value || strspn(value, "0123456789") != strlen(value) || strlen(value) > 9)
		return policy_bad(r, value, "write seconds");
	return read_text(r, value);
}

/* ---- authentication ------------------------------------------------------------------------------------------------ */

bool read_auth_type(struct reader *r, const char *value)
{
	if (strcasecmp(value, "digest") == 0)
		return policy_bad(
			r, value,
			"digest authentication rests on MD5 and is not done; use \"basic\" over TLS");
	if (strcasecmp(value, "basic") != 0)
		return policy_bad(r, value, "write \"basic\"");
	r->policy->auth.type = POLICY_AUTH_BASIC;
	return true;
}

bool read_auth_secret_type(struct reader *r, const char *value)
{
	static const char *const words[] = { "auth-file", "auth-map", NULL };
	int i = word(value, words);

	if (i < 0)
		return policy_bad(r, value, "write \"auth-file\" or \"auth-map\"");
	r->auth_map = i == 1;
	return true;
}

/* Of a question about a path: CONNECT is none, and methods are written in capitals (RFC 9110 9.1). */
bool read_method(struct reader *r, const char *value)
{
	static const char *const words[] = { "GET",    "HEAD",    "POST",  "PUT", "PATCH",
					     "DELETE", "OPTIONS", "TRACE", NULL };
	int i = word(value, words);

	if (i < 0 || strcmp(words[i], value) != 0)
		return policy_bad(r, value, "write a method in capitals (\"GET\", \"POST\")");
	return read_text(r, value);
}

bool read_realm(struct reader *r, const char *value)
{
	if (!policy_is_text(value) || strpbrk(value, "\"\\"))
		return policy_bad(r, value, "write one line of text without quotes");
	return read_text(r, value);
}

/* "$host" in front: the length of that variable; the host of the request is meant, which is served here. */
static size_t own_host_len(const char *host)
{
	static const char *const names[] = { "$host", "$http_host", "$best_http_host" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		size_t len = strlen(names[i]);

		if (strncmp(host, names[i], len) == 0 && (!host[len] || host[len] == '/'))
			return len;
	}
	return 0;
}

static bool is_of_url(const char *value)
{
	for (const unsigned char *p = (const unsigned char *)value; *p; p++)
		if (*p <= 0x20 || *p >= 0x7f || strchr("\"<>\\#", *p))
			return false;
	return true;
}

bool read_auth_url(struct reader *r, const char *value)
{
	struct policy_url url = { .tls = strncasecmp(value, "https://", 8) == 0 };
	const char *host = value + (url.tls ? 8 : 7), *end, *port;
	size_t own;
	unsigned long n = url.tls ? 443 : 80;
	char what[64];
	int rc;

	if (!url.tls && strncasecmp(value, "http://", 7) != 0)
		return policy_bad(r, value, "write a URL that begins with http:// or https://");
	if (!is_of_url(value))
		return policy_bad(
			r, value,
			"write a URL of printable characters without spaces, quotes and \"#\", others as %%XX");
	own = own_host_len(host);
	host += own;
	end = *host == '[' ? strchr(host, ']') : host + strcspn(host, ":/?");
	if (!end || (end == host && !own))
		return policy_bad(r, value, "write a URL with a host");
	port = end + (*end == ']');
	if (*port == ':') {
		char *rest;

		n = isdigit((unsigned char)port[1]) ? strtoul(port + 1, &rest, 10) : 0;
		if (n < 1 || n > 65535 || (*rest && !strchr("/?", *rest)))
			return policy_bad(r, value, "the port is no number from 1 to 65535");
		port = rest;
	}
	if ((!own && !http1_is_host(host, (size_t)(port - host))) || (*port && *port != '/'))
		return policy_bad(
			r, value,
			"write host and port without variables or passwords, and a path behind them");
	url.host = policy_copy(r, host + (*host == '['), (size_t)(end - host) - (*host == '['));
	url.port = (uint16_t)n;
	rc = policy_parse_template(r, *port ? port : "/", &url.path, what);
	if (rc == -EINVAL)
		return policy_bad(r, value,
				  "%s is not known; use $request_uri, $host, $scheme or $args",
				  what);
	if (rc == 0 && url.host)
		r->policy->ask.url = url;
	return rc == 0 && url.host;
}

bool read_verify_client(struct reader *r, const char *value)
{
	static const char *const words[] = { "on", "off", "optional", "optional_no_ca", NULL };
	int i = word(value, words);

	if (i < 0)
		return policy_bad(r, value,
				  "write \"on\", \"off\", \"optional\" or \"optional_no_ca\"");
	r->policy->client_cert.verify = (unsigned)i;
	return true;
}

bool read_match_cn(struct reader *r, const char *value)
{
	if (strncmp(value, "CN=", 3) != 0)
		return policy_bad(r, value, "write \"CN=\" and a regular expression");
	return read_match(r, value);
}

/* ---- towards the origin -------------------------------------------------------------------------------------------- */

bool read_protocol(struct reader *r, const char *value)
{
	static const char *const words[] = { "HTTP", "HTTPS", "GRPC", "GRPCS", "AUTO_HTTP", NULL };
	int i = word(value, words);

	if (strcasecmp(value, "FCGI") == 0)
		return policy_bad(
			r, value,
			"FastCGI is not spoken; put a server that speaks HTTP before the application");
	if (i < 0)
		return policy_bad(r, value, "write \"HTTP\", \"HTTPS\", \"GRPC\" or \"GRPCS\"");
	r->policy->protocol = i < 4 ? (enum policy_protocol)i : POLICY_HTTP;
	r->policy->has_protocol = i < 4;
	return true;
}

bool read_ssl_protocols(struct reader *r, const char *value)
{
	char text[128];
	char *save, *item;
	bool two = false, three = false;

	snprintf(text, sizeof(text), "%s", value);
	for (item = strtok_r(text, " ,", &save); item; item = strtok_r(NULL, " ,", &save)) {
		two |= strcasecmp(item, "TLSv1.2") == 0;
		three |= strcasecmp(item, "TLSv1.3") == 0;
	}
	if (!two && !three)
		return policy_bad(
			r, value,
			"write \"TLSv1.2\", \"TLSv1.3\" or both; older ones are not spoken");
	r->policy->ssl.tls1_2 = two;
	r->policy->ssl.tls1_3 = three;
	return true;
}

bool read_next(struct reader *r, const char *value)
{
	static const struct {
		const char *word;
		unsigned bits;
	} words[] = { { "error", POLICY_NEXT_ERROR },
		      { "timeout", POLICY_NEXT_TIMEOUT },
		      { "invalid_header", POLICY_NEXT_INVALID_HEADER },
		      { "http_500", POLICY_NEXT_500 },
		      { "http_502", POLICY_NEXT_502 },
		      { "http_503", POLICY_NEXT_503 },
		      { "http_504", POLICY_NEXT_504 },
		      { "http_403", POLICY_NEXT_403 },
		      { "http_404", POLICY_NEXT_404 },
		      { "http_429", POLICY_NEXT_429 },
		      { "non_idempotent", POLICY_NEXT_NON_IDEMPOTENT },
		      { "off", 0 } };
	unsigned bits = 0;
	size_t n = sizeof(words) / sizeof(words[0]), len, i;
	const char *p = value;

	for (p += strspn(p, " ,"); *p; p += len + strspn(p + len, " ,")) {
		len = strcspn(p, " ,");
		for (i = 0; i < n && !is_word(p, len, words[i].word); i++)
			;
		if (i == n)
			return policy_bad(
				r, value,
				"\"%.*s\" is not known; write error, timeout, invalid_header, http_500, "
				"http_502, http_503, http_504, http_403, http_404, http_429, "
				"non_idempotent or off",
				(int)(len < 40 ? len : 40), p);
		bits |= words[i].bits;
	}
	r->policy->next = bits;
	return true;
}

bool read_load_balance(struct reader *r, const char *value)
{
	static const char *const words[] = { "least_request", "ewma", "round_robin", NULL };
	int i = word(value, words);

	if (i < 0)
		return policy_bad(r, value, "write \"least_request\", \"round_robin\" or \"ewma\"");
	r->policy->choice = i == 2 ? UPSTREAM_ROUND_ROBIN : UPSTREAM_LEAST;
	return true;
}

bool read_hash(struct reader *r, const char *value)
{
	if (!read_template(r, value))
		return false;
	r->policy->choice = UPSTREAM_HASH;
	return true;
}

/* ---- cookies and canaries ------------------------------------------------------------------------------------------- */

bool read_affinity(struct reader *r, const char *value)
{
	if (strcasecmp(value, "cookie") != 0)
		return policy_bad(r, value, "write \"cookie\"");
	r->policy->affinity.enabled = true;
	return true;
}

bool read_affinity_mode(struct reader *r, const char *value)
{
	static const char *const words[] = { "balanced", "persistent", NULL };
	int i = word(value, words);

	if (i < 0)
		return policy_bad(r, value, "write \"balanced\" or \"persistent\"");
	r->policy->affinity.persistent = i == 1;
	return true;
}

bool read_canary_behavior(struct reader *r, const char *value)
{
	static const char *const words[] = { "sticky", "legacy", NULL };
	int i = word(value, words);

	if (i < 0)
		return policy_bad(r, value, "write \"sticky\" or \"legacy\"");
	r->policy->affinity.legacy_canary = i == 1;
	return true;
}

bool read_samesite(struct reader *r, const char *value)
{
	static const char *const words[] = { "None", "Lax", "Strict", NULL };
	int i = word(value, words);

	if (i < 0)
		return policy_bad(r, value, "write \"None\", \"Lax\" or \"Strict\"");
	r->policy->affinity.samesite = (enum policy_samesite)(i + 1);
	return true;
}

static bool read_age(struct reader *r, const char *value, int64_t *ret_s)
{
	char *end;
	long long n = strtoll(value, &end, 10);

	if (!*value || *end || n < -1000000000 || n > 1000000000 || isspace((unsigned char)*value))
		return policy_bad(r, value, "write seconds");
	*ret_s = n;
	return true;
}

bool read_cookie_age(struct reader *r, const char *value)
{
	r->policy->affinity.has_max_age = read_age(r, value, &r->policy->affinity.max_age_s);
	return r->policy->affinity.has_max_age;
}

bool read_cookie_expires(struct reader *r, const char *value)
{
	r->policy->affinity.has_expires = read_age(r, value, &r->policy->affinity.expires_s);
	return r->policy->affinity.has_expires;
}

bool read_cookie_secure(struct reader *r, const char *value)
{
	bool yes = ingress_is_true(value);

	if (!yes && strcasecmp(value, "false") != 0 && strcmp(value, "0") != 0)
		return policy_bad(r, value, "write \"true\" or \"false\"");
	r->policy->affinity.secure = yes;
	r->policy->affinity.has_secure = true;
	return true;
}

/* A pattern that cannot be compiled matches nothing, as in ingress-nginx: the weight does not take over. */
bool read_canary_pattern(struct reader *r, const char *value)
{
	struct match *match;
	char why[160];
	int rc = match_new(value, MATCH_CASE, why, sizeof(why), &match);

	r->no_memory |= rc == -ENOMEM;
	r->policy->canary.broken_pattern = rc == -EINVAL;
	if (rc == -EINVAL)
		return policy_bad(
			r, value,
			"the regular expression cannot be compiled (%s), so it matches nothing",
			why);
	if (rc == 0)
		r->policy->canary.header_pattern = match;
	return rc == 0;
}
