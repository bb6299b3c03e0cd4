/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TESTS_UNIT_FAILMALLOC_H
#define TESTS_UNIT_FAILMALLOC_H

/*
 * Makes the n-th allocation fail, also those of shared libraries: include it in one .c of a test program built with
 * AddressSanitizer, whose allocator it stands before.
 *
 *	for (n = 1;; n++) {
 *		failmalloc_at(n);
 *		rc = the_thing();
 *		if (!failmalloc_done())   // fewer than n were made: every one has failed once
 *			break;
 *		assert_int_equal(rc, -ENOMEM);
 *	}
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

void *__interceptor_malloc(size_t size);
void *__interceptor_calloc(size_t n, size_t size);
void *__interceptor_realloc(void *old, size_t size);

static unsigned failmalloc_left; /* allocations until one fails; 0 = none does */
static bool failmalloc_failed;

static inline bool failmalloc_fails(void)
{
	if (!failmalloc_left || --failmalloc_left)
		return false;
	failmalloc_failed = true;
	return true;
}

void *malloc(size_t size)
{
	return failmalloc_fails() ? NULL : __interceptor_malloc(size);
}

void *calloc(size_t n, size_t size)
{
	return failmalloc_fails() ? NULL : __interceptor_calloc(n, size);
}

void *realloc(void *old, size_t size)
{
	return failmalloc_fails() ? NULL : __interceptor_realloc(old, size);
}

char *strdup(const char *text)
{
	size_t size = strlen(text) + 1;
	char *copy = malloc(size);

	return copy ? memcpy(copy, text, size) : NULL;
}

char *strndup(const char *text, size_t len)
{
	size_t n = strnlen(text, len);
	char *copy = malloc(n + 1);

	if (copy) {
		memcpy(copy, text, n);
		copy[n] = '\0';
	}
	return copy;
}

static inline void failmalloc_at(unsigned n)
{
	failmalloc_left = n;
	failmalloc_failed = false;
}

/* Did an allocation fail? None fails from here on. */
static inline bool failmalloc_done(void)
{
	failmalloc_left = 0;
	return failmalloc_failed;
}

#endif
