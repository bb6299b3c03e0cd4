// SPDX-License-Identifier: GPL-2.0-only
/* Typed reading of fields, with a sentence for everything that is wrong. */
/* Must not know which fields an object has. */
#include "source/field.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/options.h"

void notes_done(struct notes *notes)
{
	buf_done(&notes->text);
}

void notes_reset(struct notes *notes)
{
	buf_reset(&notes->text);
	notes->n = 0;
	notes->refused = false;
	notes->no_memory = false;
}

/* Keys come from the document: only what a terminal can bear, and not without end. */
static void put_key(struct buf *out, const char *key)
{
	size_t i;

	for (i = 0; key[i] && i < 64; i++)
		buf_putc(out, key[i] >= ' ' && key[i] <= '~' ? key[i] : '?');
	if (key[i])
		buf_puts(out, "...");
}

/* "spec.ports[0].port"; a key with dots or slashes stands in brackets. Depth is that of the decoder's calls. */
static void put_path(struct buf *out, const struct field *field)
{
	if (!field->up)
		return;
	put_path(out, field->up);
	if (!field->key) {
		buf_printf(out, "[%zu]", field->index);
	} else if (strpbrk(field->key, "./")) {
		buf_putc(out, '[');
		put_key(out, field->key);
		buf_putc(out, ']');
	} else {
		if (field->up->up)
			buf_putc(out, '.');
		put_key(out, field->key);
	}
}

static void put_note(struct notes *notes, const struct field *field, const char *format,
		     va_list args)
{
	if (notes->n++ >= NOTES_MAX)
		return;
	if (notes->text.len)
		buf_puts(&notes->text, "; ");
	put_path(&notes->text, field);
	if (field->up)
		buf_putc(&notes->text, ' ');
	buf_vprintf(&notes->text, format, args);
	if (notes->text.failed)
		notes->no_memory = true;
}

void note(struct notes *notes, const struct field *field, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	put_note(notes, field, format, args);
	va_end(args);
}

void note_refusal(struct notes *notes, const struct field *field, const char *format, ...)
{
	va_list args;

	notes->refused = true;
	va_start(args, format);
	put_note(notes, field, format, args);
	va_end(args);
}

struct field field_get(const struct field *map, const char *key)
{
	return (struct field){ .value = value_get(map->value, key), .up = map, .key = key };
}

bool field_is_set(const struct field *field)
{
	return value_is_set(field->value);
}

struct field field_first(const struct field *list)
{
	struct value first = value_first(list->value);

	return (struct field){ .value = first, .up = list, .key = value_key(first) };
}

void field_next(struct field *element)
{
	element->value = value_next(element->value);
	element->key = value_key(element->value);
	element->index++;
}

static void wrong_type(struct notes *notes, const struct field *field, const char *remedy)
{
	char shown[VALUE_SHOWN_LEN];

	note_refusal(notes, field, "is %s: %s", value_show(field->value, shown), remedy);
}

bool field_is_map(struct notes *notes, const struct field *field)
{
	if (!field_is_set(field))
		return false;
	if (value_type(field->value) == VALUE_MAP)
		return true;
	wrong_type(notes, field, "it must be a map");
	return false;
}

bool field_is_list(struct notes *notes, const struct field *field)
{
	if (!field_is_set(field))
		return false;
	if (value_type(field->value) == VALUE_LIST)
		return true;
	wrong_type(notes, field, "it must be a list, each element with \"- \"");
	return false;
}

static bool has_control(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			return true;
	return false;
}

const char *field_string(struct notes *notes, const struct field *field)
{
	enum value_type type = value_type(field->value);
	const char *text;

	if (type == VALUE_NONE || type == VALUE_NULL)
		return NULL;
	text = value_string(field->value);
	if (text && !has_control(text))
		return text;
	if (text)
		wrong_type(notes, field, "it must be text of one line");
	else if (type == VALUE_NUMBER || type == VALUE_BOOL)
		wrong_type(notes, field, "it must be text, so write it in quotes");
	else
		wrong_type(notes, field, "it must be text");
	return NULL;
}

char *notes_strdup(struct notes *notes, const char *text)
{
	char *copy = text ? strdup(text) : NULL;

	if (text && !copy)
		notes->no_memory = true;
	return copy;
}

void *notes_calloc(struct notes *notes, size_t n, size_t size)
{
	void *array = n ? calloc(n, size) : NULL;

	if (n && !array)
		notes->no_memory = true;
	return array;
}

char *field_strdup(struct notes *notes, const struct field *field)
{
	return notes_strdup(notes, field_string(notes, field));
}

bool field_bool(struct notes *notes, const struct field *field, bool absent)
{
	if (!field_is_set(field))
		return absent;
	if (value_type(field->value) == VALUE_BOOL)
		return value_bool(field->value);
	wrong_type(notes, field, "it must be true or false, without quotes");
	return absent;
}

bool field_int(struct notes *notes, const struct field *field, const char *what, int64_t min,
	       int64_t max, int64_t *ret_number)
{
	char shown[VALUE_SHOWN_LEN];
	double number;

	if (!field_is_set(field))
		return false;
	if (value_type(field->value) != VALUE_NUMBER) {
		note_refusal(notes, field, "is %s: %s is a number of %lld to %lld, without quotes",
			     value_show(field->value, shown), what, (long long)min, (long long)max);
		return false;
	}
	number = value_number(field->value);
	if (!(number >= (double)min && number <= (double)max) || number != floor(number)) {
		note_refusal(notes, field, "is %s: %s is %lld to %lld",
			     value_show(field->value, shown), what, (long long)min, (long long)max);
		return false;
	}
	*ret_number = (int64_t)number;
	return true;
}

/* "A, B or C" */
static void put_words(struct buf *out, const char *const *words)
{
	size_t i;

	for (i = 0; words[i]; i++) {
		if (i)
			buf_puts(out, words[i + 1] ? ", " : " or ");
		buf_puts(out, words[i]);
	}
}

const char *field_nearest(const char *text, const char *const *words)
{
	size_t i;

	for (i = 0; words[i]; i++)
		if (strcasecmp(text, words[i]) == 0)
			return words[i];
	return options_nearest(text, words);
}

int field_word(struct notes *notes, const struct field *field, const char *const *words, int absent)
{
	const char *text = field_string(notes, field);
	char shown[VALUE_SHOWN_LEN];
	struct buf choice = { 0 };
	const char *nearest;
	int i;

	if (!text)
		return absent;
	for (i = 0; words[i]; i++)
		if (strcmp(text, words[i]) == 0)
			return i;
	if (notes->from_api) {
		note(notes, field, "is %s, which is not known here",
		     value_show(field->value, shown));
		return absent;
	}
	put_words(&choice, words);
	nearest = field_nearest(text, words);
	note_refusal(notes, field, "is %s: %s%s%s it is one of %s", value_show(field->value, shown),
		     nearest ? "did you mean " : "", nearest ? nearest : "", nearest ? "?" : "",
		     buf_str(&choice));
	buf_done(&choice);
	return absent;
}

static bool is_known(const char *name, const char *const *known)
{
	for (; *known; known++)
		if (strcmp(name, *known) == 0)
			return true;
	return false;
}

void field_check_names(struct notes *notes, const struct field *map, const char *const *known)
{
	struct field member;
	const char *nearest;

	if (notes->from_api || value_type(map->value) != VALUE_MAP)
		return;
	for (member = field_first(map); member.value.node; field_next(&member)) {
		if (is_known(member.key, known))
			continue;
		nearest = field_nearest(member.key, known);
		if (nearest)
			note(notes, &member, "is unknown and ignored: did you mean %s?", nearest);
		else
			note(notes, &member, "is unknown and ignored: remove it");
	}
}
