/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the source says exists: Services, EndpointSlices, this node, service CIDRs. Copies, indexed
 * by service, and a list of the services that changed since somebody last looked. Pure; one thread.
 *
 *   struct source_sink sink = store_sink(store);     give this to a source
 *   while ((e = store_first_dirty(store))) { …; store_clean(store, e); }
 */
#ifndef CORE_STORE_H
#define CORE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/model.h"

struct problems;
struct store;

/*
 * All that belongs to one name: the Service (if it exists) and the slices that name it (they may
 * come first). Lives as long as it has either, or is dirty.
 */
struct store_entry {
	const char *namespace;
	const char *name;
	const struct service *service; /* NULL: there is none */
	/* Slices of this service, sorted by name. */
	const struct endpoint_slice *const *slices;
	size_t n_slices;
	uint64_t incarnation; /* another number for another object (UID) under this name; never 0 */
	void *user; /* of whoever plans; NULL at first. An entry with user set is never freed */
};

/* problems: where what sources refuse is put (may be NULL). NULL if there is no memory. */
struct store *store_new(struct problems *problems);
void store_free(struct store *store);

/* The functions for a source. Valid as long as the store. */
struct source_sink store_sink(struct store *store);

/* Every kind was listed once: only now is what is missing really gone. */
bool store_is_listed(const struct store *store);
/*
 * 0, or -ENOMEM after an object was lost because there was no memory: what the store holds is not
 * the whole truth, and the source has to list again. store_clear_error() is for after that was
 * asked for.
 */
int store_error(const struct store *store);
void store_clear_error(struct store *store);

/* Dirty services, oldest change first; NULL = none. */
struct store_entry *store_first_dirty(struct store *store);
struct store_entry *store_next_dirty(struct store *store, struct store_entry *entry);
size_t store_n_dirty(const struct store *store);
/* Seen. Frees the entry if nothing is left of it. */
void store_clean(struct store *store, struct store_entry *entry);
void store_mark_dirty(struct store *store, struct store_entry *entry);
bool store_is_dirty(const struct store_entry *entry);
void store_mark_all_dirty(struct store *store);

/* Nodes and service CIDRs changed since the last store_clean_…(). */
bool store_nodes_dirty(const struct store *store);
void store_clean_nodes(struct store *store);
bool store_cidrs_dirty(const struct store *store);
void store_clean_cidrs(struct store *store);

/* NULL = there is none. */
const struct store_entry *store_find(const struct store *store, const char *namespace,
				     const char *name);
const struct endpoint_slice *store_slice(const struct store *store, const char *namespace,
					 const char *name);
const struct node *store_node(const struct store *store, const char *name);

/*
 * All of a kind, in no order; a value other than 0 from fn ends it and is returned. fn must not
 * change the store.
 */
int store_each_entry(const struct store *store, int (*fn)(void *ctx, struct store_entry *entry),
		     void *ctx);
int store_each_cidr(const struct store *store, int (*fn)(void *ctx, const struct service_cidr *c),
		    void *ctx);

struct store_stats {
	size_t services, slices, endpoints, nodes, cidrs;
};
void store_count(const struct store *store, struct store_stats *ret_stats);

#endif
