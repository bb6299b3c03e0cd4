// SPDX-License-Identifier: GPL-2.0-only
/* Begins an exchange: which rule, what it says about this request, and the head for the origin. */
/* Must not know connections. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "ingress/client.h"
#include "ingress/exchange_state.h"
#include "ingress/forwarded.h"
#include "ingress/path.h"
#include "ingress/rule.h"
#include "ingress/settings.h"
#include "ingress/stats.h"

/* What is known of a request while it is judged; everything lives in the worker's arena. */
struct judged {
	const struct http1_head *head;
	const char *bytes;
	char *path; /* the form that is matched */
	size_t path_len;
	struct forwarded forwarded;
	struct gate_result gate;
};

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

	return f && f->value_len >= 16 &&
	       strncasecmp(j->bytes + f->value_at, "application/grpc", 16) == 0 &&
	       (f->value_len == 16 || memchr("+;- ", j->bytes[f->value_at + 16], 4));
}

static int read_path(struct exchange *x, struct judged *j)
{
	const struct http1_slice path = j->head->path;
	const char *raw = j->bytes + path.at;

	j->path = arena_alloc(&x->worker->arena, path.len + 2u);
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
		.arena = &worker->arena,
	};
	int rc = forwarded_fill(&in, &j->forwarded);

	if (rc == 0) {
		x->record.client = j->forwarded.client;
		x->record.tls = j->forwarded.tls;
	}
	return rc;
}

static int judge(struct exchange *x, struct judged *j, enum gate_verdict *ret_verdict)
{
	struct worker *worker = x->worker;
	struct gate_request request = {
		.gate = worker->gate,
		.head = j->head,
		.bytes = j->bytes,
		.path = j->path,
		.path_len = j->path_len,
		.client = j->forwarded.client,
		.tls = j->forwarded.tls,
		.now_ns = worker_now_ns(worker),
		.now_s = (int64_t)(clock_wall_ns() / CLOCK_NS_PER_S),
		.random = (uint32_t)worker_random64(worker),
		.arena = &worker->arena,
	};

	return gate_check(&request, x->rule, ret_verdict, &j->gate);
}

/* ---- composing -------------------------------------------------------------------------------------------------- */

static int keep_response_set(struct exchange *x, const struct gate_result *gate)
{
	if (!gate->response_set.n)
		return 0;
	x->arena = calloc(1, sizeof(*x->arena));
	if (x->arena)
		x->response_set =
			arena_alloc_array(x->arena, gate->response_set.n, sizeof(*x->response_set));
	if (!x->response_set)
		return -ENOMEM;
	for (size_t i = 0; i < gate->response_set.n; i++) {
		const struct http1_set *from = &gate->response_set.set[i];
		struct http1_set *to = &x->response_set[i];

		to->name = arena_strdup(x->arena, from->name);
		to->value = from->value ? arena_strdup(x->arena, from->value) : NULL;
		if (!to->name || (from->value && !to->value))
			return -ENOMEM;
	}
	x->n_response_set = gate->response_set.n;
	return 0;
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
	const struct gate_result *gate = &j->gate;
	size_t n = j->forwarded.n_set + gate->request_set.n;
	struct http1_set *set = arena_alloc_array(&x->worker->arena, n, sizeof(*set));
	struct http1_out out = {
		.set = set,
		.n_set = n,
		.body = j->head->body,
		.body_len = j->head->body_len,
		.upgrade = j->head->upgrade.len > 0,
	};
	int rc = set ? compose_target(x, j, &out) : -ENOMEM;

	if (rc < 0)
		return rc;
	memcpy(set, j->forwarded.set, j->forwarded.n_set * sizeof(*set));
	if (gate->request_set.n)
		memcpy(set + j->forwarded.n_set, gate->request_set.set,
		       gate->request_set.n * sizeof(*set));
	if (x->worker->log)
		put_words(x, j);
	x->head_at = x->text.len;
	rc = http1_write_request(&x->text, j->head, j->bytes, &out);
	if (rc == 0)
		settle_words(x);
	return rc;
}

/* ---- the way through -------------------------------------------------------------------------------------------- */

static void refuse(struct exchange *x, const struct judged *j, unsigned status, const char *reason)
{
	if (x->worker->log && !x->text.len && !x->text.failed) {
		put_words(x, j);
		settle_words(x);
	}
	exchange_answer(x, status, status >= 500 ? ENDING_ANSWERED : ENDING_REFUSED, reason);
}

static void refuse_errno(struct exchange *x, const struct judged *j, int rc)
{
	if (rc == -ENOENT)
		refuse(x, j, 404, "no rule for this host and path");
	else if (rc == -ELOOP)
		refuse(x, j, 500, "a rule's expression takes too long on this path");
	else if (rc == -EINVAL)
		refuse(x, j, 400, "the path or a field cannot be forwarded");
	else
		exchange_answer(x, 500, ENDING_NO_MEMORY, "out of memory");
}

static void take_limits(struct exchange *x, const struct gate_result *gate)
{
	const struct settings *settings = x->worker->settings;

	x->connect_limit_ns = settings->connect_ns;
	x->send_limit_ns = settings->idle_ns;
	x->first_byte_limit_ns = settings->first_byte_ns;
	x->idle_limit_ns = settings->idle_ns;
	x->body_max = gate->body_max;
	x->pick = gate->pick;
	x->protocol = BACK_HTTP1;
}

/* The rule that counts is known, and lets the request pass. */
static void send_on(struct exchange *x, struct judged *j)
{
	int rc;

	take_limits(x, &j->gate);
	if (j->head->body == HTTP1_LENGTH && j->head->body_len > x->body_max) {
		refuse(x, j, 413, "the body is larger than allowed");
		return;
	}
	if (!x->rule->upstream) {
		if (x->rule->route->service)
			exchange_answer(x, 503, ENDING_ORIGIN_NONE,
					"there is no such Service or port");
		else
			refuse(x, j, 404, "the backend is no Service");
		return;
	}
	x->upstream = x->rule->upstream;
	rc = compose(x, j);
	if (rc == 0)
		rc = keep_response_set(x, &j->gate);
	if (rc < 0)
		refuse_errno(x, j, rc);
	else
		exchange_pick(x);
}

static void answer_gate(struct exchange *x, struct judged *j)
{
	const struct gate_result *gate = &j->gate;

	if (x->worker->log && !x->text.len) {
		put_words(x, j);
		settle_words(x);
	}
	exchange_answer_with(x, gate->status, ENDING_ANSWERED, gate->reason, gate->answer_set.set,
			     gate->answer_set.n, gate->body, gate->body_len);
}

/* Under the rule that it ends under, too. */
static void begin_count(struct exchange *x)
{
	stats_begin(x->worker->stats, x->rule ? x->rule->stats : STATS_SLOT_NONE);
}

static void route(struct exchange *x, struct judged *j)
{
	struct worker *worker = x->worker;
	const struct http1_head *head = j->head;
	enum gate_verdict verdict;
	int rc;

	if (!worker->snapshot) {
		begin_count(x);
		refuse(x, j, 503, "the configuration is not there yet");
		return;
	}
	rc = snapshot_find(worker->snapshot, worker->match, j->bytes + head->host.at,
			   head->host.len, j->path, j->path_len, &x->rule);
	if (rc == 0)
		rc = judge(x, j, &verdict);
	if (rc == 0 && j->gate.rule && j->gate.rule != x->rule) {
		struct rule *other = rule_hold(j->gate.rule);

		rule_drop(x->rule);
		x->rule = other;
	}
	begin_count(x);
	if (rc < 0)
		refuse_errno(x, j, rc);
	else if (verdict == GATE_ANSWER)
		answer_gate(x, j);
	else
		send_on(x, j);
}

int exchange_start(struct front *front, const struct http1_head *head, const char *bytes)
{
	struct worker *worker = front->worker;
	struct judged j = { .head = head, .bytes = bytes };
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
	x->upgrade = head->upgrade.len > 0;
	x->is_head = is_method(&j, "HEAD");
	x->is_idempotent = is_idempotent(&j);
	x->record.protocol = front->ops->protocol;
	x->record.client = front->client->peer;
	x->record.client_port = front->client->peer_port;
	x->record.begin_ns = worker_now_ns(worker);
	x->is_grpc = is_grpc(&j) && front->ops->protocol[5] == '2';
	arena_reset(&worker->arena);
	rc = read_path(x, &j);
	if (rc == 0)
		rc = fill_forwarded(x, &j);
	if (rc < 0) {
		begin_count(x);
		refuse_errno(x, &j, rc);
	} else {
		route(x, &j);
	}
	return 0;
}
