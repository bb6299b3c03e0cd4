// SPDX-License-Identifier: GPL-2.0-only
// Preloaded into the agent by tests: moves its wall clock, lets bpf() calls that change maps fail, and refuses a program as a kernel does that
// lacks what it needs: the one that SHIM_REFUSES names. Built by the test:
//
//	$CC -std=gnu11 -D_GNU_SOURCE -shared -fPIC -O2 -o shim.so shim.c && SHIM=control LD_PRELOAD=./shim.so sluiced …
//
// The file that SHIM names holds four 64-bit numbers, which the test may change at any time: seconds that CLOCK_REALTIME is
// ahead; how many changes of maps were asked for so far (written here); from which of them on, and up to which they fail.
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

struct control {
	int64_t ahead_s;
	uint64_t changes, fail_from, fail_to;
};

static struct control none;
static volatile struct control *control = &none;

__attribute__((constructor)) static void open_control(void)
{
	const char *path = getenv("SHIM");
	int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
	void *map = fd < 0 ? MAP_FAILED
			   : mmap(NULL, sizeof(none), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (map != MAP_FAILED)
		control = map;
	if (fd >= 0)
		close(fd);
}

/* ---- the clock --------------------------------------------------------------------------------------- */

int clock_gettime(clockid_t id, struct timespec *now)
{
	static int (*real)(clockid_t, struct timespec *);
	int rc;

	if (!real)
		real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
	rc = real(id, now);
	if (rc == 0 && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE))
		now->tv_sec += control->ahead_s;
	return rc;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
	struct timespec ts;

	(void)zone;
	clock_gettime(CLOCK_REALTIME, &ts);
	now->tv_sec = ts.tv_sec;
	now->tv_usec = ts.tv_nsec / 1000;
	return 0;
}

time_t time(time_t *ret)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	if (ret)
		*ret = ts.tv_sec;
	return ts.tv_sec;
}

/* ---- bpf() ------------------------------------------------------------------------------------------- */

static int changes_a_map(long command)
{
	return command == BPF_MAP_UPDATE_ELEM || command == BPF_MAP_DELETE_ELEM ||
	       command == BPF_MAP_UPDATE_BATCH || command == BPF_MAP_DELETE_BATCH;
}

static int is_refused(const union bpf_attr *attr)
{
	const char *name = getenv("SHIM_REFUSES");

	return name && strncmp(attr->prog_name, name, sizeof(attr->prog_name)) == 0;
}

long syscall(long number, ...)
{
	static long (*real)(long, ...);
	long a[6];
	va_list args;

	va_start(args, number);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(args, long);
	va_end(args);
	if (!real)
		real = (long (*)(long, ...))dlsym(RTLD_NEXT, "syscall");
	if (number == SYS_bpf && changes_a_map(a[0])) {
		uint64_t n = ++control->changes;

		if (n >= control->fail_from && n < control->fail_to) {
			errno = ENOMEM;
			return -1;
		}
	}
	if (number == SYS_bpf && a[0] == BPF_PROG_LOAD &&
	    is_refused((const union bpf_attr *)a[1])) {
		errno = EINVAL;
		return -1;
	}
	return real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
