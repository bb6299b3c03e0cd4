// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the health pages say. Pure.
 * Must not know how they are served (http.c) nor where the times come from (sync.c).
 */
#include "agent/health.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#define NS_PER_S UINT64_C(1000000000)

static bool waits_for(const struct health_family *family, uint64_t now_ns, uint64_t ns)
{
	return family->waiting_since_ns &&
	       (int64_t)(now_ns - family->waiting_since_ns) >= (int64_t)ns;
}

static bool is_late(const struct health_family *family, uint64_t now_ns)
{
	return waits_for(family, now_ns, HEALTH_LATE_NS);
}

bool health_is_healthy(const struct health_state *state)
{
	return !is_late(&state->v4, state->now_ns) && !is_late(&state->v6, state->now_ns);
}

/* RFC 3339 with nanoseconds, UTC; no time yet is the zero time of the reference. */
static const char *time_text(uint64_t wall_ns, char text[48])
{
	time_t s = (time_t)(wall_ns / NS_PER_S);
	struct tm tm;

	if (!wall_ns || !gmtime_r(&s, &tm))
		return "0001-01-01T00:00:00Z";
	snprintf(text, 48, "%04d-%02d-%02dT%02d:%02d:%02d.%09" PRIu64 "Z",
		 (tm.tm_year + 1900) % 10000, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min,
		 tm.tm_sec, wall_ns % NS_PER_S);
	return text;
}

static const char *bool_text(bool value)
{
	return value ? "true" : "false";
}

static void write_family(const char *name, const struct health_family *family, uint64_t now_ns,
			 struct buf *body)
{
	char updated[48];

	buf_printf(body, "\"%s\":{\"lastUpdated\":\"%s\",\"healthy\":%s}", name,
		   time_text(family->updated_wall_ns, updated),
		   bool_text(!is_late(family, now_ns)));
}

static uint64_t latest(const struct health_state *state)
{
	return state->v4.updated_wall_ns > state->v6.updated_wall_ns ? state->v4.updated_wall_ns
								     : state->v6.updated_wall_ns;
}

static unsigned int write_page(const struct health_state *state, bool good, bool with_node,
			       struct buf *body)
{
	char updated[48], now[48];

	buf_printf(body, "{\"lastUpdated\":\"%s\",\"currentTime\":\"%s\",",
		   time_text(good ? state->now_wall_ns : latest(state), updated),
		   time_text(state->now_wall_ns, now));
	if (with_node)
		buf_printf(body, "\"nodeEligible\":%s,", bool_text(state->eligible));
	buf_printf(body, "\"healthy\":%s,\"status\":{", bool_text(health_is_healthy(state)));
	write_family("IPv4", &state->v4, state->now_ns, body);
	buf_putc(body, ',');
	write_family("IPv6", &state->v6, state->now_ns, body);
	buf_puts(body, "}}\n");
	return good ? 200 : 503;
}

unsigned int health_write_healthz(const struct health_state *state, struct buf *body)
{
	return write_page(state, health_is_healthy(state) && state->eligible, true, body);
}

unsigned int health_write_livez(const struct health_state *state, struct buf *body)
{
	return write_page(state, health_is_healthy(state), false, body);
}

unsigned int health_write_readyz(const struct health_state *state, struct buf *body)
{
	bool waits = waits_for(&state->v4, state->now_ns, HEALTH_READY_NS) ||
		     waits_for(&state->v6, state->now_ns, HEALTH_READY_NS);
	bool ready = state->synced && state->clean && !waits;

	buf_printf(body, "{\"ready\":%s,\"synced\":%s,\"changeWaits\":%s,\"auditClean\":%s}\n",
		   bool_text(ready), bool_text(state->synced), bool_text(waits),
		   bool_text(state->clean));
	return ready ? 200 : 503;
}

unsigned int health_write_service(const char *namespace, const char *name, unsigned int n_local,
				  bool healthy, struct buf *body)
{
	/* names of objects need no escaping: letters, digits, '-' and '.' */
	buf_printf(body,
		   "{\n\t\"service\": {\n\t\t\"namespace\": \"%s\",\n\t\t\"name\": \"%s\"\n\t},\n"
		   "\t\"localEndpoints\": %u,\n\t\"serviceProxyHealthy\": %s\n}",
		   namespace, name, n_local, bool_text(healthy));
	return n_local && healthy ? 200 : 503;
}
