/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef BASE_CLEANUP_H
#define BASE_CLEANUP_H

/*
 * Variables that release what they hold when they go out of scope, and the way to hand such a thing on.
 *
 *	_cleanup_free_ char *path = NULL;         free()
 *	_cleanup_close_ int fd = -1;              close() unless negative; errno is kept
 *	_cleanup_fclose_ FILE *f = NULL;          fclose() unless NULL
 *	_cleanup_(table_freep) struct table *t;   anything, after CLEANUP_DEFINE(struct table *, table_free)
 *	*ret_path = TAKE_PTR(path);               hands the pointer on, leaves NULL behind
 *	*ret_fd = TAKE_FD(fd);                    hands the descriptor on, leaves -1 behind
 *
 * Every such variable must be initialised where it is declared.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define _cleanup_(fn) __attribute__((cleanup(fn)))

/* Makes <free_fn>p, which takes a pointer to the variable, for use with _cleanup_(). NULL is not passed on. */
#define CLEANUP_DEFINE(type, free_fn)             \
	static inline void free_fn##p(type *slot) \
	{                                         \
		if (*slot)                        \
			free_fn(*slot);           \
	}                                         \
	struct cleanup_needs_semicolon

static inline void cleanup_free(void *slot)
{
	free(*(void **)slot);
}

static inline void cleanup_close(const int *fd)
{
	int saved = errno;

	if (*fd >= 0)
		close(*fd);
	errno = saved;
}

static inline void cleanup_fclose(FILE *const *file)
{
	if (*file)
		fclose(*file);
}

#define _cleanup_free_   _cleanup_(cleanup_free)
#define _cleanup_close_  _cleanup_(cleanup_close)
#define _cleanup_fclose_ _cleanup_(cleanup_fclose)

#define TAKE_PTR(ptr)                            \
	({                                       \
		__typeof__(ptr) *slot_ = &(ptr); \
		__typeof__(ptr) taken_ = *slot_; \
		*slot_ = NULL;                   \
		taken_;                          \
	})

#define TAKE_FD(fd)                  \
	({                           \
		int *slot_ = &(fd);  \
		int taken_ = *slot_; \
		*slot_ = -1;         \
		taken_;              \
	})

#endif
