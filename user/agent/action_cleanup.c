// SPDX-License-Identifier: GPL-2.0-only
/*
 * --cleanup: hooks first, then programs and maps, then the directories.
 * Must not need a source, nor programs that load.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/actions.h"
#include "base/exit.h"
#include "dp/attach.h"
#include "dp/load.h"
#include "dp/pin.h"
#include "dp/probe.h"

#define RUN_DIR "/run/sluice"

static int remove_all(struct pin_dir *pins, unsigned int *ret_n, struct err *err)
{
	int rc = pin_lock(pins, err);

	if (rc == 0)
		rc = attach_cleanup(pins, err, ret_n);
	if (rc == 0)
		rc = dp_unload(pins, err);
	return rc;
}

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
	struct err err = { 0 };
	unsigned int n = 0;
	int rc = probe_capabilities(&err);

	if (rc == 0)
		rc = pin_dir_init(config->bpffs, &err, &pins);
	if (rc == 0 && access(pins.path, F_OK) < 0 && errno == ENOENT) {
		printf("nothing to remove: %s does not exist\n", pins.path);
		return EXIT_CODE_OK;
	}
	if (rc == 0)
		rc = remove_all(&pins, &n, &err);
	if (rc < 0) {
		fprintf(stderr, "sluiced: %s\n", err.what);
		pin_dir_done(&pins);
		return exit_code_of(&err);
	}
	remove_socket(config->admin_socket);
	printf("removed: %u programs detached, %s\n", n, pins.path);
	pin_dir_done(&pins);
	return EXIT_CODE_OK;
}
