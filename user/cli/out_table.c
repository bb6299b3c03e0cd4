// SPDX-License-Identifier: GPL-2.0-only
/*
 * Aligned columns for people.
 * Must not know any command. A long list is printed in portions, whose widths only grow.
 */
#include "cli/out.h"

#include <inttypes.h>
#include <string.h>

#define ROWS_AT_ONCE 4096
#define LABEL_WIDTH  14

static const char *const tones[] = {
	[OUT_PLAIN] = "",
	[OUT_GOOD] = "\033[32m",
	[OUT_WARN] = "\033[33m",
	[OUT_BAD] = "\033[31m",
};

static void put_tone(struct out *out, enum out_tone tone, const char *text)
{
	bool colour = out->colour && tone != OUT_PLAIN;

	fprintf(out->file, "%s%s%s", colour ? tones[tone] : "", text, colour ? "\033[0m" : "");
}

/* Characters, not bytes. */
static size_t text_width(const char *text)
{
	size_t width = 0;

	for (; *text; text++)
		width += (*text & 0xc0) != 0x80;
	return width;
}

static void table_begin(struct out *out, const char *kind)
{
	(void)out;
	(void)kind;
}

static void table_end(struct out *out)
{
	(void)out;
}

static void table_field(struct out *out, const char *key, const char *label)
{
	(void)key;
	out->column = label ? 0 : SIZE_MAX; /* SIZE_MAX: the value is not shown */
	if (label)
		fprintf(out->file, "%-*s ", LABEL_WIDTH, label);
}

static void table_rows(struct out *out, const char *key, const char *title)
{
	(void)key;
	snprintf(out->title, sizeof(out->title), "%s", title ? title : "");
	for (size_t i = 0; i < out->n_columns; i++)
		if (out->columns[i].title && out->headers)
			out->width[i] = text_width(out->columns[i].title);
	buf_reset(&out->cells);
}

/* The last column gets no trailing blanks. */
static void put_cell(struct out *out, size_t column, const char *text, enum out_tone tone,
		     bool last)
{
	size_t width = text_width(text),
	       pad = out->width[column] > width ? out->width[column] - width : 0;
	bool right = out->columns[column].right;

	if (right)
		fprintf(out->file, "%*s", (int)pad, "");
	put_tone(out, tone, text);
	if (!last)
		fprintf(out->file, "%*s", right ? 2 : (int)pad + 2, "");
}

static size_t last_column(const struct out *out)
{
	size_t last = 0;

	for (size_t i = 0; i < out->n_columns; i++)
		if (out->columns[i].title)
			last = i;
	return last;
}

static void put_header(struct out *out, size_t last)
{
	out->header_done = true;
	if (!out->headers)
		return;
	if (out->title[0])
		fprintf(out->file, "\n%s\n", out->title);
	for (size_t i = 0; i < out->n_columns; i++)
		if (out->columns[i].title)
			put_cell(out, i, out->columns[i].title, OUT_PLAIN, i == last);
	fputc('\n', out->file);
}

static void flush_rows(struct out *out)
{
	size_t last = last_column(out);
	const char *at = buf_str(&out->cells);

	if (!out->header_done)
		put_header(out, last);
	if (out->cells.failed)
		return;
	for (size_t row = 0; row < out->n_waiting; row++) {
		for (size_t i = 0; i < out->n_columns; i++) {
			if (!out->columns[i].title)
				continue;
			put_cell(out, i, at + 1, (enum out_tone)(at[0] - '0'), i == last);
			at += strlen(at) + 1;
		}
		fputc('\n', out->file);
	}
	buf_reset(&out->cells);
	out->n_waiting = 0;
}

static void table_row(struct out *out)
{
	if (out->n_waiting >= ROWS_AT_ONCE)
		flush_rows(out);
	out->n_waiting++;
}

static void table_rows_end(struct out *out)
{
	if (out->n_rows)
		flush_rows(out);
}

static void table_text(struct out *out, const char *text, enum out_tone tone)
{
	size_t width;

	if (!out->in_rows) {
		if (out->column == SIZE_MAX)
			return;
		put_tone(out, tone, text && *text ? text : "-");
		fputc('\n', out->file);
		return;
	}
	if (!out->columns[out->column].title)
		return;
	if (!text || !*text)
		text = "-";
	width = text_width(text);
	if (width > out->width[out->column])
		out->width[out->column] = width;
	buf_putc(&out->cells, (char)('0' + tone));
	buf_put(&out->cells, text, strlen(text) + 1);
	if (out->stream && out->column == last_column(out)) {
		flush_rows(out);
		fflush(out->file);
	}
}

static void table_number(struct out *out, uint64_t number, const char *text)
{
	char digits[24];

	snprintf(digits, sizeof(digits), "%" PRIu64, number);
	table_text(out, text ? text : digits, OUT_PLAIN);
}

static void table_truth(struct out *out, bool truth, const char *text)
{
	table_text(out, text ? text : truth ? "yes" : "no", OUT_PLAIN);
}

static void table_list(struct out *out, const char *const *items, size_t n)
{
	struct buf joined = { 0 };

	for (size_t i = 0; i < n; i++)
		buf_printf(&joined, "%s%s", i ? "," : "", items[i]);
	table_text(out, buf_str(&joined), OUT_PLAIN);
	buf_done(&joined);
}

static void table_note(struct out *out, const char *text, enum out_tone tone)
{
	put_tone(out, tone, text);
	fputc('\n', out->file);
}

const struct out_ops out_table_ops = {
	.begin = table_begin,
	.end = table_end,
	.field = table_field,
	.rows = table_rows,
	.row = table_row,
	.rows_end = table_rows_end,
	.text = table_text,
	.number = table_number,
	.truth = table_truth,
	.list = table_list,
	.note = table_note,
};
