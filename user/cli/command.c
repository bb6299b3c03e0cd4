// SPDX-License-Identifier: GPL-2.0-only
/*
 * sluicectl: the table of commands, their common options, help, and which exit code an error has.
 * Must not know what a command does.
 */
#include "cli/cli.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/options.h"
#include "dp/pin.h"
#include "sluice_version.h"

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

CLEANUP_DEFINE(struct options *, options_free);

static const char *const output_words[] = { "table", "json", NULL };
static const char *const colour_words[] = { "auto", "always", "never", NULL };
static const char *const from_words[] = { "auto", "pod", "node", "outside", NULL };

/* The first group belongs to every command; main checks that the others are given to commands that have them. */
static const struct option table[] = {
	{ OPTION_ENUM(struct cli_values, output, "output", "table", output_words,
		      "for people or for programs"),
	  .letter = 'o', .flag_only = true },
	{ OPTION_ACTION(struct cli_values, no_headers, "no-headers",
			"tables without their first line") },
	{ OPTION_ENUM(struct cli_values, colour, "color", "auto", colour_words,
		      "colours in tables") },
	{ OPTION_STRING(struct cli_values, bpffs, "bpffs", PIN_BPFFS_DEFAULT, "DIR",
			"where maps are pinned") },
	{ OPTION_STRING(struct cli_values, admin_socket, "admin-socket", "/run/sluice/admin.sock",
			"PATH", "where the agent listens") },
	{ OPTION_STRING(struct cli_values, namespace, "namespace", NULL, "NAMESPACE",
			"only what is in it"),
	  .letter = 'n', .flag_only = true },
	{ OPTION_STRING(struct cli_values, service, "service", NULL, "[NS/]NAME[:PORT]",
			"only this service"),
	  .letter = 's', .flag_only = true },
	{ OPTION_STRING(struct cli_values, client, "client", NULL, "ADDR[:PORT]",
			"only flows of this client"),
	  .flag_only = true },
	{ OPTION_ACTION(struct cli_values, all, "all", "also what is usually left out"),
	  .letter = 'a' },
	{ OPTION_ACTION(struct cli_values, counters, "counters",
			"sums by reason instead of live refusals") },
	{ OPTION_ENUM(struct cli_values, from, "from", "auto", from_words,
		      "where the packet comes from"),
	  .flag_only = true },
	{ OPTION_ACTION(struct cli_values, established, "established",
			"a TCP packet that is no SYN") },
	{ OPTION_STRING(struct cli_values, source, "source", NULL, "kube|dir:PATH",
			"where the objects to compare with come from") },
	{ OPTION_STRING(struct cli_values, kubeconfig, "kubeconfig", NULL, "FILE",
			"how to reach the API server") },
	{ OPTION_LIST(struct cli_values, api_server, "api-server", NULL, "URL",
		      "API servers, tried in turn") },
	{ OPTION_STRING(struct cli_values, node_name, "node-name", NULL, "NAME",
			"this node among the objects") },
	{ OPTION_STRING(struct cli_values, proxy_addr, "proxy-addr", "127.0.0.1:10254", "ADDR:PORT",
			"where sluice-proxy has its pages") },
	{ OPTION_STRING(struct cli_values, cgroup, "cgroup", NULL, "DIR", "mounted cgroup2") },
	{ 0 },
};

static const char common_options[] = " output no-headers color bpffs admin-socket ";

#define SERVICE_OPTIONS " namespace service "

const struct cli_command cli_commands[] = {
	{ "status",
	  "",
	  "Is it running, and is it well?",
	  "Exit code 3 when the agent does not answer (traffic goes on without it), 1 when it has problems.",
	  " ",
	  0,
	  0,
	  { "sluicectl status", "sluicectl status -o json | jq .maps" },
	  cli_status },
	{ "services",
	  "",
	  "Service addresses that are translated here.",
	  "POLICY is the traffic policy in force, ENDPOINTS how many a new flow may take, LOCAL those on this node.",
	  SERVICE_OPTIONS "all ",
	  0,
	  0,
	  { "sluicectl services -n default", "sluicectl services -s default/web:http" },
	  cli_services },
	{ "backends",
	  "",
	  "Endpoints of services, with their traffic.",
	  NULL,
	  SERVICE_OPTIONS,
	  0,
	  0,
	  { "sluicectl backends -s default/web", "sluicectl backends -o json" },
	  cli_backends },
	{ "flows",
	  "",
	  "Flows that are translated by packet.",
	  "Flows of socket calls are translated before a packet exists and are not listed here.",
	  SERVICE_OPTIONS "client all ",
	  0,
	  0,
	  { "sluicectl flows -s default/web", "sluicectl flows --client 10.0.1.7" },
	  cli_flows },
	{ "counters",
	  "",
	  "Packets by what became of them, and where.",
	  NULL,
	  " all ",
	  0,
	  0,
	  { "sluicectl counters", "sluicectl counters --all -o json" },
	  cli_counters },
	{ "attach",
	  "",
	  "Programs on interfaces and on the cgroup.",
	  NULL,
	  " ",
	  0,
	  0,
	  { "sluicectl attach", "sluicectl attach -o json" },
	  cli_attach },
	{ "drops",
	  "",
	  "Refused packets as they happen, with the reason and the remedy.",
	  "While an agent runs, its last refusals come first and new ones follow; without one they are read from\n"
	  "the kernel, where each is told to one reader: run one of these at a time. --counters sums up all.",
	  " counters all ",
	  0,
	  0,
	  { "sluicectl drops", "sluicectl drops --counters" },
	  cli_drops },
	{ "explain",
	  "SRC DST:PORT [PROTO]",
	  "What would become of a packet, and why.",
	  "SRC is ADDR or ADDR:PORT (without port: a new flow); DST is ADDR:PORT, [ADDR]:PORT or\n"
	  "NAMESPACE/SERVICE:PORT. Nothing is sent; flows, affinity and backends are read from the maps.",
	  " from established ",
	  2,
	  3,
	  { "sluicectl explain 10.0.1.7 10.96.0.10:80",
	    "sluicectl explain 10.0.1.7:40000 default/web:80 udp --from outside" },
	  cli_explain },
	{ "diff",
	  "",
	  "Compares source, agent and kernel.",
	  "Exit code 1 when they differ. Without --source, the agent tells where it reads.",
	  " source kubeconfig api-server node-name ",
	  0,
	  0,
	  { "sluicectl diff",
	    "sluicectl diff --source dir:/etc/sluice/manifests --node-name node-1" },
	  cli_diff },
	{ "doctor",
	  "",
	  "Looks for what could keep sluice from working here.",
	  NULL,
	  " cgroup ",
	  0,
	  0,
	  { "sluicectl doctor",
	    "sluicectl doctor -o json | jq '.checks[]|select(.result!=\"ok\")'" },
	  cli_doctor },
	{ "ingress",
	  "",
	  "What sluice-proxy does not serve as it was asked to, and what to do.",
	  "Exit code 1 when there is anything, 3 when no proxy answers.",
	  " namespace proxy-addr ",
	  0,
	  0,
	  { "sluicectl ingress -n default", "sluicectl ingress -o json | jq .items" },
	  cli_ingress },
	{ "cleanup",
	  "",
	  "Removes all programs, maps and pins of sluice from this node.",
	  "Service addresses stop working. Refused while an agent runs.",
	  " ",
	  0,
	  0,
	  { "sluicectl cleanup", "sluicectl cleanup --bpffs /run/bpf" },
	  cli_cleanup },
	{ 0 },
};

void cli_complain(const char *format, ...)
{
	va_list args;

	fflush(stdout);
	fputs("sluicectl: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
}

int cli_fail(const struct err *err)
{
	cli_complain("%s", err->what);
	switch (err->code) {
	case -EPERM:
	case -EACCES:
		return CLI_CAPABILITY;
	case -ENOTSUP:
		return CLI_KERNEL;
	case -ENOENT:
	case -ECONNREFUSED:
	case -ETIMEDOUT:
		return CLI_UNREACHABLE;
	case -EINVAL:
		return CLI_USAGE;
	default:
		return CLI_PROBLEMS;
	}
}

/* ---- help ---------------------------------------------------------------------------------------------------------- */

static bool has_word(const char *words, const char *word)
{
	char padded[64];

	snprintf(padded, sizeof(padded), " %s ", word);
	return strstr(words, padded) != NULL;
}

static void write_option(FILE *file, const struct option *o)
{
	char left[64], letter[8] = "    ";
	size_t len;

	if (o->letter)
		snprintf(letter, sizeof(letter), "-%c, ", o->letter);
	len = (size_t)snprintf(left, sizeof(left), "%s--%s", letter, o->name);
	if (o->metavar)
		snprintf(left + len, sizeof(left) - len, " %s", o->metavar);
	for (size_t i = 0; o->words && o->words[i]; i++)
		len += (size_t)snprintf(left + len, sizeof(left) - len, "%c%s", i ? '|' : ' ',
					o->words[i]);
	fprintf(file, "  %-36s %s%s%s%s\n", left, o->help, o->preset ? " (" : "",
		o->preset ? o->preset : "", o->preset ? ")" : "");
}

static void write_options(FILE *file, const char *names)
{
	for (const struct option *o = table; o->name; o++)
		if (has_word(names, o->name))
			write_option(file, o);
}

static void write_command_help(FILE *file, const struct cli_command *c)
{
	fprintf(file, "Usage: sluicectl %s%s%s [OPTION…]\n%s\n", c->name, *c->words ? " " : "",
		c->words, c->about);
	if (c->details)
		fprintf(file, "%s\n", c->details);
	fputs("\nOptions:\n", file);
	write_options(file, c->options);
	write_options(file, common_options);
	fprintf(file, "\nExamples:\n  %s\n  %s\n", c->example[0], c->example[1]);
}

static void write_help(FILE *file)
{
	fputs("Usage: sluicectl COMMAND [OPTION…]\nLooks at the service load balancer of this node.\n\n",
	      file);
	for (const struct cli_command *c = cli_commands; c->name; c++)
		fprintf(file, "  %-10s %s\n", c->name, c->about);
	fputs("\n  sluicectl COMMAND --help tells more; --version tells versions\n\n"
	      "Exit codes: 0 ok, 1 problems found, 2 usage, 3 agent or API unreachable,\n"
	      "            4 missing capability, 5 missing kernel feature\n\n"
	      "Examples:\n  sluicectl services\n  sluicectl explain 10.0.1.7 10.96.0.10:80\n",
	      file);
}

static void write_version(FILE *file)
{
	struct utsname name;

	if (uname(&name) < 0)
		snprintf(name.release, sizeof(name.release), "?");
	fprintf(file, "sluicectl %s, maps v%d, kernel %s, licence GPL-2.0\n", SLUICE_VERSION,
		SL_ABI_VERSION, name.release);
}

/* ---- choosing the command --------------------------------------------------------------------------------------------- */

static const struct cli_command *command_find(const char *name)
{
	for (const struct cli_command *c = cli_commands; c->name; c++)
		if (!strcmp(c->name, name))
			return c;
	return NULL;
}

/* For --help, which stops the parser: the first argument that names a command. */
static const struct cli_command *command_in(int argc, char *const argv[])
{
	for (int i = 1; i < argc; i++) {
		const struct cli_command *c = command_find(argv[i]);

		if (c)
			return c;
	}
	return NULL;
}

static int complain_command(const char *name)
{
	const char *names[32] = { NULL };
	const char *near;

	for (size_t i = 0; cli_commands[i].name && i + 1 < ARRAY_LEN(names); i++)
		names[i] = cli_commands[i].name;
	near = options_nearest(name, names);
	if (near)
		cli_complain("there is no command '%s'; did you mean '%s'?", name, near);
	else
		cli_complain("there is no command '%s'; see: sluicectl --help", name);
	return CLI_USAGE;
}

/* An option of another command is a mistake, not a wish. */
static int check_options(const struct cli_command *c, const struct options *options)
{
	for (const struct option *o = table; o->name; o++) {
		if (options_origin(options, o->name) != OPTION_FROM_FLAG ||
		    has_word(common_options, o->name) || has_word(c->options, o->name))
			continue;
		cli_complain("'%s' has no option --%s; see: sluicectl %s --help", c->name, o->name,
			     c->name);
		return CLI_USAGE;
	}
	return CLI_OK;
}

static int check_words(const struct cli_command *c, size_t n)
{
	if (n >= c->min_words && n <= c->max_words)
		return CLI_OK;
	cli_complain("usage: sluicectl %s%s%s [OPTION…]", c->name, *c->words ? " " : "", c->words);
	return CLI_USAGE;
}

/* https://no-color.org: any value that is not empty. */
static bool wants_colour(enum cli_colour colour, FILE *file)
{
	const char *no = getenv("NO_COLOR"), *term = getenv("TERM");

	if (colour != CLI_COLOUR_AUTO)
		return colour == CLI_COLOUR_ALWAYS;
	return isatty(fileno(file)) && !(no && *no) && term && strcmp(term, "dumb") != 0;
}

static int run(const struct cli_command *c, struct cli *cli, FILE *file)
{
	int code;

	out_init(&cli->out, (enum out_style)cli->values.output, file);
	cli->out.headers = !cli->values.no_headers;
	cli->out.colour = wants_colour((enum cli_colour)cli->values.colour, file);
	code = c->run(cli);
	if (fflush(file) || ferror(file)) {
		cli_complain("the output could not be written: %s", strerror(errno));
		code = CLI_PROBLEMS;
	}
	out_done(&cli->out);
	dp_free(cli->dp);
	return code;
}

int cli_main(int argc, char *const argv[], char *const env[], FILE *file)
{
	static const struct options_spec spec = {
		.program = "sluicectl",
		.synopsis = "COMMAND [OPTION…]",
		.about = "Looks at the service load balancer of this node.",
		.table = table,
		.takes_words = true,
		.shares_env = true,
	};
	_cleanup_(options_freep) struct options *options = NULL;
	const struct cli_command *command;
	struct cli cli = { 0 };
	struct err err = { 0 };
	int code = options_load(&spec, argc, argv, env, &cli.values, &options, &err);

	if (code == OPTIONS_HELP) {
		command = command_in(argc, argv);
		command ? write_command_help(file, command) : write_help(file);
		return CLI_OK;
	}
	if (code == OPTIONS_VERSION) {
		write_version(file);
		return CLI_OK;
	}
	if (code < 0) {
		cli_complain("%s", err.what);
		return CLI_USAGE;
	}
	cli.n_words = options_words(options, &cli.words);
	if (!cli.n_words) {
		write_help(stderr);
		return CLI_USAGE;
	}
	command = command_find(cli.words[0]);
	if (!command)
		return complain_command(cli.words[0]);
	cli.words++;
	cli.n_words--;
	code = check_options(command, options);
	if (!code)
		code = check_words(command, cli.n_words);
	return code ? code : run(command, &cli, file);
}
