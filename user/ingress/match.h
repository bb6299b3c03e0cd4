/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef INGRESS_MATCH_H
#define INGRESS_MATCH_H

/*
 * Regular expressions as users of ingress-nginx write them (PCRE), over bytes, with bounded work.
 * A compiled expression is immutable and counted, and may be used by many threads; each thread brings its own workspace.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct match;
struct match_work;

#define MATCH_GROUPS 10 /* the whole, and $1 to $9 */

struct match_groups {
	size_t at[MATCH_GROUPS];
	size_t len[MATCH_GROUPS]; /* 0 for a group that is not set, too */
};

enum {
	MATCH_ANCHORED = 1 << 0, /* at the start */
	MATCH_CASE = 1 << 1,     /* case counts */
};

/* 0, -ENOMEM, or -EINVAL with a few words and a place in why (at most size bytes with NUL). */
int match_new(const char *pattern, unsigned flags, char *why, size_t size,
	      struct match **ret_match);
struct match *match_hold(struct match *match);
void match_drop(struct match *match); /* NULL is fine */

/* Expressions by their text, so that equal ones are compiled once. Of one thread. */
struct match_cache;

struct match_cache *match_cache_new(uint64_t seed); /* NULL: no memory */
void match_cache_free(struct match_cache *cache);   /* NULL is fine; what it gave lives on */
/* As match_new(); counted for the caller. */
int match_cache_get(struct match_cache *cache, const char *pattern, unsigned flags, char *why,
		    size_t size, struct match **ret_match);
/* Lets go what nobody else holds. */
void match_cache_sweep(struct match_cache *cache);

struct match_work *match_work_new(void); /* NULL: no memory */
void match_work_free(struct match_work *work);

/* 1 and *ret_groups, 0 if it does not match, -ELOOP if the expression would take too long to say, -ENOMEM. */
int match_run(const struct match *match, struct match_work *work, const char *text, size_t len,
	      struct match_groups *ret_groups);

#endif
