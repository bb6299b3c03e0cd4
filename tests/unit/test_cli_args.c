// SPDX-License-Identifier: GPL-2.0-only
// sluicectl's command line: which command, which options, which exit code, and help that fits a screen.
/* link: user/cli/command.c user/cli/out.c user/cli/out_table.c user/cli/out_json.c user/base/options.c user/base/options_value.c user/base/arena.c user/base/buf.c */
#include "unit/test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

/* ---- the commands, as spies ------------------------------------------------------------------------------------------ */

static const char *called;
static struct cli_values seen; /* strings are gone after the call: what matters is copied */
static char seen_words[3][64], seen_text[64];
static size_t seen_n_words;
static bool seen_headers;
static enum out_style seen_style;
static int answer;

static int spy(struct cli *cli, const char *name)
{
	called = name;
	seen = cli->values;
	seen_n_words = cli->n_words;
	for (size_t i = 0; i < cli->n_words && i < 3; i++)
		snprintf(seen_words[i], sizeof(seen_words[i]), "%s", cli->words[i]);
	snprintf(seen_text, sizeof(seen_text), "%s|%s|%s",
		 cli->values.namespace ? cli->values.namespace : "",
		 cli->values.service ? cli->values.service : "", cli->values.bpffs);
	seen_headers = cli->out.headers;
	seen_style = cli->out.ops == &out_json_ops ? OUT_JSON : OUT_TABLE;
	return answer;
}

#define SPY(name)                       \
	int cli_##name(struct cli *cli) \
	{                               \
		return spy(cli, #name); \
	}
SPY(status)
SPY(services)
SPY(backends)
SPY(flows)
SPY(counters)
SPY(attach)
SPY(drops)
SPY(explain)
SPY(diff)
SPY(doctor)
SPY(ingress)
SPY(cleanup)

void dp_free(struct dp *dp)
{
	assert_null(dp);
}

/* ---- running ------------------------------------------------------------------------------------------------------------ */

static char *text; /* what was printed */
static size_t text_len;

static int reset(void **state)
{
	(void)state;
	free(text);
	text = NULL;
	called = NULL;
	return 0;
}

static int run_env(char *const env[], const char *line)
{
	char copy[256], *argv[16] = { (char *)(uintptr_t) "sluicectl" };
	int argc = 1, code;
	FILE *file;

	reset(NULL);
	snprintf(copy, sizeof(copy), "%s", line);
	for (char *word = strtok(copy, " "); word; word = strtok(NULL, " "))
		argv[argc++] = word;
	file = open_memstream(&text, &text_len);
	code = cli_main(argc, argv, env, file);
	fclose(file);
	return code;
}

static int run(const char *line)
{
	char *none[] = { NULL };

	return run_env(none, line);
}

/* Refused with exit code 2, and no command was called. */
static void refused(const char *line)
{
	assert_int_equal(run(line), CLI_USAGE);
	assert_null(called);
	assert_int_equal(text_len, 0); /* talk goes to stderr */
}

TEST(a_command_gets_its_options_wherever_they_stand)
{
	assert_int_equal(run("services -n shop --service web -o json --no-headers --bpffs /x"), 0);
	assert_string_equal(called, "services");
	assert_string_equal(seen_text, "shop|web|/x");
	assert_int_equal(seen_style, OUT_JSON);
	assert_false(seen_headers);
	assert_int_equal(run("-o table services"), 0);
	assert_string_equal(called, "services");
	assert_int_equal(seen_style, OUT_TABLE);
	assert_string_equal(seen_text, "||/sys/fs/bpf");
	assert_true(seen_headers);
}

TEST(words_behind_the_command_are_its_own)
{
	assert_int_equal(run("explain 10.0.0.1 10.96.0.1:80 udp --from outside"), 0);
	assert_string_equal(called, "explain");
	assert_int_equal(seen_n_words, 3);
	assert_string_equal(seen_words[1], "10.96.0.1:80");
	assert_int_equal(seen.from, CLI_FROM_OUTSIDE);
}

TEST(the_exit_code_is_the_commands)
{
	for (answer = CLI_KERNEL; answer > CLI_OK; answer--)
		assert_int_equal(run("diff"), answer);
	assert_int_equal(run("diff"), CLI_OK);
	assert_string_equal(called, "diff");
}

TEST(exit_codes_are_what_scripts_were_told)
{
	assert_int_equal(CLI_PROBLEMS, 1);
	assert_int_equal(CLI_USAGE, 2);
	assert_int_equal(CLI_UNREACHABLE, 3);
	assert_int_equal(CLI_CAPABILITY, 4);
	assert_int_equal(CLI_KERNEL, 5);
}

TEST(mistakes_are_refused)
{
	refused("");
	refused("servces");
	refused("services --output xml");
	refused("services --client 10.0.0.1"); /* an option of another command */
	refused("services extra");
	refused("explain 10.0.0.1");
	refused("explain 1 2 3 4");
	refused("flows --nmespace x");
	refused("services -n");
}

TEST(environment_sets_what_belongs_to_the_machine_only)
{
	char *env[] = { (char *)(uintptr_t) "SLUICE_BPFFS=/mnt/bpf",
			(char *)(uintptr_t) "SLUICE_NODE_IP=10.0.0.1", NULL };

	assert_int_equal(run_env(env, "services"),
			 0); /* the agent's variables are no mistake here */
	assert_string_equal(seen_text, "||/mnt/bpf");
	assert_int_equal(run_env(env, "services --bpffs /x"), 0);
	assert_string_equal(seen_text, "||/x");
}

TEST(help_of_every_command_fits_and_has_two_examples)
{
	for (const struct cli_command *c = cli_commands; c->name; c++) {
		char line[64];
		size_t lines = 0, examples = 0;

		snprintf(line, sizeof(line), "%s --help", c->name);
		assert_int_equal(run(line), 0);
		assert_null(called);
		for (const char *at = text; *at; at++)
			lines += *at == '\n';
		for (const char *at = text; (at = strstr(at, "\n  sluicectl ")) != NULL; at++)
			examples++;
		assert_true(lines < 25);
		assert_int_equal(examples, 2);
		assert_non_null(strstr(text, c->about));
	}
}

TEST(help_of_the_whole_names_every_command_and_the_exit_codes)
{
	size_t lines = 0;

	assert_int_equal(run("--help"), 0);
	for (const struct cli_command *c = cli_commands; c->name; c++)
		assert_non_null(strstr(text, c->about));
	assert_non_null(strstr(text, "4 missing capability"));
	for (const char *at = text; *at; at++)
		lines += *at == '\n';
	assert_true(lines < 25);
}

TEST(version_names_program_and_maps)
{
	assert_int_equal(run("--version"), 0);
	assert_non_null(strstr(text, "sluicectl "));
	assert_non_null(strstr(text, "maps v1"));
}

TEST(errors_have_the_exit_code_of_their_kind)
{
	static const struct {
		int code, exit;
	} cases[] = {
		{ -EPERM, CLI_CAPABILITY },
		{ -EACCES, CLI_CAPABILITY },
		{ -ENOTSUP, CLI_KERNEL },
		{ -ENOENT, CLI_UNREACHABLE },
		{ -ECONNREFUSED, CLI_UNREACHABLE },
		{ -ETIMEDOUT, CLI_UNREACHABLE },
		{ -EINVAL, CLI_USAGE },
		{ -ENOMEM, CLI_PROBLEMS },
		{ -EBUSY, CLI_PROBLEMS },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct err err = { 0 };

		err_set(&err, cases[i].code, "error %zu of a test", i);
		assert_int_equal(cli_fail(&err), cases[i].exit);
	}
}

#define T(test) cmocka_unit_test_setup_teardown(test, reset, reset)

RUN(T(a_command_gets_its_options_wherever_they_stand), T(words_behind_the_command_are_its_own),
    T(the_exit_code_is_the_commands), T(exit_codes_are_what_scripts_were_told),
    T(mistakes_are_refused), T(environment_sets_what_belongs_to_the_machine_only),
    T(help_of_every_command_fits_and_has_two_examples),
    T(help_of_the_whole_names_every_command_and_the_exit_codes), T(version_names_program_and_maps),
    T(errors_have_the_exit_code_of_their_kind))
