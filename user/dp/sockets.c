/* SPDX-License-Identifier: GPL-2.0 */
/* Destroys connected UDP sockets of this namespace whose backend is gone. */
/* Must not know why a backend went. */
#include "dp/sockets.h"

#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <libmnl/libmnl.h>

#include "base/vec.h"
#include "dp/flows.h"

#ifndef SOCK_DESTROY
#define SOCK_DESTROY 21
#endif

/* A UDP socket that was told to use a backend which does not serve it any more. */
struct victim {
	uint64_t cookie;
	uint8_t addr[16];
	uint16_t port;
	int family; /* 4 or 6 */
};

struct hunt {
	struct dp *dp;
	int family;
	struct VEC_OF(struct victim) victims;
	struct sockets_result result;
	struct mnl_socket *nl;
	unsigned int seq;
};

static bool still_serves(struct hunt *hunt, uint32_t backend, uint32_t gen)
{
	enum dp_map map = dp_map_of(hunt->family, DP_sl4_backends);
	struct sl4_backend b4;
	struct sl6_backend b6;

	if (hunt->family == 4)
		return dp_lookup(hunt->dp, map, &backend, &b4) == 0 && b4.gen == gen &&
		       b4.flags & SL_BACKEND_SERVING;
	return dp_lookup(hunt->dp, map, &backend, &b6) == 0 && b6.gen == gen &&
	       b6.flags & SL_BACKEND_SERVING;
}

/* A REPLY entry: key is what the socket talks to, the backend. */
static int look(void *ctx, const void *key, const void *value)
{
	struct hunt *hunt = ctx;
	const struct sl4_socket_key *k4 = key;
	const struct sl6_socket_key *k6 = key;
	const struct sl4_socket *s4 = value;
	const struct sl6_socket *s6 = value;
	struct victim victim = { .family = hunt->family };
	uint32_t backend, gen;
	uint8_t proto, kind;

	if (hunt->family == 4) {
		proto = k4->proto, kind = k4->kind, backend = s4->backend, gen = s4->backend_gen;
		victim.cookie = k4->cookie, victim.port = k4->port;
		memcpy(victim.addr, k4->addr, 4);
	} else {
		proto = k6->proto, kind = k6->kind, backend = s6->backend, gen = s6->backend_gen;
		victim.cookie = k6->cookie, victim.port = k6->port;
		memcpy(victim.addr, k6->addr, 16);
	}
	if (proto != IPPROTO_UDP || kind != SL_FLOW_REPLY)
		return 0;
	hunt->result.checked++;
	return still_serves(hunt, backend, gen) ? 0 : vec_push(&hunt->victims, victim);
}

/* ---- netlink ------------------------------------------------------------------------------------- */

struct found {
	struct hunt *hunt;
	struct VEC_OF(struct inet_diag_sockid) ids;
	uint8_t family; /* AF_ */
};

static uint64_t cookie_of(const struct inet_diag_sockid *id)
{
	return (uint64_t)id->idiag_cookie[1] << 32 | id->idiag_cookie[0];
}

/* Is the socket connected to exactly what the entry says? IPv6 sockets reach IPv4 by mapped addresses. */
static bool matches(const struct victim *victim, const struct inet_diag_msg *msg)
{
	static const uint8_t mapped[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };
	const uint8_t *dst = (const uint8_t *)msg->id.idiag_dst;

	if (cookie_of(&msg->id) != victim->cookie || ntohs(msg->id.idiag_dport) != victim->port)
		return false;
	if (msg->idiag_family == AF_INET)
		return victim->family == 4 && memcmp(dst, victim->addr, 4) == 0;
	if (victim->family == 6)
		return memcmp(dst, victim->addr, 16) == 0;
	return memcmp(dst, mapped, 12) == 0 && memcmp(dst + 12, victim->addr, 4) == 0;
}

static int compare_victims(const void *a, const void *b)
{
	const struct victim *x = a, *y = b;

	return x->cookie < y->cookie ? -1 : x->cookie > y->cookie;
}

/* Index of the first victim (sorted) with that cookie or a higher one. */
static size_t first_victim(const struct hunt *hunt, uint64_t cookie)
{
	size_t low = 0, high = hunt->victims.len;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (hunt->victims.data[middle].cookie < cookie)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static int see_socket(const struct nlmsghdr *message, void *ctx)
{
	const struct inet_diag_msg *msg = mnl_nlmsg_get_payload(message);
	struct found *found = ctx;
	struct hunt *hunt = found->hunt;
	size_t i;

	if (mnl_nlmsg_get_payload_len(message) < sizeof(*msg))
		return MNL_CB_OK;
	for (i = first_victim(hunt, cookie_of(&msg->id));
	     i < hunt->victims.len && hunt->victims.data[i].cookie == cookie_of(&msg->id); i++)
		if (matches(&hunt->victims.data[i], msg))
			return vec_push(&found->ids, msg->id) < 0 ? MNL_CB_ERROR : MNL_CB_OK;
	return MNL_CB_OK;
}

static int talk(struct hunt *hunt, struct nlmsghdr *request, mnl_cb_t fn, void *ctx)
{
	char buffer[32768];
	unsigned int portid = mnl_socket_get_portid(hunt->nl);
	int rc = 1;

	request->nlmsg_seq = ++hunt->seq;
	if (mnl_socket_sendto(hunt->nl, request, request->nlmsg_len) < 0)
		return -errno;
	while (rc > 0) {
		ssize_t len = mnl_socket_recvfrom(hunt->nl, buffer, sizeof(buffer));

		if (len < 0)
			return -errno;
		rc = mnl_cb_run(buffer, (size_t)len, hunt->seq, portid, fn, ctx);
	}
	return rc < 0 ? -errno : 0;
}

static struct inet_diag_req_v2 *put_request(char *buffer, uint16_t type, uint16_t flags,
					    uint8_t family)
{
	struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);
	struct inet_diag_req_v2 *diag = mnl_nlmsg_put_extra_header(request, sizeof(*diag));

	request->nlmsg_type = type;
	request->nlmsg_flags = NLM_F_REQUEST | flags;
	diag->sdiag_family = family;
	diag->sdiag_protocol = IPPROTO_UDP;
	diag->idiag_states = 1u << 1; /* TCP_ESTABLISHED: connected, for UDP too */
	return diag;
}

static int destroy(struct hunt *hunt, const struct inet_diag_sockid *id, uint8_t family)
{
	char buffer[512];
	struct inet_diag_req_v2 *diag = put_request(buffer, SOCK_DESTROY, NLM_F_ACK, family);
	int rc;

	diag->id = *id;
	rc = talk(hunt, (struct nlmsghdr *)buffer, NULL, NULL);
	if (rc == 0)
		hunt->result.destroyed++;
	else if (rc == -EOPNOTSUPP || rc == -EINVAL)
		hunt->result.unsupported = true;
	return rc == -ENOENT || hunt->result.unsupported ? 0 : rc; /* the process was faster */
}

static int kill_family(struct hunt *hunt, uint8_t family)
{
	struct found found = { .hunt = hunt, .family = family };
	const struct inet_diag_sockid *id;
	char buffer[512];
	int rc;

	put_request(buffer, SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, family);
	rc = talk(hunt, (struct nlmsghdr *)buffer, see_socket, &found);
	vec_for_each(id, &found.ids)
		if (rc == 0 && !hunt->result.unsupported)
			rc = destroy(hunt, id, family);
	vec_done(&found.ids);
	return rc;
}

static int kill_victims(struct hunt *hunt)
{
	int rc;

	vec_sort(&hunt->victims, compare_victims);
	hunt->nl = mnl_socket_open2(NETLINK_SOCK_DIAG, SOCK_CLOEXEC);
	if (!hunt->nl)
		return -errno;
	rc = mnl_socket_bind(hunt->nl, 0, MNL_SOCKET_AUTOPID) < 0 ? -errno : 0;
	if (rc == 0)
		rc = kill_family(hunt, AF_INET);
	if (rc == 0)
		rc = kill_family(hunt, AF_INET6);
	mnl_socket_close(hunt->nl);
	return rc;
}

int sockets_sweep(struct dp *dp, struct sockets_result *ret_result)
{
	struct hunt hunt = { .dp = dp };
	int rc = 0;

	for (hunt.family = 4; rc == 0 && hunt.family <= 6; hunt.family += 2)
		rc = dp_sockets_each(dp, hunt.family, look, &hunt);
	if (rc == 0 && hunt.victims.len)
		rc = kill_victims(&hunt);
	vec_done(&hunt.victims);
	if (rc == 0)
		*ret_result = hunt.result;
	return rc;
}
