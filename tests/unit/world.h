/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TESTS_UNIT_WORLD_H
#define TESTS_UNIT_WORLD_H

/*
 * A small world for tests of the core: objects in short words, a store, a plan, a diff, and a
 * kernel that is a few hash tables. The kernel checks after every single operation that no program
 * could follow a reference to something that is not there or belongs to somebody else.
 */
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/table.h"
#include "core/diff.h"
#include "core/plan.h"
#include "core/problem.h"
#include "core/store.h"
#include "core/view.h"

/* ---- the kernel ------------------------------------------------------------------------------ */

struct kernel {
	struct table rows[ROW_TABLE_COUNT]; /* key → malloc()ed value */
};

static inline void kernel_init(struct kernel *k)
{
	for (int t = 0; t < ROW_TABLE_COUNT; t++)
		table_init(&k->rows[t], 7);
}

static inline void kernel_done(struct kernel *k)
{
	for (int t = 0; t < ROW_TABLE_COUNT; t++)
		table_done(&k->rows[t], free);
}

static inline const void *kernel_get(const struct kernel *k, enum row_table t, const void *key)
{
	return table_get(&k->rows[t], key, row_tables[t].key_len);
}

static inline bool is_zero(const void *bytes, size_t len)
{
	const unsigned char *p = bytes;

	for (size_t i = 0; i < len; i++)
		if (p[i])
			return false;
	return true;
}

static inline void kernel_put(struct kernel *k, enum row_table t, const void *key,
			      const void *value)
{
	size_t len = row_tables[t].value_len;
	void *copy, *old = NULL;

	if (row_tables[t].array && is_zero(value, len)) {
		free(table_remove(&k->rows[t], key, row_tables[t].key_len));
		return;
	}
	copy = malloc(len);
	assert_non_null(copy);
	memcpy(copy, value, len);
	assert_int_equal(table_put(&k->rows[t], key, row_tables[t].key_len, copy, &old), 0);
	free(old);
}

static inline void kernel_apply(struct kernel *k, const struct diff_op *op)
{
	if (op->action == DIFF_DELETE) {
		assert_false(row_tables[op->table].array);
		free(table_remove(&k->rows[op->table], op->key, row_tables[op->table].key_len));
	} else {
		kernel_put(k, op->table, op->key, op->value);
	}
}

static inline int kernel_each(void *ctx, enum row_table t,
			      int (*fn)(void *fn_ctx, const void *key, const void *value),
			      void *fn_ctx)
{
	struct kernel *k = ctx;
	struct table_entry *e;
	int rc = 0;

	table_for_each(e, &k->rows[t]) {
		rc = fn(fn_ctx, e->key, e->value);
		if (rc)
			break;
	}
	return rc;
}

static inline struct row_reader kernel_reader(struct kernel *k)
{
	return (struct row_reader){ .ctx = k, .each = kernel_each };
}

static inline void check_filter(const struct kernel *k, int family, const struct address *addr,
				bool backend)
{
	uint32_t bit = row_filter_bit(addr), word = (bit >> 6) + (backend ? SL_FILTER_WORDS : 0);
	const uint64_t *bits = kernel_get(k, row_table_of(ROW4_FILTER, family), &word);

	assert_non_null(bits);
	assert_true(*bits >> (bit & 63) & 1);
}

static inline void check_ring(const struct kernel *k, int family, const struct row_service *s,
			      uint32_t line, uint32_t len, uint16_t flag)
{
	for (uint32_t i = 0; i < len; i++) {
		uint32_t at = line + i / SL_RING_LINE_IDS;
		const struct sl_ring_line *l = kernel_get(k, row_table_of(ROW4_RINGS, family), &at);
		const void *bytes;
		struct row_backend b;
		uint32_t id;

		assert_non_null(l);
		id = l->backend[i % SL_RING_LINE_IDS];
		assert_int_not_equal(id, 0);
		bytes = kernel_get(k, row_table_of(ROW4_BACKENDS, family), &id);
		assert_non_null(bytes);
		row_decode_backend(family, bytes, &b);
		assert_int_equal(b.service, s->service);
		assert_true(b.flags & flag);
		check_filter(k, family, &b.addr, true);
	}
}

/* Everything that a program could reach from the service map. */
static inline void kernel_check(const struct kernel *k)
{
	for (int family = 4; family <= 6; family += 2) {
		struct table_entry *e;

		table_for_each(e, &k->rows[row_table_of(ROW4_SERVICES, family)]) {
			const struct sl_slot_ref *ref = e->value;
			const void *bytes =
				kernel_get(k, row_table_of(ROW4_RECORDS, family), &ref->slot);
			struct row_service_key key;
			struct row_service s;

			assert_non_null(bytes);
			row_decode_key(family, e->key, &key);
			row_decode_service(family, bytes, &s);
			assert_int_equal(s.gen, ref->gen);
			assert_int_equal(s.key.port, key.port);
			assert_int_equal(s.key.proto, key.proto);
			assert_int_equal(address_cmp(&s.key.vip, &key.vip), 0);
			if (!address_is_zero(&key.vip))
				check_filter(k, family, &key.vip, false);
			if (s.kind == SL_KIND_ADDRESS)
				continue;
			assert_non_null(
				kernel_get(k, row_table_of(ROW4_NAMES, family), &s.service));
			check_ring(k, family, &s, s.cluster_line, s.cluster_len,
				   SL_BACKEND_IN_CLUSTER);
			check_ring(k, family, &s, s.local_line, s.local_len, SL_BACKEND_IN_LOCAL);
		}
	}
}

/* ---- the world ------------------------------------------------------------------------------- */

struct world {
	struct problems *problems;
	struct store *store;
	struct source_sink sink;
	struct diff *diff;
	struct plan *plan;
	struct plan_config config;
	struct kernel kernel;
	unsigned ops, barriers; /* so far */
	bool hasty; /* the kernel checks itself after each round, not after each operation */
};

static inline void world_list(struct world *w)
{
	for (int i = 0; i < OBJECT_KINDS; i++)
		w->sink.listed(w->sink.ctx, (enum object_kind)i);
}

static inline void world_start_agent(struct world *w)
{
	w->diff = diff_new();
	assert_non_null(w->diff);
	assert_int_equal(plan_new(&w->config, w->store, w->diff, w->problems, &w->plan), 0);
}

static inline void world_init_with(struct world *w, uint32_t max_services, uint32_t max_backends,
				   unsigned kinds)
{
	memset(w, 0, sizeof(*w));
	w->problems = problems_new(NULL, NULL);
	w->store = store_new(w->problems);
	assert_non_null(w->store);
	w->sink = store_sink(w->store);
	w->config = (struct plan_config){ .node_name = "here", .host_netns = 1 };
	w->config.limits = plan_limits_of(max_services, max_backends);
	w->config.kinds = kinds;
	kernel_init(&w->kernel);
	world_start_agent(w);
	world_list(w);
	diff_allow_removals(w->diff);
}

static inline void world_init_limits(struct world *w, uint32_t max_services, uint32_t max_backends)
{
	world_init_with(w, max_services, max_backends, 0);
}

/* Other kinds of frontends than programs serve. */
static inline void world_init_kinds(struct world *w, unsigned kinds)
{
	world_init_with(w, 100, 1000, kinds);
}

static inline void world_init(struct world *w)
{
	world_init_limits(w, 100, 1000);
}

static inline void world_stop_agent(struct world *w)
{
	plan_free(w->plan);
	diff_free(w->diff);
	w->plan = NULL;
	w->diff = NULL;
}

static inline void world_done(struct world *w)
{
	world_stop_agent(w);
	store_free(w->store);
	problems_free(w->problems);
	kernel_done(&w->kernel);
}

/* Killed and started again; the source says the same. */
static inline void world_restart(struct world *w)
{
	struct row_reader reader = kernel_reader(&w->kernel);

	world_stop_agent(w);
	world_start_agent(w);
	assert_int_equal(diff_saw_all(w->diff, &reader), 0);
	assert_int_equal(plan_restore(w->plan), 0);
	assert_false(plan_rest_begin(w->plan)); /* nothing is free before the first run */
	diff_allow_removals(w->diff);
}

/* At most max operations, with a check after each; returns how many were made. */
static inline unsigned world_apply(struct world *w, unsigned max)
{
	struct diff_op op;
	unsigned n = 0;

	diff_begin(w->diff);
	while (n < max && diff_next(w->diff, &op)) {
		kernel_apply(&w->kernel, &op);
		diff_done(w->diff, &op);
		if (!w->hasty)
			kernel_check(&w->kernel);
		n++;
	}
	kernel_check(&w->kernel);
	w->ops += n;
	return n;
}

/* One turn of the agent's loop; false when nothing is left to do. */
static inline bool world_turn(struct world *w)
{
	unsigned n;

	assert_int_equal(plan_run(w->plan), 0);
	n = world_apply(w, UINT_MAX);
	if (plan_rest_begin(w->plan)) {
		w->barriers++;
		plan_rest_end(w->plan);
		n++;
	}
	return n || plan_wants_run(w->plan);
}

static inline void world_settle(struct world *w)
{
	for (int i = 0; world_turn(w); i++)
		assert_true(i < 20);
	assert_int_equal(diff_n_pending(w->diff, true), 0);
}

/* ---- objects --------------------------------------------------------------------------------- */

static inline struct address addr(const char *text)
{
	struct address a;

	assert_int_equal(address_parse(text, &a), 0);
	return a;
}

/* "ns/name" in two parts; the buffers must live as long as the object. */
struct names {
	char namespace[64], name[64];
};

static inline struct object_meta meta_of(struct names *n, const char *full)
{
	const char *slash = strchr(full, '/');

	assert_non_null(slash);
	snprintf(n->namespace, sizeof(n->namespace), "%.*s", (int)(slash - full), full);
	snprintf(n->name, sizeof(n->name), "%s", slash + 1);
	return (struct object_meta){ .namespace = n->namespace, .name = n->name };
}

/* A service of one TCP port "web" 80 unless `edit` changes it. */
struct svc {
	struct names names;
	struct address vips[2];
	struct service_port ports[4];
	char port_names[4][32];
	struct service s;
};

static inline void svc_port(struct svc *v, const char *name, uint8_t proto, uint16_t port)
{
	size_t i = v->s.n_ports++;

	snprintf(v->port_names[i], sizeof(v->port_names[i]), "%s", name);
	v->ports[i] =
		(struct service_port){ .name = v->port_names[i], .proto = proto, .port = port };
	v->s.ports = v->ports;
}

static inline void svc_vip(struct svc *v, const char *vip)
{
	v->vips[v->s.n_cluster_ips++] = addr(vip);
	v->s.cluster_ips = v->vips;
}

static inline void svc_init(struct svc *v, const char *full, const char *vip)
{
	memset(v, 0, sizeof(*v));
	v->s.meta = meta_of(&v->names, full);
	if (vip)
		svc_vip(v, vip);
}

static inline void put_svc(struct world *w, struct svc *v)
{
	w->sink.put_service(w->sink.ctx, &v->s);
}

/* The usual one: TCP port "web" 80. */
static inline void put_web(struct world *w, const char *full, const char *vip)
{
	struct svc v;

	svc_init(&v, full, vip);
	svc_port(&v, "web", IPPROTO_TCP, 80);
	put_svc(w, &v);
}

static inline void gone_svc(struct world *w, const char *full)
{
	struct names n;
	struct object_meta m = meta_of(&n, full);

	w->sink.gone(w->sink.ctx, OBJECT_SERVICE, m.namespace, m.name);
}

#define SLICE_MAX 400

/*
 * A slice from words: "10.0.0.1 10.0.0.2:u 10.0.0.3:t 10.0.0.4:l". Letters behind the colon (a
 * slash for IPv6): u unready, t terminating and serving, x terminating and not serving, l on this
 * node.
 */
struct slice_words {
	struct names names;
	char service[64], port_name[32], pod_names[SLICE_MAX][16];
	struct endpoint endpoints[SLICE_MAX];
	struct slice_port port;
	struct endpoint_slice s;
};

static inline void slice_init(struct slice_words *w, const char *full, const char *service,
			      const char *port_name, uint8_t proto, uint16_t port,
			      const char *words)
{
	static char here[] = "here", there[] = "there";
	char text[8000], *save = NULL;

	memset(w, 0, sizeof(*w));
	w->s.meta = meta_of(&w->names, full);
	snprintf(w->service, sizeof(w->service), "%s", service);
	snprintf(w->port_name, sizeof(w->port_name), "%s", port_name);
	w->port = (struct slice_port){ w->port_name, proto, port };
	w->s.service = w->service;
	w->s.ports = &w->port;
	w->s.n_ports = 1;
	w->s.endpoints = w->endpoints;
	w->s.family = 4;
	snprintf(text, sizeof(text), "%s", words);
	for (char *word = strtok_r(text, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
		struct endpoint *e = &w->endpoints[w->s.n_endpoints++];
		char *letters = strpbrk(word, strchr(word, '.') ? ":" : "/");

		assert_true(w->s.n_endpoints <= SLICE_MAX);
		*e = (struct endpoint){ .ready = true, .serving = true, .node_name = there };
		if (letters)
			*letters++ = '\0';
		e->addr = addr(word);
		w->s.family = e->addr.family;
		for (; letters && *letters; letters++) {
			if (*letters == 'u')
				e->ready = e->serving = false;
			if (*letters == 't')
				e->ready = false, e->terminating = true;
			if (*letters == 'x')
				e->ready = e->serving = false, e->terminating = true;
			if (*letters == 'l')
				e->node_name = here;
		}
	}
}

static inline void put_slice_of(struct world *w, const char *full, const char *service,
				const char *port_name, uint8_t proto, uint16_t port,
				const char *words)
{
	static struct slice_words s; /* large, and not from a heap that a test may exhaust */

	slice_init(&s, full, service, port_name, proto, port, words);
	w->sink.put_slice(w->sink.ctx, &s.s);
}

/* The usual one: endpoints of "web" on TCP 8080, in a slice named after the service. */
static inline void put_web_slice(struct world *w, const char *full, const char *words)
{
	put_slice_of(w, full, strchr(full, '/') + 1, "web", IPPROTO_TCP, 8080, words);
}

static inline void gone_slice_of(struct world *w, const char *full)
{
	struct names n;
	struct object_meta m = meta_of(&n, full);

	w->sink.gone(w->sink.ctx, OBJECT_ENDPOINT_SLICE, m.namespace, m.name);
}

/* ---- text of a view -------------------------------------------------------------------------- */

static inline void dump_endpoints(struct buf *out, const char *what,
				  const struct view_endpoint *list, size_t n)
{
	char text[ADDRESS_TEXT_LEN];

	if (n)
		buf_printf(out, " %s", what);
	for (size_t i = 0; i < n; i++) {
		uint16_t f = list[i].flags;

		buf_printf(out, " %s:%u%s", address_format(&list[i].addr, text), list[i].port,
			   f || list[i].foreign ? "/" : "");
		buf_printf(out, "%s%s%s%s%s%s", f & SL_BACKEND_IN_CLUSTER ? "c" : "",
			   f & SL_BACKEND_IN_LOCAL ? "l" : "", f & SL_BACKEND_SERVING ? "s" : "",
			   f & SL_BACKEND_LOCAL ? "h" : "", f & SL_BACKEND_TERMINATING ? "t" : "",
			   list[i].foreign ? "!FOREIGN" : "");
	}
}

/*
 * One line a row: "ns/name:port TCP 10.96.0.1:80 ClusterIP flags 0x4 cluster … local … backends …",
 * where an endpoint is address:port/flags (c in cluster list, l in local list, s serving, h here, t
 * terminating).
 */
static inline char *dump_view(const struct view *v)
{
	struct buf out = { 0 };
	char text[ADDRESS_TEXT_LEN];

	for (size_t i = 0; i < v->n_services; i++) {
		const struct view_service *s = &v->services[i];

		buf_printf(&out, "%s/%s:%s %s %s:%u %s flags 0x%x", s->namespace, s->name,
			   s->port_name, view_proto_name(s->proto), address_format(&s->vip, text),
			   s->port, view_kind_name(s->kind), s->flags);
		if (s->affinity_s)
			buf_printf(&out, " affinity %u", s->affinity_s);
		if (s->algorithm)
			buf_printf(&out, " %s %u", view_algorithm_name(s->algorithm),
				   s->cluster_len);
		if (s->damage)
			buf_printf(&out, " DAMAGED: %s", s->damage);
		dump_endpoints(&out, "cluster", s->cluster, s->n_cluster);
		dump_endpoints(&out, "local", s->local, s->n_local);
		dump_endpoints(&out, "backends", s->backends, s->n_backends);
		buf_puts(&out, "\n");
	}
	assert_false(out.failed);
	buf_puts(&out, "");
	return out.data ? buf_take(&out) : strdup("");
}

static inline char *dump_kernel(struct world *w)
{
	struct row_reader reader = kernel_reader(&w->kernel);
	struct view v;
	char *text;

	assert_int_equal(view_from_rows(&reader, &v), 0);
	text = dump_view(&v);
	view_done(&v);
	return text;
}

static inline void assert_kernel(struct world *w, const char *expected)
{
	char *text = dump_kernel(w);

	assert_string_equal(text, expected);
	free(text);
}

static inline void append_problem(void *ctx, const char *object, const char *reason)
{
	buf_printf(ctx, "%s: %s\n", object, reason);
}

static inline void assert_problems(struct world *w, const char *expected)
{
	struct buf out = { 0 };

	problem_each(w->problems, append_problem, &out);
	assert_string_equal(buf_str(&out), expected);
	buf_done(&out);
}

#endif
