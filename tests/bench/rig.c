/* SPDX-License-Identifier: GPL-2.0 */
/* Data paths to measure: loads programs, publishes services, writes flows. */
/* Must not know what is measured. */
#include "bench/rig.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "base/clock.h"
#include "bench/generate.h"
#include "core/diff.h"
#include "core/plan.h"
#include "core/problem.h"
#include "core/store.h"
#include "dp/flows.h"

#define BATCH 256

static char bpffs[64];

static void remove_bpffs(void)
{
	umount2(bpffs, MNT_DETACH);
	rmdir(bpffs);
}

int rig_setup(struct err *err)
{
	char dir[] = "/tmp/sluice-bench-XXXXXX";

	if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return err_set(err, -errno, "cannot make a mount namespace: %s; run as root",
			       strerror(errno));
	if (!mkdtemp(dir))
		return err_set(err, -errno, "cannot make %s: %s", dir, strerror(errno));
	snprintf(bpffs, sizeof(bpffs), "%s", dir);
	if (mount("bpf", bpffs, "bpf", 0, NULL) < 0) {
		rmdir(bpffs);
		return err_set(err, -errno, "cannot mount a bpffs at %s: %s", bpffs,
			       strerror(errno));
	}
	atexit(remove_bpffs);
	return 0;
}

/* ---- addresses ------------------------------------------------------------------------------------------------------ */

static void write_addr(int family, uint32_t low, uint8_t *ret_bytes)
{
	uint32_t prefix = htonl(RIG_PREFIX6), word = htonl(low);

	if (family == 4) {
		memcpy(ret_bytes, &word, 4);
		return;
	}
	memset(ret_bytes, 0, 16);
	memcpy(ret_bytes, &prefix, 4);
	memcpy(ret_bytes + 12, &word, 4);
}

static uint32_t read_low(int family, const uint8_t *bytes)
{
	uint32_t word;

	memcpy(&word, bytes + (family == 4 ? 0 : 12), 4);
	return ntohl(word);
}

static struct address address_of(int family, uint32_t low)
{
	struct address a = { .family = (uint8_t)family };

	write_addr(family, low, a.b);
	return a;
}

/* ---- loading -------------------------------------------------------------------------------------------------------- */

static int load(struct rig *rig, const struct plan_limits *limits, struct err *err)
{
	const struct rig_options *o = &rig->options;
	struct dp_limits dp_limits = {
		.plan = *limits,
		.flows = o->flows,
		.cpus = (uint32_t)sysconf(_SC_NPROCESSORS_CONF),
		.ipv4 = o->family == 4,
		.ipv6 = o->family == 6,
	};
	static unsigned int n; /* names are not used again */
	struct pin_dir pins;
	char dir[128];
	int rc;

	snprintf(dir, sizeof(dir), "%s/%s-%u", bpffs, o->name, n++);
	if (mkdir(dir, 0700) < 0)
		return err_set(err, -errno, "cannot make %s: %s", dir, strerror(errno));
	rc = pin_dir_init(dir, err, &pins);
	if (rc == 0)
		rc = dp_load(&pins, &dp_limits, err, &rig->dp, &rig->programs);
	return rc;
}

static int make_core(struct rig *rig, const struct plan_limits *limits, struct err *err)
{
	int family = rig->options.family;
	struct address node = address_of(family, RIG_NODE);
	struct cidr service_cidr = { address_of(family, RIG_VIP & ~0xfffffu),
				     family == 4 ? 12 : 108 };
	struct plan_config config = {
		.node_name = "node",
		.node_ips = &node,
		.n_node_ips = 1,
		.service_cidrs = &service_cidr,
		.n_service_cidrs = 1,
		.snat_low = 20000,
		.snat_high = 29999,
		.limits = *limits,
	};
	int rc;

	rig->problems = problems_new(NULL, NULL);
	rig->store = store_new(rig->problems);
	rig->diff = diff_new();
	if (!rig->problems || !rig->store || !rig->diff)
		return err_set(err, -ENOMEM, "no memory");
	rc = plan_new(&config, rig->store, rig->diff, rig->problems, &rig->plan);
	return rc < 0 ? err_set(err, rc, "plan: %s", strerror(-rc)) : 0;
}

int rig_new(const struct rig_options *options, struct err *err, struct rig **ret_rig)
{
	struct plan_limits limits = plan_limits_of(options->max_services, options->max_backends);
	struct rig *rig = calloc(1, sizeof(*rig));
	int rc;

	if (!rig)
		return err_set(err, -ENOMEM, "no memory");
	rig->options = *options;
	rc = load(rig, &limits, err);
	if (rc == 0)
		rc = make_core(rig, &limits, err);
	if (rc < 0) {
		rig_free(rig);
		return rc;
	}
	*ret_rig = rig;
	return 0;
}

void rig_free(struct rig *rig)
{
	if (!rig)
		return;
	plan_free(rig->plan);
	diff_free(rig->diff);
	store_free(rig->store);
	problems_free(rig->problems);
	if (rig->dp) {
		struct pin_dir pins = rig->dp->pins;

		dp_programs_done(&rig->programs);
		dp_free(rig->dp);
		dp_unload(&pins, NULL);
	}
	free(rig->backends[0]);
	free(rig->backends[1]);
	free(rig);
}

/* ---- publishing ----------------------------------------------------------------------------------------------------- */

static void put_service(const struct source_sink *sink, const struct rig_options *o, char *name,
			uint32_t s)
{
	struct address ip = address_of(o->family, RIG_VIP + s);
	struct service_port ports[] = {
		{ .name = "tcp", .proto = IPPROTO_TCP, .port = RIG_PORT },
		{ .name = "udp", .proto = IPPROTO_UDP, .port = RIG_PORT },
	};
	struct service service = {
		.meta = { .namespace = "bench", .name = name },
		.cluster_ips = &ip,
		.n_cluster_ips = 1,
		.ports = ports,
		.n_ports = o->udp ? 2 : 1,
	};

	sink->put_service(sink->ctx, &service);
}

static void put_slice(const struct source_sink *sink, const struct rig_options *o, char *name,
		      uint32_t s, uint32_t n_endpoints)
{
	struct slice_port ports[] = {
		{ .name = "tcp", .proto = IPPROTO_TCP, .port = RIG_TARGET_PORT },
		{ .name = "udp", .proto = IPPROTO_UDP, .port = RIG_TARGET_PORT },
	};
	struct endpoint endpoints[RIG_ENDPOINT_STEP] = { 0 };
	struct endpoint_slice slice = {
		.meta = { .namespace = "bench", .name = name },
		.service = name,
		.family = (uint8_t)o->family,
		.endpoints = endpoints,
		.n_endpoints = n_endpoints,
		.ports = ports,
		.n_ports = o->udp ? 2 : 1,
	};

	for (uint32_t e = 0; e < n_endpoints; e++) {
		endpoints[e].addr = address_of(o->family, RIG_ENDPOINT + s * RIG_ENDPOINT_STEP + e);
		endpoints[e].ready = endpoints[e].serving = true;
	}
	sink->put_slice(sink->ctx, &slice);
}

static void put_all(struct rig *rig, uint32_t services, uint32_t endpoints)
{
	struct source_sink sink = store_sink(rig->store);
	char name[32];

	for (uint32_t s = 0; s < services; s++) {
		snprintf(name, sizeof(name), "service-%u", s);
		put_service(&sink, &rig->options, name, s);
		put_slice(&sink, &rig->options, name, s, endpoints);
	}
	for (int kind = 0; kind < OBJECT_KINDS; kind++)
		sink.listed(sink.ctx, kind);
}

/* One run of operations of the same table and action, as one batch. */
static int apply_run(struct rig *rig, const struct diff_op *ops, uint32_t n)
{
	static uint8_t keys[BATCH * ROW_KEY_MAX], values[BATCH * ROW_VALUE_MAX];
	enum dp_map map = dp_map_of_row(ops[0].table);
	uint32_t key_len = rig->dp->maps[map].key_size, value_len = rig->dp->maps[map].value_size;
	int rc;

	for (uint32_t i = 0; i < n; i++) {
		memcpy(keys + i * key_len, ops[i].key, key_len);
		if (ops[i].action == DIFF_PUT)
			memcpy(values + i * value_len, ops[i].value, value_len);
	}
	rc = ops[0].action == DIFF_PUT ? dp_update(rig->dp, map, keys, values, n, NULL)
				       : dp_delete(rig->dp, map, keys, n, NULL);
	for (uint32_t i = 0; rc == 0 && i < n; i++)
		diff_done(rig->diff, &ops[i]);
	return rc;
}

/* Counters of ids with a new owner start at zero, as they do in maps just made: nothing to write. */
static void take_new_ids(struct rig *rig)
{
	uint32_t ids[BATCH];
	int family = rig->options.family;

	while (plan_take_new_backends(rig->plan, family, ids, BATCH))
		;
	while (plan_take_new_services(rig->plan, family, ids, BATCH))
		;
}

static int apply(struct rig *rig, uint64_t *ret_rows)
{
	struct diff_op ops[BATCH];
	uint64_t rows = 0;
	size_t n;
	int rc = 0;

	take_new_ids(rig);
	diff_begin(rig->diff);
	while (rc == 0 && (n = diff_next_run(rig->diff, ops, BATCH))) {
		rc = apply_run(rig, ops, (uint32_t)n);
		rows += n;
	}
	*ret_rows = rows;
	return rc;
}

/* Whose backend is it? By address: service and endpoint; by name: TCP or UDP. */
static void note_backend(struct rig *rig, uint32_t id, const uint8_t *value)
{
	int family = rig->options.family;
	const struct sl4_backend *b4 = (const void *)value;
	const struct sl6_backend *b6 = (const void *)value;
	struct rig_backend b = { id, family == 4 ? b4->gen : b6->gen,
				 family == 4 ? b4->service : b6->service };
	uint32_t at = read_low(family, value) - RIG_ENDPOINT, s = at / RIG_ENDPOINT_STEP,
		 e = at % RIG_ENDPOINT_STEP;
	struct sl_name name;

	if (s >= rig->services || e >= rig->endpoints ||
	    dp_lookup(rig->dp, dp_map_of(family, DP_sl4_names), &b.service, &name) < 0)
		return;
	rig->backends[name.proto == IPPROTO_UDP][s * rig->endpoints + e] = b;
}

static int note_backends(struct rig *rig)
{
	size_t n = (size_t)rig->services * rig->endpoints;
	struct dp_rows rows;
	int rc = dp_rows_read(rig->dp, dp_map_of(rig->options.family, DP_sl4_backends), &rows);

	if (rc < 0)
		return rc;
	rig->backends[0] = calloc(n, sizeof(struct rig_backend));
	rig->backends[1] = calloc(n, sizeof(struct rig_backend));
	for (size_t i = 0; i < rows.n && rig->backends[0] && rig->backends[1]; i++)
		note_backend(rig, ((uint32_t *)rows.keys)[i],
			     (uint8_t *)rows.values + i * rows.value_size);
	dp_rows_done(&rows);
	if (!rig->backends[0] || !rig->backends[1])
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		if (!rig->backends[0][i].id || (rig->options.udp && !rig->backends[1][i].id))
			return -ENOENT;
	return 0;
}

int rig_publish(struct rig *rig, uint32_t services, uint32_t endpoints, struct err *err,
		struct rig_times *ret_times)
{
	uint64_t began = clock_now_ns(), stored, planned, rows = 0;
	int rc;

	put_all(rig, services, endpoints);
	stored = clock_now_ns();
	rc = plan_run(rig->plan);
	planned = clock_now_ns();
	diff_allow_removals(rig->diff);
	if (rc == 0)
		rc = apply(rig, &rows);
	if (rc < 0)
		return err_set(err, rc, "cannot publish %u services: %s", services, strerror(-rc));
	*ret_times = (struct rig_times){ stored - began, planned - stored, clock_now_ns() - planned,
					 rows };
	rig->services = services;
	rig->endpoints = endpoints;
	rc = note_backends(rig);
	return rc < 0 ? err_set(err, rc, "not every endpoint of %u services is in the maps",
				services)
		      : 0;
}

/* ---- flows ---------------------------------------------------------------------------------------------------------- */

/* A whole table in memory, written at once. */
struct flow_writer {
	struct rig *rig;
	enum dp_map map;
	uint32_t seed, n_buckets, seen;
	size_t bucket_size;
	uint8_t proto;
	uint8_t *buckets;
	uint64_t left_out; /* entries whose bucket was full */
};

static int writer_init(struct flow_writer *w, struct rig *rig, uint8_t proto, uint32_t age_s)
{
	enum dp_map map = dp_flow_map(rig->options.family,
				      proto == IPPROTO_UDP ? DP_FLOWS_UDP : DP_FLOWS_TCP);
	struct sl_meta meta;
	int rc = dp_meta_read(rig->dp, &meta);

	if (rc < 0)
		return rc;
	*w = (struct flow_writer){
		.rig = rig,
		.map = map,
		.seed = meta.seed,
		.n_buckets = rig->dp->maps[map].max_entries,
		.seen = sl_tick(clock_now_ns() - age_s * CLOCK_NS_PER_S),
		.bucket_size = rig->dp->maps[map].value_size,
		.proto = proto,
	};
	w->buckets = calloc(w->n_buckets, w->bucket_size);
	return w->buckets ? 0 : -ENOMEM;
}

static int writer_flush(struct flow_writer *w)
{
	LIBBPF_OPTS(bpf_map_batch_opts, opts);
	uint32_t keys[BATCH];

	for (uint32_t at = 0; at < w->n_buckets;) {
		uint32_t n = w->n_buckets - at < BATCH ? w->n_buckets - at : BATCH;

		for (uint32_t i = 0; i < n; i++)
			keys[i] = at + i;
		if (bpf_map_update_batch(w->rig->dp->maps[w->map].fd, keys,
					 w->buckets + at * w->bucket_size, &n, &opts) < 0)
			return -errno;
		at += n;
	}
	return 0;
}

/* Where programs would put it: at home, or else wherever there is room. */
static int pick_slot(struct flow_writer *w, uint32_t *tags, uint64_t mix)
{
	uint32_t tag = sl_tag(mix), at = sl_home(tag), kept = 0;

	for (uint32_t i = 0; i < SL_BUCKET_SLOTS && tags[at]; i++)
		at = i;
	if (tags[at]) {
		w->left_out++;
		return -1;
	}
	for (uint32_t i = 0; i < SL_BUCKET_SLOTS; i++)
		kept += tags[i] >> 31;
	tags[at] = tag | (kept < SL_BUCKET_KEEP ? SL_TAG_KEEP : 0);
	return (int)at;
}

/* One end of a packet. */
struct side {
	uint32_t low;
	uint16_t port;
};

static void write_entry4(struct flow_writer *w, enum sl_flow_kind kind, const struct side in[2],
			 const struct side out[2], const struct rig_backend *b)
{
	struct sl4_flow_slot entry = {
		.key = { .sport = in[0].port, .dport = in[1].port, .proto = w->proto, .kind = kind },
		.flow = {
			.sport = out[0].port,
			.dport = out[1].port,
			.flags = SL_FLOW_CONFIRMED,
			.state = SL_STATE_CONFIRMED,
			.twin = (uint8_t)(w->seen >> SL_TWIN_SHIFT),
			.backend = b->id,
			.backend_gen = b->gen,
			.service = b->service,
			.seen = w->seen,
		},
	};
	struct sl4_flow_bucket *bucket = (void *)w->buckets;
	uint64_t mix;
	int slot;

	write_addr(4, in[0].low, entry.key.saddr);
	write_addr(4, in[1].low, entry.key.daddr);
	write_addr(4, out[0].low, entry.flow.saddr);
	write_addr(4, out[1].low, entry.flow.daddr);
	mix = sl4_flow_mix(&entry.key, w->seed);
	bucket += sl_bucket(mix, w->n_buckets);
	slot = pick_slot(w, bucket->tags, mix);
	if (slot >= 0)
		bucket->slots[slot] = entry;
}

static void write_entry6(struct flow_writer *w, enum sl_flow_kind kind, const struct side in[2],
			 const struct side out[2], const struct rig_backend *b)
{
	struct sl6_flow_slot entry = {
		.key = { .sport = in[0].port, .dport = in[1].port, .proto = w->proto, .kind = kind },
		.flow = {
			.sport = out[0].port,
			.dport = out[1].port,
			.flags = SL_FLOW_CONFIRMED,
			.state = SL_STATE_CONFIRMED,
			.twin = (uint8_t)(w->seen >> SL_TWIN_SHIFT),
			.backend = b->id,
			.backend_gen = b->gen,
			.service = b->service,
			.seen = w->seen,
		},
	};
	struct sl6_flow_bucket *bucket = (void *)w->buckets;
	uint64_t mix;
	int slot;

	write_addr(6, in[0].low, entry.key.saddr);
	write_addr(6, in[1].low, entry.key.daddr);
	write_addr(6, out[0].low, entry.flow.saddr);
	write_addr(6, out[1].low, entry.flow.daddr);
	mix = sl6_flow_mix(&entry.key, w->seed);
	bucket += sl_bucket(mix, w->n_buckets);
	slot = pick_slot(w, bucket->tags, mix);
	if (slot >= 0)
		bucket->slots[slot] = entry;
}

static void write_entry(struct flow_writer *w, enum sl_flow_kind kind, struct side from,
			struct side to, struct side new_from, struct side new_to,
			const struct rig_backend *b)
{
	struct side in[] = { from, to }, out[] = { new_from, new_to };

	if (w->rig->options.family == 4)
		write_entry4(w, kind, in, out, b);
	else
		write_entry6(w, kind, in, out, b);
}

static void write_flow(struct flow_writer *w, uint32_t id, uint32_t services)
{
	const struct rig *rig = w->rig;
	uint32_t s = id % services, e = id / services % rig->endpoints;
	const struct rig_backend *b =
		&rig->backends[w->proto == IPPROTO_UDP][s * rig->endpoints + e];
	struct side client = { RIG_CLIENT + (id >> 16), (uint16_t)(id + BENCH_CLIENT_PORT) };
	struct side vip = { RIG_VIP + s, RIG_PORT };
	struct side endpoint = { RIG_ENDPOINT + s * RIG_ENDPOINT_STEP + e, RIG_TARGET_PORT };

	write_entry(w, SL_FLOW_REQUEST, client, vip, client, endpoint, b);
	write_entry(w, SL_FLOW_REPLY, endpoint, client, vip, client, b);
}

int rig_flows(struct rig *rig, uint8_t proto, uint32_t n, uint32_t services, uint32_t age_s,
	      struct err *err)
{
	struct flow_writer w = { 0 };
	int rc = writer_init(&w, rig, proto, age_s);

	for (uint32_t i = 0; rc == 0 && i < n; i++)
		write_flow(&w, i, services);
	if (rc == 0)
		rc = writer_flush(&w);
	free(w.buckets);
	if (rc < 0)
		return err_set(err, rc, "cannot write flows: %s", strerror(-rc));
	/* A hash spreads them, so a few find no room where a bucket overflows: with more of them the measurement is another one. */
	return w.left_out > n / RIG_STRAYS
		       ? err_set(err, -ENOSPC, "%llu of %u flow entries found no room",
				 (unsigned long long)w.left_out, 2 * n)
		       : 0;
}

/* ---- memory --------------------------------------------------------------------------------------------------------- */

static uint64_t memlock_of(int fd)
{
	char path[64], line[128];
	unsigned long long bytes = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "memlock: %llu", &bytes) == 1)
			break;
	if (f)
		fclose(f);
	return bytes;
}

uint64_t rig_memory(const struct rig *rig)
{
	uint64_t bytes = 0;

	for (int m = 0; m < DP_MAPS; m++)
		bytes += memlock_of(rig->dp->maps[m].fd);
	return bytes;
}
