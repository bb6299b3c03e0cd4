// SPDX-License-Identifier: GPL-2.0-only
// Loading, adopting and writing against the real kernel, in a BPF file system of its own that goes with the process.
#include "unit/test.h"

#include <errno.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "base/clock.h"
#include "dp/flows.h"
#include "dp/load.h"
#include "dp/maps.h"
#include "dp/pin.h"

#define S UINT64_C(1000000000)

static char bpffs[] = "/tmp/sluice-test-dp.XXXXXX";
static struct pin_dir pins;
static struct dp *dp;
static struct dp_programs programs;
static struct err err;

static struct dp_limits limits_of(uint32_t flows)
{
	return (struct dp_limits){
		.plan = { .rows = 100,
			  .slots = 200,
			  .service_ids = 101,
			  .backend_ids = 501,
			  .lines = 1000 },
		.flows = flows,
		.cpus = 2,
		.ipv4 = true,
		.ipv6 = true,
	};
}

static int load_with(uint32_t flows)
{
	struct dp_limits limits = limits_of(flows);

	err.what[0] = 0;
	return dp_load(&pins, &limits, &err, &dp, &programs);
}

static void unload(void)
{
	dp_programs_done(&programs);
	dp_free(dp);
	dp = NULL;
}

static void load(void)
{
	if (load_with(20000) < 0)
		fail_msg("%s", err.what);
}

static void load_and_commit(void)
{
	load();
	assert_int_equal(dp_load_commit(&pins, dp, &programs, &err), 0);
}

static int begin(void **state)
{
	(void)state;
	/* private: the mount and every pin in it go with this process, however it ends */
	if (!mkdtemp(bpffs) || unshare(CLONE_NEWNS) < 0 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("bpf", bpffs, "bpf", 0, "mode=0700") < 0)
		return -1;
	return pin_dir_init(bpffs, &err, &pins);
}

static int end(void **state)
{
	(void)state;
	umount2(bpffs, MNT_DETACH);
	return rmdir(bpffs);
}

static int forget(void **state)
{
	(void)state;
	if (dp)
		unload();
	return dp_unload(&pins, &err);
}

#define ALONE(name) cmocka_unit_test_teardown(name, forget)

/* ---- loading ------------------------------------------------------------------------------------- */

TEST(a_second_start_changes_nothing)
{
	struct dp_map_info maps[DP_MAPS];
	uint32_t ids[DP_PROG_COUNT];
	struct sl_meta meta;

	load_and_commit();
	assert_true(programs.maps_made);
	memcpy(maps, dp->maps, sizeof(maps));
	memcpy(ids, programs.id, sizeof(ids));
	unload();

	load();
	assert_false(programs.maps_made);
	assert_false(programs.reloaded);
	assert_memory_equal(ids, programs.id, sizeof(ids));
	for (int i = 0; i < DP_MAPS; i++)
		assert_int_equal(dp->maps[i].id, maps[i].id);
	assert_int_equal(dp_meta_read(dp, &meta), 0);
	assert_int_equal(meta.abi, SL_ABI_VERSION);
	assert_int_equal(meta.max_flows, 20000);
	assert_int_not_equal(meta.seed, 0);
	assert_int_equal(dp_pinned_flows(&pins), 20000);
}

/* A commit that ends half-way leaves programs of two kinds: neither the old agent nor the new one may adopt them. */
TEST(a_half_made_commit_is_loaded_again)
{
	struct sl_meta meta;
	uint64_t old;

	load_and_commit();
	assert_int_equal(dp_meta_read(dp, &meta), 0);
	old = meta.programs;
	meta.programs ^= 0x100; /* what is pinned seems to be of another version */
	assert_int_equal(dp_meta_write(dp, &meta), 0);
	unload();
	load();
	assert_true(programs.reloaded);
	meta.programs =
		old; /* and now that version is ours: we come back after the newer one was killed */
	assert_int_equal(dp_meta_write(dp, &meta), 0);
	assert_int_equal(pin_drop(&pins, "progs/sl_connect4_new"), 0); /* here */
	assert_int_equal(dp_load_commit(&pins, dp, &programs, &err), -ENOENT);
	unload();
	load();
	assert_true(programs.reloaded);
	assert_int_equal(dp_load_commit(&pins, dp, &programs, &err), 0);
	unload();
	load();
	assert_false(programs.reloaded);
}

/* The programs in force use a map that lost its pin: they are not for an agent that writes the new one. */
TEST(a_killed_start_that_made_a_map_is_loaded_again)
{
	load_and_commit();
	unload();
	assert_int_equal(pin_drop(&pins, "maps/sl4_services"), 0);
	load();
	assert_true(programs.maps_made && programs.reloaded);
	unload();
	load();
	assert_true(programs.reloaded);
}

TEST(an_uncommitted_start_is_loaded_again)
{
	load();
	unload();
	load_and_commit();
	assert_true(programs.left_id[DP_PROG_sl_pod_in] != 0);
	assert_true(dp_programs_own(&programs, programs.left_id[DP_PROG_sl_pod_in]));
	unload();
	load();
	assert_false(programs.reloaded);
}

TEST(another_size_is_refused_by_name_and_nothing_changes)
{
	struct dp_map_info before;

	load_and_commit();
	before = dp->maps[DP_sl4_flows_tcp];
	unload();
	assert_int_equal(load_with(40000), -EEXIST);
	assert_non_null(strstr(err.what, "/maps/sl"));
	assert_non_null(strstr(err.what, "has room for"));
	assert_non_null(strstr(err.what, "sluiced --cleanup"));
	load();
	assert_false(programs.reloaded);
	assert_int_equal(dp->maps[DP_sl4_flows_tcp].id, before.id);
}

TEST(a_map_that_was_removed_is_made_and_programs_get_it)
{
	load_and_commit();
	unload();
	assert_int_equal(pin_drop(&pins, "maps/sl6_frags"), 0);
	load();
	assert_true(programs.maps_made);
	assert_true(programs.reloaded);
	assert_true(dp->maps[DP_sl6_frags].fd >= 0);
	assert_int_equal(dp_load_commit(&pins, dp, &programs, &err), 0);
	unload();
	load();
	assert_false(programs.reloaded);
}

static uint64_t load_takes_us(void)
{
	uint64_t start_ns = clock_now_ns();

	load_and_commit();
	start_ns = clock_now_ns() - start_ns;
	unload();
	assert_int_equal(dp_unload(&pins, &err), 0);
	return start_ns / 1000;
}

/* Killed at moments that lie closer together at the beginning, where most is made; at fewer where a load takes seconds. */
TEST(killed_anywhere_the_next_start_completes)
{
	const uint64_t whole_us = load_takes_us();
	const bool slow = whole_us > 3000000;

	for (uint64_t us = 0; us < whole_us;
	     us = slow ? us * 3 + whole_us / 20 : us * 8 / 5 + whole_us / 130) {
		pid_t child = fork();

		assert_true(child >= 0);
		if (child == 0) {
			load();
			_exit(dp_load_commit(&pins, dp, &programs, &err) < 0);
		}
		usleep((useconds_t)us); /* not waiting for anything: a random moment */
		kill(child, SIGKILL);
		waitpid(child, NULL, 0);
		load_and_commit();
		for (int i = 0; i < DP_MAPS; i++)
			assert_true(dp->maps[i].fd >= 0);
		unload();
		load();
		assert_false(programs.reloaded);
		unload();
		if (us > whole_us / 4) /* sometimes over what is complete, sometimes from nothing */
			assert_int_equal(dp_unload(&pins, &err), 0);
	}
}

TEST(unloading_leaves_an_empty_file_system)
{
	struct stat st;

	load_and_commit();
	unload();
	assert_int_equal(stat(pins.path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	assert_int_equal(dp_unload(&pins, &err), 0);
	assert_int_equal(stat(pins.path, &st), -1);
	assert_int_equal(dp_unload(&pins, &err), 0);
	assert_int_equal(dp_open_read(bpffs, &err, &dp), -ENOENT);
	assert_non_null(strstr(err.what, "sl_meta"));
}

TEST(one_lock)
{
	struct pin_dir other = pins;

	assert_int_equal(pin_lock(&pins, &err), 0);
	assert_int_equal(pin_lock(&other, &err), -EBUSY);
	assert_non_null(strstr(err.what, "another sluiced"));
	pin_dir_done(&pins);
	assert_int_equal(pin_lock(&other, &err), 0);
	pin_dir_done(&other);
}

TEST(a_directory_that_is_no_bpffs_is_refused)
{
	struct pin_dir other;

	assert_int_equal(pin_dir_init("/tmp", &err, &other), -EINVAL);
	assert_non_null(strstr(err.what, "mount -t bpf"));
}

/* ---- reading and writing ------------------------------------------------------------------------- */

static struct sl_name name_of(unsigned int i)
{
	struct sl_name name = { .port = (__u16)i };

	snprintf(name.name, sizeof(name.name), "service-%u", i);
	return name;
}

static void check_names(unsigned int first, unsigned int n)
{
	struct dp_rows rows;

	assert_int_equal(dp_rows_read(dp, DP_sl4_names, &rows), 0);
	assert_int_equal(rows.n, n);
	for (size_t i = 0; i < rows.n; i++) {
		uint32_t key = ((const uint32_t *)rows.keys)[i];
		struct sl_name want = name_of(key);

		assert_in_range(key, first, first + n - 1);
		assert_memory_equal((const uint8_t *)rows.values + i * sizeof(want), &want,
				    sizeof(want));
	}
	dp_rows_done(&rows);
}

TEST(rows_in_batches_and_one_by_one)
{
	uint32_t keys[100], done = 0;
	struct sl_name names[100];

	load_and_commit();
	for (uint32_t i = 0; i < 100; i++) {
		keys[i] = i + 1;
		names[i] = name_of(i + 1);
	}
	assert_int_equal(dp_update(dp, DP_sl4_names, keys, names, 100, &done), 0);
	assert_int_equal(done, 100);
	check_names(1, 100);
	assert_int_equal(dp_delete(dp, DP_sl4_names, keys, 40, &done), 0);
	assert_int_equal(done, 40);
	assert_int_equal(dp_delete(dp, DP_sl4_names, keys, 50, NULL),
			 0); /* those that are gone are no error */
	check_names(51, 50);
	dp->no_batch = true;
	check_names(51, 50);
	assert_int_equal(dp_update(dp, DP_sl4_names, keys, names, 50, &done), 0);
	assert_int_equal(done, 50);
	check_names(1, 100);
}

TEST(a_write_that_stops_says_how_far_it_came)
{
	uint32_t keys[5] = { 1, 2, 99999, 3, 4 }, done = 0;
	struct sl4_backend rows[5] = { { .port = 1 },
				       { .port = 2 },
				       { .port = 9 },
				       { .port = 3 },
				       { .port = 4 } },
			   got;

	load_and_commit();
	for (int no_batch = 0; no_batch <= 1; no_batch++) {
		dp->no_batch = no_batch;
		assert_int_equal(dp_update(dp, DP_sl4_backends, keys, rows, 5, &done), -E2BIG);
		assert_int_equal(done, 2);
	}
	assert_int_equal(dp_lookup(dp, DP_sl4_backends, &keys[1], &got), 0);
	assert_int_equal(got.port, 2);
	assert_int_equal(dp_lookup(dp, DP_sl4_backends, &keys[3], &got), 0);
	assert_int_equal(got.port, 0);
}

TEST(ring_lines_are_written_through_memory)
{
	uint32_t keys[2] = { 7, 8 }, bad = 1000, done = 9;
	struct sl_ring_line lines[2] = { { { 1, 2, 3 } }, { { 4 } } }, got;

	load_and_commit();
	for (int family = 4; family <= 6; family += 2) {
		enum dp_map map = dp_map_of(family, DP_sl4_rings);

		assert_int_equal(dp_update(dp, map, keys, lines, 2, &done), 0);
		assert_int_equal(done, 2);
		assert_int_equal(dp_lookup(dp, map, &keys[1], &got), 0);
		assert_memory_equal(&got, &lines[1], sizeof(got));
		assert_int_equal(dp_update(dp, map, &bad, lines, 1, &done), -E2BIG);
		assert_int_equal(done, 0);
	}
}

TEST(counters_are_summed_over_cpus_and_zeroed)
{
	struct sl_backend_stats per_cpu[64] = { 0 }, sums[20];
	uint32_t id = 13;

	load_and_commit();
	assert_in_range(dp->cpus, 1, 64);
	for (uint32_t cpu = 0; cpu < dp->cpus; cpu++)
		per_cpu[cpu] = (struct sl_backend_stats){ .packets_to = cpu + 1, .new_flows = 10 };
	assert_int_equal(bpf_map_update_elem(dp->maps[DP_sl6_be_stats].fd, &id, per_cpu, BPF_ANY),
			 0);
	for (int no_batch = 0; no_batch <= 1; no_batch++) {
		dp->no_batch = no_batch;
		assert_int_equal(dp_stats_read(dp, DP_sl6_be_stats, 5, 20, sums), 0);
		assert_int_equal(sums[8].packets_to, dp->cpus * (dp->cpus + 1) / 2);
		assert_int_equal(sums[8].new_flows, 10 * dp->cpus);
		assert_int_equal(sums[7].new_flows + sums[9].new_flows, 0);
	}
	assert_int_equal(dp_stats_zero(dp, DP_sl6_be_stats, id), 0);
	assert_int_equal(dp_stats_read(dp, DP_sl6_be_stats, 13, 1, sums), 0);
	assert_int_equal(sums[0].packets_to + sums[0].new_flows, 0);
}

TEST(a_barrier_ends)
{
	load_and_commit();
	for (int i = 0; i < 3; i++)
		assert_int_equal(dp_barrier(dp), 0);
}

/* ---- flow tables ------------------------------------------------------------------------------- */

#define FLOWS 300 /* several calls' worth of buckets */

static uint64_t mix_of(int family, const void *key)
{
	struct sl_meta meta;

	assert_int_equal(dp_meta_read(dp, &meta), 0);
	return family == 4 ? sl4_flow_mix(key, meta.seed) : sl6_flow_mix(key, meta.seed);
}

/* Flow i of a family, by port. */
struct any_key {
	struct sl4_flow_key v4;
	struct sl6_flow_key v6;
};

static const void *flow_key(int family, uint8_t proto, uint16_t i, struct any_key *key)
{
	*key = (struct any_key){
		.v4 = { .sport = i, .proto = proto, .kind = SL_FLOW_REQUEST },
		.v6 = { .sport = i, .proto = proto, .kind = SL_FLOW_REQUEST },
	};
	return family == 4 ? (void *)&key->v4 : &key->v6;
}

/* Into the last free slot of its bucket. */
static void put_flow(int family, uint8_t proto, uint16_t i, uint64_t seen_ns)
{
	enum dp_map map = dp_flow_map(family, proto == IPPROTO_TCP ? DP_FLOWS_TCP : DP_FLOWS_UDP);
	struct sl4_flow f4 = { .state = SL_STATE_CONFIRMED,
			       .seen = sl_tick(seen_ns),
			       .packets = i };
	struct sl6_flow f6 = { .state = SL_STATE_CONFIRMED,
			       .seen = sl_tick(seen_ns),
			       .packets = i };
	union {
		struct sl4_flow_bucket v4;
		struct sl6_flow_bucket v6;
	} b;
	struct any_key key;
	uint64_t mix = mix_of(family, flow_key(family, proto, i, &key));
	uint32_t at = sl_bucket(mix, dp->maps[map].max_entries), *tags;
	int slot = SL_BUCKET_SLOTS - 1;

	assert_int_equal(bpf_map_lookup_elem(dp->maps[map].fd, &at, &b), 0);
	tags = family == 4 ? b.v4.tags : b.v6.tags;
	while (slot > 0 && tags[slot])
		slot--;
	tags[slot] = sl_tag(mix) | SL_TAG_KEEP;
	if (family == 4)
		b.v4.slots[slot] = (struct sl4_flow_slot){ key.v4, f4 };
	else
		b.v6.slots[slot] = (struct sl6_flow_slot){ key.v6, f6 };
	assert_int_equal(bpf_map_update_elem(dp->maps[map].fd, &at, &b, BPF_ANY), 0);
}

struct walked {
	int family;
	uint32_t n, stop_after;
	bool seen[FLOWS];
};

static int walk(void *ctx, const void *key, const void *value)
{
	struct walked *w = ctx;
	const struct sl4_flow_key *k4 = key;
	const struct sl6_flow_key *k6 = key;
	const struct sl4_flow *f4 = value;
	const struct sl6_flow *f6 = value;
	uint16_t i = w->family == 4 ? k4->sport : k6->sport;

	assert_in_range(i, 0, FLOWS - 1);
	assert_int_equal(w->family == 4 ? f4->packets : f6->packets, i);
	assert_false(w->seen[i]);
	w->seen[i] = true;
	return ++w->n == w->stop_after ? 77 : 0;
}

/* Every third is over: it is walked, but not counted. */
static void check_flows(int family, uint8_t proto)
{
	enum dp_flow_table table = proto == IPPROTO_TCP ? DP_FLOWS_TCP : DP_FLOWS_UDP;
	enum dp_map map = dp_flow_map(family, table);
	uint64_t now = clock_now_ns(), idle = dp_flow_idle_ns(proto, SL_STATE_CONFIRMED), n = 0,
		 half;
	struct walked w = { .family = family };
	struct sl6_flow value;
	struct any_key key;

	for (uint16_t i = 0; i < FLOWS; i++)
		put_flow(family, proto, i, now - (i % 3 ? idle - 5 * S : idle + 5 * S));
	assert_int_equal(dp_flows_each(dp, family, table, walk, &w), 0);
	assert_int_equal(w.n, FLOWS);
	w = (struct walked){ .family = family, .stop_after = 7 };
	assert_int_equal(dp_flows_each(dp, family, table, walk, &w), 77);
	assert_int_equal(w.n, 7);
	assert_int_equal(dp_count(dp, map, &n), 0);
	assert_int_equal(n, FLOWS * 2 / 3);
	half = dp->maps[map].max_entries / 2;
	assert_int_equal(dp_flows_count(dp, map, 0, (uint32_t)half, now, &n), 0);
	assert_int_equal(dp_flows_count(dp, map, (uint32_t)half,
					dp->maps[map].max_entries - (uint32_t)half, now, &half),
			 0);
	assert_true(n && half);
	assert_int_equal(n + half, FLOWS * 2 / 3);
	for (uint16_t i = 0; i < FLOWS + 5; i++) {
		const void *k = flow_key(family, proto, i, &key);

		assert_int_equal(dp_flow_lookup(dp, map, mix_of(family, k), k, &value),
				 i < FLOWS ? 0 : -ENOENT);
	}
}

TEST(flows_are_found_walked_and_counted_while_they_live)
{
	load_and_commit();
	for (int family = 4; family <= 6; family += 2) {
		check_flows(family, IPPROTO_TCP);
		dp->no_batch = true; /* a kernel that knows no batches of arrays */
		check_flows(family, IPPROTO_UDP);
		dp->no_batch = false;
	}
}

/* A row in slot `slot` of the first bucket, last needed `age_s` ago. */
static void put_socket(int family, uint32_t slot, uint8_t proto, uint64_t age_s)
{
	enum dp_map map = dp_map_of(family, DP_sl4_sockets);
	uint32_t at = 0, seen = sl_tick(clock_now_ns() - age_s * S);
	union {
		struct sl4_socket_bucket v4;
		struct sl6_socket_bucket v6;
	} b;

	assert_int_equal(bpf_map_lookup_elem(dp->maps[map].fd, &at, &b), 0);
	if (family == 4) {
		b.v4.tags[slot] = slot + 1;
		b.v4.slots[slot] = (struct sl4_socket_slot){ { .cookie = slot, .proto = proto },
							     { .seen = seen } };
	} else {
		b.v6.tags[slot] = slot + 1;
		b.v6.slots[slot] = (struct sl6_socket_slot){ { .cookie = slot, .proto = proto },
							     { .seen = seen } };
	}
	assert_int_equal(bpf_map_update_elem(dp->maps[map].fd, &at, &b, BPF_ANY), 0);
}

/* Of a UDP socket nobody hears that it was closed; a TCP socket takes its row with it, however long it was silent. */
TEST(sockets_are_counted_while_they_may_be_in_use)
{
	uint64_t n;

	load_and_commit();
	for (int family = 4; family <= 6; family += 2) {
		put_socket(family, 0, IPPROTO_TCP, 0);
		put_socket(family, 3, IPPROTO_TCP, 100000);
		put_socket(family, 5, IPPROTO_UDP, SL_IDLE_UDP_S - 5);
		put_socket(family, 9, IPPROTO_UDP, SL_IDLE_UDP_S + 5);
		put_socket(family, 14, IPPROTO_UDP, 100000);
		assert_int_equal(dp_count(dp, dp_map_of(family, DP_sl4_sockets), &n), 0);
		assert_int_equal(n, 3);
	}
}

static int run(void)
{
	const struct CMUnitTest tests[] = {
		ALONE(a_second_start_changes_nothing),
		ALONE(a_half_made_commit_is_loaded_again),
		ALONE(a_killed_start_that_made_a_map_is_loaded_again),
		ALONE(an_uncommitted_start_is_loaded_again),
		ALONE(another_size_is_refused_by_name_and_nothing_changes),
		ALONE(a_map_that_was_removed_is_made_and_programs_get_it),
		ALONE(killed_anywhere_the_next_start_completes),
		ALONE(unloading_leaves_an_empty_file_system),
		ALONE(one_lock),
		ALONE(a_directory_that_is_no_bpffs_is_refused),
		ALONE(rows_in_batches_and_one_by_one),
		ALONE(a_write_that_stops_says_how_far_it_came),
		ALONE(ring_lines_are_written_through_memory),
		ALONE(counters_are_summed_over_cpus_and_zeroed),
		ALONE(a_barrier_ends),
		ALONE(flows_are_found_walked_and_counted_while_they_live),
		ALONE(sockets_are_counted_while_they_may_be_in_use),
	};

	return cmocka_run_group_tests_name(__FILE__, tests, begin, end);
}

int main(void)
{
	return run();
}
