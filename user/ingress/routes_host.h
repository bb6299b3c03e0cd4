/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef INGRESS_ROUTES_HOST_H
#define INGRESS_ROUTES_HOST_H

/* Inside of the snapshot: hosts, and the order of the paths of one. */
#include "base/arena.h"
#include "base/table.h"
#include "base/vec.h"
#include "ingress/routes.h"

#define ROUTES_HOST_MAX 253

/* A path's text; rules that differ in type share it. Sorted by bytes. */
struct routes_key {
	const char *text; /* of a Prefix: without its final slash */
	size_t len;
	size_t parent; /* 1 + index of the longest other key this one begins with; 0 = none */
	const struct route *exact, *prefix, *folder,
		*specific; /* folder: a Prefix written with a final slash */
};

struct routes_host {
	const char *name; /* lower case */
	bool regex;
	bool fresh; /* no Ingress has been added yet */
	struct VEC_OF(
		struct route *) routes; /* as added; in regex mode: in the order to be tried */
	struct routes_key *keys;
	size_t n_keys;
	const struct route *fallback;
};

struct routes {
	struct arena arena; /* hosts, routes, keys, texts */
	struct table hosts; /* name -> struct routes_host */
	struct VEC_OF(struct match *) matches;
	const struct route *fallback; /* of all hosts that nobody names */
};

/* Puts the host's routes into the order in which they are looked up. 0 or -ENOMEM. */
int routes_host_sort(struct routes_host *host, struct arena *arena);

#endif
