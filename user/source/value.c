// SPDX-License-Identifier: GPL-2.0-only
/* Access to values of a document through the operations of their tree. */
/* Must not know what an object is, nor which parser made the tree. */
#include "source/value.h"

#include <stdio.h>
#include <string.h>

enum value_type value_type(struct value v)
{
	return v.node ? v.ops->type(v.node) : VALUE_NONE;
}

bool value_is_set(struct value v)
{
	enum value_type type = value_type(v);

	return type != VALUE_NONE && type != VALUE_NULL;
}

struct value value_first(struct value v)
{
	enum value_type type = value_type(v);

	if (type == VALUE_LIST || type == VALUE_MAP)
		return (struct value){ v.ops, v.ops->child(v.node) };
	return (struct value){ 0 };
}

struct value value_next(struct value v)
{
	return v.node ? (struct value){ v.ops, v.ops->next(v.node) } : v;
}

struct value value_get(struct value map, const char *key)
{
	struct value member;

	if (value_type(map) != VALUE_MAP)
		return (struct value){ 0 };
	for (member = value_first(map); member.node; member = value_next(member))
		if (strcmp(value_key(member), key) == 0)
			break;
	return member;
}

size_t value_count(struct value v)
{
	size_t n = 0;

	for (v = value_first(v); v.node; v = value_next(v))
		n++;
	return n;
}

const char *value_key(struct value member)
{
	return member.node ? member.ops->key(member.node) : NULL;
}

const char *value_string(struct value v)
{
	return value_type(v) == VALUE_STRING ? v.ops->text(v.node) : NULL;
}

double value_number(struct value v)
{
	return value_type(v) == VALUE_NUMBER ? v.ops->number(v.node) : 0;
}

bool value_bool(struct value v)
{
	return value_type(v) == VALUE_BOOL && v.ops->boolean(v.node);
}

unsigned value_line(struct value v)
{
	return v.node ? v.ops->line(v.node) : 0;
}

/* Copies what a terminal and a log line can bear. */
static size_t show_text(const char *text, char *buf, size_t room)
{
	size_t n;

	for (n = 0; text[n] && n < room; n++)
		buf[n] = text[n] >= ' ' && text[n] <= '~' ? text[n] : '?';
	if (text[n] && n >= 3)
		memcpy(buf + n - 3, "...", 3);
	buf[n] = '\0';
	return n;
}

const char *value_show(struct value v, char buf[VALUE_SHOWN_LEN])
{
	const char *text;
	size_t n;

	switch (value_type(v)) {
	case VALUE_STRING:
		buf[0] = '"';
		n = 1 + show_text(v.ops->text(v.node), buf + 1, VALUE_SHOWN_LEN - 3);
		memcpy(buf + n, "\"", 2);
		break;
	case VALUE_NUMBER:
		text = v.ops->text(v.node);
		if (text)
			show_text(text, buf, VALUE_SHOWN_LEN - 1);
		else
			snprintf(buf, VALUE_SHOWN_LEN, "%.15g", v.ops->number(v.node));
		break;
	case VALUE_BOOL:
		snprintf(buf, VALUE_SHOWN_LEN, "%s", v.ops->boolean(v.node) ? "true" : "false");
		break;
	case VALUE_LIST:
		snprintf(buf, VALUE_SHOWN_LEN, "a list");
		break;
	case VALUE_MAP:
		snprintf(buf, VALUE_SHOWN_LEN, "a map");
		break;
	default:
		snprintf(buf, VALUE_SHOWN_LEN, "not set");
	}
	return buf;
}
