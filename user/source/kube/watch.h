/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SOURCE_KUBE_WATCH_H
#define SOURCE_KUBE_WATCH_H

/*
 * Follows one kind of object: lists it, watches it, and lists again when the watch cannot go on.
 *
 * No I/O, no clock, no randomness of its own: the owner asks watch_next() what to do, carries it out, and tells what came
 * back by watch_head(), watch_bytes() and watch_end().
 *
 * What the sink is told follows four rules. A list counts only when all of it is here: nothing of a half one is put, and
 * nothing is gone but by a whole list or an event that says so. Half an event counts for nothing. A refusal, whatever its
 * code, says nothing about objects. A resource version is text to be handed back, never a number.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/model.h"

#define WATCH_VERSION_MAX 256 /* bytes of a resource version */

struct watch;

struct watch_config {
	enum object_kind kind;
	bool optional; /* older servers do not know the kind: a 404 or 403 says it is listed; looked for again after minutes */
	bool guarded; /* we may not be allowed to see them: a 403 says it is listed; asked again as after any refusal */
	const char *api_version; /* "discovery.k8s.io/v1" */
	const char *path;        /* "/apis/discovery.k8s.io/v1/endpointslices" */
	const char *selector;    /* part of a query, percent-encoded, or "" */
};

/* The sink is copied; config and its strings must outlive the watch. seed: of the table of objects. 0 or -ENOMEM. */
int watch_new(const struct watch_config *config, const struct source_sink *sink, uint64_t seed,
	      struct watch **ret_watch);
void watch_free(struct watch *watch); /* the sink is not called; NULL is fine */

enum watch_todo {
	WATCH_WAIT,    /* nothing before wait_until_ns (UINT64_MAX: without end) */
	WATCH_REQUEST, /* GET target */
	WATCH_ABORT,   /* cut the transfer that is under way, and tell watch_end() */
};

struct watch_step {
	const char *target; /* path and query; valid until the next call */
	bool stream;        /* a watch, without end and to be taken uncompressed; else a list */
	uint64_t wait_until_ns;
};

/* random: 64 fresh random bits. After WATCH_REQUEST a transfer is under way until watch_end(). */
enum watch_todo watch_next(struct watch *watch, uint64_t now_ns, uint64_t random,
			   struct watch_step *ret_step);

/* The answer's status and its Retry-After (NULL: none). */
void watch_head(struct watch *watch, uint64_t now_ns, unsigned status, const char *retry_after);
/* Bytes of the body. 0, or a negative errno: cut the transfer, and tell watch_end(). */
int watch_bytes(struct watch *watch, uint64_t now_ns, const char *bytes, size_t len);

enum watch_end {
	WATCH_END_CLEAN,       /* the body came to its end */
	WATCH_END_CUT,         /* it did not, or was cut here */
	WATCH_END_UNREACHABLE, /* there was no answer */
	WATCH_END_MOVED, /* there was none, or the rest is lost, and another server or connection is to be tried at once */
};
void watch_end(struct watch *watch, uint64_t now_ns, uint64_t random, enum watch_end how);

/* The server can be reached again: a wait for that ends within 200 ms. */
void watch_kick(struct watch *watch, uint64_t now_ns, uint64_t random);

/* Nobody wants these any more: the sink hears that all of them are gone. To be freed next. */
void watch_drop(struct watch *watch);
/* Does the sink have this object from here? */
bool watch_has(const struct watch *watch, const char *namespace, const char *name);

/* Puts everything and says `listed` once more: for a sink that lost something. Ends a transfer under way with WATCH_ABORT. */
void watch_relist(struct watch *watch);

/* Is a list in, so that events count? */
bool watch_is_following(const struct watch *watch);
/* Has everything been listed once? Is the last word that there was no answer? */
bool watch_is_listed(const struct watch *watch);
bool watch_is_down(const struct watch *watch);

struct watch_stats {
	uint64_t lists;   /* requests: pages of lists */
	uint64_t streams; /* requests: watches that begin with a list */
	uint64_t watches; /* requests: watches from a version */
	uint64_t syncs;   /* whole lists taken over */
	uint64_t events;  /* ADDED, MODIFIED, DELETED */
	uint64_t bookmarks;
	uint64_t skipped;     /* events and items of unknown type or kind */
	uint64_t refused;     /* objects that could not be used */
	uint64_t expired;     /* 410, in either form */
	uint64_t refusals;    /* answers other than 200 and 410 */
	uint64_t broken;      /* answers that are no list or stream, too large ones included */
	uint64_t cut;         /* answers without their end */
	uint64_t ended;       /* watches that ended at once, without an event */
	uint64_t failures;    /* no answer */
	size_t objects;       /* known */
	unsigned last_status; /* of the last answer; 0 = none */
};
void watch_count(const struct watch *watch, struct watch_stats *ret_stats);
/* Adds to *stats what `more` counted; last_status is that of `more`. */
void watch_stats_add(struct watch_stats *stats, const struct watch_stats *more);

#endif
