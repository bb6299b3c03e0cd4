// SPDX-License-Identifier: GPL-2.0-only
/* Tells users of their Ingresses' problems by Events. */
/* Must not know how problems are found. */
#include "ingress/events.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/table.h"
#include "ingress/settings.h"
#include "source/source.h"

#define TICK_NS     (CLOCK_NS_PER_S / 2)
#define AGAIN_NS    (UINT64_C(45) * 60 * CLOCK_NS_PER_S)
#define RETRY_NS    (30 * CLOCK_NS_PER_S)
#define UNDER_WAY   8
#define MESSAGE_MAX 1024 /* bytes, of the API */

/* One problem of one Ingress. */
struct event {
	struct events *events;
	enum config_concern concern;
	char *namespace, *name, *reason;
	uint64_t id; /* of the Event's name: the same for all replicas, and after a restart */
	uint64_t due_ns;
	unsigned told;
	bool exists; /* the API server has it already: touched, not made */
	struct kube_send *send;
};

struct events {
	const struct settings *settings;
	struct config *config;
	struct loop_event *tick, *wake;
	struct table all; /* "object\nreason" -> struct event */
	bool leads;
	unsigned under_way;
	uint64_t allowance, allowed_ns; /* Events that may be sent now */
	struct events_stats stats;
	struct log_rate complaints;
};

/* ---- what an Event says ------------------------------------------------------------------------------------------ */

static void put_time(struct buf *out, const char *key)
{
	time_t now = (time_t)(clock_wall_ns() / CLOCK_NS_PER_S);
	struct tm tm = { 0 };

	gmtime_r(&now, &tm);
	json_key(out, key, false);
	buf_printf(out, "\"%04d-%02d-%02dT%02d:%02d:%02dZ\"", tm.tm_year + 1900, tm.tm_mon + 1,
		   tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

static void member(struct buf *out, const char *key, const char *value, bool first)
{
	json_key(out, key, first);
	json_string(out, value);
}

/* The whole number of characters that fit. */
static void put_message(struct buf *out, const char *reason)
{
	char text[2 * MESSAGE_MAX];
	size_t len = strlen(reason);

	if (len > MESSAGE_MAX) {
		len = MESSAGE_MAX;
		while (len && ((unsigned char)reason[len] & 0xc0) == 0x80)
			len--;
	}
	json_key(out, "message", false);
	buf_putc(out, '"');
	buf_put(out, text, json_escape(reason, len, text, sizeof(text)));
	buf_putc(out, '"');
}

static void put_name(struct buf *out, const struct event *e)
{
	buf_printf(out, "%.200s.%016" PRIx64, e->name, e->id);
}

static void write_event(const struct event *e, const struct ingress *ingress, struct buf *out)
{
	const struct settings *settings = e->events->settings;

	buf_puts(out, "{\"apiVersion\":\"v1\",\"kind\":\"Event\",\"metadata\":{");
	member(out, "namespace", e->namespace, true);
	buf_puts(out, ",\"name\":\"");
	put_name(out, e);
	buf_puts(
		out,
		"\"},\"involvedObject\":{\"apiVersion\":\"networking.k8s.io/v1\",\"kind\":\"Ingress\"");
	member(out, "namespace", e->namespace, false);
	member(out, "name", e->name, false);
	if (ingress->meta.uid)
		member(out, "uid", ingress->meta.uid, false);
	buf_putc(out, '}');
	member(out, "type", "Warning", false);
	member(out, "reason", config_concern_names[e->concern], false);
	put_message(out, e->reason);
	buf_puts(out, ",\"source\":{\"component\":\"sluice-proxy\"}");
	member(out, "reportingComponent", settings->controllers[0], false);
	member(out, "reportingInstance", settings->pod_name, false);
	put_time(out, "firstTimestamp");
	put_time(out, "lastTimestamp");
	buf_puts(out, ",\"count\":1}");
}

static void write_touch(const struct event *e, struct buf *out)
{
	buf_printf(out, "{\"count\":%u", e->told + 1);
	put_time(out, "lastTimestamp");
	buf_putc(out, '}');
}

/* ---- sending ----------------------------------------------------------------------------------------------------- */

static void free_event(void *value)
{
	struct event *e = value;

	kube_send_cancel(e->send);
	free(e->namespace);
	free(e->name);
	free(e->reason);
	free(e);
}

static void on_sent(void *ctx, const struct kube_answer *answer)
{
	struct event *e = ctx;
	struct events *events = e->events;
	uint64_t held, now_ns = clock_now_ns();

	e->send = NULL;
	events->under_way--;
	if (answer->status == 409) { /* of another replica, or of the one before: say it again */
		e->exists = true;
		e->due_ns = now_ns;
	} else if (answer->status == 404 && e->exists) {
		e->exists = false;
		e->due_ns = now_ns;
	} else if (answer->status >= 200 && answer->status < 300) {
		events->stats.sent++;
		e->told++;
		e->exists = true;
		e->due_ns = now_ns + AGAIN_NS;
	} else {
		events->stats.dropped++;
		e->due_ns = now_ns + RETRY_NS;
		if (log_rate_allows(&events->complaints, now_ns, &held))
			log_warn(
				"an Event was not taken; the account needs to create and patch events "
				"status=%u reason=\"%s\" suppressed=%" PRIu64,
				answer->status, answer->why ? answer->why : "", held);
	}
	loop_post(events->wake);
}

static int post(struct event *e, const struct ingress *ingress)
{
	struct events *events = e->events;
	struct buf target = { 0 }, body = { 0 };
	struct kube_http_request request = { .method = e->exists ? "PATCH" : "POST" };
	int rc = -ENOMEM;

	buf_printf(&target, "/api/v1/namespaces/%s/events", e->namespace);
	if (e->exists) {
		buf_putc(&target, '/');
		put_name(&target, e);
		request.content_type = "application/merge-patch+json";
		write_touch(e, &body);
	} else {
		write_event(e, ingress, &body);
	}
	request.target = buf_str(&target);
	request.body = buf_str(&body);
	request.body_len = body.len;
	if (!target.failed && !body.failed)
		rc = source_send(config_source(events->config), &request, on_sent, e, &e->send);
	buf_done(&target);
	buf_done(&body);
	return rc;
}

static void refill(struct events *events, uint64_t now_ns)
{
	uint64_t more = (now_ns - events->allowed_ns) / (CLOCK_NS_PER_S / EVENTS_RATE);

	if (!more)
		return;
	events->allowance = events->allowance + more < EVENTS_BURST ? events->allowance + more
								    : EVENTS_BURST;
	events->allowed_ns = now_ns;
}

static void send_due(void *arg)
{
	struct events *events = arg;
	uint64_t now_ns = clock_now_ns();
	struct table_entry *entry;

	if (!events->leads || !events->config)
		return;
	refill(events, now_ns);
	table_for_each(entry, &events->all) {
		struct event *e = entry->value;
		const struct ingress *ingress;

		if (!events->allowance || events->under_way >= UNDER_WAY)
			return;
		if (e->send || now_ns < e->due_ns)
			continue;
		ingress = config_any_ingress(events->config, e->namespace, e->name);
		if (!ingress || post(e, ingress) < 0) {
			e->due_ns = now_ns + RETRY_NS;
			continue;
		}
		events->allowance--;
		events->under_way++;
	}
}

/* ---- problems ---------------------------------------------------------------------------------------------------- */

static bool read_object(const char *object, char namespace[256], const char **ret_name)
{
	const char *slash;

	if (strncmp(object, "Ingress ", 8) != 0)
		return false;
	object += 8;
	slash = strchr(object, '/');
	if (!slash || slash - object > 255)
		return false;
	memcpy(namespace, object, (size_t)(slash - object));
	namespace[slash - object] = 0;
	*ret_name = slash + 1;
	return true;
}

static struct event *new_event(struct events *events, const char *namespace, const char *name,
			       const char *reason)
{
	struct event *e = calloc(1, sizeof(*e));

	if (!e)
		return NULL;
	e->events = events;
	e->namespace = strdup(namespace);
	e->name = strdup(name);
	e->reason = strdup(reason);
	e->id = table_hash(0, reason, strlen(reason));
	if (e->namespace && e->name && e->reason)
		return e;
	free_event(e);
	return NULL;
}

void events_problem(struct events *events, enum config_concern concern, const char *object,
		    const char *reason, bool solved)
{
	char namespace[256];
	const char *name;
	struct event *e;
	struct buf key = { 0 };

	if (!read_object(object, namespace, &name))
		return;
	buf_printf(&key, "%s\n%s", object, reason);
	e = key.failed ? NULL : table_get_str(&events->all, key.data);
	if (solved && e) {
		events->under_way -= !!e->send;
		free_event(table_remove_str(&events->all, key.data));
	} else if (!solved && !e) {
		e = events->all.len < EVENTS_MAX ? new_event(events, namespace, name, reason)
						 : NULL;
		if (e && table_put_str(&events->all, key.data, e, NULL) < 0) {
			free_event(e);
			e = NULL;
		}
		events->stats.dropped += !e;
		if (e)
			e->concern = concern;
		loop_post(events->wake);
	}
	buf_done(&key);
}

void events_lead(struct events *events, bool leads)
{
	if (events->leads == leads)
		return;
	events->leads = leads;
	if (leads)
		send_due(events);
}

void events_set_config(struct events *events, struct config *config)
{
	events->config = config;
}

void events_count(const struct events *events, struct events_stats *ret_stats)
{
	*ret_stats = events->stats;
}

int events_new(struct loop *loop, const struct settings *settings, struct events **ret_events)
{
	struct events *events = calloc(1, sizeof(*events));
	int rc;

	if (!events)
		return -ENOMEM;
	events->settings = settings;
	events->allowance = EVENTS_BURST;
	events->allowed_ns = clock_now_ns();
	events->complaints = (struct log_rate){ .burst = 3, .interval_ns = 60 * CLOCK_NS_PER_S };
	table_init(&events->all, clock_now_ns());
	rc = loop_add_timer(loop, send_due, events, &events->tick);
	if (rc == 0)
		rc = loop_add_deferred(loop, send_due, events, &events->wake);
	if (rc == 0)
		rc = loop_arm(events->tick, TICK_NS, TICK_NS);
	if (rc < 0) {
		events_free(events);
		return rc;
	}
	*ret_events = events;
	return 0;
}

void events_free(struct events *events)
{
	if (!events)
		return;
	loop_remove(events->tick);
	loop_remove(events->wake);
	table_done(&events->all, free_event);
	free(events);
}
