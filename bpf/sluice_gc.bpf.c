// SPDX-License-Identifier: GPL-2.0
// Collects expired flows in the kernel, agent or no agent (kernels >= 5.15). One timer a table; each callback walks one
// shard, so it is bounded by SL_SHARD_FLOWS entries, and the next one waits. A round takes about GC_ROUND_NS.
// Correctness does not rest on this: an expired entry is treated as absent wherever it is met.
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>

#define SL_STEPS_FLOW
#include "families.h"

#define CLOCK_MONOTONIC 1
#define GC_ROUND_NS (30 * NS_PER_S)
#define GC_PAUSE_MIN_NS (20 * 1000 * 1000ull)
#define GC_BUDGET_NS (1000 * 1000ull) /* then the rest of the shard waits; removing costs several times as much as looking */

enum gc_table {
	GC_TCP4,
	GC_UDP4,
	GC_NEW4,
	GC_TCP6,
	GC_UDP6,
	GC_NEW6,
	GC_TABLES,
};

struct gc_slot {
	struct sl_gc_stats stats;
	__u64 shard; /* next to walk */
	struct bpf_timer timer;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, struct gc_slot);
	__uint(max_entries, GC_TABLES);
} sl_gc SEC(".maps");

struct gc_walk {
	__u64 now;
	__u64 walked;
	__u64 removed;
	__u64 stopped; /* the budget was used up */
};

/* Called for each entry of a shard: removes it if neither it nor its twin is fresh. */
#define COLLECT(family, struct_key, struct_flow)                                                                       \
	static long collect##family(void *map, struct struct_key *key, struct struct_flow *f, struct gc_walk *walk)    \
	{                                                                                                              \
		struct struct_key other;                                                                               \
		struct struct_flow *twin;                                                                              \
		__u32 tag;                                                                                             \
                                                                                                                       \
		walk->walked++;                                                                                        \
		if (sl##family##_flow_is_fresh(f, key->proto, walk->now))                                              \
			return 0;                                                                                      \
		sl##family##_twin_key(key, f, &other);                                                                 \
		tag = sl##family##_flow_tag(&other);                                                                   \
		twin = sl##family##_flow_confirmed(&other, tag);                                                       \
		if (!twin)                                                                                             \
			twin = sl##family##_flow_unconfirmed(&other, tag);                                             \
		if (twin && sl##family##_is_twin_of(twin, key) &&                                                      \
		    sl##family##_flow_is_fresh(twin, key->proto, walk->now))                                           \
			return 0;                                                                                      \
		walk->removed++;                                                                                       \
		bpf_map_delete_elem(map, key);                                                                         \
		if (bpf_ktime_get_ns() - walk->now < GC_BUDGET_NS)                                                     \
			return 0;                                                                                      \
		walk->stopped = 1;                                                                                     \
		return 1;                                                                                              \
	}

COLLECT(4, sl4_flow_key, sl4_flow)
COLLECT(6, sl6_flow_key, sl6_flow)

static __always_inline void gc_account(struct gc_slot *slot, const struct gc_walk *walk, __u64 began, __u32 shards)
{
	__u64 took = bpf_ktime_get_ns() - began;

	slot->stats.walked += walk->walked;
	slot->stats.removed += walk->removed;
	slot->stats.last_ns = began;
	slot->stats.total_ns += took;
	if (took > slot->stats.longest_ns)
		slot->stats.longest_ns = took;
	if (walk->stopped)
		return; /* the same shard once more */
	slot->shard++;
	if (slot->shard >= shards) {
		slot->shard = 0;
		slot->stats.rounds++;
	}
}

static __always_inline __u64 gc_pause_ns(const struct gc_walk *walk, __u32 shards)
{
	__u64 pause = GC_ROUND_NS / (shards ? shards : 1);

	return pause < GC_PAUSE_MIN_NS || walk->stopped ? GC_PAUSE_MIN_NS : pause;
}

/* The timer of one table. A map of maps must be named where it is used, so each table has its own. */
#define TIMER(table, family, shards)                                                                                   \
	static int timer_##table(void *map, __u32 *key, struct gc_slot *slot)                                          \
	{                                                                                                              \
		struct gc_walk walk = {.now = bpf_ktime_get_ns()};                                                     \
		__u32 shard = slot->shard;                                                                             \
		void *inner = bpf_map_lookup_elem(&table, &shard);                                                     \
                                                                                                                       \
		(void)map, (void)key;                                                                                  \
		if (inner)                                                                                             \
			bpf_for_each_map_elem(inner, collect##family, &walk, 0);                                       \
		gc_account(slot, &walk, walk.now, shards);                                                             \
		bpf_timer_start(&slot->timer, gc_pause_ns(&walk, shards), 0);                                                 \
		return 0;                                                                                              \
	}

TIMER(sl4_flows_tcp, 4, sl_consts.shards_tcp)
TIMER(sl4_flows_udp, 4, sl_consts.shards_udp)
TIMER(sl4_flows_new, 4, sl_consts.shards_new)
TIMER(sl6_flows_tcp, 6, sl_consts.shards_tcp)
TIMER(sl6_flows_udp, 6, sl_consts.shards_udp)
TIMER(sl6_flows_new, 6, sl_consts.shards_new)

#define START(index, table)                                                                       \
	do {                                                                                      \
		__u32 key = index;                                                                \
		struct gc_slot *slot = bpf_map_lookup_elem(&sl_gc, &key);                         \
                                                                                                  \
		if (!slot)                                                                        \
			return 1;                                                                 \
		bpf_timer_init(&slot->timer, &sl_gc, CLOCK_MONOTONIC); /* EBUSY: it was already */ \
		if (bpf_timer_set_callback(&slot->timer, timer_##table) ||                        \
		    bpf_timer_start(&slot->timer, GC_PAUSE_MIN_NS, 0))                            \
			return 1;                                                                 \
	} while (0)

/* Run once by the loader (BPF_PROG_TEST_RUN); again after an upgrade, which gives the timers the new callbacks. 0 or 1. */
SEC("tc")
int sl_gc_start(struct __sk_buff *skb)
{
	(void)skb;
	START(GC_TCP4, sl4_flows_tcp);
	START(GC_UDP4, sl4_flows_udp);
	START(GC_NEW4, sl4_flows_new);
	START(GC_TCP6, sl6_flows_tcp);
	START(GC_UDP6, sl6_flows_udp);
	START(GC_NEW6, sl6_flows_new);
	return 0;
}

char _license[] SEC("license") = "GPL";
