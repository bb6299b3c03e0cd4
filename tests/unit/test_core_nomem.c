// SPDX-License-Identifier: GPL-2.0-only
// Memory runs out at every allocation in turn: nothing leaks, nothing unsafe is left to apply, and the next try succeeds.
/* link: user/core/plan.c user/core/plan_config.c user/core/plan_service.c user/core/plan_filter.c user/core/plan_claim.c user/core/plan_port.c user/core/plan_row.c user/core/plan_list.c user/core/plan_commit.c user/core/plan_rest.c */
/* link: user/core/plan_restore.c user/core/store.c user/core/policy.c user/core/ids.c */
/* link: user/core/ring.c user/core/rows.c user/core/diff.c user/core/diff_row.c user/core/diff_audit.c user/core/diff_look.c user/core/view.c user/core/model.c */
/* link: user/core/address.c user/core/problem.c user/base/table.c user/base/arena.c */
/* link: user/base/buf.c */
#include "unit/test.h"

#include <limits.h>

#include "unit/failmalloc.h"
#include "unit/world.h"

static void put_objects(struct world *w)
{
	struct address ips[1] = { addr("192.0.2.1") };
	char node_name[] = "here", zone[] = "z", cidr_name[] = "kubernetes";
	struct node node = {
		.meta.name = node_name, .zone = zone, .internal_ips = ips, .n_internal_ips = 1
	};
	struct cidr cidr;
	struct service_cidr c = { .meta.name = cidr_name, .cidrs = &cidr, .n_cidrs = 1 };
	struct svc v;

	cidr_parse("10.96.0.0/16", &cidr);
	w->sink.put_service_cidr(w->sink.ctx, &c);
	w->sink.put_node(w->sink.ctx, &node);
	put_web(w, "ns/a", "10.96.0.1");
	put_web(w, "ns/b", "10.96.0.1"); /* loses */
	put_web_slice(w, "ns/a", "10.0.0.1 10.0.0.2:l 127.0.0.1 10.96.0.1");
	svc_init(&v, "ns/m", "10.96.0.2");
	svc_vip(&v, "fd00::2");
	svc_port(&v, "web", IPPROTO_TCP, 80);
	svc_port(&v, "dns", IPPROTO_UDP, 53);
	v.s.algorithm = BALANCE_MAGLEV;
	v.s.internal_policy = POLICY_LOCAL;
	put_svc(w, &v);
	put_web_slice(w, "ns/m", "10.0.1.1:l 10.0.1.2:l");
	put_slice_of(w, "ns/m6", "m", "dns", IPPROTO_UDP, 53, "fd01::1 fd01::2/l");
	put_web(w, "ns/c", "10.96.0.3");
	put_web_slice(w, "ns/c", "10.0.2.1 10.0.2.2 10.0.2.3");
}

static void change_objects(struct world *w)
{
	struct svc v;

	gone_svc(w, "ns/a"); /* b takes over */
	put_web_slice(w, "ns/b", "10.0.5.1");
	put_web_slice(w, "ns/m", "10.0.1.2:l 10.0.1.3:lt");
	svc_init(&v, "ns/c", "10.96.0.4");
	svc_port(&v, "web", IPPROTO_TCP, 81);
	put_svc(w, &v);
	put_web_slice(w, "ns/c", "10.0.2.2 10.0.2.4");
}

static char *result_of(bool changed)
{
	struct world w;
	char *text;

	world_init(&w);
	put_objects(&w);
	if (changed) {
		world_settle(&w);
		change_objects(&w);
	}
	world_settle(&w);
	text = dump_kernel(&w);
	world_done(&w);
	return text;
}

/*
 * An allocation inside plan_run() fails, for every n; what is wanted then is applied before it is
 * tried again.
 */
static void fail_in_run(bool changed, bool restarted)
{
	char *expected = result_of(changed);
	bool failed = true;

	for (unsigned n = 1; failed; n++) {
		struct world w;
		int rc;

		world_init(&w);
		w.hasty = true;
		put_objects(&w);
		if (changed) {
			world_settle(&w);
			change_objects(&w);
		}
		if (restarted)
			world_restart(&w);
		failmalloc_at(n);
		rc = plan_run(w.plan);
		failed = failmalloc_done();
		assert_true(rc == 0 || (failed && rc == -ENOMEM));
		world_apply(&w, UINT_MAX);
		if (plan_rest_begin(w.plan))
			plan_rest_end(w.plan);
		world_settle(&w);
		assert_kernel(&w, expected);
		world_restart(&w);
		w.ops = 0;
		world_settle(&w);
		assert_int_equal(w.ops, 0);
		world_done(&w);
		assert_true(n < 5000);
	}
	free(expected);
}

TEST(while_planning)
{
	fail_in_run(false, false);
}

TEST(while_planning_a_change)
{
	fail_in_run(true, false);
}

TEST(while_planning_after_a_restart)
{
	fail_in_run(true, true);
}

TEST(while_starting)
{
	bool failed = true;
	struct world w;

	world_init(&w);
	put_objects(&w);
	world_settle(&w);
	for (unsigned n = 1; failed; n++) {
		struct row_reader reader = kernel_reader(&w.kernel);
		int rc = -ENOMEM;

		world_stop_agent(&w);
		failmalloc_at(n);
		w.diff = diff_new();
		if (w.diff)
			rc = plan_new(&w.config, w.store, w.diff, w.problems, &w.plan);
		if (!rc)
			rc = diff_saw_all(w.diff, &reader);
		if (!rc)
			rc = plan_restore(w.plan);
		failed = failmalloc_done();
		assert_int_equal(rc, failed ? -ENOMEM : 0);
	}
	diff_allow_removals(w.diff);
	w.ops = 0;
	world_settle(&w);
	assert_int_equal(w.ops, 0);
	world_done(&w);
}

TEST(while_the_source_speaks)
{
	char *expected = result_of(false);
	bool failed = true;

	for (unsigned n = 1; failed; n++) {
		struct world w;

		world_init(&w);
		failmalloc_at(n);
		put_objects(&w);
		failed = failmalloc_done();
		if (failed && store_error(w.store)) {
			assert_int_equal(store_error(w.store), -ENOMEM);
			store_clear_error(w.store);
			put_objects(&w); /* lists again */
		}
		assert_int_equal(store_error(w.store), 0);
		world_settle(&w);
		assert_kernel(&w, expected);
		world_done(&w);
	}
	free(expected);
}

static void ignore_difference(void *ctx, enum row_table table, const void *key,
			      const void *expected, const void *found)
{
	(void)ctx, (void)table, (void)key, (void)expected, (void)found;
}

TEST(while_looking)
{
	struct row_reader reader;
	bool failed = true;
	struct world w;

	world_init(&w);
	put_objects(&w);
	world_settle(&w);
	reader = kernel_reader(&w.kernel);
	for (unsigned n = 1; failed; n++) {
		struct view v;
		int rc;

		failmalloc_at(n);
		rc = view_from_rows(&reader, &v);
		failed = failmalloc_done();
		assert_true(rc == 0 || (failed && rc == -ENOMEM));
		if (!rc)
			view_done(&v);
	}
	failed = true;
	for (unsigned n = 1; failed; n++) {
		uint32_t slot = 3, id = 1;
		size_t found = 0;
		int rc;

		free(table_remove(&w.kernel.rows[ROW4_RECORDS], &slot, sizeof(slot)));
		free(table_remove(&w.kernel.rows[ROW4_BACKENDS], &id, sizeof(id)));
		failmalloc_at(n);
		rc = diff_audit(w.diff, &reader, ignore_difference, NULL, &found);
		failed = failmalloc_done();
		assert_true(rc == 0 || (failed && rc == -ENOMEM));
		if (rc)
			assert_int_equal(diff_audit(w.diff, &reader, NULL, NULL, &found), 0);
		diff_begin(w.diff);
		for (struct diff_op op; diff_next(w.diff, &op);) {
			kernel_apply(&w.kernel, &op);
			diff_done(w.diff, &op);
		}
		kernel_check(&w.kernel);
		world_settle(&w);
	}
	world_done(&w);
}

RUN(cmocka_unit_test(while_planning), cmocka_unit_test(while_planning_a_change),
    cmocka_unit_test(while_planning_after_a_restart), cmocka_unit_test(while_starting),
    cmocka_unit_test(while_the_source_speaks), cmocka_unit_test(while_looking))
