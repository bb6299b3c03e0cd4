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
		return err_set(err, fd, "cannot open %s/%s: %s%s", dp->pins.path, name,
			       strerror(-fd), pin_remedy(fd));
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

static int prepare(struct dp *dp, struct bpf_object *object, const struct dp_sizes *sizes,
		   struct err *err)
{
	struct bpf_map *declared;

	bpf_object__for_each_map(declared, object)
	{
		enum dp_map map = dp_map_by_name(bpf_map__name(declared));
		int rc;

		if (map == DP_MAPS)
			continue;
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
	bool made = false;
	int rc = prepare(dp, object, sizes, err);

	if (rc < 0)
		return rc;
	for (int i = 0; i < DP_MAPS; i++)
		made |= dp->maps[i].fd < 0;
	if (made)
		rc = disown_programs(dp);
	if (rc < 0)
		return err_set(err, rc, "cannot write sl_meta: %s", strerror(-rc));
	load_no_programs(object);
	if (bpf_object__load(object) < 0)
		return err_set(
			err, -errno, "cannot make the maps: %s; %s", strerror(errno),
			errno == EMFILE
				? "allow sluiced 1024 open files (ulimit -n, systemd: LimitNOFILE=)"
				: "lower --max-flows, --max-services or --max-backends");
	rc = maps_keep(dp, object, err);
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
