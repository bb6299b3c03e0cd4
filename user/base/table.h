/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef BASE_TABLE_H
#define BASE_TABLE_H

/*
 * A hash table from byte strings to pointers that are not NULL.
 *
 * Keys are copied in; values belong to the caller. Iteration follows the order of insertion, whatever the seed,
 * so that what is computed from a table is reproducible. While iterating, removing (any key) is allowed,
 * putting is not. The seed comes from the caller: random against hostile keys, fixed in a test.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct table_entry {
	void *key; /* our copy, with a NUL behind it; NULL: removed */
	size_t key_len;
	uint64_t hash;
	void *value;
};

struct table {
	uint64_t seed;
	size_t len;                  /* entries that are there */
	struct table_entry *entries; /* in order of insertion, with gaps where one was removed */
	size_t entries_len;          /* with gaps */
	uint32_t *slots;             /* 1 + index into entries (maybe a gap), 0 = free */
	size_t slots_len;            /* a power of two, or 0 */
};

/* Cannot fail; allocates nothing. */
void table_init(struct table *table, uint64_t seed);

/* Frees the table; free_value (may be NULL) is called for every value left. The table is empty afterwards. */
void table_done(struct table *table, void (*free_value)(void *value));

/* The value, or NULL. */
void *table_get(const struct table *table, const void *key, size_t key_len);

/* Stores value (not NULL); what was there before goes to *ret_old (may be NULL), NULL if nothing was.
 * 0, or -ENOMEM with the table and *ret_old unchanged. An existing key keeps its place in the order. */
int table_put(struct table *table, const void *key, size_t key_len, void *value, void **ret_old);

/* Removes the key and returns its value, or NULL if it was not there. */
void *table_remove(struct table *table, const void *key, size_t key_len);

/* The entry at or behind *pos, or NULL at the end; *pos moves on. Start with 0. */
struct table_entry *table_next(const struct table *table, size_t *pos);

/* table_for_each (entry, &table) { entry->key, entry->key_len, entry->value } */
#define table_for_each(entry, table) \
	for (size_t pos_##entry = 0; ((entry) = table_next((table), &pos_##entry));)

/* SipHash-1-3 of the bytes under the seed: the table's own hash, for whoever needs the same. */
uint64_t table_hash(uint64_t seed, const void *key, size_t key_len);

static inline void *table_get_str(const struct table *table, const char *key)
{
	return table_get(table, key, strlen(key));
}

static inline int table_put_str(struct table *table, const char *key, void *value, void **ret_old)
{
	return table_put(table, key, strlen(key), value, ret_old);
}

static inline void *table_remove_str(struct table *table, const char *key)
{
	return table_remove(table, key, strlen(key));
}

#endif
