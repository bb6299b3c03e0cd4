// SPDX-License-Identifier: GPL-2.0-only
/* Regular expressions by PCRE2, with limits on what a match may cost. */
/* Must not know what is matched. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "ingress/match.h"

#include <errno.h>
#include <pcre2.h>
#include <stdio.h>
#include <stdlib.h>

#define STEPS_MAX    100000 /* a sane path takes some hundreds; about a millisecond */
#define DEPTH_MAX    10000
#define HEAP_MAX_KIB 1024

struct match {
	pcre2_code *code;
};

struct match_work {
	pcre2_match_data *data;
	pcre2_match_context *context;
};

int match_new(const char *pattern, bool anchored, char *why, size_t size, struct match **ret_match)
{
	uint32_t options = PCRE2_CASELESS | PCRE2_DOTALL | PCRE2_DOLLAR_ENDONLY |
			   PCRE2_NEVER_BACKSLASH_C | PCRE2_NEVER_UTF;
	struct match *match = calloc(1, sizeof(*match));
	PCRE2_SIZE at;
	int error;

	if (!match)
		return -ENOMEM;
	options |= anchored ? PCRE2_ANCHORED : 0;
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
	*ret_match = match;
	return 0;
}

void match_free(struct match *match)
{
	if (!match)
		return;
	pcre2_code_free(match->code);
	free(match);
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
