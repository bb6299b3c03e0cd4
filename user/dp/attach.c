/* SPDX-License-Identifier: GPL-2.0 */
/* Makes hooks as wanted: adopt, replace in place, attach, detach. */
/* Must not know why an interface is wanted (links.c), nor what programs do. */
#include "dp/attach.h"

#include <errno.h>
#include <linux/if_link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "base/cleanup.h"
#include "base/table.h"
#include "base/vec.h"
#include "dp/attach_pins.h"
#include "dp/clsact.h"

/* Numbers of linux/bpf.h that the headers of older distributions do not have. */
#define ATTACH_TYPE_TCX_INGRESS 46
#define ATTACH_TYPE_TCX_EGRESS  47
#define FLAG_BEFORE             (1u << 3)
#define FLAG_AFTER              (1u << 4)

struct attach {
	const struct pin_dir *pins;
	const struct dp_programs *programs;
	enum attach_xdp xdp;
	enum attach_tc tc;
	char cgroup[256];
	struct VEC_OF(struct attach_row) rows;
	struct attach_counts counts;
	struct table
		seen; /* pin names that were in place after the last sync: tells "again" from "new" */
	struct table wanted; /* pin names of this sync */
	bool started;        /* the first sync is over: what is found now is no adoption */
};

const char *attach_state_name(enum attach_state state)
{
	static const char *const names[] = { "ok", "foreign", "unsupported", "failed" };

	return names[state];
}

static const struct {
	const char *name;
	enum dp_prog prog;
	enum bpf_attach_type type;
} cgroup_hooks[] = {
	{ "sock_release", DP_PROG_sl_sock_release, BPF_CGROUP_INET_SOCK_RELEASE },
	{ "peername4", DP_PROG_sl_peername4, BPF_CGROUP_INET4_GETPEERNAME },
	{ "peername6", DP_PROG_sl_peername6, BPF_CGROUP_INET6_GETPEERNAME },
	{ "recvmsg4", DP_PROG_sl_recvmsg4, BPF_CGROUP_UDP4_RECVMSG },
	{ "recvmsg6", DP_PROG_sl_recvmsg6, BPF_CGROUP_UDP6_RECVMSG },
	{ "sendmsg4", DP_PROG_sl_sendmsg4, BPF_CGROUP_UDP4_SENDMSG },
	{ "sendmsg6", DP_PROG_sl_sendmsg6, BPF_CGROUP_UDP6_SENDMSG },
	{ "connect4", DP_PROG_sl_connect4, BPF_CGROUP_INET4_CONNECT },
	{ "connect6", DP_PROG_sl_connect6, BPF_CGROUP_INET6_CONNECT },
};

int attach_new(const struct pin_dir *pins, const struct dp_programs *programs,
	       const struct attach_options *options, struct err *err, struct attach **ret_attach)
{
	struct attach *attach;

	if (options->tc == ATTACH_TC_TCX && !programs->features.tcx)
		return err_set(
			err, -ENOTSUP,
			"missing kernel feature: --tc tcx needs TCX links (Linux 6.6); use --tc auto");
	attach = calloc(1, sizeof(*attach));
	if (!attach)
		return err_set(err, -ENOMEM, "no memory");
	attach->pins = pins;
	attach->programs = programs;
	attach->xdp = options->xdp;
	attach->tc = options->tc;
	snprintf(attach->cgroup, sizeof(attach->cgroup), "%s", options->cgroup);
	table_init(&attach->seen, 1);
	table_init(&attach->wanted, 2);
	*ret_attach = attach;
	return 0;
}

void attach_free(struct attach *attach)
{
	if (!attach)
		return;
	vec_done(&attach->rows);
	table_done(&attach->seen, NULL);
	table_done(&attach->wanted, NULL);
	free(attach);
}

const struct attach_row *attach_rows(const struct attach *attach, size_t *ret_n)
{
	*ret_n = attach->rows.len;
	return attach->rows.data;
}

const struct attach_counts *attach_counts(const struct attach *attach)
{
	return &attach->counts;
}

/* ---- one hook ------------------------------------------------------------------------------------ */

/* What is to be attached where. */
struct hook {
	const char *pin;  /* below links/ */
	const char *name; /* "ingress" */
	const char *how;
	enum dp_prog prog;
	enum bpf_attach_type type;
	uint32_t ifindex; /* 0: the cgroup */
	uint32_t flags;
	const struct attach_want *want; /* NULL: the cgroup */
};

static void add_row(struct attach *a, const struct hook *h, enum attach_state state,
		    uint32_t link_id, const char *text)
{
	struct attach_row *row = vec_add(&a->rows);

	if (!row)
		return;
	row->ifindex = h->ifindex;
	if (h->want)
		snprintf(row->name, sizeof(row->name), "%s", h->want->name);
	snprintf(row->hook, sizeof(row->hook), "%s", h->name);
	snprintf(row->how, sizeof(row->how), "%s", h->how);
	snprintf(row->program, sizeof(row->program), "%s", dp_prog_name(h->prog));
	row->state = state;
	row->prog_id = state == ATTACH_OK ? a->programs->id[h->prog] : 0;
	row->link_id = link_id;
	snprintf(row->text, sizeof(row->text), "%s", text);
}

/* Remembers that the pin is wanted; what is pinned and not wanted goes at the end of the sync. */
static int mark(struct attach *a, const char *pin)
{
	return table_put_str(&a->wanted, pin, a, NULL);
}

static void count_attached(struct attach *a, const char *pin)
{
	if (table_get_str(&a->seen, pin))
		a->counts.reattached++;
	else
		a->counts.attached++;
}

static void add_ok(struct attach *a, const struct hook *h, uint32_t link_id)
{
	if (table_put_str(&a->seen, h->pin, a, NULL) < 0)
		a->counts.failed++;
	add_row(a, h, ATTACH_OK, link_id, "");
}

/* ---- links --------------------------------------------------------------------------------------- */

static bool same_target(const struct attach *a, const struct hook *h,
			const struct bpf_link_info *info)
{
	struct stat st;

	if (h->ifindex) /* XDP and TCX have it at the same place; a device that went away leaves 0 */
		return info->xdp.ifindex == h->ifindex;
	return stat(a->cgroup, &st) == 0 && info->cgroup.cgroup_id == st.st_ino;
}

/* The mode of an XDP link is not in its info. */
static bool same_mode(const struct attach *a, const struct hook *h)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, opts);

	if (h->type != BPF_XDP || bpf_xdp_query((int)h->ifindex, 0, &opts) < 0)
		return true;
	return opts.attach_mode ==
	       (a->xdp == ATTACH_XDP_NATIVE ? XDP_ATTACHED_DRV : XDP_ATTACHED_SKB);
}

/* Replaces the program of a link in one step; expects the one that was pinned. */
static int replace_program(struct attach *a, const struct hook *h, int link_fd)
{
	const struct dp_programs *p = a->programs;
	LIBBPF_OPTS(bpf_link_update_opts, expect, .flags = BPF_F_REPLACE,
		    .old_prog_fd = (__u32)p->old_fd[h->prog]);

	if (p->old_fd[h->prog] >= 0 && bpf_link_update(link_fd, p->fd[h->prog], &expect) == 0)
		return 0;
	/* a replacement that was killed half-way leaves another one of ours here */
	return bpf_link_update(link_fd, p->fd[h->prog], NULL) < 0 ? -errno : 0;
}

/* 0: the pinned link is in order (adopted or replaced); -ENOENT: there is none that can be used. */
static int adopt_link(struct attach *a, const struct hook *h, uint32_t *ret_id)
{
	struct bpf_link_info info = { 0 };
	__u32 len = sizeof(info);
	_cleanup_close_ int fd = attach_pin_get(a->pins, h->pin);

	if (fd < 0)
		return -ENOENT;
	if (bpf_obj_get_info_by_fd(fd, &info, &len) < 0 || !same_target(a, h, &info) ||
	    !same_mode(a, h))
		goto useless;
	if (info.prog_id == a->programs->id[h->prog]) {
		a->counts.adopted += !a->started;
	} else {
		if (replace_program(a, h, fd) < 0)
			goto useless;
		a->counts.updated++;
	}
	*ret_id = info.id;
	return 0;
useless:
	attach_pin_detach(a->pins, h->pin);
	return -ENOENT;
}

static int create_link(struct attach *a, const struct hook *h, uint32_t *ret_id)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts, .flags = h->flags);
	struct bpf_link_info info = { 0 };
	__u32 len = sizeof(info);
	_cleanup_close_ int cgroup = h->ifindex ? -1 : attach_open_dir(a->cgroup);
	_cleanup_close_ int fd = -1;
	int rc;

	if (!h->ifindex && cgroup < 0)
		return cgroup;
	fd = bpf_link_create(a->programs->fd[h->prog], h->ifindex ? (int)h->ifindex : cgroup,
			     h->type, &opts);
	if (fd < 0)
		return -errno;
	rc = attach_pin_put(a->pins, h->pin, fd);
	if (rc < 0)
		return rc;
	if (bpf_obj_get_info_by_fd(fd, &info, &len) == 0)
		*ret_id = info.id;
	count_attached(a, h->pin);
	return 0;
}

static void explain_failure(struct attach *a, const struct hook *h, int rc)
{
	char text[160];

	if (h->type == BPF_XDP && (rc == -EBUSY || rc == -EEXIST)) {
		add_row(a, h, ATTACH_FOREIGN, 0,
			"another XDP program owns the device; it stays, and tc does the work");
	} else if (h->type == BPF_XDP && (rc == -EOPNOTSUPP || rc == -EINVAL || rc == -ERANGE)) {
		snprintf(text, sizeof(text), "the driver refuses %s XDP (%s); tc does the work",
			 h->how, strerror(-rc));
		add_row(a, h, ATTACH_UNSUPPORTED, 0, text);
	} else if (rc == -ENODEV) {
		add_row(a, h, ATTACH_FAILED, 0, "the device is gone");
	} else {
		a->counts.failed++;
		snprintf(text, sizeof(text), "cannot attach: %s", strerror(-rc));
		add_row(a, h, ATTACH_FAILED, 0, text);
	}
}

static int ensure_link(struct attach *a, const struct hook *h)
{
	uint32_t id = 0;
	int rc = mark(a, h->pin);

	if (rc < 0)
		return rc;
	if (a->programs->fd[h->prog] < 0)
		return 0;
	rc = adopt_link(a, h, &id);
	if (rc == -ENOENT)
		rc = create_link(a, h, &id);
	if (rc < 0)
		explain_failure(a, h, rc);
	else
		add_ok(a, h, id);
	return rc;
}

/* ---- clsact -------------------------------------------------------------------------------------- */

/* A marker is a pin of sl_meta: says "we did this here" to later agents, as a filter has no pin of its own. */
static int put_marker(struct attach *a, const char *pin)
{
	_cleanup_close_ int fd = pin_get(a->pins, "maps/sl_meta");
	int rc = fd < 0 ? fd : attach_pin_put(a->pins, pin, fd);

	return rc == -EEXIST ? 0 : rc;
}

static int attach_filter(struct attach *a, const struct hook *h, struct clsact_hook at,
			 bool was_ours)
{
	char qdisc[32];
	bool made = false;
	int rc = put_marker(a, h->pin);

	if (rc == 0)
		rc = clsact_attach(at, a->programs->fd[h->prog], &made);
	if (made) {
		snprintf(qdisc, sizeof(qdisc), ATTACH_PIN_QDISC "%u", at.ifindex);
		put_marker(a, qdisc);
	}
	if (rc < 0)
		return rc;
	if (was_ours)
		a->counts.updated++;
	else
		count_attached(a, h->pin);
	return 0;
}

static int ensure_filter(struct attach *a, const struct hook *h, bool egress)
{
	struct clsact_hook at = { .ifindex = h->ifindex, .egress = egress };
	uint32_t id = 0;
	char qdisc[32];
	int rc = mark(a, h->pin);

	snprintf(qdisc, sizeof(qdisc), ATTACH_PIN_QDISC "%u", h->ifindex);
	if (rc == 0)
		rc = mark(a, qdisc);
	if (rc < 0)
		return rc;
	if (clsact_query(at, &id) < 0)
		id = 0;
	if (id && id == a->programs->id[h->prog]) {
		a->counts.adopted += !a->started;
		put_marker(a, h->pin);
	} else if (id && !attach_filter_is_ours(a->programs, at, &id)) {
		add_row(a, h, ATTACH_FOREIGN, 0,
			"another program sits at our priority and handle of clsact; it stays");
		return -EBUSY;
	} else {
		rc = attach_filter(a, h, at, id != 0);
	}
	if (rc < 0)
		explain_failure(a, h, rc);
	else
		add_ok(a, h, 0);
	return rc;
}

/* ---- interfaces ---------------------------------------------------------------------------------- */

static enum dp_prog tc_program(const struct attach_want *want, bool egress)
{
	if (want->class == ATTACH_POD)
		return egress ? DP_PROG_sl_pod_out : DP_PROG_sl_pod_in;
	if (!want->ethernet)
		return egress ? DP_PROG_sl_l3_out : DP_PROG_sl_l3_in;
	return egress ? DP_PROG_sl_up_out : DP_PROG_sl_up_in;
}

/* TCX runs before clsact, always. We want to be last on egress, so a filter of somebody else there decides. */
static bool use_tcx(const struct attach *a, const struct attach_want *want, bool egress)
{
	if (a->tc == ATTACH_TC_CLSACT || !a->programs->features.tcx)
		return false;
	if (a->tc == ATTACH_TC_TCX || !egress)
		return true;
	return clsact_count_others((struct clsact_hook){ want->ifindex, true }) <= 0;
}

static int ensure_tc(struct attach *a, const struct attach_want *want, bool egress)
{
	bool tcx = use_tcx(a, want, egress);
	char pin[32];
	struct hook h = {
		.pin = pin,
		.name = egress ? "egress" : "ingress",
		.how = tcx ? "tcx" : "clsact",
		.prog = tc_program(want, egress),
		.type = egress ? ATTACH_TYPE_TCX_EGRESS : ATTACH_TYPE_TCX_INGRESS,
		.flags = egress ? FLAG_AFTER : FLAG_BEFORE,
		.ifindex = want->ifindex,
		.want = want,
	};

	snprintf(pin, sizeof(pin), "%s%s_%u", tcx ? "tc" : "clsact", egress ? "_out" : "_in",
		 want->ifindex);
	return tcx ? ensure_link(a, &h) : ensure_filter(a, &h, egress);
}

static int ensure_xdp(struct attach *a, const struct attach_want *want)
{
	char pin[32];
	bool native = a->xdp == ATTACH_XDP_NATIVE;
	struct hook h = {
		.pin = pin,
		.name = "xdp",
		.how = native ? "native" : "generic",
		.prog = DP_PROG_sl_xdp,
		.type = BPF_XDP,
		.flags = native ? XDP_FLAGS_DRV_MODE : XDP_FLAGS_SKB_MODE,
		.ifindex = want->ifindex,
		.want = want,
	};

	if (a->xdp == ATTACH_XDP_OFF || want->class != ATTACH_UPLINK || !want->ethernet)
		return 0;
	snprintf(pin, sizeof(pin), ATTACH_PIN_XDP "%u", want->ifindex);
	return ensure_link(a, &h);
}

static int ensure_cgroup(struct attach *a)
{
	int worst = 0;

	for (size_t i = 0; i < sizeof(cgroup_hooks) / sizeof(cgroup_hooks[0]); i++) {
		struct hook h = {
			.pin = cgroup_hooks[i].name,
			.name = cgroup_hooks[i].name,
			.how = "cgroup",
			.prog = cgroup_hooks[i].prog,
			.type = cgroup_hooks[i].type,
		};
		int rc = ensure_link(a, &h);

		worst = rc < 0 ? rc : worst;
	}
	return worst;
}

/* ---- what is no longer wanted -------------------------------------------------------------------- */

struct sweep {
	struct attach *a;
	const char *prefix;
};

static int sweep_one(void *ctx, const char *name)
{
	struct sweep *sweep = ctx;
	struct attach *a = sweep->a;

	if (strncmp(name, sweep->prefix, strlen(sweep->prefix)) != 0 ||
	    table_get_str(&a->wanted, name))
		return 0;
	a->counts.detached += attach_pin_remove(a->pins, a->programs, name);
	table_remove_str(&a->seen, name);
	return 0;
}

/* Ingress before egress, the reverse of attaching; qdiscs when their filters have gone. */
static void sweep(struct attach *a)
{
	for (size_t i = 0; i < ATTACH_PIN_PREFIXES; i++) {
		struct sweep s = { .a = a, .prefix = attach_pin_prefixes[i] };

		pin_each(a->pins, "links", sweep_one, &s);
	}
}

static int forget_one(void *ctx, const char *name)
{
	const struct attach *a = ctx;

	if (attach_pin_ifindex(name))
		attach_pin_detach(a->pins, name);
	return 0;
}

void attach_forget(struct attach *attach)
{
	pin_each(attach->pins, "links", forget_one, attach);
}

int attach_sync(struct attach *a, const struct attach_want *wants, size_t n_wants)
{
	bool failed;

	vec_clear(&a->rows);
	table_done(&a->wanted, NULL);
	table_init(&a->wanted, 2);
	failed = ensure_cgroup(a) < 0;
	for (size_t i = 0; i < n_wants; i++) {
		ensure_tc(a, &wants[i], true);
		ensure_tc(a, &wants[i], false);
		ensure_xdp(a, &wants[i]);
	}
	sweep(a);
	a->started = true;
	for (size_t i = 0; i < a->rows.len; i++)
		failed |= a->rows.data[i].state == ATTACH_FAILED;
	return failed ? -EAGAIN : 0;
}
