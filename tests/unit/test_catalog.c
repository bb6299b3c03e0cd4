// SPDX-License-Identifier: GPL-2.0-only
// What the sink is told of files that come, change, break and go: differences only, nothing good lost by a mistake.
/* link: user/source/catalog.c user/source/catalog_read.c user/source/catalog_tell.c user/source/decode.c user/source/decode_read.c user/source/decode_service.c user/source/decode_slice.c user/source/decode_node.c user/source/decode_ingress.c user/source/decode_secret.c user/source/field.c user/source/object.c user/source/value.c user/source/manifest.c user/source/manifest_tree.c user/source/manifest_scalar.c user/core/model.c user/core/model_ingress.c user/core/address.c user/base/arena.c user/base/buf.c user/base/table.c user/base/options_value.c */
/* libs: yaml */
#include "unit/test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "source/catalog.h"
#include "source/manifest.h"
#include "unit/failmalloc.h"
#include "unit/recorder.h"

static struct recorder recorder;
static struct catalog *catalog;

static int setup(void **state)
{
	struct source_sink sink = recorder_sink(&recorder);

	(void)state;
	return catalog_new(&sink, OBJECTS_ALL, 1, &catalog);
}

static int teardown(void **state)
{
	(void)state;
	catalog_free(catalog);
	catalog = NULL;
	buf_done(&recorder.said);
	return 0;
}

static void says(const char *file, const char *text)
{
	assert_int_equal(catalog_update(catalog, file, text, strlen(text)), 0);
}

/* Flushes; this and nothing else must be told. */
static void told(const char *expected)
{
	buf_reset(&recorder.said);
	assert_int_equal(catalog_flush(catalog), 0);
	assert_string_equal(buf_str(&recorder.said), expected);
}

#define SERVICE(name, ip)                                             \
	"apiVersion: v1\nkind: Service\nmetadata: {name: " name "}\n" \
	"spec: {clusterIP: " ip ", ports: [{port: 80}]}\n"
#define BAD_SERVICE(name)                                             \
	"apiVersion: v1\nkind: Service\nmetadata: {name: " name "}\n" \
	"spec: {clusterIP: 10.0.0.1, ports: [{port: 70000}]}\n"
#define BAD_PORT "spec.ports[0].port is 70000: a port is 1 to 65535"

TEST(tells_differences_only)
{
	struct catalog_stats stats;

	says("a.yaml", SERVICE("x", "10.0.0.1") "---\n" SERVICE(
			       "y", "10.0.0.2") "---\n{apiVersion: v1, kind: Pod}\n");
	told("put Service default/x 10.0.0.1\nput Service default/y 10.0.0.2\n");
	catalog_count(catalog, &stats);
	assert_int_equal(stats.files, 1);
	assert_int_equal(stats.objects, 2);
	assert_int_equal(stats.others, 1);
	told("");
	says("a.yaml", "# moved\n---\n" SERVICE("y", "10.0.0.2") "---\n" SERVICE("x", "10.0.0.1"));
	told("");
	says("a.yaml", SERVICE("x", "10.0.0.1") "---\n" SERVICE("y", "10.0.0.3"));
	told("put Service default/y 10.0.0.3\n");
	says("a.yaml", SERVICE("z", "10.0.0.3"));
	told("gone Service default/x\ngone Service default/y\nput Service default/z 10.0.0.3\n");
	catalog_remove(catalog, "a.yaml");
	told("gone Service default/z\n");
	catalog_remove(catalog, "a.yaml");
	told("");
	catalog_count(catalog, &stats);
	assert_int_equal(stats.files + stats.objects + stats.others, 0);
}

TEST(tells_the_last_of_several_changes)
{
	says("a.yaml", SERVICE("x", "10.0.0.1"));
	says("a.yaml", SERVICE("x", "10.0.0.2"));
	told("put Service default/x 10.0.0.2\n");
	says("a.yaml", SERVICE("x", "10.0.0.3"));
	says("a.yaml", SERVICE("x", "10.0.0.2"));
	told("");
	says("b.yaml", SERVICE("y", "10.0.0.9"));
	catalog_remove(catalog, "b.yaml");
	told("");
}

TEST(an_object_may_move_between_files)
{
	says("a.yaml", SERVICE("x", "10.0.0.1"));
	told("put Service default/x 10.0.0.1\n");
	catalog_remove(catalog, "a.yaml");
	says("b.yaml", SERVICE("x", "10.0.0.1"));
	told("");
	says("c.yaml", SERVICE("x", "10.0.0.1"));
	says("b.yaml", "");
	told("");
}

TEST(a_broken_document_costs_only_itself)
{
	says("a.yaml", SERVICE("x", "10.0.0.1") "---\nfoo: [\n---\n" SERVICE("y", "10.0.0.2"));
	told("put Service default/x 10.0.0.1\nput Service default/y 10.0.0.2\n"
	     "problem a.yaml:6: did not find expected node content\n");
	says("a.yaml", SERVICE("x", "10.0.0.1") "---\n" SERVICE("y", "10.0.0.2"));
	told("solved a.yaml:6\n");
}

TEST(a_file_that_breaks_keeps_what_was_good)
{
	says("a.yaml", SERVICE("x", "10.0.0.1") "---\n" SERVICE("y", "10.0.0.2") "---\n" SERVICE(
			       "z", "10.0.0.3"));
	told("put Service default/x 10.0.0.1\nput Service default/y 10.0.0.2\nput Service default/z 10.0.0.3\n");
	/* x is good and changed, y is broken, z is cut off */
	says("a.yaml", SERVICE("x", "10.0.0.9") "---\napiVersion: v1\nkind: Serv\nmetadata: {na");
	told("put Service default/x 10.0.0.9\n"
	     "problem a.yaml:8: did not find expected ',' or '}', while parsing a flow mapping that began on line 8\n");
	says("a.yaml", "metadata: {na");
	told("solved a.yaml:8\n"
	     "problem a.yaml:1: did not find expected ',' or '}', while parsing a flow mapping that began on line 1\n");
	says("a.yaml", SERVICE("y", "10.0.0.2"));
	told("gone Service default/x\ngone Service default/z\nsolved a.yaml:1\n");
}

TEST(a_refused_object_stays_as_it_was)
{
	says("a.yaml", BAD_SERVICE("x"));
	told("problem Service default/x: " BAD_PORT " (a.yaml:1)\n");
	says("a.yaml", SERVICE("x", "10.0.0.1"));
	told("put Service default/x 10.0.0.1\nsolved Service default/x\n");
	says("a.yaml", BAD_SERVICE("x"));
	told("problem Service default/x: " BAD_PORT
	     " (a.yaml:1, its last good version is served)\n");
	says("a.yaml", "# still\n" BAD_SERVICE("x"));
	told("problem Service default/x: " BAD_PORT
	     " (a.yaml:2, its last good version is served)\n");
	says("a.yaml", "");
	told("gone Service default/x\nsolved Service default/x\n");
}

TEST(a_refused_object_without_name_breaks_the_file)
{
	says("a.yaml", SERVICE("x", "10.0.0.1"));
	told("put Service default/x 10.0.0.1\n");
	says("a.yaml", "apiVersion: v1\nkind: Service\nmetadata: {nam: x}\n");
	told("problem a.yaml:1: metadata.name is missing: give the object a name\n");
	says("a.yaml", "apiVersion: v1\nkind: List\n");
	told("problem a.yaml:1: items is missing: a List has items\n");
	says("a.yaml", SERVICE("x", "10.0.0.1"));
	told("solved a.yaml:1\n");
}

TEST(notes_come_with_the_object_and_go)
{
	says("a.yaml",
	     "{apiVersion: v1, kind: Service, metadata: {name: x}, spec: {clusterIP: None, tpye: a}}");
	told("put Service default/x None\n"
	     "problem Service default/x: spec.tpye is unknown and ignored: did you mean type? (a.yaml:1)\n");
	/* another content, the same note: told again, since the sink may take the put for the end of it */
	says("a.yaml",
	     "{apiVersion: v1, kind: Service, metadata: {name: x}, spec: {clusterIP: 10.0.0.1, tpye: a, "
	     "ports: [{port: 1}]}}");
	told("put Service default/x 10.0.0.1\n"
	     "problem Service default/x: spec.tpye is unknown and ignored: did you mean type? (a.yaml:1)\n");
	says("a.yaml", SERVICE("x", "10.0.0.1"));
	told("put Service default/x 10.0.0.1\nsolved Service default/x\n");
}

TEST(the_first_file_by_name_counts)
{
	static const char both[] =
		"problem Service default/x: is in a.yaml:1 and in b.yaml:1: the first is served, "
		"remove one\n";
	char expected[512];

	says("b.yaml", SERVICE("x", "10.0.0.2"));
	told("put Service default/x 10.0.0.2\n");
	says("a.yaml", SERVICE("x", "10.0.0.1"));
	snprintf(expected, sizeof(expected), "put Service default/x 10.0.0.1\n%s", both);
	told(expected);
	says("b.yaml", SERVICE("x", "10.0.0.3"));
	told("");
	says("b.yaml", SERVICE("y", "10.0.0.3"));
	told("put Service default/y 10.0.0.3\nsolved Service default/x\n");
	says("b.yaml", SERVICE("x", "10.0.0.3"));
	snprintf(expected, sizeof(expected), "gone Service default/y\n%s", both);
	told(expected);
	catalog_remove(catalog, "a.yaml");
	told("put Service default/x 10.0.0.3\nsolved Service default/x\n");
}

TEST(a_good_object_beats_a_broken_or_an_old_one)
{
	says("a.yaml", BAD_SERVICE("x"));
	says("b.yaml", SERVICE("x", "10.0.0.2"));
	told("put Service default/x 10.0.0.2\nproblem Service default/x: " BAD_PORT
	     " (a.yaml:1)\n");
	says("a.yaml", SERVICE("y", "10.0.0.3"));
	told("put Service default/y 10.0.0.3\nsolved Service default/x\n");
	/* y moves to b.yaml while a.yaml is broken: a.yaml's old word no longer counts */
	says("a.yaml", "{");
	says("b.yaml", SERVICE("x", "10.0.0.2") "---\n" SERVICE("y", "10.0.0.4"));
	told("put Service default/y 10.0.0.4\nproblem a.yaml:1: did not find expected node content\n");
}

TEST(one_object_twice_in_a_file)
{
	says("a.yaml", SERVICE("x", "10.0.0.1") "---\n" SERVICE("x", "10.0.0.2"));
	told("put Service default/x 10.0.0.1\n"
	     "problem a.yaml:6: Service default/x is in this file twice: the first is served, remove one\n");
	says("a.yaml", SERVICE("x", "10.0.0.1"));
	told("solved a.yaml:6\n");
}

TEST(an_unreadable_file_keeps_its_objects)
{
	static char large[MANIFEST_BYTES_MAX + 1];

	says("a.yaml", SERVICE("x", "10.0.0.1"));
	told("put Service default/x 10.0.0.1\n");
	assert_int_equal(catalog_set_unreadable(catalog, "a.yaml", "no"), 0);
	told("problem a.yaml: no\n");
	assert_int_equal(catalog_set_unreadable(catalog, "a.yaml", "no"), 0);
	told("");
	says("b.yaml", SERVICE("x", "10.0.0.2")); /* what can be read counts */
	told("put Service default/x 10.0.0.2\n");
	says("b.yaml", "");
	told("put Service default/x 10.0.0.1\n");
	says("a.yaml", SERVICE("x", "10.0.0.1"));
	told("solved a.yaml\n");
	memset(large, ' ', sizeof(large));
	assert_int_equal(catalog_update(catalog, "a.yaml", large, sizeof(large)), 0);
	told("problem a.yaml: is larger than 8 MiB: split it\n");
	catalog_remove(catalog, "a.yaml");
	told("gone Service default/x\nsolved a.yaml\n");
}

TEST(many_broken_documents_are_counted)
{
	struct buf text = { 0 };
	int i;

	for (i = 0; i < 1000; i++)
		buf_puts(&text, "{\n---\n");
	says("a.yaml", buf_str(&text));
	buf_reset(&recorder.said);
	recorder.n = 0;
	assert_int_equal(catalog_flush(catalog), 0);
	assert_int_equal(recorder.n, 33);
	assert_non_null(strstr(buf_str(&recorder.said),
			       "problem a.yaml: 968 more documents have problems\n"));
	says("a.yaml", "");
	recorder.n = 0;
	assert_int_equal(catalog_flush(catalog), 0);
	assert_int_equal(recorder.n, 33);
	buf_done(&text);
}

TEST(tells_everything_again)
{
	says("a.yaml", SERVICE("x", "10.0.0.1") "---\n" BAD_SERVICE("y"));
	told("put Service default/x 10.0.0.1\nproblem Service default/y: " BAD_PORT
	     " (a.yaml:6)\n");
	says("a.yaml", SERVICE("x", "10.0.0.2") "---\n" BAD_SERVICE("y"));
	buf_reset(&recorder.said);
	assert_int_equal(catalog_relist(catalog), 0);
	assert_string_equal(buf_str(&recorder.said),
			    "put Service default/x 10.0.0.1\n"
			    "problem Service default/y: " BAD_PORT " (a.yaml:6)\n"
			    "put Service default/x 10.0.0.2\n");
}

TEST(json_is_known_by_its_name)
{
	static const char text[] =
		"{\"apiVersion\":\"v1\",\"kind\":\"Service\",\"metadata\":{\"name\":\"x\","
		"\"annotations\":{\"a\":\"\\ud83d\\ude00\"}},\"spec\":{\"clusterIP\":\"None\"}}";

	says("a.json", text);
	told("put Service default/x None\n");
	says("a.yaml", text);
	told("problem a.yaml:1: found invalid Unicode character escape code, while parsing a quoted scalar that began "
	     "on line 1\n");
}

/* Any allocation of an update may fail: then nothing changes, and the next try does it. */
TEST(survives_lack_of_memory)
{
	static const char first[] = SERVICE("x", "10.0.0.1") "---\n" SERVICE("y", "10.0.0.2");
	static const char second[] = SERVICE("x", "10.0.0.5") "---\n" BAD_SERVICE(
		"y") "---\n[\n---\n" SERVICE("z", "10.0.0.6");
	unsigned n, failures = 0;
	int rc;

	for (n = 1;; n++) {
		teardown(NULL);
		setup(NULL);
		says("a.yaml", first);
		told("put Service default/x 10.0.0.1\nput Service default/y 10.0.0.2\n");
		failmalloc_at(n);
		rc = catalog_update(catalog, "a.yaml", second, strlen(second));
		if (!failmalloc_done())
			break;
		assert_int_equal(rc, -ENOMEM);
		told("");
		failures++;
		says("a.yaml", second);
		buf_reset(&recorder.said);
		recorder.n = 0;
		assert_int_equal(catalog_flush(catalog), 0);
		assert_int_equal(recorder.n, 4); /* in the order in which they were first met */
		assert_non_null(
			strstr(buf_str(&recorder.said), "put Service default/x 10.0.0.5\n"));
		assert_non_null(
			strstr(buf_str(&recorder.said), "put Service default/z 10.0.0.6\n"));
		assert_non_null(strstr(buf_str(&recorder.said), "problem a.yaml:11: did not find"));
		assert_non_null(strstr(buf_str(&recorder.said),
				       "(a.yaml:6, its last good version is served)"));
	}
	assert_int_equal(rc, 0);
	assert_in_range(failures, 50, 2000);
}

TEST(survives_lack_of_memory_when_telling)
{
	unsigned n;
	int rc;

	for (n = 1;; n++) {
		teardown(NULL);
		setup(NULL);
		assert_int_equal(buf_reserve(&recorder.said, 4096), 0); /* ours is not under test */
		says("a.yaml", SERVICE("x", "10.0.0.1") "---\n" BAD_SERVICE("y") "---\n{\n");
		failmalloc_at(n);
		rc = catalog_flush(catalog);
		if (!failmalloc_done())
			break;
		assert_int_equal(rc, -ENOMEM);
		assert_int_equal(catalog_flush(catalog), 0);
		assert_non_null(
			strstr(buf_str(&recorder.said), "put Service default/x 10.0.0.1\n"));
		assert_non_null(
			strstr(buf_str(&recorder.said), "problem Service default/y: " BAD_PORT));
		assert_non_null(strstr(buf_str(&recorder.said), "problem a.yaml:11: "));
		told("");
	}
	assert_int_equal(rc, 0);
	assert_in_range(n, 3, 100);
}

/* Random files over a few names; in the end the sink has what a fresh catalog of the same files tells. */
struct model {
	char ip[4]; /* of service s0..s3 as the sink has it; 0 = gone */
};

static void model_service(void *ctx, const struct service *s)
{
	((struct model *)ctx)->ip[s->meta.name[1] - '0'] = (char)s->cluster_ips[0].b[3];
}

static void model_gone(void *ctx, enum object_kind kind, const char *namespace, const char *name)
{
	struct model *model = ctx;

	(void)namespace;
	assert_int_equal(kind, OBJECT_SERVICE);
	assert_int_not_equal(model->ip[name[1] - '0'], 0);
	model->ip[name[1] - '0'] = 0;
}

static void model_problem(void *ctx, const char *object, const char *reason)
{
	(void)ctx;
	(void)object;
	(void)reason;
}

static uint32_t next_random(uint32_t *state)
{
	*state = *state * 1664525u + 1013904223u;
	return *state >> 8;
}

static void random_text(uint32_t *random, struct buf *text)
{
	int i, n = (int)(next_random(random) % 4);

	buf_reset(text);
	for (i = 0; i < n; i++)
		buf_printf(text,
			   "---\napiVersion: v1\nkind: Service\nmetadata: {name: s%u}\n"
			   "spec: {clusterIP: 10.0.0.%u, ports: [{port: 80}]}\n",
			   next_random(random) % 4, 1 + next_random(random) % 9);
}

TEST(the_sink_ends_where_the_files_are)
{
	struct model model = { { 0 } }, fresh_model;
	struct source_sink sink = { .ctx = &model,
				    .put_service = model_service,
				    .gone = model_gone,
				    .problem = model_problem };
	struct buf texts[3] = { { 0 } };
	bool exists[3] = { false };
	static const char *const names[] = { "a.yaml", "b.yaml", "c.yaml" };
	struct catalog *c, *fresh;
	uint32_t random = 7;
	int step, file;

	assert_int_equal(catalog_new(&sink, OBJECTS_ALL, 1, &c), 0);
	for (step = 0; step < 3000; step++) {
		file = (int)(next_random(&random) % 3);
		switch (next_random(&random) % 8) {
		case 0:
			catalog_remove(c, names[file]);
			exists[file] = false;
			break;
		case 1: /* breaks; is put right again before the comparison */
			assert_int_equal(catalog_update(c, names[file], "{", 1), 0);
			exists[file] = true;
			break;
		default:
			random_text(&random, &texts[file]);
			assert_int_equal(catalog_update(c, names[file], buf_str(&texts[file]),
							texts[file].len),
					 0);
			exists[file] = true;
		}
		if (next_random(&random) % 3)
			assert_int_equal(catalog_flush(c), 0);
		if (step % 10)
			continue;
		memset(&fresh_model, 0, sizeof(fresh_model));
		sink.ctx = &fresh_model;
		assert_int_equal(catalog_new(&sink, OBJECTS_ALL, 2, &fresh), 0);
		for (file = 0; file < 3; file++) {
			if (!exists[file])
				continue;
			assert_int_equal(catalog_update(c, names[file], buf_str(&texts[file]),
							texts[file].len),
					 0);
			assert_int_equal(catalog_update(fresh, names[file], buf_str(&texts[file]),
							texts[file].len),
					 0);
		}
		assert_int_equal(catalog_flush(c), 0);
		assert_int_equal(catalog_flush(fresh), 0);
		assert_memory_equal(&model, &fresh_model, sizeof(model));
		catalog_free(fresh);
	}
	catalog_free(c);
	for (file = 0; file < 3; file++)
		buf_done(&texts[file]);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

RUN(T(tells_differences_only), T(tells_the_last_of_several_changes),
    T(an_object_may_move_between_files), T(a_broken_document_costs_only_itself),
    T(a_file_that_breaks_keeps_what_was_good), T(a_refused_object_stays_as_it_was),
    T(a_refused_object_without_name_breaks_the_file), T(notes_come_with_the_object_and_go),
    T(the_first_file_by_name_counts), T(a_good_object_beats_a_broken_or_an_old_one),
    T(one_object_twice_in_a_file), T(an_unreadable_file_keeps_its_objects),
    T(many_broken_documents_are_counted), T(tells_everything_again), T(json_is_known_by_its_name),
    T(survives_lack_of_memory), T(survives_lack_of_memory_when_telling),
    cmocka_unit_test(the_sink_ends_where_the_files_are))
