// SPDX-License-Identifier: GPL-2.0-only
// The options of sluice-proxy: defaults, conversions, and what is refused with which words.
/* link: user/ingress/options.c user/base/options.c user/base/options_value.c user/base/arena.c user/base/buf.c user/core/address.c user/serve/convert.c user/serve/listen_addr.c */
#include "unit/test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "base/options.h"
#include "ingress/settings.h"

#define S         UINT64_C(1000000000)
#define LOAD(...) load((char *const[]){ "sluice-proxy", "--source", "dir:/m", ##__VA_ARGS__, NULL })

static struct settings settings;
static struct err err;

static int load(char *const argv[])
{
	int argc = 0;

	while (argv[argc])
		argc++;
	memset(&err, 0, sizeof(err));
	return settings_load(argc, argv, NULL, &settings, &err);
}

static void expect_refusal(int rc, const char *words)
{
	assert_int_equal(rc, -EINVAL);
	assert_non_null(strstr(err.what, words));
}

TEST(defaults)
{
	const struct sockaddr_in6 *http = (const struct sockaddr_in6 *)&settings.http.addr;

	assert_int_equal(LOAD(), 0);
	assert_string_equal(settings.source_dir, "/m");
	assert_int_equal(ntohs(http->sin6_port), 80);
	assert_int_equal(settings.n_controllers, 1);
	assert_string_equal(settings.controllers[0], "sluice.dev/ingress");
	assert_true(settings.workers >= 1);
	assert_int_equal(settings.connections_max, 65536);
	assert_int_equal(settings.connections_per_ip, 16384);
	assert_int_equal(settings.body_max, 1 << 20);
	assert_int_equal(settings.request_limits.line, 8192);
	assert_int_equal(settings.request_limits.head, 32768);
	assert_int_equal(settings.request_limits.fields, 100);
	assert_int_equal(settings.handshake_ns, 10 * S);
	assert_int_equal(settings.head_ns, 15 * S);
	assert_int_equal(settings.keep_alive_ns, 75 * S);
	assert_int_equal(settings.client_ns, 60 * S);
	assert_int_equal(settings.connect_ns, 5 * S);
	assert_int_equal(settings.first_byte_ns, 600 * S);
	assert_int_equal(settings.idle_ns, 600 * S);
	assert_int_equal(settings.origin_idle_ns, 4 * S);
	assert_int_equal(settings.vanished_ns, 30 * S);
	assert_int_equal(settings.drain_ns, 3600 * S);
	assert_int_equal(settings.wait_ns, 0);
	assert_int_equal(settings.tries, 3);
	assert_false(settings.half_close || settings.proxy_protocol || settings.take_classless);
	assert_string_equal(settings.access_log, "stdout");
	settings_done(&settings);
}

TEST(what_is_said_is_converted)
{
	assert_int_equal(LOAD("--http-addr", "127.0.0.1:8080", "--https-addr", "off", "--workers",
			      "3", "--trusted-proxies", "10.0.0.0/8,fd00::/8", "--status-address",
			      "192.0.2.1", "--max-body-bytes", "off", "--max-connections-per-ip",
			      "off", "--access-log", "off", "--path-forwarding", "normalised",
			      "--prefer-endpoints", "zone", "--node-name", "n1", "--default-tls",
			      "a/b", "--drain-timeout", "10s"),
			 0);
	assert_int_equal(settings.http.addr.ss_family, AF_INET);
	assert_int_equal(settings.https.addr.ss_family, AF_UNSPEC);
	assert_int_equal(settings.workers, 3);
	assert_int_equal(settings.n_trusted_proxies, 2);
	assert_int_equal(settings.n_status_addresses, 1);
	assert_int_equal(settings.body_max, 0);
	assert_int_equal(settings.connections_per_ip, 0);
	assert_null(settings.access_log);
	assert_true(settings.path_normalised && settings.near_zone && !settings.near_node);
	assert_string_equal(settings.default_tls, "a/b");
	assert_int_equal(settings.drain_ns, 10 * S);
	settings_done(&settings);
}

TEST(what_is_wrong_is_named)
{
	expect_refusal(LOAD("--http-addr", "nowhere"), "--http-addr nowhere");
	expect_refusal(LOAD("--trusted-proxies", "10.0.0.0/33"), "--trusted-proxies 10.0.0.0/33");
	expect_refusal(LOAD("--prefer-endpoints", "node"), "needs --node-name");
	expect_refusal(LOAD("--status-address", "host"), "--status-address host");
	expect_refusal(LOAD("--default-tls", "secret"), "NAMESPACE/NAME");
	expect_refusal(LOAD("--publish-service", "a/b/c"), "NAMESPACE/NAME");
	expect_refusal(LOAD("--workers", "0"), "workers");
	expect_refusal(LOAD("--head-timout", "5s"), "head-timeout");
	expect_refusal(LOAD("--source", "file:x"), "--source file:x");
}

RUN(cmocka_unit_test(defaults), cmocka_unit_test(what_is_said_is_converted),
    cmocka_unit_test(what_is_wrong_is_named))
