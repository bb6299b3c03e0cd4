// SPDX-License-Identifier: GPL-2.0-only
/* Writes the documentation of annotations. */
/* Must not know how they are read. */
#include <errno.h>

#include "ingress/policy_table.h"

static void write_rows(struct buf *out, enum annotation_state state, const char *head)
{
	buf_puts(out, head);
	for (const struct annotation *row = policy_table; row->name; row++)
		if (row->state == state)
			buf_printf(out, "| `%s` | %s |\n", row->name, row->help);
}

/* A '|' would end a cell. */
static void write_taken(struct buf *out)
{
	for (const struct annotation *row = policy_table; row->name; row++) {
		if (row->state != ANNOTATION_TAKEN && row->state != ANNOTATION_ROUTES)
			continue;
		buf_printf(out, "| `%s%s` | %s | %s%s |\n", row->own ? "sluice.dev/" : "",
			   row->name, row->values, row->help,
			   row->guard ? " (closed if wrong)" : "");
	}
}

int policy_write_docs(struct buf *out)
{
	buf_puts(
		out,
		"# Annotations of an Ingress\n"
		"\n"
		"Written from the table that reads them (`policy_table.c`); the unit test says when this page is behind.\n"
		"\n"
		"Each is taken with the prefix `nginx.ingress.kubernetes.io/` and with `sluice.dev/`, which goes before; those "
		"written here\nwith `sluice.dev/` only so. A value that cannot be taken is told in an Event on the Ingress and has no "
		"effect; where\nthat would open what is to be closed (\"closed if wrong\"), everything is answered 503 until it is "
		"right.\n"
		"\n"
		"Variables: `$request_uri`, `$escaped_request_uri`, `$uri`, `$args`, `$host`, `$scheme`, `$request_method`, "
		"`$remote_addr`,\n`$http_NAME`, `$cookie_NAME`, `$arg_NAME`, also as `${NAME}`. Times are seconds, or have units "
		"(`250ms`, `90s`, `1h30m`).\n"
		"\n"
		"| annotation | value | what it does |\n|---|---|---|\n");
	write_taken(out);
	write_rows(out, ANNOTATION_NEEDLESS,
		   "\n## Accepted without effect\n\n| annotation | why |\n|---|---|\n");
	write_rows(
		out, ANNOTATION_MISSING,
		"\n## Not supported\n\nAn Event says so.\n\n| annotation | why, and what instead |\n|---|---|\n");
	write_rows(out, ANNOTATION_REFUSED,
		   "\n## Never\n\nAn Event says so.\n\n| annotation | why |\n|---|---|\n");
	return out->failed ? -ENOMEM : 0;
}
