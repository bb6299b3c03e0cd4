// SPDX-License-Identifier: GPL-2.0
// cgroup entries: which call, which family, and IPv4 in IPv6 clothes (v4-mapped addresses, as Java uses them).
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>

#define SL_STEPS_SOCKET
#include "families.h"

static __always_inline bool is_mapped(struct bpf_sock_addr *ctx)
{
	return !ctx->user_ip6[0] && !ctx->user_ip6[1] && ctx->user_ip6[2] == bpf_htonl(0xffff);
}

/* connect and sendmsg: the peer becomes a backend */
static __always_inline int call4(struct bpf_sock_addr *ctx, bool mapped, bool datagram)
{
	__u32 vip = mapped ? ctx->user_ip6[3] : ctx->user_ip4;
	struct sl4_flow choice = {};
	int why = sl4_socket_call(ctx, &vip, datagram, &choice);

	if (why == SL_REASON_SOCKET) {
		if (mapped)
			ctx->user_ip6[3] = *(__u32 *)choice.daddr;
		else
			ctx->user_ip4 = *(__u32 *)choice.daddr;
		ctx->user_port = bpf_htons(choice.dport);
	}
	return socket_verdict(why);
}

static __always_inline int call6(struct bpf_sock_addr *ctx, bool datagram)
{
	__u32 vip[4] = { ctx->user_ip6[0], ctx->user_ip6[1], ctx->user_ip6[2], ctx->user_ip6[3] };
	struct sl6_flow choice = {};
	__u32 *to = (__u32 *)choice.daddr;
	int why;

	if (is_mapped(ctx))
		return call4(ctx, true, datagram);
	why = sl6_socket_call(ctx, vip, datagram, &choice);
	if (why == SL_REASON_SOCKET) {
		ctx->user_ip6[0] = to[0];
		ctx->user_ip6[1] = to[1];
		ctx->user_ip6[2] = to[2];
		ctx->user_ip6[3] = to[3];
		ctx->user_port = bpf_htons(choice.dport);
	}
	return socket_verdict(why);
}

/* recvmsg and getpeername: the process sees the service it called */
static __always_inline int peer4(struct bpf_sock_addr *ctx, bool mapped)
{
	__u32 addr = mapped ? ctx->user_ip6[3] : ctx->user_ip4, vip;
	__u16 port;

	if (sl4_socket_peer(ctx, &addr, &vip, &port)) {
		if (mapped)
			ctx->user_ip6[3] = vip;
		else
			ctx->user_ip4 = vip;
		ctx->user_port = bpf_htons(port);
	}
	return 1;
}

static __always_inline int peer6(struct bpf_sock_addr *ctx)
{
	__u32 addr[4] = { ctx->user_ip6[0], ctx->user_ip6[1], ctx->user_ip6[2], ctx->user_ip6[3] }, vip[4];
	__u16 port;

	if (is_mapped(ctx))
		return peer4(ctx, true);
	if (sl6_socket_peer(ctx, addr, vip, &port)) {
		ctx->user_ip6[0] = vip[0];
		ctx->user_ip6[1] = vip[1];
		ctx->user_ip6[2] = vip[2];
		ctx->user_ip6[3] = vip[3];
		ctx->user_port = bpf_htons(port);
	}
	return 1;
}

SEC("cgroup/connect4")
int sl_connect4(struct bpf_sock_addr *ctx)
{
	return call4(ctx, false, false);
}

SEC("cgroup/connect6")
int sl_connect6(struct bpf_sock_addr *ctx)
{
	return call6(ctx, false);
}

SEC("cgroup/sendmsg4")
int sl_sendmsg4(struct bpf_sock_addr *ctx)
{
	return call4(ctx, false, true);
}

SEC("cgroup/sendmsg6")
int sl_sendmsg6(struct bpf_sock_addr *ctx)
{
	return call6(ctx, true);
}

SEC("cgroup/recvmsg4")
int sl_recvmsg4(struct bpf_sock_addr *ctx)
{
	return peer4(ctx, false);
}

SEC("cgroup/recvmsg6")
int sl_recvmsg6(struct bpf_sock_addr *ctx)
{
	return peer6(ctx);
}

SEC("cgroup/getpeername4")
int sl_peername4(struct bpf_sock_addr *ctx)
{
	return peer4(ctx, false);
}

SEC("cgroup/getpeername6")
int sl_peername6(struct bpf_sock_addr *ctx)
{
	return peer6(ctx);
}

/* A connected socket's entry goes with it; those of unconnected ones stay until somebody needs their slots. */
SEC("cgroup/sock_release")
int sl_sock_release(struct bpf_sock *sk)
{
	__u32 to[4];

	if (sk->family == AF_INET) {
		to[0] = sk->dst_ip4;
		sl4_socket_forget(sk, to);
	} else if (sk->family == AF_INET6) {
		to[0] = sk->dst_ip6[0];
		to[1] = sk->dst_ip6[1];
		to[2] = sk->dst_ip6[2];
		to[3] = sk->dst_ip6[3];
		if (!to[0] && !to[1] && to[2] == bpf_htonl(0xffff))
			sl4_socket_forget(sk, &to[3]);
		else
			sl6_socket_forget(sk, to);
	}
	return 1;
}

char _license[] SEC("license") = "GPL";
