// SPDX-License-Identifier: GPL-2.0
// XDP entry on uplinks: parses, counts what tc will serve, passes everything. Node ports and SNAT get their walk here.
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>

#define SL_STEPS_FLOW
#define SL_STEPS_PARSE
#include "families.h"

SEC("xdp")
int sl_xdp(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data;
	enum sl_reason why = SL_REASON_NOT_SERVICE;
	struct iphdr *ip4 = (void *)(eth + 1);
	struct ipv6hdr *ip6 = (void *)(eth + 1);

	/* Addresses suffice: a set bit of the filter means that tc has to look. */
	if ((void *)(ip4 + 1) <= end && eth->h_proto == bpf_htons(ETH_P_IP)) {
		if (sl4_filter_has(&ip4->daddr, FILTER_VIPS))
			why = SL_REASON_LEFT_TO_TC;
	} else if ((void *)(ip6 + 1) <= end && eth->h_proto == bpf_htons(ETH_P_IPV6)) {
		if (sl6_filter_has(&ip6->daddr, FILTER_VIPS))
			why = SL_REASON_LEFT_TO_TC;
	}
	count(why, SL_HOOK_XDP, end - data);
	return XDP_PASS;
}

char _license[] SEC("license") = "GPL";
