// SPDX-License-Identifier: GPL-2.0
/* The filter: one bit for many addresses, which leads to the rows of those that are services or backends. */
/* Must not know: what a service is. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/plan_state.h"

static uint32_t filter_word(const struct address *addr, bool backend, uint64_t *ret_mask)
{
	uint32_t bit = row_filter_bit(addr);

	*ret_mask = 1ull << (bit & 63);
	return (bit >> 6) + (backend ? SL_FILTER_WORDS : 0);
}

bool plan_filter_has(const struct plan_family *f, const struct address *addr, bool backend)
{
	uint64_t mask;
	uint32_t word = filter_word(addr, backend, &mask);

	return f->filter[word] & mask;
}

int plan_filter_set(struct plan *plan, struct plan_family *f, const struct address *addr,
		    bool backend)
{
	uint64_t mask, value;
	uint32_t word = filter_word(addr, backend, &mask);

	if (f->filter[word] & mask)
		return 0;
	value = f->filter[word] | mask;
	if (diff_want(plan->diff, plan_table(f, ROW4_FILTER), &word, &value) < 0)
		return -ENOMEM;
	f->filter[word] = value;
	f->n_filter[backend]++;
	return 0;
}

/* ---- clearing ------------------------------------------------------------------------------- */

static void needed_bits(const struct plan_family *f, uint64_t *words)
{
	struct table_entry *t;

	table_for_each(t, &f->rows) {
		const struct plan_row *row = t->value;
		const struct plan_backend *b;
		uint32_t bit;

		if (!row->published)
			continue;
		bit = row_filter_bit(&row->key.vip);
		if (!address_is_zero(&row->key.vip)) /* node ports have none of their own */
			words[bit >> 6] |= 1ull << (bit & 63);
		if (!row->owner)
			continue;
		vec_for_each(b, &row->owner->backends) {
			bit = row_filter_bit(&b->addr);
			words[SL_FILTER_WORDS + (bit >> 6)] |= 1ull << (bit & 63);
		}
	}
}

int plan_filter_rebuild(struct plan *plan)
{
	uint64_t *words = calloc((size_t)2 * SL_FILTER_WORDS, sizeof(*words));

	if (!words)
		return -ENOMEM;
	for (int i = 0; i < 2; i++) {
		struct plan_family *f = &plan->families[i];

		memset(words, 0, sizeof(f->filter));
		needed_bits(f, words);
		f->n_filter[0] = f->n_filter[1] = 0;
		for (uint32_t w = 0; w < 2 * SL_FILTER_WORDS; w++) {
			f->n_filter[w >= SL_FILTER_WORDS] +=
				(uint32_t)__builtin_popcountll(words[w]);
			if (words[w] != f->filter[w]) /* a row that is wanted, as it has bits */
				diff_retire(plan->diff, plan_table(f, ROW4_FILTER), &w, &words[w]);
		}
		memcpy(f->filter, words, sizeof(f->filter));
	}
	free(words);
	return 0;
}
