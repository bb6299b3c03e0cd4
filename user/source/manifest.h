/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SOURCE_MANIFEST_H
#define SOURCE_MANIFEST_H

/*
 * The text of one manifest file, YAML or JSON, to trees of values: one tree a document.
 *
 * JSON goes through the YAML parser too, so there is one tree, with line numbers, and one set of rules.
 *
 * A document ends at a line that begins with "---" or "...", wherever it stands (YAML allows neither inside any
 * scalar), so each is parsed for itself: a broken one costs only itself.
 *
 * Scalars without quotes are read as kubectl reads them (YAML 1.1 words): null and ~; true, false, yes, no, on,
 * off; numbers, also 0x1f, 0o17 and 017 (octal). Everything else is text. Anchors and aliases are resolved by
 * copying, within the limits below. Refused, each with its line: keys given twice, keys that are not plain text,
 * merge keys (<<), NUL characters, tags other than YAML's own str, int, float, bool, null, seq and map.
 */
#include <stddef.h>

#include "source/value.h"

#define MANIFEST_BYTES_MAX ((size_t)8 << 20) /* a file */
#define MANIFEST_DEPTH_MAX 64                /* lists and maps inside each other */
#define MANIFEST_NODES_MAX ((size_t)1 << 20) /* values of one document, copies by alias included */

/* What a file of this name holds. */
enum manifest_form {
	MANIFEST_NONE,
	MANIFEST_YAML, /* .yaml, .yml */
	MANIFEST_JSON, /* .json */
};
enum manifest_form manifest_form_of(const char *name);

struct manifest_handler {
	void *ctx;
	/*
	 * A document that is a map. `root` lives until this returns. A negative return ends the reading, and
	 * manifest_read() returns it. Documents that are empty or null are left out.
	 */
	int (*document)(void *ctx, struct value root);
	/* A document that is broken at `line` (from 1), and why. Valid during the call. */
	int (*broken)(void *ctx, unsigned line, const char *reason);
};

/*
 * Calls the handler for each document in order. text needs no NUL. json: the file is JSON by its name, so that
 * surrogate pairs (\ud83d\ude00), which YAML does not know, are joined before it is read.
 * 0; -EFBIG for text longer than MANIFEST_BYTES_MAX (nothing was called); -ENOMEM; or what the handler returned.
 */
int manifest_read(const char *text, size_t len, bool json, const struct manifest_handler *handler);

#endif
