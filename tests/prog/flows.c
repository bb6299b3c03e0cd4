/* SPDX-License-Identifier: GPL-2.0-only */
/* Reads, ages and counts flow entries, whatever slot they are in. */
/* Must not know how programs choose a slot or a state. */
#include <netinet/in.h>
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

union flow_bucket {
	struct sl4_flow_bucket v4;
	struct sl6_flow_bucket v6;
};

/* ---- buckets -------------------------------------------------------------------------------------------------------- */

/* An entry of the family under test in a bucket that was read. */
static uint32_t *word_at(union flow_bucket *b, int slot)
{
	return family == 4 ? &b->v4.tags[slot] : &b->v6.tags[slot];
}

static void *key_at(union flow_bucket *b, int slot)
{
	return family == 4 ? (void *)&b->v4.slots[slot].key : &b->v6.slots[slot].key;
}

static void *value_at(union flow_bucket *b, int slot)
{
	return family == 4 ? (void *)&b->v4.slots[slot].flow : &b->v6.slots[slot].flow;
}

static size_t key_size(void)
{
	return family == 4 ? sizeof(struct sl4_flow_key) : sizeof(struct sl6_flow_key);
}

static size_t value_size(void)
{
	return family == 4 ? sizeof(struct sl4_flow) : sizeof(struct sl6_flow);
}

static uint64_t mix_of(const void *key)
{
	uint32_t seed = harness.options.consts.seed;

	return family == 4 ? sl4_flow_mix(key, seed) : sl6_flow_mix(key, seed);
}

static uint32_t buckets_of(bool tcp)
{
	const struct sl_consts *c = &harness.options.consts;

	if (family == 4)
		return tcp ? c->buckets4_tcp : c->buckets4_udp;
	return tcp ? c->buckets6_tcp : c->buckets6_udp;
}

/* Where a key's bucket is. */
struct place {
	int fd;
	uint32_t index;
};

static struct place place_of(const void *key)
{
	const struct sl4_flow_key *k4 = key;
	const struct sl6_flow_key *k6 = key;
	bool tcp = (family == 4 ? k4->proto : k6->proto) == IPPROTO_TCP;

	return (struct place){ map_of(tcp ? "flows_tcp" : "flows_udp"),
			       sl_bucket(mix_of(key), buckets_of(tcp)) };
}

static struct place bucket_read(const void *key, union flow_bucket *ret_bucket)
{
	struct place at = place_of(key);

	assert_int_equal(bpf_map_lookup_elem(at.fd, &at.index, ret_bucket), 0);
	return at;
}

static void bucket_write(struct place at, const union flow_bucket *b)
{
	assert_int_equal(bpf_map_update_elem(at.fd, &at.index, b, BPF_ANY), 0);
}

/* The slot with a key, from `slot` on; SL_BUCKET_SLOTS: none. */
static int slot_find(union flow_bucket *b, const void *key, int slot)
{
	while (slot < SL_BUCKET_SLOTS &&
	       (!*word_at(b, slot) || memcmp(key_at(b, slot), key, key_size()) != 0))
		slot++;
	return slot;
}

void flow_put(const void *key, const void *value, bool keep)
{
	union flow_bucket b;
	struct place at = bucket_read(key, &b);
	int slot = slot_find(&b, key, 0);

	for (int i = 0; slot == SL_BUCKET_SLOTS && i < SL_BUCKET_SLOTS; i++)
		if (!*word_at(&b, i))
			slot = i;
	if (slot == SL_BUCKET_SLOTS)
		fail_msg("bucket %u is full", at.index);
	*word_at(&b, slot) = sl_tag(mix_of(key)) | (keep ? SL_TAG_KEEP : 0);
	memcpy(key_at(&b, slot), key, key_size());
	memcpy(value_at(&b, slot), value, value_size());
	bucket_write(at, &b);
}

bool flow_get(const void *key, void *ret_value)
{
	union flow_bucket b;
	int slot;

	bucket_read(key, &b);
	slot = slot_find(&b, key, 0);
	if (slot < SL_BUCKET_SLOTS)
		memcpy(ret_value, value_at(&b, slot), value_size());
	return slot < SL_BUCKET_SLOTS;
}

/* ---- entries -------------------------------------------------------------------------------------------------------- */

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
		to->backend = v4->backend;
		to->sport = v4->sport;
		to->dport = v4->dport;
		to->backend_gen = v4->backend_gen;
		to->service = v4->service;
		to->flags = v4->flags;
		to->state = v4->state;
		to->twin = v4->twin;
		to->seen = v4->seen;
		to->packets = v4->packets;
		to->bytes = v4->bytes;
		to->untold = v4->untold;
	}
	seen->from = end_of(to->saddr, to->sport);
	seen->to = end_of(to->daddr, to->dport);
	seen->seen_ns = (uint64_t)to->seen << SL_TICK_SHIFT;
}

struct flow_seen flow_find(enum sl_flow_kind kind, uint8_t proto, struct end from, struct end to)
{
	struct flow_seen seen = { 0 };
	union flow_value value;
	union flow_bucket b;
	union flow_key key;

	key_fill(kind, proto, from, to, &key);
	bucket_read(&key, &b);
	for (int i = 0; (i = slot_find(&b, &key, i)) < SL_BUCKET_SLOTS; i++) {
		seen.copies++;
		seen.word = *word_at(&b, i);
		memcpy(&value, value_at(&b, i), value_size());
		value_widen(&value, &seen);
		seen.table = !(seen.value.flags & SL_FLOW_CONFIRMED) ? IN_NEW
			     : proto == IPPROTO_TCP                  ? IN_TCP
								     : IN_UDP;
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

/* The tag is the key's; kept is who is established. */
static void check_word(enum sl_flow_kind kind, uint8_t proto, struct end from, struct end to,
		       const struct flow_seen *seen, const char *file, int line)
{
	bool established = seen->table != IN_NEW && seen->value.state != SL_STATE_CLOSING;
	union flow_key key;
	uint32_t tag;

	key_fill(kind, proto, from, to, &key);
	tag = sl_tag(mix_of(&key));
	if ((seen->word & SL_TAG_MASK) != tag)
		complain("tag is %#x, must be the key's %#x", seen->word & SL_TAG_MASK, tag);
	if (!(seen->word & SL_TAG_KEEP) == established)
		complain("is %skept", established ? "not " : "");
}

void harness_expect_flow(enum sl_flow_kind kind, uint8_t proto, struct end from, struct end to,
			 enum table table, enum sl_flow_state state, struct end new_from,
			 struct end new_to, const char *file, int line)
{
	struct flow_seen seen = flow_find(kind, proto, from, to);

	if (!seen.copies)
		complain("is not there, must be in %s", table_names[table]);
	if (seen.copies > 1)
		complain("is there %d times", seen.copies);
	if (seen.table != table)
		complain("is in %s, must be in %s", table_names[seen.table], table_names[table]);
	if (!same(seen.from, new_from) || !same(seen.to, new_to))
		complain("becomes %s > %s, must become %s > %s", end_text(seen.from),
			 end_text(seen.to), end_text(new_from), end_text(new_to));
	if (seen.value.state != state)
		complain("is %s, must be %s", state_names[seen.value.state], state_names[state]);
	check_word(kind, proto, from, to, &seen, file, line);
}

void harness_expect_no_flow(enum sl_flow_kind kind, uint8_t proto, struct end from, struct end to,
			    const char *file, int line)
{
	struct flow_seen seen = flow_find(kind, proto, from, to);

	if (seen.copies)
		complain("is in %s (%s > %s), must not be", table_names[seen.table],
			 end_text(seen.from), end_text(seen.to));
}

/* Changes one entry in place. */
static void update(enum sl_flow_kind kind, uint8_t proto, struct end from, struct end to,
		   void (*change)(struct sl4_flow *, struct sl6_flow *, uint32_t *,
				  const uint64_t *),
		   const uint64_t *args)
{
	union flow_bucket b;
	union flow_key key;
	struct place at;
	int slot;

	key_fill(kind, proto, from, to, &key);
	at = bucket_read(&key, &b);
	slot = slot_find(&b, &key, 0);
	if (slot == SL_BUCKET_SLOTS)
		fail_msg("flow %s %s > %s is not there to be changed", kind_names[kind],
			 end_text(from), end_text(to));
	change(family == 4 ? value_at(&b, slot) : NULL, family == 6 ? value_at(&b, slot) : NULL,
	       word_at(&b, slot), args);
	bucket_write(at, &b);
}

#define SET(flow)                                                                    \
	do {                                                                         \
		switch ((enum flow_field)args[0]) {                                  \
		case SEEN_NS:                                                        \
			(flow)->seen = sl_tick(args[1]);                             \
			break;                                                       \
		case TWIN_NS:                                                        \
			(flow)->twin = (uint8_t)(sl_tick(args[1]) >> SL_TWIN_SHIFT); \
			break;                                                       \
		case STATE:                                                          \
			(flow)->state = (enum sl_flow_state)args[1];                 \
			break;                                                       \
		case TAG:                                                            \
			*word = (uint32_t)args[1];                                   \
			break;                                                       \
		case BACKEND_GEN:                                                    \
			(flow)->backend_gen = (uint32_t)args[1];                     \
			break;                                                       \
		}                                                                    \
	} while (0)

static void change_field(struct sl4_flow *v4, struct sl6_flow *v6, uint32_t *word,
			 const uint64_t *args)
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

#define AGE(flow)                                                             \
	do {                                                                  \
		(flow)->seen -= sl_tick(args[0]);                             \
		(flow)->twin -= (uint8_t)(sl_tick(args[0]) >> SL_TWIN_SHIFT); \
	} while (0)

static void change_age(struct sl4_flow *v4, struct sl6_flow *v6, uint32_t *word,
		       const uint64_t *args)
{
	(void)word;
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
	flow_write(kind, proto, from, to, TAG, 0);
}

/* Confirmed once, or not, in one table. */
static size_t count_table(bool tcp, bool confirmed)
{
	int fd = map_of(tcp ? "flows_tcp" : "flows_udp");
	union flow_bucket b;
	size_t n = 0;

	for (uint32_t at = 0; at < buckets_of(tcp); at++) {
		assert_int_equal(bpf_map_lookup_elem(fd, &at, &b), 0);
		for (int i = 0; i < SL_BUCKET_SLOTS; i++) {
			uint16_t flags = family == 4 ? b.v4.slots[i].flow.flags
						     : b.v6.slots[i].flow.flags;

			n += *word_at(&b, i) && !(flags & SL_FLOW_CONFIRMED) == !confirmed;
		}
	}
	return n;
}

size_t flow_count(enum table table)
{
	if (table == IN_NEW)
		return count_table(true, false) + count_table(false, false);
	return count_table(table == IN_TCP, true);
}

static void clear_table(bool tcp)
{
	static union flow_bucket zeros[HARNESS_BUCKETS];
	static uint32_t indexes[HARNESS_BUCKETS];
	LIBBPF_OPTS(bpf_map_batch_opts, opts);
	int fd = map_of(tcp ? "flows_tcp" : "flows_udp");
	uint32_t n = buckets_of(tcp);

	for (uint32_t i = 0; i < n; i++)
		indexes[i] = i;
	assert_int_equal(bpf_map_update_batch(fd, indexes, zeros, &n, &opts), 0);
}

void flows_clear(void)
{
	clear_table(true);
	clear_table(false);
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
	int under_test = family;

	for (family = 4; family <= 6; family += 2)
		flows_clear();
	family = under_test;
}
