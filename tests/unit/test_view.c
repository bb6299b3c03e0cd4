// SPDX-License-Identifier: GPL-2.0-only
// View: damaged maps are named, not followed; plan and kernel compare equal until somebody changes a row; verdicts.
/* link: user/core/plan.c user/core/plan_config.c user/core/plan_service.c user/core/plan_filter.c user/core/plan_claim.c user/core/plan_port.c user/core/plan_row.c user/core/plan_list.c user/core/plan_commit.c user/core/plan_rest.c */
/* link: user/core/plan_restore.c user/core/store.c user/core/policy.c user/core/ids.c */
/* link: user/core/ring.c user/core/rows.c user/core/diff.c user/core/diff_row.c user/core/diff_audit.c user/core/diff_look.c user/core/view.c user/core/view_diff.c user/core/decide.c user/core/model.c */
/* link: user/core/address.c user/core/problem.c user/base/table.c user/base/arena.c */
/* link: user/base/buf.c */
#include "unit/test.h"

#include "base/arena.h"
#include "core/decide.h"
#include "unit/world.h"

static char told[2000];

static void note(void *ctx, const char *sentence)
{
	(void)ctx;
	snprintf(told + strlen(told), sizeof(told) - strlen(told), "%s\n", sentence);
}

/* Differences between what the plan wants and what the kernel holds, as text. */
static const char *differences(struct world *w)
{
	struct row_reader reader = kernel_reader(&w->kernel);
	struct view wanted, kernel;
	int n, lines = 0;

	told[0] = '\0';
	assert_int_equal(view_from_plan(w->diff, &wanted), 0);
	assert_int_equal(view_from_rows(&reader, &kernel), 0);
	n = view_diff(&wanted, "wanted", &kernel, "kernel", note, NULL);
	for (const char *p = told; *p; p++)
		lines += *p == '\n';
	assert_int_equal(n, lines);
	view_done(&wanted);
	view_done(&kernel);
	return told;
}

static void start(struct world *w)
{
	world_init(w);
	put_web(w, "ns/a", "10.96.0.1");
	put_web_slice(w, "ns/a", "10.0.0.1 10.0.0.2");
	put_web(w, "ns/b", "10.96.0.2");
	put_web_slice(w, "ns/b", "10.0.1.1:l");
	world_settle(w);
	assert_string_equal(differences(w), "");
}

/* Service row or record of a TCP port 80, as bytes that can be changed. */
static void *row_of_service(struct world *w, enum row_table t, const char *vip, uint32_t *ret_slot)
{
	struct address a = addr(vip);
	struct row_service_key key = { a, 80, IPPROTO_TCP };
	unsigned char bytes[ROW_KEY_MAX];
	const struct sl_slot_ref *ref;
	const void *record;

	row_encode_key(a.family, &key, bytes);
	ref = kernel_get(&w->kernel, ROW4_SERVICES, bytes);
	assert_non_null(ref);
	*ret_slot = ref->slot;
	record = kernel_get(&w->kernel, ROW4_RECORDS, &ref->slot);
	return t == ROW4_SERVICES ? (void *)(uintptr_t)ref : (void *)(uintptr_t)record;
}

TEST(differences_are_sentences)
{
	struct sl4_service *record;
	struct world w;
	uint32_t slot;

	start(&w);
	record = row_of_service(&w, ROW4_RECORDS, "10.96.0.1", &slot);
	record->affinity_s = 30;
	record->flags = 1;
	assert_string_equal(
		differences(&w),
		"ns/a:web TCP 10.96.0.1:80: flags are 0x4 in wanted, 0x1 in kernel\n"
		"ns/a:web TCP 10.96.0.1:80: session affinity is 0 s in wanted, 30 s in kernel\n");
	record->affinity_s = 0;
	record->flags = 4;
	record->cluster_len = 1;
	assert_string_equal(
		differences(&w),
		"ns/a:web TCP 10.96.0.1:80: cluster ring has 2 elements in wanted, 1 in kernel\n"
		"ns/a:web TCP 10.96.0.1:80: cluster endpoint 10.0.0.2 port 8080 is in wanted, not in kernel\n");
	record->cluster_len = 2;
	record->algorithm = SL_ALGORITHM_MAGLEV;
	assert_string_equal(
		differences(&w),
		"ns/a:web TCP 10.96.0.1:80: algorithm is random in wanted, maglev in kernel\n");
	world_done(&w);
}

TEST(missing_and_foreign_rows)
{
	struct sl4_service_key key = { .vip = { 10, 96, 0, 1 }, .port = 80, .proto = IPPROTO_TCP };
	struct sl_slot_ref *ref;
	struct world w;
	uint32_t slot;

	start(&w);
	ref = row_of_service(&w, ROW4_SERVICES, "10.96.0.2", &slot);
	key.port = 81; /* a foreign key that borrows a record */
	kernel_put(&w.kernel, ROW4_SERVICES, &key, ref);
	assert_string_equal(
		differences(&w),
		"/: TCP 10.96.0.1:81: cannot be used in kernel: the record in its slot belongs to "
		"another address\n");
	free(table_remove(&w.kernel.rows[ROW4_SERVICES], &key, sizeof(key)));
	key.port = 80;
	free(table_remove(&w.kernel.rows[ROW4_SERVICES], &key, sizeof(key)));
	assert_string_equal(differences(&w),
			    "ns/a:web TCP 10.96.0.1:80: is in wanted, not in kernel\n");
	world_done(&w);
}

TEST(damaged_rows_are_named)
{
	struct sl_slot_ref *ref;
	struct world w;
	uint32_t slot;

	start(&w);
	ref = row_of_service(&w, ROW4_SERVICES, "10.96.0.1", &slot);
	ref->gen++;
	assert_non_null(strstr(
		differences(&w),
		"10.96.0.1:80: cannot be used in kernel: the record in its slot is of another "
		"generation\n"));
	ref->gen--;
	ref->slot = 1234567;
	assert_non_null(strstr(differences(&w),
			       "cannot be used in kernel: there is no record in its slot\n"));
	ref->slot = slot;
	assert_string_equal(differences(&w), "");
	world_done(&w);
}

TEST(backends_of_others_and_of_nobody)
{
	struct sl4_service *record;
	struct sl_ring_line *line;
	struct sl4_backend *b;
	struct world w;
	uint32_t slot;

	start(&w);
	record = row_of_service(&w, ROW4_RECORDS, "10.96.0.1", &slot);
	line = (void *)(uintptr_t)kernel_get(&w.kernel, ROW4_RINGS, &record->cluster_line);
	b = (void *)(uintptr_t)kernel_get(&w.kernel, ROW4_BACKENDS, &line->backend[0]);
	b->service++;
	assert_non_null(strstr(
		differences(&w),
		"ns/a:web TCP 10.96.0.1:80: cluster endpoint 10.0.0.1 port 8080 belongs to another "
		"service in kernel\n"));
	b->service--;
	line->backend[0] = 999;
	assert_non_null(strstr(differences(&w),
			       "cluster endpoint 0.0.0.0 port 0 is in kernel, not in wanted\n"));
	record->cluster_len = 1000000; /* a length that is nonsense */
	assert_non_null(strstr(differences(&w),
			       "cluster ring has 2 elements in wanted, 1000000 in kernel\n"));
	world_done(&w);
}

TEST(configuration)
{
	struct sl_config *c;
	uint32_t key = 0;
	struct world w;

	start(&w);
	c = (void *)(uintptr_t)kernel_get(&w.kernel, ROW_CONFIG, &key);
	assert_non_null(c);
	c->snat_low = 7;
	c->flags = 2;
	c->node4[0] = 1;
	c->cidrs4[3].addr[0] = 1;
	assert_string_equal(
		differences(&w),
		"configuration: flags are 0x0 in wanted, 0x2 in kernel\n"
		"configuration: SNAT ports are 0-0 in wanted, 7-0 in kernel\n"
		"configuration: node addresses differ between wanted and kernel\n"
		"configuration: IPv4 service CIDR slot 3 differs between wanted and kernel\n");
	free(table_remove(&w.kernel.rows[ROW_CONFIG], &key, sizeof(key)));
	assert_string_equal(differences(&w), "configuration: is in wanted, not in kernel\n");
	world_done(&w);
}

static struct decide_verdict ask(const struct view *v, const struct address *dst, uint8_t proto)
{
	const struct decide_node node = { 0 };
	const struct decide_flow flow = { addr("10.0.0.99"), *dst, 80, proto };

	return decide(v, &node, &flow);
}

TEST(verdicts)
{
	struct address a = addr("10.96.0.1"), b = addr("10.96.0.2"), other = addr("10.96.0.3");
	struct decide_verdict verdict;
	struct row_reader reader;
	struct world w;
	struct view v;

	start(&w);
	put_web_slice(&w, "ns/b", "");
	world_settle(&w);
	reader = kernel_reader(&w.kernel);
	assert_int_equal(view_from_rows(&reader, &v), 0);
	verdict = ask(&v, &a, IPPROTO_TCP);
	assert_int_equal(verdict.reason, SL_REASON_NEW_FLOW);
	assert_int_equal(verdict.n_endpoints, 2);
	assert_string_equal(verdict.service->name, "a");
	assert_int_equal(ask(&v, &a, IPPROTO_UDP).reason, SL_REASON_UNKNOWN_PORT);
	assert_int_equal(ask(&v, &b, IPPROTO_TCP).reason, SL_REASON_NO_ENDPOINT);
	assert_int_equal(ask(&v, &other, IPPROTO_TCP).reason, SL_REASON_NOT_SERVICE);
	view_done(&v);
	view_done(NULL);
	world_done(&w);
}

static int refuse(void *ctx, enum row_table t,
		  int (*fn)(void *fn_ctx, const void *key, const void *value), void *fn_ctx)
{
	(void)fn, (void)fn_ctx;
	return t == *(enum row_table *)ctx ? -EPERM : 0;
}

TEST(a_reader_that_fails)
{
	for (int t = 0; t < ROW_TABLE_COUNT; t++) {
		enum row_table which = (enum row_table)t;
		struct row_reader reader = { .ctx = &which, .each = refuse };
		struct view v;
		bool read = t != ROW4_FILTER && t != ROW6_FILTER; /* nobody looks at those */

		assert_int_equal(view_from_rows(&reader, &v), read ? -EPERM : 0);
		if (!read)
			view_done(&v);
	}
}

/* Look-ups one by one give the same as one reading of everything. */
TEST(one_service_at_a_time)
{
	const char *const vips[] = { "10.96.0.1", "10.96.0.2", "10.96.0.3", "fd00::1" };
	struct arena memory = { 0 };
	struct view_service one[8];
	struct row_reader reader;
	unsigned char key[ROW_KEY_MAX];
	struct view all, some = { .services = one };
	struct world w;

	start(&w);
	put_web(&w, "ns/six", "fd00::1");
	put_web_slice(&w, "ns/six", "fd01::1 fd01::2");
	world_settle(&w);
	reader = diff_desired_reader(w.diff);
	for (size_t i = 0; i < 4; i++)
		for (int port = 0; port <= 80; port += 80) {
			const struct row_service_key k = { addr(vips[i]), (uint16_t)port,
							   port ? IPPROTO_TCP : 0 };
			int rc;

			row_encode_key(k.vip.family, &k, key);
			rc = view_read_service(&reader, k.vip.family, key, &memory,
					       &one[some.n_services]);
			assert_int_equal(rc, i == 2 ? -ENOENT : 0);
			some.n_services += !rc;
		}
	assert_int_equal(view_sort(&some), 0);
	assert_int_equal(view_from_plan(w.diff, &all), 0);
	all.has_config = false;
	for (size_t i = 0; i < all.n_services; i++)
		all.services[i].n_backends = 0;
	told[0] = '\0';
	assert_int_equal(view_diff(&all, "all", &some, "some", note, NULL), 0);
	assert_int_equal(some.n_services, 6);
	assert_string_equal(one[3].name, "a"); /* an address has the name of who lives there */
	arena_done(&memory);
	view_done(&all);
	world_done(&w);
}

TEST(words)
{
	assert_string_equal(view_kind_name(SL_KIND_CLUSTER_IP), "ClusterIP");
	assert_string_equal(view_kind_name((enum sl_kind)77), "unknown");
	assert_string_equal(view_proto_name(IPPROTO_SCTP), "SCTP");
	assert_string_equal(view_proto_name(1), "unknown");
	assert_string_equal(view_algorithm_name(SL_ALGORITHM_LEAST_CONN), "least-connections");
}

RUN(cmocka_unit_test(differences_are_sentences), cmocka_unit_test(missing_and_foreign_rows),
    cmocka_unit_test(damaged_rows_are_named), cmocka_unit_test(backends_of_others_and_of_nobody),
    cmocka_unit_test(configuration), cmocka_unit_test(verdicts),
    cmocka_unit_test(a_reader_that_fails), cmocka_unit_test(one_service_at_a_time),
    cmocka_unit_test(words))
