// SPDX-License-Identifier: GPL-2.0-only
// Restart: killed between any two operations, failing operations, corrupted rows, and long random lives of a cluster.
/* link: user/core/plan.c user/core/plan_config.c user/core/plan_service.c user/core/plan_filter.c user/core/plan_claim.c user/core/plan_port.c user/core/plan_row.c user/core/plan_list.c user/core/plan_commit.c user/core/plan_rest.c */
/* link: user/core/plan_restore.c user/core/store.c user/core/policy.c user/core/ids.c */
/* link: user/core/ring.c user/core/rows.c user/core/diff.c user/core/diff_row.c user/core/diff_audit.c user/core/diff_look.c user/core/view.c user/core/model.c */
/* link: user/core/address.c user/core/problem.c user/base/table.c user/base/arena.c */
/* link: user/base/buf.c */
#include "unit/test.h"

#include <limits.h>

#include "unit/world.h"

/* ---- a first and a second state of a small cluster ------------------------------------------- */

static void put_first(struct world *w)
{
	struct svc v;

	put_web(w, "ns/a", "10.96.0.1");
	put_web_slice(w, "ns/a", "10.0.0.1 10.0.0.2 10.0.0.3:l");
	put_web(w, "ns/b", "10.96.0.2");
	put_web_slice(w, "ns/b", "10.0.1.1 10.0.1.2:t");
	put_web(w, "ns/c", "10.96.0.3");
	put_web_slice(w, "ns/c", "10.0.2.1");
	svc_init(&v, "ns/d", "10.96.0.4");
	svc_vip(&v, "fd00::4");
	svc_port(&v, "web", IPPROTO_TCP, 80);
	svc_port(&v, "dns", IPPROTO_UDP, 53);
	put_svc(w, &v);
	put_web_slice(w, "ns/d", "10.0.3.1:l 10.0.3.2");
	put_slice_of(w, "ns/d6", "d", "dns", IPPROTO_UDP, 53, "fd01::1 fd01::2/l");
}

/* Every kind of change at once. */
static void put_second(struct world *w)
{
	struct svc v;

	put_web_slice(w, "ns/a",
		      "10.0.0.2:t 10.0.0.3:l 10.0.0.4"); /* one gone, one terminating, one new */
	svc_init(&v, "ns/b", "10.96.0.2");               /* policy and affinity */
	svc_port(&v, "web", IPPROTO_TCP, 80);
	v.s.internal_policy = POLICY_LOCAL;
	v.s.affinity_s = 60;
	put_svc(w, &v);
	put_web_slice(w, "ns/b", "10.0.1.1:l 10.0.1.2");
	gone_svc(w, "ns/c"); /* its address goes to another service */
	put_web(w, "ns/e", "10.96.0.3");
	put_web_slice(w, "ns/e", "10.0.2.1 10.0.5.1");
	svc_init(&v, "ns/d", "10.96.0.14"); /* another address, another port, one port less */
	svc_vip(&v, "fd00::4");
	svc_port(&v, "web", IPPROTO_TCP, 81);
	put_svc(w, &v);
	put_web_slice(w, "ns/d", "10.0.3.1:l 10.0.3.9");
}

static char *direct_result(void (*put)(struct world *w))
{
	struct world w;
	char *text;

	world_init(&w);
	if (put != put_first)
		put_first(&w);
	put(&w);
	world_settle(&w);
	text = dump_kernel(&w);
	world_done(&w);
	return text;
}

/*
 * Nothing may be left of former owners but generations: rows in use are exactly those a fresh agent
 * would write.
 */
static void assert_no_leftovers(struct world *w)
{
	struct plan_stats stats;
	struct table_entry *e;
	size_t names = 0, backends = 0, services = 0, records = 0, lines = 0;

	for (int family = 4; family <= 6; family += 2) {
		names += w->kernel.rows[row_table_of(ROW4_NAMES, family)].len;
		services += w->kernel.rows[row_table_of(ROW4_SERVICES, family)].len;
		lines += w->kernel.rows[row_table_of(ROW4_RINGS, family)].len;
		table_for_each(e, &w->kernel.rows[row_table_of(ROW4_BACKENDS, family)]) {
			struct row_backend b;

			row_decode_backend(family, e->value, &b);
			backends += b.flags != 0;
			if (!b.flags)
				assert_true(!b.service && !b.port && address_is_zero(&b.addr) &&
					    b.gen);
		}
		table_for_each(e, &w->kernel.rows[row_table_of(ROW4_RECORDS, family)]) {
			struct row_service s;

			row_decode_service(family, e->value, &s);
			records += s.kind != SL_KIND_NONE;
		}
	}
	plan_count(w->plan, &stats);
	assert_int_equal(names, stats.v4.services + stats.v6.services);
	assert_int_equal(backends, stats.v4.backends + stats.v6.backends);
	assert_int_equal(services, stats.v4.rows + stats.v6.rows);
	assert_int_equal(records, services);
	assert_int_equal(lines, stats.v4.lines_used + stats.v6.lines_used);
	assert_int_equal(stats.v4.lines_resting + stats.v6.lines_resting, 0);
	assert_int_equal(stats.v4.backends_resting + stats.v6.backends_resting, 0);
}

/* ---- nothing changed ------------------------------------------------------------------------- */

TEST(an_unchanged_source_changes_nothing)
{
	struct world w;

	world_init(&w);
	put_first(&w);
	world_settle(&w);
	for (int i = 0; i < 3; i++) {
		w.ops = 0;
		world_restart(&w);
		assert_int_equal(plan_run(w.plan), 0);
		assert_int_equal(diff_n_pending(w.diff, true), 0);
		world_settle(&w);
		assert_int_equal(w.ops, 0);
		assert_no_leftovers(&w);
	}
	put_second(&w);
	world_settle(&w);
	w.ops = 0;
	world_restart(&w);
	world_settle(&w);
	assert_int_equal(w.ops, 0);
	assert_no_leftovers(&w);
	world_done(&w);
}

TEST(nothing_goes_before_everything_is_listed)
{
	struct row_reader reader;
	struct world w;

	world_init(&w);
	put_first(&w);
	world_settle(&w);
	world_stop_agent(&w);
	store_free(w.store); /* the source is empty at first */
	w.store = store_new(w.problems);
	w.sink = store_sink(w.store);
	world_start_agent(&w);
	reader = kernel_reader(&w.kernel);
	assert_int_equal(diff_saw_all(w.diff, &reader), 0);
	assert_int_equal(plan_restore(w.plan), 0);
	assert_false(store_is_listed(w.store));
	assert_int_equal(plan_run(w.plan), 0); /* an agent would not do that yet */
	assert_int_equal(world_apply(&w, UINT_MAX), 0);
	assert_int_equal(diff_n_pending(w.diff, false), 0);
	assert_true(diff_n_pending(w.diff, true) > 0);
	put_first(&w);
	world_list(&w);
	assert_true(store_is_listed(w.store));
	diff_allow_removals(w.diff);
	world_settle(&w);
	assert_no_leftovers(&w);
	world_done(&w);
}

/* ---- killed between any two operations ------------------------------------------------------- */

/*
 * The agent is killed after k operations of the change from the first to the second state, for
 * every k. The kernel checks itself after each operation; the state that is reached in the end is
 * the direct one, with nothing left over.
 */
static void kill_everywhere(void (*before)(struct world *w), void (*after)(struct world *w),
			    bool after_first_turn)
{
	char *expected = direct_result(after ? after : before);
	bool all = false;

	for (unsigned k = 0; !all; k++) {
		struct world w;

		world_init(&w);
		if (after) {
			before(&w);
			world_settle(&w);
			after(&w);
		} else {
			before(&w);
		}
		assert_int_equal(plan_run(w.plan), 0);
		if (after_first_turn)
			assert_int_equal(plan_run(w.plan), 0);
		all = world_apply(&w, k) < k;
		world_restart(&w);
		world_settle(&w);
		assert_no_leftovers(&w);
		assert_kernel(&w, expected);
		w.ops = 0;
		world_restart(&w);
		world_settle(&w);
		assert_int_equal(w.ops, 0);
		world_done(&w);
	}
	free(expected);
}

TEST(killed_while_it_starts)
{
	kill_everywhere(put_first, NULL, false);
}

TEST(killed_while_everything_changes)
{
	kill_everywhere(put_first, put_second, false);
}

static void remove_all(struct world *w)
{
	gone_svc(w, "ns/a");
	gone_svc(w, "ns/b");
	gone_svc(w, "ns/c");
	gone_svc(w, "ns/d");
}

TEST(killed_while_everything_goes)
{
	kill_everywhere(put_first, remove_all, false);
}

/* ... and the source says something else by the time it is back. */
TEST(killed_and_the_source_goes_back)
{
	char *expected = direct_result(put_first);
	bool all = false;

	for (unsigned k = 0; !all; k++) {
		struct world w;

		world_init(&w);
		put_first(&w);
		world_settle(&w);
		put_second(&w);
		assert_int_equal(plan_run(w.plan), 0);
		all = world_apply(&w, k) < k;
		gone_svc(&w, "ns/e");
		gone_slice_of(&w, "ns/e");
		put_first(&w);
		world_restart(&w);
		world_settle(&w);
		assert_no_leftovers(&w);
		assert_kernel(&w, expected);
		world_done(&w);
	}
	free(expected);
}

/* ---- operations that fail -------------------------------------------------------------------- */

/* The n-th operation fails, for every n, and succeeds in the next round. */
TEST(every_operation_fails_once)
{
	char *expected = direct_result(put_second);
	bool all = false;

	for (unsigned n = 1; !all; n++) {
		unsigned count = 0;
		struct diff_op op;
		struct world w;

		world_init(&w);
		put_first(&w);
		world_settle(&w);
		put_second(&w);
		assert_int_equal(plan_run(w.plan), 0);
		diff_begin(w.diff);
		all = true;
		while (diff_next(w.diff, &op)) {
			if (++count == n) {
				all = false;
				diff_failed(w.diff, &op);
				continue;
			}
			kernel_apply(&w.kernel, &op);
			diff_done(w.diff, &op);
			kernel_check(&w.kernel);
		}
		if (plan_rest_begin(w.plan))
			plan_rest_end(w.plan);
		world_settle(&w);
		assert_no_leftovers(&w);
		assert_kernel(&w, expected);
		world_done(&w);
	}
	free(expected);
}

/* One round in which the kernel does not let go of the row of 10.96.0.<last>. */
static void apply_but_keep(struct world *w, uint8_t last)
{
	const struct sl4_service_key key = { { 10, 96, 0, last }, 80, IPPROTO_TCP, 0 };
	struct diff_op op;

	diff_begin(w->diff);
	while (diff_next(w->diff, &op)) {
		if (op.table == ROW4_SERVICES && memcmp(op.key, &key, sizeof(key)) == 0) {
			diff_failed(w->diff, &op);
			continue;
		}
		kernel_apply(&w->kernel, &op);
		diff_done(w->diff, &op);
		kernel_check(&w->kernel);
	}
	if (plan_rest_begin(w->plan))
		plan_rest_end(w->plan);
}

/* Others come and look for free numbers, for some time. */
static void crowd(struct world *w, uint8_t last)
{
	for (int i = 0; i < 4; i++) {
		char full[16], vip[32], words[64];

		snprintf(full, sizeof(full), "ns/x%d", i);
		snprintf(vip, sizeof(vip), "10.96.1.%d", i + 1);
		snprintf(words, sizeof(words), "10.1.%d.1 10.1.%d.2", i, i);
		put_web(w, full, vip);
		put_web_slice(w, full, words);
		assert_int_equal(plan_run(w->plan), 0);
		apply_but_keep(w, last);
	}
}

/*
 * A service leaves its address, but the row of that address cannot be removed: what that row leads to rests, also what
 * the service gives up later, while its other row has long settled.
 */
TEST(a_row_that_does_not_go)
{
	struct world w;

	world_init(&w);
	put_web(&w, "ns/a", "10.96.0.1");
	put_web_slice(&w, "ns/a", "10.0.0.1 10.0.0.2");
	world_settle(&w);
	put_web(&w, "ns/a", "10.96.0.2");
	assert_int_equal(plan_run(w.plan), 0);
	apply_but_keep(&w, 1);
	put_web_slice(&w, "ns/a", "10.0.0.2");
	assert_int_equal(plan_run(w.plan), 0);
	apply_but_keep(&w, 1);
	put_web_slice(&w, "ns/a", "10.0.0.3");
	assert_int_equal(plan_run(w.plan), 0);
	apply_but_keep(&w, 1);
	crowd(&w, 1);
	world_settle(&w);
	assert_no_leftovers(&w);
	world_done(&w);
}

/* The same over a restart: two rows of one service are in force, with an endpoint that has another id in each. */
static void restart_between(uint8_t last)
{
	struct world w;

	world_init(&w);
	put_web(&w, "ns/a", "10.96.0.1");
	put_web_slice(&w, "ns/a", "10.0.0.1 10.0.0.2");
	world_settle(&w);
	put_web(&w, "ns/a", "10.96.0.2");
	put_web_slice(&w, "ns/a", "10.0.0.2");
	assert_int_equal(plan_run(w.plan), 0); /* 10.0.0.1 is gone, and nothing is applied */
	put_web_slice(&w, "ns/a", "10.0.0.1 10.0.0.2 10.0.0.3");
	assert_int_equal(plan_run(w.plan), 0);
	apply_but_keep(&w, 1);
	world_restart(&w);
	assert_int_equal(plan_run(w.plan), 0);
	apply_but_keep(&w, last);
	crowd(&w, last);
	world_settle(&w);
	assert_no_leftovers(&w);
	world_done(&w);
}

TEST(a_row_that_does_not_go_over_a_restart)
{
	restart_between(1);
	restart_between(2);
}

/* ---- rows that somebody else broke ----------------------------------------------------------- */

static void count_finding(void *ctx, enum row_table table, const void *key, const void *expected,
			  const void *found)
{
	(void)table;
	(void)key;
	assert_true(expected || found);
	++*(int *)ctx;
}

/*
 * Breaks one row of every table in turn, in one of three ways; an audit finds it, and so does a
 * restart.
 */
static void break_rows(int how, bool restart)
{
	char *expected = direct_result(put_first);

	for (int t = ROW4_NAMES; t < ROW_TABLE_COUNT; t++) {
		size_t at = 0, found = 0;
		struct row_reader reader;
		struct table_entry *e;
		struct world w;
		int told = 0;

		world_init(&w);
		put_first(&w);
		world_settle(&w);
		reader = kernel_reader(&w.kernel);
		e = table_next(&w.kernel.rows[t], &at);
		assert_non_null(e);
		if (how == 0)
			((unsigned char *)e->value)[0] ^= 0x55;
		else if (how == 1)
			((unsigned char *)e->value)[row_tables[t].value_len - 1] ^= 0x55;
		else
			free(table_remove(&w.kernel.rows[t], e->key, e->key_len));
		if (restart) {
			world_restart(&w);
		} else {
			assert_int_equal(diff_audit(w.diff, &reader, count_finding, &told, &found),
					 0);
			assert_int_equal(found, 1);
			assert_int_equal(told, 1);
		}
		/* what is broken is broken until it is repaired, so no checks on the way */
		for (int i = 0; i < 20; i++) {
			struct diff_op op;

			assert_int_equal(plan_run(w.plan), 0);
			diff_begin(w.diff);
			while (diff_next(w.diff, &op)) {
				kernel_apply(&w.kernel, &op);
				diff_done(w.diff, &op);
			}
			if (plan_rest_begin(w.plan))
				plan_rest_end(w.plan);
		}
		assert_int_equal(diff_n_pending(w.diff, true), 0);
		/*
		 * A name or a filter bit may be anything to a restarted agent; everything else is
		 * as it was.
		 */
		kernel_check(&w.kernel);
		assert_kernel(&w, expected);
		world_done(&w);
	}
	free(expected);
}

TEST(audit_repairs_what_was_changed)
{
	break_rows(0, false);
	break_rows(1, false);
}

TEST(audit_repairs_what_was_removed)
{
	break_rows(2, false);
}

TEST(restart_repairs_what_was_changed)
{
	break_rows(0, true);
	break_rows(1, true);
}

TEST(restart_repairs_what_was_removed)
{
	break_rows(2, true);
}

TEST(audit_removes_what_is_foreign)
{
	struct sl4_service_key key = { .vip = { 1, 2, 3, 4 }, .port = 5, .proto = 6 };
	struct sl_slot_ref ref = { 1, 1 };
	struct row_reader reader;
	struct world w;
	size_t found;

	world_init(&w);
	put_first(&w);
	world_settle(&w);
	kernel_put(&w.kernel, ROW4_SERVICES, &key, &ref);
	reader = kernel_reader(&w.kernel);
	assert_int_equal(diff_audit(w.diff, &reader, NULL, NULL, &found), 0);
	assert_int_equal(found, 1);
	diff_begin(w.diff);
	for (struct diff_op op; diff_next(w.diff, &op);) {
		assert_int_equal(op.action, DIFF_DELETE);
		kernel_apply(&w.kernel, &op);
		diff_done(w.diff, &op);
	}
	assert_null(kernel_get(&w.kernel, ROW4_SERVICES, &key));
	world_settle(&w);
	world_done(&w);
}

/* ---- a long random life ---------------------------------------------------------------------- */

static uint32_t next_random(uint32_t *state)
{
	*state = *state * 1664525u + 1013904223u;
	return *state >> 8;
}

enum { SERVICES = 12 };

/* Addresses from outside that others have too, cluster IPs among them, and node ports. */
static void random_frontends(struct svc *v, uint32_t *r, struct address outside[4])
{
	char text[32];

	for (int k = 0; k < 4; k++) {
		snprintf(text, sizeof(text), next_random(r) % 6 ? "203.0.113.%u" : "10.96.0.%u",
			 next_random(r) % 8 + 1);
		outside[k] = next_random(r) % 5 ? addr(text) : addr("2001:db8::7");
	}
	v->s.external_ips = outside;
	v->s.n_external_ips = next_random(r) % 3;
	v->s.lb_ips = outside + 1; /* one of them may be both */
	v->s.n_lb_ips = next_random(r) % 3;
	v->s.external_policy = next_random(r) % 3 ? POLICY_CLUSTER : POLICY_LOCAL;
	v->s.type = SERVICE_LOAD_BALANCER;
	for (size_t k = 0; k < v->s.n_ports; k++)
		if (next_random(r) % 3 == 0)
			v->ports[k].node_port = (uint16_t)(30000 + next_random(r) % 4);
}

static void random_service(struct world *w, uint32_t *r, int i)
{
	struct address outside[4];
	char full[16], vip[32];
	struct svc v;

	snprintf(full, sizeof(full), "ns/s%d", i);
	snprintf(vip, sizeof(vip), "10.96.0.%u",
		 next_random(r) % SERVICES + 1); /* sometimes another's */
	svc_init(&v, full, vip);
	if (next_random(r) % 4 == 0)
		svc_vip(&v, "fd00::1");
	svc_port(&v, "web", IPPROTO_TCP, (uint16_t)(80 + next_random(r) % 2));
	if (next_random(r) % 3 == 0)
		svc_port(&v, "dns", IPPROTO_UDP, 53);
	v.s.affinity_s = next_random(r) % 4 ? 0 : 60;
	v.s.internal_policy = next_random(r) % 4 ? POLICY_CLUSTER : POLICY_LOCAL;
	v.s.algorithm = next_random(r) % 12 ? BALANCE_RANDOM : BALANCE_MAGLEV;
	v.s.created_s = i % 3 ? 1000 - i : 0;
	if (w->config.kinds)
		random_frontends(&v, r, outside);
	put_svc(w, &v);
}

static void random_slice(struct world *w, uint32_t *r, int i)
{
	static const char *const letters[] = { "", "", "", "", ":l", ":t", ":x", ":u", ":lt" };
	char full[24], service[16], words[2000] = "";
	unsigned n = next_random(r) % 8 == 0 ? 40 : next_random(r) % 5;

	snprintf(service, sizeof(service), "s%d", i);
	snprintf(full, sizeof(full), "ns/s%d-%u", i, next_random(r) % 2);
	for (unsigned k = 0; k < n; k++) {
		size_t len = strlen(words);
		unsigned host = next_random(r) % 50 + 1;

		/* sometimes a service's address */
		snprintf(words + len, sizeof(words) - len, "10.%d.0.%u%s ", host == 50 ? 96 : i,
			 host == 50 ? 1 : host, letters[next_random(r) % 9]);
	}
	put_slice_of(w, full, service, next_random(r) % 4 ? "web" : "dns",
		     next_random(r) % 4 ? IPPROTO_TCP : IPPROTO_UDP,
		     (uint16_t)(8080 + next_random(r) % 2), words);
}

static void random_event(struct world *w, uint32_t *r)
{
	int i = (int)(next_random(r) % SERVICES);
	char full[24];

	switch (next_random(r) % 8) {
	case 0:
		snprintf(full, sizeof(full), "ns/s%d", i);
		gone_svc(w, full);
		break;
	case 1:
		snprintf(full, sizeof(full), "ns/s%d-%u", i, next_random(r) % 2);
		gone_slice_of(w, full);
		break;
	case 2:
	case 3:
		random_service(w, r, i);
		break;
	default:
		random_slice(w, r, i);
	}
}

/* ---- programs that run meanwhile ---- */

/* One that has read a record, and goes on whenever it likes: to a ring line, and to the backend that it names. */
struct running {
	bool is_on, before; /* before: since before the barrier that is under way */
	int family;
	struct row_service s;
	struct sl_name name;
	uint32_t id; /* 0: the line is to be read still */
	uint32_t i;
};

static struct {
	struct running programs[4];
	bool barrier;
	unsigned reached, spanned; /* backends; runs between the begin and the end of a barrier */
} running;

static void program_start(struct world *w, uint32_t *r, struct running *p)
{
	int family = next_random(r) % 4 ? 4 : 6;
	const struct table *rows = &w->kernel.rows[row_table_of(ROW4_SERVICES, family)];
	uint32_t skip = next_random(r) % 16;
	struct table_entry *e;

	table_for_each(e, rows) {
		const struct sl_slot_ref *ref = e->value;

		if (skip-- > 0)
			continue;
		*p = (struct running){ .family = family };
		row_decode_service(
			family,
			kernel_get(&w->kernel, row_table_of(ROW4_RECORDS, family), &ref->slot),
			&p->s);
		if (p->s.kind == SL_KIND_ADDRESS || !p->s.cluster_len)
			return;
		memcpy(&p->name,
		       kernel_get(&w->kernel, row_table_of(ROW4_NAMES, family), &p->s.service),
		       sizeof(p->name));
		p->i = next_random(r) % p->s.cluster_len;
		p->is_on = true;
		return;
	}
}

/* What it finds is its service's, or nothing: whatever was given back is nobody else's yet. */
static void program_step(struct world *w, struct running *p)
{
	uint32_t at = p->s.cluster_line + p->i / SL_RING_LINE_IDS;
	const struct sl_ring_line *line;
	const struct sl_name *name;
	struct row_backend b;
	const void *bytes;

	if (!p->id) {
		line = kernel_get(&w->kernel, row_table_of(ROW4_RINGS, p->family), &at);
		p->id = line ? line->backend[p->i % SL_RING_LINE_IDS] : 0;
		p->is_on = p->id != 0;
		return;
	}
	p->is_on = false;
	bytes = kernel_get(&w->kernel, row_table_of(ROW4_BACKENDS, p->family), &p->id);
	if (!bytes)
		return;
	row_decode_backend(p->family, bytes, &b);
	if (!b.flags)
		return;
	assert_int_equal(b.service, p->s.service);
	name = kernel_get(&w->kernel, row_table_of(ROW4_NAMES, p->family), &p->s.service);
	if (name)
		assert_memory_equal(name, &p->name,
				    offsetof(struct sl_name, port)); /* which may change */
	running.reached++;
}

/* All that are to end before a barrier passes do, each at its pace. */
static void programs_end(struct world *w, bool all)
{
	for (size_t i = 0; i < 4; i++)
		while (running.programs[i].is_on && (all || running.programs[i].before))
			program_step(w, &running.programs[i]);
}

static void random_programs(struct world *w, uint32_t *r)
{
	struct running *p = &running.programs[next_random(r) % 4];

	if (!p->is_on)
		program_start(w, r, p);
	else if (next_random(r) % 64 == 0)
		program_step(w, p);
}

/* A barrier takes its time: runs go on between its begin and its end. */
static void random_barrier(struct world *w, uint32_t *r)
{
	if (running.barrier) {
		running.spanned++;
		if (next_random(r) % 2)
			return;
		programs_end(w, false);
		plan_rest_end(w->plan);
		running.barrier = false;
	} else if (next_random(r) % 2 && plan_rest_begin(w->plan)) {
		running.barrier = true;
		for (size_t i = 0; i < 4; i++)
			running.programs[i].before = running.programs[i].is_on;
	}
}

/* Before the agent goes: the next one waits for a barrier before it reads the maps. */
static void barrier_stop(struct world *w)
{
	programs_end(w, true);
	running.barrier = false;
}

/* Some operations fail, and the agent is killed somewhere. */
static void random_apply(struct world *w, uint32_t *r)
{
	unsigned max = next_random(r) % 4 ? UINT_MAX : next_random(r) % 40;
	unsigned fail = next_random(r) % 3 ? 0 : 10;
	struct diff_op ops[8];
	size_t n;

	diff_begin(w->diff);
	while (max && (n = diff_next_run(w->diff, ops, 1 + next_random(r) % 8))) {
		for (size_t i = 0; i < n; i++) {
			if (max && !(fail && next_random(r) % fail == 0)) {
				kernel_apply(&w->kernel, &ops[i]);
				diff_done(w->diff, &ops[i]);
				kernel_check(&w->kernel);
				max--;
			} else {
				diff_failed(w->diff, &ops[i]);
			}
			random_programs(w, r);
		}
	}
	random_barrier(w, r);
}

/* A fresh agent with an empty kernel, fed the same objects, ends the same. */
static void assert_as_fresh(struct world *w)
{
	struct diff *old_diff = w->diff;
	char *lived = dump_kernel(w), *fresh;
	struct kernel kernel = w->kernel;

	plan_free(w->plan); /* lets go of the store's entries */
	kernel_init(&w->kernel);
	world_start_agent(w);
	diff_allow_removals(w->diff);
	world_settle(w);
	fresh = dump_kernel(w);
	assert_string_equal(lived, fresh);
	free(lived);
	free(fresh);
	kernel_done(&w->kernel);
	w->kernel = kernel;
	diff_free(old_diff);
	world_restart(w);
}

static void live(uint32_t seed, int steps, unsigned kinds)
{
	uint32_t r = seed;
	struct world w;

	memset(&running, 0, sizeof(running));
	world_init_with(&w, 60, 2000, kinds);
	for (int step = 0; step < steps; step++) {
		for (uint32_t k = next_random(&r) % 6; k > 0; k--)
			random_event(&w, &r);
		assert_int_equal(plan_run(w.plan), 0);
		random_apply(&w, &r);
		if (next_random(&r) % 8 == 0) {
			barrier_stop(&w);
			world_restart(&w);
		}
		if (step % 25 == 24) {
			barrier_stop(&w);
			world_settle(&w);
			assert_no_leftovers(&w);
			assert_as_fresh(&w);
			w.ops = 0;
			world_settle(&w);
			assert_int_equal(w.ops, 0);
		}
	}
	assert_true(running.reached > 20 && running.spanned > 10);
	world_done(&w);
}

TEST(random_lives)
{
	for (uint32_t seed = 1; seed <= 4; seed++)
		live(seed, 125, 0);
}

TEST(random_lives_with_every_kind_of_frontend)
{
	for (uint32_t seed = 1; seed <= 4; seed++)
		live(seed, 125, PLAN_KINDS_ALL);
}

RUN(cmocka_unit_test(an_unchanged_source_changes_nothing),
    cmocka_unit_test(nothing_goes_before_everything_is_listed),
    cmocka_unit_test(killed_while_it_starts), cmocka_unit_test(killed_while_everything_changes),
    cmocka_unit_test(killed_while_everything_goes),
    cmocka_unit_test(killed_and_the_source_goes_back), cmocka_unit_test(every_operation_fails_once),
    cmocka_unit_test(a_row_that_does_not_go),
    cmocka_unit_test(a_row_that_does_not_go_over_a_restart),
    cmocka_unit_test(audit_repairs_what_was_changed),
    cmocka_unit_test(audit_repairs_what_was_removed),
    cmocka_unit_test(restart_repairs_what_was_changed),
    cmocka_unit_test(restart_repairs_what_was_removed),
    cmocka_unit_test(audit_removes_what_is_foreign), cmocka_unit_test(random_lives),
    cmocka_unit_test(random_lives_with_every_kind_of_frontend))
