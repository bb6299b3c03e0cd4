// SPDX-License-Identifier: GPL-2.0-only
/* Judges one request by what its Ingress asks for, step by step, and answers where it must not pass. */
/* Must not know connections, or how a request was routed. */
#include "ingress/gate.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/table.h"
#include "ingress/gate_parts.h"
#include "ingress/match.h"

#define ACME "/.well-known/acme-challenge"

int gate_new(const struct gate_settings *settings, struct gate **ret_gate)
{
	struct gate *gate = calloc(1, sizeof(*gate));

	if (!gate)
		return -ENOMEM;
	gate->settings = *settings;
	if (limits_new(settings->seed, &gate->limits) < 0 ||
	    passwords_new(settings->seed + 1, &gate->passwords) < 0) {
		gate_free(gate);
		return -ENOMEM;
	}
	*ret_gate = gate;
	return 0;
}

void gate_free(struct gate *gate)
{
	if (!gate)
		return;
	limits_free(gate->limits);
	passwords_free(gate->passwords);
	free(gate);
}

/* ---- answers --------------------------------------------------------------------------------------------------------- */

/* Room doubles: at 4, 8, 16 … the array is moved. */
static void put(struct step *s, struct gate_sets *sets, struct http1_set set)
{
	size_t n = sets->n;

	if (n == 0 || (n >= 4 && (n & (n - 1)) == 0)) {
		struct http1_set *more = arena_new(s->q->arena, struct http1_set, n ? 2 * n : 4);

		if (!more) {
			s->no_memory = true;
			return;
		}
		if (n)
			memcpy(more, sets->set, n * sizeof(*more));
		sets->set = more;
	}
	sets->set[sets->n++] = set;
}

void gate_set(struct step *s, struct gate_sets *sets, const char *name, const char *value)
{
	put(s, sets, (struct http1_set){ .name = name, .value = value });
}

void gate_add(struct step *s, struct gate_sets *sets, const char *name, const char *value)
{
	put(s, sets, (struct http1_set){ .name = name, .value = value, .add = true });
}

enum gate_verdict gate_answer(struct step *s, unsigned status, const char *reason)
{
	s->result->status = status;
	s->result->reason = reason;
	return GATE_ANSWER;
}

enum gate_verdict gate_redirect(struct step *s, unsigned status, const char *location,
				const char *reason)
{
	gate_set(s, &s->result->answer_set, "Location", location);
	return gate_answer(s, status, reason);
}

/* ---- source ranges ---------------------------------------------------------------------------------------------------- */

static bool is_in(const struct policy_cidrs *cidrs, const struct address *addr)
{
	for (size_t i = 0; i < cidrs->n; i++)
		if (cidr_contains(&cidrs->item[i], addr))
			return true;
	return false;
}

static bool is_from_allowed(const struct step *s)
{
	const struct policy *p = s->policy;

	return !is_in(&p->deny, &s->q->client) &&
	       (!p->has_allow || is_in(&p->allow, &s->q->client));
}

static bool is_authenticated(const struct policy *p)
{
	return p->has & (POLICY_HAS_BASIC | POLICY_HAS_EXTERNAL);
}

/* ---- redirects -------------------------------------------------------------------------------------------------------- */

static bool begins(const char *text, size_t len, const char *prefix)
{
	return len >= strlen(prefix) && memcmp(text, prefix, strlen(prefix)) == 0;
}

/* scheme://host[:port] and what was asked for, without a slash at its end. */
static const char *other_place(struct step *s, bool tls, const char *host, size_t host_len,
			       bool keep_slash)
{
	uint16_t port = s->q->gate->settings.https_port;
	struct buf out = { 0 };

	buf_printf(&out, "%s://%.*s", tls ? "https" : "http", (int)host_len, host);
	if (tls && port && port != 443)
		buf_printf(&out, ":%u", port);
	gate_put_uri(s->q, &out);
	if (!out.failed && !keep_slash && out.data[out.len - 1] == '/')
		out.data[--out.len] = '\0';
	return gate_keep(s, &out);
}

static enum gate_verdict to_tls(struct step *s)
{
	const struct http1_slice host = s->q->head->host;
	const struct route *route = s->rule->route;

	if (s->q->tls ||
	    !(s->policy->force_ssl_redirect || (s->policy->ssl_redirect && route->tls)) ||
	    begins(s->q->path, s->q->path_len, ACME "/"))
		return GATE_PASS;
	if (!host.len)
		return gate_answer(s, 400, "a redirect to https needs a Host");
	return gate_redirect(s, 308,
			     other_place(s, true, s->q->bytes + host.at, host.len,
					 s->policy->preserve_trailing_slash),
			     "https is asked for");
}

static enum gate_verdict elsewhere(struct step *s)
{
	const struct policy *p = s->policy;
	struct buf url = { 0 };

	if (p->app_root && s->q->path_len == 1)
		return gate_redirect(s, 302, p->app_root, "app-root");
	if (!p->redirect.n)
		return GATE_PASS;
	gate_put_url(s->q, &p->redirect, &url);
	return gate_redirect(s, p->redirect_status, gate_keep(s, &url), "redirected");
}

/* ---- rates ------------------------------------------------------------------------------------------------------------ */

enum { LIMIT_SECOND = 1, LIMIT_MINUTE, LIMIT_AT_A_TIME };

static enum gate_verdict too_many(struct step *s, uint64_t wait_ns, const char *reason)
{
	uint64_t wait_s = (wait_ns + CLOCK_NS_PER_S - 1) / CLOCK_NS_PER_S;

	gate_set(s, &s->result->answer_set, "Retry-After",
		 gate_printf(s, "%llu", (unsigned long long)(wait_s ? wait_s : 1)));
	return gate_answer(s, 503, reason);
}

static enum gate_verdict count(struct step *s, const void *key, size_t len)
{
	const struct policy *p = s->policy;
	struct limits *limits = s->q->gate->limits;
	uint64_t wait_ns = 0;

	if (p->limit.rps)
		wait_ns = limits_take(limits, p->id + LIMIT_SECOND, key, len,
				      CLOCK_NS_PER_S / p->limit.rps, p->limit.rps * p->limit.burst,
				      s->q->now_ns);
	if (wait_ns)
		return too_many(s, wait_ns, "more requests a second than limit-rps");
	if (p->limit.rpm)
		wait_ns = limits_take(limits, p->id + LIMIT_MINUTE, key, len,
				      60 * CLOCK_NS_PER_S / p->limit.rpm,
				      p->limit.rpm * p->limit.burst, s->q->now_ns);
	if (wait_ns)
		return too_many(s, wait_ns, "more requests a minute than limit-rpm");
	if (p->limit.connections && !limits_enter(limits, p->id + LIMIT_AT_A_TIME, key, len,
						  p->limit.connections, &s->result->held))
		return too_many(s, 0, "more requests at a time than limit-connections");
	return GATE_PASS;
}

enum gate_verdict gate_limit(struct step *s)
{
	const struct policy *p = s->policy;
	enum gate_verdict verdict;
	struct buf key = { 0 };

	if (is_in(&p->limit.exempt, &s->q->client))
		return GATE_PASS;
	gate_put_text(s->q, &p->limit.key, &key);
	if (!key.len || key.failed)
		verdict = count(s, &s->q->client, sizeof(s->q->client));
	else
		verdict = count(s, key.data, key.len);
	buf_done(&key);
	return verdict;
}

/* ---- client certificates ----------------------------------------------------------------------------------------------- */

static enum gate_verdict no_good_certificate(struct step *s, unsigned status, const char *reason)
{
	if (s->policy->client_cert.error_page)
		return gate_redirect(s, 302, s->policy->client_cert.error_page, reason);
	return gate_answer(s, status, reason);
}

static enum gate_verdict client_cert(struct step *s)
{
	const struct policy *p = s->policy;
	const struct gate_request *q = s->q;
	struct gate_sets *sets = &s->result->request_set;

	if (q->client_cert_problem)
		return no_good_certificate(s, 400, q->client_cert_problem);
	if (!q->has_client_cert && p->client_cert.verify == POLICY_VERIFY_ON)
		return no_good_certificate(s, 400,
					   q->tls ? "no client certificate was sent"
						  : "a client certificate needs https");
	if (p->client_cert.match_cn) {
		const char *subject = q->client_cert_subject ? q->client_cert_subject : "";

		if (gate_match(q, p->client_cert.match_cn,
			       (struct gate_slice){ subject, strlen(subject) }) <= 0)
			return no_good_certificate(s, 403,
						   "the client certificate is for somebody else");
	}
	/* Whatever a client sends by these names is replaced. */
	gate_set(s, sets, "ssl-client-verify", q->has_client_cert ? "SUCCESS" : "NONE");
	gate_set(s, sets, "ssl-client-subject-dn", q->client_cert_subject);
	gate_set(s, sets, "ssl-client-issuer-dn", q->client_cert_issuer);
	gate_set(s, sets, "ssl-client-cert",
		 p->client_cert.pass_certificate ? q->client_cert_pem : NULL);
	return GATE_PASS;
}

/* ---- what remains when it may pass --------------------------------------------------------------------------------------- */

static void take_hash(struct step *s)
{
	struct buf key = { 0 };

	gate_put_text(s->q, &s->policy->hash, &key);
	s->no_memory |= key.failed;
	/* Without a seed: all replicas lead a key to the same endpoint. */
	s->result->pick.hash = table_hash(0, buf_str(&key), key.len);
	buf_done(&key);
}

static uint64_t body_max(const struct step *s)
{
	uint64_t max = s->policy->body_max ? s->policy->body_max : s->q->gate->settings.body_max;

	return max ? max : UINT64_MAX;
}

static void put_headers(struct step *s, struct gate_sets *sets,
			const struct policy_headers *headers)
{
	for (size_t i = 0; i < headers->n; i++)
		gate_set(s, sets, headers->item[i].name, headers->item[i].value);
}

static enum gate_verdict pass(struct step *s)
{
	const struct policy *p = s->policy;

	gate_canary(s);
	s->result->body_max = body_max(s);
	if (s->q->head->body == HTTP1_LENGTH && s->q->head->body_len > s->result->body_max)
		return gate_answer(s, 413, "the body is larger than proxy-body-size");
	put_headers(s, &s->result->request_set, &p->request_headers);
	if (p->has & POLICY_HAS_HASH)
		take_hash(s);
	if (p->has & POLICY_HAS_AFFINITY)
		gate_sticky(s);
	return GATE_PASS;
}

/* ---- the steps in their order --------------------------------------------------------------------------------------------- */

/* Without authentication, so what only its service may say is not the client's to say either. */
static enum gate_verdict pass_unasked(struct step *s)
{
	gate_ask_none(s);
	return pass(s);
}

static enum gate_verdict ask_or_pass(struct step *s)
{
	return s->policy->has & POLICY_HAS_EXTERNAL ? GATE_ASK : pass(s);
}

static enum gate_verdict authenticate(struct step *s)
{
	enum gate_verdict verdict = GATE_PASS;

	/* As ingress-nginx: what an issuer of certificates has to read is open. */
	if (begins(s->rule->route->path, strlen(s->rule->route->path), ACME))
		return pass_unasked(s);
	if (s->policy->has & POLICY_HAS_BASIC)
		verdict = gate_basic(s);
	return verdict == GATE_PASS ? ask_or_pass(s) : verdict;
}

static enum gate_verdict run_steps(struct step *s)
{
	const struct policy *p = s->policy;
	bool allowed = !(p->has & POLICY_HAS_RANGES) || is_from_allowed(s);
	enum gate_verdict verdict = GATE_PASS;

	if (p->closed)
		return gate_answer(s, 503, p->closed);
	if (!allowed && !(p->satisfy_any && is_authenticated(p)))
		return gate_answer(s, 403, "the client's address is not allowed");
	verdict = to_tls(s);
	if (verdict == GATE_PASS && p->has & POLICY_HAS_REDIRECT)
		verdict = elsewhere(s);
	if (verdict == GATE_PASS && p->has & POLICY_HAS_CORS)
		verdict = gate_cors(s);
	if (verdict == GATE_PASS && p->has & POLICY_HAS_LIMITS)
		verdict = gate_limit(s);
	if (verdict == GATE_PASS && p->has & POLICY_HAS_CLIENT_CERT)
		verdict = client_cert(s);
	if (verdict != GATE_PASS)
		return verdict;
	return p->satisfy_any && allowed && p->has & POLICY_HAS_RANGES ? pass_unasked(s)
								       : authenticate(s);
}

static enum gate_verdict to_other_host(struct step *s)
{
	const char *host = s->rule->route->redirect_host;

	return gate_redirect(s, 308, other_place(s, s->q->tls, host, strlen(host), false),
			     "from-to-www-redirect");
}

static struct step step_of(const struct gate_request *q, struct rule *rule,
			   struct gate_result *result)
{
	return (struct step){ .q = q,
			      .rule = rule,
			      .policy = rule->policy ? rule->policy : policy_none(),
			      .result = result };
}

static int end(const struct step *s, enum gate_verdict verdict, enum gate_verdict *ret_verdict)
{
	if (s->no_memory)
		return -ENOMEM;
	*ret_verdict = verdict;
	return 0;
}

int gate_check(const struct gate_request *q, struct rule *rule, enum gate_verdict *ret_verdict,
	       struct gate_result *ret_result)
{
	struct step s = step_of(q, rule, ret_result);
	enum gate_verdict verdict;

	*ret_result = (struct gate_result){
		.rule = rule,
		.policy = s.policy,
		.body_max = UINT64_MAX,
		.pick = { .choice = s.policy->choice,
			  .near = q->gate->settings.near,
			  .bound = s.policy->hash_bound,
			  .random = q->random,
			  .now_ns = q->now_ns },
	};
	if (q->tls && s.policy->hsts)
		gate_set(&s, &ret_result->response_set, "Strict-Transport-Security",
			 s.policy->hsts);
	put_headers(&s, &ret_result->response_set, &s.policy->response_headers);
	verdict = rule->route->redirect_host ? to_other_host(&s) : run_steps(&s);
	return end(&s, verdict, ret_verdict);
}

int gate_answered(const struct gate_request *q, struct rule *rule, const struct http1_head *answer,
		  const char *bytes, enum gate_verdict *ret_verdict, struct gate_result *result)
{
	struct step s = step_of(q, rule, result);
	enum gate_verdict verdict = gate_ask_done(&s, answer, bytes);

	return end(&s, verdict == GATE_PASS ? pass(&s) : verdict, ret_verdict);
}

int gate_verified(const struct gate_request *q, struct rule *rule, bool run,
		  enum gate_verdict *ret_verdict, struct gate_result *result)
{
	struct step s = step_of(q, rule, result);
	enum gate_verdict verdict = gate_basic_done(&s, run);

	return end(&s, verdict == GATE_PASS ? ask_or_pass(&s) : verdict, ret_verdict);
}

void gate_leave(struct gate *gate, struct gate_result *result)
{
	if (result->held)
		limits_leave(gate->limits, result->held);
	result->held = NULL;
}
