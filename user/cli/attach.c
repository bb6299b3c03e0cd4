// SPDX-License-Identifier: GPL-2.0-only
/*
 * sluicectl attach: which program stands on which hook, and whose it is.
 * Must not know how links and filters are found.
 */
#include "cli/cli.h"
#include "cli/rows.h"

#include <stdlib.h>
#include <string.h>

static const struct out_column columns[] = {
	{ "interface", "INTERFACE", false }, { "ifindex", "INDEX", true },
	{ "hook", "HOOK", false },           { "how", "HOW", false },
	{ "program", "PROGRAM", false },     { "state", "STATE", false },
	{ "programId", "PROG-ID", true },    { "linkId", "LINK-ID", true },
	{ "detail", "DETAIL", false },
};

static enum out_tone tone_of(enum attach_state state)
{
	return state == ATTACH_OK ? OUT_GOOD : state == ATTACH_UNSUPPORTED ? OUT_PLAIN : OUT_BAD;
}

void rows_attach(struct out *out, const struct attach_row *rows, size_t n)
{
	out_rows(out, "items", NULL, columns, sizeof(columns) / sizeof(columns[0]));
	for (size_t i = 0; i < n; i++) {
		const struct attach_row *r = &rows[i];

		out_row(out);
		out_text(out, r->ifindex ? r->name : "(cgroup)");
		out_number(out, r->ifindex, r->ifindex ? NULL : "-");
		out_text(out, r->hook);
		out_text(out, r->how);
		out_text(out, r->program);
		out_tone(out, attach_state_name(r->state), tone_of(r->state));
		out_number(out, r->prog_id, NULL);
		out_number(out, r->link_id, r->link_id ? NULL : "-");
		out_text(out, r->text);
	}
	out_rows_end(out);
}

int cli_attach_rows(struct cli *cli, struct attach_row **ret_rows, size_t *ret_n)
{
	struct err err = { 0 };
	struct pin_dir pins;
	int rc = pin_dir_init(cli->values.bpffs, &err, &pins);

	if (rc < 0)
		return cli_fail(&err);
	rc = attach_list(&pins, ret_rows, ret_n);
	pin_dir_done(&pins);
	if (!rc)
		return CLI_OK;
	err_set(&err, rc, "the links below %s could not be read: %s", cli->values.bpffs,
		strerror(-rc));
	return cli_fail(&err);
}

int cli_attach(struct cli *cli)
{
	struct attach_row *rows = NULL;
	size_t n = 0;
	int code = cli_open_maps(cli); /* says so when nothing of ours is pinned */

	if (!code)
		code = cli_attach_rows(cli, &rows, &n);
	if (code)
		return code;
	out_begin(&cli->out, "AttachmentList");
	rows_attach(&cli->out, rows, n);
	if (!n)
		out_note(&cli->out, OUT_WARN, "nothing is attached: no packet is translated");
	out_end(&cli->out);
	free(rows);
	return CLI_OK;
}
