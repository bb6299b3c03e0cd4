/* SPDX-License-Identifier: GPL-2.0 */
/* Interfaces, addresses and default routes by netlink, and word of their changes. */
/* Must not know which interfaces are ours to use (links_choose.c). */
#include "dp/links.h"

#include <errno.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include <libmnl/libmnl.h>

#include "base/vec.h"

struct scan {
	struct VEC_OF(struct link_info) links;
	struct VEC_OF(struct link_addr) addrs;
	struct mnl_socket *nl;
	unsigned int seq;
};

/* ---- links --------------------------------------------------------------------------------------- */

static void read_kind(const struct nlattr *info, struct link_info *link)
{
	const struct nlattr *attr;

	mnl_attr_for_each_nested(attr, info)
		if (mnl_attr_get_type(attr) == IFLA_INFO_KIND)
			snprintf(link->kind, sizeof(link->kind), "%s", mnl_attr_get_str(attr));
}

static int see_link(const struct nlmsghdr *message, void *ctx)
{
	const struct ifinfomsg *info = mnl_nlmsg_get_payload(message);
	struct scan *scan = ctx;
	struct link_info *link;
	const struct nlattr *attr;

	if (message->nlmsg_type != RTM_NEWLINK)
		return MNL_CB_OK;
	link = vec_add(&scan->links);
	if (!link)
		return MNL_CB_ERROR;
	link->ifindex = (uint32_t)info->ifi_index;
	link->flags = info->ifi_flags;
	link->arphrd = info->ifi_type;
	mnl_attr_for_each(attr, message, sizeof(*info)) {
		switch (mnl_attr_get_type(attr)) {
		case IFLA_IFNAME:
			snprintf(link->name, sizeof(link->name), "%s", mnl_attr_get_str(attr));
			break;
		case IFLA_LINK:
			link->lower = mnl_attr_get_u32(attr);
			break;
		case IFLA_LINK_NETNSID:
			link->lower_elsewhere = true;
			break;
		case IFLA_MASTER:
			link->master = mnl_attr_get_u32(attr);
			break;
		case IFLA_QDISC: /* virtual devices have none but what somebody gives them */
			link->queued = strcmp(mnl_attr_get_str(attr), "noqueue") != 0 &&
				       strcmp(mnl_attr_get_str(attr), "noop") != 0;
			break;
		case IFLA_MTU:
			link->mtu = mnl_attr_get_u32(attr);
			break;
		case IFLA_LINKINFO:
			read_kind(attr, link);
			break;
		}
	}
	return MNL_CB_OK;
}

/* ---- addresses ----------------------------------------------------------------------------------- */

static void read_address(const struct nlattr *attr, uint8_t family, struct address *ret_addr)
{
	size_t len = family == AF_INET ? 4 : 16;

	if (mnl_attr_get_payload_len(attr) < len)
		return;
	memset(ret_addr, 0, sizeof(*ret_addr));
	ret_addr->family = family == AF_INET ? 4 : 6;
	memcpy(ret_addr->b, mnl_attr_get_payload(attr), len);
}

static int see_address(const struct nlmsghdr *message, void *ctx)
{
	const struct ifaddrmsg *info = mnl_nlmsg_get_payload(message);
	struct link_addr addr = { .ifindex = info->ifa_index,
				  .len = info->ifa_prefixlen,
				  .scope = info->ifa_scope,
				  .flags = info->ifa_flags };
	struct scan *scan = ctx;
	const struct nlattr *attr;
	bool local = false;

	if (message->nlmsg_type != RTM_NEWADDR ||
	    (info->ifa_family != AF_INET && info->ifa_family != AF_INET6))
		return MNL_CB_OK;
	mnl_attr_for_each(attr, message, sizeof(*info)) {
		int type = mnl_attr_get_type(attr);

		/* on point-to-point links IFA_ADDRESS is the peer's, IFA_LOCAL ours */
		if (type == IFA_LOCAL || (type == IFA_ADDRESS && !local))
			read_address(attr, info->ifa_family, &addr.addr);
		local |= type == IFA_LOCAL;
	}
	return addr.addr.family && vec_push(&scan->addrs, addr) < 0 ? MNL_CB_ERROR : MNL_CB_OK;
}

#define HALF_BITS 1 /* of a route to half of all addresses */

/* ---- default routes ------------------------------------------------------------------------------ */

static void mark_default(struct scan *scan, uint32_t ifindex)
{
	struct link_info *link;

	vec_for_each(link, &scan->links)
		if (link->ifindex == ifindex)
			link->default_route = true;
}

static void mark_nexthops(struct scan *scan, const struct nlattr *attr)
{
	const struct rtnexthop *hop = mnl_attr_get_payload(attr);
	int left = mnl_attr_get_payload_len(attr);

	for (; RTNH_OK(hop, left); left -= RTNH_ALIGN(hop->rtnh_len), hop = RTNH_NEXT(hop))
		mark_default(scan, (uint32_t)hop->rtnh_ifindex);
}

/* What a question for one route found. */
struct route_found {
	struct scan *scan;
	uint8_t bits; /* of the prefix that matched; 0: a default route */
	bool found;
};

static int see_route(const struct nlmsghdr *message, void *ctx)
{
	const struct rtmsg *route = mnl_nlmsg_get_payload(message);
	struct route_found *found = ctx;
	const struct nlattr *attr;

	if (message->nlmsg_type != RTM_NEWROUTE)
		return MNL_CB_OK;
	found->found = true;
	found->bits = route->rtm_dst_len;
	if (route->rtm_dst_len > HALF_BITS || route->rtm_type != RTN_UNICAST)
		return MNL_CB_OK;
	mnl_attr_for_each(attr, message, sizeof(*route)) {
		if (mnl_attr_get_type(attr) == RTA_OIF)
			mark_default(found->scan, mnl_attr_get_u32(attr));
		else if (mnl_attr_get_type(attr) == RTA_MULTIPATH)
			mark_nexthops(found->scan, attr);
	}
	return MNL_CB_OK;
}

/* ---- talking ------------------------------------------------------------------------------------- */

static int talk(struct scan *scan, struct nlmsghdr *request, mnl_cb_t fn, void *ctx)
{
	char buffer[32768];
	unsigned int portid = mnl_socket_get_portid(scan->nl);
	int rc = 1;

	request->nlmsg_seq = ++scan->seq;
	if (mnl_socket_sendto(scan->nl, request, request->nlmsg_len) < 0)
		return -errno;
	while (rc > 0) {
		ssize_t len = mnl_socket_recvfrom(scan->nl, buffer, sizeof(buffer));

		if (len < 0)
			return -errno;
		rc = mnl_cb_run(buffer, (size_t)len, scan->seq, portid, fn, ctx);
	}
	return rc < 0 ? -errno : 0;
}

static int dump(struct scan *scan, uint16_t type, mnl_cb_t fn)
{
	char buffer[256];
	struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);

	request->nlmsg_type = type;
	request->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	/* ifinfomsg is the largest of the three headers; zeros mean all families */
	mnl_nlmsg_put_extra_header(request, sizeof(struct ifinfomsg));
	return talk(scan, request, fn, scan);
}

/* The route of one address. -errno: there is none, or no such family at all. */
static int ask_route(struct scan *scan, uint8_t family, const uint8_t *addr,
		     struct route_found *ret_found)
{
	uint16_t len = family == AF_INET ? 4 : 16;
	char buffer[256];
	struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);
	struct rtmsg *route = mnl_nlmsg_put_extra_header(request, sizeof(*route));

	request->nlmsg_type = RTM_GETROUTE;
	request->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	route->rtm_family = family;
	route->rtm_flags = RTM_F_FIB_MATCH;
	route->rtm_dst_len = (unsigned char)(len * 8);
	mnl_attr_put(request, RTA_DST, len, addr);
	*ret_found = (struct route_found){ .scan = scan };
	return talk(scan, request, see_route, ret_found);
}

/*
 * Asks for single routes instead of dumping all: a node may hold a million. The first address is one nobody has (RFC 5737, 3849). Where
 * a narrower route has it, the next one lies beside that route, and beside ever wider ones: at most as many questions as an
 * address has bits. The routes of two halves (0.0.0.0/1 and 128.0.0.0/1, as tunnels set them over a default route) count as one.
 */
static int ask_default(struct scan *scan, uint8_t family)
{
	uint8_t addr[16] = { 192, 0, 2, 1 };

	if (family == AF_INET6)
		memcpy(addr, (uint8_t[16]){ 0x20, 0x01, 0x0d, 0xb8, 0xff, 0xff, [15] = 1 }, 16);
	for (int bit = family == AF_INET ? 32 : 128; bit > 0;) {
		struct route_found found;
		int rc = ask_route(scan, family, addr, &found);

		if (rc == -ENOMEM || rc == -ENOBUFS)
			return rc;
		if (rc == 0 && found.found && !found.bits)
			return 0;
		/* to the other side of the last bit that the route fixes, or of one before those already crossed */
		bit = (found.found && found.bits < bit ? found.bits : bit) - 1;
		addr[bit / 8] ^= (uint8_t)(0x80 >> bit % 8);
	}
	return 0;
}

static int run_scan(struct scan *scan)
{
	int rc;

	if (mnl_socket_bind(scan->nl, 0, MNL_SOCKET_AUTOPID) < 0)
		return -errno;
	rc = dump(scan, RTM_GETLINK, see_link);
	if (rc == 0)
		rc = dump(scan, RTM_GETADDR, see_address);
	if (rc == 0)
		rc = ask_default(scan, AF_INET);
	if (rc == 0)
		rc = ask_default(scan, AF_INET6);
	return rc;
}

int links_scan(struct links_table *ret_table)
{
	struct scan scan = { .nl = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC) };
	int rc;

	if (!scan.nl)
		return -errno;
	rc = run_scan(&scan);
	mnl_socket_close(scan.nl);
	if (rc < 0) {
		vec_done(&scan.links);
		vec_done(&scan.addrs);
		return rc;
	}
	*ret_table = (struct links_table){
		.links = scan.links.data,
		.n_links = scan.links.len,
		.addrs = scan.addrs.data,
		.n_addrs = scan.addrs.len,
	};
	return 0;
}

void links_table_done(struct links_table *table)
{
	free(table->links);
	free(table->addrs);
	memset(table, 0, sizeof(*table));
}

/* ---- monitor ------------------------------------------------------------------------------------- */

struct links_monitor {
	struct mnl_socket *nl;
};

int links_monitor_new(struct links_monitor **ret_monitor)
{
	struct links_monitor *monitor = calloc(1, sizeof(*monitor));
	unsigned int groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR |
			      RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE | RTMGRP_TC;
	int rc = 0;

	if (!monitor)
		return -ENOMEM;
	monitor->nl = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (!monitor->nl || mnl_socket_bind(monitor->nl, groups, MNL_SOCKET_AUTOPID) < 0)
		rc = -errno;
	if (rc < 0) {
		links_monitor_free(monitor);
		return rc;
	}
	*ret_monitor = monitor;
	return 0;
}

void links_monitor_free(struct links_monitor *monitor)
{
	if (monitor && monitor->nl)
		mnl_socket_close(monitor->nl);
	free(monitor);
}

int links_monitor_fd(const struct links_monitor *monitor)
{
	return mnl_socket_get_fd(monitor->nl);
}

/* Filters come with qdiscs: ours, and those of others, which are looked for by the clock. */
static bool is_told(const char *buffer, int len)
{
	const struct nlmsghdr *message = (const void *)buffer;

	for (; mnl_nlmsg_ok(message, len); message = mnl_nlmsg_next(message, &len))
		if (message->nlmsg_type < RTM_NEWTFILTER || message->nlmsg_type > RTM_GETTFILTER)
			return true;
	return false;
}

int links_monitor_read(struct links_monitor *monitor)
{
	char buffer[16384] __attribute__((aligned(8)));
	int changed = 0;

	for (;;) {
		ssize_t len = mnl_socket_recvfrom(monitor->nl, buffer, sizeof(buffer));

		/* what it was does not matter: the table is dumped anew */
		if (len > 0)
			changed |= is_told(buffer, (int)len);
		else if (len < 0 && (errno == ENOBUFS || errno == ENOSPC))
			changed = 1;
		else if (len < 0 && errno == EINTR)
			continue;
		else
			return len < 0 && errno != EAGAIN ? -errno : changed;
	}
}
