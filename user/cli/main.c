// SPDX-License-Identifier: GPL-2.0-only
/*
 * The process around cli_main().
 * Must not know anything else.
 */
#include <stdio.h>
#include <unistd.h>

#include "cli/cli.h"

int main(int argc, char *argv[])
{
	return cli_main(argc, argv, environ, stdout);
}
