/* SPDX-License-Identifier: GPL-2.0 */
/* The pins of hooks: names, what they stand for, taking away; a list for people; where the cgroup is. */
/* Must not know what is wanted. Works without an agent. */
#include "dp/attach_pins.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "base/cleanup.h"
#include "base/vec.h"
#include "dp/attach.h"
#include "dp/clsact.h"
#include "dp/maps_internal.h"
#include "dp/netns.h"

const char *const attach_pin_prefixes[ATTACH_PIN_PREFIXES] = {
	"xdp_", "tc_in_", "clsact_in_", "tc_out_", "clsact_out_", "clsact_", "",
};

static const char *link_pin(const char *name, char path[288])
{
	snprintf(path, 288, "links/%.255s", name);
	return path;
}

int attach_pin_get(const struct pin_dir *pins, const char *name)
{
	char path[288];

	return pin_get(pins, link_pin(name, path));
}

int attach_pin_put(const struct pin_dir *pins, const char *name, int fd)
{
	char path[288];

	return pin_put(pins, link_pin(name, path), fd);
}

void attach_pin_detach(const struct pin_dir *pins, const char *name)
{
	_cleanup_close_ int fd = attach_pin_get(pins, name);
	char path[288];

	if (fd >= 0)
		bpf_link_detach(fd); /* a marker is no link: refused, and that is fine */
	pin_drop(pins, link_pin(name, path));
}

int attach_open_dir(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

uint32_t attach_pin_ifindex(const char *name)
{
	const char *last = strrchr(name, '_');

	return last ? (uint32_t)strtoul(last + 1, NULL, 10) : 0;
}

static bool has_prefix(const char *name, const char *prefix)
{
	return strncmp(name, prefix, strlen(prefix)) == 0;
}

static bool is_filter(const char *name)
{
	return has_prefix(name, "clsact_in_") || has_prefix(name, "clsact_out_");
}

/*
 * By id while the program is pinned. By name where the pin is lost (a bpffs that was not kept, two kills during one replacement):
 * a filter at our priority and handle, of a program that is called like ours, serves maps that nobody writes any more.
 */
bool attach_filter_is_ours(const struct dp_programs *programs, struct clsact_hook at,
			   uint32_t *ret_id)
{
	char name[CLSACT_NAME_LEN];

	if (clsact_query(at, ret_id) < 0)
		return false;
	if (dp_programs_own(programs, *ret_id))
		return true;
	if (clsact_query_name(at, name) < 0)
		return false;
	for (int i = 0; i < DP_PROG_COUNT; i++)
		if (strcmp(name, dp_prog_name((enum dp_prog)i)) == 0)
			return true;
	return false;
}

bool attach_pin_remove(const struct pin_dir *pins, const struct dp_programs *programs,
		       const char *name)
{
	struct clsact_hook at = { attach_pin_ifindex(name), has_prefix(name, "clsact_out_") };
	bool attached = true;
	uint32_t id;

	if (is_filter(name)) {
		attached = attach_filter_is_ours(programs, at, &id) && clsact_detach(at) == 0;
	} else if (has_prefix(name, ATTACH_PIN_QDISC)) {
		clsact_remove_empty(at.ifindex);
		attached = false;
	}
	attach_pin_detach(pins, name);
	return attached;
}

/* Asking for a filter that is not there makes libbpf warn. */
static int say_nothing(enum libbpf_print_level level, const char *format, va_list args)
{
	(void)level;
	(void)format;
	(void)args;
	return 0;
}

/* ---- our programs, by their pins ----------------------------------------------------------------- */

static uint32_t pinned_prog_id(const struct pin_dir *pins, enum dp_prog prog, const char *suffix)
{
	struct bpf_prog_info info = { 0 };
	__u32 len = sizeof(info);
	char name[64];
	_cleanup_close_ int fd = -1;

	snprintf(name, sizeof(name), "progs/%s%s", dp_prog_name(prog), suffix);
	fd = pin_get(pins, name);
	if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &len) < 0)
		return 0;
	return info.id;
}

static void read_programs(const struct pin_dir *pins, struct dp_programs *ret_programs)
{
	memset(ret_programs, 0, sizeof(*ret_programs));
	for (int i = 0; i < DP_PROG_COUNT; i++) {
		ret_programs->fd[i] = ret_programs->old_fd[i] = -1;
		ret_programs->id[i] = pinned_prog_id(pins, i, "");
		ret_programs->left_id[i] = pinned_prog_id(pins, i, "_new");
	}
}

static const char *program_name(const struct dp_programs *programs, uint32_t id)
{
	for (int i = 0; id && i < DP_PROG_COUNT; i++)
		if (programs->id[i] == id || programs->left_id[i] == id)
			return dp_prog_name(i);
	return "";
}

/* ---- list ---------------------------------------------------------------------------------------- */

struct list {
	const struct pin_dir *pins;
	struct dp_programs programs;
	struct VEC_OF(struct attach_row) rows;
};

static void describe_link(struct list *list, const char *name, struct attach_row *row)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, opts);
	struct bpf_link_info info = { 0 };
	__u32 len = sizeof(info);
	_cleanup_close_ int fd = attach_pin_get(list->pins, name);
	uint32_t at;

	if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &len) < 0) {
		row->state = ATTACH_FAILED;
		snprintf(row->text, sizeof(row->text), "the pinned link cannot be read: %s",
			 strerror(errno));
		return;
	}
	row->prog_id = info.prog_id;
	row->link_id = info.id;
	at = row->ifindex ? info.xdp.ifindex : info.cgroup.cgroup_id != 0;
	if (!at) {
		row->state = ATTACH_FAILED;
		snprintf(row->text, sizeof(row->text),
			 "detached: the %s is gone, or somebody tore it off",
			 row->ifindex ? "device" : "cgroup");
	}
	if (has_prefix(name, ATTACH_PIN_XDP) && bpf_xdp_query((int)row->ifindex, 0, &opts) == 0)
		snprintf(row->how, sizeof(row->how), "%s",
			 opts.attach_mode == XDP_ATTACHED_SKB ? "generic" : "native");
}

static void describe_filter(struct list *list, const char *name, struct attach_row *row)
{
	struct clsact_hook at = { row->ifindex, has_prefix(name, "clsact_out_") };

	if (attach_filter_is_ours(&list->programs, at, &row->prog_id))
		return;
	row->state = ATTACH_FAILED;
	snprintf(row->text, sizeof(row->text), "our filter is gone");
}

static int list_one(void *ctx, const char *name)
{
	struct list *list = ctx;
	bool filter = is_filter(name);
	struct attach_row *row;

	if (!filter && has_prefix(name, ATTACH_PIN_QDISC))
		return 0;
	row = vec_add(&list->rows);
	if (!row)
		return -ENOMEM;
	row->ifindex = attach_pin_ifindex(name);
	if (has_prefix(name, "sock_release"))
		row->ifindex = 0;
	if (row->ifindex && !if_indextoname(row->ifindex, row->name))
		row->name[0] = 0;
	if (!row->ifindex)
		snprintf(row->hook, sizeof(row->hook), "%s", name);
	else if (has_prefix(name, ATTACH_PIN_XDP))
		snprintf(row->hook, sizeof(row->hook), "xdp");
	else
		snprintf(row->hook, sizeof(row->hook), "%s",
			 strstr(name, "_in_") ? "ingress" : "egress");
	snprintf(row->how, sizeof(row->how), "%s",
		 !row->ifindex                      ? "cgroup"
		 : filter                           ? "clsact"
		 : has_prefix(name, ATTACH_PIN_XDP) ? "native"
						    : "tcx");
	if (filter)
		describe_filter(list, name, row);
	else
		describe_link(list, name, row);
	snprintf(row->program, sizeof(row->program), "%s",
		 program_name(&list->programs, row->prog_id));
	return 0;
}

static int compare_rows(const void *a, const void *b)
{
	const struct attach_row *x = a, *y = b;

	if (x->ifindex != y->ifindex)
		return x->ifindex < y->ifindex ? -1 : 1;
	return strcmp(x->hook, y->hook);
}

int attach_list(const struct pin_dir *pins, struct attach_row **ret_rows, size_t *ret_n)
{
	struct list list = { .pins = pins };
	int rc;

	libbpf_set_print(say_nothing);
	read_programs(pins, &list.programs);
	rc = pin_each(pins, "links", list_one, &list);
	if (rc < 0) {
		vec_done(&list.rows);
		return rc;
	}
	vec_sort(&list.rows, compare_rows);
	*ret_rows = list.rows.data;
	*ret_n = list.rows.len;
	return 0;
}

/* ---- cleanup ------------------------------------------------------------------------------------- */

struct removal {
	const struct pin_dir *pins;
	const struct dp_programs *programs;
	const char *prefix;
	unsigned int n;
};

static int remove_one(void *ctx, const char *name)
{
	struct removal *removal = ctx;

	if (has_prefix(name, removal->prefix))
		removal->n += attach_pin_remove(removal->pins, removal->programs, name);
	return 0;
}

/* Filters whose marker was lost. */
static unsigned int remove_strays(const struct dp_programs *programs)
{
	struct if_nameindex *devices = if_nameindex();
	unsigned int n = 0;

	for (struct if_nameindex *d = devices; d && d->if_index; d++) {
		unsigned int found = 0;

		for (int egress = 0; egress <= 1; egress++) {
			struct clsact_hook at = { d->if_index, egress };
			uint32_t id;

			found += attach_filter_is_ours(programs, at, &id) && clsact_detach(at) == 0;
		}
		if (found)
			clsact_remove_empty(
				d->if_index); /* whose it was is lost too; nobody uses it */
		n += found;
	}
	if_freenameindex(devices);
	return n;
}

static int is_filter_pin(void *ctx, const char *name)
{
	(void)ctx;
	return is_filter(name);
}

/*
 * Filters are not links: they can be taken away from within their network namespace alone, and device numbers of another one would name
 * devices that are not meant.
 */
static int check_namespace(const struct pin_dir *pins, struct err *err)
{
	_cleanup_close_ int fd = pin_get(pins, "maps/sl_config");
	char cgroup[256];
	struct dp_map_info info;
	struct sl_config config;
	uint64_t here = 0;
	__u32 zero = 0;

	if (pin_each(pins, "links", is_filter_pin, NULL) <= 0)
		return 0;
	if (fd < 0 || dp_map_info_read(fd, &info) < 0 ||
	    dp_map_check(DP_sl_config, &info, pins->path, NULL) < 0 ||
	    bpf_map_lookup_elem(fd, &zero, &config) < 0 || !config.host_netns ||
	    attach_find_cgroup(NULL, NULL, cgroup) < 0 || netns_cookie(cgroup, &here) < 0 ||
	    here == config.host_netns)
		return 0;
	return err_set(
		err, -EXDEV,
		"%s/links: the clsact filters are in another network namespace, where sluiced ran, and can only be removed "
		"there; run this by nsenter --net=… in it, or, if it is gone (and they with it), remove %s by hand",
		pins->path, pins->path);
}

int attach_cleanup(const struct pin_dir *pins, struct err *err, unsigned int *ret_n)
{
	struct dp_programs programs;
	struct removal removal = { .pins = pins, .programs = &programs };
	int rc = check_namespace(pins, err);

	if (rc < 0)
		return rc;
	libbpf_set_print(say_nothing);
	read_programs(pins, &programs);
	for (size_t i = 0; rc == 0 && i < ATTACH_PIN_PREFIXES; i++) {
		removal.prefix = attach_pin_prefixes[i];
		rc = pin_each(pins, "links", remove_one, &removal);
	}
	if (rc < 0)
		return err_set(err, rc, "cannot remove %s/links: %s%s", pins->path, strerror(-rc),
			       pin_remedy(rc));
	*ret_n = removal.n + remove_strays(&programs);
	return 0;
}

/* ---- cgroup -------------------------------------------------------------------------------------- */

static int check_cgroup(const char *path, struct err *err)
{
	struct statfs fs;

	if (statfs(path, &fs) < 0)
		return err_set(err, -errno, "--cgroup %s: %s; see: findmnt -t cgroup2", path,
			       strerror(errno));
	if ((unsigned long)fs.f_type != CGROUP2_SUPER_MAGIC)
		return err_set(err, -EINVAL,
			       "--cgroup %s: not a directory of cgroup2; see: findmnt -t cgroup2",
			       path);
	return 0;
}

/* Itself, or where cgroup2 lies beside cgroup v1. */
static int use_cgroup(const char *given, struct err *err, char ret_path[256])
{
	char beside[256];
	int n = snprintf(beside, sizeof(beside), "%s/unified", given), rc;

	if (n >= (int)sizeof(beside))
		return err_set(err, -ENAMETOOLONG, "--cgroup: path longer than 247 characters");
	rc = check_cgroup(given, err);
	if (rc == 0)
		memcpy(ret_path, given, strlen(given) + 1);
	else if (check_cgroup(beside, NULL) == 0)
		memcpy(ret_path, beside, (size_t)n + 1);
	else
		return rc;
	return 0;
}

int attach_find_cgroup(const char *given, struct err *err, char ret_path[256])
{
	_cleanup_fclose_ FILE *mounts = NULL;
	char line[4096], root[1024], target[1024], type[64];

	if (given)
		return use_cgroup(given, err, ret_path);
	mounts = fopen("/proc/self/mountinfo", "re");
	while (mounts && fgets(line, sizeof(line), mounts)) {
		const char *dash = strstr(line, " - ");

		/* id parent major:minor root target options … - type source options */
		if (!dash || sscanf(dash, " - %63s", type) != 1 || strcmp(type, "cgroup2") != 0 ||
		    sscanf(line, "%*u %*u %*s %1023s %1023s", root, target) != 2)
			continue;
		if (strlen(target) < 256 && check_cgroup(target, NULL) == 0) {
			memcpy(ret_path, target, strlen(target) + 1);
			return 0;
		}
	}
	return err_set(
		err, -ENOENT,
		"no cgroup2 is mounted; mount it (mount -t cgroup2 none /sys/fs/cgroup/unified) or name one with --cgroup");
}
