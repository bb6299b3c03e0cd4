/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef INGRESS_ROUTES_H
#define INGRESS_ROUTES_H

/*
 * Which Service a request goes to: all Ingresses of our classes as one immutable snapshot. Pure.
 *
 * Host first (exact, then "*." for exactly one label, then the rules without a host), path second; a miss inside a host
 * goes to that host's default backend or nowhere, never to another host. Paths: the longest rule wins, Exact before
 * Prefix (whole elements) before ImplementationSpecific (any prefix) of the same text. Where two Ingresses say the same
 * host, path and type, the older one wins, then the smaller namespace/name; the other is noted.
 *
 * As ingress-nginx does, one Ingress with use-regex, or with a rewrite-target that changes something, makes every path of
 * its hosts a regular expression: case-insensitive, anchored at the start only, the longest text first.
 *
 * Looking up costs a few hash look-ups and a binary search in the rules of one host, however many Ingresses there are;
 * in a host of regular expressions, one match a rule.
 */
#include "base/buf.h"
#include "ingress/match.h"
#include "core/model_ingress.h"

struct routes;
struct routes_maker;
struct rule;

/* Immutable and counted by itself, so that a request can outlive the snapshot in which it found its route. */
struct route {
	_Atomic unsigned refs;
	const char *namespace; /* of the Ingress it comes from, where service is, too */
	const char *ingress;
	const char *host; /* lower case; "" for a rule without one */
	const char *path; /* as written; "" for a default backend */
	enum ingress_path_type type;
	const char *service;   /* NULL: a backend that is no Service; answer 404 */
	const char *port_name; /* to be looked up in the Service; NULL: port counts */
	uint16_t port;
	bool tls; /* the host is in a spec.tls */
	const char *
		redirect_host; /* from-to-www-redirect: the host that is meant instead; there is no service then */
	const char *target;    /* rewrite-target that changes something, or NULL */
	bool strip;            /* sluice.dev/strip-prefix */
	struct route *canary;  /* the canary Ingress's route for the same path, or NULL; counted */
	struct match *match;   /* in a host of regular expressions: is it this path? counted */
	struct match *rewrite; /* with target: what $1 is; counted */
	size_t part;           /* inside of its host: of which rule it was made */
	struct rule *rule;     /* what routes_input.attach made for it, or NULL */
	void (*detach)(struct rule *rule);
};

struct route *route_hold(const struct route *route);
void route_drop(const struct route *route); /* NULL is fine */

enum routes_severity {
	ROUTES_LOSER,   /* another Ingress has it */
	ROUTES_REFUSED, /* this part is not served */
	ROUTES_WARNING, /* served as written, which may not be what was meant */
};

/* `reason` is a sentence that names field and remedy, valid during the call. */
typedef void routes_note_fn(void *ctx, const struct ingress *ingress, enum routes_severity severity,
			    const char *reason);

struct routes_input {
	const struct ingress *const *ingresses; /* in any order; what is kept is copied */
	size_t n_ingresses;
	/* With a maker: a number for each Ingress that no other object ever had, and that changes whenever the Ingress, or
	 * what attach() makes of it, does. Never 0. */
	const uint64_t *versions;
	const struct ingress_class *const *classes;
	size_t n_classes;
	const char *const *controllers; /* classes with one of these as spec.controller are ours */
	size_t n_controllers;
	bool take_default; /* nobody else gave classless Ingresses the default class: manifests from a folder */
	bool take_classless;  /* serve Ingresses without a class whatever the default is */
	uint64_t seed;        /* of the hash table */
	routes_note_fn *note; /* may be NULL; says everything each time, of what is shared too */
	/* Called for each new route of ingresses[source]; the result becomes route->rule and is given to detach at the route's
	 * end, by any thread. NULL: no memory. May be NULL itself. */
	struct rule *(*attach)(void *ctx, size_t source, struct route *route);
	void (*detach)(struct rule *rule);
	void *ctx;
};

/* 0 or -ENOMEM. The snapshot may be read by any number of threads. */
int routes_build(const struct routes_input *input, struct routes **ret_routes);
struct routes *routes_hold(struct routes *routes);
void routes_drop(struct routes *routes); /* NULL is fine */

/*
 * Remembers what it made: hosts for which nothing has changed are the same objects again, and equal expressions are compiled
 * once. Of one thread; class, controllers and attach must mean the same each time.
 */
int routes_maker_new(uint64_t seed, struct routes_maker **ret_maker); /* 0 or -ENOMEM */
void routes_maker_free(struct routes_maker *maker);                   /* NULL is fine */
int routes_make(struct routes_maker *maker, const struct routes_input *input,
		struct routes **ret_routes);

/* Is this Ingress of our class? Says nothing. */
bool routes_is_ours(const struct routes_input *input, const struct ingress *ingress);

/*
 * host: without port and final dot, any case. path: normalised (ingress/path.h). 0 and *ret_route, which lives as long as
 * the snapshot or is held; -ENOENT: 404; -ELOOP: a rule's expression takes too long on this path; -ENOMEM.
 */
int routes_find(const struct routes *routes, struct match_work *work, const char *host,
		size_t host_len, const char *path, size_t path_len, const struct route **ret_route);

struct route_request {
	const char *path; /* normalised */
	size_t path_len;
	const char *raw; /* as received; "" stands for "/" */
	size_t raw_len;
	const char *query;
	size_t query_len;
	bool has_query;
};

/* Appends the target for the origin: what was received, or what the route's rewriting makes of it, with the
 * arguments. 0, -ENOMEM, -ELOOP (as above). */
int route_target(const struct route *route, struct match_work *work,
		 const struct route_request *request, struct buf *out);

#endif
