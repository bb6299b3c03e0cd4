/* SPDX-License-Identifier: GPL-2.0 */
/* Reads the ring buffer of refusals. */
/* Must not know what is done with an event. */
#include "dp/events.h"

#include <errno.h>
#include <stdlib.h>

#include <bpf/libbpf.h>

struct events {
	struct ring_buffer *ring;
	events_fn *fn;
	void *ctx;
};

static int take(void *ctx, void *data, size_t size)
{
	struct events *events = ctx;

	if (size >= sizeof(struct sl_event))
		events->fn(events->ctx, data);
	return 0;
}

int events_new(struct dp *dp, events_fn *fn, void *ctx, struct events **ret_events)
{
	struct events *events = calloc(1, sizeof(*events));

	if (!events)
		return -ENOMEM;
	events->fn = fn;
	events->ctx = ctx;
	events->ring = ring_buffer__new(dp->maps[DP_sl_events].fd, take, events, NULL);
	if (!events->ring) {
		int rc = -errno;

		free(events);
		return rc;
	}
	*ret_events = events;
	return 0;
}

void events_free(struct events *events)
{
	if (!events)
		return;
	ring_buffer__free(events->ring);
	free(events);
}

int events_fd(const struct events *events)
{
	return ring_buffer__epoll_fd(events->ring);
}

int events_read(struct events *events)
{
	return ring_buffer__consume(events->ring);
}
