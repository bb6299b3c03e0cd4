/* SPDX-License-Identifier: GPL-2.0 */
/* Creates every map once and pins it, or adopts what an earlier agent pinned. */
/* Must not know programs or hooks. Killed anywhere, the next start completes the set. */
#include "dp/maps_make.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "dp/maps_internal.h"

static const char *map_pin(enum dp_map map, char name[64])
{
	snprintf(name, 64, "maps/%s", dp_map_name(map));
	return name;
}

static int refuse_size(struct dp *dp, enum dp_map map, uint32_t have, uint32_t want,
		       struct err *err)
{
	return err_set(
		err, -EEXIST,
		"map %s/maps/%s has room for %u entries, these options want %u; give the --max-… options it was made "
		"with, or remove it (and all flows) with: sluiced --cleanup",
		dp->pins.path, dp_map_name(map), have, want);
}

/* Takes over a pinned map. 0: adopted; -ENOENT: there is none. */
static int adopt(struct dp *dp, enum dp_map map, struct bpf_map *declared, struct err *err)
{
	struct dp_map_info info;
	char name[64];
	int rc, fd = pin_get(&dp->pins, map_pin(map, name));

	if (fd == -ENOENT)
		return -ENOENT;
	if (fd < 0)
		return err_set(err, fd, "cannot open %s/%s: %s", dp->pins.path, name,
			       strerror(-fd));
	rc = dp_map_info_read(fd, &info);
	if (rc == 0)
		rc = dp_map_check(map, &info, dp->pins.path, err);
	if (rc == 0 && info.type != bpf_map__type(declared))
		rc = err_set(err, -EPROTO,
			     "map %s/%s is of another type; remove it with: sluiced --cleanup",
			     dp->pins.path, name);
	if (rc == 0 && info.max_entries != bpf_map__max_entries(declared))
		rc = refuse_size(dp, map, info.max_entries, bpf_map__max_entries(declared), err);
	if (rc == 0 && bpf_map__reuse_fd(declared, fd) < 0)
		rc = err_set(err, -errno, "cannot take over %s/%s: %s", dp->pins.path, name,
			     strerror(errno));
	if (rc < 0) {
		close(fd);
		return rc;
	}
	dp->maps[map] = info;
	return 0;
}

/* What a shard is made of, taken from the object before it is loaded. */
struct shard_type {
	uint32_t key_size, value_size, key_type, value_type;
};

static int prepare(struct dp *dp, struct bpf_object *object, const struct dp_sizes *sizes,
		   struct shard_type types[DP_MAPS], struct err *err)
{
	struct bpf_map *declared;

	bpf_object__for_each_map(declared, object)
	{
		enum dp_map map = dp_map_by_name(bpf_map__name(declared));
		struct bpf_map *inner = bpf_map__inner_map(declared);
		int rc;

		if (map == DP_MAPS)
			continue;
		if (inner)
			types[map] = (struct shard_type){
				.key_size = bpf_map__key_size(inner),
				.value_size = bpf_map__value_size(inner),
				.key_type = bpf_map__btf_key_type_id(inner),
				.value_type = bpf_map__btf_value_type_id(inner),
			};
		if (sizes->entries[map])
			bpf_map__set_max_entries(declared, sizes->entries[map]);
		rc = adopt(dp, map, declared, err);
		if (rc < 0 && rc != -ENOENT)
			return rc;
	}
	return 0;
}

/* Pins what was just made, and keeps a descriptor of our own. */
static int keep(struct dp *dp, struct bpf_map *declared, enum dp_map map, struct err *err)
{
	char name[64];
	int fd = dup(bpf_map__fd(declared));
	int rc = fd < 0 ? -errno : dp_map_info_read(fd, &dp->maps[map]);

	if (rc == 0)
		rc = pin_put(&dp->pins, map_pin(map, name), fd);
	if (rc == 0)
		return 0;
	if (fd >= 0)
		close(fd);
	dp->maps[map].fd = -1;
	return err_set(err, rc, "cannot pin %s/maps/%s: %s", dp->pins.path, dp_map_name(map),
		       strerror(-rc));
}

int maps_keep(struct dp *dp, struct bpf_object *object, struct err *err)
{
	struct bpf_map *declared;
	int rc = 0;

	bpf_object__for_each_map(declared, object)
	{
		enum dp_map map = dp_map_by_name(bpf_map__name(declared));

		if (rc == 0 && map != DP_MAPS && dp->maps[map].fd < 0)
			rc = keep(dp, declared, map, err);
	}
	return rc;
}

/* "sl4_flows_tcp", 7 → "sl4_tcp_7": kernel names hold 15 characters. */
static void shard_name(enum dp_map map, uint32_t shard, char name[32])
{
	const char *outer = dp_map_name(map);

	snprintf(name, 32, "%.3s_%s_%u", outer, outer + strlen("sl4_flows_"), shard);
}

static int make_shard(struct dp *dp, enum dp_map map, uint32_t shard, const struct shard_type *type,
		      uint32_t entries, int btf_fd, struct err *err)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .btf_fd = (__u32)btf_fd,
		    .btf_key_type_id = type->key_type, .btf_value_type_id = type->value_type);
	char name[32], pin[64];
	int fd, rc = 0;

	shard_name(map, shard, name);
	snprintf(pin, sizeof(pin), "maps/%s_%03u", dp_map_name(map), shard);
	if (btf_fd < 0 || !type->key_type)
		opts.btf_fd = opts.btf_key_type_id = opts.btf_value_type_id = 0;
	fd = bpf_map_create(BPF_MAP_TYPE_LRU_HASH, name, type->key_size, type->value_size, entries,
			    &opts);
	if (fd < 0)
		return err_set(err, -errno,
			       "cannot make flow table %s of %u entries: %s; lower --max-flows",
			       name, entries, strerror(errno));
	rc = pin_put(&dp->pins, pin, fd);
	if (rc < 0) {
		close(fd);
		return err_set(err, rc, "cannot pin %s/%s: %s", dp->pins.path, pin, strerror(-rc));
	}
	return fd;
}

/* An open descriptor of the shard, made if need be; checks the size of one that was there. */
static int have_shard(struct dp *dp, enum dp_map map, uint32_t shard, const struct shard_type *type,
		      const struct dp_flow_size *size, int btf_fd, struct err *err)
{
	struct dp_map_info info;
	int fd = dp_shard_open(dp, map, shard);

	if (fd == -ENOENT)
		return make_shard(dp, map, shard, type, size->entries, btf_fd, err);
	if (fd < 0)
		return err_set(err, fd, "cannot open %s/maps/%s_%03u: %s", dp->pins.path,
			       dp_map_name(map), shard, strerror(-fd));
	if (dp_map_info_read(fd, &info) == 0 && info.key_size == type->key_size &&
	    info.value_size == type->value_size && info.max_entries == size->entries)
		return fd;
	close(fd);
	return refuse_size(dp, map, info.max_entries, size->entries, err);
}

/*
 * Shards on their way into the slots of a table. Together, because the kernel waits for all CPUs after each call that changes a map of
 * maps, which would make a start of ours as long as there are shards.
 */
#define SLOTS_AT_ONCE 64

struct slots {
	uint32_t n;
	__u32 slot[SLOTS_AT_ONCE];
	__u32 fd[SLOTS_AT_ONCE]; /* ours to close */
};

static int slots_write(struct dp *dp, enum dp_map map, struct slots *s)
{
	LIBBPF_OPTS(bpf_map_batch_opts, opts);
	__u32 done = s->n;
	int rc = 0;

	if (!s->n)
		return 0;
	if (bpf_map_update_batch(dp->maps[map].fd, s->slot, s->fd, &done, &opts) < 0)
		for (done = 0; rc == 0 && done < s->n;
		     done++) /* kernels without batches of these maps */
			if (bpf_map_update_elem(dp->maps[map].fd, &s->slot[done], &s->fd[done],
						BPF_ANY) < 0)
				rc = -errno;
	for (uint32_t i = 0; i < s->n; i++)
		close((int)s->fd[i]);
	s->n = 0;
	return rc;
}

/* Notes the shard for its slot unless it is there. */
static int slots_add(struct dp *dp, enum dp_map map, struct slots *s, uint32_t slot, int fd)
{
	struct dp_map_info info;
	__u32 id = 0;
	int copy, rc = dp_map_info_read(fd, &info);

	if (rc < 0)
		return rc;
	if (dp_lookup(dp, map, &slot, &id) == 0 && id == info.id)
		return 0;
	copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (copy < 0)
		return -errno;
	s->slot[s->n] = slot;
	s->fd[s->n++] = (__u32)copy;
	return s->n == SLOTS_AT_ONCE ? slots_write(dp, map, s) : 0;
}

static int make_flows(struct dp *dp, enum dp_map map, const struct shard_type *type,
		      const struct dp_flow_size *size, int btf_fd, struct err *err)
{
	uint32_t distinct = size->shared ? 1 : size->shards;
	struct slots slots = { 0 };
	int fd = -1, rc = 0, written;

	for (uint32_t slot = 0; rc == 0 && slot < size->shards; slot++) {
		if (slot < distinct) {
			if (fd >= 0)
				close(fd);
			fd = have_shard(dp, map, slot, type, size, btf_fd, err);
			if (fd < 0) {
				slots_write(dp, map, &slots);
				return fd;
			}
		}
		rc = slots_add(dp, map, &slots, slot, fd);
	}
	written = slots_write(dp, map, &slots);
	rc = rc < 0 ? rc : written;
	if (rc < 0)
		err_set(err, rc, "cannot put the shards into %s: %s", dp_map_name(map),
			strerror(-rc));
	if (fd >= 0)
		close(fd);
	dp->n_shards[map] = distinct;
	return rc;
}

static void load_no_programs(struct bpf_object *object)
{
	struct bpf_program *program;

	bpf_object__for_each_program(program, object) bpf_program__set_autoload(program, false);
}

/* The pinned programs know nothing of a map that is made now, so no later start may adopt them, should this one be killed. */
static int disown_programs(struct dp *dp)
{
	struct sl_meta meta;
	int rc;

	if (dp->maps[DP_sl_meta].fd < 0)
		return 0;
	rc = dp_meta_read(dp, &meta);
	if (rc < 0)
		return rc;
	meta.programs = 0;
	return dp_meta_write(dp, &meta);
}

int maps_make(struct dp *dp, struct bpf_object *object, const struct dp_sizes *sizes,
	      struct err *err, bool *ret_made)
{
	struct shard_type types[DP_MAPS] = { 0 };
	bool made = false;
	int rc = prepare(dp, object, sizes, types, err);

	if (rc < 0)
		return rc;
	for (int i = 0; i < DP_MAPS; i++)
		made |= i != DP_sl_gc && dp->maps[i].fd < 0;
	if (made)
		rc = disown_programs(dp);
	if (rc < 0)
		return err_set(err, rc, "cannot write sl_meta: %s", strerror(-rc));
	load_no_programs(object);
	if (bpf_object__load(object) < 0)
		return err_set(
			err, -errno,
			"cannot make the maps: %s; lower --max-flows, --max-services or --max-backends",
			strerror(errno));
	rc = maps_keep(dp, object, err);
	for (int i = 0; rc == 0 && i < DP_MAPS; i++)
		if (dp_map_is_flows(i))
			rc = make_flows(dp, i, &types[i], &sizes->flows[i],
					bpf_object__btf_fd(object), err);
	if (rc == 0)
		*ret_made = made;
	return rc;
}

int maps_share(const struct dp *dp, struct bpf_object *object)
{
	struct bpf_map *declared;

	bpf_object__for_each_map(declared, object)
	{
		enum dp_map map = dp_map_by_name(bpf_map__name(declared));

		if (map != DP_MAPS && dp->maps[map].fd >= 0 &&
		    bpf_map__reuse_fd(declared, dp->maps[map].fd) < 0)
			return -errno;
	}
	return 0;
}
