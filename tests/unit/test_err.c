// SPDX-License-Identifier: GPL-2.0-only
// Errors for people, and variables that clean up behind themselves; header only.
#include "unit/test.h"

#include <fcntl.h>

#include "base/cleanup.h"
#include "base/err.h"

TEST(stores_code_and_sentence)
{
	struct err err = { 0 };

	assert_int_equal(err_set(&err, -EINVAL, "port %d is out of range", 70000), -EINVAL);
	assert_int_equal(err.code, -EINVAL);
	assert_string_equal(err.what, "port 70000 is out of range");
	assert_int_equal(err_prefix(&err, "%s:%d: ", "file.yaml", 12), -EINVAL);
	assert_string_equal(err.what, "file.yaml:12: port 70000 is out of range");
	assert_int_equal(err_set(NULL, -ENOENT, "nobody listens"), -ENOENT);
	err_prefix(NULL, "nobody");
}

TEST(cuts_what_is_too_long)
{
	struct err err = { 0 };
	char longer[600];

	memset(longer, 'x', sizeof(longer));
	longer[sizeof(longer) - 1] = '\0';
	err_set(&err, -1, "%s", longer);
	assert_int_equal(strlen(err.what), sizeof(err.what) - 1);
	err_prefix(&err, "y: ");
	assert_int_equal(strlen(err.what), sizeof(err.what) - 1);
	assert_memory_equal(err.what, "y: xxx", 6);
	err_prefix(&err, "%s", longer);
	assert_int_equal(strlen(err.what), sizeof(err.what) - 1);
}

static int freed;

static void thing_free(int *thing)
{
	freed += *thing;
}
CLEANUP_DEFINE(int *, thing_free);

static int open_null(int *ret_fd)
{
	_cleanup_close_ int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	*ret_fd = fd;
	errno = ENOTTY;
	return 0;
}

TEST(releases_at_the_end_of_the_scope)
{
	int value = 5, fd;

	freed = 0;
	{
		_cleanup_(thing_freep) int *thing = &value;
		_cleanup_(thing_freep) int *none = NULL;
		_cleanup_free_ char *text = malloc(10); /* LeakSanitizer says if not */
		_cleanup_fclose_ FILE *file = NULL;

		assert_non_null(text);
		assert_null(none);
		assert_null(file);
		assert_non_null(thing);
	}
	assert_int_equal(freed, 5);
	assert_int_equal(open_null(&fd), 0);
	assert_int_equal(errno, ENOTTY);
	assert_int_equal(fcntl(fd, F_GETFD), -1);
	assert_int_equal(errno, EBADF);
}

TEST(hands_over_without_releasing)
{
	int value = 5, kept_fd;
	int *kept;

	freed = 0;
	{
		_cleanup_(thing_freep) int *thing = &value;
		_cleanup_close_ int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

		kept = TAKE_PTR(thing);
		kept_fd = TAKE_FD(fd);
		assert_null(thing);
		assert_int_equal(fd, -1);
	}
	assert_int_equal(freed, 0);
	assert_ptr_equal(kept, &value);
	assert_true(fcntl(kept_fd, F_GETFD) >= 0);
	close(kept_fd);
}

RUN(cmocka_unit_test(stores_code_and_sentence), cmocka_unit_test(cuts_what_is_too_long),
    cmocka_unit_test(releases_at_the_end_of_the_scope),
    cmocka_unit_test(hands_over_without_releasing))
