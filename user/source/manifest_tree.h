/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SOURCE_MANIFEST_TREE_H
#define SOURCE_MANIFEST_TREE_H

/*
 * The tree of one document, for manifest*.c alone.
 *
 *   manifest.c         documents of a text, each parsed for itself; JSON's surrogate pairs
 *   manifest_tree.c    from the parser's events to a bounded tree of values
 *   manifest_scalar.c  type and value of a scalar without quotes
 */
#include <yaml.h>

#include "base/arena.h"
#include "base/vec.h"
#include "source/manifest.h"

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

struct frame { /* a list or map that is open */
	struct node *node;
	struct node *last; /* its last child so far */
	const char *key;   /* of a map: key read, value to come */
	size_t n;
	size_t anchor; /* 1 + index of the anchor on it, 0 = none */
};

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

/* ---- manifest_tree.c ---- */

/* For another document. Once before the first event. */
void tree_reset(struct builder *b);
void tree_done(struct builder *b);
/* Takes up an event; b->root is whole when the document ends. 0, -EINVAL with b->error and its line, -ENOMEM. */
int tree_event(struct builder *b, const yaml_event_t *event);
/* Remembers why the document is refused. Returns -EINVAL. */
__attribute__((format(printf, 3, 4))) int tree_refuse(struct builder *b, unsigned line,
						      const char *format, ...);
/* The line in the file, from 1. */
unsigned tree_line(const struct builder *b, const yaml_mark_t *mark);
/* Lives as long as the tree. */
struct value tree_value(const struct node *root);

/* ---- manifest_scalar.c ---- */

/* Type and value of a scalar written without quotes: node->text. */
void scalar_resolve_plain(struct node *node);
/* words: to a NULL. */
bool scalar_is_one_of(const char *text, const char *const *words);
/* Is text of such characters, and not empty? */
bool scalar_is_all(const char *text, int (*is)(int));

#endif
