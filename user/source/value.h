/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A value of a document, whatever parsed it: the manifest reader's tree and cJSON's look the same to the decoder.
 *
 * A value borrows from its tree: it and the strings it gives live as long as that. It is passed by value.
 * An absent value (node NULL) is of type VALUE_NONE, so lookups chain without checks.
 */
#ifndef SOURCE_VALUE_H
#define SOURCE_VALUE_H

#include <stdbool.h>
#include <stddef.h>

enum value_type {
	VALUE_NONE, /* there is no such value */
	VALUE_NULL,
	VALUE_BOOL,
	VALUE_NUMBER,
	VALUE_STRING,
	VALUE_LIST,
	VALUE_MAP,
};

/* What a tree must answer. A node is asked only what its type allows; no answer may allocate. */
struct value_ops {
	enum value_type (*type)(const void *node);
	const void *(*child)(const void *node); /* first of a list or map, NULL if empty */
	const void *(*next)(const void *node);  /* its sibling, NULL at the end */
	const char *(*key)(const void *node);   /* of a map's member */
	const char *(*text)(
		const void *node); /* of a string; of other scalars as written, or NULL */
	double (*number)(const void *node);
	bool (*boolean)(const void *node);
	unsigned (*line)(const void *node); /* counted from 1; 0 = unknown */
};

struct value {
	const struct value_ops *ops;
	const void *node;
};

enum value_type value_type(struct value v);
/* Neither absent nor null: the API takes both as "not set". */
bool value_is_set(struct value v);
/* The member of a map by name, or an absent value; also when v is no map. */
struct value value_get(struct value map, const char *key);
/* First child of a list or map, then its siblings, then an absent value. */
struct value value_first(struct value v);
struct value value_next(struct value v);
size_t value_count(struct value v);
/* NULL for elements of lists. */
const char *value_key(struct value member);
/* The text of a string; NULL for any other type. */
const char *value_string(struct value v);
double value_number(struct value v);
bool value_bool(struct value v);
unsigned value_line(struct value v);

#define VALUE_SHOWN_LEN 48
/*
 * The value in a few printable characters, for messages: 70000, true, "text", a list, a map, nothing. Control and
 * non-ASCII characters become '?', long text is cut. Returns buf.
 */
const char *value_show(struct value v, char buf[VALUE_SHOWN_LEN]);

#endif
