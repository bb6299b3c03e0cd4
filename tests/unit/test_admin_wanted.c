// SPDX-License-Identifier: GPL-2.0-only
// "wanted" of the admin socket: no piece is large, together they say what the plan wants, and the plan may change between two.
/* link: user/agent/admin_wanted.c user/base/json.c */
/* link: user/core/plan.c user/core/plan_config.c user/core/plan_service.c user/core/plan_filter.c user/core/plan_claim.c user/core/plan_port.c user/core/plan_row.c user/core/plan_list.c user/core/plan_commit.c user/core/plan_rest.c */
/* link: user/core/plan_restore.c user/core/store.c user/core/policy.c user/core/ids.c */
/* link: user/core/ring.c user/core/rows.c user/core/diff.c user/core/diff_row.c user/core/diff_audit.c user/core/diff_look.c user/core/view.c user/core/model.c */
/* link: user/core/address.c user/core/problem.c user/base/table.c user/base/arena.c user/base/buf.c */
/* libs: cjson */
#include "unit/test.h"

#include <cjson/cJSON.h>

#include "agent/admin_wanted.h"
#include "base/arena.h"
#include "unit/world.h"

#define SERVICES 400

static void put_number(struct world *w, unsigned i)
{
	char name[32], vip[32], endpoints[64];

	snprintf(name, sizeof(name), "ns/s%u", i);
	snprintf(vip, sizeof(vip), "10.96.%u.%u", i / 200, i % 200 + 1);
	snprintf(endpoints, sizeof(endpoints), "10.0.%u.%u 10.1.0.1:l", i / 200, i % 200 + 1);
	put_web(w, name, vip);
	put_web_slice(w, name, endpoints);
}

static void start(struct world *w, unsigned n)
{
	world_init_limits(w, 1000, 4000);
	w->hasty = true;
	for (unsigned i = 0; i < n; i++)
		put_number(w, i);
	if (n) {
		put_web(w, "ns/six", "fd00::6");
		put_web_slice(w, "ns/six", "fd01::1 fd01::2");
	}
	world_settle(w);
}

/* What came, and how many pieces it took. Before the third piece `meanwhile` may change the world; out is emptied after each. */
static cJSON *fetch(struct world *w, void (*meanwhile)(struct world *w), unsigned *ret_pieces)
{
	struct admin_wanted wanted;
	struct buf out = { 0 }, all = { 0 };
	unsigned n = 0;
	cJSON *answer;

	admin_wanted_begin(w->diff, &out, &wanted);
	while (admin_wanted_is_open(&wanted)) {
		buf_puts(&all, buf_str(&out));
		buf_reset(&out);
		if (n++ == 2 && meanwhile)
			meanwhile(w);
		admin_wanted_more(&wanted, &out);
		assert_false(out.failed);
		assert_true(out.len < ADMIN_WANTED_PIECE + 2000);
	}
	buf_puts(&all, buf_str(&out));
	assert_int_equal(strcspn(buf_str(&all), "\n") + 1, all.len); /* one line */
	answer = cJSON_Parse(buf_str(&all));
	assert_non_null(answer);
	buf_done(&out);
	buf_done(&all);
	*ret_pieces = n;
	return answer;
}

static const cJSON *services_of(const cJSON *answer)
{
	return cJSON_GetObjectItemCaseSensitive(answer, "services");
}

static const char *text_of(const cJSON *object, const char *name)
{
	return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, name));
}

static double number_of(const cJSON *object, const char *name)
{
	return cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(object, name));
}

static const cJSON *find(const cJSON *answer, const char *address, const char *kind)
{
	const cJSON *s, *found = NULL;

	cJSON_ArrayForEach(s, services_of(answer))
	{
		if (strcmp(text_of(s, "address"), address) || strcmp(text_of(s, "kind"), kind))
			continue;
		assert_null(found);
		found = s;
	}
	return found;
}

TEST(pieces_are_what_the_plan_wants)
{
	const cJSON *s, *list;
	unsigned pieces;
	struct view view;
	struct world w;
	cJSON *answer;

	start(&w, SERVICES);
	answer = fetch(&w, NULL, &pieces);
	assert_in_range(pieces, 3, 20);
	assert_int_equal(view_from_plan(w.diff, &view), 0);
	assert_int_equal(cJSON_GetArraySize(services_of(answer)), (int)view.n_services);
	for (size_t i = 0; i < view.n_services; i++) {
		const struct view_service *v = &view.services[i];
		char text[ADDRESS_TEXT_LEN];

		s = find(answer, address_format(&v->vip, text), view_kind_name(v->kind));
		assert_non_null(s);
		if (v->kind == SL_KIND_ADDRESS)
			continue;
		assert_string_equal(text_of(s, "namespace"), v->namespace);
		assert_string_equal(text_of(s, "name"), v->name);
		assert_string_equal(text_of(s, "portName"), "web");
		assert_string_equal(text_of(s, "protocol"), "TCP");
		assert_string_equal(text_of(s, "algorithm"), "random");
		assert_int_equal(number_of(s, "port"), 80);
		assert_int_equal(number_of(s, "flags"), v->flags);
		list = cJSON_GetObjectItemCaseSensitive(s, "cluster");
		assert_int_equal(cJSON_GetArraySize(list), 2);
		for (int k = 0; k < 2; k++) {
			const cJSON *e = cJSON_GetArrayItem(list, k);

			assert_string_equal(text_of(e, "address"),
					    address_format(&v->cluster[k].addr, text));
			assert_int_equal(number_of(e, "port"), v->cluster[k].port);
			assert_int_equal(number_of(e, "flags"), v->cluster[k].flags);
		}
	}
	view_done(&view);
	cJSON_Delete(answer);
	world_done(&w);
}

static void change(struct world *w)
{
	gone_svc(w, "ns/s7");
	for (unsigned i = 200; i < SERVICES;
	     i++) { /* wherever in the order: some were told, some were not */
		char name[32];

		snprintf(name, sizeof(name), "ns/s%u", i);
		gone_svc(w, name);
	}
	put_number(w, SERVICES + 1);
	world_settle(w);
}

TEST(the_plan_may_change_between_pieces)
{
	unsigned pieces;
	struct world w;
	cJSON *answer;
	int n;

	start(&w, SERVICES);
	answer = fetch(&w, change, &pieces);
	n = cJSON_GetArraySize(services_of(answer));
	/* all that stayed, some of those that left, none twice */
	assert_in_range(n, 2 * 200, 2 * (SERVICES + 1) - 1);
	for (unsigned i = 0; i < 200; i++) {
		char vip[32];

		snprintf(vip, sizeof(vip), "10.96.0.%u", i + 1);
		if (i != 7)
			assert_non_null(find(answer, vip, "ClusterIP"));
	}
	cJSON_Delete(answer);
	world_done(&w);
}

TEST(no_service_is_an_answer)
{
	unsigned pieces;
	struct world w;
	cJSON *answer;

	start(&w, 0);
	answer = fetch(&w, NULL, &pieces);
	assert_true(cJSON_IsArray(services_of(answer)));
	assert_int_equal(cJSON_GetArraySize(services_of(answer)), 0);
	cJSON_Delete(answer);
	world_done(&w);
}

TEST(one_that_is_not_fetched_leaves_nothing)
{
	struct admin_wanted wanted;
	struct buf out = { 0 };
	struct world w;

	start(&w, 10);
	admin_wanted_begin(w.diff, &out, &wanted);
	assert_true(admin_wanted_is_open(&wanted));
	admin_wanted_done(&wanted); /* the sanitizer would tell */
	assert_false(admin_wanted_is_open(&wanted));
	buf_done(&out);
	world_done(&w);
}

RUN(cmocka_unit_test(pieces_are_what_the_plan_wants),
    cmocka_unit_test(the_plan_may_change_between_pieces), cmocka_unit_test(no_service_is_an_answer),
    cmocka_unit_test(one_that_is_not_fetched_leaves_nothing))
