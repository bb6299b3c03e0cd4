// SPDX-License-Identifier: GPL-2.0-only
// The options of sluiced: defaults, conversions, and refusals that name the option and the remedy.
/* link: user/agent/options.c user/agent/detect_local.c user/serve/convert.c user/serve/listen_addr.c user/base/options.c user/base/options_value.c user/base/arena.c user/base/buf.c user/core/address.c */
#include "unit/test.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "agent/options.h"
#include "base/options.h"

static struct config config;
static struct err err;
static bool loaded;

static int unload(void **state)
{
	(void)state;
	if (loaded)
		config_done(&config);
	loaded = false;
	return 0;
}

static int load(const char *first, ...)
{
	char *none[] = { NULL };
	char *argv[32] = { (char *)(uintptr_t) "sluiced" };
	int argc = 1, rc;
	va_list args;

	unload(NULL);
	memset(&err, 0, sizeof(err));
	va_start(args, first);
	for (const char *word = first; word; word = va_arg(args, const char *))
		argv[argc++] = (char *)(uintptr_t)word;
	va_end(args);
	rc = config_load(argc, argv, none, &config, &err);
	loaded = rc == 0;
	return rc;
}

#define REFUSED(words, ...)                                           \
	do {                                                          \
		assert_int_equal(load(__VA_ARGS__, NULL), -EINVAL);   \
		if (!strstr(err.what, words))                         \
			fail_msg("'%s' lacks '%s'", err.what, words); \
	} while (0)

#define DIR         "--source", "dir:/m"
#define ALONE(name) cmocka_unit_test_teardown(name, unload)

TEST(defaults)
{
	assert_int_equal(load(DIR, NULL), 0);
	assert_string_equal(config.source_dir, "/m");
	assert_true(config.node_name[0]);
	assert_string_equal(config.uplink, "auto");
	assert_string_equal(config.pod_ifaces, "auto");
	assert_int_equal(config.max_services, 16384);
	assert_int_equal(config.max_backends, 65536);
	assert_int_equal(config.max_flows, 0);
	assert_int_equal(config.snat_low, 61000);
	assert_int_equal(config.snat_high, 65535);
	assert_int_equal(config.xdp, CONFIG_XDP_NATIVE);
	assert_int_equal(config.tc, CONFIG_TC_AUTO);
	assert_true(config.socket_lb);
	assert_string_equal(config.bpffs, "/sys/fs/bpf");
	assert_null(config.cgroup);
	assert_string_equal(config.admin_socket, "/run/sluice/admin.sock");
	assert_null(config.notes);
	assert_false(config.check || config.cleanup);
}

TEST(lists_are_converted_and_joined)
{
	assert_int_equal(load(DIR, "--node-ip", "192.0.2.1,2001:db8::1", "--exclude-vip",
			      "10.96.0.10", "--service-cidr", "10.96.0.0/12,fd00::/112", "--uplink",
			      "eth0,eth1", "--uplink", "eth2", "--node-name", "n1", "--max-flows",
			      "4096", NULL),
			 0);
	assert_int_equal(config.n_node_ips, 2);
	assert_int_equal(config.node_ips[1].family, 6);
	assert_int_equal(config.n_exclude_vips, 1);
	assert_int_equal(config.n_service_cidrs, 2);
	assert_int_equal(config.service_cidrs[0].len, 12);
	assert_string_equal(config.uplink, "eth0,eth1,eth2");
	assert_string_equal(config.node_name, "n1");
	assert_int_equal(config.max_flows, 4096);
}

TEST(packets_go_through_the_stack_unless_told)
{
	assert_int_equal(load(DIR, NULL), 0);
	assert_int_equal(config.forwarding, CONFIG_FORWARDING_STACK);
	assert_int_equal(load(DIR, "--forwarding", "fast", NULL), 0);
	assert_int_equal(config.forwarding, CONFIG_FORWARDING_FAST);
	REFUSED("--forwarding", DIR, "--forwarding", "quick");
}

TEST(the_api_server_is_the_default_source)
{
	assert_int_equal(load("--node-name", "n1", NULL), 0);
	assert_string_equal(config.source, "kube");
	assert_null(config.source_dir);
	assert_null(config.kubeconfig);
	assert_int_equal(config.n_api_servers, 0);
	assert_string_equal(config.state_dir, "/var/lib/sluice");
	assert_int_equal(load("--source", "kube", "--kubeconfig", "/k", "--api-server",
			      "https://a,https://b:6443", NULL),
			 0);
	assert_string_equal(config.kubeconfig, "/k");
	assert_int_equal(config.n_api_servers, 2);
	assert_string_equal(config.api_servers[1], "https://b:6443");
	assert_null(config.notes);
}

TEST(what_has_no_effect_yet_is_said)
{
	assert_int_equal(load(DIR, "--masquerade-all", "--kubeconfig", "/k", "--snat-ports",
			      "50000-50100", NULL),
			 0);
	assert_non_null(strstr(config.notes, "--masquerade-all"));
	assert_null(strstr(config.notes, "--snat-ports")); /* a pod that reaches itself has one */
	assert_non_null(strstr(config.notes, "--kubeconfig"));
	assert_null(strstr(config.notes, "--state-dir"));
}

TEST(bad_values_are_refused_with_what_they_may_be)
{
	REFUSED("--source", "--source", "dri:/m");
	REFUSED("--source", "--source", "dir:");
	REFUSED("--node-ip 300.1.1.1", DIR, "--node-ip", "192.0.2.1,300.1.1.1");
	REFUSED("--service-cidr 10.0.0.0", DIR, "--service-cidr", "10.0.0.0");
	REFUSED("native", DIR, "--xdp", "nativ");
	REFUSED("--metrics-addr", DIR, "--metrics-addr", "localhost:80");
	REFUSED("max-flows", DIR, "--max-flows", "5");
	REFUSED("pod-ifaces", DIR, "--pod-iface", "x");
	REFUSED("--node-name", DIR, "--node-name", "");
	REFUSED("--node-name 'Node 1'", DIR, "--node-name", "Node 1");
	REFUSED("give one of them", DIR, "--check", "--cleanup");
}

TEST(what_has_no_effect_yet_is_refused_where_it_is_wrong)
{
	static const char *const good[] = {
		"none",       "node-cidr",   "cidr:10.244.0.0/16,fd00::/48",
		"bridge:br0", "prefix:cali", "cidr:0.0.0.0/0"
	};
	static const char *const bad[] = { "",
					   "nonsense",
					   "cidr:",
					   "cidr:10.0.0.0/99",
					   "cidr:10.0.0.0/8,",
					   "bridge:",
					   "prefix:a/b",
					   "bridge:a-name-too-long-for-one" };

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_int_equal(load(DIR, "--detect-local", good[i], NULL), 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		REFUSED("--detect-local", DIR, "--detect-local", bad[i]);
	REFUSED("prefix:IFPREFIX", DIR, "--detect-local", "nonsense");
	assert_int_equal(load(DIR, "--nodeport-addresses", "192.0.2.0/24,fd00::/64", NULL), 0);
	assert_int_equal(load(DIR, "--nodeport-addresses", "primary", NULL), 0);
	REFUSED("--nodeport-addresses eth0", DIR, "--nodeport-addresses", "eth0");
	REFUSED("--nodeport-addresses primary", DIR, "--nodeport-addresses", "10.0.0.0/8,primary");
}

TEST(cleanup_needs_no_source)
{
	assert_int_equal(load("--cleanup", "--bpffs", "/b", NULL), 0);
	assert_true(config.cleanup);
	assert_string_equal(config.bpffs, "/b");
}

TEST(off_means_nowhere)
{
	assert_int_equal(load(DIR, "--healthz-addr", "off", "--metrics-addr", "off",
			      "--admin-socket", "off", NULL),
			 0);
	assert_int_equal(config.healthz.addr.ss_family, AF_UNSPEC);
	assert_int_equal(config.metrics.addr.ss_family, AF_UNSPEC);
	assert_null(config.admin_socket);
}

TEST(listen_addresses)
{
	struct listen_addr a;
	const struct sockaddr_in *in4 = (const struct sockaddr_in *)&a.addr;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&a.addr;

	assert_int_equal(listen_addr_parse("127.0.0.1:10249", &a), 0);
	assert_int_equal(in4->sin_family, AF_INET);
	assert_int_equal(ntohs(in4->sin_port), 10249);
	assert_int_equal(ntohl(in4->sin_addr.s_addr), INADDR_LOOPBACK);
	assert_int_equal(listen_addr_parse(":10256", &a), 0);
	assert_int_equal(in6->sin6_family, AF_INET6);
	assert_memory_equal(&in6->sin6_addr, &in6addr_any, 16);
	assert_int_equal(listen_addr_parse("[::1]:1", &a), 0);
	assert_memory_equal(&in6->sin6_addr, &in6addr_loopback, 16);
	assert_int_equal(listen_addr_parse("::1:1", &a), -EINVAL);
	assert_int_equal(listen_addr_parse("127.0.0.1", &a), -EINVAL);
	assert_int_equal(listen_addr_parse("127.0.0.1:0", &a), -EINVAL);
	assert_int_equal(listen_addr_parse("127.0.0.1:65536", &a), -EINVAL);
	assert_int_equal(listen_addr_parse("127.0.0.1:", &a), -EINVAL);
	assert_int_equal(listen_addr_parse("[::1:80", &a), -EINVAL);
}

TEST(help_names_every_option)
{
	struct buf help = { 0 };

	assert_int_equal(config_write_help(&help), 0);
	assert_non_null(strstr(buf_str(&help), "--admin-socket PATH"));
	assert_non_null(strstr(buf_str(&help), "--overlay-ifaces"));
	buf_done(&help);
	assert_int_equal(load("--help", NULL), OPTIONS_HELP);
	assert_int_equal(load("--version", NULL), OPTIONS_VERSION);
}

RUN(ALONE(defaults), ALONE(lists_are_converted_and_joined),
    ALONE(packets_go_through_the_stack_unless_told), ALONE(the_api_server_is_the_default_source),
    ALONE(what_has_no_effect_yet_is_said), ALONE(bad_values_are_refused_with_what_they_may_be),
    ALONE(what_has_no_effect_yet_is_refused_where_it_is_wrong), ALONE(cleanup_needs_no_source),
    ALONE(off_means_nowhere), ALONE(listen_addresses), ALONE(help_names_every_option))
