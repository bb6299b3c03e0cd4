// SPDX-License-Identifier: GPL-2.0-only
/* Begins an exchange: which rule, what it says about this request, and the head for the origin. */
/* Must not know connections. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "ingress/ask.h"
#include "ingress/certs.h"
#include "ingress/client.h"
#include "ingress/exchange_state.h"
#include "ingress/forwarded.h"
#include "ingress/path.h"
#include "ingress/rule.h"
#include "ingress/settings.h"
#include "ingress/stats.h"
#include "ingress/tls.h"
#include "ingress/verify.h"

/* ---- words for the log ------------------------------------------------------------------------------------------ */

/* Offsets for now: the buffer may move while it is written. */
static void put_word(struct exchange *x, struct record_text *ret_text, const char *at, size_t len)
{
	ret_text->at = (const char *)x->text.len;
	ret_text->len = len;
	buf_put(&x->text, at, len);
}

static void put_words(struct exchange *x, const struct judged *j)
{
	const struct http1_head *head = j->head;
	const struct http1_field *agent = http1_field_find(head, j->bytes, "user-agent", NULL);
	const char *trace = forwarded_trace_id(head, j->bytes);
	struct record *record = &x->record;

	put_word(x, &record->method, j->bytes + head->method.at, head->method.len);
	put_word(x, &record->host, j->bytes + head->host.at, head->host.len);
	put_word(x, &record->path, j->bytes + head->path.at, head->path.len);
	put_word(x, &record->query, j->bytes + head->query.at, head->query.len);
	if (agent)
		put_word(x, &record->agent, j->bytes + agent->value_at, agent->value_len);
	if (trace)
		put_word(x, &record->trace_id, trace, 32);
	if (j->forwarded.request_id)
		put_word(x, &record->request_id, j->forwarded.request_id,
			 strlen(j->forwarded.request_id));
}

static void settle_words(struct exchange *x)
{
	struct record_text *const words[] = {
		&x->record.method,   &x->record.host,       &x->record.path,  &x->record.query,
		&x->record.trace_id, &x->record.request_id, &x->record.agent,
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		words[i]->at = words[i]->len ? x->text.data + (size_t)words[i]->at : NULL;
}

/* ---- judging ---------------------------------------------------------------------------------------------------- */

static bool is_method(const struct judged *j, const char *name)
{
	return j->head->method.len == strlen(name) &&
	       memcmp(j->bytes + j->head->method.at, name, strlen(name)) == 0;
}

static bool is_idempotent(const struct judged *j)
{
	return is_method(j, "GET") || is_method(j, "HEAD") || is_method(j, "PUT") ||
	       is_method(j, "DELETE") || is_method(j, "OPTIONS") || is_method(j, "TRACE");
}

static bool is_grpc(const struct judged *j)
{
	const struct http1_field *f = http1_field_find(j->head, j->bytes, "content-type", NULL);
	const char *text = f ? j->bytes + f->value_at : NULL;

	return f && f->value_len >= 16 && strncasecmp(text, "application/grpc", 16) == 0 &&
	       (f->value_len == 16 || memchr("+; ", text[16], 3));
}

static int read_path(struct exchange *x, struct judged *j)
{
	const struct http1_slice path = j->head->path;
	const char *raw = j->bytes + path.at;

	j->path = arena_alloc(j->arena, path.len + 2u);
	if (!j->path)
		return -ENOMEM;
	if (path.len == 1 && *raw == '*') { /* OPTIONS *: about the host as a whole */
		memcpy(j->path, "/", 2);
		j->path_len = 1;
		return 0;
	}
	if (path_normalise(raw, path.len, j->path, &j->path_len) < 0)
		return -EINVAL;
	x->record.path_differs = path.len &&
				 (j->path_len != path.len || memcmp(raw, j->path, path.len) != 0);
	if (x->record.path_differs)
		stats_add(x->worker->stats, STATS_PATH_DIFFERS, 1);
	return 0;
}

/* Takes along what would be gone once the start is over: for requests that may wait, or be judged in two steps. */
static int keep_judged(struct exchange *x, struct judged **j)
{
	const struct judged *from = *j;
	struct http1_head *head;
	struct judged *to;

	x->arena = calloc(1, sizeof(*x->arena));
	to = x->arena ? arena_memdup(x->arena, from, sizeof(*from)) : NULL;
	if (!to)
		return -ENOMEM;
	to->arena = x->arena;
	to->head = head = arena_memdup(x->arena, from->head, sizeof(*from->head));
	to->bytes = arena_memdup(x->arena, from->bytes, from->head->seen);
	to->path = arena_strndup(x->arena, from->path, from->path_len);
	if (!head || !to->bytes || !to->path)
		return -ENOMEM;
	*j = x->judged = to;
	return 0;
}

static int fill_forwarded(struct exchange *x, struct judged *j)
{
	const struct client *client = x->front->client;
	struct worker *worker = x->worker;
	struct forwarded_input in = {
		.head = j->head,
		.bytes = j->bytes,
		.peer = client->peer,
		.trusted = client->trusted,
		.proxies = worker->settings->trusted_proxies,
		.n_proxies = worker->settings->n_trusted_proxies,
		.tls = client->tls,
		.port = client->local_port,
		.random = { worker_random64(worker), worker_random64(worker) },
		.arena = j->arena,
	};
	int rc = forwarded_fill(&in, &j->forwarded);

	if (rc == 0) {
		x->record.client = j->forwarded.client;
		x->record.tls = j->forwarded.tls;
	}
	return rc;
}

/* May this host be asked for by this connection, and does the client's certificate do? 0, -EXDEV (421), -ENOMEM. */
static int check_tls(struct exchange *x, struct judged *j)
{
	const struct ssl_st *ssl = x->front->client->sock.ssl;
	const struct http1_slice host = j->head->host;
	const struct certs *certs = snapshot_certs(x->worker->snapshot);
	const struct certs_client *demand = NULL;
	const char *problem = NULL;
	struct tls_client_cert cert = { 0 };
	int rc;

	if (!ssl || !certs)
		return 0;
	if (tls_check_host(ssl, certs, j->bytes + host.at, host.len, &demand, &problem) !=
	    TLS_HOST_OK)
		return -EXDEV;
	if (!demand)
		return 0;
	j->request.client_cert_problem = problem;
	rc = tls_client_cert(ssl, &cert);
	if (rc == 0) {
		j->request.has_client_cert = true;
		j->request.client_cert_subject = arena_strdup(j->arena, cert.subject);
		j->request.client_cert_issuer = arena_strdup(j->arena, cert.issuer);
		j->request.client_cert_pem = arena_strdup(j->arena, cert.pem);
		if (!j->request.client_cert_subject || !j->request.client_cert_issuer ||
		    !j->request.client_cert_pem)
			rc = -ENOMEM;
	}
	free(cert.pem);
	free(cert.subject);
	free(cert.issuer);
	return rc == -ENOENT ? 0 : rc;
}

static int judge(struct exchange *x, struct judged *j, enum gate_verdict *ret_verdict)
{
	struct worker *worker = x->worker;
	struct gate_request *request = &j->request;
	int rc = check_tls(x, j);

	if (rc < 0)
		return rc;
	request->gate = worker->gate;
	request->head = j->head;
	request->bytes = j->bytes;
	request->path = j->path;
	request->path_len = j->path_len;
	request->client = j->forwarded.client;
	request->tls = j->forwarded.tls;
	request->now_ns = worker_now_ns(worker);
	request->now_s = (int64_t)(clock_wall_ns() / CLOCK_NS_PER_S);
	request->random = (uint32_t)worker_random64(worker);
	request->match = worker->match;
	request->can_wait = true;
	request->arena = j->arena;
	rc = gate_check(request, x->rule, ret_verdict, &j->gate);
	x->held = j->gate.held;
	return rc;
}

/* ---- composing -------------------------------------------------------------------------------------------------- */

static int own_arena(struct exchange *x)
{
	if (!x->arena)
		x->arena = calloc(1, sizeof(*x->arena));
	return x->arena ? 0 : -ENOMEM;
}

/* Of those that replace what was received by a name, the last counts. How many are left. */
static size_t drop_replaced(struct http1_set *set, size_t n)
{
	size_t kept = 0;

	for (size_t i = 0; i < n; i++) {
		bool replaced = false;

		for (size_t k = i + 1; !set[i].add && k < n && !replaced; k++)
			replaced = !set[k].add && strcasecmp(set[i].name, set[k].name) == 0;
		if (!replaced)
			set[kept++] = set[i];
	}
	return kept;
}

/* Fields for the client, with room for one that comes later. */
static int keep_response_set(struct exchange *x, const struct gate_sets *sets)
{
	if (!sets->n)
		return 0;
	if (own_arena(x) == 0)
		x->response_set =
			arena_alloc_array(x->arena, sets->n + 1, sizeof(*x->response_set));
	if (!x->response_set)
		return -ENOMEM;
	for (size_t i = 0; i < sets->n; i++) {
		const struct http1_set *from = &sets->set[i];
		struct http1_set *to = &x->response_set[i];

		to->name = arena_strdup(x->arena, from->name);
		to->value = from->value ? arena_strdup(x->arena, from->value) : NULL;
		to->add = from->add;
		if (!to->name || (from->value && !to->value))
			return -ENOMEM;
	}
	x->n_response_set = drop_replaced(x->response_set, sets->n);
	return 0;
}

void exchange_know_origin(struct exchange *x)
{
	struct judged *j = x->judged;
	const char *cookie = gate_cookie(&j->request, &j->gate, x->origin);

	/* Of an endpoint before this one. */
	if (x->has_cookie)
		x->n_response_set--;
	x->has_cookie = false;
	if (!cookie || own_arena(x) < 0)
		return;
	if (!x->response_set)
		x->response_set = arena_alloc_array(x->arena, 1, sizeof(*x->response_set));
	if (!x->response_set)
		return; /* without the cookie */
	x->response_set[x->n_response_set++] =
		(struct http1_set){ "Set-Cookie", arena_strdup(x->arena, cookie), true };
	x->has_cookie = true;
}

/* Into worker->text, where the rule changes it. 0, -ENOMEM, -ELOOP. */
static int compose_target(struct exchange *x, const struct judged *j, struct http1_out *out)
{
	const struct http1_head *head = j->head;
	const struct route *route = x->rule->route;
	struct worker *worker = x->worker;
	struct route_request request = {
		.path = j->path,
		.path_len = j->path_len,
		.raw = j->bytes + head->path.at,
		.raw_len = head->path.len,
		.query = j->bytes + head->query.at,
		.query_len = head->query.len,
		.has_query = head->has_query,
	};
	int rc;

	if (!route->target && !route->strip && !worker->settings->path_normalised)
		return 0;
	buf_reset(&worker->text);
	if (route->target || route->strip) {
		rc = route_target(route, worker->match, &request, &worker->text);
		if (rc < 0)
			return rc;
	} else {
		path_encode(&worker->text, j->path, j->path_len);
		if (head->has_query) {
			buf_putc(&worker->text, '?');
			buf_put(&worker->text, request.query, request.query_len);
		}
	}
	if (worker->text.failed)
		return -ENOMEM;
	out->target = worker->text.data;
	out->target_len = worker->text.len;
	return 0;
}

static int compose(struct exchange *x, const struct judged *j)
{
	const struct policy *policy = x->policy;
	const struct gate_sets *more = &j->gate.request_set;
	size_t n = j->forwarded.n_set;
	struct http1_set *set = arena_alloc_array(j->arena, n + more->n + 1, sizeof(*set));
	struct http1_out out = {
		.set = set,
		.body = j->head->body,
		.body_len = j->head->body_len,
		.upgrade = j->head->upgrade.len > 0,
		.host = policy->vhost,
	};
	int rc = set ? compose_target(x, j, &out) : -ENOMEM;

	if (rc < 0)
		return rc;
	memcpy(set, j->forwarded.set, n * sizeof(*set));
	if (more->n)
		memcpy(set + n, more->set, more->n * sizeof(*set));
	n += more->n;
	if (policy->forwarded_prefix)
		set[n++] = (struct http1_set){ .name = "X-Forwarded-Prefix",
					       .value = policy->forwarded_prefix };
	out.n_set = n > j->forwarded.n_set ? drop_replaced(set, n) : n;
	if (x->logged)
		put_words(x, j);
	x->head_at = x->text.len;
	rc = http1_write_request(&x->text, j->head, j->bytes, &out);
	if (rc == 0)
		settle_words(x);
	return rc;
}

/* ---- the way through -------------------------------------------------------------------------------------------- */

static void keep_words(struct exchange *x, const struct judged *j)
{
	if (x->logged && !x->text.len && !x->text.failed) {
		put_words(x, j);
		settle_words(x);
	}
}

static void refuse(struct exchange *x, const struct judged *j, unsigned status, const char *reason)
{
	keep_words(x, j);
	exchange_answer(x, status, status >= 500 ? ENDING_ANSWERED : ENDING_REFUSED, reason);
}

static void refuse_errno(struct exchange *x, const struct judged *j, int rc)
{
	if (rc == -ENOENT)
		refuse(x, j, 404, "no rule for this host and path");
	else if (rc == -EXDEV)
		refuse(x, j, 421, "this connection is for another host");
	else if (rc == -ELOOP)
		refuse(x, j, 500, "a rule's expression takes too long on this path");
	else if (rc == -EINVAL)
		refuse(x, j, 400, "the path or a field cannot be forwarded");
	else
		exchange_answer(x, 500, ENDING_NO_MEMORY, "out of memory");
}

static uint64_t either(uint64_t said, uint64_t otherwise)
{
	return said ? said : otherwise;
}

static void take_limits(struct exchange *x, const struct gate_result *gate)
{
	const struct settings *settings = x->worker->settings;
	const struct policy *policy = x->policy;

	x->connect_limit_ns = either(policy->connect_ns, settings->connect_ns);
	x->send_limit_ns = either(policy->send_ns, settings->idle_ns);
	x->first_byte_limit_ns = either(policy->read_ns, settings->first_byte_ns);
	x->idle_limit_ns = either(policy->read_ns, settings->idle_ns);
	x->wait_limit_ns = policy->wait_ns == UINT64_MAX ? settings->wait_ns : policy->wait_ns;
	x->next = policy->next;
	x->tries = policy->next_tries == POLICY_TRIES_UNSAID ? (unsigned)settings->tries
		   : policy->next_tries                      ? policy->next_tries
							     : UINT_MAX;
	x->tries_until_ns = policy->next_ns ? worker_now_ns(x->worker) + policy->next_ns : 0;
	x->rate = policy->limit.rate;
	x->rate_after = policy->limit.rate_after;
	x->http2 = x->rule->protocol == POLICY_GRPC || x->rule->protocol == POLICY_GRPCS;
	x->tls = x->rule->tls;
	x->upstream = x->rule->upstream;
	x->body_max = gate->body_max;
	x->pick = gate->pick;
}

/* The rule that counts is known, and lets the request pass. */
static void send_on(struct exchange *x, struct judged *j)
{
	int rc;

	take_limits(x, &j->gate);
	if ((j->head->body == HTTP1_LENGTH && j->head->body_len > x->body_max) ||
	    x->record.bytes_in > x->body_max) { /* what came while somebody was asked */
		refuse(x, j, 413, "the body is larger than allowed");
		return;
	}
	if (!x->upstream) {
		keep_words(x, j);
		if (x->rule->route->service)
			exchange_answer(x, 503, ENDING_ORIGIN_NONE,
					x->rule->missing ? x->rule->missing
							 : "there is no such Service or port");
		else
			refuse(x, j, 404, "the backend is no Service");
		return;
	}
	rc = compose(x, j);
	if (rc < 0)
		refuse_errno(x, j, rc);
	else
		exchange_pick(x);
}

static void answer_gate(struct exchange *x, struct judged *j)
{
	const struct gate_result *gate = &j->gate;

	keep_words(x, j);
	exchange_answer_with(x, gate->status, ENDING_ANSWERED, gate->reason, gate->answer_set.set,
			     gate->answer_set.n, gate->body, gate->body_len);
}

/* A canary's endpoints, maybe; but never its time-outs and fields. */
static void take_rule(struct exchange *x, const struct gate_result *gate)
{
	struct rule *rule = rule_hold(gate->rule);
	struct policy *policy = policy_hold(gate->policy);

	rule_drop(x->rule);
	policy_drop(x->policy);
	x->rule = rule;
	x->policy = policy;
}

void exchange_judged(struct exchange *x, enum gate_verdict verdict)
{
	struct judged *j = x->judged;
	int rc = keep_response_set(x, &j->gate.response_set);

	take_rule(x, &j->gate);
	x->held = j->gate.held;
	if (rc < 0)
		refuse_errno(x, j, rc);
	else if (verdict == GATE_ANSWER)
		answer_gate(x, j);
	else if (verdict == GATE_ASK && ask_start(x) < 0)
		refuse(x, j, 503, "external authentication cannot be asked");
	else if (verdict == GATE_VERIFY && !verify_start(x))
		exchange_verified(x, false);
	else if (verdict == GATE_PASS)
		send_on(x, j);
}

void exchange_asked(struct exchange *x, const struct http1_head *head, const char *bytes)
{
	struct judged *j = x->judged;
	enum gate_verdict verdict;
	int rc = gate_answered(&j->request, x->rule, head, bytes, &verdict, &j->gate);

	if (rc < 0)
		refuse_errno(x, j, rc);
	else
		exchange_judged(x, verdict);
}

void exchange_verified(struct exchange *x, bool run)
{
	struct judged *j = x->judged;
	enum gate_verdict verdict;
	int rc = gate_verified(&j->request, x->rule, run, &verdict, &j->gate);

	gate_job_drop(j->gate.job);
	j->gate.job = NULL;
	if (rc < 0)
		refuse_errno(x, j, rc);
	else
		exchange_judged(x, verdict);
}

/* Under the rule that it ends under, too. */
static void begin_count(struct exchange *x)
{
	x->stats = x->rule ? x->rule->stats : STATS_SLOT_NONE;
	stats_begin(x->worker->stats, x->stats);
}

/* Finds the rule, judges by it, and takes the one that counts. */
static int find_rule(struct exchange *x, struct judged **j, enum gate_verdict *ret_verdict)
{
	struct worker *worker = x->worker;
	const struct http1_slice host = (*j)->head->host;
	const struct policy *policy;
	int rc = snapshot_find(worker->snapshot, worker->match, (*j)->bytes + host.at, host.len,
			       (*j)->path, (*j)->path_len, &x->rule);

	if (rc < 0)
		return rc;
	policy = x->rule->policy;
	x->logged &= !policy || policy->access_log;
	if (policy && policy->has & (POLICY_HAS_AFFINITY | POLICY_HAS_EXTERNAL | POLICY_HAS_BASIC))
		rc = keep_judged(x, j);
	if (rc == 0)
		rc = fill_forwarded(x, *j);
	if (rc == 0)
		rc = judge(x, *j, ret_verdict);
	if (rc == 0)
		take_rule(x, &(*j)->gate);
	return rc;
}

static void route(struct exchange *x, struct judged *j)
{
	const struct judged *passing = j; /* on the caller's stack */
	enum gate_verdict verdict;
	int rc;

	x->judged = j;
	if (!x->worker->snapshot) {
		begin_count(x);
		refuse(x, j, 503, "the configuration is not there yet");
		return;
	}
	rc = find_rule(x, &j, &verdict);
	begin_count(x);
	if (rc < 0)
		refuse_errno(x, j, rc);
	else
		exchange_judged(x, verdict);
	if (x->judged == passing)
		x->judged = NULL;
}

int exchange_start(struct front *front, const struct http1_head *head, const char *bytes)
{
	struct worker *worker = front->worker;
	struct judged j = { .head = head, .bytes = bytes, .arena = &worker->arena };
	struct exchange *x = calloc(1, sizeof(*x));
	int rc;

	if (!x)
		return -ENOMEM;
	x->worker = worker;
	x->front = front;
	front->exchange = x;
	exchange_init_timer(x);
	x->text = worker_take_buf(worker);
	x->phase = PHASE_ROUTE;
	x->body = head->body;
	x->request_done = head->body == HTTP1_NO_BODY;
	x->keeping = !x->request_done && worker->settings->retry_body > 0;
	x->body_max = UINT64_MAX;
	x->upgrade = head->upgrade.len > 0;
	x->logged = worker->log != NULL;
	x->is_head = is_method(&j, "HEAD");
	x->is_idempotent = is_idempotent(&j);
	x->is_grpc = front->ops->protocol[5] == '2' && is_grpc(&j);
	x->record.protocol = front->ops->protocol;
	x->record.client = front->client->peer;
	x->record.client_port = front->client->peer_port;
	x->record.tls = front->client->tls;
	x->record.begin_ns = worker_now_ns(worker);
	arena_reset(&worker->arena);
	rc = read_path(x, &j);
	if (rc < 0) {
		begin_count(x);
		refuse_errno(x, &j, rc);
	} else {
		route(x, &j);
	}
	return 0;
}
