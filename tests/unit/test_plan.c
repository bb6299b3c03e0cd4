// SPDX-License-Identifier: GPL-2.0-only
// Plan: what objects become which rows; how little a change costs; what does not fit or conflicts.
/* link: user/core/plan.c user/core/plan_config.c user/core/plan_service.c user/core/plan_filter.c user/core/plan_claim.c user/core/plan_port.c user/core/plan_row.c user/core/plan_list.c user/core/plan_commit.c user/core/plan_rest.c */
/* link: user/core/plan_restore.c user/core/store.c user/core/policy.c user/core/ids.c */
/* link: user/core/ring.c user/core/rows.c user/core/diff.c user/core/diff_row.c user/core/diff_audit.c user/core/diff_look.c user/core/view.c user/core/decide.c user/core/model.c */
/* link: user/core/address.c user/core/problem.c user/base/table.c user/base/arena.c */
/* link: user/base/buf.c */
#include "unit/test.h"

#include <limits.h>

#include "core/decide.h"
#include "unit/world.h"

/* ---- golden plans ---------------------------------------------------------------------------- */

TEST(a_service_with_two_endpoints)
{
	struct world w;

	world_init(&w);
	put_web(&w, "shop/cart", "10.96.0.10");
	put_web_slice(&w, "shop/cart", "10.0.1.2:l 10.0.1.1");
	world_settle(&w);
	assert_kernel(
		&w,
		"shop/cart:web TCP 10.96.0.10:80 ClusterIP flags 0x4 cluster 10.0.1.1:8080/cs 10.0.1.2:8080/csh "
		"backends 10.0.1.1:8080/cs 10.0.1.2:8080/csh\n"
		"shop/cart: any 10.96.0.10:0 address flags 0x0\n");
	assert_problems(&w, "");
	world_done(&w);
}

TEST(a_service_without_endpoints_rejects)
{
	struct world w;

	world_init(&w);
	put_web(&w, "shop/cart", "10.96.0.10");
	world_settle(&w);
	assert_kernel(&w, "shop/cart:web TCP 10.96.0.10:80 ClusterIP flags 0x0\n"
			  "shop/cart: any 10.96.0.10:0 address flags 0x0\n");
	world_done(&w);
}

TEST(both_families_and_three_protocols)
{
	struct world w;
	struct svc v;

	world_init(&w);
	svc_init(&v, "kube-system/dns", "10.96.0.2");
	svc_vip(&v, "fd00:10::2");
	svc_port(&v, "dns", IPPROTO_UDP, 53);
	svc_port(&v, "dns", IPPROTO_TCP, 53);
	v.s.affinity_s = 10800;
	put_svc(&w, &v);
	put_slice_of(&w, "kube-system/a", "dns", "dns", IPPROTO_UDP, 53, "10.0.0.1");
	put_slice_of(&w, "kube-system/b", "dns", "dns", IPPROTO_TCP, 5353, "10.0.0.1");
	put_slice_of(&w, "kube-system/c", "dns", "dns", IPPROTO_UDP, 53, "fd00::1");
	world_settle(&w);
	assert_kernel(
		&w,
		"kube-system/dns:dns TCP 10.96.0.2:53 ClusterIP flags 0x4 affinity 10800 cluster 10.0.0.1:5353/cs "
		"backends 10.0.0.1:5353/cs\n"
		"kube-system/dns:dns TCP fd00:10::2:53 ClusterIP flags 0x0 affinity 10800\n"
		"kube-system/dns:dns UDP 10.96.0.2:53 ClusterIP flags 0x4 affinity 10800 cluster 10.0.0.1:53/cs "
		"backends 10.0.0.1:53/cs\n"
		"kube-system/dns:dns UDP fd00:10::2:53 ClusterIP flags 0x4 affinity 10800 cluster fd00::1:53/cs "
		"backends fd00::1:53/cs\n"
		"kube-system/dns: any 10.96.0.2:0 address flags 0x0\n"
		"kube-system/dns: any fd00:10::2:0 address flags 0x0\n");
	world_done(&w);
}

TEST(internal_policy_local)
{
	struct world w;
	struct svc v;

	world_init(&w);
	svc_init(&v, "shop/cart", "10.96.0.10");
	svc_port(&v, "web", IPPROTO_TCP, 80);
	v.s.internal_policy = POLICY_LOCAL;
	put_svc(&w, &v);
	put_web_slice(&w, "shop/cart", "10.0.1.1 10.0.1.2:l");
	world_settle(&w);
	assert_kernel(&w,
		      "shop/cart:web TCP 10.96.0.10:80 ClusterIP flags 0x5 local 10.0.1.2:8080/lsh "
		      "backends 10.0.1.1:8080/s 10.0.1.2:8080/lsh\n"
		      "shop/cart: any 10.96.0.10:0 address flags 0x0\n");
	put_web_slice(&w, "shop/cart", "10.0.1.1");
	world_settle(&w);
	assert_kernel(
		&w, "shop/cart:web TCP 10.96.0.10:80 ClusterIP flags 0x5 backends 10.0.1.1:8080/s\n"
		    "shop/cart: any 10.96.0.10:0 address flags 0x0\n");
	world_done(&w);
}

TEST(terminating_endpoints_keep_their_flows_and_are_the_fallback)
{
	struct world w;

	world_init(&w);
	put_web(&w, "shop/cart", "10.96.0.10");
	put_web_slice(&w, "shop/cart", "10.0.1.1 10.0.1.2:t 10.0.1.3:x 10.0.1.4:u");
	world_settle(&w);
	assert_kernel(
		&w, "shop/cart:web TCP 10.96.0.10:80 ClusterIP flags 0x4 cluster 10.0.1.1:8080/cs "
		    "backends 10.0.1.1:8080/cs 10.0.1.2:8080/st\n"
		    "shop/cart: any 10.96.0.10:0 address flags 0x0\n");
	put_web_slice(&w, "shop/cart", "10.0.1.2:t 10.0.1.3:x 10.0.1.4:u");
	world_settle(&w);
	assert_kernel(
		&w, "shop/cart:web TCP 10.96.0.10:80 ClusterIP flags 0x4 cluster 10.0.1.2:8080/cst "
		    "backends 10.0.1.2:8080/cst\n"
		    "shop/cart: any 10.96.0.10:0 address flags 0x0\n");
	world_done(&w);
}

TEST(services_that_are_not_ours)
{
	struct address excluded = addr("10.96.0.13");
	struct world w;
	struct svc v;

	world_init(&w);
	w.config.exclude_vips = &excluded;
	w.config.n_exclude_vips = 1;
	assert_int_equal(plan_configure(w.plan, &w.config), 0);
	put_web(&w, "a/headless", NULL);
	put_web(&w, "a/excluded", "10.96.0.13");
	svc_init(&v, "a/skipped", "10.96.0.11");
	svc_port(&v, "web", IPPROTO_TCP, 80);
	v.s.skip = true;
	put_svc(&w, &v);
	svc_init(&v, "a/external", "10.96.0.12");
	svc_port(&v, "web", IPPROTO_TCP, 80);
	v.s.type = SERVICE_EXTERNAL_NAME;
	put_svc(&w, &v);
	world_settle(&w);
	assert_kernel(&w, "");

	v.s.type = SERVICE_CLUSTER_IP; /* becomes ours, and ceases to be */
	put_svc(&w, &v);
	world_settle(&w);
	assert_kernel(&w, "a/external:web TCP 10.96.0.12:80 ClusterIP flags 0x0\n"
			  "a/external: any 10.96.0.12:0 address flags 0x0\n");
	v.s.skip = true;
	put_svc(&w, &v);
	world_settle(&w);
	assert_kernel(&w, "");
	world_done(&w);
}

TEST(ports_without_a_local_endpoint_are_counted)
{
	struct plan_stats stats;
	struct world w;
	struct svc v;

	world_init(&w);
	svc_init(&v, "ns/a", "10.96.0.1");
	svc_port(&v, "web", IPPROTO_TCP, 80);
	v.s.internal_policy = v.s.external_policy = POLICY_LOCAL;
	v.s.type = SERVICE_LOAD_BALANCER; /* without an address yet: it counts all the same */
	put_svc(&w, &v);
	world_settle(&w);
	plan_count(w.plan, &stats);
	assert_int_equal(stats.v4.no_local_internal + stats.v4.no_local_external,
			 0); /* none at all */
	put_web_slice(&w, "ns/a", "10.0.0.1 10.0.0.2:u");
	world_settle(&w);
	plan_count(w.plan, &stats);
	assert_int_equal(stats.v4.no_local_internal, 1);
	assert_int_equal(stats.v4.no_local_external, 1);
	assert_int_equal(stats.v6.no_local_internal, 0);
	v.s.internal_policy = POLICY_CLUSTER;
	put_svc(&w, &v);
	world_settle(&w);
	plan_count(w.plan, &stats);
	assert_int_equal(stats.v4.no_local_internal, 0);
	assert_int_equal(stats.v4.no_local_external, 1);
	put_web_slice(&w, "ns/a", "10.0.0.1 10.0.0.2:tl");
	world_settle(&w);
	plan_count(w.plan, &stats);
	assert_int_equal(stats.v4.no_local_external, 0);
	put_web_slice(&w, "ns/a", "10.0.0.1");
	world_settle(&w);
	gone_svc(&w, "ns/a");
	world_settle(&w);
	plan_count(w.plan, &stats);
	assert_int_equal(stats.v4.no_local_external, 0);
	world_done(&w);
}

TEST(sctp_needs_the_same_port)
{
	struct world w;
	struct svc v;

	world_init(&w);
	svc_init(&v, "t/sctp", "10.96.0.9");
	svc_port(&v, "s", IPPROTO_SCTP, 9999);
	put_svc(&w, &v);
	put_slice_of(&w, "t/s", "sctp", "s", IPPROTO_SCTP, 9999, "10.0.0.1");
	world_settle(&w);
	assert_kernel(
		&w,
		"t/sctp:s SCTP 10.96.0.9:9999 ClusterIP flags 0x4 cluster 10.0.0.1:9999/cs backends 10.0.0.1:9999/cs\n"
		"t/sctp: any 10.96.0.9:0 address flags 0x0\n");
	put_slice_of(&w, "t/s", "sctp", "s", IPPROTO_SCTP, 1234, "10.0.0.1");
	world_settle(&w);
	assert_kernel(
		&w,
		"t/sctp:s SCTP 10.96.0.9:9999 ClusterIP flags 0xc cluster 10.0.0.1:1234/cs backends 10.0.0.1:1234/cs\n"
		"t/sctp: any 10.96.0.9:0 address flags 0x0\n");
	assert_problems(
		&w,
		"Service t/sctp: port s: SCTP is only translated when the target port is the same; connections "
		"are dropped: set targetPort to 9999\n");
	world_done(&w);
}

TEST(algorithms)
{
	struct world w;
	struct svc v;

	world_init(&w);
	svc_init(&v, "t/m", "10.96.0.9");
	svc_port(&v, "web", IPPROTO_TCP, 80);
	v.s.algorithm = BALANCE_MAGLEV;
	put_svc(&w, &v);
	put_web_slice(&w, "t/m", "10.0.0.1 10.0.0.2 10.0.0.3");
	world_settle(&w);
	assert_kernel(&w, "t/m:web TCP 10.96.0.9:80 ClusterIP flags 0x4 maglev 1021 "
			  "cluster 10.0.0.1:8080/cs 10.0.0.2:8080/cs 10.0.0.3:8080/cs "
			  "backends 10.0.0.1:8080/cs 10.0.0.2:8080/cs 10.0.0.3:8080/cs\n"
			  "t/m: any 10.96.0.9:0 address flags 0x0\n");
	v.s.algorithm = BALANCE_LEAST_CONN;
	put_svc(&w, &v);
	put_web_slice(&w, "t/m", "10.0.0.1");
	world_settle(&w);
	assert_kernel(
		&w,
		"t/m:web TCP 10.96.0.9:80 ClusterIP flags 0x4 cluster 10.0.0.1:8080/cs backends 10.0.0.1:8080/cs\n"
		"t/m: any 10.96.0.9:0 address flags 0x0\n");
	assert_problems(
		&w,
		"Service t/m: port web: annotation sluice.dev/algorithm: least-connections is not available yet: "
		"random is used\n");
	world_done(&w);
}

/* ---- what a change costs --------------------------------------------------------------------- */

static void fill(struct world *w, int services)
{
	for (int i = 0; i < services; i++) {
		char full[64], vip[32], words[100];

		snprintf(full, sizeof(full), "ns/s%d", i);
		snprintf(vip, sizeof(vip), "10.96.%d.%d", i / 250, i % 250 + 1);
		snprintf(words, sizeof(words), "10.%d.%d.1 10.%d.%d.2 10.%d.%d.3:l", i / 250,
			 i % 250, i / 250, i % 250, i / 250, i % 250);
		put_web(w, full, vip);
		put_web_slice(w, full, words);
	}
}

TEST(one_endpoint_touches_a_handful_of_rows)
{
	struct plan_stats before, after;
	struct world w;

	world_init_limits(&w, 1000, 10000);
	fill(&w, 500);
	assert_int_equal(plan_run(w.plan), 0);
	diff_begin(w.diff);
	for (struct diff_op op; diff_next(w.diff, &op);) {
		kernel_apply(&w.kernel, &op);
		diff_done(w.diff, &op);
	}
	world_settle(&w);
	plan_count(w.plan, &before);
	assert_int_equal(before.v4.services, 500);
	assert_int_equal(before.v4.backends, 1500);
	assert_int_equal(before.v4.rows, 1000);

	w.ops = 0;
	put_web_slice(&w, "ns/s250", "10.1.0.1 10.1.0.2 10.1.0.3:l 10.1.0.4");
	world_settle(&w);
	plan_count(w.plan, &after);
	assert_int_equal(after.planned - before.planned, 1);
	/* backend, filter bit, ring line, record, service; then the old record and the old line */
	assert_in_range(w.ops, 6, 7);

	w.ops = 0;
	put_web_slice(&w, "ns/s250", "10.1.0.1 10.1.0.2 10.1.0.3:l 10.1.0.4");
	world_settle(&w);
	assert_int_equal(w.ops, 0); /* said again: nothing to do */
	world_done(&w);
}

TEST(what_does_not_change_keeps_its_numbers)
{
	struct row_reader reader;
	struct view before, after;
	struct world w;
	struct svc v;

	world_init(&w);
	fill(&w, 3);
	world_settle(&w);
	reader = kernel_reader(&w.kernel);
	assert_int_equal(view_from_rows(&reader, &before), 0);

	svc_init(&v, "ns/s1", "10.96.0.2"); /* affinity only: a new record, the same list */
	svc_port(&v, "web", IPPROTO_TCP, 80);
	v.s.affinity_s = 60;
	put_svc(&w, &v);
	w.ops = 0;
	world_settle(&w);
	assert_int_equal(w.ops, 3); /* record, service, old record */
	assert_int_equal(view_from_rows(&reader, &after), 0);
	assert_int_equal(after.n_services, before.n_services);
	for (size_t i = 0; i < after.n_services; i++) {
		const struct view_service *a = &before.services[i], *b = &after.services[i];

		assert_int_equal(a->service, b->service);
		assert_int_equal(a->n_cluster, b->n_cluster);
		for (size_t k = 0; k < a->n_cluster; k++) {
			assert_int_equal(a->cluster[k].backend, b->cluster[k].backend);
			assert_int_equal(a->cluster[k].gen, b->cluster[k].gen);
		}
	}
	view_done(&before);
	view_done(&after);
	world_done(&w);
}

/* The words of endpoints first … first + n - 1. */
static const char *a_hundred(char *words, size_t size, int first)
{
	size_t len = 0;

	for (int i = first; i < first + 100; i++)
		len += (size_t)snprintf(words + len, size - len, "10.1.%d.%d ", i / 200,
					i % 200 + 1);
	return words;
}

static uint32_t count_backends(const struct world *w)
{
	struct plan_stats stats;

	plan_count(w->plan, &stats);
	return stats.v4.backends;
}

/* A thousand endpoints move from ten slices to ten others, in either order of the two events: no backend goes, no id changes. */
TEST(endpoints_that_move_between_slices_stay)
{
	char words[2400], from[24], to[24];
	struct world w;

	world_init_limits(&w, 100, 2000);
	put_web(&w, "ns/a", "10.96.0.1");
	for (int i = 0; i < 10; i++) {
		snprintf(from, sizeof(from), "ns/a-from%d", i);
		put_slice_of(&w, from, "a", "web", IPPROTO_TCP, 8080,
			     a_hundred(words, sizeof(words), i * 100));
	}
	world_settle(&w);
	assert_int_equal(count_backends(&w), 1000);
	for (int remove_first = 0; remove_first <= 1; remove_first++) {
		w.ops = 0;
		for (int i = 0; i < 10; i++) {
			snprintf(from, sizeof(from), "ns/a-%s%d", remove_first ? "to" : "from", i);
			snprintf(to, sizeof(to), "ns/a-%s%d", remove_first ? "from" : "to", i);
			a_hundred(words, sizeof(words), i * 100);
			if (remove_first)
				put_slice_of(&w, from, "a", "web", IPPROTO_TCP, 8080, "");
			put_slice_of(&w, to, "a", "web", IPPROTO_TCP, 8080, words);
			if (!remove_first) { /* both have them for a while */
				world_settle(&w);
				put_slice_of(&w, from, "a", "web", IPPROTO_TCP, 8080, "");
			}
			world_settle(&w);
			assert_int_equal(count_backends(&w), 1000);
		}
		assert_int_equal(w.ops, 0);
	}
	world_done(&w);
}

TEST(flags_change_in_place)
{
	struct world w;

	world_init(&w);
	put_web(&w, "ns/a", "10.96.0.1");
	put_web_slice(&w, "ns/a", "10.0.0.1 10.0.0.2:t");
	world_settle(&w);
	w.ops = 0;
	put_web_slice(&w, "ns/a",
		      "10.0.0.1"); /* the one that terminated is gone, and was in no list */
	world_settle(&w);
	assert_int_equal(w.ops, 1);
	assert_kernel(
		&w,
		"ns/a:web TCP 10.96.0.1:80 ClusterIP flags 0x4 cluster 10.0.0.1:8080/cs backends 10.0.0.1:8080/cs\n"
		"ns/a: any 10.96.0.1:0 address flags 0x0\n");
	world_done(&w);
}

/* ---- ids rest -------------------------------------------------------------------------------- */

static uint32_t backend_id(struct world *w, const char *vip, const char *endpoint,
			   uint32_t *ret_gen)
{
	struct row_reader reader = kernel_reader(&w->kernel);
	struct address a = addr(vip), e = addr(endpoint);
	const struct view_service *s;
	uint32_t id = 0;
	struct view v;

	assert_int_equal(view_from_rows(&reader, &v), 0);
	s = view_find(&v, &a, 80, IPPROTO_TCP);
	assert_non_null(s);
	for (size_t i = 0; i < s->n_backends; i++) {
		if (address_cmp(&s->backends[i].addr, &e) == 0) {
			id = s->backends[i].backend;
			*ret_gen = s->backends[i].gen;
		}
	}
	view_done(&v);
	return id;
}

TEST(a_number_rests_until_a_barrier_has_passed)
{
	struct plan_stats stats;
	uint32_t id, gen, again, again_gen;
	struct world w;

	world_init(&w);
	put_web(&w, "ns/a", "10.96.0.1");
	put_web_slice(&w, "ns/a", "10.0.0.1 10.0.0.2");
	world_settle(&w);
	id = backend_id(&w, "10.96.0.1", "10.0.0.2", &gen);
	assert_int_not_equal(id, 0);

	put_web_slice(&w, "ns/a", "10.0.0.1");
	assert_int_equal(plan_run(w.plan), 0);
	assert_false(plan_rest_begin(w.plan)); /* the kernel still leads there */
	world_apply(&w, UINT_MAX);
	plan_count(w.plan, &stats);
	assert_int_equal(stats.v4.backends_resting, 1);
	put_web_slice(&w, "ns/a", "10.0.0.1 10.0.0.3"); /* before the barrier */
	assert_int_equal(plan_run(w.plan), 0);
	world_apply(&w, UINT_MAX);
	again = backend_id(&w, "10.96.0.1", "10.0.0.3", &again_gen);
	assert_int_not_equal(again, id);

	assert_true(plan_rest_begin(w.plan));
	plan_rest_end(w.plan);
	put_web_slice(&w, "ns/a", "10.0.0.1 10.0.0.3 10.0.0.4"); /* after it */
	world_settle(&w);
	again = backend_id(&w, "10.96.0.1", "10.0.0.4", &again_gen);
	assert_int_equal(again, id);
	assert_int_equal(again_gen, gen + 1);
	world_done(&w);
}

/* The barrier is waited for elsewhere: what is given back after begin has not seen it. */
TEST(what_is_given_back_during_a_barrier_waits_for_the_next)
{
	struct plan_stats stats;
	uint32_t first, second, gen, again;
	struct world w;

	world_init(&w);
	put_web(&w, "ns/a", "10.96.0.1");
	put_web_slice(&w, "ns/a", "10.0.0.1 10.0.0.2 10.0.0.3");
	world_settle(&w);
	first = backend_id(&w, "10.96.0.1", "10.0.0.2", &gen);
	second = backend_id(&w, "10.96.0.1", "10.0.0.3", &gen);

	put_web_slice(&w, "ns/a", "10.0.0.1 10.0.0.3");
	assert_int_equal(plan_run(w.plan), 0);
	world_apply(&w, UINT_MAX);
	assert_true(plan_rest_begin(w.plan));
	put_web_slice(&w, "ns/a", "10.0.0.1");
	assert_int_equal(plan_run(w.plan), 0);
	world_apply(&w, UINT_MAX);
	plan_rest_end(w.plan);
	plan_count(w.plan, &stats);
	assert_int_equal(stats.v4.backends_resting, 1);
	put_web_slice(&w, "ns/a", "10.0.0.1 10.0.0.4");
	assert_int_equal(plan_run(w.plan), 0);
	world_apply(&w, UINT_MAX);
	again = backend_id(&w, "10.96.0.1", "10.0.0.4", &gen);
	assert_int_equal(again, first);

	assert_true(plan_rest_begin(w.plan));
	plan_rest_end(w.plan);
	put_web_slice(&w, "ns/a", "10.0.0.1 10.0.0.4 10.0.0.5");
	assert_int_equal(plan_run(w.plan), 0);
	world_apply(&w, UINT_MAX);
	assert_int_equal(backend_id(&w, "10.96.0.1", "10.0.0.5", &gen), second);
	world_done(&w);
}

TEST(generations_go_on_after_a_restart)
{
	uint32_t id, gen, again_gen;
	struct world w;

	world_init(&w);
	put_web(&w, "ns/a", "10.96.0.1");
	put_web_slice(&w, "ns/a", "10.0.0.1");
	world_settle(&w);
	id = backend_id(&w, "10.96.0.1", "10.0.0.1", &gen);
	put_web_slice(&w, "ns/a", "");
	world_settle(&w);
	world_restart(&w);
	put_web_slice(&w, "ns/a", "10.0.0.2");
	world_settle(&w);
	assert_int_equal(backend_id(&w, "10.96.0.1", "10.0.0.2", &again_gen), id);
	assert_int_equal(again_gen, gen + 1);
	world_done(&w);
}

TEST(new_owners_are_told_once)
{
	uint32_t ids[8];
	struct world w;

	world_init(&w);
	put_web(&w, "ns/a", "10.96.0.1");
	put_web_slice(&w, "ns/a", "10.0.0.1 10.0.0.2");
	world_settle(&w);
	assert_int_equal(plan_take_new_backends(w.plan, 4, ids, 1), 1);
	assert_int_equal(plan_take_new_backends(w.plan, 4, ids, 8), 1);
	assert_int_equal(plan_take_new_backends(w.plan, 4, ids, 8), 0);
	assert_int_equal(plan_take_new_services(w.plan, 4, ids, 8), 1);
	assert_int_equal(plan_take_new_services(w.plan, 6, ids, 8), 0);
	world_done(&w);
}

/* ---- objects that become others -------------------------------------------------------------- */

TEST(another_uid_is_another_service)
{
	uint32_t gen, id;
	char one[] = "uid-1", two[] = "uid-2";
	struct world w;
	struct svc v;

	world_init(&w);
	svc_init(&v, "ns/a", "10.96.0.1");
	svc_port(&v, "web", IPPROTO_TCP, 80);
	v.s.meta.uid = one;
	put_svc(&w, &v);
	put_web_slice(&w, "ns/a", "10.0.0.1");
	world_settle(&w);
	id = backend_id(&w, "10.96.0.1", "10.0.0.1", &gen);
	v.s.meta.uid = two;
	put_svc(&w, &v);
	world_settle(&w);
	assert_int_not_equal(backend_id(&w, "10.96.0.1", "10.0.0.1", &gen), id);
	assert_kernel(
		&w,
		"ns/a:web TCP 10.96.0.1:80 ClusterIP flags 0x4 cluster 10.0.0.1:8080/cs backends 10.0.0.1:8080/cs\n"
		"ns/a: any 10.96.0.1:0 address flags 0x0\n");
	world_done(&w);
}

TEST(address_and_port_change)
{
	struct world w;
	struct svc v;

	world_init(&w);
	put_web(&w, "ns/a", "10.96.0.1");
	put_web_slice(&w, "ns/a", "10.0.0.1");
	world_settle(&w);
	svc_init(&v, "ns/a", "10.96.0.2");
	svc_port(&v, "web", IPPROTO_TCP, 81);
	svc_port(&v, "more", IPPROTO_TCP, 82);
	put_svc(&w, &v);
	world_settle(&w);
	assert_kernel(
		&w,
		"ns/a:more TCP 10.96.0.2:82 ClusterIP flags 0x0\n"
		"ns/a:web TCP 10.96.0.2:81 ClusterIP flags 0x4 cluster 10.0.0.1:8080/cs backends 10.0.0.1:8080/cs\n"
		"ns/a: any 10.96.0.2:0 address flags 0x0\n");
	gone_svc(&w, "ns/a");
	world_settle(&w);
	assert_kernel(&w, "");
	put_web(&w, "ns/a", "10.96.0.1"); /* the slice was there all the time */
	world_settle(&w);
	assert_kernel(
		&w,
		"ns/a:web TCP 10.96.0.1:80 ClusterIP flags 0x4 cluster 10.0.0.1:8080/cs backends 10.0.0.1:8080/cs\n"
		"ns/a: any 10.96.0.1:0 address flags 0x0\n");
	world_done(&w);
}

/* ---- conflicts ------------------------------------------------------------------------------- */

static void put_aged(struct world *w, const char *full, const char *vip, int64_t created_s)
{
	struct svc v;

	svc_init(&v, full, vip);
	svc_port(&v, "web", IPPROTO_TCP, 80);
	v.s.created_s = created_s;
	put_svc(w, &v);
}

TEST(the_oldest_claim_wins)
{
	static const char young[] =
		"ns/young:web TCP 10.96.0.1:80 ClusterIP flags 0x4 cluster 10.0.0.2:8080/cs "
		"backends 10.0.0.2:8080/cs\n"
		"ns/young: any 10.96.0.1:0 address flags 0x0\n";
	struct world w;

	world_init(&w);
	put_aged(&w, "ns/young", "10.96.0.1", 200);
	put_web_slice(&w, "ns/young", "10.0.0.2");
	put_web_slice(&w, "ns/old", "10.0.0.1");
	world_settle(&w);
	assert_kernel(&w, young);

	put_aged(&w, "ns/old", "10.96.0.1", 100); /* comes later and is older */
	world_settle(&w);
	assert_kernel(
		&w,
		"ns/old:web TCP 10.96.0.1:80 ClusterIP flags 0x4 cluster 10.0.0.1:8080/cs backends 10.0.0.1:8080/cs\n"
		"ns/old: any 10.96.0.1:0 address flags 0x0\n");
	assert_problems(
		&w,
		"Service ns/young: port web: 10.96.0.1:80 belongs to Service ns/old port web, which is older: "
		"not served; give the Service another address or port\n");
	put_aged(&w, "ns/young", "10.96.0.1", 200); /* said again: the same */
	world_settle(&w);

	gone_svc(&w, "ns/old");
	world_settle(&w);
	assert_kernel(&w, young);
	assert_problems(&w, "");
	world_done(&w);
}

/* One TCP port "web" 80 with addresses from outside ("" = none) and a node port. */
static void put_outside(struct world *w, const char *full, const char *vip, const char *external,
			const char *lb, uint16_t node_port, int64_t created_s)
{
	struct address external_ip, lb_ip;
	struct svc v;

	svc_init(&v, full, vip);
	svc_port(&v, "web", IPPROTO_TCP, 80);
	v.s.type = SERVICE_LOAD_BALANCER;
	v.s.created_s = created_s;
	v.ports[0].node_port = node_port;
	if (*external) {
		external_ip = addr(external);
		v.s.external_ips = &external_ip;
		v.s.n_external_ips = 1;
	}
	if (*lb) {
		lb_ip = addr(lb);
		v.s.lb_ips = &lb_ip;
		v.s.n_lb_ips = 1;
	}
	put_svc(w, &v);
}

#define ENDS(e) " flags 0x4 cluster " e ":8080/cs backends " e ":8080/cs\n"

TEST(every_frontend_has_a_row_and_its_kind)
{
	struct world w;

	world_init_kinds(&w, PLAN_KINDS_ALL);
	put_outside(&w, "ns/a", "10.96.0.1", "198.51.100.1", "203.0.113.1", 30080, 1);
	put_web_slice(&w, "ns/a", "10.0.0.1");
	world_settle(&w);
	assert_kernel(&w, "ns/a:web TCP 10.96.0.1:80 ClusterIP" ENDS("10.0.0.1")  //
		      "ns/a:web TCP 198.51.100.1:80 ExternalIP" ENDS("10.0.0.1")  //
		      "ns/a:web TCP 203.0.113.1:80 LoadBalancer" ENDS("10.0.0.1") //
		      "ns/a:web TCP 0.0.0.0:30080 NodePort" ENDS("10.0.0.1")      //
		      "ns/a: any 10.96.0.1:0 address flags 0x0\n");
	w.ops = 0;
	put_outside(&w, "ns/a", "10.96.0.1", "203.0.113.1", "203.0.113.1", 0, 1); /* both: as LB */
	world_settle(&w);
	assert_in_range(w.ops, 1,
			6); /* two rows and their records go: the others stay as they are */
	assert_kernel(&w, "ns/a:web TCP 10.96.0.1:80 ClusterIP" ENDS("10.0.0.1")  //
		      "ns/a:web TCP 203.0.113.1:80 LoadBalancer" ENDS("10.0.0.1") //
		      "ns/a: any 10.96.0.1:0 address flags 0x0\n");
	put_outside(&w, "ns/a", "10.96.0.1", "203.0.113.1", "", 0,
		    1); /* the same row, another kind */
	world_settle(&w);
	assert_kernel(&w, "ns/a:web TCP 10.96.0.1:80 ClusterIP" ENDS("10.0.0.1") //
		      "ns/a:web TCP 203.0.113.1:80 ExternalIP" ENDS("10.0.0.1")  //
		      "ns/a: any 10.96.0.1:0 address flags 0x0\n");
	world_restart(&w);
	w.ops = 0;
	world_settle(&w);
	assert_int_equal(w.ops, 0);
	world_done(&w);
}

TEST(each_frontend_is_won_or_lost_by_itself)
{
	struct world w;

	world_init_kinds(&w, PLAN_KINDS_ALL);
	put_outside(&w, "ns/old", "10.96.0.1", "198.51.100.1", "", 30080, 1);
	put_outside(&w, "ns/young", "10.96.0.2", "198.51.100.1", "10.96.0.1", 30080, 2);
	put_web_slice(&w, "ns/old", "10.0.0.1");
	put_web_slice(&w, "ns/young", "10.0.0.2");
	world_settle(&w);
	assert_kernel(&w, "ns/old:web TCP 10.96.0.1:80 ClusterIP" ENDS("10.0.0.1") //
		      "ns/old:web TCP 198.51.100.1:80 ExternalIP" ENDS("10.0.0.1") //
		      "ns/old:web TCP 0.0.0.0:30080 NodePort" ENDS("10.0.0.1")     //
		      "ns/young:web TCP 10.96.0.2:80 ClusterIP" ENDS("10.0.0.2")   //
		      "ns/old: any 10.96.0.1:0 address flags 0x0\n"
		      "ns/young: any 10.96.0.2:0 address flags 0x0\n");
	assert_problems(
		&w,
		"Service ns/young: port web: 10.96.0.1:80 belongs to Service ns/old port web, whose cluster IP it is: "
		"not served; give the Service another address or port\n"
		"Service ns/young: port web: 198.51.100.1:80 belongs to Service ns/old port web, which is older: "
		"not served; give the Service another address or port\n"
		"Service ns/young: port web: node port 30080 belongs to Service ns/old port web, which is older: "
		"not served; give the Service another node port\n");
	/* an older one cannot take a cluster IP away, but everything else */
	put_outside(&w, "ns/oldest", "10.96.0.3", "198.51.100.1", "10.96.0.2", 30080, -5);
	world_settle(&w);
	assert_kernel(&w, "ns/old:web TCP 10.96.0.1:80 ClusterIP" ENDS("10.0.0.1") //
		      "ns/oldest:web TCP 10.96.0.3:80 ClusterIP flags 0x0\n"
		      "ns/oldest:web TCP 198.51.100.1:80 ExternalIP flags 0x0\n"
		      "ns/oldest:web TCP 0.0.0.0:30080 NodePort flags 0x0\n"
		      "ns/young:web TCP 10.96.0.2:80 ClusterIP" ENDS("10.0.0.2") //
		      "ns/old: any 10.96.0.1:0 address flags 0x0\n"
		      "ns/young: any 10.96.0.2:0 address flags 0x0\n"
		      "ns/oldest: any 10.96.0.3:0 address flags 0x0\n");
	gone_svc(&w, "ns/oldest");
	gone_svc(&w, "ns/old");
	world_settle(&w);
	assert_kernel(&w, "ns/young:web TCP 10.96.0.2:80 ClusterIP" ENDS("10.0.0.2") //
		      "ns/young:web TCP 198.51.100.1:80 ExternalIP" ENDS("10.0.0.2") //
		      "ns/young:web TCP 10.96.0.1:80 LoadBalancer" ENDS("10.0.0.2")  //
		      "ns/young:web TCP 0.0.0.0:30080 NodePort" ENDS("10.0.0.2")     //
		      "ns/young: any 10.96.0.2:0 address flags 0x0\n");
	assert_problems(&w, "");
	world_done(&w);
}

TEST(conflicts_are_told_of_frontends_that_the_gate_keeps_back)
{
	struct world w;

	world_init(&w);
	put_outside(&w, "ns/old", "10.96.0.1", "198.51.100.1", "", 30080, 1);
	put_outside(&w, "ns/young", "10.96.0.2", "198.51.100.1", "", 0, 2);
	world_settle(&w);
	assert_kernel(&w, "ns/old:web TCP 10.96.0.1:80 ClusterIP flags 0x0\n"
			  "ns/young:web TCP 10.96.0.2:80 ClusterIP flags 0x0\n"
			  "ns/old: any 10.96.0.1:0 address flags 0x0\n"
			  "ns/young: any 10.96.0.2:0 address flags 0x0\n");
	assert_problems(
		&w,
		"Service ns/young: port web: 198.51.100.1:80 belongs to Service ns/old port web, which is older: "
		"not served; give the Service another address or port\n");
	assert_int_equal(plan_count_unserved(w.plan, SL_KIND_EXTERNAL_IP), 1);
	assert_int_equal(plan_count_unserved(w.plan, SL_KIND_NODE_PORT), 1);
	assert_int_equal(plan_count_unserved(w.plan, SL_KIND_LOAD_BALANCER), 0);
	assert_int_equal(plan_count_unserved(w.plan, SL_KIND_CLUSTER_IP), 0);
	world_done(&w);
}

TEST(ports_of_one_name)
{
	struct world w;
	struct svc v;

	world_init(&w);
	svc_init(&v, "ns/a", "10.96.0.1");
	svc_port(&v, "web", IPPROTO_TCP, 80);
	svc_port(&v, "web", IPPROTO_TCP, 81);
	put_svc(&w, &v);
	world_settle(&w);
	assert_kernel(
		&w,
		"ns/a:web TCP 10.96.0.1:80 ClusterIP flags 0x0\nns/a: any 10.96.0.1:0 address flags 0x0\n");
	assert_problems(
		&w,
		"Service ns/a: port 81: its name and protocol are those of port 80: not served; give it a name of "
		"its own\n");
	world_done(&w);
}

/* ---- endpoints that are refused -------------------------------------------------------------- */

TEST(endpoints_of_special_ranges)
{
	struct world w;

	world_init(&w);
	put_web(&w, "ns/a", "10.96.0.1");
	put_web_slice(&w, "ns/a", "127.0.0.1 169.254.169.254 10.0.0.1");
	world_settle(&w);
	assert_kernel(
		&w,
		"ns/a:web TCP 10.96.0.1:80 ClusterIP flags 0x4 cluster 10.0.0.1:8080/cs backends 10.0.0.1:8080/cs\n"
		"ns/a: any 10.96.0.1:0 address flags 0x0\n");
	assert_problems(
		&w,
		"Service ns/a: port web: endpoint 127.0.0.1 of EndpointSlice a is a loopback address (127.0.0.0/8); "
		"it is not used: correct the slice\n"
		"Service ns/a: port web: endpoint 169.254.169.254 of EndpointSlice a is link-local (169.254.0.0/16); "
		"it is not used: correct the slice\n");
	world_done(&w);
}

TEST(endpoints_that_are_services)
{
	struct world w;

	world_init(&w);
	put_web(&w, "ns/a", "10.96.0.1");
	put_web_slice(&w, "ns/a", "10.96.0.1 10.96.0.2 10.0.0.1");
	world_settle(&w);
	assert_kernel(
		&w,
		"ns/a:web TCP 10.96.0.1:80 ClusterIP flags 0x4 cluster 10.0.0.1:8080/cs 10.96.0.2:8080/cs "
		"backends 10.0.0.1:8080/cs 10.96.0.2:8080/cs\n"
		"ns/a: any 10.96.0.1:0 address flags 0x0\n");
	put_web(&w, "ns/b", "10.96.0.2"); /* now the other one would loop as well */
	world_settle(&w);
	assert_kernel(
		&w,
		"ns/a:web TCP 10.96.0.1:80 ClusterIP flags 0x4 cluster 10.0.0.1:8080/cs backends 10.0.0.1:8080/cs\n"
		"ns/b:web TCP 10.96.0.2:80 ClusterIP flags 0x0\n"
		"ns/a: any 10.96.0.1:0 address flags 0x0\n"
		"ns/b: any 10.96.0.2:0 address flags 0x0\n");
	assert_int_equal(problem_count(w.problems), 2);
	gone_svc(&w, "ns/b");
	world_settle(&w);
	assert_int_equal(problem_count(w.problems), 1);
	assert_kernel(
		&w,
		"ns/a:web TCP 10.96.0.1:80 ClusterIP flags 0x4 cluster 10.0.0.1:8080/cs 10.96.0.2:8080/cs "
		"backends 10.0.0.1:8080/cs 10.96.0.2:8080/cs\n"
		"ns/a: any 10.96.0.1:0 address flags 0x0\n");
	world_done(&w);
}

/* ---- capacity -------------------------------------------------------------------------------- */

static bool is_served(struct world *w, const char *vip)
{
	struct row_reader reader = kernel_reader(&w->kernel);
	struct address a = addr(vip);
	struct view v;
	bool served;

	assert_int_equal(view_from_rows(&reader, &v), 0);
	served = view_find(&v, &a, 80, IPPROTO_TCP);
	view_done(&v);
	return served;
}

TEST(one_service_too_many)
{
	struct world w;

	world_init_limits(&w, 3, 100);
	put_aged(&w, "ns/d", "10.96.0.4", 400);
	put_aged(&w, "ns/c", "10.96.0.3", 300);
	put_aged(&w, "ns/b", "10.96.0.2", 200);
	put_aged(&w, "ns/a", "10.96.0.1", 100);
	world_settle(&w);
	assert_true(is_served(&w, "10.96.0.1") && is_served(&w, "10.96.0.2") &&
		    is_served(&w, "10.96.0.3"));
	assert_false(is_served(&w, "10.96.0.4")); /* the youngest */
	assert_problems(
		&w,
		"Service ns/d: port web (IPv4) is not served: all 3 service ports are in use; raise "
		"--max-services\n");

	put_aged(&w, "ns/oldest", "10.96.0.9", 1); /* older, but the others exist */
	world_settle(&w);
	assert_false(is_served(&w, "10.96.0.9"));
	assert_true(is_served(&w, "10.96.0.3"));

	gone_svc(&w, "ns/b"); /* one place, two that wait: the older gets it */
	world_settle(&w);
	assert_true(is_served(&w, "10.96.0.9"));
	assert_false(is_served(&w, "10.96.0.4"));
	gone_svc(&w, "ns/a");
	world_settle(&w);
	assert_true(is_served(&w, "10.96.0.4"));
	assert_problems(&w, "");
	world_done(&w);
}

TEST(existing_services_survive_a_restart_over_capacity)
{
	struct world w;

	world_init_limits(&w, 2, 100);
	put_aged(&w, "ns/young", "10.96.0.3", 300);
	put_aged(&w, "ns/younger", "10.96.0.4", 400);
	world_settle(&w);
	put_aged(&w, "ns/old", "10.96.0.1", 100);
	world_settle(&w);
	assert_false(is_served(&w, "10.96.0.1"));
	w.ops = 0;
	world_restart(&w);
	world_settle(&w);
	assert_int_equal(w.ops, 0);
	assert_false(is_served(&w, "10.96.0.1"));
	world_done(&w);
}

TEST(what_is_served_comes_before_what_is_old)
{
	struct world w;

	world_init_limits(&w, 10, 2);
	put_aged(&w, "ns/young", "10.96.0.1", 300);
	put_web_slice(&w, "ns/young", "10.0.0.1");
	world_settle(&w);
	put_aged(&w, "ns/old", "10.96.0.2", 100); /* one place is left, and two want it */
	put_web_slice(&w, "ns/old", "10.0.1.1");
	put_web_slice(&w, "ns/young", "10.0.0.1 10.0.0.2");
	world_settle(&w);
	assert_false(is_served(&w, "10.96.0.2"));
	assert_problems(&w,
			"Service ns/old: port web (IPv4) is not served: all 2 backends are in use; "
			"raise --max-backends\n");
	world_done(&w);
}

TEST(endpoints_that_do_not_fit)
{
	struct plan_stats stats;
	struct world w;

	world_init_limits(&w, 10, 4);
	put_aged(&w, "ns/a", "10.96.0.1", 1);
	put_web_slice(&w, "ns/a", "10.0.0.1 10.0.0.2 10.0.0.3");
	put_aged(&w, "ns/b", "10.96.0.2", 2);
	put_web_slice(&w, "ns/b", "10.0.1.1 10.0.1.2 10.0.1.3");
	put_aged(&w, "ns/c", "10.96.0.3", 3);
	put_web_slice(&w, "ns/c", "10.0.2.1");
	world_settle(&w);
	assert_kernel(
		&w,
		"ns/a:web TCP 10.96.0.1:80 ClusterIP flags 0x4 cluster 10.0.0.1:8080/cs 10.0.0.2:8080/cs 10.0.0.3:8080/cs "
		"backends 10.0.0.1:8080/cs 10.0.0.2:8080/cs 10.0.0.3:8080/cs\n"
		"ns/b:web TCP 10.96.0.2:80 ClusterIP flags 0x4 cluster 10.0.1.1:8080/cs backends 10.0.1.1:8080/cs\n"
		"ns/a: any 10.96.0.1:0 address flags 0x0\n"
		"ns/b: any 10.96.0.2:0 address flags 0x0\n");
	assert_problems(
		&w,
		"Service ns/b: port web (IPv4): 2 of 3 endpoints are not used: all 4 backends are in use; raise "
		"--max-backends\n"
		"Service ns/c: port web (IPv4) is not served: all 4 backends are in use; raise --max-backends\n");
	plan_count(w.plan, &stats);
	assert_int_equal(stats.v4.refused, 3);
	put_web_slice(&w, "ns/a",
		      "10.0.0.1"); /* room for two: b is served already, so it comes first */
	world_settle(&w);
	assert_problems(
		&w,
		"Service ns/c: port web (IPv4) is not served: all 4 backends are in use; raise --max-backends\n");
	gone_svc(&w, "ns/a");
	world_settle(&w);
	assert_problems(&w, "");
	assert_true(is_served(&w, "10.96.0.3"));
	plan_count(w.plan, &stats);
	assert_int_equal(stats.v4.refused, 0);
	world_done(&w);
}

TEST(all_endpoints_are_exchanged_at_the_limit)
{
	struct world w;

	world_init_limits(&w, 10, 4);
	put_aged(&w, "ns/a", "10.96.0.1", 1);
	put_web_slice(&w, "ns/a", "10.0.0.1 10.0.0.2");
	put_aged(&w, "ns/b", "10.96.0.2", 2);
	put_web_slice(&w, "ns/b", "10.0.1.1 10.0.1.2");
	world_settle(&w);
	put_web_slice(&w, "ns/a", "10.0.0.7 10.0.0.8 10.0.0.9"); /* one more than before, too */
	world_settle(&w);
	assert_kernel(
		&w,
		"ns/a:web TCP 10.96.0.1:80 ClusterIP flags 0x4 cluster 10.0.0.7:8080/cs 10.0.0.8:8080/cs "
		"backends 10.0.0.7:8080/cs 10.0.0.8:8080/cs\n"
		"ns/b:web TCP 10.96.0.2:80 ClusterIP flags 0x4 cluster 10.0.1.1:8080/cs 10.0.1.2:8080/cs "
		"backends 10.0.1.1:8080/cs 10.0.1.2:8080/cs\n"
		"ns/a: any 10.96.0.1:0 address flags 0x0\n"
		"ns/b: any 10.96.0.2:0 address flags 0x0\n");
	assert_problems(
		&w,
		"Service ns/a: port web (IPv4): 1 of 3 endpoints are not used: all 4 backends are in "
		"use; raise --max-backends\n");
	put_web_slice(&w, "ns/a", "10.0.0.3 10.0.0.8");
	world_settle(&w);
	assert_problems(&w, "");
	world_done(&w);
}

/* More than there are numbers in reserve while the old ones rest: those that fit at once, the others when they have rested. */
TEST(very_many_endpoints_are_exchanged_at_the_limit)
{
	enum { N = SLICE_MAX };
	struct buf before = { 0 }, after = { 0 };
	struct plan_stats stats;
	struct world w;

	for (unsigned int i = 0; i < N; i++) {
		buf_printf(&before, "%s10.1.%u.%u", i ? " " : "", i / 250, i % 250 + 1);
		buf_printf(&after, "%s10.2.%u.%u", i ? " " : "", i / 250, i % 250 + 1);
	}
	world_init_limits(&w, 10, N);
	put_aged(&w, "ns/a", "10.96.0.1", 1);
	put_web_slice(&w, "ns/a", buf_str(&before));
	world_settle(&w);
	put_web_slice(&w, "ns/a", buf_str(&after));
	world_settle(&w);
	assert_problems(&w, "");
	plan_count(w.plan, &stats);
	assert_int_equal(stats.v4.backends, N);
	assert_int_equal(stats.v4.refused, 0);
	buf_done(&before);
	buf_done(&after);
	world_done(&w);
}

/* ---- node and service CIDRs ------------------------------------------------------------------ */

static void put_cidrs(struct world *w, const char *name, const char *a, const char *b)
{
	struct cidr cidrs[2];
	char copy[64];
	struct service_cidr c = { .meta.name = copy, .cidrs = cidrs };

	snprintf(copy, sizeof(copy), "%s", name);
	assert_int_equal(cidr_parse(a, &cidrs[c.n_cidrs++]), 0);
	if (b)
		assert_int_equal(cidr_parse(b, &cidrs[c.n_cidrs++]), 0);
	w->sink.put_service_cidr(w->sink.ctx, &c);
}

static struct sl_config config_of(struct world *w)
{
	struct sl_config c = { 0 };
	uint32_t key = 0;
	const void *held = kernel_get(&w->kernel, ROW_CONFIG, &key);

	assert_non_null(held);
	memcpy(&c, held, sizeof(c));
	return c;
}

static enum sl_reason reason_of(struct world *w, const char *dst, uint16_t port)
{
	struct row_reader reader = kernel_reader(&w->kernel);
	const struct decide_node node = { 0 };
	const struct decide_flow flow = { addr("10.0.0.99"), addr(dst), port, IPPROTO_TCP };
	struct decide_verdict verdict;
	struct view v;

	assert_int_equal(view_from_rows(&reader, &v), 0);
	verdict = decide(&v, &node, &flow);
	view_done(&v);
	return verdict.reason;
}

TEST(service_cidrs_are_never_read_half_written)
{
	struct world w;

	world_init(&w);
	put_cidrs(&w, "kubernetes", "10.96.0.0/12", "fd00:10::/112");
	assert_int_equal(plan_run(w.plan), 0);
	world_apply(&w, UINT_MAX);
	assert_int_equal(config_of(&w).cidrs4[0].addr[1], 96); /* there, but off */
	assert_int_equal(config_of(&w).cidrs4[0].mask[0], 0);
	assert_int_equal(config_of(&w).cidrs4[0].mask[1], 0xf0);
	assert_int_equal(reason_of(&w, "10.96.5.5", 80), SL_REASON_NOT_SERVICE);
	assert_true(plan_rest_begin(w.plan));
	plan_rest_end(w.plan);
	world_settle(&w);
	assert_int_equal(config_of(&w).cidrs4[0].mask[0], 0xff);
	assert_int_equal(reason_of(&w, "10.96.5.5", 80), SL_REASON_UNALLOCATED);
	assert_int_equal(reason_of(&w, "10.200.5.5", 80), SL_REASON_NOT_SERVICE);
	assert_int_equal(reason_of(&w, "fd00:10::5", 80), SL_REASON_UNALLOCATED);

	put_cidrs(&w, "kubernetes", "10.32.0.0/16",
		  NULL); /* replaced: another slot, then the old one is free */
	world_settle(&w);
	assert_int_equal(reason_of(&w, "10.96.5.5", 80), SL_REASON_NOT_SERVICE);
	assert_int_equal(reason_of(&w, "10.32.5.5", 80), SL_REASON_UNALLOCATED);
	assert_int_equal(reason_of(&w, "fd00:10::5", 80), SL_REASON_NOT_SERVICE);
	w.ops = 0;
	world_restart(&w);
	world_settle(&w);
	assert_int_equal(w.ops, 0);
	world_done(&w);
}

/* A range that is replaced while the barrier for it is under way: nothing of it is switched on, and its slot rests. */
TEST(service_cidrs_that_change_during_a_barrier_wait_for_the_next)
{
	struct world w;

	world_init(&w);
	put_cidrs(&w, "kubernetes", "10.96.0.0/12", NULL);
	assert_int_equal(plan_run(w.plan), 0);
	world_apply(&w, UINT_MAX);
	assert_true(plan_rest_begin(w.plan));
	put_cidrs(&w, "kubernetes", "10.32.0.0/16", NULL);
	assert_int_equal(plan_run(w.plan), 0);
	world_apply(&w, UINT_MAX);
	plan_rest_end(w.plan);
	put_cidrs(&w, "kubernetes", "10.32.0.0/16", "10.48.0.0/16");
	assert_int_equal(plan_run(w.plan), 0);
	world_apply(&w, UINT_MAX);
	for (int i = 0; i < SL_CIDRS; i++)
		assert_int_equal(config_of(&w).cidrs4[i].mask[0], 0); /* neither of them is on */
	assert_int_equal(config_of(&w).cidrs4[0].addr[1], 0);
	world_settle(&w);
	assert_int_equal(reason_of(&w, "10.32.5.5", 80), SL_REASON_UNALLOCATED);
	assert_int_equal(reason_of(&w, "10.48.5.5", 80), SL_REASON_UNALLOCATED);
	assert_int_equal(reason_of(&w, "10.96.5.5", 80), SL_REASON_NOT_SERVICE);
	world_done(&w);
}

TEST(too_many_service_cidrs)
{
	struct world w;

	world_init(&w);
	for (int i = 0; i < 9; i++) {
		char name[16], cidr[32];

		snprintf(name, sizeof(name), "c%d", i);
		snprintf(cidr, sizeof(cidr), "10.%d.0.0/16", i);
		put_cidrs(&w, name, cidr, NULL);
	}
	world_settle(&w);
	assert_problems(
		&w,
		"service CIDRs: ServiceCIDR c8: 10.8.0.0/16 is not used: there is room for 8 service CIDRs of a "
		"family; merge some\n");
	assert_int_equal(reason_of(&w, "10.7.5.5", 80), SL_REASON_UNALLOCATED);
	w.sink.gone(w.sink.ctx, OBJECT_SERVICE_CIDR, NULL, "c0");
	world_settle(&w);
	assert_problems(&w, "");
	assert_int_equal(reason_of(&w, "10.8.5.5", 80), SL_REASON_UNALLOCATED);
	assert_int_equal(reason_of(&w, "10.0.5.5", 80), SL_REASON_NOT_SERVICE);
	world_done(&w);
}

static void put_node(struct world *w, const char *zone, const char *ip)
{
	char name[] = "here", zone_copy[32];
	struct address ips[1] = { addr(ip) };
	struct node n = { .meta.name = name,
			  .zone = zone ? zone_copy : NULL,
			  .internal_ips = ips,
			  .n_internal_ips = 1 };

	if (zone)
		snprintf(zone_copy, sizeof(zone_copy), "%s", zone);
	w->sink.put_node(w->sink.ctx, &n);
}

TEST(the_node_object)
{
	static char zone_a[] = "a", zone_b[] = "b";
	static char *hint_a[] = { zone_a }, *hint_b[] = { zone_b };
	struct address option = addr("192.0.2.77");
	struct slice_words *s = malloc(sizeof(*s));
	struct world w;

	world_init(&w);
	put_web(&w, "ns/a", "10.96.0.1");
	slice_init(s, "ns/a", "a", "web", IPPROTO_TCP, 8080, "10.0.0.1 10.0.0.2");
	s->endpoints[0].zone_hints = hint_a;
	s->endpoints[1].zone_hints = hint_b;
	s->endpoints[0].n_zone_hints = s->endpoints[1].n_zone_hints = 1;
	w.sink.put_slice(w.sink.ctx, &s->s);
	free(s);
	put_node(&w, "b", "192.0.2.1");
	world_settle(&w);
	assert_kernel(&w, "ns/a:web TCP 10.96.0.1:80 ClusterIP flags 0x4 cluster 10.0.0.2:8080/cs "
			  "backends 10.0.0.1:8080/s 10.0.0.2:8080/cs\n"
			  "ns/a: any 10.96.0.1:0 address flags 0x0\n");
	assert_memory_equal(config_of(&w).node4, "\xc0\x00\x02\x01", 4);
	put_node(&w, "a", "192.0.2.2");
	world_settle(&w);
	assert_kernel(&w, "ns/a:web TCP 10.96.0.1:80 ClusterIP flags 0x4 cluster 10.0.0.1:8080/cs "
			  "backends 10.0.0.1:8080/cs 10.0.0.2:8080/s\n"
			  "ns/a: any 10.96.0.1:0 address flags 0x0\n");
	assert_memory_equal(config_of(&w).node4, "\xc0\x00\x02\x02", 4);
	w.config.node_ips = &option;
	w.config.n_node_ips = 1;
	assert_int_equal(plan_configure(w.plan, &w.config), 0);
	world_settle(&w);
	assert_memory_equal(config_of(&w).node4, "\xc0\x00\x02\x4d", 4);
	world_done(&w);
}

TEST(options_that_do_not_matter_to_services)
{
	struct address excluded = addr("10.96.0.1");
	struct plan_stats before, after;
	struct world w;

	world_init(&w);
	fill(&w, 3);
	world_settle(&w);
	plan_count(w.plan, &before);
	w.config.snat_low = 1000;
	w.config.snat_high = 2000;
	assert_int_equal(plan_configure(w.plan, &w.config), 0);
	assert_true(plan_wants_run(w.plan));
	w.ops = 0;
	world_settle(&w);
	plan_count(w.plan, &after);
	assert_int_equal(w.ops, 1);
	assert_int_equal(after.planned, before.planned);
	assert_int_equal(config_of(&w).snat_high, 2000);
	w.config.exclude_vips = &excluded;
	w.config.n_exclude_vips = 1;
	assert_int_equal(plan_configure(w.plan, &w.config), 0);
	world_settle(&w);
	plan_count(w.plan, &after);
	assert_int_equal(after.v4.services, 2);
	world_done(&w);
}

/* ---- filter ---------------------------------------------------------------------------------- */

TEST(filter_bits_stay_until_asked)
{
	struct plan_stats stats;
	struct world w;

	world_init(&w);
	put_web(&w, "ns/a", "10.96.0.1");
	put_web_slice(&w, "ns/a", "10.0.0.1 10.0.0.2");
	world_settle(&w);
	put_web_slice(&w, "ns/a", "10.0.0.1");
	world_settle(&w);
	plan_count(w.plan, &stats);
	assert_int_equal(stats.v4.filter_vips, 1);
	assert_int_equal(stats.v4.filter_backends, 2);
	world_restart(&w);
	world_settle(&w);
	plan_count(w.plan, &stats);
	assert_int_equal(stats.v4.filter_backends, 2);
	assert_int_equal(plan_filter_rebuild(w.plan), 0);
	plan_count(w.plan, &stats);
	assert_int_equal(stats.v4.filter_vips, 1);
	assert_int_equal(stats.v4.filter_backends, 1);
	assert_int_equal(world_apply(&w, UINT_MAX), 1);
	world_settle(&w);
	world_done(&w);
}

TEST(bad_limits)
{
	struct plan_config config = { 0 };
	struct plan *plan = NULL;
	struct diff *d = diff_new();
	struct store *s = store_new(NULL);

	assert_int_equal(plan_new(&config, s, d, NULL, &plan), -EINVAL);
	assert_null(plan);
	store_free(s);
	diff_free(d);
}

RUN(cmocka_unit_test(a_service_with_two_endpoints),
    cmocka_unit_test(a_service_without_endpoints_rejects),
    cmocka_unit_test(both_families_and_three_protocols), cmocka_unit_test(internal_policy_local),
    cmocka_unit_test(terminating_endpoints_keep_their_flows_and_are_the_fallback),
    cmocka_unit_test(services_that_are_not_ours), cmocka_unit_test(sctp_needs_the_same_port),
    cmocka_unit_test(ports_without_a_local_endpoint_are_counted), cmocka_unit_test(algorithms),
    cmocka_unit_test(one_endpoint_touches_a_handful_of_rows),
    cmocka_unit_test(what_does_not_change_keeps_its_numbers),
    cmocka_unit_test(endpoints_that_move_between_slices_stay),
    cmocka_unit_test(flags_change_in_place),
    cmocka_unit_test(what_is_given_back_during_a_barrier_waits_for_the_next),
    cmocka_unit_test(a_number_rests_until_a_barrier_has_passed),
    cmocka_unit_test(generations_go_on_after_a_restart), cmocka_unit_test(new_owners_are_told_once),
    cmocka_unit_test(what_is_served_comes_before_what_is_old),
    cmocka_unit_test(another_uid_is_another_service), cmocka_unit_test(address_and_port_change),
    cmocka_unit_test(the_oldest_claim_wins),
    cmocka_unit_test(every_frontend_has_a_row_and_its_kind),
    cmocka_unit_test(each_frontend_is_won_or_lost_by_itself),
    cmocka_unit_test(conflicts_are_told_of_frontends_that_the_gate_keeps_back),
    cmocka_unit_test(ports_of_one_name), cmocka_unit_test(endpoints_of_special_ranges),
    cmocka_unit_test(endpoints_that_are_services), cmocka_unit_test(one_service_too_many),
    cmocka_unit_test(existing_services_survive_a_restart_over_capacity),
    cmocka_unit_test(endpoints_that_do_not_fit),
    cmocka_unit_test(all_endpoints_are_exchanged_at_the_limit),
    cmocka_unit_test(very_many_endpoints_are_exchanged_at_the_limit),
    cmocka_unit_test(service_cidrs_are_never_read_half_written),
    cmocka_unit_test(service_cidrs_that_change_during_a_barrier_wait_for_the_next),
    cmocka_unit_test(too_many_service_cidrs), cmocka_unit_test(the_node_object),
    cmocka_unit_test(options_that_do_not_matter_to_services),
    cmocka_unit_test(filter_bits_stay_until_asked), cmocka_unit_test(bad_limits))
