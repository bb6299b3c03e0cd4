// SPDX-License-Identifier: GPL-2.0-only
/*
 * JSON for programs (RFC 8259): one document, or one a line for streams.
 * Must not know any command. Only writes; nothing here reads JSON.
 */
#include "cli/out.h"

#include <inttypes.h>

#define API_VERSION "sluice.dev/v1"

/* Names come from the API as UTF-8; control characters and quotes are escaped. */
static void put_string(FILE *file, const char *text)
{
	fputc('"', file);
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (c == '"' || c == '\\')
			fprintf(file, "\\%c", c);
		else if (c < 0x20 || c == 0x7f)
			fprintf(file, "\\u%04x", c);
		else
			fputc(c, file);
	}
	fputc('"', file);
}

static void put_key(struct out *out, const char *key)
{
	if (out->comma)
		fputc(',', out->file);
	put_string(out->file, key);
	fputc(':', out->file);
	out->comma = true;
}

/* Writes the key in front of the next value; false: the value is not for programs. */
static bool value_begins(struct out *out)
{
	if (!out->in_rows)
		return out->column != SIZE_MAX;
	if (!out->columns[out->column].key)
		return false;
	put_key(out, out->columns[out->column].key);
	return true;
}

/* A row of a stream is a document, so its last value ends the line. */
static void value_ends(struct out *out)
{
	if (!out->in_rows || !out->stream || out->column + 1 < out->n_columns)
		return;
	fputs("}\n", out->file);
	fflush(out->file);
}

static void put_document(struct out *out, const char *kind)
{
	fputc('{', out->file);
	out->comma = false;
	put_key(out, "apiVersion");
	put_string(out->file, API_VERSION);
	put_key(out, "kind");
	put_string(out->file, kind);
}

static void json_begin(struct out *out, const char *kind)
{
	put_document(out, kind);
}

static void json_end(struct out *out)
{
	fputs("}\n", out->file);
}

static void json_field(struct out *out, const char *key, const char *label)
{
	(void)label;
	out->column = key ? 0 : SIZE_MAX;
	if (key)
		put_key(out, key);
}

static void json_rows(struct out *out, const char *key, const char *title)
{
	(void)title;
	if (out->stream) {
		snprintf(out->title, sizeof(out->title), "%s", key);
		return;
	}
	put_key(out, key);
	fputc('[', out->file);
}

static void json_row(struct out *out)
{
	if (out->stream) {
		put_document(out, out->title);
		return;
	}
	if (out->n_rows)
		fputs("},", out->file);
	fputc('{', out->file);
	out->comma = false;
}

static void json_rows_end(struct out *out)
{
	if (out->stream)
		return;
	fputs(out->n_rows ? "}]" : "]", out->file);
	out->comma = true;
}

static void json_text(struct out *out, const char *text, enum out_tone tone)
{
	(void)tone;
	if (value_begins(out))
		put_string(out->file, text ? text : "");
	value_ends(out);
}

static void json_number(struct out *out, uint64_t number, const char *text)
{
	(void)text;
	if (value_begins(out))
		fprintf(out->file, "%" PRIu64, number);
	value_ends(out);
}

static void json_truth(struct out *out, bool truth, const char *text)
{
	(void)text;
	if (value_begins(out))
		fputs(truth ? "true" : "false", out->file);
	value_ends(out);
}

static void json_list(struct out *out, const char *const *items, size_t n)
{
	if (value_begins(out)) {
		fputc('[', out->file);
		for (size_t i = 0; i < n; i++) {
			if (i)
				fputc(',', out->file);
			put_string(out->file, items[i]);
		}
		fputc(']', out->file);
	}
	value_ends(out);
}

static void json_note(struct out *out, const char *text, enum out_tone tone)
{
	(void)out;
	(void)text;
	(void)tone;
}

const struct out_ops out_json_ops = {
	.begin = json_begin,
	.end = json_end,
	.field = json_field,
	.rows = json_rows,
	.row = json_row,
	.rows_end = json_rows_end,
	.text = json_text,
	.number = json_number,
	.truth = json_truth,
	.list = json_list,
	.note = json_note,
};
