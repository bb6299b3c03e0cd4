/* SPDX-License-Identifier: GPL-2.0 */
/* clsact qdiscs and their filters, by libbpf and netlink. */
/* Must not know which program goes where, nor pins. */
#include "dp/clsact.h"

#include <errno.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <time.h>

#include <bpf/libbpf.h>
#include <libmnl/libmnl.h>

#include "dp/attach.h"

static uint32_t priority_of(struct clsact_hook hook)
{
	return hook.egress ? ATTACH_PRIO_EGRESS : ATTACH_PRIO_INGRESS;
}

static struct bpf_tc_hook libbpf_hook(struct clsact_hook hook)
{
	LIBBPF_OPTS(bpf_tc_hook, opts, .ifindex = (int)hook.ifindex,
		    .attach_point = hook.egress ? BPF_TC_EGRESS : BPF_TC_INGRESS);

	return opts;
}

int clsact_query(struct clsact_hook hook, uint32_t *ret_prog_id)
{
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = ATTACH_HANDLE, .priority = priority_of(hook));
	struct bpf_tc_hook at = libbpf_hook(hook);

	if (bpf_tc_query(&at, &opts) < 0)
		return -ENOENT;
	*ret_prog_id = opts.prog_id;
	return 0;
}

int clsact_attach(struct clsact_hook hook, int prog_fd, bool *ret_made)
{
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = ATTACH_HANDLE, .priority = priority_of(hook),
		    .prog_fd = prog_fd, .flags = BPF_TC_F_REPLACE);
	struct bpf_tc_hook at = libbpf_hook(hook);
	int rc = bpf_tc_hook_create(&at);

	if (rc < 0 && rc != -EEXIST)
		return rc;
	*ret_made = rc == 0;
	return bpf_tc_attach(&at, &opts);
}

int clsact_detach(struct clsact_hook hook)
{
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = ATTACH_HANDLE, .priority = priority_of(hook));
	struct bpf_tc_hook at = libbpf_hook(hook);

	return bpf_tc_detach(&at, &opts);
}

/* ---- looking at others --------------------------------------------------------------------------- */

struct census {
	uint32_t priority;
	int ours, others;
	char name[CLSACT_NAME_LEN]; /* of what sits at our priority and handle */
};

/* "sl_pod_in:[123]", as libbpf attaches it: the name without the id. */
static int see_name(const struct nlattr *option, void *ctx)
{
	struct census *census = ctx;
	const char *text = mnl_attr_get_payload(option);
	size_t len;

	if (mnl_attr_get_type(option) != TCA_BPF_NAME ||
	    mnl_attr_validate(option, MNL_TYPE_NUL_STRING) < 0)
		return MNL_CB_OK;
	len = strcspn(text, ":");
	if (len < sizeof(census->name)) {
		memcpy(census->name, text, len);
		census->name[len] = '\0';
	}
	return MNL_CB_OK;
}

static int see_options(const struct nlattr *attr, void *ctx)
{
	if (mnl_attr_get_type(attr) == TCA_OPTIONS)
		mnl_attr_parse_nested(attr, see_name, ctx);
	return MNL_CB_OK;
}

static int see_filter(const struct nlmsghdr *message, void *ctx)
{
	const struct tcmsg *tc = mnl_nlmsg_get_payload(message);
	struct census *census = ctx;

	if (message->nlmsg_type != RTM_NEWTFILTER || !tc->tcm_handle)
		return MNL_CB_OK; /* handle 0 is the head of a chain, no filter */
	if (tc->tcm_handle != ATTACH_HANDLE || TC_H_MAJ(tc->tcm_info) >> 16 != census->priority) {
		census->others++;
		return MNL_CB_OK;
	}
	census->ours++;
	mnl_attr_parse(message, sizeof(*tc), see_options, census);
	return MNL_CB_OK;
}

static int run_dump(struct mnl_socket *nl, struct clsact_hook hook, struct census *census)
{
	char buffer[16384];
	struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);
	struct tcmsg *tc = mnl_nlmsg_put_extra_header(request, sizeof(*tc));
	int rc = 1;

	request->nlmsg_type = RTM_GETTFILTER;
	request->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	request->nlmsg_seq = 1;
	tc->tcm_ifindex = (int)hook.ifindex;
	tc->tcm_parent = TC_H_MAKE(TC_H_CLSACT, hook.egress ? TC_H_MIN_EGRESS : TC_H_MIN_INGRESS);
	if (mnl_socket_sendto(nl, request, request->nlmsg_len) < 0)
		return -errno;
	while (rc > 0) {
		ssize_t len = mnl_socket_recvfrom(nl, buffer, sizeof(buffer));

		if (len < 0)
			return -errno;
		rc = mnl_cb_run(buffer, (size_t)len, 1, mnl_socket_get_portid(nl), see_filter,
				census);
	}
	return rc < 0 ? -errno : 0;
}

static int take_census(struct clsact_hook hook, struct census *census)
{
	struct mnl_socket *nl = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	int rc;

	if (!nl)
		return -errno;
	census->priority = priority_of(hook);
	rc = mnl_socket_bind(nl, 0, MNL_SOCKET_AUTOPID) < 0 ? -errno : run_dump(nl, hook, census);
	mnl_socket_close(nl);
	/* no such device, or no such qdisc: then there is no filter either */
	return rc == -ENODEV || rc == -EINVAL || rc == -ENOENT ? 0 : rc;
}

int clsact_query_name(struct clsact_hook hook, char ret_name[CLSACT_NAME_LEN])
{
	struct census census = { 0 };
	int rc = take_census(hook, &census);

	if (rc < 0 || !census.ours)
		return rc < 0 ? rc : -ENOENT;
	memcpy(ret_name, census.name, CLSACT_NAME_LEN);
	return 0;
}

int clsact_count_others(struct clsact_hook hook)
{
	struct census census = { 0 };
	int rc = take_census(hook, &census);

	return rc < 0 ? rc : census.others;
}

int clsact_remove_empty(uint32_t ifindex)
{
	LIBBPF_OPTS(bpf_tc_hook, at, .ifindex = (int)ifindex,
		    .attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS);
	struct census census = { 0 };
	int rc = take_census((struct clsact_hook){ ifindex, false }, &census);

	if (rc == 0)
		rc = take_census((struct clsact_hook){ ifindex, true }, &census);
	if (rc < 0 || census.ours || census.others)
		return rc;
	rc = bpf_tc_hook_destroy(&at);
	return rc == -ENOENT || rc == -EINVAL || rc == -ENODEV ? 0 : rc;
}
