/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TESTS_UNIT_TEST_H
#define TESTS_UNIT_TEST_H

/* cmocka with the headers it wants in front of it, and the words that tests share: #include "unit/test.h". */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

/* A test without state: TEST(removes_what_was_put) { … } */
#define TEST(name)                 \
	static void name(void **); \
	static void name(void **state __attribute__((unused)))

/* Leaves the test; the report lists it as skipped, with this reason. */
#define SKIP(reason)                                     \
	do {                                             \
		print_message("# skip: %s\n", (reason)); \
		skip();                                  \
	} while (0)

/* Names a test program's tests: RUN(cmocka_unit_test(a), cmocka_unit_test(b)) is a main(). */
#define RUN(...)                                                                 \
	int main(void)                                                           \
	{                                                                        \
		const struct CMUnitTest tests[] = { __VA_ARGS__ };               \
		return cmocka_run_group_tests_name(__FILE__, tests, NULL, NULL); \
	}

#endif
