/* SPDX-License-Identifier: GPL-2.0 */
/* The pin directory: names, lock, content. */
/* Must not know what is pinned. */
#include "dp/pin.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "sluice_abi.h"

static const char *const subdirs[] = { "maps", "progs", "links" };

static int check_bpffs(const char *bpffs, struct err *err)
{
	struct statfs fs;

	if (statfs(bpffs, &fs) < 0)
		return err_set(err, -errno, "--bpffs %s: %s; mount one with: mount -t bpf bpf %s",
			       bpffs, strerror(errno), bpffs);
	if ((unsigned long)fs.f_type != BPF_FS_MAGIC)
		return err_set(
			err, -EINVAL,
			"--bpffs %s: not a BPF file system; mount one with: mount -t bpf bpf %s",
			bpffs, bpffs);
	return 0;
}

int pin_dir_init(const char *bpffs, struct err *err, struct pin_dir *ret_pins)
{
	struct pin_dir pins = { .lock_fd = -1 };
	int rc;

	if (!bpffs)
		bpffs = PIN_BPFFS_DEFAULT;
	if (strlen(bpffs) >= sizeof(pins.bpffs))
		return err_set(err, -ENAMETOOLONG, "--bpffs: path longer than %zu characters",
			       sizeof(pins.bpffs) - 1);
	rc = check_bpffs(bpffs, err);
	if (rc < 0)
		return rc;
	snprintf(pins.bpffs, sizeof(pins.bpffs), "%s", bpffs);
	snprintf(pins.path, sizeof(pins.path), "%s/" SL_PIN_DIR "/v%d", pins.bpffs, SL_ABI_VERSION);
	*ret_pins = pins;
	return 0;
}

const char *pin_remedy(int rc)
{
	return rc == -EROFS ? "; mount the BPF file system writable: mount -o remount,rw …" : "";
}

static int make_dir(const char *path, struct err *err)
{
	if (mkdir(path, 0700) == 0 || errno == EEXIST)
		return 0;
	return err_set(err, -errno, "cannot make %s: %s%s", path, strerror(errno),
		       pin_remedy(-errno));
}

static int make_base(const struct pin_dir *pins, struct err *err)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/" SL_PIN_DIR, pins->bpffs);
	return make_dir(path, err);
}

int pin_dir_create(const struct pin_dir *pins, struct err *err)
{
	char path[320];
	int rc = make_base(pins, err);

	if (rc == 0)
		rc = make_dir(pins->path, err);
	for (size_t i = 0; rc == 0 && i < sizeof(subdirs) / sizeof(subdirs[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", pins->path, subdirs[i]);
		rc = make_dir(path, err);
	}
	return rc;
}

/* The directory may have been removed and made again (--cleanup of another process) while we were opening it. */
static bool is_still(int fd, const char *path)
{
	struct stat held, named;

	return fstat(fd, &held) == 0 && stat(path, &named) == 0 && held.st_ino == named.st_ino &&
	       held.st_dev == named.st_dev;
}

static int lock_base(const char *path, struct err *err)
{
	int rc, fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return err_set(err, -errno, "cannot open %s: %s", path, strerror(errno));
	if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
		if (is_still(fd, path))
			return fd;
		close(fd);
		return -EAGAIN;
	}
	rc = -errno;
	close(fd);
	if (rc == -EWOULDBLOCK)
		return err_set(
			err, -EBUSY,
			"another sluiced holds %s; stop it first, or give this one another --bpffs",
			path);
	return err_set(err, rc, "cannot lock %s: %s", path, strerror(-rc));
}

int pin_lock(struct pin_dir *pins, struct err *err)
{
	char path[256];
	int fd, rc;

	snprintf(path, sizeof(path), "%s/" SL_PIN_DIR, pins->bpffs);
	do {
		rc = make_base(pins, err);
		if (rc < 0)
			return rc;
		fd = lock_base(path, err);
	} while (fd == -EAGAIN);
	if (fd < 0)
		return fd;
	pins->lock_fd = fd;
	return 0;
}

void pin_dir_done(struct pin_dir *pins)
{
	if (pins->lock_fd >= 0)
		close(pins->lock_fd);
	pins->lock_fd = -1;
}

static const char *pin_path(const struct pin_dir *pins, const char *name, char path[512])
{
	snprintf(path, 512, "%s/%s", pins->path, name);
	return path;
}

int pin_get(const struct pin_dir *pins, const char *name)
{
	char path[512];
	int fd = bpf_obj_get(pin_path(pins, name, path));

	return fd < 0 ? -errno : fd;
}

int pin_get_read(const struct pin_dir *pins, const char *map)
{
	LIBBPF_OPTS(bpf_obj_get_opts, opts, .file_flags = BPF_F_RDONLY);
	char path[512];
	int fd = bpf_obj_get_opts(pin_path(pins, map, path), &opts);

	return fd < 0 ? -errno : fd;
}

int pin_put(const struct pin_dir *pins, const char *name, int fd)
{
	char path[512];

	return bpf_obj_pin(fd, pin_path(pins, name, path)) < 0 ? -errno : 0;
}

int pin_drop(const struct pin_dir *pins, const char *name)
{
	char path[512];

	return unlink(pin_path(pins, name, path)) < 0 && errno != ENOENT ? -errno : 0;
}

int pin_rename(const struct pin_dir *pins, const char *from, const char *to)
{
	char old[512], new[512];

	return rename(pin_path(pins, from, old), pin_path(pins, to, new)) < 0 ? -errno : 0;
}

int pin_each(const struct pin_dir *pins, const char *subdir, pin_fn *fn, void *ctx)
{
	struct dirent *entry;
	char path[512];
	int rc = 0;
	DIR *dir;

	dir = opendir(pin_path(pins, subdir, path));
	if (!dir)
		return errno == ENOENT ? 0 : -errno;
	while (rc == 0 && (entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			rc = fn(ctx, entry->d_name);
	closedir(dir);
	return rc;
}

/* ---- other releases ------------------------------------------------------------------------------ */

static bool is_version(const char *name)
{
	return name[0] == 'v' && name[1] && strspn(name + 1, "0123456789") == strlen(name + 1) &&
	       strlen(name) < 12;
}

int pin_each_other(const struct pin_dir *pins, pin_fn *fn, void *ctx)
{
	const char *own = strrchr(pins->path, '/') + 1;
	struct dirent *entry;
	char path[256];
	int rc = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "%s/" SL_PIN_DIR, pins->bpffs);
	dir = opendir(path);
	if (!dir)
		return errno == ENOENT ? 0 : -errno;
	while (rc == 0 && (entry = readdir(dir)))
		if (is_version(entry->d_name) && strcmp(entry->d_name, own) != 0)
			rc = fn(ctx, entry->d_name);
	closedir(dir);
	return rc;
}

int pin_dir_other(const struct pin_dir *pins, const char *version, struct pin_dir *ret_other)
{
	struct pin_dir other = { .lock_fd = -1 };

	if (!is_version(version))
		return -EINVAL;
	memcpy(other.bpffs, pins->bpffs, sizeof(other.bpffs));
	snprintf(other.path, sizeof(other.path), "%s/" SL_PIN_DIR "/%.12s", pins->bpffs, version);
	*ret_other = other;
	return 0;
}

static int is_pin(void *ctx, const char *name)
{
	(void)ctx;
	(void)name;
	return 1;
}

struct hooks {
	const struct pin_dir *pins;
	struct err *err;
};

static int refuse_hooks(void *ctx, const char *version)
{
	const struct hooks *hooks = ctx;
	struct pin_dir other;

	if (pin_dir_other(hooks->pins, version, &other) < 0 ||
	    pin_each(&other, "links", is_pin, NULL) <= 0)
		return 0;
	return err_set(
		hooks->err, -EEXIST,
		"%s: another release of sluice has its programs on the hooks, whose flows this one cannot take over; run that "
		"release, or remove it (and all flows) with: sluiced --cleanup",
		other.path);
}

int pin_check_others(const struct pin_dir *pins, struct err *err)
{
	struct hooks hooks = { pins, err };

	return pin_each_other(pins, refuse_hooks, &hooks);
}

/* -------------------------------------------------------------------------------------------------- */

int pin_dir_remove(const struct pin_dir *pins)
{
	char path[512];

	for (size_t i = 0; i < sizeof(subdirs) / sizeof(subdirs[0]); i++)
		if (rmdir(pin_path(pins, subdirs[i], path)) < 0 && errno != ENOENT)
			return -errno;
	if (rmdir(pins->path) < 0 && errno != ENOENT)
		return -errno;
	snprintf(path, sizeof(path), "%s/" SL_PIN_DIR, pins->bpffs);
	if (rmdir(path) < 0 && errno != ENOENT && errno != ENOTEMPTY)
		return -errno;
	return 0;
}
