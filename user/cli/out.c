// SPDX-License-Identifier: GPL-2.0-only
/*
 * The traversal that both back ends share: which column is next, what is left out where.
 * Must not know any back end's syntax, nor any command.
 */
#include "cli/out.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

void out_init(struct out *out, enum out_style style, FILE *file)
{
	*out = (struct out){
		.ops = style == OUT_JSON ? &out_json_ops : &out_table_ops,
		.file = file,
		.headers = true,
	};
}

void out_done(struct out *out)
{
	buf_done(&out->cells);
}

void out_begin(struct out *out, const char *kind)
{
	out->ops->begin(out, kind);
}

int out_end(struct out *out)
{
	out->ops->end(out);
	if (fflush(out->file) || ferror(out->file) || out->cells.failed)
		return -EIO;
	return 0;
}

void out_field_tone(struct out *out, const char *key, const char *label, const char *text,
		    enum out_tone tone)
{
	out->ops->field(out, key, label);
	out->ops->text(out, text, tone);
}

void out_field_text(struct out *out, const char *key, const char *label, const char *text)
{
	out_field_tone(out, key, label, text, OUT_PLAIN);
}

void out_field_number(struct out *out, const char *key, const char *label, uint64_t number,
		      const char *text)
{
	out->ops->field(out, key, label);
	out->ops->number(out, number, text);
}

void out_field_truth(struct out *out, const char *key, const char *label, bool truth,
		     const char *text)
{
	out->ops->field(out, key, label);
	out->ops->truth(out, truth, text);
}

void out_field_list(struct out *out, const char *key, const char *label, const char *const *items,
		    size_t n)
{
	out->ops->field(out, key, label);
	out->ops->list(out, items, n);
}

static void rows_reset(struct out *out, const struct out_column *columns, size_t n_columns)
{
	out->columns = columns;
	out->n_columns = n_columns;
	out->column = n_columns;
	out->n_rows = 0;
	out->n_waiting = 0;
	out->header_done = false;
	out->in_rows = true;
	memset(out->width, 0, sizeof(out->width));
}

void out_rows(struct out *out, const char *key, const char *title, const struct out_column *columns,
	      size_t n_columns)
{
	rows_reset(out, columns, n_columns);
	out->ops->rows(out, key, title);
}

void out_stream(struct out *out, const char *kind, const struct out_column *columns,
		size_t n_columns)
{
	rows_reset(out, columns, n_columns);
	out->stream = true;
	out->ops->rows(out, kind, NULL);
}

void out_row(struct out *out)
{
	out->column = 0;
	out->ops->row(out);
	out->n_rows++;
}

void out_rows_end(struct out *out)
{
	out->ops->rows_end(out);
	out->in_rows = false;
}

void out_tone(struct out *out, const char *text, enum out_tone tone)
{
	out->ops->text(out, text, tone);
	out->column++;
}

void out_text(struct out *out, const char *text)
{
	out_tone(out, text, OUT_PLAIN);
}

void out_number(struct out *out, uint64_t number, const char *text)
{
	out->ops->number(out, number, text);
	out->column++;
}

void out_truth(struct out *out, bool truth, const char *text)
{
	out->ops->truth(out, truth, text);
	out->column++;
}

void out_list(struct out *out, const char *const *items, size_t n)
{
	out->ops->list(out, items, n);
	out->column++;
}

void out_note(struct out *out, enum out_tone tone, const char *format, ...)
{
	char text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	out->ops->note(out, text, tone);
}
