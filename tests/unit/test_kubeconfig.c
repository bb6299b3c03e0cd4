// SPDX-License-Identifier: GPL-2.0-only
// What a kubeconfig says of server and credentials, and how it is refused.
/* link: user/source/kube/auth.c user/source/kube/auth_kubeconfig.c user/source/manifest.c user/source/manifest_tree.c user/source/manifest_scalar.c user/source/value.c user/source/value_json.c user/source/decode.c user/source/decode_read.c user/source/decode_service.c user/source/decode_slice.c user/source/decode_node.c user/source/decode_ingress.c user/source/decode_secret.c user/source/field.c user/source/object.c user/core/model.c user/core/model_ingress.c user/core/address.c user/base/buf.c user/base/arena.c user/base/options_value.c */
/* libs: yaml cjson */
#include "unit/test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "source/kube/auth.h"

/* "-----BEGIN CERTIFICATE-----\nMQ==\n-----END CERTIFICATE-----\n", and no PEM: "nothing". */
#define PEM      "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCk1RPT0KLS0tLS1FTkQgQ0VSVElGSUNBVEUtLS0tLQo="
#define PEM_TEXT "-----BEGIN CERTIFICATE-----\nMQ==\n-----END CERTIFICATE-----\n"
#define NO_PEM   "bm90aGluZw=="
#define TOP \
	"apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts: [{name: c, context: {cluster: k, user: u}}]\n"
#define CLUSTER(x) "clusters: [{name: k, cluster: {" x "}}]\n"
#define USER(x)    "users: [{name: u, user: {" x "}}]\n"
#define SERVER     "server: \"https://10.0.0.1:6443\""

static char folder[104];

static void write_file(const char *name, const char *text)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	f = fopen(path, "we");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static int load(const char *text, struct err *err, struct auth **ret_auth)
{
	char path[128];

	write_file("config", text);
	snprintf(path, sizeof(path), "%s/config", folder);
	return auth_new(path, err, ret_auth);
}

static struct auth *loaded(const char *text)
{
	struct auth *auth = NULL;
	struct err err = { 0 };
	int rc = load(text, &err, &auth);

	if (rc < 0)
		print_message("# %s\n", err.what);
	assert_int_equal(rc, 0);
	return auth;
}

static void assert_pem(struct auth_pem pem)
{
	assert_non_null(pem.text);
	assert_int_equal(pem.len, sizeof(PEM_TEXT) - 1);
	assert_string_equal(pem.text, PEM_TEXT);
}

TEST(certificates_stand_in_it)
{
	struct auth *auth = loaded(
		TOP CLUSTER(SERVER ", tls-server-name: api, certificate-authority-data: " PEM)
			USER("client-certificate-data: " PEM ", client-key-data: \"" PEM "\""));

	assert_string_equal(auth_server(auth), "https://10.0.0.1:6443");
	assert_string_equal(auth_tls_name(auth), "api");
	assert_pem(auth_ca(auth));
	assert_pem(auth_cert(auth));
	assert_pem(auth_key(auth));
	assert_null(auth_token(auth));
	auth_free(auth);
}

TEST(base64_may_be_wrapped)
{
	struct auth *auth = loaded(TOP
				   "clusters:\n- name: k\n  cluster:\n    " SERVER
				   "\n    certificate-authority-data: |\n"
				   "      LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0t\n"
				   "      Ck1RPT0KLS0tLS1FTkQgQ0VSVElGSUNBVEUtLS0tLQo=\n" USER(""));

	assert_pem(auth_ca(auth));
	auth_free(auth);
}

TEST(paths_are_of_its_own_folder)
{
	struct auth *auth;

	write_file("ca.crt", PEM_TEXT);
	write_file("token", " one.two\n");
	auth = loaded(TOP CLUSTER(SERVER ", certificate-authority: ca.crt")
			      USER("tokenFile: token, token: older"));
	assert_pem(auth_ca(auth));
	assert_string_equal(auth_token(auth), "one.two");
	auth_free(auth);
}

TEST(what_is_wrong_is_named)
{
	static const struct {
		const char *text, *why;
	} cases[] = {
		{ "# nothing\n", "is empty" },
		{ "a: [", "config:1: " },
		{ "apiVersion: v1\nkind: Config\n", "current-context names none" },
		{ TOP USER(""), "names none of its clusters" },
		{ TOP CLUSTER("a: b") USER(""), "has no `server`" },
		{ TOP CLUSTER(SERVER ", insecure-skip-tls-verify: true") USER(""), "is refused" },
		{ TOP CLUSTER(SERVER ", proxy-url: \"http://a\"") USER(""), "proxy-url" },
		{ TOP CLUSTER(SERVER ", certificate-authority-data: " NO_PEM) USER(""),
		  "certificate-authority-data is not PEM in base64" },
		{ TOP CLUSTER(SERVER ", certificate-authority-data: \"" PEM "=\"") USER(""),
		  "certificate-authority-data is not PEM in base64" },
		{ TOP CLUSTER(SERVER ", certificate-authority-data: \"!!!!" PEM "\"") USER(""),
		  "certificate-authority-data is not PEM in base64" },
		{ TOP CLUSTER(SERVER ", certificate-authority: missing.crt") USER(""),
		  "certificate-authority: missing.crt: No such file" },
		{ TOP CLUSTER(SERVER ", certificate-authority: config") USER(""),
		  "certificate-authority: config: not PEM" },
		{ TOP CLUSTER(SERVER) USER("client-certificate-data: " PEM), "belong together" },
		{ TOP CLUSTER(SERVER) USER("token: \"a b\""), "token holds characters" },
		{ TOP CLUSTER(SERVER) USER("tokenFile: config"),
		  "tokenFile: config: holds no token" },
		{ TOP CLUSTER(SERVER) USER("username: a, password: b"), "not supported" },
		{ TOP CLUSTER(SERVER) USER("exec: {args: [a]}"), "`command` is missing" },
		{ TOP CLUSTER(SERVER) USER("exec: {command: a, apiVersion: v9}"),
		  "apiVersion must be" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct auth *auth = NULL;
		struct err err = { 0 };

		assert_int_equal(load(cases[i].text, &err, &auth), -EINVAL);
		print_message("# %s\n", err.what);
		assert_non_null(strstr(err.what, "kubeconfig "));
		assert_non_null(strstr(err.what, cases[i].why));
		assert_null(auth);
	}
}

TEST(a_plugin_gets_its_words)
{
	struct auth *auth = loaded(TOP CLUSTER(SERVER) USER(
		"exec: {command: ./plugin, apiVersion: client.authentication.k8s.io/v1, args: [a, \"b c\"], env: [{name: X, value: y}]}"));
	char *const *argv = auth_exec_argv(auth), *const *env = auth_exec_env(auth);
	char path[128];
	bool found = false;

	snprintf(path, sizeof(path), "%s/./plugin", folder);
	assert_string_equal(argv[0], path);
	assert_string_equal(argv[1], "a");
	assert_string_equal(argv[2], "b c");
	assert_null(argv[3]);
	for (; *env; env++)
		found |= strcmp(*env, "X=y") == 0;
	assert_true(found);
	assert_true(auth_exec_is_due(auth, 0));
	auth_free(auth);
}

static int begin(void **state)
{
	const char *tmp = getenv("TMPDIR");

	(void)state;
	snprintf(folder, sizeof(folder), "%.80s/kubeconfig-XXXXXX", tmp ? tmp : "/tmp");
	return mkdtemp(folder) ? 0 : -1;
}

static int end(void **state)
{
	static const char *const names[] = { "config", "ca.crt", "token" };
	char path[128];

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
		unlink(path);
	}
	return rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(certificates_stand_in_it),
		cmocka_unit_test(base64_may_be_wrapped),
		cmocka_unit_test(paths_are_of_its_own_folder),
		cmocka_unit_test(what_is_wrong_is_named),
		cmocka_unit_test(a_plugin_gets_its_words),
	};

	return cmocka_run_group_tests_name(__FILE__, tests, begin, end);
}
