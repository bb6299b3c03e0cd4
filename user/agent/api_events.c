// SPDX-License-Identifier: GPL-2.0-only
/*
 * Composes Events, counts repeated ones, and sends them one after another at a bounded rate.
 * Must not know what they are about, nor how requests travel.
 */
#include "agent/api_events.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/table.h"

#define REFILL_NS       (2 * CLOCK_NS_PER_S)
#define REPEAT_NS       (30 * CLOCK_NS_PER_S) /* between two words about one thing */
#define FORGET_NS       (3600 * CLOCK_NS_PER_S)
#define KNOWN_MAX       512
#define TRIES_MAX       5
#define RETRY_NS        (5 * CLOCK_NS_PER_S)
#define SILENCE_NS      (300 * CLOCK_NS_PER_S) /* after a 403: perhaps somebody gives us the right */
#define NOTE_MAX        1024
#define OBJECT_NAME_MAX 200 /* of the object's name in the Event's: together they fit 253 */
#define REPORTER        "sluice.dev/sluiced"

/* One thing that was told: one Event object. */
struct known {
	char *namespace, *name; /* of the Event */
	char *body;             /* as it is made first */
	uint32_t count;         /* how often it happened */
	uint32_t told;          /* of that, what the API server knows; 0: there is no Event yet */
	unsigned int tries;
	uint64_t last_ns, sent_ns, last_wall_ns;
	bool waits; /* to be sent */
};

struct api_events {
	struct loop *loop;
	struct source *source;
	char *instance;
	struct table known; /* by object, reason and note */
	struct loop_event *timer;
	struct kube_send *send; /* one at a time; NULL: none under way */
	struct known *sending;
	unsigned int tokens;
	uint64_t refilled_ns;
	uint64_t silent_until_ns;
	bool refused; /* the last answer was 403, and that was said */
	struct api_events_stats stats;
};

static void known_free(void *value)
{
	struct known *k = value;

	free(k->namespace);
	free(k->name);
	free(k->body);
	free(k);
}

/* ---- words ----------------------------------------------------------------------------------------- */

/* RFC 3339 with microseconds, as the API wants it. */
static void put_time(struct buf *out, const char *key, uint64_t wall_ns, bool first)
{
	time_t s = (time_t)(wall_ns / CLOCK_NS_PER_S);
	char date[32] = "1970-01-01T00:00:00";
	struct tm tm;

	if (gmtime_r(&s, &tm))
		strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm);
	json_key(out, key, first);
	buf_printf(out, "\"%s.%06uZ\"", date, (unsigned int)(wall_ns % CLOCK_NS_PER_S / 1000));
}

static void put_text(struct buf *out, const char *key, const char *value, bool first)
{
	json_key(out, key, first);
	json_string(out, value);
}

/* Cut where a character begins. */
static void put_note(struct buf *out, const char *note)
{
	size_t len = strlen(note);
	char *cut;

	for (len = len < NOTE_MAX ? len : NOTE_MAX; len && (note[len] & 0xc0) == 0x80; len--)
		;
	cut = strndup(note, len);
	put_text(out, "note", cut ? cut : "", false);
	free(cut);
}

static char *compose(const struct api_events *e, const struct api_event *event,
		     const char *namespace, const char *name, uint64_t wall_ns)
{
	struct buf out = { 0 };

	buf_puts(&out, "{\"apiVersion\":\"events.k8s.io/v1\",\"kind\":\"Event\",\"metadata\":{");
	put_text(&out, "namespace", namespace, true);
	put_text(&out, "name", name, false);
	buf_putc(&out, '}');
	put_time(&out, "eventTime", wall_ns, false);
	put_text(&out, "type", event->warning ? "Warning" : "Normal", false);
	put_text(&out, "reason", event->reason, false);
	put_text(&out, "action", event->action, false);
	put_text(&out, "reportingController", REPORTER, false);
	put_text(&out, "reportingInstance", e->instance, false);
	put_note(&out, event->note);
	json_key(&out, "regarding", false);
	buf_putc(&out, '{');
	put_text(&out, "apiVersion", event->api_version, true);
	put_text(&out, "kind", event->kind, false);
	if (*event->namespace)
		put_text(&out, "namespace", event->namespace, false);
	put_text(&out, "name", event->name, false);
	if (event->uid)
		put_text(&out, "uid", event->uid, false);
	buf_puts(&out, "}}");
	return buf_take(&out);
}

static int compose_key(const struct api_event *event, struct buf *key)
{
	return buf_printf(key, "%s %s/%s %s %s\n%s", event->kind, event->namespace, event->name,
			  event->uid ? event->uid : "", event->reason, event->note);
}

/* ---- what is known ---------------------------------------------------------------------------------- */

/* Old things are forgotten; if that is not enough, the one that was told longest ago. False: nothing could go. */
static bool make_room(struct api_events *e, uint64_t now_ns)
{
	struct table_entry *t, *oldest = NULL;

	table_for_each(t, &e->known) {
		const struct known *k = t->value;

		if (k->waits || k == e->sending)
			continue;
		if (!oldest || k->last_ns < ((struct known *)oldest->value)->last_ns)
			oldest = t;
	}
	if (!oldest || (e->known.len < KNOWN_MAX &&
			now_ns - ((struct known *)oldest->value)->last_ns < FORGET_NS))
		return e->known.len < KNOWN_MAX;
	known_free(table_remove(&e->known, oldest->key, oldest->key_len));
	return true;
}

static struct known *add(struct api_events *e, const struct api_event *event, const struct buf *key,
			 uint64_t now_ns, uint64_t wall_ns)
{
	struct known *k = make_room(e, now_ns) ? calloc(1, sizeof(*k)) : NULL;
	char name[256];

	if (!k)
		return NULL;
	snprintf(name, sizeof(name), "%.*s.%016" PRIx64, OBJECT_NAME_MAX, event->name,
		 table_hash(wall_ns, key->data, key->len));
	k->namespace = strdup(*event->namespace ? event->namespace : "default");
	k->name = strdup(name);
	k->body = k->namespace && k->name ? compose(e, event, k->namespace, k->name, wall_ns)
					  : NULL;
	if (!k->body || table_put(&e->known, key->data, key->len, k, NULL) < 0) {
		known_free(k);
		return NULL;
	}
	return k;
}

static void wake(struct api_events *e, uint64_t delay_ns)
{
	if (!e->send) /* who waits longer is found again when it runs */
		(void)loop_arm(e->timer, delay_ns, 0);
}

void api_events_tell(struct api_events *e, const struct api_event *event)
{
	uint64_t now_ns = clock_now_ns(), wall_ns = clock_wall_ns();
	struct buf key = { 0 };
	struct known *k = NULL;

	if (compose_key(event, &key) == 0) {
		k = table_get(&e->known, key.data, key.len);
		if (!k)
			k = add(e, event, &key, now_ns, wall_ns);
	}
	buf_done(&key);
	if (!k) {
		e->stats.dropped++;
		return;
	}
	k->count++;
	k->last_ns = now_ns;
	k->last_wall_ns = wall_ns;
	k->waits = true;
	k->tries = 0;
	wake(e, 0);
}

/* ---- sending ----------------------------------------------------------------------------------------- */

static bool take_token(struct api_events *e, uint64_t now_ns)
{
	uint64_t n = (now_ns - e->refilled_ns) / REFILL_NS;

	e->refilled_ns += n * REFILL_NS;
	e->tokens = e->tokens + n < EVENTS_BURST ? e->tokens + (unsigned int)n : EVENTS_BURST;
	if (!e->tokens)
		return false;
	e->tokens--;
	return true;
}

static void drop(struct api_events *e, struct known *k)
{
	k->waits = false;
	e->stats.dropped++;
}

static void on_refused(struct api_events *e, const struct kube_answer *a)
{
	if (!e->refused)
		log_warn(
			"Events are not taken: the API server answers %u; this account has to create and patch events "
			"(events.k8s.io)",
			a->status);
	e->refused = true;
	e->silent_until_ns = clock_now_ns() + SILENCE_NS;
}

static void on_answer(void *ctx, const struct kube_answer *a)
{
	struct api_events *e = ctx;
	struct known *k = e->sending;

	e->send = NULL;
	e->sending = NULL;
	if (a->status == 200 || a->status == 201 || (a->status == 409 && !k->told)) {
		k->told = k->told ? k->count : 1;
		k->waits = k->count > k->told;
		e->stats.sent++;
		e->refused = false;
	} else if (a->status == 404 && k->told) {
		k->told = 0; /* it is over there: a new one */
	} else if (a->status == 403 || a->status == 401) {
		on_refused(e, a);
		drop(e, k);
	} else if ((a->status && a->status < 500 && a->status != 429) || ++k->tries >= TRIES_MAX) {
		drop(e, k); /* the namespace is going, or the like */
	} else {
		wake(e, RETRY_NS);
		return;
	}
	wake(e, 0);
}

/* The first is made, a repeated one counts on. */
static int send_one(struct api_events *e, struct known *k)
{
	struct buf target = { 0 }, body = { 0 };
	struct kube_http_request request = { .method = k->told ? "PATCH" : "POST" };
	int rc = -ENOMEM;

	buf_printf(&target, "/apis/events.k8s.io/v1/namespaces/%s/events%s%s", k->namespace,
		   k->told ? "/" : "", k->told ? k->name : "");
	if (k->told) {
		request.content_type = "application/merge-patch+json";
		buf_printf(&body, "{\"series\":{\"count\":%u", k->count);
		put_time(&body, "lastObservedTime", k->last_wall_ns, false);
		buf_puts(&body, "}}");
	} else {
		buf_puts(&body, k->body);
	}
	request.target = buf_str(&target);
	request.body = buf_str(&body);
	request.body_len = body.len;
	if (!target.failed && !body.failed)
		rc = source_send(e->source, &request, on_answer, e, &e->send);
	if (rc == 0) {
		e->sending = k;
		k->sent_ns = clock_now_ns();
	}
	buf_done(&target);
	buf_done(&body);
	return rc;
}

/* How long this one has to wait yet. */
static uint64_t wait_of(const struct known *k, uint64_t now_ns)
{
	return k->told && now_ns - k->sent_ns < REPEAT_NS ? REPEAT_NS - (now_ns - k->sent_ns) : 0;
}

static void on_timer(void *arg)
{
	struct api_events *e = arg;
	uint64_t now_ns = clock_now_ns(), wait_ns = UINT64_MAX;
	struct table_entry *t;

	if (e->send)
		return;
	if (!e->source->kube) { /* a folder: nobody reads Events there */
		table_done(&e->known, known_free);
		table_init(&e->known, now_ns);
		return;
	}
	table_for_each(t, &e->known) {
		struct known *k = t->value;
		uint64_t this_ns = wait_of(k, now_ns);

		if (!k->waits)
			continue;
		if (now_ns < e->silent_until_ns) {
			drop(e, k);
		} else if (this_ns) {
			wait_ns = this_ns < wait_ns ? this_ns : wait_ns;
		} else if (!take_token(e, now_ns)) {
			wait_ns = REFILL_NS;
			break;
		} else if (send_one(e, k) == 0) {
			return; /* its answer goes on */
		} else {
			drop(e, k);
		}
	}
	if (wait_ns != UINT64_MAX)
		wake(e, wait_ns);
}

/* ---- life -------------------------------------------------------------------------------------------- */

int api_events_new(struct loop *loop, struct source *source, const char *instance,
		   struct api_events **ret_events)
{
	struct api_events *e = calloc(1, sizeof(*e));

	if (!e)
		return -ENOMEM;
	e->loop = loop;
	e->source = source;
	e->tokens = EVENTS_BURST;
	e->refilled_ns = clock_now_ns();
	table_init(&e->known, e->refilled_ns);
	e->instance = strdup(instance);
	if (!e->instance || loop_add_timer(loop, on_timer, e, &e->timer) < 0) {
		api_events_free(e);
		return -ENOMEM;
	}
	*ret_events = e;
	return 0;
}

void api_events_free(struct api_events *e)
{
	if (!e)
		return;
	if (e->send)
		kube_send_cancel(e->send);
	if (e->timer)
		loop_remove(e->timer);
	table_done(&e->known, known_free);
	free(e->instance);
	free(e);
}

void api_events_count(const struct api_events *e, struct api_events_stats *ret_stats)
{
	*ret_stats = e->stats;
}
