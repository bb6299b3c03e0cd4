/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The pin directory <bpffs>/sluice/v<ABI>/{maps,progs,links}: names, lock, and what is in it.
 *
 * bpffs holds no ordinary file and no name with a dot. So the lock is flock() on the directory, and links are named by
 * interface index and direction: links/tc_in_12, links/tc_out_12, links/xdp_12, links/connect4.
 */
#ifndef DP_PIN_H
#define DP_PIN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

#define PIN_BPFFS_DEFAULT "/sys/fs/bpf"

struct pin_dir {
	char bpffs[192];
	char path[256]; /* <bpffs>/sluice/v<ABI> */
	int lock_fd;    /* -1: not locked */
};

/* Names the directory and checks that bpffs is one. Creates nothing. */
int pin_dir_init(const char *bpffs, struct err *err, struct pin_dir *ret_pins);
/* Makes the directories, mode 0700. */
int pin_dir_create(const struct pin_dir *pins, struct err *err);
/*
 * Exclusive lock on <bpffs>/sluice, without waiting; held until pin_dir_done() or the end of the process. -EBUSY: another
 * agent has it. Creates that one directory.
 */
int pin_lock(struct pin_dir *pins, struct err *err);
void pin_dir_done(struct pin_dir *pins);

/* name is relative to the directory: "maps/sl4_services". pin_get returns an fd or -errno (-ENOENT: no such pin). */
int pin_get(const struct pin_dir *pins, const char *name);
int pin_get_read(const struct pin_dir *pins,
		 const char *map); /* a map to look at, where bpffs is read-only */
int pin_put(const struct pin_dir *pins, const char *name, int fd);
int pin_drop(const struct pin_dir *pins, const char *name); /* no such pin is no error */
int pin_rename(const struct pin_dir *pins, const char *from, const char *to);

/* Calls fn with each name in a subdirectory ("links"); a missing one is empty. fn returns 0 to go on. */
typedef int pin_fn(void *ctx, const char *name);
int pin_each(const struct pin_dir *pins, const char *subdir, pin_fn *fn, void *ctx);

/*
 * Directories of other releases beside ours: calls fn with each one's name ("v2"), until it returns other than 0, which is returned.
 * pin_dir_other names one as a directory of its own; it shares the lock. -EINVAL: that is no such name.
 */
int pin_each_other(const struct pin_dir *pins, pin_fn *fn, void *ctx);
int pin_dir_other(const struct pin_dir *pins, const char *version, struct pin_dir *ret_other);
/* -EEXIST: another release has programs on hooks; they would serve beside ours. */
int pin_check_others(const struct pin_dir *pins, struct err *err);

/* What helps where rc of a function above is an error of the file system; "" or a remedy after "; ". */
const char *pin_remedy(int rc);

/* Removes the directories, which must be empty (-ENOTEMPTY). The lock stays held on the one that is gone. */
int pin_dir_remove(const struct pin_dir *pins);

#endif
