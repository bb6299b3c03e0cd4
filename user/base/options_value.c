// SPDX-License-Identifier: GPL-2.0-only
// Values of options: text to typed field and back, and the nearest word to a misspelt one.
// Must not know where a text came from, nor any program's options.
#include "base/options_value.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/vec.h"

static const char *const bool_words[] = { "on", "off", "true", "false", "yes", "no", NULL };

/* ------------------------------------------------------------------------------------------- nearest word */

enum { WORD_MAX = 64 };

static unsigned int min3(unsigned int a, unsigned int b, unsigned int c)
{
	unsigned int least = a < b ? a : b;

	return least < c ? least : c;
}

/* Edits that turn a into b: insert, delete, replace, swap two neighbours (optimal string alignment). From limit on it only says
 * that there are not fewer. */
static unsigned int edit_distance(const char *a, const char *b, unsigned int limit)
{
	unsigned int rows[3][WORD_MAX + 1];
	size_t a_len = strlen(a), b_len = strlen(b);
	unsigned int *before = rows[0], *last = rows[1], *row = rows[2], *spare;
	unsigned int least = 0, least_last;

	if (a_len > WORD_MAX || b_len > WORD_MAX ||
	    (a_len > b_len ? a_len - b_len : b_len - a_len) >= limit)
		return limit;
	for (size_t j = 0; j <= b_len; j++)
		row[j] = (unsigned int)j;
	for (size_t i = 1; i <= a_len; i++) {
		spare = before;
		before = last;
		last = row;
		row = spare;
		row[0] = (unsigned int)i;
		least_last = least;
		least = row[0];
		for (size_t j = 1; j <= b_len; j++) {
			row[j] = min3(row[j - 1] + 1, last[j] + 1,
				      last[j - 1] + (a[i - 1] != b[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				row[j] = min3(row[j], before[j - 2] + 1, row[j]);
			least = row[j] < least ? row[j] : least;
		}
		/* A row is made of the two above it, one edit behind the upper. */
		if (least >= limit && least_last + 1 >= limit)
			return limit;
	}
	return row[b_len];
}

const char *options_nearest(const char *word, const char *const *words)
{
	size_t len = strlen(word);
	unsigned int best = (unsigned int)(len / 3 > 1 ? len / 3 : 1) + 1;
	const char *nearest = NULL;

	for (; *words; words++) {
		unsigned int distance;

		if (len >= 3 && strncmp(word, *words, len) == 0)
			distance = (*words)[len] ? 1 : 0; /* a beginning is as good as one slip */
		else
			distance = edit_distance(word, *words, best);
		if (distance < best) {
			best = distance;
			nearest = *words;
		}
	}
	return nearest;
}

/* --------------------------------------------------------------------------------------------------- reading */

static int out_of_memory(struct err *err)
{
	return err_set(err, -ENOMEM, "out of memory");
}

static void join_words(const char *const *words, const char *between, struct buf *buf)
{
	for (size_t i = 0; words[i]; i++)
		buf_printf(buf, "%s%s", i ? between : "", words[i]);
}

static int refuse_word(const char *text, const char *const *words, struct err *err)
{
	const char *nearest = options_nearest(text, words);
	struct buf valid = { 0 };
	int rc;

	join_words(words, ", ", &valid);
	rc = err_set(err, -EINVAL, "'%s' is not one of %s%s%s%s", text, buf_str(&valid),
		     nearest ? "; did you mean '" : "", nearest ? nearest : "",
		     nearest ? "'?" : "");
	buf_done(&valid);
	return rc;
}

static int find_word(const char *text, const char *const *words)
{
	for (int i = 0; words[i]; i++)
		if (strcmp(text, words[i]) == 0)
			return i;
	return -1;
}

bool option_is_bool_word(const char *text)
{
	return find_word(text, bool_words) >= 0;
}

static int read_bool(const char *text, bool *ret_value, struct err *err)
{
	int i = find_word(text, bool_words);

	if (i < 0)
		return refuse_word(text, bool_words, err);
	*ret_value = i % 2 == 0; /* on, true and yes stand at even places */
	return 0;
}

static int read_enum(const struct option *option, const char *text, int *ret_value, struct err *err)
{
	int i = find_word(text, option->words);

	if (i < 0)
		return refuse_word(text, option->words, err);
	*ret_value = i;
	return 0;
}

/* Digits at *text, which moves behind them. -EINVAL without a digit, -ERANGE beyond 64 bits. */
static int take_digits(const char **text, uint64_t *ret_value)
{
	uint64_t value = 0;

	if (!isdigit((unsigned char)**text))
		return -EINVAL;
	for (; isdigit((unsigned char)**text); (*text)++)
		if (__builtin_mul_overflow(value, 10, &value) ||
		    __builtin_add_overflow(value, (uint64_t)(**text - '0'), &value))
			return -ERANGE;
	*ret_value = value;
	return 0;
}

static int read_uint(const struct option *option, const char *text, uint64_t *ret_value,
		     struct err *err)
{
	const char *end = text;
	uint64_t value = 0;
	int rc;

	if (option->words && strcmp(text, option->words[0]) == 0) {
		*ret_value = 0;
		return 0;
	}
	rc = take_digits(&end, &value);
	if (rc == -EINVAL || (!rc && *end))
		return err_set(err, -EINVAL, "'%s' is not a whole number%s%s", text,
			       option->words ? " or " : "", option->words ? option->words[0] : "");
	if (rc < 0 || value < option->min || value > option->max)
		return err_set(err, -EINVAL, "%s is out of range; use %llu to %llu", text,
			       (unsigned long long)option->min, (unsigned long long)option->max);
	*ret_value = value;
	return 0;
}

static int read_ports(const char *text, struct option_ports *ret_ports, struct err *err)
{
	const char *end = text;
	uint64_t low = 0, high = 0;
	int rc = take_digits(&end, &low);

	high = low;
	if (!rc && *end == '-') {
		end++;
		rc = take_digits(&end, &high);
	}
	if (rc < 0 || *end)
		return err_set(err, -EINVAL, "'%s' is not a port range; write LOW-HIGH", text);
	if (low < 1 || high > UINT16_MAX || low > high)
		return err_set(err, -EINVAL,
			       "'%s' is no range of ports; use 1 to 65535, the lower one first",
			       text);
	*ret_ports = (struct option_ports){ .low = (uint16_t)low, .high = (uint16_t)high };
	return 0;
}

/* From large to small, as written; "m" stands behind "ms" so that the longer name is tried first. */
static const struct unit {
	const char *name;
	uint64_t ns;
} units[] = {
	{ "h", 3600 * CLOCK_NS_PER_S },
	{ "ms", CLOCK_NS_PER_MS },
	{ "m", 60 * CLOCK_NS_PER_S },
	{ "us", 1000 },
	{ "ns", 1 },
	{ "s", CLOCK_NS_PER_S },
	{ NULL, 0 },
};

static const struct unit *take_unit(const char **text)
{
	for (const struct unit *unit = units; unit->name; unit++) {
		size_t len = strlen(unit->name);

		if (strncmp(*text, unit->name, len) == 0) {
			*text += len;
			return unit;
		}
	}
	return NULL;
}

static void write_duration(uint64_t ns, struct buf *buf)
{
	static const struct unit large_first[] = { { "h", 3600 * CLOCK_NS_PER_S },
						   { "m", 60 * CLOCK_NS_PER_S },
						   { "s", CLOCK_NS_PER_S },
						   { "ms", CLOCK_NS_PER_MS },
						   { "us", 1000 },
						   { "ns", 1 } };
	size_t i = 0;

	while (ns && ns % large_first[i].ns)
		i++;
	buf_printf(buf, "%llu%s", (unsigned long long)(ns ? ns / large_first[i].ns : 0),
		   ns ? large_first[i].name : "s");
}

static int read_duration(const struct option *option, const char *text, uint64_t *ret_ns,
			 struct err *err)
{
	const char *at = text;
	uint64_t ns = 0;
	struct buf range = { 0 };
	int rc;

	do {
		const struct unit *unit;
		uint64_t n = 0;

		if (take_digits(&at, &n) < 0)
			return err_set(err, -EINVAL,
				       "'%s' is not a duration; write 250ms, 10s or 1h30m", text);
		unit = take_unit(&at);
		if (!unit)
			return err_set(err, -EINVAL, "'%s' has no unit; write %llus or %llums",
				       text, (unsigned long long)n, (unsigned long long)n);
		if (__builtin_mul_overflow(n, unit->ns, &n) || __builtin_add_overflow(ns, n, &ns))
			ns = UINT64_MAX;
	} while (*at);
	if (ns >= option->min && ns <= option->max) {
		*ret_ns = ns;
		return 0;
	}
	write_duration(option->min, &range);
	buf_puts(&range, " to ");
	write_duration(option->max, &range);
	rc = err_set(err, -EINVAL, "%s is out of range; use %s", text, buf_str(&range));
	buf_done(&range);
	return rc;
}

/* Items are trimmed; an empty text is an empty list, an empty item a slip. */
static int read_list(struct arena *arena, const char *text, bool append, struct option_list *list,
		     struct err *err)
{
	size_t len = append ? list->len : 0, more = 1;
	char **item;

	if (!*text && !append)
		more = 0;
	for (const char *p = text; *p; p++)
		more += *p == ',';
	item = arena_new(arena, char *, len + more + 1); /* a NULL ends it */
	if (!item)
		return out_of_memory(err);
	for (size_t i = 0; i < len; i++)
		item[i] = list->item[i];
	for (const char *p = text; more; more--) {
		size_t width = strcspn(p, ",");
		const char *next = p + width + 1;

		for (; width && isspace((unsigned char)*p); width--)
			p++;
		while (width && isspace((unsigned char)p[width - 1]))
			width--;
		if (!width)
			return err_set(err, -EINVAL,
				       "'%s' has an empty item; separate items by one comma", text);
		item[len] = arena_strndup(arena, p, width);
		if (!item[len++])
			return out_of_memory(err);
		p = next;
	}
	*list = (struct option_list){ .item = item, .len = len };
	return 0;
}

static int read_string(struct arena *arena, const char *text, char **ret_text, struct err *err)
{
	char *copy = arena_strdup(arena, text);

	if (!copy)
		return out_of_memory(err);
	*ret_text = copy;
	return 0;
}

int option_read(const struct option *option, struct arena *arena, const char *text, bool append,
		void *field, struct err *err)
{
	switch (option->type) {
	case OPTION_TYPE_STRING:
		return read_string(arena, text, field, err);
	case OPTION_TYPE_LIST:
		return read_list(arena, text, append, field, err);
	case OPTION_TYPE_BOOL:
		return read_bool(text, field, err);
	case OPTION_TYPE_ENUM:
		return read_enum(option, text, field, err);
	case OPTION_TYPE_UINT:
		return read_uint(option, text, field, err);
	case OPTION_TYPE_PORTS:
		return read_ports(text, field, err);
	case OPTION_TYPE_DURATION:
		return read_duration(option, text, field, err);
	}
	return err_set(err, -EINVAL, "has an unknown type");
}

/* --------------------------------------------------------------------------------------------------- writing */

static void write_list(const struct option_list *list, struct buf *buf)
{
	for (size_t i = 0; i < list->len; i++)
		buf_printf(buf, "%s%s", i ? "," : "", list->item[i]);
}

bool option_write(const struct option *option, const void *field, struct buf *buf)
{
	const struct option_ports *ports = field;
	const uint64_t *number = field;

	switch (option->type) {
	case OPTION_TYPE_STRING:
		if (!*(char *const *)field)
			return false;
		buf_puts(buf, *(char *const *)field);
		return true;
	case OPTION_TYPE_LIST:
		write_list(field, buf);
		return ((const struct option_list *)field)->item != NULL;
	case OPTION_TYPE_BOOL:
		buf_puts(buf, *(const bool *)field ? "on" : "off");
		return true;
	case OPTION_TYPE_ENUM:
		buf_puts(buf, option->words[*(const int *)field]);
		return true;
	case OPTION_TYPE_UINT:
		if (option->words && !*number)
			buf_puts(buf, option->words[0]);
		else
			buf_printf(buf, "%llu", (unsigned long long)*number);
		return true;
	case OPTION_TYPE_PORTS:
		buf_printf(buf, "%u-%u", ports->low, ports->high);
		return ports->high != 0;
	case OPTION_TYPE_DURATION:
		write_duration(*number, buf);
		return true;
	}
	return false;
}

void option_write_metavar(const struct option *option, struct buf *buf)
{
	if (option->type == OPTION_TYPE_BOOL) {
		if (!option->flag_only)
			buf_puts(buf, "[on|off]");
	} else if (option->type == OPTION_TYPE_ENUM) {
		join_words(option->words, "|", buf);
	} else {
		if (option->words)
			buf_printf(buf, "%s|", option->words[0]);
		buf_puts(buf, option->metavar ? option->metavar : "VALUE");
		if (option->type == OPTION_TYPE_LIST)
			buf_printf(buf, "[,%s]", option->metavar ? option->metavar : "VALUE");
	}
}
