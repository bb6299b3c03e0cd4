// SPDX-License-Identifier: GPL-2.0-only
// Numbers and ranges: none is given out twice, none while it rests, generations go on; against a
// plain model.
/* link: user/core/ids.c */
#include "unit/test.h"

#include <errno.h>
#include <string.h>

#include "core/ids.h"
#include "unit/failmalloc.h"

static uint32_t next_random(uint32_t *state)
{
	*state = *state * 1664525u + 1013904223u;
	return *state >> 8;
}

TEST(first_to_last_and_no_further)
{
	uint32_t id, gen;
	struct ids ids;

	ids_init(&ids, 1, 4);
	assert_int_equal(ids_available(&ids), 3);
	for (uint32_t i = 1; i < 4; i++) {
		assert_int_equal(ids_take(&ids, &id, &gen), 0);
		assert_int_equal(id, i);
		assert_int_equal(gen, 1);
	}
	id = 77;
	assert_int_equal(ids_take(&ids, &id, &gen), -ENOSPC);
	assert_int_equal(id, 77);
	assert_int_equal(ids_available(&ids), 0);
	ids_done(&ids);
}

TEST(a_number_rests)
{
	uint32_t id, gen;
	struct ids ids;

	ids_init(&ids, 1, 3);
	ids_take(&ids, &id, &gen);
	ids_take(&ids, &id, &gen);
	ids_retire(&ids, 1);
	assert_int_equal(ids.n_resting, 1);
	assert_int_equal(ids_take(&ids, &id, &gen), -ENOSPC);
	ids_retire(&ids, 1); /* twice is once */
	assert_int_equal(ids.n_resting, 1);
	ids_rested(&ids, 1);
	ids_rested(&ids, 1);
	assert_int_equal(ids_take(&ids, &id, &gen), 0);
	assert_int_equal(id, 1);
	assert_int_equal(gen, 2);
	assert_int_equal(ids_take(&ids, &id, &gen), -ENOSPC);
	ids_rested(&ids, 2); /* in use: nothing happens */
	assert_int_equal(ids_state(&ids, 2), IDS_USED);
	ids_done(&ids);
}

TEST(what_the_kernel_holds_is_adopted)
{
	uint32_t id, gen;
	struct ids ids;

	ids_init(&ids, 1, 100);
	assert_int_equal(ids_adopt(&ids, 2, 7), 0);
	assert_int_equal(ids_adopt(&ids, 2, 7), -EEXIST);
	assert_int_equal(ids_adopt(&ids, 0, 1), -ERANGE);
	assert_int_equal(ids_adopt(&ids, 100, 1), -ERANGE);
	assert_int_equal(ids_note_gen(&ids, 1, 41), 0);
	assert_int_equal(ids_note_gen(&ids, 1, 40), 0); /* older: no matter */
	assert_int_equal(ids_take(&ids, &id, &gen), 0);
	assert_int_equal(id, 1);
	assert_int_equal(gen, 42);
	assert_int_equal(ids_take(&ids, &id, &gen), 0);
	assert_int_equal(id, 3); /* 2 is in use */
	ids_retire(&ids, 2);
	ids_rested(&ids, 2);
	assert_int_equal(ids_take(&ids, &id, &gen), 0);
	assert_int_equal(id, 2);
	assert_int_equal(gen, 8);
	ids_done(&ids);
}

TEST(a_free_number_may_be_adopted)
{
	uint32_t id, gen;
	struct ids ids;

	ids_init(&ids, 1, 4);
	assert_int_equal(ids_take(&ids, &id, &gen), 0);
	ids_retire(&ids, 1);
	ids_rested(&ids, 1);
	assert_int_equal(ids_adopt(&ids, 1, 5), 0); /* while it waits to be given out */
	assert_int_equal(ids_take(&ids, &id, &gen), 0);
	assert_int_equal(id, 2);
	ids_retire(&ids, 1);
	ids_rested(&ids, 1);
	assert_int_equal(ids_take(&ids, &id, &gen), 0);
	assert_int_equal(id, 1);
	assert_int_equal(gen, 6);
	assert_int_equal(ids_take(&ids, &id, &gen), 0);
	assert_int_equal(id, 3); /* and 1 only once */
	ids_done(&ids);
}

TEST(generations_skip_zero)
{
	uint32_t id, gen;
	struct ids ids;

	ids_init(&ids, 1, 2);
	assert_int_equal(ids_adopt(&ids, 1, UINT32_MAX), 0);
	ids_retire(&ids, 1);
	ids_rested(&ids, 1);
	assert_int_equal(ids_take(&ids, &id, &gen), 0);
	assert_int_equal(gen, 1);
	ids_done(&ids);
}

TEST(ids_against_a_model)
{
	enum { N = 200 };
	enum ids_state model[N] = { 0 };
	uint32_t gens[N] = { 0 }, seed = 5;
	struct ids ids;

	ids_init(&ids, 3, N);
	for (int step = 0; step < 50000; step++) {
		uint32_t id = next_random(&seed) % N, gen, used = 0, resting = 0;

		switch (next_random(&seed) % 5) {
		case 0:
		case 1:
			if (ids_take(&ids, &id, &gen) == 0) {
				assert_in_range(id, 3, N - 1);
				assert_int_equal(model[id], IDS_FREE);
				assert_int_not_equal(gen, gens[id]);
				model[id] = IDS_USED;
				gens[id] = gen;
			} else {
				for (uint32_t i = 3; i < N; i++)
					assert_int_not_equal(model[i], IDS_FREE);
			}
			break;
		case 2:
			ids_retire(&ids, id);
			if (model[id] == IDS_USED)
				model[id] = IDS_RESTING;
			break;
		case 3:
			ids_rested(&ids, id);
			if (model[id] == IDS_RESTING)
				model[id] = IDS_FREE;
			break;
		default:
			if (step < 100 && ids_adopt(&ids, id, 9) == 0) {
				assert_int_equal(model[id], IDS_FREE);
				model[id] = IDS_USED;
				gens[id] = 9;
			}
		}
		for (uint32_t i = 0; i < N; i++) {
			used += model[i] == IDS_USED;
			resting += model[i] == IDS_RESTING;
		}
		assert_int_equal(ids.n_used, used);
		assert_int_equal(ids.n_resting, resting);
		assert_int_equal(ids_available(&ids), N - 3 - used - resting);
	}
	ids_done(&ids);
}

/* ---- ranges ---------------------------------------------------------------------------------- */

TEST(ranges_first_fit_and_joined)
{
	uint32_t a, b, c, d;
	struct extents x;

	assert_int_equal(extents_init(&x, 10), 0);
	assert_int_equal(extents_take(&x, 3, &a), 0);
	assert_int_equal(extents_take(&x, 3, &b), 0);
	assert_int_equal(extents_take(&x, 3, &c), 0);
	assert_int_equal(a, 0);
	assert_int_equal(b, 3);
	assert_int_equal(c, 6);
	assert_int_equal(extents_take(&x, 2, &d), -ENOSPC);
	extents_retire(&x, a, 3);
	assert_int_equal(extents_take(&x, 3, &d), -ENOSPC); /* it rests */
	assert_int_equal(x.n_resting, 3);
	extents_rested(&x, a, 3);
	extents_retire(&x, c, 3);
	extents_rested(&x, c, 3);
	assert_int_equal(x.n_free, 2); /* 0-2; 6-9 joined with the end */
	extents_retire(&x, b, 3);
	extents_rested(&x, b, 3);
	assert_int_equal(x.n_free, 1);
	assert_int_equal(x.n_available, 10);
	assert_int_equal(extents_take(&x, 10, &d), 0);
	extents_done(&x);
}

TEST(ranges_adopted)
{
	uint32_t start;
	struct extents x;

	assert_int_equal(extents_init(&x, 10), 0);
	assert_int_equal(extents_adopt(&x, 4, 2), 0);
	assert_int_equal(extents_adopt(&x, 5, 1), -EEXIST);
	assert_int_equal(extents_adopt(&x, 3, 2), -EEXIST);
	assert_int_equal(extents_adopt(&x, 9, 2), -ERANGE);
	assert_int_equal(extents_adopt(&x, UINT32_MAX, 2), -ERANGE);
	assert_int_equal(extents_adopt(&x, 0, 1), 0);
	assert_int_equal(extents_adopt(&x, 9, 1), 0);
	assert_int_equal(extents_take(&x, 4, &start), -ENOSPC);
	assert_int_equal(extents_take(&x, 3, &start), 0);
	assert_int_equal(start, 1);
	assert_int_equal(x.n_available, 3);
	extents_done(&x);
}

TEST(ranges_against_a_model)
{
	enum { N = 300, RANGES = 40 };
	struct extent held[RANGES] = { 0 };
	bool resting[RANGES] = { false };
	char model[N] = { 0 };
	uint32_t seed = 9;
	struct extents x;

	assert_int_equal(extents_init(&x, N), 0);
	for (int step = 0; step < 30000; step++) {
		uint32_t i = next_random(&seed) % RANGES, len = 1 + next_random(&seed) % 20,
			 start = 0, available = 0;
		struct extent *h = &held[i];

		if (!h->len) {
			if (extents_take(&x, len, &start) < 0)
				continue;
			assert_true(start + len <= N);
			for (uint32_t k = start; k < start + len; k++) {
				assert_false(model[k]);
				model[k] = 1;
			}
			*h = (struct extent){ start, len };
			resting[i] = false;
		} else if (!resting[i]) {
			extents_retire(&x, h->start, h->len);
			resting[i] = true;
		} else {
			extents_rested(&x, h->start, h->len);
			memset(model + h->start, 0, h->len);
			h->len = 0;
		}
		for (int k = 0; k < N; k++)
			available += !model[k];
		assert_int_equal(x.n_available, available);
		for (size_t k = 0; k + 1 < x.n_free; k++)
			assert_true(x.free[k].start + x.free[k].len < x.free[k + 1].start);
	}
	extents_done(&x);
}

TEST(no_memory)
{
	uint32_t id, gen, taken[100], n_taken = 0;
	bool failed = true;
	struct extents x;
	struct ids ids;

	for (unsigned n = 1; failed; n++) {
		int rc;

		ids_init(&ids, 1, 1000);
		failmalloc_at(n);
		rc = ids_adopt(&ids, 500, 3);
		if (!rc)
			rc = ids_take(&ids, &id, &gen);
		failed = failmalloc_done();
		assert_int_equal(rc, failed ? -ENOMEM : 0);
		assert_int_equal(ids_take(&ids, &id, &gen), 0);
		ids_done(&ids);
	}
	/* giving back never needs memory */
	assert_int_equal(extents_init(&x, 1000), 0);
	for (int i = 0; i < 100; i++)
		assert_int_equal(extents_take(&x, 2, &taken[n_taken++]), 0);
	failmalloc_at(1);
	for (uint32_t i = 0; i < n_taken; i += 2) {
		extents_retire(&x, taken[i], 2);
		extents_rested(&x, taken[i], 2);
	}
	assert_false(failmalloc_done());
	assert_int_equal(x.n_free, 51);
	extents_done(&x);
}

RUN(cmocka_unit_test(first_to_last_and_no_further), cmocka_unit_test(a_number_rests),
    cmocka_unit_test(what_the_kernel_holds_is_adopted),
    cmocka_unit_test(a_free_number_may_be_adopted), cmocka_unit_test(generations_skip_zero),
    cmocka_unit_test(ids_against_a_model), cmocka_unit_test(ranges_first_fit_and_joined),
    cmocka_unit_test(ranges_adopted), cmocka_unit_test(ranges_against_a_model),
    cmocka_unit_test(no_memory))
