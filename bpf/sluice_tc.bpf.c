// SPDX-License-Identifier: GPL-2.0
// tc entries: which device, which direction, which family. They know nothing of services.
// Built twice: sluice_tc runs on every kernel; sluice_tc_fast (SL_KERN_CTX, kernels >= 6.2) reads ip_summed and writes
// checksums directly.
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_core_read.h>

#define SL_STEPS_FLOW
#define SL_STEPS_PARSE
#define SL_STEPS_PACKET
#include "families.h"

/*
 * One program: each family a function of its own, so that their stacks do not add up. Traffic of a VLAN belongs to the VLAN's
 * own device: it comes by again there.
 */
#define ENTRY(program, l3, place, hook)                                           \
	static __noinline int program##4(struct __sk_buff * skb)                  \
	{                                                                         \
		return sl4_handle(skb, l3, place, hook);                          \
	}                                                                         \
	static __noinline int program##6(struct __sk_buff * skb)                  \
	{                                                                         \
		return sl6_handle(skb, l3, place, hook);                          \
	}                                                                         \
	SEC("tc") int program(struct __sk_buff *skb)                              \
	{                                                                         \
		if (!skb->vlan_present && skb->protocol == bpf_htons(ETH_P_IP))   \
			return program##4(skb);                                   \
		if (!skb->vlan_present && skb->protocol == bpf_htons(ETH_P_IPV6)) \
			return program##6(skb);                                   \
		count(SL_REASON_NOT_SERVICE, hook, skb->len);                     \
		return TC_ACT_UNSPEC;                                             \
	}

ENTRY(sl_pod_in, ETH_HLEN, PLACE_POD, SL_HOOK_INGRESS)
ENTRY(sl_pod_out, ETH_HLEN, PLACE_POD, SL_HOOK_EGRESS)
ENTRY(sl_up_in, ETH_HLEN, PLACE_UPLINK, SL_HOOK_INGRESS)
ENTRY(sl_up_out, ETH_HLEN, PLACE_UPLINK, SL_HOOK_EGRESS)
ENTRY(sl_l3_in, 0, PLACE_UPLINK, SL_HOOK_INGRESS)
ENTRY(sl_l3_out, 0, PLACE_UPLINK, SL_HOOK_EGRESS)

char _license[] SEC("license") = "GPL";
