// SPDX-License-Identifier: GPL-2.0
// What the measurements run around a program: generators that make its packets, and floors, the least that a load balancer
// can do. They know nothing of sluice but its addresses' pattern (bench.h).
//
// A generator restores the packet that the program under test changed, gives it one of `flows` identities in scattered
// order and tail-calls the program. The cost of a program is then (generator + program) - (generator + empty program).
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/pkt_cls.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "generate.h"

char _license[] SEC("license") = "GPL";

struct generator generator; /* .bss, written by the driver */

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__type(key, __u32);
	__type(value, __u32);
	__uint(max_entries, 1);
} target_tc SEC(".maps"), target_xdp SEC(".maps");

/* ---- generators ---------------------------------------------------------------------------------------------------- */

struct identity {
	__u32 client; /* added to the client's address */
	__u16 port;   /* the client's */
	__u32 far;    /* low 32 bits of the other address, host order */
};

/*
 * Every identity comes up once in `flows` packets, in an order that has nothing to do with that in which the tables were
 * filled: both steps are bijections below flow_mask + 1.
 */
static __always_inline void next_identity(struct identity *ret)
{
	__u32 id = generator.counter++ * 2654435761u & generator.flow_mask;
	__u32 services = generator.services, service, endpoint;

	id ^= id >> 7;
	service = id % services;
	endpoint = id / services % generator.endpoints;
	ret->client = id >> 16;
	ret->port = id + BENCH_CLIENT_PORT;
	ret->far =
		generator.far + service * generator.far_service + endpoint * generator.far_endpoint;
}

/* to_service: the client is the source. */
static __always_inline int fill4(void *data, void *end, bool to_service)
{
	const __u64 *from = (const void *)generator.frame;
	__u64 *to = data;
	struct identity i;

	if (data + 54 > end)
		return -1;
#pragma unroll
	for (int w = 0; w < 6; w++)
		to[w] = from[w];
	*(__u32 *)(data + 48) = *(const __u32 *)(generator.frame + 48);
	*(__u16 *)(data + 52) = *(const __u16 *)(generator.frame + 52);
	next_identity(&i);
	*(__u32 *)(data + (to_service ? 26 : 30)) = bpf_htonl(generator.client + i.client);
	*(__u32 *)(data + (to_service ? 30 : 26)) = bpf_htonl(i.far);
	*(__u16 *)(data + (to_service ? 34 : 36)) = bpf_htons(i.port);
	return 0;
}

static __always_inline int fill6(void *data, void *end, bool to_service)
{
	const __u64 *from = (const void *)generator.frame;
	__u64 *to = data;
	struct identity i;

	if (data + 74 > end)
		return -1;
#pragma unroll
	for (int w = 0; w < 9; w++)
		to[w] = from[w];
	*(__u16 *)(data + 72) = *(const __u16 *)(generator.frame + 72);
	next_identity(&i);
	*(__u32 *)(data + (to_service ? 34 : 50)) = bpf_htonl(generator.client + i.client);
	*(__u32 *)(data + (to_service ? 50 : 34)) = bpf_htonl(i.far);
	*(__u16 *)(data + (to_service ? 54 : 56)) = bpf_htons(i.port);
	return 0;
}

#define GENERATOR_TC(name, family, to_service)                                         \
	SEC("tc") int name(struct __sk_buff *skb)                                      \
	{                                                                              \
		if (fill##family((void *)(long)skb->data, (void *)(long)skb->data_end, \
				 to_service))                                          \
			return TC_ACT_SHOT;                                            \
		bpf_tail_call(skb, &target_tc, 0);                                     \
		return TC_ACT_SHOT;                                                    \
	}
#define GENERATOR_XDP(name, family, to_service)                                        \
	SEC("xdp") int name(struct xdp_md *ctx)                                        \
	{                                                                              \
		if (fill##family((void *)(long)ctx->data, (void *)(long)ctx->data_end, \
				 to_service))                                          \
			return XDP_ABORTED;                                            \
		bpf_tail_call(ctx, &target_xdp, 0);                                    \
		return XDP_ABORTED;                                                    \
	}

GENERATOR_TC(make_tc4_in, 4, true)
GENERATOR_TC(make_tc4_out, 4, false)
GENERATOR_TC(make_tc6_in, 6, true)
GENERATOR_TC(make_tc6_out, 6, false)
GENERATOR_XDP(make_xdp4, 4, true)
GENERATOR_XDP(make_xdp6, 6, true)

/* ---- floors, IPv4 --------------------------------------------------------------------------------------------------- */

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, struct floor_service_key);
	__type(value, struct floor_service);
	__uint(max_entries, 16384);
} floor_services SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__type(key, struct floor_flow_key);
	__type(value, struct floor_flow);
	__uint(max_entries, FLOOR_FLOWS);
} floor_flows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__type(key, __u32);
	__type(value, struct floor_count);
	__uint(max_entries, 16384);
} floor_counts SEC(".maps");

static __always_inline int floor_parse(void *data, void *end, struct floor_flow_key *key)
{
	struct ethhdr *eth = data;
	struct iphdr *ip = (void *)(eth + 1);
	struct udphdr *ports = (void *)(ip + 1);

	if ((void *)ports + 20 > end || eth->h_proto != bpf_htons(ETH_P_IP) || ip->ihl != 5 ||
	    ip->frag_off & bpf_htons(0x3fff) ||
	    (ip->protocol != IPPROTO_TCP && ip->protocol != IPPROTO_UDP))
		return -1;
	key->saddr = ip->saddr;
	key->daddr = ip->daddr;
	key->sport = ports->source;
	key->dport = ports->dest;
	key->proto = ip->protocol;
	return 0;
}

static __always_inline struct floor_service *floor_service(const struct floor_flow_key *key)
{
	struct floor_service_key service = { .vip = key->daddr,
					     .port = key->dport,
					     .proto = key->proto };

	return bpf_map_lookup_elem(&floor_services, &service);
}

static __always_inline __u16 fold(__u32 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	return (sum & 0xffff) + (sum >> 16);
}

static __always_inline void adjust(__u16 *check, __u32 old, __u32 new)
{
	__u32 sum = (__u16) ~*check;

	sum += (__u16)~old;
	sum += (__u16) ~(old >> 16);
	sum += (__u16) new;
	sum += new >> 16;
	*check = ~fold(sum);
}

static __always_inline int floor_rewrite(void *data, void *end, const struct floor_flow *f)
{
	struct iphdr *ip = data + sizeof(struct ethhdr);
	struct tcphdr *tcp = (void *)(ip + 1);
	struct udphdr *udp = (void *)(ip + 1);
	__u16 *check;

	if ((void *)(tcp + 1) > end)
		return -1;
	check = ip->protocol == IPPROTO_TCP ? &tcp->check : &udp->check;
	adjust(&ip->check, ip->daddr, f->addr);
	adjust(check, ip->daddr, f->addr);
	adjust(check, udp->dest, f->port);
	ip->daddr = f->addr;
	udp->dest = f->port;
	return 0;
}

enum floor_stage { FLOOR_PARSE, FLOOR_SERVICE, FLOOR_FLOW, FLOOR_DNAT, FLOOR_COUNT };

static __always_inline int floor_run(struct __sk_buff *skb, enum floor_stage stage)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	struct floor_flow_key key = {};
	struct floor_service *s;
	struct floor_count *c;
	struct floor_flow *f;
	__u32 id;

	if (floor_parse(data, end, &key))
		return TC_ACT_SHOT;
	if (stage == FLOOR_PARSE) {
		generator.sink = key.saddr + key.daddr + key.sport + key.dport + key.proto;
		return TC_ACT_OK;
	}
	s = floor_service(&key);
	if (!s)
		return TC_ACT_SHOT;
	id = s->id;
	if (stage == FLOOR_SERVICE) {
		generator.sink = id;
		return TC_ACT_OK;
	}
	f = bpf_map_lookup_elem(&floor_flows, &key);
	if (!f)
		return TC_ACT_SHOT;
	if (stage == FLOOR_FLOW) {
		generator.sink = f->addr;
		return TC_ACT_OK;
	}
	if (floor_rewrite(data, end, f))
		return TC_ACT_SHOT;
	if (stage == FLOOR_DNAT)
		return TC_ACT_OK;
	c = bpf_map_lookup_elem(&floor_counts, &id);
	if (c) {
		c->packets++;
		c->bytes += skb->len;
	}
	f->seen_ns = bpf_ktime_get_coarse_ns();
	return TC_ACT_OK;
}

SEC("tc") int floor_empty(struct __sk_buff *skb)
{
	(void)skb;
	return TC_ACT_UNSPEC;
}
SEC("xdp") int floor_xdp_empty(struct xdp_md *ctx)
{
	(void)ctx;
	return XDP_PASS;
}
#define FLOOR(name, stage)                        \
	SEC("tc") int name(struct __sk_buff *skb) \
	{                                         \
		return floor_run(skb, stage);     \
	}
FLOOR(floor_parse_only, FLOOR_PARSE)
FLOOR(floor_parse_hash, FLOOR_SERVICE)
FLOOR(floor_parse_lru, FLOOR_FLOW)
FLOOR(floor_dnat, FLOOR_DNAT)
FLOOR(floor_dnat_count, FLOOR_COUNT)
