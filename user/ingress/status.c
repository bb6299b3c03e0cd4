// SPDX-License-Identifier: GPL-2.0-only
/* Keeps the published addresses of our Ingresses right, while this replica leads. */
/* Must not know how it is decided who leads. */
#include "ingress/status.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/table.h"
#include "ingress/config.h"
#include "ingress/settings.h"
#include "source/source.h"

#define LOOK_NS (2 * CLOCK_NS_PER_S)
#define AGAIN_NS \
	(10 * CLOCK_NS_PER_S) /* a write that is not seen in the Ingress is repeated after */
#define WRITES_MAX 32         /* under way */
#define REFUSED_NS (30 * CLOCK_NS_PER_S) /* after one that was refused */

/* A write, from its sending on until the Ingress says the same. */
struct write {
	struct status *status;
	char *key;
	struct kube_send *send; /* NULL: answered */
	uint64_t again_ns;      /* not before */
};

struct status {
	struct status_input in;
	struct loop_event *tick, *wake;
	struct kube_send *look; /* asks for the addresses */
	struct status_list list;
	bool known, leads;
	struct table writes; /* namespace/name -> struct write */
	size_t n_under_way;
	struct status_stats stats;
	struct log_rate complaints;
};

/* ---- addresses ------------------------------------------------------------------------------------------------- */

static void complain(struct status *s, const char *what, unsigned code, const char *why)
{
	uint64_t held;

	if (log_rate_allows(&s->complaints, clock_now_ns(), &held))
		log_warn("%s status=%u reason=\"%s\" suppressed=%" PRIu64, what, code,
			 why ? why : "", held);
}

static void take(struct status *s, struct status_list *list)
{
	bool same = s->known && status_is(list, s->list.text, s->list.n);

	/* none at all: we are here, so the answer is behind, and what is published stays */
	if (same || (!list->n && s->list.n)) {
		status_list_done(list);
		return;
	}
	status_list_done(&s->list);
	s->list = *list;
	s->known = list->n > 0;
	loop_post(s->wake);
}

static void on_looked(void *ctx, const struct kube_answer *answer)
{
	struct status *s = ctx;
	struct status_list list;
	int rc = -EINVAL;

	s->look = NULL;
	if (answer->status == 200)
		rc = s->in.settings->publish_service ? status_of_service(answer->body, &list)
						     : status_of_pods(answer->body, &list);
	if (rc < 0) {
		complain(
			s,
			s->in.settings->publish_service
				? "cannot read --publish-service for the Ingresses' status"
				: "cannot list the proxy's pods for the Ingresses' status; grant it, or set "
				  "--status-address",
			answer->status, answer->why);
		return;
	}
	take(s, &list);
}

/* In a query: what is no letter, digit, '-', '.', '_' or '~' is percent-encoded. */
static void put_query(struct buf *out, const char *text)
{
	for (const unsigned char *c = (const unsigned char *)text; *c; c++)
		if (strchr("-._~", *c) || (*c >= '0' && *c <= '9') || (*c >= 'a' && *c <= 'z') ||
		    (*c >= 'A' && *c <= 'Z'))
			buf_putc(out, (char)*c);
		else
			buf_printf(out, "%%%02X", *c);
}

static void look(struct status *s)
{
	const struct settings *settings = s->in.settings;
	const char *slash = settings->publish_service ? strchr(settings->publish_service, '/')
						      : NULL;
	struct buf target = { 0 };
	struct kube_http_request request = { .method = "GET" };

	if (s->look || settings->n_status_addresses)
		return;
	if (slash) {
		buf_printf(&target, "/api/v1/namespaces/%.*s/services/%s",
			   (int)(slash - settings->publish_service), settings->publish_service,
			   slash + 1);
	} else {
		buf_printf(&target,
			   "/api/v1/namespaces/%s/pods?labelSelector=", settings->pod_namespace);
		put_query(&target, settings->pod_selector);
	}
	request.target = buf_str(&target);
	if (!target.failed)
		(void)source_send(config_source(s->in.config), &request, on_looked, s, &s->look);
	buf_done(&target);
}

static int take_option(struct status *s)
{
	struct status_list list = { .text = calloc(s->in.settings->n_status_addresses,
						   sizeof(char *)) };
	char text[ADDRESS_TEXT_LEN];

	if (!list.text)
		return -ENOMEM;
	for (size_t i = 0; i < s->in.settings->n_status_addresses; i++) {
		address_format(&s->in.settings->status_addresses[i], text);
		list.text[i] = strdup(text);
		if (!list.text[i]) {
			status_list_done(&list);
			return -ENOMEM;
		}
		list.n++;
	}
	status_list_settle(&list);
	take(s, &list);
	return 0;
}

/* ---- writing --------------------------------------------------------------------------------------------------- */

static void free_write(void *value)
{
	struct write *w = value;

	kube_send_cancel(w->send);
	free(w->key);
	free(w);
}

static void on_written(void *ctx, const struct kube_answer *answer)
{
	struct write *w = ctx;
	struct status *s = w->status;

	w->send = NULL;
	s->n_under_way--;
	if (answer->status >= 200 && answer->status < 300) {
		s->stats.writes++;
	} else if (answer->status != 404) { /* it is gone meanwhile */
		s->stats.failures++;
		w->again_ns = clock_now_ns() + (answer->status ? REFUSED_NS : LOOK_NS);
		complain(
			s,
			"cannot write the status of an Ingress; the account needs to patch ingresses/status",
			answer->status, answer->why);
	}
	loop_post(s->wake); /* room for the next */
}

static struct write *write_of(struct status *s, const char *key)
{
	struct write *w = table_get_str(&s->writes, key);

	if (w)
		return w;
	w = calloc(1, sizeof(*w));
	if (!w)
		return NULL;
	w->status = s;
	w->key = strdup(key);
	if (!w->key || table_put_str(&s->writes, key, w, NULL) < 0) {
		free_write(w);
		return NULL;
	}
	return w;
}

static void send_patch(struct status *s, struct write *w, const struct ingress *ingress)
{
	struct buf target = { 0 }, body = { 0 };
	struct kube_http_request request = { .method = "PATCH",
					     .content_type = "application/merge-patch+json" };

	buf_printf(&target, "/apis/networking.k8s.io/v1/namespaces/%s/ingresses/%s/status",
		   ingress->meta.namespace, ingress->meta.name);
	status_write_patch(&s->list, &body);
	request.target = buf_str(&target);
	request.body = buf_str(&body);
	request.body_len = body.len;
	if (!target.failed && !body.failed &&
	    source_send(config_source(s->in.config), &request, on_written, w, &w->send) == 0) {
		s->n_under_way++;
		w->again_ns = clock_now_ns() + AGAIN_NS;
	}
	buf_done(&target);
	buf_done(&body);
}

static void check(void *ctx, const struct ingress *ingress)
{
	struct status *s = ctx;
	char key[600];
	struct write *w;

	snprintf(key, sizeof(key), "%s/%s", ingress->meta.namespace, ingress->meta.name);
	if (status_is(&s->list, ingress->addresses, ingress->n_addresses)) {
		w = table_get_str(&s->writes, key);
		if (w && !w->send)
			free_write(table_remove_str(&s->writes, key));
		return;
	}
	if (s->n_under_way >= WRITES_MAX)
		return;
	w = write_of(s, key);
	if (w && !w->send && clock_now_ns() >= w->again_ns)
		send_patch(s, w, ingress);
}

static void on_wake(void *arg)
{
	struct status *s = arg;

	if (s->leads && s->known && s->n_under_way < WRITES_MAX)
		config_each_ingress(s->in.config, check, s);
}

/* Writes of Ingresses that are gone. */
static void sweep(struct status *s)
{
	struct table_entry *entry;

	table_for_each(entry, &s->writes) {
		struct write *w = entry->value;

		if (!w->send && clock_now_ns() >= w->again_ns)
			free_write(table_remove(&s->writes, entry->key, entry->key_len));
	}
}

static void on_tick(void *arg)
{
	struct status *s = arg;

	if (!s->leads)
		return;
	look(s);
	on_wake(s);
	sweep(s);
}

/* ---- life ------------------------------------------------------------------------------------------------------ */

void status_lead(struct status *s, bool leads)
{
	if (s->leads == leads)
		return;
	s->leads = leads;
	if (leads)
		on_tick(s);
}

void status_wake(struct status *s)
{
	loop_post(s->wake);
}

void status_count(const struct status *s, struct status_stats *ret_stats)
{
	*ret_stats = s->stats;
}

int status_new(const struct status_input *input, struct status **ret_status)
{
	struct status *s = calloc(1, sizeof(*s));
	int rc;

	if (!s)
		return -ENOMEM;
	s->in = *input;
	s->complaints = (struct log_rate){ .burst = 3, .interval_ns = 60 * CLOCK_NS_PER_S };
	table_init(&s->writes, clock_now_ns());
	rc = loop_add_timer(input->loop, on_tick, s, &s->tick);
	if (rc == 0)
		rc = loop_add_deferred(input->loop, on_wake, s, &s->wake);
	if (rc == 0)
		rc = loop_arm(s->tick, LOOK_NS, LOOK_NS);
	if (rc == 0 && input->settings->n_status_addresses)
		rc = take_option(s);
	if (rc < 0) {
		status_free(s);
		return rc;
	}
	*ret_status = s;
	return 0;
}

void status_free(struct status *s)
{
	if (!s)
		return;
	loop_remove(s->tick);
	loop_remove(s->wake);
	kube_send_cancel(s->look);
	table_done(&s->writes, free_write);
	status_list_done(&s->list);
	free(s);
}
