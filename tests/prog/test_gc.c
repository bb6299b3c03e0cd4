/* SPDX-License-Identifier: GPL-2.0-only */
/* Expired flows are collected by the kernel's timers, with no agent; what lives stays. How long it takes is printed. */
/* Must not know how programs collect: entries are written by hand. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>

#include "prog/life.h"
#include "prog/harness_internal.h"

#define C AT(CLIENT, 40000)
#define V AT(VIP, 80)
#define B AT(BACKEND1, 8080)

#define DAY_NS       (86400ull * 1000000000)
#define FILL_SHARDS  32
#define FILL_ENTRIES 7500 /* of SL_SHARD_FLOWS: the kernel keeps some free elements per CPU */
#define FILL_ENV \
	"GC_FILL" /* fewer, where the machine is emulated and a callback's millisecond goes by with ten */
#define STEPS_MAX  400 /* callbacks of each timer: several times what 32 shards need */
#define DEADLINE_S 20

static struct bpf_object *collector;

/* Sets the timers off; a timer that is set comes at once, so this is also how the test calls the next round. 0 or -errno. */
static int start_timers(void)
{
	static const uint8_t frame[64];
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame, .data_size_in = sizeof(frame));
	struct bpf_program *program = bpf_object__find_program_by_name(collector, "sl_gc_start");

	if (bpf_prog_test_run_opts(bpf_program__fd(program), &opts) < 0)
		return -errno;
	return (int)opts.retval;
}

/* Loads what is given and the collector over it. Skips where the kernel has no timers. */
static void start_with(void **state, const struct harness_options *options)
{
	const char *why = "";

	if (libbpf_probe_bpf_helper(BPF_PROG_TYPE_SCHED_CLS, BPF_FUNC_timer_init, NULL) != 1) {
		print_message("# skip: this kernel has no bpf_timer (5.15), the agent collects\n");
		skip();
	}
	bpf_object__close(collector);
	collector = NULL;
	assert_int_equal(harness_load(options, &why), 0);
	start(state);
	collector = harness_open(OBJECT_GC);
	assert_int_equal(bpf_object__load(collector), 0);
}

static int stop(void **state)
{
	(void)state;
	bpf_object__close(collector); /* the timers end with their map */
	collector = NULL;
	harness_unload();
	return 0;
}

#define TABLES_MAX 8

/* Each table's; the value begins with them. Returns how many tables there are. */
static uint32_t read_tables(struct sl_gc_stats ret_stats[TABLES_MAX])
{
	int fd = bpf_map__fd(bpf_object__find_map_by_name(collector, "sl_gc"));
	uint8_t value[256];
	uint32_t n = 0;

	for (; n < TABLES_MAX && !bpf_map_lookup_elem(fd, &n, value); n++)
		memcpy(&ret_stats[n], value, sizeof(ret_stats[n]));
	return n;
}

/* Sum over the tables; the longest is the longest. */
static struct sl_gc_stats read_stats(void)
{
	struct sl_gc_stats tables[TABLES_MAX], sum = { 0 };
	uint32_t n = read_tables(tables);

	for (uint32_t i = 0; i < n; i++) {
		sum.walked += tables[i].walked;
		sum.removed += tables[i].removed;
		sum.total_ns += tables[i].total_ns;
		if (tables[i].longest_ns > sum.longest_ns)
			sum.longest_ns = tables[i].longest_ns;
	}
	return sum;
}

/* Sets the timers off and waits until each has called once more: each walked its next shard. */
static void one_step(void)
{
	struct sl_gc_stats before[TABLES_MAX], now[TABLES_MAX];
	uint64_t deadline_ns = harness_now_ns() + DEADLINE_S * 1000000000ull;
	uint32_t n = read_tables(before), called = 0;

	assert_int_equal(n, 6);
	assert_int_equal(start_timers(), 0);
	while (called < n) {
		if (harness_now_ns() > deadline_ns)
			fail_msg("%u of %u timers called within %d s", called, n, DEADLINE_S);
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 },
			  NULL); /* between two looks, not instead of them */
		read_tables(now);
		called = 0;
		for (uint32_t i = 0; i < n; i++)
			called += now[i].last_ns > before[i].last_ns;
	}
}

/* A callback that removed for a millisecond leaves the rest of its shard to the next one. */
static void steps_until_removed(uint64_t n)
{
	for (int i = 0; i < STEPS_MAX && read_stats().removed < n; i++)
		one_step();
}

static void opens(struct end from)
{
	tcp_opens(from, V, B);
}

static void removes_what_expired(void **state)
{
	static const struct harness_options one_shard = {
		.consts = { .shards_tcp = 1, .shards_udp = 1, .shards_new = 1 }
	};
	struct end dead = AT(CLIENT, 1), half = AT(CLIENT, 2), alive = AT(CLIENT, 3),
		   closing = AT(CLIENT, 4), fresh = AT(CLIENT, 5);

	start_with(state, &one_shard);
	service(V, IPPROTO_TCP, READY(B));
	service(V, IPPROTO_UDP, READY(B));
	opens(dead);
	opens(half);
	opens(alive);
	opens(closing);
	udp_opens(dead, V, B);
	udp_opens(alive, V, B);
	forwards(POD_IN, TCP(family, fresh, V, SYN), NEW_FLOW, TCP(family, fresh, B, SYN));
	flow_age(SL_FLOW_REQUEST, IPPROTO_TCP, dead, V, SL_IDLE_TCP_S + 5);
	flow_age(SL_FLOW_REPLY, IPPROTO_TCP, B, dead, SL_IDLE_TCP_S + 5);
	flow_age(SL_FLOW_REQUEST, IPPROTO_TCP, half, V, SL_IDLE_TCP_S + 5); /* its twin is fresh */
	flow_age(SL_FLOW_REQUEST, IPPROTO_TCP, alive, V, SL_IDLE_TCP_S - 600);
	flow_age(SL_FLOW_REPLY, IPPROTO_TCP, B, alive, SL_IDLE_TCP_S - 600);
	flow_write(SL_FLOW_REQUEST, IPPROTO_TCP, closing, V, STATE, SL_STATE_CLOSING);
	flow_write(SL_FLOW_REPLY, IPPROTO_TCP, B, closing, STATE, SL_STATE_CLOSING);
	flow_age(SL_FLOW_REQUEST, IPPROTO_TCP, closing, V, SL_IDLE_TCP_CLOSING_S + 5);
	flow_age(SL_FLOW_REPLY, IPPROTO_TCP, B, closing, SL_IDLE_TCP_CLOSING_S + 5);
	flow_age(SL_FLOW_REQUEST, IPPROTO_UDP, dead, V, SL_IDLE_UDP_S + 5);
	flow_age(SL_FLOW_REPLY, IPPROTO_UDP, B, dead, SL_IDLE_UDP_S + 5);
	steps_until_removed(6);
	expect_no_flow(REQUEST, IPPROTO_TCP, dead, V);
	expect_no_flow(REPLY, IPPROTO_TCP, B, dead);
	expect_no_flow(REQUEST, IPPROTO_TCP, closing, V);
	expect_no_flow(REQUEST, IPPROTO_UDP, dead, V);
	expect_flow(REQUEST, IPPROTO_TCP, half, V, IN_TCP, CONFIRMED, half, B);
	expect_flow(REPLY, IPPROTO_TCP, B, half, IN_TCP, CONFIRMED, V, half);
	expect_flow(REQUEST, IPPROTO_TCP, alive, V, IN_TCP, CONFIRMED, alive, B);
	expect_flow(REQUEST, IPPROTO_UDP, alive, V, IN_UDP, CONFIRMED, alive, B);
	expect_flow(REQUEST, IPPROTO_TCP, fresh, V, IN_NEW, NEW, fresh, B);
	assert_int_equal(read_stats().removed, 6);
}

/* n entries into one shard, every other one expired. */
static uint64_t fill_shard(uint32_t shard, uint32_t n)
{
	struct sl4_flow_key *keys = calloc(n, sizeof(*keys));
	struct sl4_flow *flows = calloc(n, sizeof(*flows));
	uint64_t now_ns = harness_now_ns(), expired = 0;
	uint32_t done = n;

	for (uint32_t i = 0; i < n; i++) {
		uint32_t number = shard * n + i;

		memcpy(keys[i].saddr, &number, 4);
		keys[i].proto = IPPROTO_TCP;
		keys[i].kind = SL_FLOW_REQUEST;
		flows[i].state = SL_STATE_CONFIRMED;
		flows[i].tag = sl4_flow_hash(&keys[i], harness.options.consts.seed);
		flows[i].seen_ns = now_ns - (i % 2 ? DAY_NS + 1000000000 : 0);
		expired += i % 2;
	}
	if (bpf_map_update_batch(harness_shard(4, IN_TCP, shard), keys, flows, &done, NULL) < 0)
		fail_msg("cannot fill a shard: %s", strerror(errno));
	free(keys);
	free(flows);
	return expired;
}

/* In all: callbacks that end early walk some entries again, which is part of the price. */
static void print_figures(const char *what, uint64_t entries, const struct sl_gc_stats *stats)
{
	print_message(
		"# %llu entries, %s: longest callback so far %llu us (to be reached: 2000), a "
		"million of them would take %llu ms in all (to be reached: 250)\n",
		(unsigned long long)entries, what, (unsigned long long)stats->longest_ns / 1000,
		(unsigned long long)(stats->total_ns / entries));
}

static uint32_t fill_entries(void)
{
	const char *given = getenv(FILL_ENV);

	return given ? (uint32_t)strtoul(given, NULL, 10) : FILL_ENTRIES;
}

static void walks_many_shards_in_short_steps(void **state)
{
	static const struct harness_options large = {
		.consts = { .shards_tcp = FILL_SHARDS, .shards_udp = 1, .shards_new = 1 },
		.shard_entries = SL_SHARD_FLOWS
	};
	uint64_t expired = 0, left;
	struct sl_gc_stats stats, before;

	start_with(state, &large);
	for (uint32_t s = 0; s < FILL_SHARDS; s++)
		expired += fill_shard(s, fill_entries());
	left = flow_count(IN_TCP) - expired;
	assert_int_equal(left, expired);
	steps_until_removed(expired);
	stats = read_stats();
	print_figures("half of them expired", expired + left, &stats);
	assert_int_equal(stats.removed, expired);
	assert_int_equal(flow_count(IN_TCP), left);
	assert_true(stats.longest_ns > 0 && stats.total_ns >= stats.longest_ns);
	/* once more: what lives is walked and left */
	before = stats;
	for (int i = 0; i < STEPS_MAX && read_stats().walked - before.walked < left; i++)
		one_step();
	stats = read_stats();
	assert_int_equal(stats.removed, expired);
	assert_true(stats.walked - before.walked >= left);
	assert_int_equal(flow_count(IN_TCP), left);
	stats.walked -= before.walked;
	stats.total_ns -= before.total_ns;
	print_figures("none expired", left, &stats);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		{ "removes_what_expired v4", removes_what_expired, NULL, stop,
		  (void *)&variants[0] },
		{ "removes_what_expired v6", removes_what_expired, NULL, stop,
		  (void *)&variants[1] },
		{ "walks_many_shards_in_short_steps", walks_many_shards_in_short_steps, NULL, stop,
		  (void *)&variants[0] },
	};

	return run_group("gc", tests);
}
