// SPDX-License-Identifier: GPL-2.0-only
// Options: each type, each origin and their order, every refusal with its sentence, --help and the written form.
/* link: user/base/options.c user/base/options_value.c user/base/arena.c user/base/buf.c */
#include "unit/test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/options.h"

struct config {
	char *config, *node_name;
	struct option_list uplink;
	bool socket_lb, check;
	int tc;
	uint64_t max_services, workers, idle_ns;
	struct option_ports snat_ports;
};

static const char *const tc_words[] = { "auto", "tcx", "clsact", NULL };
static const char *const auto_words[] = { "auto", NULL };
static const struct option table[] = {
	{ OPTION_STRING(struct config, config, "config", NULL, "FILE", "read options from FILE") },
	{ OPTION_STRING(struct config, node_name, "node-name", NULL, "NAME", "this node's name") },
	{ OPTION_LIST(struct config, uplink, "uplink", "auto", "IF", "devices to the outside") },
	{ OPTION_BOOL(struct config, socket_lb, "socket-lb", "on", "translate in sockets") },
	{ OPTION_ENUM(struct config, tc, "tc", "auto", tc_words, "how to attach"), .letter = 't' },
	{ OPTION_UINT(struct config, max_services, "max-services", "65536", 1, 1000000, "N",
		      "room for N services") },
	{ OPTION_UINT(struct config, workers, "workers", "auto", 1, 64, "N", "threads"),
	  .words = auto_words },
	{ OPTION_PORTS(struct config, snat_ports, "snat-ports", "61000-65535", "source ports") },
	{ OPTION_DURATION(struct config, idle_ns, "idle", "90s", 1, 3600000000000, "idle time") },
	{ OPTION_ACTION(struct config, check, "check", "validate and exit") },
	{ 0 },
};
static const struct options_spec spec = {
	.program = "sluiced", .synopsis = "[OPTION…]", .about = "Balances services.", .table = table
};
static const struct options_spec with_words = {
	.program = "sluicectl", .table = table, .takes_words = true, .shares_env = true
};

static struct config got;
static struct options *options;
static struct err err;
static char path[] = "/tmp/test_options.XXXXXX";

static int load(const struct options_spec *of, char *const *env, ...)
{
	char *argv[32] = { (char *)(uintptr_t) "program" };
	int argc = 1, rc;
	va_list args;

	va_start(args, env);
	while ((argv[argc] = va_arg(args, char *)))
		argc++;
	va_end(args);
	options_free(options);
	options = NULL;
	err = (struct err){ 0 };
	memset(&got, 0xa5, sizeof(got)); /* what is not set must not be left over */
	rc = options_load(of, argc, argv, env, &got, &options, &err);
	if (rc < 0)
		assert_int_equal(err.code, rc);
	return rc;
}

#define LOAD(...) load(&spec, NULL, ##__VA_ARGS__, (char *)NULL)
#define ENV(...)  ((char *[]){ __VA_ARGS__, NULL })

/* Loading fails with exactly this sentence. */
#define REFUSED(sentence, call)                          \
	do {                                             \
		assert_int_equal((call), -EINVAL);       \
		assert_string_equal(err.what, sentence); \
		assert_null(options);                    \
	} while (0)

static void file_holds(const char *text)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

/* The sentence of a refused file, without its path. */
#define FILE_REFUSED(text, sentence)                                    \
	do {                                                            \
		file_holds(text);                                       \
		assert_int_equal(LOAD("--config", path), -EINVAL);      \
		assert_memory_equal(err.what, path, strlen(path));      \
		assert_string_equal(err.what + strlen(path), sentence); \
	} while (0)

TEST(defaults_hold_where_nothing_is_said)
{
	assert_int_equal(LOAD(), 0);
	assert_null(got.config);
	assert_null(got.node_name);
	assert_int_equal(got.uplink.len, 1);
	assert_string_equal(got.uplink.item[0], "auto");
	assert_true(got.socket_lb);
	assert_false(got.check);
	assert_int_equal(got.tc, 0);
	assert_int_equal(got.max_services, 65536);
	assert_int_equal(got.workers, 0);
	assert_int_equal(got.idle_ns, 90 * 1000000000ull);
	assert_int_equal(got.snat_ports.low, 61000);
	assert_int_equal(got.snat_ports.high, 65535);
	assert_int_equal(options_origin(options, "tc"), OPTION_FROM_DEFAULT);
}

TEST(flags_take_their_value_behind_a_blank_or_an_equals_sign)
{
	assert_int_equal(LOAD("--node-name", "n1", "--max-services=100", "--tc=clsact",
			      "--socket-lb", "off", "--snat-ports", "5000", "--idle=45m30s",
			      "--workers", "4", "--uplink=eth0, eth1", "--uplink", "eth2",
			      "--check"),
			 0);
	assert_string_equal(got.node_name, "n1");
	assert_int_equal(got.max_services, 100);
	assert_int_equal(got.tc, 2);
	assert_false(got.socket_lb);
	assert_int_equal(got.snat_ports.low, 5000);
	assert_int_equal(got.snat_ports.high, 5000);
	assert_int_equal(got.idle_ns, 2730 * 1000000000ull);
	assert_int_equal(got.workers, 4);
	assert_int_equal(got.uplink.len, 3);
	assert_string_equal(got.uplink.item[0], "eth0");
	assert_string_equal(got.uplink.item[1], "eth1");
	assert_string_equal(got.uplink.item[2], "eth2");
	assert_null(got.uplink.item[3]);
	assert_true(got.check);
	assert_int_equal(options_origin(options, "uplink"), OPTION_FROM_FLAG);
}

TEST(a_letter_is_a_short_flag)
{
	assert_int_equal(LOAD("-t", "tcx"), 0);
	assert_int_equal(got.tc, 1);
	assert_int_equal(LOAD("-tclsact"), 0);
	assert_int_equal(got.tc, 2);
	REFUSED("-x: no such option; 'sluiced --help' lists them", LOAD("-x"));
	REFUSED("-t: needs a value", LOAD("-t"));
}

TEST(the_last_flag_wins_and_a_bare_bool_is_on)
{
	assert_int_equal(LOAD("--tc", "tcx", "--tc", "clsact", "--socket-lb=no", "--socket-lb"), 0);
	assert_int_equal(got.tc, 2);
	assert_true(got.socket_lb);
	assert_int_equal(LOAD("--socket-lb=off", "--socket-lb", "yes"), 0);
	assert_true(got.socket_lb);
	assert_int_equal(LOAD("--socket-lb", "false"), 0);
	assert_false(got.socket_lb);
}

TEST(words_are_kept_where_the_program_takes_them)
{
	char *const *words;

	assert_int_equal(load(&with_words, NULL, "flows", "--check", "on", "--", "--tc", NULL), 0);
	assert_int_equal(options_words(options, &words), 3);
	assert_string_equal(words[0], "flows");
	assert_string_equal(words[1], "on"); /* an action takes no value */
	assert_string_equal(words[2], "--tc");
	REFUSED("'flows': no such word here; 'sluiced --help' lists the options", LOAD("flows"));
}

TEST(misspelt_flags_are_refused_with_the_nearest)
{
	REFUSED("--max-servces: no such option; did you mean --max-services?",
		LOAD("--max-servces", "1"));
	REFUSED("--ndoe-name: no such option; did you mean --node-name?", LOAD("--ndoe-name=x"));
	REFUSED("--snat: no such option; did you mean --snat-ports?", LOAD("--snat"));
	REFUSED("--hepl: no such option; did you mean --help?", LOAD("--hepl"));
	REFUSED("--colour: no such option; 'sluiced --help' lists them", LOAD("--colour"));
	REFUSED("--node-name: needs a value, NAME", LOAD("--node-name"));
}

TEST(values_are_refused_with_what_would_be_right)
{
	REFUSED("--tc: 'tcxx' is not one of auto, tcx, clsact; did you mean 'tcx'?",
		LOAD("--tc=tcxx"));
	REFUSED("--tc: 'netkit' is not one of auto, tcx, clsact", LOAD("--tc=netkit"));
	REFUSED("--socket-lb: 'onn' is not one of on, off, true, false, yes, no; did you mean 'on'?",
		LOAD("--socket-lb=onn"));
	REFUSED("--max-services: '12x' is not a whole number", LOAD("--max-services=12x"));
	REFUSED("--max-services: '-1' is not a whole number", LOAD("--max-services", "-1"));
	REFUSED("--max-services: '' is not a whole number", LOAD("--max-services="));
	REFUSED("--max-services: 0 is out of range; use 1 to 1000000", LOAD("--max-services=0"));
	REFUSED("--max-services: 99999999999999999999 is out of range; use 1 to 1000000",
		LOAD("--max-services=99999999999999999999"));
	REFUSED("--workers: 'many' is not a whole number or auto", LOAD("--workers=many"));
	REFUSED("--snat-ports: 'a-b' is not a port range; write LOW-HIGH",
		LOAD("--snat-ports=a-b"));
	REFUSED("--snat-ports: '9-5' is no range of ports; use 1 to 65535, the lower one first",
		LOAD("--snat-ports=9-5"));
	REFUSED("--snat-ports: '1-65536' is no range of ports; use 1 to 65535, the lower one first",
		LOAD("--snat-ports=1-65536"));
	REFUSED("--idle: '10' has no unit; write 10s or 10ms", LOAD("--idle=10"));
	REFUSED("--idle: 'soon' is not a duration; write 250ms, 10s or 1h30m", LOAD("--idle=soon"));
	REFUSED("--idle: 0s is out of range; use 1ns to 1h", LOAD("--idle=0s"));
	REFUSED("--idle: 999999999h is out of range; use 1ns to 1h", LOAD("--idle=999999999h"));
	REFUSED("--uplink: 'a,,b' has an empty item; separate items by one comma",
		LOAD("--uplink=a,,b"));
}

TEST(an_empty_list_clears_the_default)
{
	assert_int_equal(LOAD("--uplink="), 0);
	assert_int_equal(got.uplink.len, 0);
}

TEST(the_environment_counts_less_than_a_flag)
{
	assert_int_equal(load(&spec, ENV("PATH=/bin", "SLUICE_TC=tcx", "SLUICE_MAX_SERVICES=5"),
			      "--tc=clsact", NULL),
			 0);
	assert_int_equal(got.tc, 2);
	assert_int_equal(got.max_services, 5);
	assert_int_equal(options_origin(options, "max-services"), OPTION_FROM_ENV);
	REFUSED("environment variable SLUICE_TC: 'x' is not one of auto, tcx, clsact",
		load(&spec, ENV("SLUICE_TC=x"), "--tc=tcx",
		     NULL)); /* also where a flag covers it */
	REFUSED("environment variable SLUICE_MAX_SERVICE: no such option; did you mean "
		"SLUICE_MAX_SERVICES?",
		load(&spec, ENV("SLUICE_MAX_SERVICE=5"), NULL));
	REFUSED("environment variable SLUICE_CHECK: no such option; 'sluiced --help' lists them",
		load(&spec, ENV("SLUICE_CHECK=on"), NULL)); /* an action */
}

TEST(variables_of_a_service_and_of_other_programs_are_let_be)
{
	assert_int_equal(
		load(&spec,
		     ENV("SLUICE_SERVICE_HOST=10.0.0.1", "SLUICE_SERVICE_PORT=80",
			 "SLUICE_SERVICE_PORT_HTTP=80", "SLUICE_PORT=tcp://10.0.0.1:80",
			 "SLUICE_PORT_80_TCP_ADDR=10.0.0.1", "SLUICE_METRICS_PORT_53_UDP=x",
			 "SLUICE_METRICS_SERVICE_HOST=10.0.0.2"),
		     NULL),
		0);
	assert_int_equal(load(&with_words, ENV("SLUICE_HTTP_ADDR=:80", "SLUICE_TC=tcx"), NULL), 0);
	assert_int_equal(got.tc, 1);
}

TEST(a_file_holds_names_and_values)
{
	file_holds("# all of it\n"
		   "node-name: worker-1   # a comment\n"
		   "\n"
		   "  max-services = 7\n"
		   "uplink: eth0, eth1\r\n"
		   "socket-lb: off\n"
		   "idle: '5m'\n"
		   "tc=tcx");
	assert_int_equal(load(&spec, ENV("SLUICE_MAX_SERVICES=8", "SLUICE_UPLINK=eth9"), "--config",
			      path, "--tc=clsact", NULL),
			 0);
	assert_string_equal(got.node_name, "worker-1");
	assert_int_equal(got.max_services, 8);
	assert_int_equal(got.uplink.len, 1); /* replaced, not added to */
	assert_string_equal(got.uplink.item[0], "eth9");
	assert_false(got.socket_lb);
	assert_int_equal(got.idle_ns, 300 * 1000000000ull);
	assert_int_equal(got.tc, 2);
	assert_int_equal(options_origin(options, "node-name"), OPTION_FROM_FILE);
	assert_int_equal(options_origin(options, "uplink"), OPTION_FROM_ENV);
	assert_int_equal(options_origin(options, "tc"), OPTION_FROM_FLAG);
}

TEST(the_environment_may_name_the_file)
{
	char variable[64];

	file_holds("tc: tcx\n");
	snprintf(variable, sizeof(variable), "SLUICE_CONFIG=%s", path);
	assert_int_equal(load(&spec, ENV(variable), NULL), 0);
	assert_int_equal(got.tc, 1);
	assert_int_equal(load(&spec, ENV("SLUICE_CONFIG=/nonexistent"), "--config=/nonexistent",
			      "--config", path, NULL),
			 0);
}

TEST(values_may_hold_what_begins_a_comment_or_separates)
{
	file_holds("node-name: \"a #b\" # really\n");
	assert_int_equal(LOAD("--config", path), 0);
	assert_string_equal(got.node_name, "a #b");
	file_holds("node-name: http://x:1/?a=b#c\n");
	assert_int_equal(LOAD("--config", path), 0);
	assert_string_equal(got.node_name, "http://x:1/?a=b#c");
	file_holds("node-name: \"\"\n");
	assert_int_equal(LOAD("--config", path), 0);
	assert_string_equal(got.node_name, "");
}

TEST(a_file_is_refused_with_its_line)
{
	FILE_REFUSED("\n\nmax-srvices: 1\n",
		     ":3: max-srvices: no such option; did you mean max-services?");
	FILE_REFUSED("tc: tcxx\n",
		     ":1: tc: 'tcxx' is not one of auto, tcx, clsact; did you mean 'tcx'?");
	FILE_REFUSED("tc: tcx\ntc: auto\n",
		     ":2: tc: was already set on line 1; keep one of the two");
	FILE_REFUSED("just words\n", ":1: 'just words' is not an option; write 'name: value'");
	FILE_REFUSED("tc:\n", ":1: tc: has no value; write \"\" for an empty one");
	FILE_REFUSED("check: on\n", ":1: check: can only be given as a flag, --check");
	FILE_REFUSED("config: x\n", ":1: config: can only be given as a flag, --config");
	assert_int_equal(LOAD("--config", "/nonexistent"), -ENOENT);
	assert_string_equal(err.what, "configuration file /nonexistent: No such file or directory");
	assert_int_equal(LOAD("--config", "/"), -EIO); /* a directory opens, but cannot be read */
}

TEST(help_and_version_come_before_everything_else)
{
	struct buf buf = { 0 };

	assert_int_equal(LOAD("--help"), OPTIONS_HELP);
	assert_int_equal(LOAD("-h"), OPTIONS_HELP);
	assert_int_equal(LOAD("--version"), OPTIONS_VERSION);
	assert_int_equal(LOAD("--config=/nonexistent", "--help"), OPTIONS_HELP);
	assert_int_equal(options_write_help(&spec, &buf), 0);
	assert_non_null(strstr(buf_str(&buf), "usage: sluiced [OPTION…]\nBalances services.\n"));
	assert_non_null(strstr(buf_str(&buf),
			       "  -t, --tc auto|tcx|clsact        how to attach (default auto)\n"));
	assert_non_null(strstr(
		buf_str(&buf),
		"  --uplink IF[,IF]                devices to the outside (default auto)\n"));
	assert_non_null(strstr(buf_str(&buf),
			       "  --workers auto|N                threads (default auto)\n"));
	assert_non_null(
		strstr(buf_str(&buf), "  --check                         validate and exit\n"));
	buf_done(&buf);
}

TEST(what_is_in_force_is_written_as_a_file_that_reads_back)
{
	struct buf first = { 0 }, second = { 0 };
	char *text;

	assert_int_equal(load(&spec, ENV("SLUICE_IDLE=1500ms"), "--node-name", " #x\"y",
			      "--uplink=a,b", "--workers=auto", "--check", NULL),
			 0);
	assert_int_equal(options_write(options, &first), 0);
	text = buf_take(&first);
	assert_string_equal(text, "node-name = ' #x\"y'  # flag\n"
				  "uplink = a,b  # flag\n"
				  "socket-lb = on  # default\n"
				  "tc = auto  # default\n"
				  "max-services = 65536  # default\n"
				  "workers = auto  # flag\n"
				  "snat-ports = 61000-65535  # default\n"
				  "idle = 1500ms  # environment SLUICE_IDLE\n");
	file_holds(text);
	assert_int_equal(LOAD("--config", path), 0);
	assert_string_equal(got.node_name, " #x\"y");
	assert_int_equal(got.idle_ns, 1500 * 1000000ull);
	assert_int_equal(options_write(options, &second), 0);
	assert_non_null(strstr(buf_str(&second), ":1\n"));
	assert_non_null(strstr(buf_str(&second), "idle = 1500ms  # file /"));
	free(text);
	buf_done(&second);
	assert_int_equal(LOAD(), 0);
	options_write(options, &first);
	assert_memory_equal(buf_str(&first), "# node-name is not set\n", 23);
	buf_done(&first);
}

TEST(near_is_a_slip_or_a_beginning)
{
	static const char *const words[] = { "random", "maglev", "least-connections", NULL };

	assert_string_equal(options_nearest("mgalev", words), "maglev");
	assert_string_equal(options_nearest("rand", words), "random");
	assert_string_equal(options_nearest("least-conections", words), "least-connections");
	assert_string_equal(options_nearest("least", words), "least-connections");
	assert_null(options_nearest("hash", words));
	assert_null(options_nearest("", words));
	assert_null(options_nearest(
		"a-word-of-more-than-sixty-four-characters-that-is-near-to-nothing-at-all", words));
}

static int begin(void **state)
{
	int fd = mkstemp(path);

	(void)state;
	return fd < 0 ? -1 : close(fd);
}

static int end(void **state)
{
	(void)state;
	options_free(options);
	return unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults_hold_where_nothing_is_said),
		cmocka_unit_test(flags_take_their_value_behind_a_blank_or_an_equals_sign),
		cmocka_unit_test(a_letter_is_a_short_flag),
		cmocka_unit_test(the_last_flag_wins_and_a_bare_bool_is_on),
		cmocka_unit_test(words_are_kept_where_the_program_takes_them),
		cmocka_unit_test(misspelt_flags_are_refused_with_the_nearest),
		cmocka_unit_test(values_are_refused_with_what_would_be_right),
		cmocka_unit_test(an_empty_list_clears_the_default),
		cmocka_unit_test(the_environment_counts_less_than_a_flag),
		cmocka_unit_test(variables_of_a_service_and_of_other_programs_are_let_be),
		cmocka_unit_test(a_file_holds_names_and_values),
		cmocka_unit_test(the_environment_may_name_the_file),
		cmocka_unit_test(values_may_hold_what_begins_a_comment_or_separates),
		cmocka_unit_test(a_file_is_refused_with_its_line),
		cmocka_unit_test(help_and_version_come_before_everything_else),
		cmocka_unit_test(what_is_in_force_is_written_as_a_file_that_reads_back),
		cmocka_unit_test(near_is_a_slip_or_a_beginning),
	};

	return cmocka_run_group_tests_name(__FILE__, tests, begin, end);
}
