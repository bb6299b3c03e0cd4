/* SPDX-License-Identifier: GPL-2.0 */
/* slbench: the measurements that need no traffic. Raw data on stdout; report.py makes a table of it. */
/* Must not know what is measured: measure.h. */
#include <errno.h>
#include <getopt.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/measure.h"
#include "bench/rig.h"

static const struct {
	const char *name;
	int (*run)(const struct measure_options *options, struct err *err);
} measurements[] = {
	{ "ns", measure_ns },
	{ "full", measure_full },
	{ "control", measure_control },
};

static int usage(void)
{
	fputs("usage: slbench [--quick] [--rounds N] [--repeat N] [--cpu N] [--only PART] --object generate.bpf.o ns|full|control\n",
	      stderr);
	return 2;
}

static void pin_to(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set) < 0)
		fprintf(stderr, "slbench: --cpu %d: %s; running anywhere\n", cpu, strerror(errno));
}

static int run(const char *name, const struct measure_options *options)
{
	struct err err = { 0 };

	for (size_t i = 0; i < sizeof(measurements) / sizeof(measurements[0]); i++) {
		if (strcmp(measurements[i].name, name) != 0)
			continue;
		if (rig_setup(&err) < 0 || measurements[i].run(options, &err) < 0) {
			fprintf(stderr, "slbench: %s\n", err.what);
			return 1;
		}
		return 0;
	}
	return usage();
}

int main(int argc, char **argv)
{
	static const struct option long_options[] = {
		{ "quick", no_argument, NULL, 'q' },
		{ "rounds", required_argument, NULL, 'r' },
		{ "repeat", required_argument, NULL, 'n' },
		{ "cpu", required_argument, NULL, 'c' },
		{ "only", required_argument, NULL, 'o' },
		{ "object", required_argument, NULL, 'b' },
		{ 0 },
	};
	struct measure_options options = { .rounds = 11, .repeat = 500000 };
	int option;

	while ((option = getopt_long(argc, argv, "", long_options, NULL)) >= 0) {
		switch (option) {
		case 'q':
			options.quick = true;
			break;
		case 'r':
			options.rounds = (uint32_t)atoi(optarg);
			break;
		case 'n':
			options.repeat = (uint32_t)atoi(optarg);
			break;
		case 'c':
			pin_to(atoi(optarg));
			break;
		case 'o':
			options.only = optarg;
			break;
		case 'b':
			options.object = optarg;
			break;
		default:
			return usage();
		}
	}
	if (optind + 1 != argc || !options.object || !options.rounds || !options.repeat)
		return usage();
	return run(argv[optind], &options);
}
