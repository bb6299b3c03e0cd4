/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a command prints: one traversal, two back ends (out_table.c for people, out_json.c for programs).
 *
 *	out_begin(out, "ServiceList");
 *	out_field_text(out, "node", "node", name);               a field of the document
 *	out_rows(out, "items", NULL, columns, n);                a list of rows; the table is laid out when it ends
 *	for (…) {
 *		out_row(out);
 *		out_text(out, "default");                        one call for each column, in order
 *		out_number(out, 80, NULL);
 *	}
 *	out_rows_end(out);
 *	return out_end(out);
 *
 * JSON: {"apiVersion":"sluice.dev/v1","kind":"ServiceList","node":…,"items":[{…}]}. Its keys are a contract; titles of
 * tables are not. Data goes to the file, talk goes to stderr.
 */
#ifndef CLI_OUT_H
#define CLI_OUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/buf.h"

enum out_style {
	OUT_TABLE,
	OUT_JSON,
};

enum out_tone { /* colours on a terminal; the words say the same */
		OUT_PLAIN,
		OUT_GOOD,
		OUT_WARN,
		OUT_BAD,
};

struct out_column {
	const char *key;   /* JSON; NULL: only in tables */
	const char *title; /* table; NULL: only in JSON */
	bool right;        /* numbers stand right */
};

struct out;

struct out_ops {
	void (*begin)(struct out *out, const char *kind);
	void (*end)(struct out *out);
	void (*field)(struct out *out, const char *key, const char *label);
	void (*rows)(struct out *out, const char *key, const char *title);
	void (*row)(struct out *out);
	void (*rows_end)(struct out *out);
	/* A value, of a field or the next column. text is what a table shows. */
	void (*text)(struct out *out, const char *text, enum out_tone tone);
	void (*number)(struct out *out, uint64_t number, const char *text);
	void (*truth)(struct out *out, bool truth, const char *text);
	void (*list)(struct out *out, const char *const *items, size_t n);
	void (*note)(struct out *out, const char *text, enum out_tone tone);
};

#define OUT_COLUMNS_MAX 24

struct out {
	const struct out_ops *ops;
	FILE *file;
	bool headers;
	bool colour;
	/* the list that is being written */
	const struct out_column *columns;
	size_t n_columns;
	size_t column; /* of the next value */
	size_t n_rows; /* begun */
	bool in_rows;
	/* table */
	struct buf cells; /* tone, text, NUL; of rows not yet printed */
	size_t n_waiting; /* rows in cells */
	size_t width[OUT_COLUMNS_MAX];
	bool header_done;
	char title[64];
	/* json */
	bool comma;
	bool stream; /* rows are documents of their own, a line each */
};

/* colour is decided by the caller. */
void out_init(struct out *out, enum out_style style, FILE *file);
void out_done(struct out *out);

void out_begin(struct out *out, const char *kind);
/* 0, or -EIO when not everything could be written. */
int out_end(struct out *out);

/* label NULL: only in JSON; key NULL: only in tables. */
void out_field_text(struct out *out, const char *key, const char *label, const char *text);
void out_field_tone(struct out *out, const char *key, const char *label, const char *text,
		    enum out_tone tone);
/* text NULL: the number as it is. */
void out_field_number(struct out *out, const char *key, const char *label, uint64_t number,
		      const char *text);
void out_field_truth(struct out *out, const char *key, const char *label, bool truth,
		     const char *text);
void out_field_list(struct out *out, const char *key, const char *label, const char *const *items,
		    size_t n);

/* title: a heading in tables, may be NULL. columns must live until out_rows_end(). */
void out_rows(struct out *out, const char *key, const char *title, const struct out_column *columns,
	      size_t n_columns);
/*
 * Rows that come as they happen: printed at once, JSON one object a line with apiVersion and kind. Instead of out_begin() …
 * out_end().
 */
void out_stream(struct out *out, const char *kind, const struct out_column *columns,
		size_t n_columns);
void out_row(struct out *out);
void out_rows_end(struct out *out);

void out_text(struct out *out, const char *text);
void out_tone(struct out *out, const char *text, enum out_tone tone);
void out_number(struct out *out, uint64_t number, const char *text);
void out_truth(struct out *out, bool truth, const char *text);
void out_list(struct out *out, const char *const *items, size_t n);

/* A sentence between tables; not in JSON. */
void out_note(struct out *out, enum out_tone tone, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

extern const struct out_ops out_table_ops, out_json_ops;

#endif
