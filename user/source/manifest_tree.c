// SPDX-License-Identifier: GPL-2.0-only
/* Builds bounded trees of values from the parser's events. */
/* Must not know where a document begins, or who gets it. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "source/manifest_tree.h"

#define ANCHORS_MAX 256

/* ---- as values ---------------------------------------------------------------------------------------------- */

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

struct value tree_value(const struct node *root)
{
	return (struct value){ &node_ops, root };
}

/* ---- building a tree from the parser's events -------------------------------------------------------------- */

int tree_refuse(struct builder *b, unsigned line, const char *format, ...)
{
	va_list args;

	b->error_line = line;
	va_start(args, format);
	vsnprintf(b->error, sizeof(b->error), format, args);
	va_end(args);
	return -EINVAL;
}

unsigned tree_line(const struct builder *b, const yaml_mark_t *mark)
{
	return b->base_line + (unsigned)mark->line + 1;
}

static int new_node(struct builder *b, unsigned line, struct node **ret_node)
{
	struct node *node;

	if (++b->n_nodes > MANIFEST_NODES_MAX) {
		tree_refuse(b, line,
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
		return tree_refuse(b, node->line, "more than %d anchors in one document",
				   ANCHORS_MAX);
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

	if (!tag || scalar_is_one_of((const char *)tag, known))
		return 0;
	return tree_refuse(b, line, "tag %.64s is not supported: write the plain value",
			   (const char *)tag);
}

static int on_key(struct builder *b, const yaml_event_t *event, unsigned line)
{
	const char *text = (const char *)event->data.scalar.value;
	struct frame *top = &b->stack[b->depth - 1];

	if (event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE && strcmp(text, "<<") == 0)
		return tree_refuse(b, line,
				   "merge keys (<<) are not supported: write the members out");
	if (event->data.scalar.anchor)
		return tree_refuse(b, line,
				   "an anchor on a key is not supported: anchor the value");
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
		return tree_refuse(b, line, "text holds a NUL character: remove \\0");
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
	if (tag ? !scalar_is_one_of((const char *)tag, text_tags)
		: event->data.scalar.plain_implicit)
		scalar_resolve_plain(node);
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
		return tree_refuse(b, line, "a key must be plain text, not a list or a map");
	if (b->depth == MANIFEST_DEPTH_MAX)
		return tree_refuse(b, line, "more than %d lists and maps inside each other",
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
			return tree_refuse(
				b, b->members.data[i]->line,
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
		return tree_refuse(b, line, "an alias as a key is not supported: write the key");
	for (i = b->anchors.len; i > 0 && !anchor; i--) /* the latest of a name counts */
		if (strcmp(b->anchors.data[i - 1].name, name) == 0)
			anchor = &b->anchors.data[i - 1];
	if (!anchor)
		return tree_refuse(b, line, "alias *%.64s: there is no such anchor before it",
				   name);
	if (anchor->open)
		return tree_refuse(b, line, "alias *%.64s: is inside of what it names", name);
	if (b->depth + anchor->depth > MANIFEST_DEPTH_MAX)
		return tree_refuse(b, line, "more than %d lists and maps inside each other",
				   MANIFEST_DEPTH_MAX);
	rc = copy_tree(b, anchor->node, line, &copy);
	if (rc < 0)
		return rc;
	note_depth(b, b->depth + anchor->depth);
	attach(b, copy);
	return 0;
}

int tree_event(struct builder *b, const yaml_event_t *event)
{
	unsigned line = tree_line(b, &event->start_mark);

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

void tree_reset(struct builder *b)
{
	arena_reset(&b->arena);
	vec_clear(&b->anchors);
	b->depth = 0;
	b->root = NULL;
	b->n_nodes = 0;
	b->error[0] = '\0';
}

void tree_done(struct builder *b)
{
	arena_done(&b->arena);
	vec_done(&b->anchors);
	vec_done(&b->members);
}
