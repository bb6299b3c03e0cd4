// SPDX-License-Identifier: GPL-2.0-only
/*
 * sluicectl cleanup: takes everything of ours off this node, as sluiced --cleanup does.
 * Must not know what there is to take off: dp does.
 */
#include "cli/cli.h"

#include <errno.h>
#include <unistd.h>

#include "dp/attach.h"
#include "dp/load.h"
#include "dp/pin.h"
#include "dp/probe.h"

static int remove_all(struct pin_dir *pins, struct err *err, unsigned int *ret_detached)
{
	int rc = pin_lock(pins, err); /* an agent that runs holds it */

	if (!rc)
		rc = attach_cleanup(pins, err, ret_detached);
	return rc ? rc : dp_unload(pins, err);
}

int cli_cleanup(struct cli *cli)
{
	struct pin_dir pins = { .lock_fd = -1 };
	struct err err = { 0 };
	unsigned int detached = 0;
	bool there = true;
	int rc = probe_capabilities(&err);

	if (!rc)
		rc = pin_dir_init(cli->values.bpffs, &err, &pins);
	if (!rc) {
		there = access(pins.path, F_OK) == 0;
		rc = there ? remove_all(&pins, &err, &detached) : 0;
	}
	pin_dir_done(&pins);
	if (rc < 0)
		return cli_fail(&err);
	out_begin(&cli->out, "Cleanup");
	out_field_number(&cli->out, "detached", "detached", detached, NULL);
	out_field_text(&cli->out, "path", there ? "removed" : "nothing at", pins.path);
	out_field_truth(&cli->out, "removed", NULL, there, NULL);
	out_end(&cli->out);
	return CLI_OK;
}
