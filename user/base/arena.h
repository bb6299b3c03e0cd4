/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

/*
 * Memory that is given out piece by piece and freed at once. All-zero is empty and valid.
 * Pieces never move, are aligned for any type, and are zeroed. NULL means out of memory.
 */
#include <stddef.h>

struct arena_chunk;

struct arena {
	struct arena_chunk *chunk; /* the newest; older ones hang behind it */
	size_t bytes;              /* given out since the last reset, padding included */
};

void *arena_alloc(struct arena *arena, size_t size);

/* An array of n elements; the product is checked. */
void *arena_alloc_array(struct arena *arena, size_t n, size_t element_size);
#define arena_new(arena, type, n) ((type *)arena_alloc_array((arena), (n), sizeof(type)))

char *arena_strdup(struct arena *arena, const char *text);
char *arena_strndup(struct arena *arena, const char *text, size_t len); /* always NUL-terminated */
void *arena_memdup(struct arena *arena, const void *bytes, size_t size);
char *arena_printf(struct arena *arena, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Takes everything back; keeps the newest chunk for the next round. */
void arena_reset(struct arena *arena);

void arena_done(struct arena *arena);

#endif
