/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Programs on hooks: XDP and tc of interfaces, socket calls of a cgroup.
 *
 * Links are pinned, so the agent is never in the packet path. attach_sync() makes what is attached equal to what is
 * wanted: adopts what an earlier agent attached, replaces the program of a link in one step, attaches what is missing or
 * was torn off, detaches what is ours and no longer wanted. Others on a hook are respected.
 */
#ifndef DP_ATTACH_H
#define DP_ATTACH_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "dp/load.h"
#include "dp/pin.h"

enum attach_class {
	ATTACH_POD,     /* host side of a pod's device: sl_pod_in, sl_pod_out */
	ATTACH_UPLINK,  /* sl_up_in, sl_up_out, sl_xdp */
	ATTACH_OVERLAY, /* sl_up_in, sl_up_out */
};

enum attach_xdp {
	ATTACH_XDP_NATIVE,
	ATTACH_XDP_GENERIC,
	ATTACH_XDP_OFF,
};

enum attach_tc {
	ATTACH_TC_AUTO, /* TCX links where the kernel has them (≥ 6.6), else clsact */
	ATTACH_TC_TCX,
	ATTACH_TC_CLSACT,
};

/* Priority and handle of our clsact filters: first on ingress, last on egress. */
#define ATTACH_PRIO_INGRESS 1
#define ATTACH_PRIO_EGRESS  60000
#define ATTACH_HANDLE       0x51

struct attach_want {
	uint32_t ifindex;
	char name[IF_NAMESIZE];
	enum attach_class class;
	bool ethernet; /* false: frames without Ethernet header (WireGuard, ipip, tun): sl_l3_in, sl_l3_out, no XDP */
	bool handover; /* of a pod, and packets can be handed to its other end: a veth or netkit that ends in another network namespace, and nothing shapes what goes there */
};

enum attach_state {
	ATTACH_OK,
	ATTACH_FOREIGN,     /* somebody else owns the hook; theirs is left alone */
	ATTACH_UNSUPPORTED, /* the device cannot (XDP of its driver): tc does the work */
	ATTACH_FAILED,
};

/* One hook of one interface, or one hook of the cgroup (ifindex 0). */
struct attach_row {
	uint32_t ifindex;
	char name[IF_NAMESIZE];
	char hook[16]; /* "xdp", "ingress", "egress", "connect4", … */
	char how[16];  /* "tcx", "clsact", "native", "generic", "cgroup" */
	char program[16];
	enum attach_state state;
	uint32_t prog_id;
	uint32_t link_id; /* 0 for clsact */
	char text[160];   /* reason where state is not OK */
};

/* What happened since the start; the agent exports them. */
struct attach_counts {
	uint64_t attached;   /* new */
	uint64_t adopted;    /* found in place at start */
	uint64_t updated;    /* program replaced in place */
	uint64_t reattached; /* ours had vanished */
	uint64_t detached;
	uint64_t failed;
};

struct attach_options {
	enum attach_xdp xdp;
	enum attach_tc tc;
	const char *cgroup; /* mounted cgroup2 directory */
};

struct attach;

/* "ok", "foreign", "unsupported", "failed" */
const char *attach_state_name(enum attach_state state);

/* pins and programs must outlive *ret_attach; options are copied. -ENOTSUP: tcx was asked for by name and the kernel has none. */
int attach_new(const struct pin_dir *pins, const struct dp_programs *programs,
	       const struct attach_options *options, struct err *err, struct attach **ret_attach);
void attach_free(struct attach *attach);

/*
 * Makes interfaces as wanted. Attaches in the order: cgroup, egress, ingress, XDP, so that no packet is translated whose
 * reply would not be. One interface that fails stops no other: its row says why. 0, or -EAGAIN if a row failed (call
 * again; devices come and go).
 */
int attach_sync(struct attach *attach, const struct attach_want *wants, size_t n_wants);
const struct attach_row *attach_rows(const struct attach *attach, size_t *ret_n);
const struct attach_counts *attach_counts(const struct attach *attach);
/*
 * Interface indexes are numbers of one network namespace. When the pins come from another one, the links are let go without a
 * look: call before the first attach_sync().
 */
void attach_forget(struct attach *attach);

/* Tools: what is pinned and attached, without an agent. Rows are the caller's to free(). */
int attach_list(const struct pin_dir *pins, struct attach_row **ret_rows, size_t *ret_n);

/*
 * Detaches everything of ours: pinned links, clsact filters whose program is one of our pinned ones (in this network
 * namespace), clsact qdiscs that we made and that are empty. Needs no loaded programs. *ret_n: how many were detached. Where there are
 * clsact filters and they are in another network namespace than ours, nothing is touched: -EXDEV.
 */
int attach_cleanup(const struct pin_dir *pins, struct err *err, unsigned int *ret_n);

/*
 * Where cgroup2 is mounted: as the only hierarchy, or beside cgroup v1 ("unified"). given != NULL is checked instead: it, or its
 * folder "unified".
 * -ENOENT with *err set: no cgroup2.
 */
int attach_find_cgroup(const char *given, struct err *err, char ret_path[256]);

#endif
