/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What is refused and why, as a set that changes: about each object (or option) a teller says all
 * its problems anew, and those it does not say again are solved. Tellers ("source", "plan") do not
 * disturb each other. Pure.
 *
 *   problem_begin(p, "plan", "Service default/web");
 *   problem_add(p, "port http: …");          any number of times
 *   problem_end(p);
 */
#ifndef CORE_PROBLEM_H
#define CORE_PROBLEM_H

#include <stdbool.h>
#include <stddef.h>

struct problems;

/*
 * Called for each problem that arises (solved false) and each that is gone (solved true), at
 * problem_end(). `object` says of what, `reason` what is wrong and the remedy. Both are only valid
 * during the call.
 */
typedef void problem_change_fn(void *ctx, const char *object, const char *reason, bool solved);

/* on_change may be NULL. NULL if there is no memory. */
struct problems *problems_new(problem_change_fn *on_change, void *ctx);
void problems_free(struct problems *p);

/*
 * Between begin and end, of one teller and object. Both are borrowed until the end; reasons are
 * copied.
 */
void problem_begin(struct problems *p, const char *teller, const char *object);
int problem_add(struct problems *p, const char *fmt, ...)
	__attribute__((format(printf, 2, 3))); /* 0 or -ENOMEM */
/* 0, or -ENOMEM if a problem since the beginning was lost for want of memory. */
int problem_end(struct problems *p);

/* One reason, or none (NULL): begin, add, end. 0 or -ENOMEM. */
int problem_set(struct problems *p, const char *teller, const char *object, const char *reason);

size_t problem_count(const struct problems *p);
/* All, sorted by object. */
void problem_each(const struct problems *p,
		  void (*fn)(void *ctx, const char *object, const char *reason), void *ctx);

#endif
