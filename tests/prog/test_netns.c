// SPDX-License-Identifier: GPL-2.0-only
// The cookie of a network namespace, as the kernel says it and as a program sees it, in a cgroup of its own.
#include "unit/test.h"

#include <errno.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "dp/attach.h"
#include "dp/netns.h"

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

static char cgroup[320], elsewhere[330];

static void write_pid(const char *folder)
{
	char path[400];
	FILE *f;

	snprintf(path, sizeof(path), "%s/cgroup.procs", folder);
	f = fopen(path, "we");
	assert_non_null(f);
	fprintf(f, "%d", getpid());
	assert_int_equal(fclose(f), 0);
}

static int begin(void **state)
{
	struct err err = { 0 };
	char root[256];

	(void)state;
	if (attach_find_cgroup(NULL, &err, root) < 0)
		return -1;
	snprintf(cgroup, sizeof(cgroup), "%s/sluice-test-netns.%d", root, getpid());
	snprintf(elsewhere, sizeof(elsewhere), "%s.2", cgroup);
	return mkdir(cgroup, 0755) < 0 || mkdir(elsewhere, 0755) < 0;
}

static int end(void **state)
{
	(void)state;
	return rmdir(cgroup) < 0 || rmdir(elsewhere) < 0;
}

/* What a child in `home` and, if said, a namespace of its own learns through `cgroup`. */
static int ask_in_child(const char *home, bool new_netns, uint64_t *ret_cookie)
{
	uint64_t answer[2] = { 0 };
	int pipe_fd[2];
	pid_t child;

	assert_int_equal(pipe(pipe_fd), 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		int fd;

		write_pid(home);
		if (new_netns && unshare(CLONE_NEWNET) < 0)
			_exit(1);
		fd = socket(AF_INET, SOCK_DGRAM, 0);
		answer[0] = (uint64_t)netns_cookie_by_program(cgroup, fd, &answer[1]);
		_exit(write(pipe_fd[1], answer, sizeof(answer)) != sizeof(answer));
	}
	assert_int_equal(read(pipe_fd[0], answer, sizeof(answer)), sizeof(answer));
	waitpid(child, NULL, 0);
	close(pipe_fd[0]);
	close(pipe_fd[1]);
	*ret_cookie = answer[1];
	return (int)answer[0];
}

TEST(each_namespace_has_its_own)
{
	uint64_t here, again, other;

	assert_int_equal(ask_in_child(cgroup, false, &here), 0);
	assert_int_equal(ask_in_child(cgroup, false, &again), 0);
	assert_int_equal(ask_in_child(cgroup, true, &other), 0);
	assert_true(here != 0 && other != 0);
	assert_true(here == again);
	assert_true(here != other);
}

TEST(the_program_sees_what_the_kernel_says)
{
	uint64_t told, seen, asked;
	socklen_t len = sizeof(told);
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	int rc = getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &told, &len);

	close(fd);
	if (rc < 0)
		SKIP("kernel without SO_NETNS_COOKIE");
	assert_int_equal(ask_in_child(cgroup, false, &seen), 0);
	assert_true(seen == told);
	assert_int_equal(netns_cookie("/nowhere", &asked), 0);
	assert_true(asked == told);
}

TEST(a_process_outside_the_cgroup_is_told_so)
{
	uint64_t cookie;

	assert_int_equal(ask_in_child(elsewhere, false, &cookie), -ESRCH);
	assert_true(cookie == 0);
}

TEST(no_such_cgroup)
{
	uint64_t cookie = 5;
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	assert_int_equal(netns_cookie_by_program("/nowhere", fd, &cookie), -ENOENT);
	assert_true(cookie == 5);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_namespace_has_its_own),
		cmocka_unit_test(the_program_sees_what_the_kernel_says),
		cmocka_unit_test(a_process_outside_the_cgroup_is_told_so),
		cmocka_unit_test(no_such_cgroup),
	};

	return cmocka_run_group_tests_name(__FILE__, tests, begin, end);
}
