/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TESTS_UNIT_GUARD_H
#define TESTS_UNIT_GUARD_H

/* Bytes whose end is the end of the mapped memory: reading one more is a fault, sanitizer or not. */
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct guard {
	char *map;
	size_t map_len;
	char *bytes; /* len bytes; bytes[len] cannot be read */
	size_t len;
};

static inline struct guard guard_new(const void *bytes, size_t len)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t room = (len + page - 1) / page * page;
	struct guard guard = { .map_len = room + page, .len = len };

	guard.map = mmap(NULL, guard.map_len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			 -1, 0);
	if (guard.map == MAP_FAILED || mprotect(guard.map + room, page, PROT_NONE) < 0)
		fail_msg("no memory for a guard page");
	guard.bytes = guard.map + room - len;
	if (len)
		memcpy(guard.bytes, bytes, len);
	return guard;
}

static inline void guard_free(struct guard *guard)
{
	munmap(guard->map, guard->map_len);
}

#endif
