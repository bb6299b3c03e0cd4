// SPDX-License-Identifier: GPL-2.0-only
/* Type and value of a scalar without quotes, as kubectl reads it. */
/* Must not know where in a document it stands. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "source/manifest_tree.h"

bool scalar_is_one_of(const char *text, const char *const *words)
{
	for (; *words; words++)
		if (strcmp(text, *words) == 0)
			return true;
	return false;
}

bool scalar_is_all(const char *text, int (*is)(int))
{
	if (!*text)
		return false;
	for (; *text; text++)
		if (!is((unsigned char)*text))
			return false;
	return true;
}

static int is_octal(int c)
{
	return c >= '0' && c <= '7';
}

/* [digits][.digits][e[sign]digits], with a digit somewhere before the exponent; the sign is already gone. */
static bool looks_decimal(const char *text)
{
	size_t digits = strspn(text, "0123456789");

	text += digits;
	if (*text == '.') {
		text++;
		digits += strspn(text, "0123456789");
		text += strspn(text, "0123456789");
	}
	if (!digits)
		return false;
	if (*text == 'e' || *text == 'E') {
		text++;
		if (*text == '+' || *text == '-')
			text++;
		return scalar_is_all(text, isdigit);
	}
	return *text == '\0';
}

static bool parse_number(const char *text, double *ret_number)
{
	double sign = *text == '-' ? -1 : 1;
	double number;

	if (*text == '-' || *text == '+')
		text++;
	if (text[0] == '0' && text[1] == 'x' && scalar_is_all(text + 2, isxdigit))
		number = (double)strtoull(text + 2, NULL, 16);
	else if (text[0] == '0' && text[1] == 'o' && scalar_is_all(text + 2, is_octal))
		number = (double)strtoull(text + 2, NULL, 8);
	else if (text[0] == '0' && scalar_is_all(text + 1, isdigit)) {
		/* 017 is octal there; 080 is nothing that everybody reads alike, so it stays text */
		if (!scalar_is_all(text + 1, is_octal))
			return false;
		number = (double)strtoull(text + 1, NULL, 8);
	} else if (looks_decimal(text))
		number = strtod(text, NULL);
	else
		return false;
	*ret_number = sign * number;
	return true;
}

/* Type and value of a scalar written without quotes. */
void scalar_resolve_plain(struct node *node)
{
	static const char *const nulls[] = { "", "~", "null", "Null", "NULL", NULL };
	static const char *const trues[] = { "true", "True", "TRUE", "yes", "Yes",
					     "YES",  "on",   "On",   "ON",  NULL };
	static const char *const falses[] = { "false", "False", "FALSE", "no",  "No",
					      "NO",    "off",   "Off",   "OFF", NULL };

	if (scalar_is_one_of(node->text, nulls)) {
		node->type = VALUE_NULL;
	} else if (scalar_is_one_of(node->text, trues)) {
		node->type = VALUE_BOOL;
		node->boolean = true;
	} else if (scalar_is_one_of(node->text, falses)) {
		node->type = VALUE_BOOL;
		node->boolean = false;
	} else if (parse_number(node->text, &node->number)) {
		node->type = VALUE_NUMBER;
	} else {
		node->type = VALUE_STRING;
	}
}
