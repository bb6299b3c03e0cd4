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

#define PIECE_BYTES   16384 /* of the kernel's answer: about a hundred sockets */
#define PIECE_VICTIMS 32

struct victim {
	struct inet_diag_sockid id;
	uint8_t family; /* AF_ */
};

struct sockets_sweep {
	struct dp *dp;
	uint32_t seed;
	struct mnl_socket *nl;
	unsigned int seq;
	int next_family; /* AF_ to ask for; 0: all were asked for */
	bool answering;
	size_t destroyed; /* of victims: those that were dealt with */
	struct VEC_OF(struct victim) victims;
	struct sockets_result result;
};

/* ---- ours, and lost? ------------------------------------------------------------------------------- */

static bool serves4(const struct sockets_sweep *s, uint32_t backend, uint32_t gen)
{
	struct sl4_backend b;

	return dp_lookup(s->dp, DP_sl4_backends, &backend, &b) == 0 && b.gen == gen &&
	       b.flags & SL_BACKEND_SERVING;
}

static bool serves6(const struct sockets_sweep *s, uint32_t backend, uint32_t gen)
{
	struct sl6_backend b;

	return dp_lookup(s->dp, DP_sl6_backends, &backend, &b) == 0 && b.gen == gen &&
	       b.flags & SL_BACKEND_SERVING;
}

static bool is_lost4(struct sockets_sweep *s, uint64_t cookie, const uint8_t addr[4], uint16_t port)
{
	struct sl4_socket_key key = {
		.cookie = cookie, .port = port, .proto = IPPROTO_UDP, .kind = SL_FLOW_REPLY
	};
	struct sl4_socket told;

	memcpy(key.addr, addr, sizeof(key.addr));
	if (dp_socket_lookup(s->dp, 4, sl4_socket_mix(&key, s->seed), &key, &told) < 0)
		return false;
	s->result.checked++;
	return !serves4(s, told.backend, told.backend_gen);
}

static bool is_lost6(struct sockets_sweep *s, uint64_t cookie, const uint8_t addr[16],
		     uint16_t port)
{
	struct sl6_socket_key key = {
		.cookie = cookie, .port = port, .proto = IPPROTO_UDP, .kind = SL_FLOW_REPLY
	};
	struct sl6_socket told;

	memcpy(key.addr, addr, sizeof(key.addr));
	if (dp_socket_lookup(s->dp, 6, sl6_socket_mix(&key, s->seed), &key, &told) < 0)
		return false;
	s->result.checked++;
	return !serves6(s, told.backend, told.backend_gen);
}

/* IPv6 sockets reach IPv4 by mapped addresses. */
static bool is_lost(struct sockets_sweep *s, const struct inet_diag_msg *msg)
{
	static const uint8_t mapped[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };
	const uint8_t *dst = (const uint8_t *)msg->id.idiag_dst;
	uint64_t cookie = (uint64_t)msg->id.idiag_cookie[1] << 32 | msg->id.idiag_cookie[0];
	uint16_t port = ntohs(msg->id.idiag_dport);

	if (msg->idiag_family == AF_INET)
		return is_lost4(s, cookie, dst, port);
	if (memcmp(dst, mapped, sizeof(mapped)) == 0)
		return is_lost4(s, cookie, dst + sizeof(mapped), port);
	return is_lost6(s, cookie, dst, port);
}

/* ---- netlink ------------------------------------------------------------------------------------- */

static int see_socket(const struct nlmsghdr *message, void *ctx)
{
	const struct inet_diag_msg *msg = mnl_nlmsg_get_payload(message);
	struct sockets_sweep *s = ctx;
	struct victim victim;

	if (mnl_nlmsg_get_payload_len(message) < sizeof(*msg) || !is_lost(s, msg))
		return MNL_CB_OK;
	victim = (struct victim){ msg->id, msg->idiag_family };
	return vec_push(&s->victims, victim) < 0 ? MNL_CB_ERROR : MNL_CB_OK;
}

static int ask(struct sockets_sweep *s, uint16_t type, uint16_t flags, uint8_t family,
	       const struct inet_diag_sockid *id)
{
	char buffer[512];
	struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);
	struct inet_diag_req_v2 *diag = mnl_nlmsg_put_extra_header(request, sizeof(*diag));

	request->nlmsg_type = type;
	request->nlmsg_flags = NLM_F_REQUEST | flags;
	request->nlmsg_seq = ++s->seq;
	diag->sdiag_family = family;
	diag->sdiag_protocol = IPPROTO_UDP;
	diag->idiag_states = 1u << 1; /* TCP_ESTABLISHED: connected, for UDP too */
	if (id)
		diag->id = *id;
	return mnl_socket_sendto(s->nl, request, request->nlmsg_len) < 0 ? -errno : 0;
}

/* One piece of an answer: 1 if there is more of it, else 0 or the kernel's -errno. */
static int hear(struct sockets_sweep *s, mnl_cb_t fn)
{
	char buffer[PIECE_BYTES];
	ssize_t len = mnl_socket_recvfrom(s->nl, buffer, sizeof(buffer));
	int rc;

	if (len < 0)
		return -errno;
	rc = mnl_cb_run(buffer, (size_t)len, s->seq, mnl_socket_get_portid(s->nl), fn, s);
	return rc < 0 ? -errno : rc > 0;
}

static int look(struct sockets_sweep *s)
{
	int rc = 0;

	if (!s->answering)
		rc = ask(s, SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, (uint8_t)s->next_family, NULL);
	if (rc == 0)
		rc = hear(s, see_socket);
	s->answering = rc > 0;
	if (rc == 0)
		s->next_family = s->next_family == AF_INET ? AF_INET6 : 0;
	return rc < 0 ? rc : 0;
}

static int destroy(struct sockets_sweep *s, const struct victim *victim)
{
	int rc = ask(s, SOCK_DESTROY, NLM_F_ACK, victim->family, &victim->id);

	if (rc == 0)
		rc = hear(s, NULL);
	if (rc == 0)
		s->result.destroyed++;
	else if (rc == -EOPNOTSUPP || rc == -EINVAL)
		s->result.unsupported = true;
	return rc == -ENOENT || s->result.unsupported ? 0 : rc; /* the process was faster */
}

static int destroy_some(struct sockets_sweep *s)
{
	int rc = 0;

	for (int i = 0; rc == 0 && i < PIECE_VICTIMS && s->destroyed < s->victims.len; i++)
		rc = destroy(s, &s->victims.data[s->destroyed++]);
	if (s->result.unsupported)
		s->destroyed = s->victims.len;
	return rc;
}

int sockets_sweep_step(struct sockets_sweep *s)
{
	int rc = s->next_family ? look(s) : destroy_some(s);

	if (rc < 0)
		return rc;
	return s->next_family || s->destroyed < s->victims.len;
}

const struct sockets_result *sockets_sweep_result(const struct sockets_sweep *s)
{
	return &s->result;
}

int sockets_sweep_new(struct dp *dp, uint32_t seed, struct sockets_sweep **ret_sweep)
{
	struct sockets_sweep *s = calloc(1, sizeof(*s));
	int rc = 0;

	if (!s)
		return -ENOMEM;
	s->dp = dp;
	s->seed = seed;
	s->next_family = AF_INET;
	if (!(s->nl = mnl_socket_open2(NETLINK_SOCK_DIAG, SOCK_CLOEXEC)))
		rc = -errno;
	if (rc == 0 && mnl_socket_bind(s->nl, 0, MNL_SOCKET_AUTOPID) < 0)
		rc = -errno;
	if (rc < 0) {
		sockets_sweep_free(s);
		return rc;
	}
	*ret_sweep = s;
	return 0;
}

void sockets_sweep_free(struct sockets_sweep *s)
{
	if (!s)
		return;
	if (s->nl)
		mnl_socket_close(s->nl);
	vec_done(&s->victims);
	free(s);
}
