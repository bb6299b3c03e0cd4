// SPDX-License-Identifier: GPL-2.0-only
/* The lease of the one that leads: when to ask for it, to renew it, to stop. Pure. */
/* Must not know what a leader does, nor how requests are sent. */
#include "ingress/leader.h"

#include <cjson/cJSON.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/json.h"

#define NS_PER_S UINT64_C(1000000000)
#define LEASES   "/apis/coordination.k8s.io/v1/namespaces/%s/leases"

void leader_init(struct leader *l, const char *identity, const char *namespace, const char *name)
{
	memset(l, 0, sizeof(*l));
	l->identity = identity;
	l->namespace = namespace;
	l->name = name;
}

/* ---- what the Lease says -------------------------------------------------------------------------------------- */

static void copy(char *to, size_t size, const cJSON *from)
{
	const char *text = cJSON_GetStringValue(from);

	snprintf(to, size, "%s", text ? text : "");
}

static bool read_lease(struct leader *l, uint64_t now_ns, const char *body)
{
	cJSON *json = body ? cJSON_Parse(body) : NULL;
	const cJSON *spec = cJSON_GetObjectItemCaseSensitive(json, "spec");
	const cJSON *meta = cJSON_GetObjectItemCaseSensitive(json, "metadata");
	const cJSON *number;
	char renewed[sizeof(l->renewed)], holder[sizeof(l->holder)];

	if (!cJSON_IsObject(meta)) {
		cJSON_Delete(json);
		return false;
	}
	copy(l->version, sizeof(l->version),
	     cJSON_GetObjectItemCaseSensitive(meta, "resourceVersion"));
	copy(holder, sizeof(holder), cJSON_GetObjectItemCaseSensitive(spec, "holderIdentity"));
	copy(renewed, sizeof(renewed), cJSON_GetObjectItemCaseSensitive(spec, "renewTime"));
	copy(l->acquired, sizeof(l->acquired),
	     cJSON_GetObjectItemCaseSensitive(spec, "acquireTime"));
	number = cJSON_GetObjectItemCaseSensitive(spec, "leaseDurationSeconds");
	l->duration_s = cJSON_IsNumber(number) && number->valuedouble > 0 &&
					number->valuedouble < 86400
				? (uint64_t)number->valuedouble
				: LEADER_DURATION_S;
	number = cJSON_GetObjectItemCaseSensitive(spec, "leaseTransitions");
	l->transitions = cJSON_IsNumber(number) && number->valuedouble >= 0 &&
					 number->valuedouble < 2e9
				 ? (uint64_t)number->valuedouble
				 : 0;
	if (!l->known || strcmp(renewed, l->renewed) != 0 || strcmp(holder, l->holder) != 0)
		l->seen_ns = now_ns;
	memcpy(l->renewed, renewed, sizeof(renewed));
	memcpy(l->holder, holder, sizeof(holder));
	l->known = true;
	cJSON_Delete(json);
	return true;
}

static bool is_mine(const struct leader *l)
{
	return l->known && strcmp(l->holder, l->identity) == 0;
}

static bool is_free(const struct leader *l, uint64_t now_ns)
{
	return !l->holder[0] || now_ns - l->seen_ns > l->duration_s * NS_PER_S;
}

/* ---- requests ------------------------------------------------------------------------------------------------- */

static const char *micro_time(uint64_t wall_ns, char text[40])
{
	time_t s = (time_t)(wall_ns / NS_PER_S);
	struct tm tm = { 0 };

	gmtime_r(&s, &tm);
	snprintf(text, 40, "%04d-%02d-%02dT%02d:%02d:%02d.%06" PRIu64 "Z",
		 (tm.tm_year + 1900) % 10000, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min,
		 tm.tm_sec, wall_ns % NS_PER_S / 1000);
	return text;
}

static void member(struct buf *out, const char *key, const char *value, bool first)
{
	json_key(out, key, first);
	json_string(out, value);
}

static void write_lease(const struct leader *l, uint64_t wall_ns, struct buf *body)
{
	bool takes = !is_mine(l);
	char now[40];

	micro_time(wall_ns, now);
	buf_puts(body,
		 "{\"apiVersion\":\"coordination.k8s.io/v1\",\"kind\":\"Lease\",\"metadata\":{");
	member(body, "namespace", l->namespace, true);
	member(body, "name", l->name, false);
	if (l->known)
		member(body, "resourceVersion", l->version, false);
	buf_puts(body, "},\"spec\":{");
	member(body, "holderIdentity", l->releasing ? "" : l->identity, true);
	buf_printf(body, ",\"leaseDurationSeconds\":%d,\"leaseTransitions\":%" PRIu64,
		   l->releasing ? 1 : LEADER_DURATION_S, l->transitions + (l->known && takes));
	member(body, "acquireTime", takes || !l->acquired[0] ? now : l->acquired, false);
	member(body, "renewTime", now, false);
	buf_puts(body, "}}");
}

static void ask(struct leader *l, uint64_t now_ns, uint64_t wall_ns, int what,
		struct leader_request *q)
{
	static const char *const methods[] = { "GET", "POST", "PUT" };

	l->asked = what;
	l->busy = true;
	l->sent_ns = now_ns;
	q->method = methods[what];
	buf_reset(&q->target);
	buf_reset(&q->body);
	buf_printf(&q->target, LEASES, l->namespace);
	if (what != LEADER_CREATE)
		buf_printf(&q->target, "/%s", l->name);
	if (what != LEADER_GET)
		write_lease(l, wall_ns, &q->body);
}

bool leader_next(struct leader *l, uint64_t now_ns, uint64_t wall_ns, struct leader_request *q,
		 uint64_t *ret_next_ns)
{
	int what = LEADER_GET;

	*ret_next_ns = l->busy ? UINT64_MAX : l->next_ns;
	if (l->busy)
		return false;
	if (l->releasing) {
		*ret_next_ns = UINT64_MAX;
		if (!l->holds || !is_mine(l))
			return false;
		ask(l, now_ns, wall_ns, LEADER_UPDATE, q);
		return true;
	}
	if (now_ns < l->next_ns)
		return false;
	if (l->known && (is_mine(l) || is_free(l, now_ns)))
		what = LEADER_UPDATE;
	else if (l->status == 404)
		what = LEADER_CREATE;
	ask(l, now_ns, wall_ns, what, q);
	return true;
}

/* ---- answers -------------------------------------------------------------------------------------------------- */

static void written(struct leader *l, uint64_t now_ns, const char *body)
{
	if (!read_lease(l, now_ns, body)) {
		l->complaint = "the answer was no Lease";
		l->known = false;
		l->next_ns = now_ns + LEADER_RETRY_NS;
		return;
	}
	l->complaint = NULL;
	l->holds = is_mine(l);
	if (l->holds)
		l->renewed_ns = l->sent_ns;
	l->next_ns = l->sent_ns + LEADER_RENEW_NS;
}

static void seen(struct leader *l, uint64_t now_ns, uint32_t random, const char *body)
{
	uint64_t end_ns;

	l->complaint = NULL;
	l->next_ns = now_ns + LEADER_RETRY_NS / 2 + random % LEADER_RETRY_NS;
	if (!read_lease(l, now_ns, body)) {
		l->complaint = "the answer was no Lease";
		return;
	}
	l->holds = is_mine(l);
	end_ns = l->seen_ns + l->duration_s * NS_PER_S;
	if (l->holds || is_free(l, now_ns))
		l->next_ns = now_ns;
	else if (end_ns < l->next_ns) /* as soon as it runs out, but not all of them at once */
		l->next_ns = end_ns + 1 + random % (LEADER_RETRY_NS / 4);
}

void leader_answer(struct leader *l, uint64_t now_ns, uint32_t random, unsigned status,
		   const char *body)
{
	l->busy = false;
	l->status = status;
	if (status == 200 || status == 201) {
		if (l->asked == LEADER_GET)
			seen(l, now_ns, random, body);
		else
			written(l, now_ns, body);
		return;
	}
	/* Somebody else was faster, or nobody knows what became of it: look. */
	l->known = false;
	l->next_ns = now_ns + LEADER_RETRY_NS / 2 + random % LEADER_RETRY_NS;
	if (status == 409 || (status == 404 && l->asked == LEADER_GET))
		l->next_ns = now_ns;
	if (status == 409 || status == 404)
		l->holds = false;
	l->complaint = status == 403 ? "this account may not get, create and update Leases"
		       : status == 404 || status == 409 ? NULL
		       : status                         ? "the API server refused"
							: "the API server did not answer";
}

bool leader_leads(const struct leader *l, uint64_t now_ns)
{
	return l->holds && !l->releasing && now_ns - l->renewed_ns < LEADER_GIVE_UP_NS;
}

void leader_release(struct leader *l)
{
	l->releasing = true;
}

bool leader_is_released(const struct leader *l)
{
	return l->releasing && !l->busy && (!l->holds || !is_mine(l));
}
