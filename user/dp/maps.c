/* SPDX-License-Identifier: GPL-2.0 */
/* Opens the pinned maps and reads them: rows, counters, flows. */
/* Must not know what rows mean, nor who runs: it works with the agent dead. */
#include "dp/maps.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "dp/flows.h"
#include "dp/maps_internal.h"
#include "dp/sizes.h"

/* What each map must look like; 0: not checked (ring buffer, or private to programs). */
#define LAYOUTS(X)                               \
	X(sl_meta, __u32, struct sl_meta)        \
	X(sl_config, __u32, struct sl_config)    \
	X(sl_counters, __u32, struct sl_counter) \
	X(sl_devices, __u32, struct sl_device)   \
	FAMILY_LAYOUTS(X, 4)                     \
	FAMILY_LAYOUTS(X, 6)
#define FAMILY_LAYOUTS(X, v)                                                 \
	X(sl##v##_services, struct sl##v##_service_key, struct sl_slot_ref)  \
	X(sl##v##_records, __u32, struct sl##v##_service)                    \
	X(sl##v##_backends, __u32, struct sl##v##_backend)                   \
	X(sl##v##_rings, __u32, struct sl_ring_line)                         \
	X(sl##v##_filter, __u32, __u64)                                      \
	X(sl##v##_names, __u32, struct sl_name)                              \
	X(sl##v##_flows_tcp, __u32, struct sl##v##_flow_bucket)              \
	X(sl##v##_flows_udp, __u32, struct sl##v##_flow_bucket)              \
	X(sl##v##_affinity, struct sl##v##_affinity_key, struct sl_affinity) \
	X(sl##v##_sockets, __u32, struct sl##v##_socket_bucket)              \
	X(sl##v##_frags, struct sl##v##_frag_key, struct sl_frag)            \
	X(sl##v##_svc_stats, __u32, struct sl_service_stats)                 \
	X(sl##v##_be_stats, __u32, struct sl_backend_stats)

static const struct {
	uint32_t key_size, value_size;
} layouts[DP_MAPS] = {
#define LAYOUT(name, key, value) [DP_##name] = { sizeof(key), sizeof(value) },
	LAYOUTS(LAYOUT)
#undef LAYOUT
};

/* ---- opening --------------------------------------------------------------------------------- */

int dp_map_info_read(int fd, struct dp_map_info *ret_info)
{
	struct bpf_map_info info = { 0 };
	__u32 len = sizeof(info);

	if (bpf_obj_get_info_by_fd(fd, &info, &len) < 0)
		return -errno;
	*ret_info = (struct dp_map_info){
		.fd = fd,
		.type = info.type,
		.key_size = info.key_size,
		.value_size = info.value_size,
		.max_entries = info.max_entries,
		.id = info.id,
	};
	return 0;
}

int dp_map_check(enum dp_map map, const struct dp_map_info *info, const char *dir, struct err *err)
{
	if (!layouts[map].key_size || (layouts[map].key_size == info->key_size &&
				       layouts[map].value_size == info->value_size))
		return 0;
	return err_set(
		err, -EPROTO,
		"map %s/maps/%s has keys of %u and values of %u bytes, this version wants %u and %u; "
		"remove it with: sluiced --cleanup",
		dir, dp_map_name(map), info->key_size, info->value_size, layouts[map].key_size,
		layouts[map].value_size);
}

static int open_map(struct dp *dp, enum dp_map map, struct err *err)
{
	char name[64];
	int fd, rc;

	snprintf(name, sizeof(name), "maps/%s", dp_map_name(map));
	fd = pin_get(&dp->pins, name);
	if (fd == -EROFS && dp->reads_only)
		fd = pin_get_read(&dp->pins, name);
	if (fd == -ENOENT)
		return err_set(
			err, -ENOENT,
			"nothing is pinned at %s/%s: no sluiced has run here since boot or --cleanup",
			dp->pins.path, name);
	if (fd == -EPERM || fd == -EACCES)
		return err_set(err, -EPERM, "cannot open %s/%s: CAP_BPF is missing", dp->pins.path,
			       name);
	if (fd < 0)
		return err_set(err, fd, "cannot open %s/%s: %s", dp->pins.path, name,
			       strerror(-fd));
	rc = dp_map_info_read(fd, &dp->maps[map]);
	if (rc < 0) {
		close(fd);
		return err_set(err, rc, "cannot look at %s/%s: %s", dp->pins.path, name,
			       strerror(-rc));
	}
	return dp_map_check(map, &dp->maps[map], dp->pins.path, err);
}

struct dp *dp_alloc(const struct pin_dir *pins)
{
	struct dp *dp = calloc(1, sizeof(*dp));
	int cpus = libbpf_num_possible_cpus();

	if (!dp)
		return NULL;
	dp->pins = *pins;
	dp->pins.lock_fd = -1;
	dp->cpus = cpus > 0 ? (uint32_t)cpus : 1;
	dp->barrier_outer = dp->barrier_inner = -1;
	for (int i = 0; i < DP_MAPS; i++)
		dp->maps[i].fd = -1;
	return dp;
}

int dp_open_maps(struct dp *dp, struct err *err)
{
	int rc = 0;

	for (int i = 0; rc == 0 && i < DP_MAPS; i++)
		if (dp->maps[i].fd < 0)
			rc = open_map(dp, i, err);
	return rc;
}

int dp_open_read(const char *bpffs, struct err *err, struct dp **ret_dp)
{
	struct pin_dir pins;
	struct dp *dp;
	int rc = pin_dir_init(bpffs, err, &pins);

	if (rc < 0)
		return rc;
	dp = dp_alloc(&pins);
	if (!dp)
		return err_set(err, -ENOMEM, "no memory");
	dp->reads_only = true;
	rc = dp_open_maps(dp, err);
	if (rc < 0) {
		dp_free(dp);
		return rc;
	}
	*ret_dp = dp;
	return 0;
}

void dp_free(struct dp *dp)
{
	if (!dp)
		return;
	for (int i = 0; i < 2; i++)
		if (dp->rings[i])
			munmap(dp->rings[i],
			       (size_t)dp->maps[i ? DP_sl6_rings : DP_sl4_rings].max_entries *
				       sizeof(struct sl_ring_line));
	for (int i = 0; i < DP_MAPS; i++)
		if (dp->maps[i].fd >= 0)
			close(dp->maps[i].fd);
	if (dp->barrier_outer >= 0)
		close(dp->barrier_outer);
	if (dp->barrier_inner >= 0)
		close(dp->barrier_inner);
	free(dp);
}

/* ---- one element ------------------------------------------------------------------------------- */

int dp_lookup(const struct dp *dp, enum dp_map map, const void *key, void *ret_value)
{
	return bpf_map_lookup_elem(dp->maps[map].fd, key, ret_value) < 0 ? -errno : 0;
}

int dp_meta_read(const struct dp *dp, struct sl_meta *ret_meta)
{
	__u32 zero = 0;

	return dp_lookup(dp, DP_sl_meta, &zero, ret_meta);
}

int dp_config_read(const struct dp *dp, struct sl_config *ret_config)
{
	__u32 zero = 0;

	return dp_lookup(dp, DP_sl_config, &zero, ret_config);
}

/* ---- all elements ------------------------------------------------------------------------------ */

#define PIECE 1024 /* rows at once */

struct walk {
	int fd;
	uint32_t key_size, value_size, max_entries;
	dp_row_fn *fn;
	void *ctx;
	uint8_t *keys, *values;
	uint32_t room;
};

static int walk_reserve(struct walk *w, uint32_t room)
{
	uint8_t *keys = realloc(w->keys, (size_t)room * w->key_size);
	uint8_t *values;

	if (!keys)
		return -ENOMEM;
	w->keys = keys;
	values = realloc(w->values, (size_t)room * w->value_size);
	if (!values)
		return -ENOMEM;
	w->values = values;
	w->room = room;
	return 0;
}

static int walk_give(struct walk *w, uint32_t n)
{
	int rc = 0;

	for (uint32_t i = 0; rc == 0 && i < n; i++)
		rc = w->fn(w->ctx, w->keys + (size_t)i * w->key_size,
			   w->values + (size_t)i * w->value_size);
	return rc;
}

/* What a piece of a walk came to, besides -errno. */
enum { WALK_END, WALK_MORE, WALK_NO_BATCH };

/* WALK_NO_BATCH if the kernel refused the first batch. fn's own values are below zero or kept in *ret_fn. */
static int batch_piece(struct walk *w, struct dp_cursor *c, int *ret_fn)
{
	int rc = w->room ? 0 : walk_reserve(w, w->max_entries < PIECE ? w->max_entries : PIECE);
	bool first = !c->under_way;
	uint32_t n = 0;
	int e = ENOSPC;

	while (rc == 0 && e == ENOSPC) {
		n = w->room;
		e = bpf_map_lookup_batch(w->fd, first ? NULL : c->token, c->token, w->keys,
					 w->values, &n, NULL) < 0
			    ? errno
			    : 0;
		if (e == ENOSPC) /* a bucket holds more than fits */
			rc = walk_reserve(w, w->room * 2);
	}
	if (rc < 0)
		return rc;
	if (e && e != ENOENT)
		return first ? WALK_NO_BATCH : -e;
	c->under_way = true;
	*ret_fn = walk_give(w, n);
	return e == ENOENT ? WALK_END : WALK_MORE;
}

static int single_piece(struct walk *w, struct dp_cursor *c, int *ret_fn)
{
	int rc = w->room ? 0 : walk_reserve(w, 1);

	for (int i = 0; rc == 0 && i < PIECE && *ret_fn == 0; i++) {
		if (bpf_map_get_next_key(w->fd, c->under_way ? c->key : NULL, w->keys) < 0)
			return errno == ENOENT ? WALK_END : -errno;
		memcpy(c->key, w->keys, w->key_size);
		c->under_way = true;
		if (bpf_map_lookup_elem(w->fd, c->key, w->values) == 0)
			*ret_fn = walk_give(w, 1);
		else if (errno != ENOENT)
			rc = -errno;
	}
	return rc < 0 ? rc : WALK_MORE;
}

static int walk_piece(struct walk *w, struct dp_cursor *c, int *ret_fn)
{
	int rc = c->single ? WALK_NO_BATCH : batch_piece(w, c, ret_fn);

	if (rc != WALK_NO_BATCH)
		return rc;
	c->single = true;
	return single_piece(w, c, ret_fn);
}

static struct walk walk_of(const struct dp *dp, enum dp_map map, dp_row_fn *fn, void *ctx)
{
	const struct dp_map_info *info = &dp->maps[map];

	return (struct walk){
		.fd = info->fd,
		.key_size = info->key_size,
		.value_size = info->value_size,
		.max_entries = info->max_entries,
		.fn = fn,
		.ctx = ctx,
	};
}

static void walk_done(struct walk *w)
{
	free(w->keys);
	free(w->values);
}

int dp_rows_step(struct dp *dp, enum dp_map map, struct dp_cursor *cursor, dp_row_fn *fn, void *ctx)
{
	struct walk w = walk_of(dp, map, fn, ctx);
	int stop = 0, rc;

	cursor->single = cursor->single || dp->no_batch;
	rc = walk_piece(&w, cursor, &stop);
	walk_done(&w);
	return stop ? stop : rc;
}

int dp_rows_each(struct dp *dp, enum dp_map map, dp_row_fn *fn, void *ctx)
{
	struct walk w = walk_of(dp, map, fn, ctx);
	struct dp_cursor cursor = { .single = dp->no_batch };
	int stop = 0, rc;

	do {
		rc = walk_piece(&w, &cursor, &stop);
	} while (rc == WALK_MORE && !stop);
	walk_done(&w);
	return rc < 0 ? rc : stop;
}

struct collect {
	struct dp_rows *rows;
	size_t room;
};

static int collect_row(void *ctx, const void *key, const void *value)
{
	struct collect *c = ctx;
	struct dp_rows *rows = c->rows;

	if (rows->n == c->room) {
		size_t room = c->room ? c->room * 2 : 256;
		void *keys = realloc(rows->keys, room * rows->key_size);
		void *values;

		if (!keys)
			return -ENOMEM;
		rows->keys = keys;
		values = realloc(rows->values, room * rows->value_size);
		if (!values)
			return -ENOMEM;
		rows->values = values;
		c->room = room;
	}
	memcpy((uint8_t *)rows->keys + rows->n * rows->key_size, key, rows->key_size);
	memcpy((uint8_t *)rows->values + rows->n * rows->value_size, value, rows->value_size);
	rows->n++;
	return 0;
}

int dp_rows_read(struct dp *dp, enum dp_map map, struct dp_rows *ret_rows)
{
	struct dp_rows rows = { .key_size = dp->maps[map].key_size,
				.value_size = dp->maps[map].value_size };
	struct collect c = { .rows = &rows };
	int rc = dp_rows_each(dp, map, collect_row, &c);

	if (rc < 0) {
		dp_rows_done(&rows);
		return rc;
	}
	*ret_rows = rows;
	return 0;
}

void dp_rows_done(struct dp_rows *rows)
{
	free(rows->keys);
	free(rows->values);
	memset(rows, 0, sizeof(*rows));
}

/* ---- counters ---------------------------------------------------------------------------------- */

/* Values of per-CPU maps are 8-byte words of counters here. */
static void sum_cpus(const struct dp *dp, const uint64_t *values, uint32_t words, uint64_t *ret_sum)
{
	memset(ret_sum, 0, words * sizeof(*ret_sum));
	for (uint32_t cpu = 0; cpu < dp->cpus; cpu++)
		for (uint32_t i = 0; i < words; i++)
			ret_sum[i] += values[(size_t)cpu * words + i];
}

/* One batch or, where the kernel knows none (per-CPU arrays before 5.13), one element. How many were read, or -errno. */
static int read_stats(struct dp *dp, enum dp_map map, uint32_t at, uint32_t n, uint32_t *keys,
		      void *values)
{
	uint32_t before = at - 1, next, got = n;
	int fd = dp->maps[map].fd;

	if (!dp->no_batch &&
	    (bpf_map_lookup_batch(fd, at ? &before : NULL, &next, keys, values, &got, NULL) == 0 ||
	     (errno == ENOENT && got)))
		return (int)got;
	return bpf_map_lookup_elem(fd, &at, values) < 0 ? -errno : 1;
}

int dp_stats_read(struct dp *dp, enum dp_map map, uint32_t first, uint32_t n, void *ret_values)
{
	uint32_t words = dp->maps[map].value_size / 8, step = n < 512 ? n : 512, done = 0;
	size_t stride = (size_t)words * dp->cpus;
	uint64_t *values = calloc(step ? step : 1, stride * sizeof(*values));
	uint32_t *keys = calloc(step ? step : 1, sizeof(*keys));
	uint64_t *out = ret_values;
	int got = values && keys ? 0 : -ENOMEM;

	while (got >= 0 && done < n) {
		got = read_stats(dp, map, first + done, n - done < step ? n - done : step, keys,
				 values);
		for (int i = 0; i < got; i++, done++)
			sum_cpus(dp, values + (size_t)i * stride, words,
				 out + (size_t)done * words);
	}
	free(values);
	free(keys);
	return got < 0 ? got : 0;
}

int dp_counters_read(const struct dp *dp, struct sl_counter ret_counters[SL_REASON_COUNT])
{
	uint32_t words = sizeof(struct sl_counter) / 8;
	_cleanup_free_ uint64_t *values = calloc((size_t)words * dp->cpus, sizeof(*values));

	if (!values)
		return -ENOMEM;
	for (__u32 reason = 0; reason < SL_REASON_COUNT; reason++) {
		if (bpf_map_lookup_elem(dp->maps[DP_sl_counters].fd, &reason, values) < 0)
			return -errno;
		sum_cpus(dp, values, words, (uint64_t *)&ret_counters[reason]);
	}
	return 0;
}

/* ---- counting ---------------------------------------------------------------------------------- */

static int count_row(void *ctx, const void *key, const void *value)
{
	(void)key;
	(void)value;
	++*(uint64_t *)ctx;
	return 0;
}

static bool is_array(const struct dp_map_info *info)
{
	return info->type == BPF_MAP_TYPE_ARRAY || info->type == BPF_MAP_TYPE_PERCPU_ARRAY;
}

int dp_count(struct dp *dp, enum dp_map map, uint64_t *ret_n)
{
	uint64_t n = 0;
	int rc = 0;

	if (dp_map_is_buckets(map))
		rc = dp_flows_count(dp, map, 0, dp->maps[map].max_entries, clock_now_ns(), &n);
	else if (is_array(&dp->maps[map]))
		n = dp->maps[map].max_entries;
	else
		rc = dp_rows_each(dp, map, count_row, &n);
	if (rc == 0)
		*ret_n = n;
	return rc;
}

uint64_t dp_capacity(const struct dp *dp, enum dp_map map)
{
	return (uint64_t)dp->maps[map].max_entries *
	       (dp_map_is_buckets(map) ? SIZES_BUCKET_LOAD : 1);
}

/* ---- as rows for core -------------------------------------------------------------------------- */

struct row_walk {
	int (*fn)(void *fn_ctx, const void *key, const void *value);
	void *ctx;
	uint32_t value_len;
};

static int give_row(void *ctx, const void *key, const void *value)
{
	static const uint8_t zeros[ROW_VALUE_MAX];
	const struct row_walk *w = ctx;

	if (w->value_len && memcmp(value, zeros, w->value_len) == 0)
		return 0;
	return w->fn(w->ctx, key, value);
}

static struct row_walk row_walk_of(enum row_table table, dp_row_fn *fn, void *ctx)
{
	return (struct row_walk){
		.fn = fn,
		.ctx = ctx,
		.value_len = row_tables[table].array ? row_tables[table].value_len : 0,
	};
}

static int reader_each(void *ctx, enum row_table table,
		       int (*fn)(void *fn_ctx, const void *key, const void *value), void *fn_ctx)
{
	struct row_walk w = row_walk_of(table, fn, fn_ctx);

	return dp_rows_each(ctx, dp_map_of_row(table), give_row, &w);
}

int dp_table_step(struct dp *dp, enum row_table table, struct dp_cursor *cursor, dp_row_fn *fn,
		  void *ctx)
{
	struct row_walk w = row_walk_of(table, fn, ctx);

	return dp_rows_step(dp, dp_map_of_row(table), cursor, give_row, &w);
}

static int reader_get(void *ctx, enum row_table table, const void *key, void *ret_value)
{
	return dp_lookup(ctx, dp_map_of_row(table), key, ret_value);
}

struct row_reader dp_row_reader(struct dp *dp)
{
	return (struct row_reader){ .ctx = dp, .each = reader_each, .get = reader_get };
}
