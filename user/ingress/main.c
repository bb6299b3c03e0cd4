// SPDX-License-Identifier: GPL-2.0-only
/*
 * sluice-proxy: what was asked for, and nothing else.
 * Must not know how it is done.
 */
#include <stdio.h>
#include <unistd.h>

#include "base/exit.h"
#include "base/options.h"
#include "ingress/control.h"
#include "ingress/proxy.h"
#include "ingress/settings.h"
#include "sluice_version.h"

static int print_help(void)
{
	struct buf help = { 0 };
	int rc = settings_write_help(&help);

	if (rc == 0)
		fputs(buf_str(&help), stdout);
	buf_done(&help);
	return rc < 0 ? EXIT_CODE_PROBLEM : EXIT_CODE_OK;
}

int main(int argc, char *argv[])
{
	struct settings settings;
	struct err err = { 0 };
	int code, rc = settings_load(argc, argv, environ, &settings, &err);

	if (rc == OPTIONS_HELP)
		return print_help();
	if (rc == OPTIONS_VERSION) {
		puts("sluice-proxy " SLUICE_VERSION);
		return EXIT_CODE_OK;
	}
	if (rc < 0) {
		fprintf(stderr, "sluice-proxy: %s\n", err.what);
		return EXIT_CODE_USAGE;
	}
	code = settings.check ? control_check(&settings) : proxy_run(&settings);
	settings_done(&settings);
	return code;
}
