// SPDX-License-Identifier: GPL-2.0-only
/*
 * --cleanup: what dp takes away, and the socket.
 * Must not need a source, nor programs that load.
 */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/actions.h"
#include "base/exit.h"
#include "dp/cleanup.h"

#define RUN_DIR "/run/sluice"

/* We hold the lock, so nobody of ours answers at the default path. */
static void remove_socket(const char *path)
{
	struct stat st;

	if (!path || lstat(path, &st) < 0 || !S_ISSOCK(st.st_mode))
		return;
	unlink(path);
	if (strncmp(path, RUN_DIR "/", sizeof(RUN_DIR)) == 0)
		rmdir(RUN_DIR);
}

int action_cleanup(const struct config *config)
{
	struct pin_dir pins = { .lock_fd = -1 };
	struct dp_removed removed = { 0 };
	struct err err = { 0 };
	int rc = pin_dir_init(config->bpffs, &err, &pins);

	if (rc == 0)
		rc = dp_cleanup(&pins, &err, &removed);
	if (rc < 0)
		fprintf(stderr, "sluiced: %s\n", err.what);
	else if (!removed.any)
		printf("nothing to remove: %s does not exist\n", pins.path);
	else
		printf("removed: %u programs detached, %s\n", removed.detached, pins.path);
	if (rc == 0)
		remove_socket(config->admin_socket);
	pin_dir_done(&pins);
	return rc < 0 ? exit_code_of(&err) : EXIT_CODE_OK;
}
