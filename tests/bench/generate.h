/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Between generate.bpf.c and its driver: what to generate, and the maps of the floors. The floors are reference programs of
 * the measurement, so their layouts are their own and not those of the ABI.
 */
#ifndef BENCH_GENERATE_H
#define BENCH_GENERATE_H

#include <linux/types.h>

#ifdef __bpf__
typedef _Bool bool;
#define true 1
#define false 0
#endif

#define BENCH_CLIENT_PORT 40000u /* of flow 0; flow n has this + n, modulo 65536 */

#define FLOOR_FLOWS (1u << 20)

/* Flow `id` belongs to service id % services, and there to endpoint id / services % endpoints. Addresses in host order. */
struct generator {
	__u8 frame[128]; /* restored into the packet: 54 bytes (IPv4) or 74 (IPv6) */
	__u32 flow_mask; /* flows - 1; a power of two less one */
	__u32 services;  /* at least 1 */
	__u32 endpoints; /* at least 1 */
	__u32 client;    /* low 32 bits of the first client's address; 65,536 flows a client */
	__u32 far; /* low 32 bits of the other end's address: + service * far_service + endpoint * far_endpoint */
	__u32 far_service;
	__u32 far_endpoint;
	__u32 counter; /* packets so far */
	__u64 sink;    /* what a floor computes, so that it is not optimised away */
};

struct floor_service_key {
	__be32 vip;
	__be16 port;
	__u8 proto;
	__u8 pad;
};

struct floor_service {
	__u32 id;
	__u32 flags;
	__u64 pad;
};

struct floor_flow_key {
	__be32 saddr, daddr;
	__be16 sport, dport;
	__u32 proto;
};

struct floor_flow {
	__be32 addr;
	__be16 port;
	__u16 flags;
	__u64 seen_ns;
	__u64 packets;
	__u64 bytes;
};

struct floor_count {
	__u64 packets;
	__u64 bytes;
};

#endif
