// SPDX-License-Identifier: GPL-2.0-only
/*
 * sluiced: what was asked for, and nothing else.
 * Must not know how it is done.
 */
#include <stdio.h>
#include <unistd.h>

#include "agent/actions.h"
#include "agent/agent.h"
#include "base/exit.h"
#include "agent/options.h"
#include "base/options.h"
#include "sluice_version.h"

static int print_help(void)
{
	struct buf help = { 0 };
	int rc = config_write_help(&help);

	if (rc == 0)
		fputs(buf_str(&help), stdout);
	buf_done(&help);
	return rc < 0 ? EXIT_CODE_PROBLEM : EXIT_CODE_OK;
}

int main(int argc, char *argv[])
{
	struct config config;
	struct err err = { 0 };
	int code, rc = config_load(argc, argv, environ, &config, &err);

	if (rc == OPTIONS_HELP)
		return print_help();
	if (rc == OPTIONS_VERSION) {
		puts("sluiced " SLUICE_VERSION);
		return EXIT_CODE_OK;
	}
	if (rc < 0) {
		fprintf(stderr, "sluiced: %s\n", err.what);
		return EXIT_CODE_USAGE;
	}
	if (config.cleanup)
		code = action_cleanup(&config);
	else if (config.check)
		code = action_check(&config);
	else
		code = agent_run(&config);
	config_done(&config);
	return code;
}
