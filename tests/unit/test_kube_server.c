// SPDX-License-Identifier: GPL-2.0-only
// The URL of an API server: what it says, and what is refused.
/* link: user/source/kube/http_server.c */
#include "unit/test.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "source/kube/http.h"

TEST(says_host_port_and_path)
{
	static const struct {
		const char *url, *host, *path;
		unsigned port;
		bool plain;
	} cases[] = {
		{ "https://10.0.0.1:6443", "10.0.0.1", "", 6443, false },
		{ "https://api.example", "api.example", "", 443, false },
		{ "https://api.example/", "api.example", "", 443, false },
		{ "https://api.example:65535/k8s/clusters/one//", "api.example",
		  "/k8s/clusters/one", 65535, false },
		{ "https://[fd00::1]:6443", "fd00::1", "", 6443, false },
		{ "https://[fd00::1]", "fd00::1", "", 443, false },
		{ "https://[fd00::1]/a", "fd00::1", "/a", 443, false },
		{ "http://127.0.0.1:8001", "127.0.0.1", "", 8001, true },
		{ "http://127.255.0.9", "127.255.0.9", "", 80, true },
		{ "http://localhost:8001/a/b", "localhost", "/a/b", 8001, true },
		{ "http://[::1]:8001", "::1", "", 8001, true },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct kube_server s;
		struct err err = { 0 };

		print_message("# %s\n", cases[i].url);
		assert_int_equal(kube_server_parse(cases[i].url, &s, &err), 0);
		assert_string_equal(s.host, cases[i].host);
		assert_string_equal(s.path, cases[i].path);
		assert_int_equal(s.port, cases[i].port);
		assert_int_equal(s.plain, cases[i].plain);
		assert_string_equal(s.tls_name, "");
	}
}

TEST(refuses_what_is_no_url)
{
	static const char *const urls[] = {
		"",
		"api.example:6443",
		"ftp://api.example",
		"https://",
		"https://:6443",
		"https:///a",
		"https://api.example:",
		"https://api.example:/a",
		"https://api.example:0",
		"https://api.example:65536",
		"https://api.example:+80",
		"https://api.example: 80",
		"https://api.example:80a",
		"https://api.example:80:80",
		"https://fd00::1",
		"https://[fd00::1",
		"https://[]:80",
		"https://[fd00::1]80",
		"https://[fd00::1/a]",
		"https://user@api.example",
		"https://api.example/?a=b",
		"https://api.example/#a",
		"https://api example",
		"https://api.example\n",
	};

	for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
		struct kube_server s = { .port = 7 };
		struct err err = { 0 };

		print_message("# %s\n", urls[i]);
		assert_int_equal(kube_server_parse(urls[i], &s, &err), -EINVAL);
		assert_non_null(strstr(err.what, "must be https://HOST"));
		assert_int_equal(s.port, 7);
	}
}

TEST(a_name_or_path_without_end_is_refused)
{
	struct kube_server s;
	struct err err = { 0 };
	char url[600];

	snprintf(url, sizeof(url), "https://%0255d", 0);
	assert_int_equal(kube_server_parse(url, &s, &err), 0);
	assert_int_equal(strlen(s.host), 255);
	snprintf(url, sizeof(url), "https://%0256d", 0);
	assert_int_equal(kube_server_parse(url, &s, &err), -EINVAL);
	snprintf(url, sizeof(url), "https://a/%0254d", 0);
	assert_int_equal(kube_server_parse(url, &s, &err), 0);
	assert_int_equal(strlen(s.path), 255);
	snprintf(url, sizeof(url), "https://a/%0255d", 0);
	assert_int_equal(kube_server_parse(url, &s, &err), -EINVAL);
}

TEST(without_tls_only_this_machine)
{
	static const char *const urls[] = { "http://10.0.0.1:8080", "http://128.0.0.1",
					    "http://[::2]", "http://localhost.example",
					    "http://127.0.0.1.example" };

	for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
		struct kube_server s;
		struct err err = { 0 };

		assert_int_equal(kube_server_parse(urls[i], &s, &err), -EINVAL);
		assert_non_null(strstr(err.what, "use https://"));
	}
}

RUN(cmocka_unit_test(says_host_port_and_path), cmocka_unit_test(refuses_what_is_no_url),
    cmocka_unit_test(a_name_or_path_without_end_is_refused),
    cmocka_unit_test(without_tls_only_this_machine))
