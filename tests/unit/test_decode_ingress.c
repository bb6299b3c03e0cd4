// SPDX-License-Identifier: GPL-2.0-only
// Values to what an HTTP proxy reads: Ingress, IngressClass, Secret; and what is nobody's there.
/* link: user/source/decode.c user/source/decode_read.c user/source/decode_service.c user/source/decode_slice.c */
/* link: user/source/decode_node.c user/source/decode_ingress.c user/source/decode_secret.c user/source/field.c */
/* link: user/source/object.c user/source/value.c user/source/value_json.c user/core/model.c user/core/model_ingress.c */
/* link: user/core/address.c user/base/buf.c user/base/options_value.c user/base/arena.c */
/* libs: cjson */
#include "unit/test.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "source/decode.h"
#include "source/value_json.h"
#include "unit/failmalloc.h"

static struct decode_report report;
static struct object object;
static unsigned wanted;

static int decode_parsed(const cJSON *json, const char *kind)
{
	const struct decode_input input = {
		.from_api = true,
		.kinds = wanted,
		.api_version = strcmp(kind, "Secret") == 0 ? "v1" : "networking.k8s.io/v1",
		.kind = kind,
	};

	return decode_object(value_of_json(json), &input, &report, &object);
}

static int decode(const char *kind, const char *text)
{
	cJSON *json = cJSON_Parse(text);
	int rc;

	if (!json)
		fail_msg("no JSON: %s", text);
	rc = decode_parsed(json, kind);
	cJSON_Delete(json);
	return rc;
}

static int teardown(void **state)
{
	(void)state;
	object_done(&object);
	memset(&object, 0, sizeof(object));
	decode_report_done(&report);
	memset(&report, 0, sizeof(report));
	wanted = 0;
	return 0;
}

#define BACKEND "\"backend\":{\"service\":{\"name\":\"v\",\"port\":{\"number\":81}}}"

#define WHOLE                                                                                                        \
	"{\"metadata\":{\"name\":\"i\",\"namespace\":\"n\",\"uid\":\"u\","                                           \
	"\"creationTimestamp\":\"1970-01-01T00:00:02Z\",\"annotations\":{"                                           \
	"\"nginx.ingress.kubernetes.io/server-snippet\":\"a\\nb\",\"other\":\"x\"}},\"spec\":{"                      \
	"\"ingressClassName\":\"c\",\"defaultBackend\":{\"service\":{\"name\":\"d\",\"port\":{\"name\":\"web\"}}},"  \
	"\"tls\":[{\"hosts\":[\"a\",\"b\"],\"secretName\":\"s\"}],\"rules\":[{\"host\":\"h\",\"http\":{\"paths\":[{" \
	"\"path\":\"/p\",\"pathType\":\"Exact\"," BACKEND "}]}}]}}"

TEST(a_whole_ingress)
{
	const struct ingress *in = &object.ingress;

	assert_int_equal(decode("Ingress", WHOLE), DECODE_OBJECT);
	assert_string_equal(buf_str(&report.notes.text), "");
	assert_int_equal(object.kind, OBJECT_INGRESS);
	assert_string_equal(in->meta.namespace, "n");
	assert_string_equal(in->meta.uid, "u");
	assert_int_equal(in->created_ns, 2000000000);
	assert_string_equal(in->class_name, "c");
	assert_int_equal(in->n_annotations, 1);
	assert_string_equal(ingress_annotation(in, INGRESS_NGINX "server-snippet"), "a\nb");
	assert_string_equal(in->default_backend.port_name, "web");
	assert_string_equal(in->tls[0].hosts[1], "b");
	assert_string_equal(in->tls[0].secret, "s");
	assert_string_equal(in->rules[0].host, "h");
	assert_int_equal(in->rules[0].paths[0].type, INGRESS_EXACT);
	assert_int_equal(in->rules[0].paths[0].backend.port, 81);
}

struct refusal {
	const char *json, *said;
};

static void refuse_all(const char *kind, const struct refusal *cases, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (decode(kind, cases[i].json) != -EINVAL)
			fail_msg("taken: %s", cases[i].json);
		if (!strstr(buf_str(&report.notes.text), cases[i].said))
			fail_msg("\"%s\" does not say \"%s\"", buf_str(&report.notes.text),
				 cases[i].said);
	}
}

TEST(what_has_no_meaning_is_refused_with_its_place)
{
#define PATHS(p) \
	"{\"metadata\":{\"name\":\"i\"},\"spec\":{\"rules\":[{\"http\":{\"paths\":[" p "]}}]}}"
	static const struct refusal cases[] = {
		{ "{\"metadata\":{}}", "metadata.name" },
		{ PATHS("{\"path\":\"p\",\"pathType\":\"Exact\"," BACKEND "}"),
		  "spec.rules[0].http.paths[0].path" },
		{ PATHS("{\"path\":\"/p\"," BACKEND "}"), "paths[0].pathType" },
		{ PATHS("{\"path\":\"/p\",\"pathType\":\"Prefix\"}"), "backend" },
		{ PATHS("{\"path\":\"/p\",\"pathType\":\"Prefix\",\"backend\":{\"service\":{\"name\":\"v\"}}}"),
		  "port" },
		{ PATHS("{\"path\":\"/p\",\"pathType\":\"Prefix\",\"backend\":{\"service\":{\"name\":\"v\",\"port\":{"
			"\"number\":70000}}}}"),
		  "70000" },
		{ "{\"metadata\":{\"name\":\"i\",\"annotations\":{\"sluice.dev/x\":true}}}",
		  "quotes" },
		{ "{\"metadata\":{\"name\":\"i\"},\"spec\":{\"rules\":{}}}", "spec.rules" },
	};

	refuse_all("Ingress", cases, sizeof(cases) / sizeof(cases[0]));
}

TEST(a_class)
{
	assert_int_equal(
		decode("IngressClass",
		       "{\"metadata\":{\"name\":\"c\",\"annotations\":{"
		       "\"ingressclass.kubernetes.io/is-default-class\":\"true\"}},\"spec\":{\"controller\":\"x/y\"}}"),
		DECODE_OBJECT);
	assert_string_equal(object.meta.name, "c");
	assert_string_equal(object.meta.namespace, "");
	assert_string_equal(object.ingress_class.controller, "x/y");
	assert_true(object.ingress_class.is_default);
}

/* RFC 4648, section 10, and what is near it. */
TEST(secrets_are_decoded)
{
	static const char *const texts[] = { "",         "Zg==",     "Zm8=",    "Zm9v",
					     "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy" };
	char json[256];

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		const struct secret_item *item;

		snprintf(json, sizeof(json),
			 "{\"metadata\":{\"name\":\"s\"},\"data\":{\"k.x\":\"%s\"}}", texts[i]);
		assert_int_equal(decode("Secret", json), DECODE_OBJECT);
		item = secret_find(&object.secret, "k.x");
		assert_int_equal(item->len, i);
		assert_memory_equal(item->data, "foobar", i);
		assert_int_equal(item->data[i], 0);
		assert_string_equal(object.secret.type, "Opaque");
		object_done(&object);
	}
	assert_int_equal(
		decode("Secret",
		       "{\"metadata\":{\"name\":\"s\"},\"type\":\"kubernetes.io/tls\",\"data\":{"
		       "\"tls.crt\":\"AAEC\\n/v8=\",\"tls.key\":null},\"stringData\":{\"tls.key\":\"a\\nb\"}}"),
		DECODE_OBJECT);
	assert_string_equal(object.secret.type, SECRET_TLS);
	assert_int_equal(object.secret.n_items, 2);
	assert_memory_equal(secret_find(&object.secret, "tls.crt")->data, "\0\1\2\xfe\xff", 6);
	assert_string_equal(secret_find(&object.secret, "tls.key")->data, "a\nb");
}

TEST(no_note_shows_a_secret)
{
#define DATA(d) "{\"metadata\":{\"name\":\"s\"},\"data\":{\"k\":" d "}}"
	static const struct refusal cases[] = {
		{ DATA("\"hunter2!\""), "data.k is no base64" },
		{ DATA("\"hunter2\""), "base64" },
		{ DATA("\"hunter2A=\""), "base64" },
		{ DATA("\"hun=ter2\""), "base64" },
		{ DATA("\"h===\""), "base64" },
		{ DATA("7"), "quotes" },
		{ "{\"metadata\":{\"name\":\"s\"},\"data\":[\"hunter2\"]}", "data" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(decode("Secret", cases[i].json), -EINVAL);
		if (!strstr(buf_str(&report.notes.text), cases[i].said))
			fail_msg("%s: \"%s\"", cases[i].json, buf_str(&report.notes.text));
		if (strstr(buf_str(&report.notes.text), "hun"))
			fail_msg("the note tells it: %s", buf_str(&report.notes.text));
	}
}

TEST(kinds_that_nobody_asked_for_are_not_looked_at)
{
	wanted = OBJECTS_OF_AGENT;
	assert_int_equal(decode("Secret", "{\"metadata\":{\"name\":\"s\"},\"data\":7}"),
			 DECODE_OTHER);
	assert_int_equal(decode("Ingress", WHOLE), DECODE_OTHER);
	wanted = OBJECTS_OF_PROXY;
	assert_int_equal(decode("ServiceCIDR", "{}"), DECODE_OTHER);
	assert_int_equal(decode("Ingress", WHOLE), DECODE_OBJECT);
}

static const char *const whole[][2] = {
	{ "Ingress", WHOLE },
	{ "IngressClass", "{\"metadata\":{\"name\":\"c\"},\"spec\":{\"controller\":\"x/y\"}}" },
	{ "Secret", "{\"metadata\":{\"name\":\"s\"},\"data\":{\"a\":\"Zm9v\",\"b\":\"Zm9v\"}}" },
};

TEST(differences_are_seen)
{
	static const char *const changes[][2] = {
		{ "\"c\"", "\"k\"" },       { "a\\nb", "a\\nc" },
		{ "Exact", "Prefix" },      { "81", "82" },
		{ "\"/p\"", "\"/q\"" },     { "\"b\"", "\"x\"" },
		{ "\"s\"", "\"t\"" },       { "\"web\"", "\"wex\"" },
		{ "00:00:02", "00:00:03" }, { "\"host\":\"h\"", "\"host\":\"g\"" },
		{ "x/y", "x/z" },           { "Zm9v", "Zm9w" },
		{ "\"b\":", "\"c\":" },
	};

	for (size_t k = 0; k < 3; k++) {
		struct object first;

		assert_int_equal(decode(whole[k][0], whole[k][1]), DECODE_OBJECT);
		first = object;
		assert_int_equal(decode(whole[k][0], whole[k][1]), DECODE_OBJECT);
		assert_true(object_equal(&first, &object));
		object_done(&object);
		for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
			struct buf text = { 0 };
			const char *at = strstr(whole[k][1], changes[i][0]);

			if (!at || (k == 2 && i < 10))
				continue;
			buf_put(&text, whole[k][1], (size_t)(at - whole[k][1]));
			buf_printf(&text, "%s%s", changes[i][1], at + strlen(changes[i][0]));
			assert_int_equal(decode(whole[k][0], buf_str(&text)), DECODE_OBJECT);
			if (object_equal(&first, &object))
				fail_msg("%s counts for nothing", changes[i][1]);
			object_done(&object);
			buf_done(&text);
		}
		object = first;
		object_done(&object);
	}
}

TEST(no_memory)
{
	for (size_t k = 0; k < 3; k++) {
		cJSON *json = cJSON_Parse(whole[k][1]);
		bool failed = true;
		int rc;

		for (unsigned n = 1; failed; n++) {
			failmalloc_at(n);
			rc = decode_parsed(json, whole[k][0]);
			failed = failmalloc_done();
			assert_int_equal(rc, failed ? -ENOMEM : DECODE_OBJECT);
		}
		object_done(&object);
		cJSON_Delete(json);
	}
}

#define T(name) cmocka_unit_test_teardown(name, teardown)

RUN(T(a_whole_ingress), T(what_has_no_meaning_is_refused_with_its_place), T(a_class),
    T(secrets_are_decoded), T(no_note_shows_a_secret),
    T(kinds_that_nobody_asked_for_are_not_looked_at), T(differences_are_seen), T(no_memory))
