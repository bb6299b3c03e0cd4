/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the data path does with a packet or a socket call, and why: a model of bpf/README.md ("The walk of each kind of packet")
 * in plain C over the contents of the maps. Pure; nothing is changed, so flows, affinity and counters stay as they are.
 *
 * The model is written against that page, not derived from the programs; tests/prog/test_explain.c holds both to each other.
 */
#ifndef CORE_EXPLAIN_H
#define CORE_EXPLAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/address.h"
#include "core/rows.h"
#include "sluice_abi.h"

/* The tables a walk reads. Keys and values are the bytes of the ABI, of the family that is asked for. */
enum explain_map {
	EXPLAIN_SERVICES,
	EXPLAIN_RECORDS,
	EXPLAIN_RINGS,
	EXPLAIN_BACKENDS,
	EXPLAIN_FILTER,
	EXPLAIN_NAMES,
	EXPLAIN_FLOWS_TCP,
	EXPLAIN_FLOWS_UDP,
	EXPLAIN_AFFINITY,
	EXPLAIN_FRAGS,
	EXPLAIN_MAPS,
};

struct explain_maps {
	void *ctx;
	/* Copies one value. 0, -ENOENT, or another -errno, which ends the walk. Flow keys: bucket and tag follow from the seed of sl_meta. */
	int (*get)(void *ctx, int family, enum explain_map map, const void *key, void *ret_value);
	struct sl_config config;
};

/* Where the packet is met. */
enum explain_hook {
	EXPLAIN_POD_IN,  /* ingress of the host side of a pod's device: from the pod */
	EXPLAIN_POD_OUT, /* egress: to the pod */
	EXPLAIN_UPLINK_IN,
	EXPLAIN_UPLINK_OUT,
	EXPLAIN_NODE_CALL, /* connect() or sendto() of a process in the node's network namespace, by a new socket */
	EXPLAIN_POD_CALL, /* connect() of a process in a pod; sendto() is left to the packets */
};

enum explain_fragment {
	EXPLAIN_WHOLE,
	EXPLAIN_FIRST_FRAGMENT,
	EXPLAIN_LATER_FRAGMENT, /* has no ports */
};

enum { /* RFC 9293 3.1 */
       EXPLAIN_FIN = 0x01,
       EXPLAIN_SYN = 0x02,
       EXPLAIN_RST = 0x04,
       EXPLAIN_ACK = 0x10,
};

/* Ports in host order; 0 where the protocol has none. */
struct explain_tuple {
	struct address saddr, daddr;
	uint16_t sport, dport;
	uint8_t proto; /* IPPROTO_ */
};

struct explain_packet {
	enum explain_hook hook;
	struct explain_tuple tuple; /* socket calls: saddr and sport do not matter */
	uint8_t tcp_flags;
	enum explain_fragment fragment;
	uint32_t fragment_id;
	bool malformed;  /* behind the addresses the headers cannot be read */
	bool icmp_error; /* tuple is the outer packet; its proto is ICMP's */
	bool has_quoted; /* the quoted packet could be read down to its ports, and its protocol has some */
	struct explain_tuple quoted; /* as it is inside, not turned round */
	uint64_t now_ns;             /* CLOCK_MONOTONIC, as the flow entries */
};

/* One who may get the packet, and what the packet meets if it is this one: NEW_FLOW, HAIRPIN, or a refusal. */
struct explain_backend {
	uint32_t id;
	struct row_backend row;
	enum sl_reason reason;
};

#define EXPLAIN_STEP_LEN 160

struct explain_answer {
	enum sl_reason
		reason; /* where it depends on the draw: NEW_FLOW, and each backend's own in backends */
	enum sl_verdict verdict;
	/* REJECT: an answer is sent (calls: ECONNREFUSED, where the kernel can). Nothing answers a RST, an ICMP error, a later
	 * fragment, or what comes from no one host (RFC 1122 3.2.2) */
	bool answered;
	bool may_tear; /* some elements of the ring cannot be used: the packet may also be dropped as TORN */
	uint32_t service; /* id of the service port; 0 = none */
	/* Who may get the packet: distinct; exactly one where a flow, affinity or Maglev decides. Owned. */
	struct explain_backend *backends;
	size_t n_backends;
	bool rewritten; /* the packet changes; `after` holds what is sure, the rest is as it was */
	struct explain_tuple after;
	bool after_any_backend; /* after.daddr and dport depend on the choice among several */
	bool after_any_port;    /* after.sport is a random one */
	char (*steps)[EXPLAIN_STEP_LEN]; /* short lines, in order. Owned */
	size_t n_steps;
	const char *text;   /* of the reason */
	const char *advice; /* "" = none */
};

/* 0; -ENOMEM; or what `get` returned. explain_answer_done() only after 0. */
int explain(const struct explain_maps *maps, const struct explain_packet *packet,
	    struct explain_answer *ret_answer);
void explain_answer_done(struct explain_answer *answer);

/* Idle time after which an entry counts as absent. */
uint64_t explain_idle_ns(uint8_t proto, enum sl_flow_state state);

#endif
