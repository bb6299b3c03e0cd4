/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * sluicectl: what commands share. A command is a file named after its noun with one function, listed in command.c.
 *
 * Commands read the pinned maps; none of them needs a running agent. Messages go to stderr through cli_complain().
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/options.h"
#include "cli/out.h"
#include "core/rows.h"
#include "core/view.h"
#include "dp/maps.h"

enum cli_exit {
	CLI_OK = 0,
	CLI_PROBLEMS = 1, /* diff, doctor, status found some; or the command could not be done */
	CLI_USAGE = 2,
	CLI_UNREACHABLE = 3, /* agent or API server; nothing is pinned */
	CLI_CAPABILITY = 4,
	CLI_KERNEL = 5,
};

enum cli_from {
	CLI_FROM_AUTO, /* node for the node's own addresses, else pod */
	CLI_FROM_POD,
	CLI_FROM_NODE,
	CLI_FROM_OUTSIDE,
};

enum cli_colour {
	CLI_COLOUR_AUTO,
	CLI_COLOUR_ALWAYS,
	CLI_COLOUR_NEVER,
};

/* What was given on the command line; command.c holds the table. */
struct cli_values {
	char *bpffs;
	char *admin_socket;
	char *proxy_addr;
	int output; /* enum out_style */
	bool no_headers;
	int colour; /* enum cli_colour */
	char *namespace;
	char *service;
	char *client;
	char *source;
	char *kubeconfig;
	struct option_list api_server;
	char *node_name;
	char *cgroup;
	int from; /* enum cli_from */
	bool all;
	bool counters;
	bool fin;
	bool established;
};

struct cli {
	struct cli_values values;
	char *const *words; /* behind the noun */
	size_t n_words;
	struct out out;
	struct dp *dp; /* after cli_open_maps() */
};

struct cli_command {
	const char *name;
	const char *words;   /* usage behind the name: "SRC DST:PORT [PROTO]" */
	const char *about;   /* one sentence */
	const char *details; /* a few lines, may be NULL */
	const char *options; /* its own ones, " a b ", beside those of every command */
	size_t min_words, max_words;
	const char *example[2];
	int (*run)(struct cli *cli); /* enum cli_exit */
};

extern const struct cli_command cli_commands[]; /* ends with name NULL */

int cli_status(struct cli *cli);
int cli_services(struct cli *cli);
int cli_backends(struct cli *cli);
int cli_flows(struct cli *cli);
int cli_counters(struct cli *cli);
int cli_attach(struct cli *cli);
int cli_drops(struct cli *cli);
int cli_explain(struct cli *cli);
int cli_diff(struct cli *cli);
int cli_doctor(struct cli *cli);
int cli_ingress(struct cli *cli);
int cli_cleanup(struct cli *cli);

/* What tests call; main() is in main.c. */
int cli_main(int argc, char *const argv[], char *const env[], FILE *file);

/* "sluicectl: …" to stderr. */
void cli_complain(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Says what is in err and returns the exit code that belongs to it. */
int cli_fail(const struct err *err);

/* Opens the pins, once. CLI_OK, or the exit code after having said why. */
int cli_open_maps(struct cli *cli);

/* The view of the kernel: CLI_OK or the exit code after having said why. view_done() is the caller's. */
int cli_kernel_view(struct cli *cli, struct view *ret_view);

/* The ranges of service addresses that the programs know; how many. */
size_t cli_service_cidrs(const struct sl_config *config, struct cidr ret_cidrs[2 * SL_CIDRS]);

/* All of them CLI_OK, or the exit code after having said why. */
struct attach_row;
int cli_read_counters(struct cli *cli, struct sl_counter counters[SL_REASON_COUNT]);
int cli_attach_rows(struct cli *cli, struct attach_row **ret_rows,
		    size_t *ret_n); /* rows are the caller's to free() */

/*
 * Names by service id, of one family. cli_name() gives "namespace/name:port-name" ("id 7" where there is no name); valid
 * as long as the names.
 */
struct cli_names {
	int family;
	struct sl_name *names; /* by id; namespace empty: none */
	size_t n;
};
int cli_names_read(struct cli *cli, int family, struct cli_names *ret_names);
void cli_names_done(struct cli_names *names);
const struct sl_name *cli_names_find(const struct cli_names *names,
				     uint32_t service); /* NULL = none */

#define CLI_NAME_LEN (SL_NAMESPACE_LEN + SL_NAME_LEN + SL_PORT_NAME_LEN + 8)
/* "name:port-name", or "name:80" for an unnamed port; for a column beside the namespace. */
const char *cli_service_text(const char *name, const char *port_name, uint16_t port,
			     char buf[CLI_NAME_LEN]);
/* Does "name", "namespace/name" or either with ":port-name" or ":80" mean this one? wanted NULL means any. */
bool cli_service_matches(const char *wanted, const char *namespace, const char *name,
			 const char *port_name, uint16_t port);

#endif
