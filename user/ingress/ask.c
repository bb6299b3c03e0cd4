// SPDX-License-Identifier: GPL-2.0-only
/* Asks an authentication service about a request, as the client of an exchange of its own. */
/* Must not know what an answer means. */
#include "ingress/ask.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "ingress/exchange_state.h"
#include "ingress/path.h"
#include "ingress/rule.h"
#include "ingress/settings.h"

#define ANSWER_NS (60 * CLOCK_NS_PER_S)
#define TRIES     3

struct ask {
	struct front front;
	struct exchange *owner;
	struct worker_task task;
	struct worker_grave grave;
	struct http1_head *head; /* of the answer; NULL: none came */
	char *bytes;
};

static struct ask *of(struct front *front)
{
	return (struct ask *)((char *)front - offsetof(struct ask, front));
}

static void ask_free(void *arg)
{
	struct ask *ask = arg;

	free(ask->head);
	free(ask->bytes);
	free(ask);
}

static void bury(struct ask *ask)
{
	worker_task_cancel(ask->front.worker, &ask->task);
	ask->grave = (struct worker_grave){ .free = ask_free, .arg = ask };
	worker_bury(ask->front.worker, &ask->grave);
}

/* ---- as a client ----------------------------------------------------------------------------------------------- */

static int on_head(struct front *front, const struct http1_head *head, const char *bytes,
		   const struct http1_out *out)
{
	struct ask *ask = of(front);

	(void)out;
	if (head->status < 200)
		return 0;
	ask->head = malloc(sizeof(*ask->head));
	ask->bytes = malloc(head->seen);
	if (!ask->head || !ask->bytes)
		return -ENOMEM;
	*ask->head = *head;
	memcpy(ask->bytes, bytes, head->seen);
	return 0;
}

static size_t on_body(struct front *front, const char *data, size_t len)
{
	(void)front;
	(void)data;
	return len; /* only the head decides */
}

static void on_end(struct front *front, const struct http1_head *trailer, const char *bytes)
{
	(void)trailer;
	(void)bytes;
	front->exchange = NULL;
	worker_task(front->worker, &of(front)->task);
}

static void on_abort(struct front *front, enum ending why)
{
	struct ask *ask = of(front);

	(void)why;
	free(ask->head);
	ask->head = NULL;
	front->exchange = NULL;
	worker_task(front->worker, &ask->task);
}

static void on_resume(struct front *front)
{
	(void)front; /* it has no body */
}

static const struct front_ops ops = {
	.protocol = "HTTP/1.1",
	.head = on_head,
	.body = on_body,
	.end = on_end,
	.abort = on_abort,
	.resume = on_resume,
};

/* ---- for its owner --------------------------------------------------------------------------------------------- */

/* The answer is there, or there will be none. */
static void on_task(void *arg)
{
	struct ask *ask = arg;

	ask->owner->ask = NULL;
	exchange_asked(ask->owner, ask->head, ask->bytes);
	bury(ask);
}

static struct exchange *new_exchange(struct ask *ask, const struct exchange *owner)
{
	const struct settings *settings = owner->worker->settings;
	struct exchange *x = calloc(1, sizeof(*x));

	if (!x)
		return NULL;
	x->worker = owner->worker;
	x->front = &ask->front;
	exchange_init_timer(x);
	x->text = worker_take_buf(x->worker);
	x->is_ask = x->request_done = x->is_idempotent = true;
	x->next = POLICY_NEXT_ERROR;
	x->tries = TRIES;
	x->body_max = UINT64_MAX;
	x->upstream = owner->rule->ask;
	x->tls = owner->rule->ask_tls;
	x->connect_limit_ns = settings->connect_ns;
	x->send_limit_ns = x->first_byte_limit_ns = x->idle_limit_ns = ANSWER_NS;
	return x;
}

/* "https://$host/…": the host that the request is for, so its path is one of ours. The rule is not judged: it is asked. */
static int find_own(struct exchange *x, const struct exchange *owner)
{
	const struct judged *j = owner->judged;
	const struct http1_slice host = j->head->host;
	const char *target = memchr(x->text.data, ' ', x->text.len), *end;
	char *path;
	size_t len;
	int rc;

	if (!target)
		return -ENOENT;
	target++;
	end = target + strcspn(target, "? ");
	path = malloc((size_t)(end - target) + 1);
	if (!path)
		return -ENOMEM;
	rc = path_normalise(target, (size_t)(end - target), path, &len);
	if (rc == 0)
		rc = snapshot_find(x->worker->snapshot, x->worker->match, j->bytes + host.at,
				   host.len, path, len, &x->rule);
	free(path);
	if (rc < 0 || !x->rule->upstream)
		return rc == -ENOMEM ? rc : -ENOENT;
	x->upstream = x->rule->upstream;
	x->tls = x->rule->tls;
	x->http2 = x->rule->protocol == POLICY_GRPC || x->rule->protocol == POLICY_GRPCS;
	return 0;
}

static int prepare(struct exchange *x, const struct exchange *owner)
{
	int rc = gate_ask(&owner->judged->request, owner->rule, &x->text);

	if (rc < 0 || x->upstream)
		return rc;
	return *owner->policy->ask.url.host ? -ENOENT : find_own(x, owner);
}

int ask_start(struct exchange *owner)
{
	struct worker *worker = owner->worker;
	struct exchange *x;
	struct ask *ask;
	int rc;

	ask = calloc(1, sizeof(*ask));
	x = ask ? new_exchange(ask, owner) : NULL;
	rc = x ? prepare(x, owner) : -ENOMEM;
	if (rc < 0) {
		if (x) {
			worker_give_buf(worker, &x->text);
			rule_drop(x->rule);
		}
		free(x);
		free(ask);
		return rc;
	}
	x->is_head = x->text.len > 5 && memcmp(x->text.data, "HEAD ", 5) == 0;
	ask->front = (struct front){
		.ops = &ops,
		.worker = worker,
		.client = owner->front->client,
		.exchange = x,
	};
	ask->owner = owner;
	ask->task = (struct worker_task){ .fn = on_task, .arg = ask };
	owner->ask = ask;
	exchange_pick(x);
	return 0;
}

void ask_abandon(struct ask *ask)
{
	struct exchange *x = ask->front.exchange;

	ask->front.exchange = NULL;
	if (x)
		exchange_client_gone(x, ENDING_CLIENT_CLOSED);
	bury(ask);
}
