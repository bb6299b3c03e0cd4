// SPDX-License-Identifier: GPL-2.0-only
// Memory given out piece by piece from large chunks and freed at once.
// Must not know what lives in it; runs no destructors.
#include "base/arena.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK_SIZE_MIN = 512, CHUNK_SIZE_MAX = 1 << 20 };

struct arena_chunk {
	struct arena_chunk *older;
	size_t size, used; /* of data */
	max_align_t data[];
};

static size_t round_up(size_t size)
{
	size_t align = _Alignof(max_align_t);

	return (size + align - 1) & ~(align - 1);
}

/* Chunks double, so that a big arena costs few mallocs and a small one little memory. */
static struct arena_chunk *chunk_new(struct arena *arena, size_t size)
{
	size_t want = arena->chunk ? arena->chunk->size * 2 : CHUNK_SIZE_MIN;
	struct arena_chunk *chunk;

	if (want > CHUNK_SIZE_MAX)
		want = CHUNK_SIZE_MAX;
	if (want < size)
		want = size;
	chunk = malloc(sizeof(*chunk) + want);
	if (!chunk)
		return NULL;
	*chunk = (struct arena_chunk){ .older = arena->chunk, .size = want };
	arena->chunk = chunk;
	return chunk;
}

void *arena_alloc(struct arena *arena, size_t size)
{
	struct arena_chunk *chunk = arena->chunk;
	void *piece;

	if (size > SIZE_MAX / 4)
		return NULL;
	size = round_up(size ? size : 1);
	if (!chunk || chunk->size - chunk->used < size)
		chunk = chunk_new(arena, size);
	if (!chunk)
		return NULL;
	piece = (char *)chunk->data + chunk->used;
	chunk->used += size;
	arena->bytes += size;
	return memset(piece, 0, size);
}

void *arena_alloc_array(struct arena *arena, size_t n, size_t element_size)
{
	size_t size;

	if (__builtin_mul_overflow(n, element_size, &size))
		return NULL;
	return arena_alloc(arena, size);
}

void *arena_memdup(struct arena *arena, const void *bytes, size_t size)
{
	void *copy = arena_alloc(arena, size);

	return copy && size ? memcpy(copy, bytes, size) : copy;
}

char *arena_strndup(struct arena *arena, const char *text, size_t len)
{
	char *copy;

	len = strnlen(text, len);
	copy = arena_alloc(arena, len + 1);
	if (copy)
		memcpy(copy, text, len);
	return copy;
}

char *arena_strdup(struct arena *arena, const char *text)
{
	return arena_strndup(arena, text, strlen(text));
}

char *arena_printf(struct arena *arena, const char *format, ...)
{
	va_list args;
	char *text;
	int len;

	va_start(args, format);
	len = vsnprintf(NULL, 0, format, args);
	va_end(args);
	if (len < 0)
		return NULL;
	text = arena_alloc(arena, (size_t)len + 1);
	if (!text)
		return NULL;
	va_start(args, format);
	vsnprintf(text, (size_t)len + 1, format, args);
	va_end(args);
	return text;
}

static void chunks_free(struct arena_chunk *chunk)
{
	while (chunk) {
		struct arena_chunk *older = chunk->older;

		free(chunk);
		chunk = older;
	}
}

void arena_reset(struct arena *arena)
{
	struct arena_chunk *keep = arena->chunk;

	arena->bytes = 0;
	if (!keep)
		return;
	chunks_free(keep->older);
	keep->older = NULL;
	keep->used = 0;
}

void arena_done(struct arena *arena)
{
	chunks_free(arena->chunk);
	*arena = (struct arena){ 0 };
}
