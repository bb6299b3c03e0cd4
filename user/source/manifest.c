// SPDX-License-Identifier: GPL-2.0-only
/* Turns manifest text into trees: finds the documents, and lets libyaml parse each. */
/* Must not know where a file is, objects of the API, or who is told. */
#include "source/manifest.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "source/manifest_tree.h"

/* ---- names ------------------------------------------------------------------------------------------------- */

static bool has_end(const char *name, const char *end)
{
	size_t len = strlen(name), end_len = strlen(end);

	return len > end_len && strcmp(name + len - end_len, end) == 0;
}

enum manifest_form manifest_form_of(const char *name)
{
	if (has_end(name, ".yaml") || has_end(name, ".yml"))
		return MANIFEST_YAML;
	return has_end(name, ".json") ? MANIFEST_JSON : MANIFEST_NONE;
}

/* ---- one document ------------------------------------------------------------------------------------------ */

struct chunk { /* lines of text that hold one document */
	const char *text;
	size_t len;
	unsigned base_line; /* lines before it */
};

/* Length of the line break at text, or 0. */
static size_t break_len(const char *text, size_t len)
{
	if (len >= 2 && text[0] == '\r' && text[1] == '\n')
		return 2;
	return len && (text[0] == '\n' || text[0] == '\r') ? 1 : 0;
}

/* Length of the first line with its break; *ret_content is without. */
static size_t line_len(const char *text, size_t len, size_t *ret_content)
{
	size_t n = 0;

	while (n < len && text[n] != '\n' && text[n] != '\r')
		n++;
	*ret_content = n;
	return n + break_len(text + n, len - n);
}

static unsigned count_lines(const char *text, size_t len)
{
	unsigned lines = 0;
	size_t content, n;

	while (len) {
		n = line_len(text, len, &content);
		lines += n > content;
		text += n;
		len -= n;
	}
	return lines;
}

static unsigned last_line(const struct chunk *chunk)
{
	char last = chunk->len ? chunk->text[chunk->len - 1] : '\0';
	unsigned ended = count_lines(chunk->text, chunk->len);

	return chunk->base_line + ended + (last != '\n' && last != '\r');
}

/* Does the indentation of a line of the chunk (counted from 1 in the file) hold a tab? */
static bool has_tab_indent(const struct chunk *chunk, unsigned line)
{
	const char *text = chunk->text;
	size_t len = chunk->len, content, n, blank;

	for (line -= chunk->base_line; line > 1 && len; line--) {
		n = line_len(text, len, &content);
		text += n;
		len -= n;
	}
	if (!len)
		return false;
	line_len(text, len, &content);
	for (blank = 0; blank < content && (text[blank] == ' ' || text[blank] == '\t'); blank++)
		if (text[blank] == '\t')
			return true;
	return false;
}

/* The parser's own words about a syntax error. -EINVAL, or -ENOMEM if that is what stopped it. */
static int parser_error(struct builder *b, const yaml_parser_t *parser, const struct chunk *chunk)
{
	const char *problem = parser->problem ? parser->problem : "cannot be parsed";
	unsigned line;

	if (parser->error == YAML_MEMORY_ERROR)
		return -ENOMEM;
	if (parser->error == YAML_READER_ERROR) {
		size_t offset = parser->problem_offset < chunk->len ? parser->problem_offset
								    : chunk->len;

		line = chunk->base_line + count_lines(chunk->text, offset) + 1;
		return tree_refuse(b, line,
				   "%s: a manifest is UTF-8 text without control characters",
				   problem);
	}
	line = tree_line(b, &parser->problem_mark);
	if (line > last_line(chunk)) /* the parser takes the end for a line of its own */
		line = last_line(chunk);
	if (has_tab_indent(chunk, line))
		return tree_refuse(b, line, "%s: indent with spaces, not with tabs", problem);
	/* what began behind the last line is the end itself */
	if (parser->context && tree_line(b, &parser->context_mark) <= last_line(chunk))
		return tree_refuse(b, line, "%s, %s that began on line %u", problem,
				   parser->context, tree_line(b, &parser->context_mark));
	return tree_refuse(b, line, "%s", problem);
}

static int hand_over(struct builder *b, const struct manifest_handler *handler)
{
	const struct node *root = b->root;
	unsigned line;

	if (!root || root->type == VALUE_NULL)
		return 0;
	if (root->type == VALUE_MAP)
		return handler->document(handler->ctx, tree_value(root));
	line = root->line;
	return handler->broken(handler->ctx, line,
			       "a document is a map that begins with apiVersion and kind");
}

/* All documents of the parser: one, unless a line is broken by a character that only YAML 1.1 takes for a break. */
static int parse_documents(struct builder *b, yaml_parser_t *parser, const struct chunk *chunk,
			   const struct manifest_handler *handler)
{
	yaml_event_t event;
	yaml_event_type_t type;
	int rc;

	do {
		if (!yaml_parser_parse(parser, &event))
			return parser_error(b, parser, chunk);
		type = event.type;
		rc = tree_event(b, &event);
		yaml_event_delete(&event);
		if (rc < 0)
			return rc;
		if (type == YAML_DOCUMENT_END_EVENT) {
			rc = hand_over(b, handler);
			tree_reset(b);
			if (rc < 0)
				return rc;
		}
	} while (type != YAML_STREAM_END_EVENT);
	return 0;
}

static int read_chunk(struct builder *b, const struct chunk *chunk,
		      const struct manifest_handler *handler)
{
	yaml_parser_t parser;
	int rc;

	tree_reset(b);
	b->base_line = chunk->base_line;
	if (!yaml_parser_initialize(&parser))
		return -ENOMEM;
	yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&parser, (const unsigned char *)chunk->text, chunk->len);
	rc = parse_documents(b, &parser, chunk, handler);
	yaml_parser_delete(&parser);
	if (rc == -EINVAL && b->error[0])
		rc = handler->broken(handler->ctx, b->error_line, b->error);
	return rc;
}

/* ---- documents of a text ----------------------------------------------------------------------------------- */

/* Is this line "---" or "...", alone or followed by a blank? */
static bool is_marker(const char *line, size_t len, const char *marker)
{
	return len >= 3 && memcmp(line, marker, 3) == 0 &&
	       (len == 3 || line[3] == ' ' || line[3] == '\t');
}

/* Could this line stand before a document's "---"? Blank, comment, or directive. */
static bool is_prologue(const char *line, size_t len)
{
	size_t blank = 0;

	while (blank < len && (line[blank] == ' ' || line[blank] == '\t'))
		blank++;
	return blank == len || line[blank] == '#' || line[0] == '%';
}

/* The next document's lines from *pos on, which moves behind them. *lines counts those gone by. */
static struct chunk next_chunk(const char *text, size_t len, size_t *pos, unsigned *lines)
{
	struct chunk chunk = { .text = text + *pos, .base_line = *lines };
	bool begun = false;
	size_t content, n;

	while (*pos < len) {
		const char *line = text + *pos;

		n = line_len(line, len - *pos, &content);
		if (begun && is_marker(line, content, "---"))
			break;
		*pos += n;
		*lines += n > content;
		if (is_marker(line, content, "..."))
			break;
		if (is_marker(line, content, "---") || !is_prologue(line, content))
			begun = true;
	}
	chunk.len = (size_t)(text + *pos - chunk.text);
	return chunk;
}

static int read_chunks(const char *text, size_t len, const struct manifest_handler *handler)
{
	struct builder *b = calloc(1, sizeof(*b));
	unsigned lines = 0;
	size_t pos = 0;
	int rc = 0;

	if (!b)
		return -ENOMEM;
	if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) /* byte order mark */
		pos = 3;
	while (pos < len && rc == 0) {
		struct chunk chunk = next_chunk(text, len, &pos, &lines);

		rc = read_chunk(b, &chunk, handler);
	}
	tree_done(b);
	free(b);
	return rc;
}

/* ---- JSON's surrogate pairs -------------------------------------------------------------------------------- */

/* The UTF-16 unit of "\uXXXX" at text, or -1. */
static long unit_at(const char *text, size_t len)
{
	char hex[5] = { 0 };

	if (len < 6 || text[0] != '\\' || text[1] != 'u')
		return -1;
	memcpy(hex, text + 2, 4);
	return scalar_is_all(hex, isxdigit) && strlen(hex) == 4 ? strtol(hex, NULL, 16) : -1;
}

static size_t put_utf8(char *out, unsigned long c)
{
	out[0] = (char)(0xf0 | (c >> 18));
	out[1] = (char)(0x80 | ((c >> 12) & 0x3f));
	out[2] = (char)(0x80 | ((c >> 6) & 0x3f));
	out[3] = (char)(0x80 | (c & 0x3f));
	return 4;
}

/* Copies text to out (at least as long), joining pairs. Backslashes stand only inside JSON strings. */
static size_t join_surrogates(const char *text, size_t len, char *out)
{
	size_t i = 0, n = 0;
	long high, low;

	while (i < len) {
		if (text[i] != '\\') {
			out[n++] = text[i++];
			continue;
		}
		high = unit_at(text + i, len - i);
		low = high >= 0xd800 && high < 0xdc00 ? unit_at(text + i + 6, len - i - 6) : -1;
		if (low >= 0xdc00 && low < 0xe000) {
			n += put_utf8(out + n, 0x10000UL + ((unsigned long)(high - 0xd800) << 10) +
						       (unsigned long)(low - 0xdc00));
			i += 12;
			continue;
		}
		out[n++] = text[i++];
		if (i < len) /* what is escaped: may be a backslash itself */
			out[n++] = text[i++];
	}
	return n;
}

int manifest_read(const char *text, size_t len, bool json, const struct manifest_handler *handler)
{
	char *joined;
	int rc;

	if (len > MANIFEST_BYTES_MAX)
		return -EFBIG;
	if (!json || !len || !memchr(text, '\\', len))
		return read_chunks(text, len, handler);
	joined = calloc(1, len);
	if (!joined)
		return -ENOMEM;
	rc = read_chunks(joined, join_surrogates(text, len, joined), handler);
	free(joined);
	return rc;
}
