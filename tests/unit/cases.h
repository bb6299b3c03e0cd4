/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TESTS_UNIT_CASES_H
#define TESTS_UNIT_CASES_H

/* Cases as data: the files of tests/data. A test that includes this says libs: cjson. */
#include <stdio.h>
#include <stdlib.h>

#include <cjson/cJSON.h>

#include "unit/test.h"

/* The file as a tree, for cJSON_Delete(). A test without its data fails. */
static inline cJSON *cases_load(const char *name)
{
	const char *root = getenv("TEST_DATA");
	char path[512], *text;
	cJSON *json;
	long len;
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", root ? root : "tests/data", name);
	f = fopen(path, "r");
	if (!f)
		fail_msg("%s: cannot be read; run from the top folder", path);
	fseek(f, 0, SEEK_END);
	len = ftell(f);
	rewind(f);
	text = calloc(1, (size_t)len + 1);
	assert_int_equal(fread(text, 1, (size_t)len, f), len);
	fclose(f);
	json = cJSON_Parse(text);
	assert_non_null(json);
	free(text);
	return json;
}

/* NULL: there is none, or no object. */
static inline cJSON *cases_get(const cJSON *object, const char *name)
{
	return object ? cJSON_GetObjectItemCaseSensitive(object, name) : NULL;
}

/* NULL: there is none, or it is no text. */
static inline char *cases_text(const cJSON *object, const char *name)
{
	return cJSON_GetStringValue(cases_get(object, name));
}

#endif
