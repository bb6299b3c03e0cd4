/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Rows turned back into services with names and endpoints, sorted: what people want to see, whether
 * it comes from the kernel's maps or from a plan. Two views can be compared. Pure.
 */
#ifndef CORE_VIEW_H
#define CORE_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/address.h"
#include "core/rows.h"

struct arena;
struct diff;

struct view_endpoint {
	struct address addr;
	uint16_t port;
	uint16_t flags;   /* SL_BACKEND_; 0: the list names a backend that is not in use */
	uint32_t backend; /* id */
	uint32_t gen;
	uint32_t share; /* elements of the ring that lead here; 0 in `backends` */
	bool foreign;   /* the backend belongs to another service: must never be */
};

struct view_service {
	char *namespace; /* "" where the id has no name */
	char *name;
	char *port_name;
	struct address vip;
	uint16_t port;
	uint8_t proto;
	enum sl_kind kind;
	enum sl_algorithm algorithm;
	uint16_t flags;      /* SL_SERVICE_ */
	uint32_t affinity_s; /* 0 = none */
	uint32_t service;    /* id; 0 for kind ADDRESS */
	uint32_t slot;
	uint32_t gen;
	uint32_t cluster_len; /* elements of the ring */
	uint32_t local_len;
	struct view_endpoint *cluster; /* distinct, sorted by address and port */
	size_t n_cluster;
	struct view_endpoint *local;
	size_t n_local;
	struct view_endpoint *backends; /* all backends of this service id, in a list or not */
	size_t n_backends;
	const char *damage; /* why the record cannot be used, or NULL */
};

struct view {
	/* by namespace, name, port name, protocol, kind, address, port; kind ADDRESS last */
	struct view_service *services;
	size_t n_services;
	bool has_config;
	struct sl_config config;
	struct arena *memory; /* of everything above */
};

/* Both families. 0, -ENOMEM, or what the reader returned. */
int view_from_rows(const struct row_reader *rows, struct view *ret_view);
/* What a plan wants: the desired side of its diff. 0 or -ENOMEM. */
int view_from_plan(const struct diff *d, struct view *ret_view);
/*
 * One service alone, by look-ups: without `backends`, and kind ADDRESS without a name; `key` is that of its row. The reader has
 * a get(). The memory is the arena's. 0, -ENOENT, -ENOMEM, or what the reader returned.
 */
int view_read_service(const struct row_reader *rows, int family, const void *key,
		      struct arena *memory, struct view_service *ret_service);
/* Puts services in order, and gives those of kind ADDRESS the name of a service that lives there. 0 or -ENOMEM. */
int view_sort(struct view *v);
void view_done(struct view *v);
/* Who it is, apart from ids: the order of view.services. */
int view_service_cmp(const struct view_service *a, const struct view_service *b);

/*
 * Differences that matter to people, one sentence each, in order of the services: ids, slots and
 * generations do not matter. `a_name` and `b_name` say what the views are ("wanted", "kernel").
 * Returns how many, or -ENOMEM; fn gets each.
 */
int view_diff(const struct view *a, const char *a_name, const struct view *b, const char *b_name,
	      void (*fn)(void *ctx, const char *sentence), void *ctx);

/* The exact record, NULL = none. Kind ADDRESS: port 0, protocol 0. */
const struct view_service *view_find(const struct view *v, const struct address *addr,
				     uint16_t port, uint8_t proto);

/* Words for people: "ClusterIP", "TCP", "random". Never NULL. */
const char *view_kind_name(enum sl_kind kind);
const char *view_proto_name(uint8_t proto);
const char *view_algorithm_name(enum sl_algorithm algorithm);

#endif
