// SPDX-License-Identifier: GPL-2.0-only
// A hash table from byte strings to pointers: entries stand in order of insertion, an open-addressed index finds them.
// Must not know its values; draws no random numbers (the seed is given).
#include "base/table.h"

#include <errno.h>
#include <stdlib.h>

/* SipHash-1-3 (Aumasson, Bernstein: "SipHash: a fast short-input PRF", 2012): strong enough against keys that
 * are chosen to collide, as long as the seed is unknown. */
struct sip {
	uint64_t v0, v1, v2, v3;
};

static uint64_t rotate(uint64_t x, int bits)
{
	return (x << bits) | (x >> (64 - bits));
}

static void sip_round(struct sip *s)
{
	s->v0 += s->v1;
	s->v2 += s->v3;
	s->v1 = rotate(s->v1, 13) ^ s->v0;
	s->v3 = rotate(s->v3, 16) ^ s->v2;
	s->v0 = rotate(s->v0, 32);
	s->v2 += s->v1;
	s->v0 += s->v3;
	s->v1 = rotate(s->v1, 17) ^ s->v2;
	s->v3 = rotate(s->v3, 21) ^ s->v0;
	s->v2 = rotate(s->v2, 32);
}

static uint64_t load_le(const unsigned char *p, size_t n)
{
	uint64_t x = 0;

	while (n--)
		x = x << 8 | p[n];
	return x;
}

uint64_t table_hash(uint64_t seed, const void *key, size_t key_len)
{
	const unsigned char *p = key;
	size_t left = key_len;
	struct sip s = {
		.v0 = seed ^ UINT64_C(0x736f6d6570736575),
		.v1 = ~seed ^ UINT64_C(0x646f72616e646f6d),
		.v2 = seed ^ UINT64_C(0x6c7967656e657261),
		.v3 = ~seed ^ UINT64_C(0x7465646279746573),
	};
	uint64_t word;

	for (; left >= 8; left -= 8, p += 8) {
		word = load_le(p, 8);
		s.v3 ^= word;
		sip_round(&s);
		s.v0 ^= word;
	}
	word = (uint64_t)key_len << 56 | load_le(p, left);
	s.v3 ^= word;
	sip_round(&s);
	s.v0 ^= word;
	s.v2 ^= 0xff;
	for (int i = 0; i < 3; i++)
		sip_round(&s);
	return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

void table_init(struct table *table, uint64_t seed)
{
	*table = (struct table){ .seed = seed };
}

void table_done(struct table *table, void (*free_value)(void *value))
{
	struct table_entry *entry;

	table_for_each(entry, table) {
		if (free_value)
			free_value(entry->value);
		free(entry->key);
	}
	free(table->entries);
	free(table->slots);
	table_init(table, table->seed);
}

static bool entry_is(const struct table_entry *entry, uint64_t hash, const void *key,
		     size_t key_len)
{
	return entry->key && entry->hash == hash && entry->key_len == key_len &&
	       memcmp(entry->key, key, key_len) == 0;
}

/* The slot that holds the key, or the free slot where its search ends. There is always a free slot. */
static size_t find_slot(const struct table *table, uint64_t hash, const void *key, size_t key_len)
{
	size_t mask = table->slots_len - 1, i;

	for (i = hash & mask; table->slots[i]; i = (i + 1) & mask)
		if (entry_is(&table->entries[table->slots[i] - 1], hash, key, key_len))
			break;
	return i;
}

static struct table_entry *find(const struct table *table, const void *key, size_t key_len)
{
	uint64_t hash;
	size_t slot;

	if (!table->len)
		return NULL;
	hash = table_hash(table->seed, key, key_len);
	slot = find_slot(table, hash, key, key_len);
	return table->slots[slot] ? &table->entries[table->slots[slot] - 1] : NULL;
}

void *table_get(const struct table *table, const void *key, size_t key_len)
{
	struct table_entry *entry = find(table, key, key_len);

	return entry ? entry->value : NULL;
}

/* At most this many entries, gaps included, so that every search meets a free slot soon. */
static size_t entries_max(size_t slots_len)
{
	return slots_len / 4 * 3;
}

/* Makes room for one more: closes the gaps, and doubles unless a quarter of the room is free then. */
static int make_room(struct table *table)
{
	size_t slots_len = table->slots_len ? table->slots_len : 8, n = 0;
	struct table_entry *entries, *entry;
	uint32_t *slots;

	if (table->entries_len < entries_max(table->slots_len))
		return 0;
	while (table->len + 1 > entries_max(slots_len) - entries_max(slots_len) / 4)
		slots_len *= 2;
	if (slots_len > (size_t)1 << 31)
		return -ENOMEM;
	entries = calloc(entries_max(slots_len), sizeof(*entries));
	slots = calloc(slots_len, sizeof(*slots));
	if (!entries || !slots) {
		free(entries);
		free(slots);
		return -ENOMEM;
	}
	table_for_each(entry, table) {
		size_t i = entry->hash & (slots_len - 1);

		while (slots[i])
			i = (i + 1) & (slots_len - 1);
		entries[n++] = *entry;
		slots[i] = (uint32_t)n;
	}
	free(table->entries);
	free(table->slots);
	table->entries = entries;
	table->entries_len = n;
	table->slots = slots;
	table->slots_len = slots_len;
	return 0;
}

int table_put(struct table *table, const void *key, size_t key_len, void *value, void **ret_old)
{
	struct table_entry *entry = find(table, key, key_len);
	void *old = NULL;
	char *copy;
	int rc;

	if (!value)
		return -EINVAL;
	if (entry) {
		old = entry->value;
		entry->value = value;
	} else {
		rc = make_room(table);
		if (rc < 0)
			return rc;
		copy = malloc(key_len + 1);
		if (!copy)
			return -ENOMEM;
		if (key_len)
			memcpy(copy, key, key_len);
		copy[key_len] = '\0';
		entry = &table->entries[table->entries_len++];
		*entry = (struct table_entry){ .key = copy,
					       .key_len = key_len,
					       .hash = table_hash(table->seed, key, key_len),
					       .value = value };
		/* The copy is in entries, not yet in the index: the search ends at a free slot. */
		table->slots[find_slot(table, entry->hash, key, key_len)] =
			(uint32_t)table->entries_len;
		table->len++;
	}
	if (ret_old)
		*ret_old = old;
	return 0;
}

/* The slot goes on pointing to the gap, so that searches pass over it; make_room() clears both. */
void *table_remove(struct table *table, const void *key, size_t key_len)
{
	struct table_entry *entry = find(table, key, key_len);
	void *value;

	if (!entry)
		return NULL;
	value = entry->value;
	free(entry->key);
	*entry = (struct table_entry){ 0 };
	table->len--;
	return value;
}

struct table_entry *table_next(const struct table *table, size_t *pos)
{
	while (*pos < table->entries_len) {
		struct table_entry *entry = &table->entries[(*pos)++];

		if (entry->key)
			return entry;
	}
	return NULL;
}
