// SPDX-License-Identifier: GPL-2.0
// Programs that do nothing: what any program at these places costs before it does something.
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>

char _license[] SEC("license") = "GPL";

SEC("tc") int empty(struct __sk_buff *skb)
{
	(void)skb;
	return TC_ACT_UNSPEC;
}

SEC("cgroup/connect4") int empty_connect4(struct bpf_sock_addr *ctx)
{
	(void)ctx;
	return 1;
}

SEC("cgroup/sock_release") int empty_release(struct bpf_sock *ctx)
{
	(void)ctx;
	return 1;
}
