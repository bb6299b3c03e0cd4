/* SPDX-License-Identifier: GPL-2.0 */
/* Asks nf_tables for its base chains (NFT_MSG_GETCHAIN), and /proc for tables of iptables-legacy. */
/* Must not know what the filters say, nor who asks. */
#include "dp/filters.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <libmnl/libmnl.h>

#include "base/cleanup.h"

struct look {
	filters_fn *fn;
	void *ctx;
};

/* ---- nf_tables ----------------------------------------------------------------------------------- */

/* Do forwarded packets come by there? What comes in does, wherever it is for. */
static bool is_passed(uint8_t family, const struct nlattr *hook)
{
	const struct nlattr *attr;
	uint32_t number = UINT32_MAX;

	mnl_attr_for_each_nested(attr, hook)
		if (mnl_attr_get_type(attr) == NFTA_HOOK_HOOKNUM)
			number = ntohl(mnl_attr_get_u32(attr));
	if (family == NFPROTO_NETDEV)
		return number == NF_NETDEV_INGRESS || number == NF_NETDEV_EGRESS;
	return number == NF_INET_PRE_ROUTING || number == NF_INET_FORWARD ||
	       number == NF_INET_POST_ROUTING || number == NF_INET_INGRESS;
}

static const char *family_name(uint8_t family)
{
	return family == NFPROTO_IPV4     ? "ip"
	       : family == NFPROTO_IPV6   ? "ip6"
	       : family == NFPROTO_INET   ? "inet"
	       : family == NFPROTO_NETDEV ? "netdev"
					  : NULL;
}

static int see_chain(const struct nlmsghdr *message, void *ctx)
{
	const struct nfgenmsg *info = mnl_nlmsg_get_payload(message);
	const char *table = "", *chain = "", *family = family_name(info->nfgen_family);
	const struct look *look = ctx;
	uint32_t rules = 0, policy = NF_ACCEPT;
	bool passed = false, filters = false;
	const struct nlattr *attr;
	char name[256];

	mnl_attr_for_each(attr, message, sizeof(*info)) {
		switch (mnl_attr_get_type(attr)) {
		case NFTA_CHAIN_TABLE:
			table = mnl_attr_get_str(attr);
			break;
		case NFTA_CHAIN_NAME:
			chain = mnl_attr_get_str(attr);
			break;
		case NFTA_CHAIN_HOOK:
			passed = is_passed(info->nfgen_family, attr);
			break;
		case NFTA_CHAIN_TYPE: /* those of "nat" translate */
			filters = strcmp(mnl_attr_get_str(attr), "filter") == 0;
			break;
		case NFTA_CHAIN_USE:
			rules = ntohl(mnl_attr_get_u32(attr));
			break;
		case NFTA_CHAIN_POLICY:
			policy = ntohl(mnl_attr_get_u32(attr));
			break;
		}
	}
	if (!family || !passed || !filters || (!rules && policy == NF_ACCEPT))
		return MNL_CB_OK;
	snprintf(name, sizeof(name), "nf_tables chain %s %s %s", family, table, chain);
	look->fn(look->ctx, name);
	return MNL_CB_OK;
}

static int receive(struct mnl_socket *nl, struct look *look)
{
	uint8_t buf
		[8192]; /* as libmnl says: a dump comes in pieces of a page, of two where pages are small */
	int rc = MNL_CB_OK;

	while (rc > MNL_CB_STOP) {
		ssize_t n = mnl_socket_recvfrom(nl, buf, sizeof(buf));

		if (n < 0)
			return -errno;
		rc = mnl_cb_run(buf, (size_t)n, 0, 0, see_chain, look);
	}
	return rc < 0 ? -errno : 0;
}

static int ask_nf_tables(struct look *look)
{
	uint8_t buf[MNL_NLMSG_HDRLEN + MNL_ALIGN(sizeof(struct nfgenmsg))];
	struct nlmsghdr *request = mnl_nlmsg_put_header(buf);
	struct nfgenmsg *info;
	struct mnl_socket *nl = mnl_socket_open(NETLINK_NETFILTER);
	int rc;

	if (!nl)
		return errno == EPROTONOSUPPORT ? 0 : -errno;
	request->nlmsg_type = NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETCHAIN;
	request->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	info = mnl_nlmsg_put_extra_header(request, sizeof(*info));
	info->nfgen_family = NFPROTO_UNSPEC;
	info->version = NFNETLINK_V0;
	if (mnl_socket_bind(nl, 0, MNL_SOCKET_AUTOPID) < 0 ||
	    mnl_socket_sendto(nl, request, request->nlmsg_len) < 0)
		rc = -errno;
	else
		rc = receive(nl, look);
	mnl_socket_close(nl);
	/* a kernel without nf_tables knows no such message */
	return rc == -EINVAL || rc == -EOPNOTSUPP || rc == -ENOENT ? 0 : rc;
}

/* ---- iptables-legacy ----------------------------------------------------------------------------- */

/* Its chains cannot be read without its tools; whoever loaded the table "filter" most likely put something in. */
static void look_for_table(struct look *look, const char *path, const char *name)
{
	_cleanup_fclose_ FILE *file = fopen(path, "re");
	char line[64];

	while (file && fgets(line, sizeof(line), file))
		if (strcmp(line, "filter\n") == 0)
			look->fn(look->ctx, name);
}

int filters_each(filters_fn *fn, void *ctx)
{
	struct look look = { fn, ctx };

	look_for_table(&look, "/proc/net/ip_tables_names", "iptables table filter");
	look_for_table(&look, "/proc/net/ip6_tables_names", "ip6tables table filter");
	return ask_nf_tables(&look);
}
