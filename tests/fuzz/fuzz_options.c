// SPDX-License-Identifier: GPL-2.0-only
// Any bytes as sluiced's configuration file, and each line of them as a flag: refused in words that name something, or taken with every
// limit held.
/* link: user/agent/options.c user/agent/detect_local.c user/serve/convert.c user/serve/listen_addr.c user/base/options.c user/base/options_value.c user/base/arena.c user/base/buf.c user/core/address.c */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "agent/options.h"
#include "base/options.h"

#define FLAGS 16

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int true_for_every_input)
{
	if (!true_for_every_input)
		abort();
}

static void load(int argc, char *argv[])
{
	char *none[] = { NULL };
	struct config config;
	struct err err = { 0 };
	int rc = config_load(argc, argv, none, &config, &err);

	if (rc < 0) {
		must(err.what[0] != 0);
		return;
	}
	if (rc)
		return;
	must(!(config.check && config.cleanup));
	if (!config.cleanup) {
		must(config.max_services >= 16 && config.max_services <= 1 << 20);
		must(config.max_flows == 0 ||
		     (config.max_flows >= 1024 && config.max_flows <= 1 << 22));
		must(config.snat_low > 0 && config.snat_low <= config.snat_high);
		must(config.node_name[0] && config.uplink && config.pod_ifaces);
		must(!config.source_dir || config.source_dir[0]);
		for (size_t i = 0; i < config.n_service_cidrs; i++)
			must(config.service_cidrs[i].addr.family == 4 ||
			     config.service_cidrs[i].addr.family == 6);
	}
	config_done(&config);
}

static void as_file(const uint8_t *data, size_t size)
{
	char path[64], name[] = "sluiced", flag[] = "--config", node[] = "--node-name=n";
	char *argv[] = { name, flag, path, node, NULL };
	int fd = memfd_create("options", MFD_CLOEXEC);

	must(fd >= 0 && write(fd, data, size) == (ssize_t)size);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	load(4, argv);
	close(fd);
}

static void as_flags(const uint8_t *data, size_t size)
{
	char name[] = "sluiced", *argv[FLAGS + 2] = { name }, *text = malloc(size + 1);
	int argc = 1;

	must(text != NULL);
	memcpy(text, data, size);
	text[size] = 0;
	for (char *line = strtok(text, "\n"); line && argc <= FLAGS; line = strtok(NULL, "\n"))
		argv[argc++] = line;
	load(argc, argv);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	as_file(data, size);
	as_flags(data, size);
	return 0;
}
