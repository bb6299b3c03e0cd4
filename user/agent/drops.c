// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reads refusals and says them.
 * Must not know why a packet is refused: the reason has a text.
 */
#include "agent/drops.h"

#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "core/format.h"

void drops_endpoints(const struct sl_event *event, char from[64], char to[64])
{
	struct address source = { .family = event->family },
		       destination = { .family = event->family };
	char text[FORMAT_ENDPOINT_LEN];
	size_t len = event->family == 4 ? 4 : 16;

	memcpy(source.b, event->saddr, len);
	memcpy(destination.b, event->daddr, len);
	snprintf(from, 64, "%s", format_endpoint(&source, event->sport, text));
	snprintf(to, 64, "%s", format_endpoint(&destination, event->dport, text));
}

const struct sl_name *drops_service(const struct drops *drops, const struct sl_event *event)
{
	if (!event->service)
		return NULL;
	return diff_desired(drops->diff, row_table_of(ROW4_NAMES, event->family), &event->service);
}

static void say(const struct drops *drops, const struct sl_event *event, uint64_t held)
{
	const struct sl_name *name = drops_service(drops, event);
	char from[64], to[64], proto[FORMAT_SHORT_LEN];

	drops_endpoints(event, from, to);
	log_info(
		"refused reason=%s hook=%s proto=%s from=%s to=%s index=%u service=%s%s%s suppressed=%" PRIu64,
		format_reason_name(event->reason), format_hook(event->hook),
		format_proto(event->proto, proto), from, to, event->ifindex,
		name ? name->namespace : "", name ? "/" : "", name ? name->name : "", held);
}

static void take(void *ctx, const struct sl_event *event)
{
	static struct log_rate rate = { .burst = 10, .interval_ns = 60 * CLOCK_NS_PER_S };
	struct drops *drops = ctx;
	uint64_t held;

	drops->kept[drops->n++ % DROPS_KEPT] = *event;
	if (log_rate_allows(&rate, clock_now_ns(), &held))
		say(drops, event, held);
}

int drops_init(struct drops *drops, struct dp *dp, const struct diff *diff)
{
	memset(drops, 0, sizeof(*drops));
	drops->diff = diff;
	return events_new(dp, take, drops, &drops->events);
}

void drops_done(struct drops *drops)
{
	events_free(drops->events);
	drops->events = NULL;
}

void drops_read(struct drops *drops)
{
	events_read(drops->events);
}
