/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef INGRESS_MATCH_H
#define INGRESS_MATCH_H

/*
 * Regular expressions as users of ingress-nginx write them (PCRE), case-insensitive, over bytes, with bounded work.
 * A compiled expression is immutable and may be used by many threads; each thread brings its own workspace.
 */
#include <stdbool.h>
#include <stddef.h>

struct match;
struct match_work;

#define MATCH_GROUPS 10 /* the whole, and $1 to $9 */

struct match_groups {
	size_t at[MATCH_GROUPS];
	size_t len[MATCH_GROUPS]; /* 0 for a group that is not set, too */
};

/* 0, -ENOMEM, or -EINVAL with a few words and a place in why (at most size bytes with NUL). */
int match_new(const char *pattern, bool anchored, char *why, size_t size, struct match **ret_match);
void match_free(struct match *match);

struct match_work *match_work_new(void); /* NULL: no memory */
void match_work_free(struct match_work *work);

/* 1 and *ret_groups, 0 if it does not match, -ELOOP if the expression would take too long to say, -ENOMEM. */
int match_run(const struct match *match, struct match_work *work, const char *text, size_t len,
	      struct match_groups *ret_groups);

#endif
