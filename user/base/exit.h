// SPDX-License-Identifier: GPL-2.0-only
/* Exit codes, the same for every program of ours. */
#ifndef BASE_EXIT_H
#define BASE_EXIT_H

#include <errno.h>

#include "base/err.h"

enum exit_code {
	EXIT_CODE_OK = 0,
	EXIT_CODE_PROBLEM = 1,
	EXIT_CODE_USAGE = 2,
	EXIT_CODE_CAPABILITY = 4,
	EXIT_CODE_KERNEL = 5,
};

static inline int exit_code_of(const struct err *err)
{
	return err->code == -EPERM     ? EXIT_CODE_CAPABILITY
	       : err->code == -ENOTSUP ? EXIT_CODE_KERNEL
				       : EXIT_CODE_PROBLEM;
}

#endif
