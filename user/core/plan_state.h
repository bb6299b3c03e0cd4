/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Inside of plan: what its files share. Nobody else includes this.
 *
 *   plan.c          the run: which services, in which order; beginning, end, looking
 *   plan_config.c   limits; from options and the node to the row of the configuration
 *   plan_service.c  one service: which of its ports are served, the rows of its addresses
 *   plan_claim.c    who wants which service address and port, and who gets it
 *   plan_row.c      rows and their records
 *   plan_filter.c   the filter that leads to them
 *   plan_port.c     the draft of one service port: may fail, changes nothing then
 *   plan_list.c     of its two lists
 *   plan_commit.c   from the draft to the desired rows, which cannot fail; what a port gives back
 *   plan_rest.c     numbers that were given back, until the kernel has let go of them
 *   plan_restore.c  from the kernel's rows back to the state a plan would have
 *
 * Words: a *service* is one Service object; a *port* is one of its ports in one family, and owns an
 * id, backends and two lists; a *row* is one entry of sl4_services with the record it points to.
 * Several ports may claim a row, one owns it. A port claims a row for each of its frontends: the cluster IP, each external
 * and load balancer address, the node port.
 */
#ifndef CORE_PLAN_STATE_H
#define CORE_PLAN_STATE_H

#include <string.h>

#include "base/table.h"
#include "base/vec.h"
#include "core/diff.h"
#include "core/ids.h"
#include "core/plan.h"
#include "core/policy.h"
#include "core/problem.h"
#include "core/store.h"

#define MAGLEV_LINES 16384 /* 1 MiB a family: four of the largest tables, or 256 of the smallest */

struct plan_service;

struct plan_backend {
	struct address addr;
	uint16_t port;
	uint16_t flags;
	uint32_t id;
	uint32_t gen;
};

struct plan_backends VEC_OF(struct plan_backend); /* sorted by address, port */

/* A published list: a range of ring lines. lines 0 = empty. */
struct plan_list {
	uint32_t line, lines;
	uint32_t len;        /* elements */
	uint32_t n_backends; /* distinct */
	uint64_t hash;       /* of algorithm and ids; 0 = not known (restored) */
	enum sl_algorithm algorithm;
};

/* Who wants a row, and as what. */
struct plan_bid {
	struct plan_port *port;
	enum sl_kind kind;
};

struct plan_row {
	struct row_service_key key; /* vip zero: a node port */
	struct VEC_OF(struct plan_bid) bids;
	struct plan_port
		*owner;   /* whose record is published; NULL for addresses and before a claim */
	uint32_t n_known; /* address rows: services that have this address … */
	uint32_t n_users; /* … and those of them that have a port programmed */
	uint32_t n_refs;  /* ports that remember this row */
	struct plan_rest *parting; /* of a published address: withdrawing it cannot fail */
	bool published;
	uint32_t slot;
	struct row_service record; /* valid while published */
};

struct plan_claim {
	struct plan_row *row;
	enum sl_kind kind;
	bool seen; /* while registering */
};

struct plan_port {
	struct plan_service *service; /* NULL: restored, and nobody asked for it yet */
	struct plan_family *family;
	char *name;
	uint8_t proto;
	uint16_t port;
	uint32_t id;                             /* 0: not programmed */
	bool wanted;                             /* by the object as it is now */
	bool stale;                              /* to be released */
	struct VEC_OF(struct plan_claim) claims; /* of the object as it is now */
	struct VEC_OF(
		struct plan_row *) rows; /* published from this port, or still so in the kernel */
	struct plan_backends backends;
	struct plan_list cluster, local;
	uint32_t n_refused; /* what of it did not fit */
	bool no_local[2]; /* internal and external policy Local, somebody serves, and nobody here */
};

struct plan_service {
	struct store_entry *entry;
	uint64_t incarnation;
	struct VEC_OF(struct plan_port *) ports;
	struct plan_row *address[2]; /* by family; NULL = none */
	bool address_used[2];
	bool waiting; /* for room */
	bool loops;   /* an endpoint was refused because it is a service's address */
};

/* ---- resting --------------------------------------------------------------------------------- */

enum plan_rest_kind {
	REST_SERVICE,
	REST_BACKEND,
	REST_SLOT,
	REST_LINES,
};

struct plan_rest_item {
	enum plan_rest_kind kind;
	uint32_t start, len;
};

/*
 * Numbers of one port that rest until none of these rows is pending, and then until a barrier has
 * passed.
 */
struct plan_rest {
	struct plan_rest *next;
	struct plan_family *family;
	bool barrier; /* only the barrier is missing */
	size_t n_keys, n_items, max_keys, max_items;
	struct row_service_key *keys;
	struct plan_rest_item items[];
};

/* ---- all of it ------------------------------------------------------------------------------- */

struct plan_family {
	int family; /* 4 or 6 */
	struct ids services, backends, slots;
	struct extents lines;
	struct table rows;                       /* bytes of the key → struct plan_row */
	uint32_t n_services, n_backends, n_rows; /* in use: what the limits are about */
	uint32_t n_maglev_lines, max_maglev_lines;
	uint32_t n_refused;
	uint32_t n_no_local[2];
	uint64_t filter[2 * SL_FILTER_WORDS];
	uint32_t n_filter[2]; /* bits set: addresses of services, of backends */
	struct VEC_OF(uint32_t) new_services, new_backends;
	/*
	 * restored ports that no service has claimed yet: "namespace\nname\nport name\nprotocol" →
	 * struct plan_port
	 */
	struct table restored;
	struct VEC_OF(struct plan_port *) nameless; /* restored, and nobody can claim them */
};

enum cidr_state {
	CIDR_OFF,
	CIDR_WRITTEN, /* there, but its mask is off: waits for a barrier */
	CIDR_READY,   /* … which has passed */
	CIDR_ON,
	CIDR_CLEARED, /* switched off: waits for a barrier */
};

struct cidr_slot {
	enum cidr_state state;
	bool barrier; /* as it is now since before the barrier that is under way */
	struct cidr cidr;
};

struct plan {
	struct plan_config config; /* pointers are ours */
	struct store *store;
	struct diff *diff;
	struct problems *problems;
	struct policy_node node; /* borrowed: name from config, zone is ours */
	char *zone;
	struct plan_family families[2];
	struct cidr_slot cidrs[2][SL_CIDRS];
	struct plan_rest *resting;
	struct VEC_OF(struct store_entry *) work;
	bool config_dirty, node_dirty;
	bool restored;    /* rows of a former life are there, and not yet swept */
	bool room;        /* something became free: those who wait may try */
	size_t n_waiting; /* services that wait for room */
	size_t n_loops;   /* services of which an endpoint was refused as a service's address */
	bool addresses_changed; /* in a way that may make endpoints loop, or cease to */
	uint64_t runs, planned;
};

static inline int plan_family_index(int family)
{
	return family == 6;
}

static inline enum row_table plan_table(const struct plan_family *f, enum row_table table4)
{
	return row_table_of(table4, f->family);
}

static inline const char *plan_port_label(const struct plan_port *p)
{
	return p->name[0] ? p->name : "(unnamed)";
}

static inline bool plan_same_text(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

/* plan_config.c */
bool plan_limits_are_valid(const struct plan_limits *l);
/* A copy with pointers of its own. 0 or -ENOMEM. */
int plan_config_copy(const struct plan_config *from, struct plan_config *ret_to);
void plan_config_done(struct plan_config *c);
/* The node's zone decides which endpoints are used, so another zone means planning everything. 0 or -ENOMEM. */
int plan_refresh_node(struct plan *plan);
/* Writes the row if it may be another. 0 or -ENOMEM. */
int plan_refresh_config(struct plan *plan);

/* plan_service.c */
/* 0 or -ENOMEM; the service may be gone then. */
int plan_service_run(struct plan *plan, struct store_entry *entry);
void plan_service_free(struct plan_service *s);

/* plan_row.c */
/* Makes or finds the row of a key; NULL if there is no memory. */
struct plan_row *plan_row_get(struct plan_family *f, const struct row_service_key *key);
struct plan_row *plan_row_find(const struct plan_family *f, const struct row_service_key *key);
/* Frees it if nobody knows it any more. */
void plan_row_drop(struct plan_family *f, struct plan_row *row);
/*
 * Publishes or takes away the row that makes all other ports of an address reject. 0, -ENOMEM,
 * -ENOSPC; does nothing twice.
 */
int plan_address_publish(struct plan *plan, struct plan_family *f, struct plan_row *row);
void plan_address_withdraw(struct plan *plan, struct plan_family *f, struct plan_row *row);
void plan_retire_record(struct plan *plan, struct plan_family *f, uint32_t slot, uint32_t gen);
void plan_retire_backend(struct plan *plan, struct plan_family *f, uint32_t id, uint32_t gen);

/* plan_filter.c */
/* Sets the bit of an address, of a service or (backend) of a backend. 0 or -ENOMEM. */
int plan_filter_set(struct plan *plan, struct plan_family *f, const struct address *addr,
		    bool backend);
bool plan_filter_has(const struct plan_family *f, const struct address *addr, bool backend);

/* plan_claim.c */
/* The bid that counts: a cluster IP's, then the oldest service's. NULL = none. Valid until the bids change. */
const struct plan_bid *plan_row_winner(const struct plan_row *row);
/* Has the port won this row, and may the row be published? */
bool plan_claim_is_served(const struct plan *plan, const struct plan_port *p,
			  const struct plan_claim *claim);
/*
 * Brings ports, claims and addresses of a service in line with its object. 0 or -ENOMEM.
 * Idempotent.
 */
int plan_register(struct plan *plan, struct store_entry *entry);
/*
 * After registering: wakes services whose endpoints became service addresses, or are none any more.
 */
void plan_wake_looping(struct plan *plan);
bool plan_is_service_address(const struct plan_family *f, const struct address *addr);
/* Would this service object be programmed at all in this family? Its address, or NULL. */
const struct address *plan_service_address(const struct plan *plan, const struct service *s,
					   int family);
const char *plan_port_format(const struct plan_port *p, char *buf, size_t len);

/* plan_port.c */
/*
 * 0, -ENOMEM (nothing changed), -ENOSPC (told as a problem; a port that was programmed stays as it
 * was).
 */
int plan_port_update(struct plan *plan, struct plan_port *p, const struct service_port *sp);
void plan_port_free(struct plan_port *p);

/* plan_commit.c */
/* Everything it holds is given back. 0 or -ENOMEM (nothing changed). */
int plan_port_release(struct plan *plan, struct plan_port *p);

/* plan_rest.c */
/* NULL if there is no memory. */
struct plan_rest *plan_rest_new(struct plan_family *f, size_t max_keys, size_t max_items);
void plan_rest_add_key(struct plan_rest *r, const struct row_service_key *key);
void plan_rest_add(struct plan_rest *r, enum plan_rest_kind kind, uint32_t start, uint32_t len);
/* Hands it to the plan; an empty one is freed. */
void plan_rest_commit(struct plan *plan, struct plan_rest *r);
void plan_rest_free_all(struct plan *plan);

/* plan_restore.c */
/*
 * Restored rows and ports that no service claimed. 0 or -ENOMEM (the rest is done in the next run).
 */
int plan_sweep(struct plan *plan);
/* The restored port of this name, which leaves the set; NULL = none. */
struct plan_port *plan_claim_restored(struct plan_family *f, const struct store_entry *entry,
				      const char *port_name, uint8_t proto);

#endif
