// SPDX-License-Identifier: GPL-2.0-only
// Store: slices find their service whatever the order of events; what changed is dirty; objects
// with another UID are others.
/* link: user/core/store.c user/core/model.c user/core/address.c user/core/problem.c */
/* link: user/base/table.c */
#include "unit/test.h"

#include <stdio.h>
#include <string.h>

#include "core/problem.h"
#include "core/store.h"

static char text[16][64];

/* The store copies, so one buffer for each place is enough. */
static char *word(int place, const char *value)
{
	if (!value)
		return NULL;
	snprintf(text[place], sizeof(text[place]), "%s", value);
	return text[place];
}

static void put_service(struct source_sink *sink, const char *name, const char *uid)
{
	struct service s = { .meta = { word(0, "ns"), word(1, name), word(2, uid), NULL } };

	sink->put_service(sink->ctx, &s);
}

static void put_slice(struct source_sink *sink, const char *name, const char *service, int family,
		      uint16_t port)
{
	struct slice_port p = { word(4, "web"), 6, port };
	struct endpoint e = { .node_name = word(5, "node") };
	struct endpoint_slice s = {
		.meta = { word(0, "ns"), word(1, name), NULL, NULL },
		.service = word(3, service),
		.family = (uint8_t)family,
		.ports = &p,
		.n_ports = 1,
		.endpoints = &e,
		.n_endpoints = 1,
	};

	sink->put_slice(sink->ctx, &s);
}

static void clean_all(struct store *s)
{
	struct store_entry *e;

	while ((e = store_first_dirty(s)))
		store_clean(s, e);
}

/* Names of the dirty services, in order. */
static const char *dirty(struct store *s)
{
	static char out[200];

	out[0] = '\0';
	for (struct store_entry *e = store_first_dirty(s); e; e = store_next_dirty(s, e))
		snprintf(out + strlen(out), sizeof(out) - strlen(out), "%s%s/%s", out[0] ? " " : "",
			 e->namespace, e->name);
	return out;
}

TEST(a_slice_may_come_first)
{
	struct store *s = store_new(NULL);
	struct source_sink sink = store_sink(s);
	const struct store_entry *e;

	put_slice(&sink, "web-b", "web", 4, 2);
	put_slice(&sink, "web-a", "web", 4, 1);
	assert_string_equal(dirty(s), "ns/web");
	e = store_find(s, "ns", "web");
	assert_non_null(e);
	assert_null(e->service);
	assert_int_equal(e->n_slices, 2);
	assert_string_equal(e->slices[0]->meta.name, "web-a"); /* by name, not by arrival */
	clean_all(s);
	put_service(&sink, "web", NULL);
	assert_non_null(e->service);
	assert_string_equal(dirty(s), "ns/web");
	sink.gone(sink.ctx, OBJECT_SERVICE, "ns", "web");
	sink.gone(sink.ctx, OBJECT_ENDPOINT_SLICE, "ns", "web-a");
	sink.gone(sink.ctx, OBJECT_ENDPOINT_SLICE, "ns", "web-a"); /* twice is once */
	sink.gone(sink.ctx, OBJECT_ENDPOINT_SLICE, "ns", "web-b");
	clean_all(s);
	assert_null(store_find(s, "ns", "web")); /* nothing is left of it */
	store_free(s);
}

TEST(a_slice_moves_with_its_label)
{
	struct store *s = store_new(NULL);
	struct source_sink sink = store_sink(s);

	put_service(&sink, "a", NULL);
	put_service(&sink, "b", NULL);
	put_slice(&sink, "x", "a", 4, 1);
	clean_all(s);
	put_slice(&sink, "x", "b", 4, 2);
	assert_string_equal(dirty(s), "ns/a ns/b");
	assert_int_equal(store_find(s, "ns", "a")->n_slices, 0);
	assert_int_equal(store_find(s, "ns", "b")->n_slices, 1);
	assert_int_equal(store_find(s, "ns", "b")->slices[0]->ports[0].port, 2);
	clean_all(s);
	put_slice(&sink, "x", NULL, 4, 2); /* the label is gone */
	assert_string_equal(dirty(s), "ns/b");
	assert_int_equal(store_find(s, "ns", "b")->n_slices, 0);
	put_slice(&sink, "x", "b", 0, 2); /* another address type: ignored */
	assert_int_equal(store_find(s, "ns", "b")->n_slices, 0);
	store_free(s);
}

TEST(another_uid_is_another_object)
{
	struct store *s = store_new(NULL);
	struct source_sink sink = store_sink(s);
	struct store_entry *e;
	uint64_t first;

	put_service(&sink, "a", "one");
	e = store_first_dirty(s);
	first = e->incarnation;
	put_service(&sink, "a", "one");
	assert_int_equal(e->incarnation, first);
	sink.gone(sink.ctx, OBJECT_SERVICE, "ns",
		  "a"); /* a file that is written anew looks like this */
	put_service(&sink, "a", "one");
	assert_int_equal(e->incarnation, first);
	put_service(&sink, "a", "two");
	assert_int_not_equal(e->incarnation, first);
	store_free(s);
}

TEST(dirty_is_a_list_in_order)
{
	struct store *s = store_new(NULL);
	struct source_sink sink = store_sink(s);

	put_service(&sink, "a", NULL);
	put_service(&sink, "b", NULL);
	put_service(&sink, "c", NULL);
	put_service(&sink, "a", NULL); /* keeps its place */
	assert_string_equal(dirty(s), "ns/a ns/b ns/c");
	assert_int_equal(store_n_dirty(s), 3);
	store_clean(s, store_next_dirty(s, store_first_dirty(s)));
	assert_string_equal(dirty(s), "ns/a ns/c");
	clean_all(s);
	assert_int_equal(store_n_dirty(s), 0);
	store_mark_all_dirty(s);
	assert_string_equal(dirty(s), "ns/a ns/b ns/c");
	store_free(s);
}

TEST(an_entry_somebody_uses_stays)
{
	struct store *s = store_new(NULL);
	struct source_sink sink = store_sink(s);
	struct store_entry *e;
	int mine;

	put_service(&sink, "a", NULL);
	e = store_first_dirty(s);
	e->user = &mine;
	sink.gone(sink.ctx, OBJECT_SERVICE, "ns", "a");
	store_clean(s, e);
	assert_ptr_equal(store_find(s, "ns", "a"), e);
	e->user = NULL;
	store_mark_dirty(s, e);
	store_clean(s, e);
	assert_null(store_find(s, "ns", "a"));
	store_free(s);
}

TEST(listed_means_every_kind)
{
	struct store *s = store_new(NULL);
	struct source_sink sink = store_sink(s);

	for (int i = 0; i < OBJECT_KINDS; i++)
		if (!(OBJECTS_OF_AGENT & OBJECT_BIT(i)))
			sink.listed(sink.ctx, (enum object_kind)i); /* not for the store */
	for (int i = 0; i < OBJECT_KINDS; i++) {
		if (!(OBJECTS_OF_AGENT & OBJECT_BIT(i)))
			continue;
		assert_false(store_is_listed(s));
		sink.listed(sink.ctx, (enum object_kind)i);
	}
	assert_true(store_is_listed(s));
	store_free(s);
}

static int count_cidr(void *ctx, const struct service_cidr *c)
{
	*(size_t *)ctx += c->n_cidrs;
	return 0;
}

TEST(nodes_and_service_cidrs)
{
	struct store *s = store_new(NULL);
	struct source_sink sink = store_sink(s);
	struct cidr cidr = { { 4, { 10, 96 } }, 16 };
	struct service_cidr c = { .meta.name = word(0, "kubernetes"),
				  .cidrs = &cidr,
				  .n_cidrs = 1 };
	struct node n = { .meta.name = word(1, "node"), .zone = word(2, "z") };
	struct store_stats stats;
	size_t count = 0;

	store_clean_nodes(s);
	store_clean_cidrs(s);
	sink.put_node(sink.ctx, &n);
	sink.put_service_cidr(sink.ctx, &c);
	assert_true(store_nodes_dirty(s) && store_cidrs_dirty(s));
	assert_string_equal(store_node(s, "node")->zone, "z");
	assert_null(store_node(s, "other"));
	assert_null(store_node(s, NULL));
	store_each_cidr(s, count_cidr, &count);
	assert_int_equal(count, 1);
	store_count(s, &stats);
	assert_int_equal(stats.nodes, 1);
	assert_int_equal(stats.cidrs, 1);
	store_clean_nodes(s);
	store_clean_cidrs(s);
	sink.gone(sink.ctx, OBJECT_NODE, NULL, "other");
	assert_false(store_nodes_dirty(s));
	sink.gone(sink.ctx, OBJECT_NODE, NULL, "node");
	sink.gone(sink.ctx, OBJECT_SERVICE_CIDR, "", "kubernetes");
	assert_true(store_nodes_dirty(s) && store_cidrs_dirty(s));
	assert_null(store_node(s, "node"));
	store_free(s);
}

TEST(counts)
{
	struct store *s = store_new(NULL);
	struct source_sink sink = store_sink(s);
	struct store_stats stats;

	put_service(&sink, "a", NULL);
	put_service(&sink, "a", NULL);
	put_slice(&sink, "x", "a", 4, 1);
	put_slice(&sink, "y", "b", 6, 1);
	store_count(s, &stats);
	assert_int_equal(stats.services, 1);
	assert_int_equal(stats.slices, 2);
	assert_int_equal(stats.endpoints, 2);
	sink.gone(sink.ctx, OBJECT_SERVICE, "ns", "a");
	store_count(s, &stats);
	assert_int_equal(stats.services, 0);
	store_free(s);
}

/* ---- problems -------------------------------------------------------------------------------- */

static char changes[600];

static void note_change(void *ctx, const char *object, const char *reason, bool solved)
{
	(void)ctx;
	snprintf(changes + strlen(changes), sizeof(changes) - strlen(changes), "%s%s: %s\n",
		 solved ? "solved " : "", object, reason);
}

TEST(problems_come_and_go)
{
	struct problems *p = problems_new(note_change, NULL);
	struct store *s = store_new(p);
	struct source_sink sink = store_sink(s);

	changes[0] = '\0';
	sink.problem(sink.ctx, "file.yaml:12", "not YAML");
	sink.problem(sink.ctx, "file.yaml:12", "not YAML"); /* said again */
	assert_string_equal(changes, "file.yaml:12: not YAML\n");
	changes[0] = '\0';
	problem_begin(
		p, "plan",
		"file.yaml:12"); /* another teller's problems of the same object are its own */
	problem_add(p, "one %d", 1);
	problem_add(p, "two");
	assert_int_equal(problem_end(p), 0);
	assert_int_equal(problem_count(p), 3);
	problem_begin(p, "plan", "file.yaml:12");
	problem_add(p, "two");
	problem_add(p, "three");
	problem_end(p);
	assert_string_equal(
		changes,
		"file.yaml:12: one 1\nfile.yaml:12: two\nsolved file.yaml:12: one 1\nfile.yaml:12: three\n");
	changes[0] = '\0';
	sink.problem(sink.ctx, "file.yaml:12", NULL);
	assert_string_equal(changes, "solved file.yaml:12: not YAML\n");
	assert_int_equal(problem_count(p), 2);
	problem_set(p, "plan", "file.yaml:12", NULL);
	assert_int_equal(problem_count(p), 0);
	store_free(s);
	problems_free(p);
}

RUN(cmocka_unit_test(a_slice_may_come_first), cmocka_unit_test(a_slice_moves_with_its_label),
    cmocka_unit_test(another_uid_is_another_object), cmocka_unit_test(dirty_is_a_list_in_order),
    cmocka_unit_test(an_entry_somebody_uses_stays), cmocka_unit_test(listed_means_every_kind),
    cmocka_unit_test(nodes_and_service_cidrs), cmocka_unit_test(counts),
    cmocka_unit_test(problems_come_and_go))
