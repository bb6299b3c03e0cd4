// SPDX-License-Identifier: GPL-2.0-only
// What origins are told about a client, and whose word is believed.
/* link: user/ingress/forwarded.c user/ingress/http1.c user/core/address.c user/base/arena.c user/base/buf.c */
#include "unit/test.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "ingress/forwarded.h"

static struct arena arena;

static struct address address(const char *text)
{
	struct address addr;

	assert_int_equal(address_parse(text, &addr), 0);
	return addr;
}

struct given {
	const char *fields;
	const char *peer;
	const char *proxies[3];
	bool tls;
	uint16_t port;
};

static struct forwarded fill(const struct given *g)
{
	static struct http1_head head;
	static char bytes[4096];
	static struct cidr proxies[3];
	struct forwarded out = { 0 };
	struct forwarded_input in = {
		.head = &head,
		.bytes = bytes,
		.peer = address(g->peer ? g->peer : "192.0.2.9"),
		.proxies = proxies,
		.tls = g->tls,
		.port = g->port ? g->port : 80,
		.random = { 0x0123456789abcdef, 0xfedcba9876543210 },
		.arena = &arena,
	};

	snprintf(bytes, sizeof(bytes), "GET / HTTP/1.1\r\nHost: a.test:81\r\n%s\r\n", g->fields);
	http1_head_init(&head, HTTP1_REQUEST, &http1_limits_request);
	assert_true(http1_head_read(&head, bytes, strlen(bytes)) > 0);
	for (size_t i = 0; i < 3 && g->proxies[i]; i++) {
		assert_int_equal(cidr_parse(g->proxies[i], &proxies[i]), 0);
		in.trusted |= cidr_contains(&proxies[i], &in.peer);
		in.n_proxies = i + 1;
	}
	arena_reset(&arena);
	assert_int_equal(forwarded_fill(&in, &out), 0);
	return out;
}

/* What is set for that name; "" if it is only left out, NULL if it is not touched. */
static const char *value(const struct forwarded *f, const char *name)
{
	for (size_t i = 0; i < f->n_set; i++)
		if (strcasecmp(f->set[i].name, name) == 0)
			return f->set[i].value ? f->set[i].value : "";
	return NULL;
}

static void expect(const struct forwarded *f, const char *name, const char *wanted)
{
	const char *got = value(f, name);

	if (!wanted)
		assert_null(got);
	else
		assert_string_equal(got ? got : "(none)", wanted);
}

static void expect_client(const struct forwarded *f, const char *wanted)
{
	char text[ADDRESS_TEXT_LEN];

	assert_string_equal(address_format(&f->client, text), wanted);
	expect(f, "x-real-ip", wanted);
}

TEST(nobody_is_believed_about_himself)
{
	struct forwarded f = fill(&(struct given){
		.fields =
			"X-Forwarded-For: 1.1.1.1\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: evil\r\n"
			"X-Forwarded-Port: 1\r\nForwarded: for=1.1.1.1\r\n",
		.proxies = { "10.0.0.0/8" },
	});

	expect_client(&f, "192.0.2.9");
	expect(&f, "x-forwarded-for", "192.0.2.9");
	expect(&f, "x-forwarded-proto", "http");
	expect(&f, "x-scheme", "http");
	expect(&f, "x-forwarded-scheme", "http");
	expect(&f, "x-forwarded-host", "a.test:81");
	expect(&f, "x-forwarded-port", "80");
	expect(&f, "forwarded", "");
	assert_false(f.tls);
}

TEST(a_trusted_proxy_is_believed)
{
	struct forwarded f = fill(&(struct given){
		.fields =
			"X-Forwarded-For: 1.1.1.1\r\nX-Forwarded-Proto: HTTPS\r\nX-Forwarded-Host: b.test\r\n"
			"X-Forwarded-Port: 8443\r\nForwarded: for=1.1.1.1\r\n",
		.peer = "10.1.2.3",
		.proxies = { "10.0.0.0/8" },
	});

	expect_client(&f, "1.1.1.1");
	expect(&f, "x-forwarded-for", "1.1.1.1, 10.1.2.3");
	expect(&f, "x-forwarded-proto", "https");
	expect(&f, "x-forwarded-host", "b.test");
	expect(&f, "x-forwarded-port", "8443");
	expect(&f, "forwarded", NULL);
	assert_true(f.tls);
}

TEST(a_proxy_that_says_only_the_scheme_means_its_usual_port)
{
	struct forwarded f = fill(&(struct given){ .fields = "X-Forwarded-Proto: https\r\n",
						   .peer = "10.1.2.3",
						   .proxies = { "10.0.0.0/8" } });

	expect(&f, "x-forwarded-port", "443");
	f = fill(&(struct given){ .fields = "X-Forwarded-Proto: gopher\r\n",
				  .peer = "10.1.2.3",
				  .proxies = { "10.0.0.0/8" },
				  .tls = true,
				  .port = 8443 });
	expect(&f, "x-forwarded-proto", "https");
	expect(&f, "x-forwarded-port", "8443");
}

/* From the right, over proxies of ours; what is left of the first stranger is his word. */
TEST(the_client_is_the_last_address_that_is_no_proxy)
{
	static const struct {
		const char *list, *client;
	} cases[] = {
		{ "6.6.6.6, 1.1.1.1, 10.9.9.9", "1.1.1.1" },
		{ "6.6.6.6,1.1.1.1", "1.1.1.1" },
		{ "1.1.1.1:55", "1.1.1.1" },
		{ "[2001:db8::1]:55", "2001:db8::1" },
		{ "2001:db8::1", "2001:db8::1" },
		{ "10.0.0.1, 10.0.0.2", "10.0.0.1" },
		{ "unknown", "10.1.2.3" },
		{ "1.1.1.1, unknown, 10.9.9.9", "10.9.9.9" },
		{ "1.1.1.1, ", "10.1.2.3" },
		{ "", "10.1.2.3" },
		{ "1.1.1.1\r\nX-Forwarded-For: 2.2.2.2", "2.2.2.2" },
		{ "[", "10.1.2.3" },
		{ "1111111111111111111111111111111111111111111111111111", "10.1.2.3" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char fields[256];
		struct forwarded f;

		snprintf(fields, sizeof(fields), "X-Forwarded-For: %s\r\n", cases[i].list);
		f = fill(&(struct given){
			.fields = fields, .peer = "10.1.2.3", .proxies = { "10.0.0.0/8" } });
		expect_client(&f, cases[i].client);
	}
}

TEST(lists_in_several_fields_are_one)
{
	struct forwarded f = fill(&(struct given){
		.fields =
			"X-Forwarded-For: 1.1.1.1\r\nX-Forwarded-For:\r\nX-Forwarded-For: 10.0.0.1\r\n",
		.peer = "10.1.2.3",
		.proxies = { "10.0.0.0/8" },
	});

	expect(&f, "x-forwarded-for", "1.1.1.1, 10.0.0.1, 10.1.2.3");
	expect_client(&f, "1.1.1.1");
}

TEST(request_ids)
{
	static const char generated[] = "fedcba98765432100123456789abcdef";
	char long_one[200] = "X-Request-ID: ";
	struct forwarded f = fill(&(struct given){ .fields = "X-Request-ID: abc-1_2.3:4+/=@\r\n" });

	assert_string_equal(f.request_id, "abc-1_2.3:4+/=@");
	f = fill(&(struct given){ .fields = "" });
	assert_string_equal(f.request_id, generated);
	f = fill(&(struct given){ .fields = "X-Request-ID: a b\r\n" });
	assert_string_equal(f.request_id, generated);
	memset(long_one + 14, 'x', 129);
	strcpy(long_one + 14 + 129, "\r\n");
	f = fill(&(struct given){ .fields = long_one });
	assert_string_equal(f.request_id, generated);
}

TEST(trace_ids)
{
	static const struct {
		const char *field;
		bool valid;
	} cases[] = {
		{ "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n",
		  true },
		{ "traceparent: 01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more\r\n",
		  true },
		{ "traceparent: 00-4BF92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n",
		  false },
		{ "traceparent: 00-00000000000000000000000000000000-00f067aa0ba902b7-01\r\n",
		  false },
		{ "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7-01\r\n",
		  false },
		{ "traceparent: 00-4bf9\r\n", false },
		{ "", false },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct http1_head head;
		char bytes[300];
		const char *id;

		snprintf(bytes, sizeof(bytes), "GET / HTTP/1.1\r\nHost: a\r\n%s\r\n",
			 cases[i].field);
		http1_head_init(&head, HTTP1_REQUEST, &http1_limits_request);
		assert_true(http1_head_read(&head, bytes, strlen(bytes)) > 0);
		id = forwarded_trace_id(&head, bytes);
		assert_int_equal(id != NULL, cases[i].valid);
		if (id)
			assert_memory_equal(id, "4bf92f3577b34da6a3ce929d0e0e4736", 32);
	}
}

static int done(void **state)
{
	(void)state;
	arena_done(&arena);
	return 0;
}

RUN(cmocka_unit_test(nobody_is_believed_about_himself),
    cmocka_unit_test(a_trusted_proxy_is_believed),
    cmocka_unit_test(a_proxy_that_says_only_the_scheme_means_its_usual_port),
    cmocka_unit_test(the_client_is_the_last_address_that_is_no_proxy),
    cmocka_unit_test(lists_in_several_fields_are_one), cmocka_unit_test(request_ids),
    cmocka_unit_test_teardown(trace_ids, done))
