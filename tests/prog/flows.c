/* SPDX-License-Identifier: GPL-2.0-only */
/* Reads, ages and counts flow entries, whatever shard they are in. */
/* Must not know how programs choose a shard or a state. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <bpf/bpf.h>

#include "prog/harness_internal.h"

static const char *const table_names[TABLES] = { "tcp", "udp", "new" };
static const char *const kind_names[] = { "NONE", "REQUEST", "REPLY", "SNAT", "UNSNAT" };
static const char *const state_names[] = { "NONE",      "NEW",         "REPLIED",
					   "CONFIRMED", "HALF_CLOSED", "CLOSING" };

union flow_key {
	struct sl4_flow_key v4;
	struct sl6_flow_key v6;
};

union flow_value {
	struct sl4_flow v4;
	struct sl6_flow v6;
};

static void key_fill(enum sl_flow_kind kind, uint8_t proto, struct end from, struct end to,
		     union flow_key *ret)
{
	size_t n = address_len(family);

	memset(ret, 0, sizeof(*ret));
	if (family == 4) {
		memcpy(ret->v4.saddr, host_address(4, from.host), n);
		memcpy(ret->v4.daddr, host_address(4, to.host), n);
		ret->v4.sport = from.port;
		ret->v4.dport = to.port;
		ret->v4.proto = proto;
		ret->v4.kind = kind;
	} else {
		memcpy(ret->v6.saddr, host_address(6, from.host), n);
		memcpy(ret->v6.daddr, host_address(6, to.host), n);
		ret->v6.sport = from.port;
		ret->v6.dport = to.port;
		ret->v6.proto = proto;
		ret->v6.kind = kind;
	}
}

struct end end_of(const uint8_t *address, uint16_t port)
{
	struct end end = { HOST_COUNT, port };

	for (enum host h = 0; h < HOST_COUNT; h++)
		if (!memcmp(host_address(family, h), address, address_len(family)))
			end.host = h;
	return end;
}

/* One shape for both families. */
static void value_widen(const union flow_value *value, struct flow_seen *seen)
{
	struct sl6_flow *to = &seen->value;
	const struct sl4_flow *v4 = &value->v4;

	if (family == 6) {
		*to = value->v6;
	} else {
		memset(to, 0, sizeof(*to));
		memcpy(to->saddr, v4->saddr, 4);
		memcpy(to->daddr, v4->daddr, 4);
		to->tag = v4->tag;
		to->backend = v4->backend;
		to->sport = v4->sport;
		to->dport = v4->dport;
		to->backend_gen = v4->backend_gen;
		to->service = v4->service;
		to->flags = v4->flags;
		to->state = v4->state;
		to->seen_ns = v4->seen_ns;
		to->packets = v4->packets;
		to->bytes = v4->bytes;
		to->twin_tick = v4->twin_tick;
		to->ifindex = v4->ifindex;
	}
	seen->from = end_of(to->saddr, to->sport);
	seen->to = end_of(to->daddr, to->dport);
}

struct flow_seen flow_find(enum sl_flow_kind kind, uint8_t proto, struct end from, struct end to)
{
	struct flow_seen seen = { 0 };
	union flow_value value;
	union flow_key key;

	key_fill(kind, proto, from, to, &key);
	for (enum table t = 0; t < TABLES; t++)
		for (uint32_t s = 0; s < harness.shards[family == 6][t].n; s++) {
			if (bpf_map_lookup_elem(harness_shard(family, t, s), &key, &value) < 0)
				continue;
			seen.copies++;
			seen.table = t;
			seen.shard = s;
			value_widen(&value, &seen);
		}
	return seen;
}

static const char *end_text(struct end end)
{
	static char ring[8][64];
	static unsigned int next;

	next = (next + 1) % 8;
	snprintf(ring[next], sizeof(ring[0]), "%s:%u",
		 end.host < HOST_COUNT ? host_name(end.host) : "?", end.port);
	return ring[next];
}

static bool same(struct end a, struct end b)
{
	return a.host == b.host && a.port == b.port;
}

#define complain(...)                                                                 \
	do {                                                                          \
		print_error("%s:%d: flow %s %s > %s: ", file, line, kind_names[kind], \
			    end_text(from), end_text(to));                            \
		print_error(__VA_ARGS__);                                             \
		print_error("\n");                                                    \
		_fail(file, line);                                                    \
	} while (0)

/* The shard and the tag are one number, which the ABI names. */
static void check_tag(enum sl_flow_kind kind, uint8_t proto, struct end from, struct end to,
		      const struct flow_seen *seen, const char *file, int line)
{
	uint32_t shards = harness.shards[family == 6][seen->table].n,
		 seed = harness.options.consts.seed, hash;
	union flow_key key;

	key_fill(kind, proto, from, to, &key);
	hash = family == 4 ? sl4_flow_hash(&key.v4, seed) : sl6_flow_hash(&key.v6, seed);
	if (seen->value.tag != hash)
		complain("tag is %#x, must be the key's hash %#x", seen->value.tag, hash);
	if (seen->shard != (hash & (shards - 1)))
		complain("lies in shard %u, must be %u", seen->shard, hash & (shards - 1));
}

void harness_expect_flow(enum sl_flow_kind kind, uint8_t proto, struct end from, struct end to,
			 enum table table, enum sl_flow_state state, struct end new_from,
			 struct end new_to, const char *file, int line)
{
	struct flow_seen seen = flow_find(kind, proto, from, to);

	if (!seen.copies)
		complain("is in no table, must be in %s", table_names[table]);
	if (seen.copies > 1)
		complain("is in %d tables", seen.copies);
	if (seen.table != table)
		complain("is in %s, must be in %s", table_names[seen.table], table_names[table]);
	if (!same(seen.from, new_from) || !same(seen.to, new_to))
		complain("becomes %s > %s, must become %s > %s", end_text(seen.from),
			 end_text(seen.to), end_text(new_from), end_text(new_to));
	if (seen.value.state != state)
		complain("is %s, must be %s", state_names[seen.value.state], state_names[state]);
	check_tag(kind, proto, from, to, &seen, file, line);
}

void harness_expect_no_flow(enum sl_flow_kind kind, uint8_t proto, struct end from, struct end to,
			    const char *file, int line)
{
	struct flow_seen seen = flow_find(kind, proto, from, to);

	if (seen.copies)
		complain("is in %s (%s > %s), must not be", table_names[seen.table],
			 end_text(seen.from), end_text(seen.to));
}

static void update(enum sl_flow_kind kind, uint8_t proto, struct end from, struct end to,
		   void (*change)(struct sl4_flow *, struct sl6_flow *, const uint64_t *),
		   const uint64_t *args)
{
	struct flow_seen seen = flow_find(kind, proto, from, to);
	union flow_value value;
	union flow_key key;
	int fd;

	if (!seen.copies)
		fail_msg("flow %s %s > %s is not there to be changed", kind_names[kind],
			 end_text(from), end_text(to));
	fd = harness_shard(family, seen.table, seen.shard);
	key_fill(kind, proto, from, to, &key);
	assert_int_equal(bpf_map_lookup_elem(fd, &key, &value), 0);
	change(family == 4 ? &value.v4 : NULL, family == 6 ? &value.v6 : NULL, args);
	assert_int_equal(bpf_map_update_elem(fd, &key, &value, BPF_EXIST), 0);
}

#define SET(flow)                                                    \
	do {                                                         \
		switch ((enum flow_field)args[0]) {                  \
		case SEEN_NS:                                        \
			(flow)->seen_ns = args[1];                   \
			break;                                       \
		case TWIN_TICK:                                      \
			(flow)->twin_tick = (uint32_t)args[1];       \
			break;                                       \
		case STATE:                                          \
			(flow)->state = (enum sl_flow_state)args[1]; \
			break;                                       \
		case TAG:                                            \
			(flow)->tag = (uint32_t)args[1];             \
			break;                                       \
		case BACKEND_GEN:                                    \
			(flow)->backend_gen = (uint32_t)args[1];     \
			break;                                       \
		}                                                    \
	} while (0)

static void change_field(struct sl4_flow *v4, struct sl6_flow *v6, const uint64_t *args)
{
	if (v4)
		SET(v4);
	else
		SET(v6);
}

void flow_write(enum sl_flow_kind kind, uint8_t proto, struct end from, struct end to,
		enum flow_field field, uint64_t value)
{
	update(kind, proto, from, to, change_field, (uint64_t[]){ field, value });
}

#define AGE(flow)                                                          \
	do {                                                               \
		(flow)->seen_ns -= args[0];                                \
		(flow)->twin_tick -= (uint32_t)(args[0] >> SL_TICK_SHIFT); \
	} while (0)

static void change_age(struct sl4_flow *v4, struct sl6_flow *v6, const uint64_t *args)
{
	if (v4)
		AGE(v4);
	else
		AGE(v6);
}

void flow_age(enum sl_flow_kind kind, uint8_t proto, struct end from, struct end to, uint32_t age_s)
{
	update(kind, proto, from, to, change_age, (uint64_t[]){ age_s * 1000000000ull });
}

void flow_remove(enum sl_flow_kind kind, uint8_t proto, struct end from, struct end to)
{
	struct flow_seen seen = flow_find(kind, proto, from, to);
	union flow_key key;

	key_fill(kind, proto, from, to, &key);
	assert_int_equal(seen.copies, 1);
	assert_int_equal(bpf_map_delete_elem(harness_shard(family, seen.table, seen.shard), &key),
			 0);
}

static size_t walk(int fd, bool delete)
{
	union flow_key key, next;
	size_t n = 0;
	bool first = true;

	while (!bpf_map_get_next_key(fd, first ? NULL : &key, &next)) {
		n++;
		if (delete) {
			bpf_map_delete_elem(fd, &next);
			continue;
		}
		key = next;
		first = false;
	}
	return n;
}

size_t flow_count(enum table table)
{
	size_t n = 0;

	for (uint32_t s = 0; s < harness.shards[family == 6][table].n; s++)
		n += walk(harness_shard(family, table, s), false);
	return n;
}

void fragments_age(uint32_t age_s)
{
	uint8_t key[sizeof(struct sl6_frag_key)], keys[64][sizeof(struct sl6_frag_key)];
	int fd = map_of("frags"), n = 0;
	struct sl_frag frag;

	while (n < 64 && !bpf_map_get_next_key(fd, n ? keys[n - 1] : NULL, key))
		memcpy(keys[n++], key, sizeof(key));
	for (int i = 0; i < n; i++) {
		assert_int_equal(bpf_map_lookup_elem(fd, keys[i], &frag), 0);
		frag.seen_ns -= age_s * 1000000000ull;
		assert_int_equal(bpf_map_update_elem(fd, keys[i], &frag, BPF_EXIST), 0);
	}
}

void flows_reset(void)
{
	for (int f = 4; f <= 6; f += 2)
		for (enum table t = 0; t < TABLES; t++)
			for (uint32_t s = 0; s < harness.shards[f == 6][t].n; s++)
				walk(harness_shard(f, t, s), true);
}
