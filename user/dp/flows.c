/* SPDX-License-Identifier: GPL-2.0 */
/* Reads tables of flows and sockets. */
/* Must not know anything that decides about packets. */
#include "dp/flows.h"

#include <errno.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>

#include "base/cleanup.h"
#include "base/clock.h"

#define AT_ONCE 256u /* buckets in one call */

/* ---- buckets -------------------------------------------------------------------------------------------------------- */

static int family_of(enum dp_map map)
{
	return map >= DP_sl6_services ? 6 : 4;
}

/* Buckets [first, first + n) into values: one batch or, where the kernel knows none, one after another. How many, or -errno. */
static int read_buckets(const struct dp *dp, enum dp_map map, uint32_t first, uint32_t n,
			uint32_t *keys, uint8_t *values)
{
	uint32_t before = first - 1, next, got = n;
	int fd = dp->maps[map].fd;

	if (!dp->no_batch && (bpf_map_lookup_batch(fd, first ? &before : NULL, &next, keys, values,
						   &got, NULL) == 0 ||
			      (errno == ENOENT && got)))
		return (int)got;
	return bpf_map_lookup_elem(fd, &first, values) < 0 ? -errno : 1;
}

/* How entries lie in a bucket: behind the lock and the tags, keys before values. */
struct shape {
	size_t slots, slot, key;
};

#define SHAPE(v, what)                                                                            \
	(struct shape)                                                                            \
	{                                                                                         \
		offsetof(struct sl##v##_##what##_bucket, slots),                                  \
			sizeof(struct sl##v##_##what##_slot), sizeof(struct sl##v##_##what##_key) \
	}

/* Any bucket. */
union bucket {
	struct sl4_flow_bucket flow4;
	struct sl6_flow_bucket flow6;
	struct sl4_socket_bucket socket4;
	struct sl6_socket_bucket socket6;
};

static struct shape shape_of(enum dp_map map)
{
	bool flows = dp_map_is_flows(map);

	if (family_of(map) == 4)
		return flows ? SHAPE(4, flow) : SHAPE(4, socket);
	return flows ? SHAPE(6, flow) : SHAPE(6, socket);
}

/* The i-th tag: they stand behind the lock. */
static uint32_t tag_of(const uint8_t *bucket, size_t i)
{
	return ((const uint32_t *)(const void *)bucket)[1 + i];
}

static int give_bucket(const struct shape *shape, const uint8_t *bucket, dp_flow_fn *fn, void *ctx)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < SL_BUCKET_SLOTS; i++) {
		const uint8_t *slot = bucket + shape->slots + i * shape->slot;

		if (tag_of(bucket, i))
			rc = fn(ctx, slot, slot + shape->key);
	}
	return rc;
}

static int walk_buckets(struct dp *dp, enum dp_map map, uint32_t first, uint32_t n, dp_flow_fn *fn,
			void *ctx)
{
	uint32_t at_once = n < AT_ONCE ? n : AT_ONCE, size = dp->maps[map].value_size;
	_cleanup_free_ uint8_t *values = calloc(at_once ? at_once : 1, size);
	_cleanup_free_ uint32_t *keys = calloc(at_once ? at_once : 1, sizeof(*keys));
	const struct shape shape = shape_of(map);
	int rc = 0;

	if (!values || !keys)
		return -ENOMEM;
	for (uint32_t done = 0; rc == 0 && done < n;) {
		int got = read_buckets(dp, map, first + done,
				       n - done < at_once ? n - done : at_once, keys, values);

		if (got < 0)
			return got;
		for (int i = 0; rc == 0 && i < got; i++)
			rc = give_bucket(&shape, values + (size_t)i * size, fn, ctx);
		done += (uint32_t)got;
	}
	return rc;
}

int dp_flows_each(struct dp *dp, int family, enum dp_flow_table table, dp_flow_fn *fn, void *ctx)
{
	enum dp_map map = dp_flow_map(family, table);

	return walk_buckets(dp, map, 0, dp->maps[map].max_entries, fn, ctx);
}

static int look_up(const struct dp *dp, enum dp_map map, uint64_t mix, const void *key,
		   void *ret_value)
{
	uint32_t index = sl_bucket(mix, dp->maps[map].max_entries), tag = sl_tag(mix);
	const struct shape shape = shape_of(map);
	union bucket bucket;
	const uint8_t *bytes = (const uint8_t *)&bucket;

	if (bpf_map_lookup_elem(dp->maps[map].fd, &index, &bucket) < 0)
		return -errno;
	for (size_t i = 0; i < SL_BUCKET_SLOTS; i++) {
		const uint8_t *slot = bytes + shape.slots + i * shape.slot;

		if ((tag_of(bytes, i) & SL_TAG_MASK) != tag || memcmp(slot, key, shape.key) != 0)
			continue;
		memcpy(ret_value, slot + shape.key, shape.slot - shape.key);
		return 0;
	}
	return -ENOENT;
}

int dp_flow_lookup(const struct dp *dp, enum dp_map map, uint64_t mix, const void *key,
		   void *ret_value)
{
	return look_up(dp, map, mix, key, ret_value);
}

int dp_socket_lookup(const struct dp *dp, int family, uint64_t mix, const void *key,
		     void *ret_value)
{
	return look_up(dp, dp_map_of(family, DP_sl4_sockets), mix, key, ret_value);
}

/* ---- counting ------------------------------------------------------------------------------------------------------- */

struct tally {
	int family;
	uint64_t now_ns, n;
};

static int tally_flow(void *ctx, const void *key, const void *value)
{
	struct tally *t = ctx;
	const struct sl4_flow_key *k4 = key;
	const struct sl6_flow_key *k6 = key;
	const struct sl4_flow *f4 = value;
	const struct sl6_flow *f6 = value;
	uint64_t idle_ns = t->family == 4 ? dp_flow_idle_ns(k4->proto, f4->state)
					  : dp_flow_idle_ns(k6->proto, f6->state);

	t->n += dp_flow_quiet_ns(t->family == 4 ? f4->seen : f6->seen, t->now_ns) < idle_ns;
	return 0;
}

/* Of TCP an entry goes with its socket; of UDP it stays where no call and no answer needs it any more. */
static int tally_socket(void *ctx, const void *key, const void *value)
{
	struct tally *t = ctx;
	const struct sl4_socket_key *k4 = key;
	const struct sl6_socket_key *k6 = key;
	const struct sl4_socket *s4 = value;
	const struct sl6_socket *s6 = value;
	uint8_t proto = t->family == 4 ? k4->proto : k6->proto;
	uint32_t seen = t->family == 4 ? s4->seen : s6->seen;

	t->n += proto == IPPROTO_TCP ||
		dp_flow_quiet_ns(seen, t->now_ns) < SL_IDLE_UDP_S * CLOCK_NS_PER_S;
	return 0;
}

int dp_flows_count(struct dp *dp, enum dp_map map, uint32_t first, uint32_t n, uint64_t now_ns,
		   uint64_t *ret_n)
{
	struct tally t = { .family = family_of(map), .now_ns = now_ns };
	int rc = walk_buckets(dp, map, first, n, dp_map_is_flows(map) ? tally_flow : tally_socket,
			      &t);

	if (rc == 0)
		*ret_n = t.n;
	return rc;
}
