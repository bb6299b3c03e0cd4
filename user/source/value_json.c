// SPDX-License-Identifier: GPL-2.0-only
/* Shows cJSON trees to the decoder as values. */
/* Must not know what an object is. */
#include "source/value_json.h"

static enum value_type json_type(const void *node)
{
	switch (((const cJSON *)node)->type & 0xff) {
	case cJSON_NULL:
		return VALUE_NULL;
	case cJSON_False:
	case cJSON_True:
		return VALUE_BOOL;
	case cJSON_Number:
		return VALUE_NUMBER;
	case cJSON_String:
		return VALUE_STRING;
	case cJSON_Array:
		return VALUE_LIST;
	case cJSON_Object:
		return VALUE_MAP;
	default: /* cJSON_Invalid, cJSON_Raw: the parser makes neither */
		return VALUE_NONE;
	}
}

static const void *json_child(const void *node)
{
	return ((const cJSON *)node)->child;
}

static const void *json_next(const void *node)
{
	return ((const cJSON *)node)->next;
}

static const char *json_key(const void *node)
{
	return ((const cJSON *)node)->string;
}

static const char *json_text(const void *node)
{
	return ((const cJSON *)node)->valuestring;
}

static double json_number(const void *node)
{
	return ((const cJSON *)node)->valuedouble;
}

static bool json_boolean(const void *node)
{
	return (((const cJSON *)node)->type & 0xff) == cJSON_True;
}

static unsigned json_line(const void *node)
{
	(void)node;
	return 0;
}

static const struct value_ops json_ops = {
	.type = json_type,
	.child = json_child,
	.next = json_next,
	.key = json_key,
	.text = json_text,
	.number = json_number,
	.boolean = json_boolean,
	.line = json_line,
};

struct value value_of_json(const cJSON *item)
{
	return (struct value){ &json_ops, item };
}
