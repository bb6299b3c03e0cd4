// SPDX-License-Identifier: GPL-2.0-only
/* Turns manifest text into trees: finds the documents, lets libyaml parse each, builds bounded trees of values. */
/* Must not know files, objects of the API, or who is told. */
#include "source/manifest.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "base/arena.h"
#include "base/vec.h"

/* A value of the tree; all of a document's live in one arena. */
struct node {
	enum value_type type;
	unsigned line;
	const char *key;  /* in a map */
	const char *text; /* of a scalar, as written */
	struct node *next;
	union {
		struct node *child; /* first of a list or map */
		double number;
		bool boolean;
	};
};

static enum value_type node_type(const void *node)
{
	return ((const struct node *)node)->type;
}

static const void *node_child(const void *node)
{
	return ((const struct node *)node)->child;
}

static const void *node_next(const void *node)
{
	return ((const struct node *)node)->next;
}

static const char *node_key(const void *node)
{
	return ((const struct node *)node)->key;
}

static const char *node_text(const void *node)
{
	return ((const struct node *)node)->text;
}

static double node_number(const void *node)
{
	return ((const struct node *)node)->number;
}

static bool node_boolean(const void *node)
{
	return ((const struct node *)node)->boolean;
}

static unsigned node_line(const void *node)
{
	return ((const struct node *)node)->line;
}

static const struct value_ops node_ops = {
	.type = node_type,
	.child = node_child,
	.next = node_next,
	.key = node_key,
	.text = node_text,
	.number = node_number,
	.boolean = node_boolean,
	.line = node_line,
};

/* ---- plain scalars ----------------------------------------------------------------------------------------- */

static bool is_one_of(const char *text, const char *const *words)
{
	for (; *words; words++)
		if (strcmp(text, *words) == 0)
			return true;
	return false;
}

static bool all_of(const char *text, int (*is)(int))
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
		return all_of(text, isdigit);
	}
	return *text == '\0';
}

static bool parse_number(const char *text, double *ret_number)
{
	double sign = *text == '-' ? -1 : 1;
	double number;

	if (*text == '-' || *text == '+')
		text++;
	if (text[0] == '0' && text[1] == 'x' && all_of(text + 2, isxdigit))
		number = (double)strtoull(text + 2, NULL, 16);
	else if (text[0] == '0' && text[1] == 'o' && all_of(text + 2, is_octal))
		number = (double)strtoull(text + 2, NULL, 8);
	else if (text[0] == '0' && all_of(text + 1, isdigit)) {
		/* 017 is octal there; 080 is nothing that everybody reads alike, so it stays text */
		if (!all_of(text + 1, is_octal))
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
static void resolve_plain(struct node *node)
{
	static const char *const nulls[] = { "", "~", "null", "Null", "NULL", NULL };
	static const char *const trues[] = { "true", "True", "TRUE", "yes", "Yes",
					     "YES",  "on",   "On",   "ON",  NULL };
	static const char *const falses[] = { "false", "False", "FALSE", "no",  "No",
					      "NO",    "off",   "Off",   "OFF", NULL };

	if (is_one_of(node->text, nulls)) {
		node->type = VALUE_NULL;
	} else if (is_one_of(node->text, trues)) {
		node->type = VALUE_BOOL;
		node->boolean = true;
	} else if (is_one_of(node->text, falses)) {
		node->type = VALUE_BOOL;
		node->boolean = false;
	} else if (parse_number(node->text, &node->number)) {
		node->type = VALUE_NUMBER;
	} else {
		node->type = VALUE_STRING;
	}
}

/* ---- building a tree from the parser's events -------------------------------------------------------------- */

struct frame { /* a list or map that is open */
	struct node *node;
	struct node *last; /* its last child so far */
	const char *key;   /* of a map: key read, value to come */
	size_t n;
	size_t anchor; /* 1 + index of the anchor on it, 0 = none */
};

#define ANCHORS_MAX 256

struct anchor {
	const char *name;
	const struct node *node;
	unsigned depth; /* containers below the node, itself included; 0 for scalars */
	bool open;      /* its list or map is not finished: an alias would hold itself */
};

struct builder {
	struct arena arena;
	struct frame stack[MANIFEST_DEPTH_MAX];
	unsigned depth;
	unsigned peaks[MANIFEST_DEPTH_MAX]; /* deepest depth reached inside each open container */
	struct node *root;
	size_t n_nodes;
	unsigned base_line; /* lines before the chunk */
	struct VEC_OF(struct anchor) anchors;
	struct VEC_OF(const struct node *) members; /* for finding keys given twice */
	unsigned error_line;
	char error[256]; /* empty: none */
};

/* Remembers why the document is refused. Returns -EINVAL. */
__attribute__((format(printf, 3, 4))) static int refuse(struct builder *b, unsigned line,
							const char *format, ...)
{
	va_list args;

	b->error_line = line;
	va_start(args, format);
	vsnprintf(b->error, sizeof(b->error), format, args);
	va_end(args);
	return -EINVAL;
}

static unsigned line_of(const struct builder *b, const yaml_mark_t *mark)
{
	return b->base_line + (unsigned)mark->line + 1;
}

static int new_node(struct builder *b, unsigned line, struct node **ret_node)
{
	struct node *node;

	if (++b->n_nodes > MANIFEST_NODES_MAX) {
		refuse(b, line,
		       "more than %zu values in one document: split it with a line \"---\"",
		       MANIFEST_NODES_MAX);
		return -EINVAL;
	}
	node = arena_new(&b->arena, struct node, 1);
	if (!node)
		return -ENOMEM;
	node->line = line;
	*ret_node = node;
	return 0;
}

/* Hangs a finished or just opened value where the document stands. */
static void attach(struct builder *b, struct node *node)
{
	struct frame *top;

	if (!b->depth) {
		b->root = node;
		return;
	}
	top = &b->stack[b->depth - 1];
	node->key = top->key;
	top->key = NULL;
	if (top->last)
		top->last->next = node;
	else
		top->node->child = node;
	top->last = node;
	top->n++;
}

static bool wants_key(const struct builder *b)
{
	return b->depth && b->stack[b->depth - 1].node->type == VALUE_MAP &&
	       !b->stack[b->depth - 1].key;
}

/* The containers now open reach down to at least `depth`. */
static void note_depth(struct builder *b, unsigned depth)
{
	unsigned i;

	for (i = 0; i < b->depth; i++)
		if (b->peaks[i] < depth)
			b->peaks[i] = depth;
}

static int add_anchor(struct builder *b, const yaml_char_t *name, const struct node *node,
		      bool open)
{
	struct anchor anchor = { .node = node, .open = open };

	if (!name)
		return 0;
	if (b->anchors.len == ANCHORS_MAX)
		return refuse(b, node->line, "more than %d anchors in one document", ANCHORS_MAX);
	anchor.name = arena_strdup(&b->arena, (const char *)name);
	if (!anchor.name)
		return -ENOMEM;
	return vec_push(&b->anchors, anchor);
}

static int check_tag(struct builder *b, const yaml_char_t *tag, unsigned line)
{
	static const char *const known[] = { YAML_STR_TAG,  YAML_INT_TAG,  YAML_FLOAT_TAG,
					     YAML_BOOL_TAG, YAML_NULL_TAG, YAML_SEQ_TAG,
					     YAML_MAP_TAG,  "!",           NULL };

	if (!tag || is_one_of((const char *)tag, known))
		return 0;
	return refuse(b, line, "tag %.64s is not supported: write the plain value",
		      (const char *)tag);
}

static int on_key(struct builder *b, const yaml_event_t *event, unsigned line)
{
	const char *text = (const char *)event->data.scalar.value;
	struct frame *top = &b->stack[b->depth - 1];

	if (event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE && strcmp(text, "<<") == 0)
		return refuse(b, line, "merge keys (<<) are not supported: write the members out");
	if (event->data.scalar.anchor)
		return refuse(b, line, "an anchor on a key is not supported: anchor the value");
	top->key = arena_strdup(&b->arena, text);
	return top->key ? 0 : -ENOMEM;
}

static int on_scalar(struct builder *b, const yaml_event_t *event, unsigned line)
{
	static const char *const text_tags[] = { YAML_STR_TAG, "!", NULL };
	const char *text = (const char *)event->data.scalar.value;
	const yaml_char_t *tag = event->data.scalar.tag;
	struct node *node = NULL;
	int rc;

	if (memchr(text, '\0', event->data.scalar.length))
		return refuse(b, line, "text holds a NUL character: remove \\0");
	rc = check_tag(b, tag, line);
	if (rc < 0)
		return rc;
	if (wants_key(b))
		return on_key(b, event, line);
	rc = new_node(b, line, &node);
	if (rc < 0)
		return rc;
	node->text = arena_strdup(&b->arena, text);
	if (!node->text)
		return -ENOMEM;
	node->type = VALUE_STRING;
	/* a tag overrules the quotes: !!int "80", !!str 80 */
	if (tag ? !is_one_of((const char *)tag, text_tags) : event->data.scalar.plain_implicit)
		resolve_plain(node);
	attach(b, node);
	return add_anchor(b, event->data.scalar.anchor, node, false);
}

static int on_open(struct builder *b, enum value_type type, const yaml_char_t *anchor,
		   const yaml_char_t *tag, unsigned line)
{
	struct node *node = NULL;
	size_t n_anchors = b->anchors.len;
	int rc;

	if (wants_key(b))
		return refuse(b, line, "a key must be plain text, not a list or a map");
	if (b->depth == MANIFEST_DEPTH_MAX)
		return refuse(b, line, "more than %d lists and maps inside each other",
			      MANIFEST_DEPTH_MAX);
	rc = check_tag(b, tag, line);
	if (rc < 0)
		return rc;
	rc = new_node(b, line, &node);
	if (rc < 0)
		return rc;
	node->type = type;
	rc = add_anchor(b, anchor, node, true);
	if (rc < 0)
		return rc;
	attach(b, node);
	b->stack[b->depth] = (struct frame){
		.node = node,
		.anchor = b->anchors.len > n_anchors ? b->anchors.len : 0,
	};
	b->peaks[b->depth] = 0;
	b->depth++;
	note_depth(b, b->depth);
	return 0;
}

static int compare_keys(const void *a, const void *b)
{
	const struct node *const *left = a, *const *right = b;
	int order = strcmp((*left)->key, (*right)->key);

	if (order)
		return order;
	return ((*left)->line > (*right)->line) - ((*left)->line < (*right)->line);
}

/* A key given twice means that somebody's edit is silently lost: say so. Sorted, since a map may be huge. */
static int check_keys(struct builder *b, const struct frame *map)
{
	const struct node *member;
	size_t i;

	if (map->n < 2)
		return 0;
	vec_clear(&b->members);
	for (member = map->node->child; member; member = member->next)
		if (vec_push(&b->members, member) < 0)
			return -ENOMEM;
	vec_sort(&b->members, compare_keys);
	for (i = 1; i < b->members.len; i++)
		if (strcmp(b->members.data[i - 1]->key, b->members.data[i]->key) == 0)
			return refuse(b, b->members.data[i]->line,
				      "key \"%.64s\" is given twice, first on line %u: remove one",
				      b->members.data[i]->key, b->members.data[i - 1]->line);
	return 0;
}

static int on_close(struct builder *b)
{
	struct frame *top = &b->stack[--b->depth];

	if (top->anchor) {
		struct anchor *anchor = &b->anchors.data[top->anchor - 1];

		anchor->open = false;
		anchor->depth = b->peaks[b->depth] - b->depth;
	}
	return top->node->type == VALUE_MAP ? check_keys(b, top) : 0;
}

/* A copy of a tree that is not deeper than the stack, so recursion is bounded. Text is shared. */
static int copy_tree(struct builder *b, const struct node *from, unsigned line,
		     struct node **ret_copy)
{
	struct node *copy = NULL, *child = NULL, **tail;
	const struct node *c;
	int rc;

	rc = new_node(b, line, &copy);
	if (rc < 0)
		return rc;
	*copy = *from;
	copy->next = NULL;
	if (copy->type == VALUE_LIST || copy->type == VALUE_MAP) {
		copy->child = NULL;
		tail = &copy->child;
		for (c = from->child; c; c = c->next) {
			rc = copy_tree(b, c, line, &child);
			if (rc < 0)
				return rc;
			*tail = child;
			tail = &child->next;
		}
	}
	*ret_copy = copy;
	return 0;
}

static int on_alias(struct builder *b, const char *name, unsigned line)
{
	const struct anchor *anchor = NULL;
	struct node *copy = NULL;
	size_t i;
	int rc;

	if (wants_key(b))
		return refuse(b, line, "an alias as a key is not supported: write the key");
	for (i = b->anchors.len; i > 0 && !anchor; i--) /* the latest of a name counts */
		if (strcmp(b->anchors.data[i - 1].name, name) == 0)
			anchor = &b->anchors.data[i - 1];
	if (!anchor)
		return refuse(b, line, "alias *%.64s: there is no such anchor before it", name);
	if (anchor->open)
		return refuse(b, line, "alias *%.64s: is inside of what it names", name);
	if (b->depth + anchor->depth > MANIFEST_DEPTH_MAX)
		return refuse(b, line, "more than %d lists and maps inside each other",
			      MANIFEST_DEPTH_MAX);
	rc = copy_tree(b, anchor->node, line, &copy);
	if (rc < 0)
		return rc;
	note_depth(b, b->depth + anchor->depth);
	attach(b, copy);
	return 0;
}

static int on_event(struct builder *b, const yaml_event_t *event)
{
	unsigned line = line_of(b, &event->start_mark);

	switch (event->type) {
	case YAML_SCALAR_EVENT:
		return on_scalar(b, event, line);
	case YAML_SEQUENCE_START_EVENT:
		return on_open(b, VALUE_LIST, event->data.sequence_start.anchor,
			       event->data.sequence_start.tag, line);
	case YAML_MAPPING_START_EVENT:
		return on_open(b, VALUE_MAP, event->data.mapping_start.anchor,
			       event->data.mapping_start.tag, line);
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		return on_close(b);
	case YAML_ALIAS_EVENT:
		return on_alias(b, (const char *)event->data.alias.anchor, line);
	default:
		return 0;
	}
}

static void builder_reset(struct builder *b)
{
	arena_reset(&b->arena);
	vec_clear(&b->anchors);
	b->depth = 0;
	b->root = NULL;
	b->n_nodes = 0;
	b->error[0] = '\0';
}

static void builder_done(struct builder *b)
{
	arena_done(&b->arena);
	vec_done(&b->anchors);
	vec_done(&b->members);
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
		return refuse(b, line, "%s: a manifest is UTF-8 text without control characters",
			      problem);
	}
	line = line_of(b, &parser->problem_mark);
	if (line > last_line(chunk)) /* the parser takes the end for a line of its own */
		line = last_line(chunk);
	if (has_tab_indent(chunk, line))
		return refuse(b, line, "%s: indent with spaces, not with tabs", problem);
	/* what began behind the last line is the end itself */
	if (parser->context && line_of(b, &parser->context_mark) <= last_line(chunk))
		return refuse(b, line, "%s, %s that began on line %u", problem, parser->context,
			      line_of(b, &parser->context_mark));
	return refuse(b, line, "%s", problem);
}

static int hand_over(struct builder *b, const struct manifest_handler *handler)
{
	const struct node *root = b->root;
	unsigned line;

	if (!root || root->type == VALUE_NULL)
		return 0;
	if (root->type == VALUE_MAP)
		return handler->document(handler->ctx, (struct value){ &node_ops, root });
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
		rc = on_event(b, &event);
		yaml_event_delete(&event);
		if (rc < 0)
			return rc;
		if (type == YAML_DOCUMENT_END_EVENT) {
			rc = hand_over(b, handler);
			builder_reset(b);
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

	builder_reset(b);
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
	builder_done(b);
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
	return all_of(hex, isxdigit) && strlen(hex) == 4 ? strtol(hex, NULL, 16) : -1;
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
