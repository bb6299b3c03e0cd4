// SPDX-License-Identifier: GPL-2.0-only
// What planning costs: 10,000 services of 5 endpoints, cold; one endpoint changed; restart. CPU
// time, so that load matters little.
/* link: user/core/plan.c user/core/plan_config.c user/core/plan_service.c user/core/plan_filter.c user/core/plan_claim.c user/core/plan_port.c user/core/plan_row.c user/core/plan_list.c user/core/plan_commit.c user/core/plan_rest.c */
/* link: user/core/plan_restore.c user/core/store.c user/core/policy.c user/core/ids.c */
/* link: user/core/ring.c user/core/rows.c user/core/diff.c user/core/diff_row.c user/core/diff_audit.c user/core/diff_look.c user/core/view.c user/core/model.c */
/* link: user/core/address.c user/core/problem.c user/base/table.c user/base/arena.c */
/* link: user/base/buf.c */
/*
 * Prints; judges nothing. From the top folder:
 *   files=$(sed -n 's|^/. link: \(.*\) ./|\1|p' tests/unit/plan_cost.c)
 *   cc -O2 -std=gnu11 -D_GNU_SOURCE -Iinclude -Iuser -Itests $files tests/unit/plan_cost.c -lcmocka
 */
#include "unit/test.h"

#include <time.h>

#include "unit/world.h"

enum { SERVICES = 10000, ENDPOINTS = 5 };

static double started_ms;

static double cpu_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void start(void)
{
	started_ms = cpu_ms();
}

static void stop(struct world *w, const char *what)
{
	double ms = cpu_ms() - started_ms;

	printf("%-44s %9.3f ms  %7zu pending\n", what, ms, diff_n_pending(w->diff, true));
}

/* As if the kernel took everything. */
static void accept_all(struct world *w)
{
	struct diff_op ops[256];
	size_t n;

	diff_begin(w->diff);
	while ((n = diff_next_run(w->diff, ops, 256)))
		for (size_t i = 0; i < n; i++)
			diff_done(w->diff, &ops[i]);
	if (plan_rest_begin(w->plan))
		plan_rest_end(w->plan);
}

static void put_service(struct world *w, int i, int last)
{
	char full[64], vip[32], words[256] = "";

	snprintf(full, sizeof(full), "ns%d/s%d", i % 100, i);
	snprintf(vip, sizeof(vip), "10.96.%d.%d", i / 250, i % 250 + 1);
	for (int k = 0; k < ENDPOINTS; k++)
		snprintf(words + strlen(words), sizeof(words) - strlen(words), "10.%d.%d.%d ",
			 i / 250, i % 250, k < ENDPOINTS - 1 ? k + 1 : last);
	put_web(w, full, vip);
	put_web_slice(w, full, words);
}

int main(void)
{
	struct row_reader held;
	struct diff *fresh;
	struct world w;
	struct view v;

	world_init_limits(&w, 2 * SERVICES, 2 * SERVICES * ENDPOINTS);
	start();
	for (int i = 0; i < SERVICES; i++)
		put_service(&w, i, ENDPOINTS);
	stop(&w, "objects into the store");
	start();
	plan_run(w.plan);
	stop(&w, "plan, cold");
	start();
	accept_all(&w);
	stop(&w, "all operations given out and accepted");

	put_service(&w, SERVICES / 2, 99);
	start();
	plan_run(w.plan);
	stop(&w, "plan, one endpoint changed");
	accept_all(&w);
	store_mark_all_dirty(w.store);
	start();
	plan_run(w.plan);
	stop(&w, "plan, everything said again");
	start();
	view_from_plan(w.diff, &v);
	stop(&w, "view of all");
	view_done(&v);

	held = diff_actual_reader(w.diff);
	fresh = diff_new();
	plan_free(w.plan);
	start();
	diff_saw_all(fresh, &held);
	plan_new(&w.config, w.store, fresh, w.problems, &w.plan);
	plan_restore(w.plan);
	diff_free(w.diff);
	w.diff = fresh;
	stop(&w, "restart: rows read, state restored");
	start();
	plan_run(w.plan);
	stop(&w, "restart: plan");
	world_done(&w);
	return 0;
}
