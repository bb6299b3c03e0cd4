/* SPDX-License-Identifier: GPL-2.0 */
/* What the files of the model (core/explain.h) share; nobody else includes it. Functions work on one walk and return reasons. */
#ifndef CORE_EXPLAIN_WALK_H
#define CORE_EXPLAIN_WALK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/vec.h"
#include "core/explain.h"
#include "core/rows.h"

#define NS_PER_S UINT64_C(1000000000)

/* An entry of a flow table in the form of either family. */
struct flow {
	struct explain_tuple to; /* the packet's tuple after translation */
	uint32_t backend;
	uint32_t backend_gen;
	uint32_t service;
	uint16_t flags;
	enum sl_flow_state state;
	uint32_t seen; /* in ticks */
};

struct flow_id {
	enum sl_flow_kind kind;
	struct explain_tuple tuple;
};

struct walk {
	const struct explain_maps *maps;
	const struct explain_packet *packet;
	int family;
	int rc; /* first failure of `get` or of memory; the rest of the walk then means nothing */
	struct explain_answer answer;
	struct VEC_OF(struct explain_backend) backends;
	struct steps {
		char (*data)[EXPLAIN_STEP_LEN];
		size_t len;
		size_t cap;
	} steps;
};

enum record {
	RECORD_NONE,
	RECORD_TORN, /* the record in the slot is not the one the key means, and stays so */
	RECORD_FOUND,
};

/* ---- explain_rows.c: rows of either family ---- */

__attribute__((format(printf, 2, 3))) void walk_step(struct walk *w, const char *format, ...);
/* Copies a value; false where there is none. A failure ends up in w->rc. */
bool walk_get(struct walk *w, enum explain_map map, const void *key, void *ret_value);
/* One more who may get the packet. */
void walk_add_backend(struct walk *w, uint32_t id, const struct row_backend *row);
struct address walk_address(int family, const void *bytes);
/* What Maglev rings go by (seed 0). */
uint32_t walk_flow_hash(int family, const struct flow_id *id, uint32_t seed);
/* An entry, whatever its age. */
bool walk_find_flow(struct walk *w, const struct flow_id *id, struct flow *ret_flow);
bool walk_read_backend(struct walk *w, uint32_t id, struct row_backend *ret_backend);
/* False proves that the address is no service address (or no backend's). */
bool walk_filter_has(struct walk *w, const struct address *addr, bool backends);
/* "namespace/name:port" of a service id. */
void walk_service_name(struct walk *w, uint32_t service, char *text, size_t size);
enum record walk_find_service(struct walk *w, const struct row_service_key *key,
			      struct row_service *ret_service, uint32_t *ret_slot);
/* Every cluster IP has an entry with port 0 and protocol 0. */
bool walk_is_cluster_ip(struct walk *w, const struct address *addr);
bool walk_in_service_range(struct walk *w, const struct address *addr);
struct address walk_node_address(const struct walk *w);

/* ---- explain_flow.c: flow entries ---- */

/* Negative where another CPU's clock was ahead. */
int64_t walk_idle_ns(const struct walk *w, uint64_t seen_ns);
/* Its own idle time has not passed. */
bool walk_is_fresh(const struct walk *w, uint8_t proto, const struct flow *flow);
struct explain_tuple walk_turned(const struct explain_tuple *t);
bool walk_tuple_eq(const struct explain_tuple *a, const struct explain_tuple *b);
bool walk_is_syn(const struct explain_packet *p);
/* The entry, if a packet of this side (the client's or not) may use it; says in a step what was found. */
bool walk_look_up(struct walk *w, const struct flow_id *id, bool from_client,
		  struct flow *ret_flow);
/* The backend of an entry: where the entry goes to, with the flags of today. */
void walk_answer_backend(struct walk *w, const struct flow *flow, const struct address *addr,
			 uint16_t port);
/* Both ports are written, wherever; SCTP's never are, as its CRC covers them. Ingress writes destinations, egress sources. */
void walk_rewrite_ports(struct walk *w, uint16_t sport, uint16_t dport);
void walk_rewrite_destination(struct walk *w, const struct flow *flow);
void walk_rewrite_source(struct walk *w, const struct flow *flow);

/* ---- explain_open.c: services, and new flows ---- */

/* Why nobody can be chosen, whatever the packet; 0 if somebody can. */
int walk_why_unusable(struct walk *w, const struct row_service *s);
/*
 * Fills w->backends of a usable service. 0, or TORN. tuple is what Maglev goes by: NULL where the source port is not yet known,
 * which makes it random; client is what affinity goes by.
 */
int walk_choose(struct walk *w, const struct row_service *s, const struct explain_tuple *tuple,
		const struct address *client);
/* What a destination that no record serves is: UNKNOWN_PORT, UNALLOCATED or NOT_SERVICE. */
int walk_no_record(struct walk *w, const struct explain_tuple *t);
/* The record of a destination. False: there is none, and *ret_why says what that means. */
bool walk_find_record(struct walk *w, const struct explain_tuple *t,
		      struct row_service *ret_service, int *ret_why);
/* A packet of no flow to what may be a service: the reason. */
int walk_open(struct walk *w, const struct explain_tuple *t);

#endif
