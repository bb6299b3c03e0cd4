/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Interfaces, addresses and default routes of this network namespace by netlink, and which interfaces are ours to use.
 *
 * The kernel's messages only say "something changed": the table is dumped anew (links_scan), which is right after a lost
 * message too. Classes:
 *   pod      host-side veth (auto: its peer is in another network namespace; netkit too)
 *   uplink   devices of the node's addresses and of default routes, down to the lowest device below bonds, VLANs and bridges
 *   overlay  vxlan, geneve, wireguard, ipip, sit, ip6tnl, gre
 */
#ifndef DP_LINKS_H
#define DP_LINKS_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/address.h"
#include "dp/attach.h"

struct link_info {
	uint32_t ifindex;
	char name[IF_NAMESIZE];
	char kind[16];        /* IFLA_INFO_KIND: "veth", "bridge"; empty for hardware */
	uint32_t flags;       /* IFF_ */
	uint16_t arphrd;      /* ARPHRD_ETHER … */
	uint32_t lower;       /* IFLA_LINK: the device below; veth: the peer's index */
	uint32_t master;      /* bridge or bond it belongs to; 0 = none */
	bool lower_elsewhere; /* IFLA_LINK is in another network namespace */
	uint32_t mtu;
	bool queued; /* its packets wait in a qdisc that somebody set: the bandwidth of a pod may be limited so */
	bool default_route;
};

struct link_addr {
	uint32_t ifindex;
	struct address addr;
	uint8_t len;    /* prefix length */
	uint8_t scope;  /* RT_SCOPE_ */
	uint32_t flags; /* IFA_F_ */
};

struct links_table {
	struct link_info *links;
	size_t n_links;
	struct link_addr *addrs;
	size_t n_addrs;
};

/* Dumps links, addresses, routes. Owned by the caller. */
int links_scan(struct links_table *ret_table);
void links_table_done(struct links_table *table);

/* What the operator said; NULL or "auto" is automatic. Lists are comma-separated names with * and ?. */
struct links_rules {
	const char *uplink;
	const char *pod_ifaces;
	const char *overlay_ifaces;
	const struct address *node_ips; /* addresses of the node, if known */
	size_t n_node_ips;
};

/*
 * Which interfaces get programs. Pure. wants is the caller's to free(). notes gets a line for each thing an operator should
 * know: no uplink found, a pattern that matches nothing, or only a bridge.
 */
typedef void links_note_fn(void *ctx, const char *text);
int links_choose(const struct links_table *table, const struct links_rules *rules,
		 links_note_fn *note, void *ctx, struct attach_want **ret_wants, size_t *ret_n);
/*
 * A pattern of --pod-ifaces that names only bridges is refused: packets between two ports of a bridge never pass the
 * bridge's own tc hooks, so replies would keep the pod's address. -EINVAL with *err set; 0 otherwise.
 */
int links_check_pods(const struct links_table *table, const char *pod_ifaces, struct err *err);
/* The node's own address of a family (4 or 6): global, on an uplink; for --node-ip left open. -ENOENT: none. */
int links_node_address(const struct links_table *table, const struct links_rules *rules, int family,
		       struct address *ret_addr);

/* Notification socket: readable when interfaces, addresses, routes or qdiscs change. */
struct links_monitor;
int links_monitor_new(struct links_monitor **ret_monitor);
void links_monitor_free(struct links_monitor *monitor);
int links_monitor_fd(const struct links_monitor *monitor);
/* Empties the socket. 1: something changed, or messages were lost (scan); 0: nothing; or -errno. */
int links_monitor_read(struct links_monitor *monitor);

#endif
