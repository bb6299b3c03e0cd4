// SPDX-License-Identifier: GPL-2.0-only
/* Whose endpoints a request is for, and how one keeps the same: canaries, affinity cookies. */
/* Must not know whether a request may pass. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "ingress/gate_parts.h"

/* ---- canary -------------------------------------------------------------------------------------------------------- */

/* 1: canary, 0: not, -1: does not say. */
static int by_header(const struct step *s, const struct policy *c)
{
	struct gate_slice value = gate_field(s->q, c->canary.header, true);

	if (!value.at)
		return -1;
	if (c->canary.header_value)
		return gate_equals(value, c->canary.header_value) ? 1 : -1;
	if (c->canary.broken_pattern)
		return 0;
	if (c->canary.header_pattern) {
		int rc = gate_match(s->q, c->canary.header_pattern, value);

		return rc > 0 ? 1 : rc < 0 ? 0 : -1;
	}
	if (gate_equals(value, "always"))
		return 1;
	return gate_equals(value, "never") ? 0 : -1;
}

static int by_cookie(const struct step *s, const struct policy *c)
{
	struct gate_slice value = gate_cookie_of(s->q, c->canary.cookie);

	if (gate_equals(value, "always"))
		return 1;
	return gate_equals(value, "never") ? 0 : -1;
}

/* A client with a cookie stays on the side that it met. */
static int by_affinity(const struct step *s, const struct rule *canary)
{
	const struct policy *p = s->policy;
	struct gate_slice cookie;

	if (!p->affinity.enabled || p->affinity.legacy_canary)
		return -1;
	cookie = gate_cookie_of(s->q, p->affinity.cookie);
	if (!cookie.at)
		return -1;
	if (s->rule->upstream && upstream_knows(s->rule->upstream, cookie.at, cookie.len))
		return 0;
	return canary->upstream && upstream_knows(canary->upstream, cookie.at, cookie.len) ? 1 : -1;
}

static bool is_canary(const struct step *s, const struct rule *canary)
{
	const struct policy *c = canary->policy;
	int says = by_affinity(s, canary);

	if (says < 0 && c->canary.header)
		says = by_header(s, c);
	if (says < 0 && c->canary.cookie)
		says = by_cookie(s, c);
	if (says >= 0)
		return says;
	return (uint64_t)s->q->random * c->canary.weight_total >> 32 < c->canary.weight;
}

void gate_canary(struct step *s)
{
	const struct route *twin = s->rule->route->canary;
	struct rule *canary = twin ? twin->rule : NULL;

	if (canary && canary->policy && is_canary(s, canary))
		s->result->rule = canary;
}

/* ---- affinity ------------------------------------------------------------------------------------------------------ */

void gate_sticky(struct step *s)
{
	struct gate_slice cookie = gate_cookie_of(s->q, s->policy->affinity.cookie);

	s->result->pick.sticky = cookie.at;
	s->result->pick.sticky_len = cookie.len;
}

static bool has_version(const char *agent, size_t len, const char *word, int low, int high)
{
	const char *at = memmem(agent, len, word, strlen(word));
	int version = 0;

	if (!at)
		return false;
	for (at += strlen(word); at < agent + len && *at >= '0' && *at <= '9' && version < 1000;
	     at++)
		version = version * 10 + (*at - '0');
	return version >= low && version <= high;
}

static bool has_word(struct gate_slice agent, const char *word)
{
	return memmem(agent.at, agent.len, word, strlen(word)) != NULL;
}

/* Browsers that take SameSite=None for Strict, or drop the cookie. */
static bool misunderstands_none(const struct gate_request *q)
{
	struct gate_slice agent = gate_field(q, "user-agent", false);

	if (!agent.at)
		return false;
	if (has_version(agent.at, agent.len, "Chrome/", 51, 66) ||
	    has_version(agent.at, agent.len, "Chromium/", 51, 66))
		return true;
	if (has_word(agent, "iPhone OS 12_") || has_word(agent, "iPad; CPU OS 12_"))
		return true;
	return has_word(agent, "Mac OS X 10_14") && has_word(agent, "Safari/") &&
	       !has_word(agent, "Chrom");
}

static void put_date(struct buf *out, int64_t at_s)
{
	struct tm tm;
	char text[64];
	time_t at = (time_t)at_s;

	if (gmtime_r(&at, &tm) && strftime(text, sizeof(text), "%a, %d %b %Y %H:%M:%S GMT", &tm))
		buf_printf(out, "; Expires=%s", text);
}

/* Where the cookie counts: an expression is no path. */
static const char *path_of(const struct rule *rule, const struct policy *p)
{
	const struct route *r = rule->route;

	if (p->affinity.path)
		return p->affinity.path;
	return r->match || r->path[0] != '/' || strpbrk(r->path, "\"<>\\^`{|};, ") ? "/" : r->path;
}

static void put_cookie(const struct gate_request *q, const struct rule *rule,
		       const struct policy *p, const char *value, struct buf *out)
{
	static const char *const samesite[] = { NULL, "None", "Lax", "Strict" };
	const char *same = samesite[p->affinity.samesite];

	buf_printf(out, "%s=%s; Path=%s", p->affinity.cookie, value, path_of(rule, p));
	if (p->affinity.domain)
		buf_printf(out, "; Domain=%s", p->affinity.domain);
	if (p->affinity.has_expires)
		put_date(out, q->now_s + p->affinity.expires_s);
	if (p->affinity.has_max_age)
		buf_printf(out, "; Max-Age=%lld", (long long)p->affinity.max_age_s);
	if (p->affinity.has_secure ? p->affinity.secure : q->tls)
		buf_puts(out, "; Secure");
	buf_puts(out, "; HttpOnly");
	if (same && !(p->affinity.samesite == POLICY_SAMESITE_NONE &&
		      p->affinity.conditional_samesite_none && misunderstands_none(q)))
		buf_printf(out, "; SameSite=%s", same);
}

const char *gate_cookie(const struct gate_request *q, const struct gate_result *result,
			const struct origin *origin)
{
	const struct policy *p = result->policy;
	const struct upstream_pick *pick = &result->pick;
	char value[UPSTREAM_STICKY_LEN + 1];
	struct buf out = { 0 };
	const char *cookie = NULL;

	if (!p || !p->affinity.enabled)
		return NULL;
	upstream_sticky(origin, value);
	if (pick->sticky &&
	    gate_equals((struct gate_slice){ pick->sticky, pick->sticky_len }, value))
		return NULL;
	/* Its endpoint is there and only failed: the client comes back to it. */
	if (pick->sticky && !p->affinity.change_on_failure && result->rule->upstream &&
	    upstream_knows(result->rule->upstream, pick->sticky, pick->sticky_len))
		return NULL;
	put_cookie(q, result->rule, p, value, &out);
	if (!out.failed)
		cookie = arena_strndup(q->arena, buf_str(&out), out.len);
	buf_done(&out);
	return cookie;
}
