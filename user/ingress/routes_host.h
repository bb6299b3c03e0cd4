/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef INGRESS_ROUTES_HOST_H
#define INGRESS_ROUTES_HOST_H

/* Inside of the snapshot: hosts, and the order of the paths of one. */
#include "base/table.h"
#include "base/vec.h"
#include "ingress/routes.h"

#define ROUTES_HOST_MAX 253

/* What a rule of a text takes. A folder is a Prefix written with a final slash. */
enum routes_kind {
	ROUTES_OF_EXACT,
	ROUTES_OF_PREFIX,
	ROUTES_OF_FOLDER,
	ROUTES_OF_SPECIFIC,
	ROUTES_KINDS
};

/* Rules that differ in kind share their text. */
struct routes_rules {
	const struct route *of[ROUTES_KINDS];
};

/* A text of the host's paths, of a Prefix without its final slash. */
struct routes_key {
	uint32_t text, len; /* bytes: where in the texts, and how many */
	uint32_t parent;    /* 1 + index of the longest other key this one begins with; 0 = none */
	uint32_t kind;      /* of its only rule; ROUTES_KINDS: it has several */
	union {
		const struct route *only;
		const struct routes_rules *rules;
	};
};

/* What is to be said about one of the Ingresses a host is made of. */
struct routes_note {
	size_t part; /* index into made_of */
	enum routes_severity severity;
	char *reason;
};

/*
 * Immutable once made, and shared by the snapshots in which nothing has changed for it. One block of memory: this, the heads,
 * as many keys, and the texts. Of a look-up the cache misses are the cost: of a host it reads from `fallback` on, the heads,
 * eight of which share a line, the one key that may fit, and only those texts that are alike in their first eight bytes.
 */
struct routes_host {
	_Atomic unsigned refs;
	char *name; /* lower case */
	struct VEC_OF(struct route *)
		routes;          /* counted; as added; in regex mode: in the order to be tried */
	const char *redirect_to; /* NULL: it does not just send on to another host */
	uint64_t *
		made_of; /* versions of the Ingresses of its rules, oldest first: of one, at made_of_one */
	size_t n_made_of;
	uint64_t made_of_one;
	struct VEC_OF(struct routes_note) notes;
	/* From here on for looking up. */
	struct route *fallback; /* counted; NULL: none */
	const char *texts;
	bool regex;
	uint32_t n_keys;
	uint64_t heads
		[]; /* of each key, which are sorted by the bytes of their texts: the first of these as a number */
};

struct routes {
	_Atomic unsigned refs;
	struct table hosts;     /* name -> struct routes_host, counted */
	struct table aliases;   /* the same for other names, which are nobody's own */
	struct route *fallback; /* of all hosts that nobody names; counted */
	uint64_t fallback_version;
};

/* All zero, with so many bytes behind it. NULL: no memory. */
struct routes_host *routes_host_alloc(size_t more);
struct routes_host *routes_host_hold(struct routes_host *host);
void routes_host_drop(struct routes_host *host); /* NULL is fine */

/* Puts the host's routes into the order in which they are looked up; it may move. Once. 0 or -ENOMEM. */
int routes_host_sort(struct routes_host **host);

/* ---- making one ------------------------------------------------------------------------------------------------- */

/* A rule of one of our Ingresses, and where that stands in the input. */
struct routes_part {
	const struct ingress *ingress;
	const struct ingress_rule *rule;
	size_t source;
	uint64_t version;
};

/* The host of that name (lower case), from those rules, of the oldest Ingress first. With redirect_to: one that only sends on. 0 or -ENOMEM. */
int routes_host_make(const struct routes_input *in, struct match_cache *cache, const char *name,
		     const char *redirect_to, const struct routes_part *parts, size_t n_parts,
		     struct routes_host **ret_host);

/* A route of its own; counted. NULL: no memory. */
struct route *route_new(const struct routes_input *in, const struct routes_part *part,
			const char *host, const char *path, enum ingress_path_type type,
			const struct ingress_backend *backend, const char *target,
			const char *redirect_host);

/* Makes what hangs on it; to be called once, when it is complete. 0 or -ENOMEM. */
int route_attach(const struct routes_input *in, const struct routes_part *part,
		 struct route *route);

/* The host in lower case without final dot, into lower (ROUTES_HOST_MAX + 1 bytes). False: it cannot be one. */
bool routes_host_name(const char *host, char *lower);

/* The canary annotation: its rules only hang on others. */
bool routes_is_canary(const struct ingress *ingress);

#endif
