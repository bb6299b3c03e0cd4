// SPDX-License-Identifier: GPL-2.0-only
// Four threads take and give back endpoints while a fifth replaces the list without pause; under ThreadSanitizer.
/* link: user/ingress/upstream.c user/ingress/upstream_choose.c user/ingress/epoch.c */
/* link: user/core/address.c user/base/table.c */
#include "unit/test.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "base/clock.h"
#include "ingress/epoch.h"
#include "ingress/upstream.h"

#define THREADS 4
#define PODS    32
#define CHANGES 3000

static struct upstream *upstream;
static _Atomic bool over;
static _Atomic unsigned foreign, taken;

/* Endpoint 0 is always there, so there is always one. */
static void *ask(void *arg)
{
	uint32_t random = (uint32_t)(uintptr_t)arg;
	unsigned n = 0;

	for (; !over || n < 1000; n++) {
		struct upstream_pick pick = { .choice = (enum upstream_choice)(n % 3),
					      .near = (enum upstream_near)(n % 5 % 3),
					      .hash = n,
					      .bound = n % 2 ? 125 : 0,
					      .random = random + n,
					      .now_ns = n * CLOCK_NS_PER_MS };
		struct origin *o = upstream_take(upstream, &pick);
		char cookie[UPSTREAM_STICKY_LEN + 1];

		if (!o)
			break;
		foreign += o->addr.b[3] >= PODS;
		upstream_sticky(o, cookie);
		upstream_release(upstream, o, (enum upstream_result)(n % 7 % 3), pick.now_ns);
		if (n % 64 == 0)
			upstream_may_retry(upstream, pick.now_ns);
	}
	taken += n;
	return NULL;
}

static void look(void *ctx, const struct origin *origin)
{
	*(unsigned *)ctx += origin->in_flight;
}

TEST(lists_change_under_requests)
{
	struct upstream_endpoint pods[PODS];
	pthread_t threads[THREADS];
	unsigned in_flight = 0, n = 1;

	for (unsigned i = 0; i < PODS; i++)
		pods[i] = (struct upstream_endpoint){ .addr = { .family = 4,
								.b = { 10, 0, 0, (uint8_t)i } },
						      .port = 80,
						      .pod = "ns/pod",
						      .same_node = i % 8 == 3,
						      .same_zone = i % 4 == 3 };
	assert_int_equal(upstream_new(&upstream_defaults, 0, &upstream), 0);
	assert_int_equal(upstream_set(upstream, pods, PODS, 0, NULL), 0);
	for (uintptr_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, ask, (void *)(i << 20)), 0);
	for (unsigned i = 0; i < CHANGES; i++) {
		n = n * 5 % 31 + 1;
		assert_int_equal(upstream_set(upstream, pods, n, i * CLOCK_NS_PER_MS, NULL), 0);
	}
	over = true;
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_int_equal(foreign, 0);
	assert_true(taken >= THREADS * 1000);
	upstream_each(upstream, look, &in_flight);
	assert_int_equal(in_flight, 0);
	upstream_drop(upstream);
	epoch_collect();
}

RUN(cmocka_unit_test(lists_change_under_requests))
