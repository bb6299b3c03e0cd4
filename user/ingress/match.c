// SPDX-License-Identifier: GPL-2.0-only
/* Regular expressions by PCRE2, with limits on what a match may cost. */
/* Must not know what is matched. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "ingress/match.h"

#include <errno.h>
#include <pcre2.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/table.h"

#define STEPS_MAX    100000 /* a sane path takes some hundreds; about a millisecond */
#define DEPTH_MAX    10000
#define HEAP_MAX_KIB 1024

struct match {
	_Atomic unsigned refs;
	pcre2_code *code;
};

struct match_cache {
	struct table matches; /* flags as a digit, pattern -> struct match, counted */
};

struct match_work {
	pcre2_match_data *data;
	pcre2_match_context *context;
};

int match_new(const char *pattern, unsigned flags, char *why, size_t size, struct match **ret_match)
{
	uint32_t options = PCRE2_DOTALL | PCRE2_DOLLAR_ENDONLY | PCRE2_NEVER_BACKSLASH_C |
			   PCRE2_NEVER_UTF;
	struct match *match = calloc(1, sizeof(*match));
	PCRE2_SIZE at;
	int error;

	if (!match)
		return -ENOMEM;
	options |= flags & MATCH_ANCHORED ? PCRE2_ANCHORED : 0;
	options |= flags & MATCH_CASE ? 0 : PCRE2_CASELESS;
	match->code = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED, options, &error,
				    &at, NULL);
	if (!match->code) {
		PCRE2_UCHAR text[128] = "";

		pcre2_get_error_message(error, text, sizeof(text));
		snprintf(why, size, "%s at character %zu", (const char *)text, (size_t)at + 1);
		free(match);
		return error == PCRE2_ERROR_HEAP_FAILED ? -ENOMEM : -EINVAL;
	}
	/* Faster where memory may be made executable; the same answers where not. */
	(void)pcre2_jit_compile(match->code, PCRE2_JIT_COMPLETE);
	match->refs = 1;
	*ret_match = match;
	return 0;
}

struct match *match_hold(struct match *match)
{
	atomic_fetch_add_explicit(&match->refs, 1, memory_order_relaxed);
	return match;
}

void match_drop(struct match *match)
{
	if (!match || atomic_fetch_sub(&match->refs, 1) != 1)
		return;
	pcre2_code_free(match->code);
	free(match);
}

struct match_cache *match_cache_new(uint64_t seed)
{
	struct match_cache *cache = calloc(1, sizeof(*cache));

	if (cache)
		table_init(&cache->matches, seed);
	return cache;
}

static void drop_value(void *match)
{
	match_drop(match);
}

void match_cache_free(struct match_cache *cache)
{
	if (!cache)
		return;
	table_done(&cache->matches, drop_value);
	free(cache);
}

int match_cache_get(struct match_cache *cache, const char *pattern, unsigned flags, char *why,
		    size_t size, struct match **ret_match)
{
	struct match *match;
	char *key = NULL;
	int len = asprintf(&key, "%u%s", flags, pattern), rc = 0;

	if (len < 0)
		return -ENOMEM;
	match = table_get(&cache->matches, key, (size_t)len);
	if (!match) {
		rc = match_new(pattern, flags, why, size, &match);
		if (!rc && table_put(&cache->matches, key, (size_t)len, match, NULL) < 0) {
			match_drop(match);
			rc = -ENOMEM;
		}
	}
	free(key);
	if (!rc)
		*ret_match = match_hold(match);
	return rc;
}

void match_cache_sweep(struct match_cache *cache)
{
	struct table_entry *entry;

	table_for_each(entry, &cache->matches) {
		struct match *match = entry->value;

		if (match->refs == 1)
			match_drop(table_remove(&cache->matches, entry->key, entry->key_len));
	}
}

struct match_work *match_work_new(void)
{
	struct match_work *work = calloc(1, sizeof(*work));

	if (!work)
		return NULL;
	work->data = pcre2_match_data_create(MATCH_GROUPS, NULL);
	work->context = pcre2_match_context_create(NULL);
	if (!work->data || !work->context) {
		match_work_free(work);
		return NULL;
	}
	pcre2_set_match_limit(work->context, STEPS_MAX);
	pcre2_set_depth_limit(work->context, DEPTH_MAX);
	pcre2_set_heap_limit(work->context, HEAP_MAX_KIB);
	return work;
}

void match_work_free(struct match_work *work)
{
	if (!work)
		return;
	pcre2_match_data_free(work->data);
	pcre2_match_context_free(work->context);
	free(work);
}

int match_run(const struct match *match, struct match_work *work, const char *text, size_t len,
	      struct match_groups *ret_groups)
{
	int rc = pcre2_match(match->code, (PCRE2_SPTR)text, len, 0, 0, work->data, work->context);
	const PCRE2_SIZE *pairs = pcre2_get_ovector_pointer(work->data);

	if (rc == PCRE2_ERROR_NOMATCH)
		return 0;
	if (rc == PCRE2_ERROR_NOMEMORY)
		return -ENOMEM;
	if (rc < 0)
		return -ELOOP;
	for (int i = 0; i < MATCH_GROUPS; i++) {
		bool set = (rc == 0 || i < rc) && pairs[2 * i] != PCRE2_UNSET &&
			   pairs[2 * i + 1] > pairs[2 * i];

		ret_groups->at[i] = set ? pairs[2 * i] : 0;
		ret_groups->len[i] = set ? pairs[2 * i + 1] - pairs[2 * i] : 0;
	}
	return 1;
}
