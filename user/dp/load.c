/* SPDX-License-Identifier: GPL-2.0 */
/* Loads the programs, or takes over the pinned ones; and takes everything away again. */
/* Must not know hooks and interfaces (attach.c), nor what is in the maps. */
#include "dp/load.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/table.h"
#include "dp/maps_internal.h"
#include "dp/maps_make.h"
#include "dp/objects.h"
#include "dp/probe.h"

CLEANUP_DEFINE(struct bpf_object *, bpf_object__close);

static const char *const prog_names[DP_PROG_COUNT] = {
#define PROG_NAME(name) [DP_PROG_##name] = #name,
	DP_PROGS(PROG_NAME)
#undef PROG_NAME
};

const char *dp_prog_name(enum dp_prog prog)
{
	return prog_names[prog];
}

static enum dp_prog prog_by_name(const char *name)
{
	for (int i = 0; i < DP_PROG_COUNT; i++)
		if (strcmp(prog_names[i], name) == 0)
			return i;
	return DP_PROG_COUNT;
}

/* ---- what libbpf says ---------------------------------------------------------------------------- */

/* libbpf's callback takes no context, and only one object is loaded at a time. */
static char said[400];

static void remember(const char *text, size_t len)
{
	size_t keep = len < sizeof(said) - 1 ? len : sizeof(said) - 1;

	/* the end of a verifier log says what was refused */
	memcpy(said, text + len - keep, keep);
	said[keep] = 0;
	for (char *c = said; *c; c++)
		if (*c == '\n' || *c == '\t')
			*c = ' ';
}

/* Keeps the end of the last verifier log, or the first warning. */
static int listen_libbpf(enum libbpf_print_level level, const char *format, va_list args)
{
	static char line[65536];
	char *end;

	if (level != LIBBPF_WARN)
		return 0;
	vsnprintf(line, sizeof(line), format, args);
	end = strstr(line, "-- END PROG LOAD LOG");
	if (end)
		remember(line, (size_t)(end - line));
	else if (!said[0])
		remember(line, strlen(line));
	return 0;
}

/* ---- constants and hash -------------------------------------------------------------------------- */

static int set_consts(struct bpf_object *object, const struct sl_consts *consts)
{
	struct btf *btf = bpf_object__btf(object);
	const struct btf_type *section;
	const struct btf_var_secinfo *var;
	struct bpf_map *map;
	size_t size = 0;
	uint8_t *bytes = NULL;
	int id = btf ? btf__find_by_name_kind(btf, ".rodata", BTF_KIND_DATASEC) : -ENOENT;

	if (id < 0)
		return id;
	bpf_object__for_each_map(map, object) if (bpf_map__is_internal(map) &&
						  strstr(bpf_map__name(map), ".rodata"))
		bytes = (uint8_t *)bpf_map__initial_value(map, &size);
	section = btf__type_by_id(btf, (__u32)id);
	var = btf_var_secinfos(section);
	for (int i = 0; bytes && i < btf_vlen(section); i++, var++) {
		const struct btf_type *type = btf__type_by_id(btf, var->type);

		if (strcmp(btf__name_by_offset(btf, type->name_off), "sl_consts") == 0 &&
		    var->size == sizeof(*consts) && var->offset + sizeof(*consts) <= size) {
			memcpy(bytes + var->offset, consts, sizeof(*consts));
			return 0;
		}
	}
	return -ENOENT;
}

/* Equal: nothing to load. The lowest bit tells whether the fast tc programs were loaded. */
static uint64_t hash_programs(const struct sl_consts *consts)
{
	uint64_t hash = table_hash(SL_ABI_VERSION, consts, sizeof(*consts));

	for (int i = 0; i < OBJECT_COUNT; i++) {
		size_t len;
		const void *bytes = object_bytes(i, &len);

		hash = table_hash(hash, bytes, len);
	}
	return hash | 1;
}

static bool same_programs(uint64_t a, uint64_t b)
{
	return (a | 1) == (b | 1);
}

static int fill_consts(const struct dp *dp, const struct dp_limits *limits,
		       const struct dp_sizes *sizes, struct sl_consts *ret_consts)
{
	struct sl_meta meta = { 0 };
	struct sl_consts consts = {
		.buckets4_tcp = sizes->entries[DP_sl4_flows_tcp],
		.buckets4_udp = sizes->entries[DP_sl4_flows_udp],
		.buckets6_tcp = sizes->entries[DP_sl6_flows_tcp],
		.buckets6_udp = sizes->entries[DP_sl6_flows_udp],
		.buckets4_sockets = sizes->entries[DP_sl4_sockets],
		.buckets6_sockets = sizes->entries[DP_sl6_sockets],
		.records = limits->plan.slots,
		.backends = limits->plan.backend_ids,
		.lines = limits->plan.lines,
		.coarse_clock = probe_coarse_clock(),
		.set_retval = probe_set_retval(),
		.bypass = limits->bypass,
	};

	if (dp_meta_read(dp, &meta) == 0)
		consts.seed = meta.seed;
	while (!consts.seed)
		if (getrandom(&consts.seed, sizeof(consts.seed), 0) < 0)
			return -errno;
	*ret_consts = consts;
	return 0;
}

/* ---- taking over --------------------------------------------------------------------------------- */

static const char *prog_pin(enum dp_prog prog, const char *suffix, char name[64])
{
	snprintf(name, 64, "progs/%s%s", prog_names[prog], suffix);
	return name;
}

static uint32_t prog_id(int fd)
{
	struct bpf_prog_info info = { 0 };
	__u32 len = sizeof(info);

	return bpf_obj_get_info_by_fd(fd, &info, &len) < 0 ? 0 : info.id;
}

static void programs_init(struct dp_programs *p)
{
	memset(p, 0, sizeof(*p));
	for (int i = 0; i < DP_PROG_COUNT; i++)
		p->fd[i] = p->old_fd[i] = -1;
}

void dp_programs_done(struct dp_programs *p)
{
	for (int i = 0; i < DP_PROG_COUNT; i++) {
		if (p->fd[i] >= 0)
			close(p->fd[i]);
		if (p->old_fd[i] >= 0)
			close(p->old_fd[i]);
	}
	programs_init(p);
}

bool dp_programs_own(const struct dp_programs *p, uint32_t id)
{
	for (int i = 0; id && i < DP_PROG_COUNT; i++)
		if (p->id[i] == id || p->old_id[i] == id || p->left_id[i] == id)
			return true;
	return false;
}

/* What earlier agents pinned: the programs in force, and those of a replacement that was killed half-way. */
static void open_old(const struct pin_dir *pins, struct dp_programs *p)
{
	char name[64];

	for (int i = 0; i < DP_PROG_COUNT; i++) {
		int fd = pin_get(pins, prog_pin(i, "", name));
		int left = pin_get(pins, prog_pin(i, "_new", name));

		if (fd >= 0) {
			p->old_fd[i] = fd;
			p->old_id[i] = prog_id(fd);
		}
		if (left >= 0) {
			p->left_id[i] = prog_id(left);
			close(left);
		}
	}
}

static bool adopt_programs(struct dp_programs *p, uint64_t hash, uint64_t pinned_hash)
{
	if (!same_programs(hash, pinned_hash))
		return false;
	for (int i = 0; i < DP_PROG_COUNT; i++)
		if (p->old_fd[i] < 0)
			return false;
	for (int i = 0; i < DP_PROG_COUNT; i++) {
		p->fd[i] = TAKE_FD(p->old_fd[i]);
		p->id[i] = p->old_id[i];
	}
	p->hash = pinned_hash;
	p->features.fast_tc = pinned_hash & 1;
	return true;
}

/* ---- loading ------------------------------------------------------------------------------------- */

static struct bpf_object *open_object(enum dp_object object)
{
	LIBBPF_OPTS(bpf_object_open_opts, opts, .object_name = object_name(object));
	size_t len;
	const void *bytes = object_bytes(object, &len);

	said[0] = 0;
	return bpf_object__open_mem(bytes, len, &opts);
}

static int take_programs(struct bpf_object *object, struct dp_programs *p)
{
	struct bpf_program *program;

	bpf_object__for_each_program(program, object)
	{
		enum dp_prog prog = prog_by_name(bpf_program__name(program));

		if (prog == DP_PROG_COUNT)
			continue;
		if (p->fd[prog] >= 0)
			close(p->fd[prog]);
		p->fd[prog] = fcntl(bpf_program__fd(program), F_DUPFD_CLOEXEC, 3);
		if (p->fd[prog] < 0)
			return -errno;
		p->id[prog] = prog_id(p->fd[prog]);
	}
	return 0;
}

static int load_object(struct dp *dp, enum dp_object which, const struct sl_consts *consts,
		       struct dp_programs *p, struct err *err)
{
	_cleanup_(bpf_object__closep) struct bpf_object *object = open_object(which);
	int rc;

	if (!object)
		return err_set(err, -errno, "BPF object %s cannot be opened: %s (%s)",
			       object_name(which), strerror(errno), said);
	rc = set_consts(object, consts);
	if (rc < 0)
		return err_set(err, rc, "BPF object %s has no constants (sl_consts)",
			       object_name(which));
	rc = maps_share(dp, object);
	if (rc < 0)
		return err_set(err, rc, "BPF object %s cannot use the maps: %s", object_name(which),
			       strerror(-rc));
	rc = bpf_object__load(object);
	if (rc == -EPERM)
		return err_set(
			err, rc,
			"missing capability: the kernel refused %s (CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON are "
			"needed): %s",
			object_name(which), said);
	if (rc < 0)
		return err_set(err, -ENOTSUP,
			       "missing kernel feature: BPF object %s does not load: %s: %s",
			       object_name(which), strerror(-rc), said);
	rc = maps_keep(dp, object, err);
	if (rc == 0)
		rc = take_programs(object, p);
	return rc;
}

static int load_all(struct dp *dp, const struct sl_consts *consts, struct dp_programs *p,
		    struct err *err)
{
	int rc = load_object(dp, OBJECT_XDP, consts, p, err);

	if (rc < 0)
		return rc;
	p->features.fast_tc = load_object(dp, OBJECT_TC_FAST, consts, p, NULL) == 0;
	if (!p->features.fast_tc)
		rc = load_object(dp, OBJECT_TC, consts, p, err);
	if (rc == 0)
		rc = load_object(dp, OBJECT_SOCK, consts, p, err);
	if (rc < 0)
		return rc;
	p->hash = (hash_programs(consts) & ~1ull) | p->features.fast_tc;
	p->reloaded = true;
	return 0;
}

/* New programs wait beside the old ones until the links use them. */
static int pin_new(const struct pin_dir *pins, struct dp_programs *p, struct err *err)
{
	char name[64];

	for (int i = 0; i < DP_PROG_COUNT; i++) {
		int rc = pin_drop(pins, prog_pin(i, "_new", name));

		if (rc == 0 && p->fd[i] >= 0)
			rc = pin_put(pins, name, p->fd[i]);
		if (rc < 0)
			return err_set(err, rc, "cannot pin %s/%s: %s", pins->path, name,
				       strerror(-rc));
	}
	return 0;
}

static int load_programs(struct dp *dp, const struct dp_limits *limits,
			 const struct dp_sizes *sizes, struct dp_programs *p, struct err *err)
{
	struct sl_meta meta = { 0 };
	struct sl_consts consts;
	int rc = fill_consts(dp, limits, sizes, &consts);

	if (rc < 0)
		return err_set(err, rc, "no random numbers: %s", strerror(-rc));
	rc = dp_meta_read(dp, &meta);
	if (rc < 0)
		return err_set(err, rc, "cannot read sl_meta: %s", strerror(-rc));
	open_old(&dp->pins, p);
	p->features.coarse_clock = consts.coarse_clock;
	p->features.set_retval = consts.set_retval;
	p->features.tcx = probe_tcx();
	if (p->maps_made || !adopt_programs(p, hash_programs(&consts), meta.programs)) {
		rc = load_all(dp, &consts, p, err);
		if (rc == 0)
			rc = pin_new(&dp->pins, p, err);
		if (rc < 0)
			return rc;
	}
	meta.abi = SL_ABI_VERSION;
	meta.seed = consts.seed;
	meta.max_flows = limits->flows;
	rc = dp_meta_write(dp, &meta);
	return rc < 0 ? err_set(err, rc, "cannot write sl_meta: %s", strerror(-rc)) : 0;
}

static int make_maps(struct dp *dp, const struct dp_sizes *sizes, struct err *err, bool *ret_made)
{
	_cleanup_(bpf_object__closep) struct bpf_object *object = open_object(OBJECT_TC);
	int rc;

	if (!object)
		return err_set(err, -errno, "BPF object %s cannot be opened: %s (%s)",
			       object_name(OBJECT_TC), strerror(errno), said);
	rc = maps_make(dp, object, sizes, err, ret_made);
	return rc < 0 ? rc : dp_open_maps(dp, err);
}

int dp_load(const struct pin_dir *pins, const struct dp_limits *limits, struct err *err,
	    struct dp **ret_dp, struct dp_programs *ret_programs)
{
	struct dp_limits with_cpus = *limits;
	struct dp_programs programs;
	struct dp_sizes sizes;
	struct dp *dp;
	int rc = probe_capabilities(err);

	if (rc == 0)
		rc = probe_raise_memlock(err);
	if (rc == 0)
		rc = pin_check_others(pins, err);
	if (rc == 0)
		rc = pin_dir_create(pins, err);
	if (rc < 0)
		return rc;
	libbpf_set_print(listen_libbpf);
	dp = dp_alloc(pins);
	if (!dp)
		return err_set(err, -ENOMEM, "no memory");
	programs_init(&programs);
	if (!with_cpus.cpus)
		with_cpus.cpus = dp->cpus;
	sizes_compute(&with_cpus, &sizes);
	rc = make_maps(dp, &sizes, err, &programs.maps_made);
	if (rc == 0)
		rc = load_programs(dp, limits, &sizes, &programs, err);
	if (rc < 0) {
		dp_programs_done(&programs);
		dp_free(dp);
		return rc;
	}
	*ret_dp = dp;
	*ret_programs = programs;
	return 0;
}

uint32_t dp_pinned_flows(const struct pin_dir *pins)
{
	struct sl_meta meta = { 0 };
	struct dp_map_info info;
	__u32 zero = 0;
	int fd = pin_get(pins, "maps/sl_meta");

	if (fd < 0)
		return 0;
	if (dp_map_info_read(fd, &info) < 0 ||
	    dp_map_check(DP_sl_meta, &info, pins->path, NULL) < 0 ||
	    bpf_map_lookup_elem(fd, &zero, &meta) < 0)
		meta.max_flows = 0;
	close(fd);
	return meta.max_flows;
}

int dp_load_commit(const struct pin_dir *pins, struct dp *dp, struct dp_programs *p,
		   struct err *err)
{
	struct sl_meta meta = { 0 };
	char from[64], to[64];
	int rc;

	if (!p->reloaded)
		return 0;
	/* killed in between, what is pinned is of two kinds: nobody may take that for what either hash says */
	rc = dp_meta_read(dp, &meta);
	meta.programs = 0;
	if (rc == 0)
		rc = dp_meta_write(dp, &meta);
	for (int i = 0; rc == 0 && i < DP_PROG_COUNT; i++) {
		if (p->fd[i] >= 0)
			rc = pin_rename(pins, prog_pin(i, "_new", from), prog_pin(i, "", to));
		else
			rc = pin_drop(pins, prog_pin(i, "", to));
		if (p->old_fd[i] >= 0)
			close(p->old_fd[i]);
		p->old_fd[i] = -1;
	}
	if (rc == 0) {
		meta.programs = p->hash;
		rc = dp_meta_write(dp, &meta);
	}
	if (rc < 0)
		return err_set(err, rc,
			       "cannot make the new programs the current ones below %s: %s",
			       pins->path, strerror(-rc));
	p->reloaded = false;
	return 0;
}

/* ---- taking away --------------------------------------------------------------------------------- */

struct drop {
	const struct pin_dir *pins;
	const char *subdir;
};

static int drop_one(void *ctx, const char *name)
{
	const struct drop *drop = ctx;
	char path[320];

	snprintf(path, sizeof(path), "%s/%.255s", drop->subdir, name);
	return pin_drop(drop->pins, path);
}

int dp_unload(const struct pin_dir *pins, struct err *err)
{
	static const char *const subdirs[] = { "links", "progs", "maps" };
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < sizeof(subdirs) / sizeof(subdirs[0]); i++) {
		struct drop drop = { pins, subdirs[i] };

		rc = pin_each(pins, subdirs[i], drop_one, &drop);
	}
	if (rc == 0)
		rc = pin_dir_remove(pins);
	return rc < 0 ? err_set(err, rc, "cannot remove %s: %s%s", pins->path, strerror(-rc),
				pin_remedy(rc))
		      : 0;
}
