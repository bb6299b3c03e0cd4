// SPDX-License-Identifier: GPL-2.0-only
/*
 * sluicectl cleanup: takes everything of ours off this node, as sluiced --cleanup does.
 * Must not know what there is to take off: dp does.
 */
#include "cli/cli.h"

#include "dp/cleanup.h"

int cli_cleanup(struct cli *cli)
{
	struct pin_dir pins = { .lock_fd = -1 };
	struct dp_removed removed = { 0 };
	struct err err = { 0 };
	int rc = pin_dir_init(cli->values.bpffs, &err, &pins);

	if (rc == 0)
		rc = dp_cleanup(&pins, &err, &removed);
	pin_dir_done(&pins);
	if (rc < 0)
		return cli_fail(&err);
	out_begin(&cli->out, "Cleanup");
	out_field_number(&cli->out, "detached", "detached", removed.detached, NULL);
	out_field_text(&cli->out, "path", removed.any ? "removed" : "nothing at", pins.path);
	out_field_truth(&cli->out, "removed", NULL, removed.any, NULL);
	out_end(&cli->out);
	return CLI_OK;
}
