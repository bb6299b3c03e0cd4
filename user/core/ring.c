// SPDX-License-Identifier: GPL-2.0
/* Lists of backends as rings: plain, or Maglev tables. */
/* Must not know: where in the map a ring lies, and why a backend is in the list. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/ring.h"

static const uint32_t primes[] = { 1021, 4093, 16381, 65521 };
#define N_PRIMES (sizeof(primes) / sizeof(primes[0]))

uint32_t ring_maglev_len(size_t n_backends)
{
	if (!n_backends)
		return 0;
	for (size_t i = 0; i < N_PRIMES - 1; i++)
		if (n_backends * 100 <= primes[i])
			return primes[i];
	return primes[N_PRIMES - 1];
}

/* 64-bit finaliser of MurmurHash3: all input bits reach all output bits. */
static uint64_t mix(uint64_t x)
{
	x ^= x >> 33;
	x *= 0xff51afd7ed558ccdull;
	x ^= x >> 33;
	x *= 0xc4ceb9fe1a85ec53ull;
	return x ^ x >> 33;
}

/*
 * Hash of address and port, the same on every node whatever its byte order. Part of the contract
 * between nodes: another function would move flows while half the cluster is upgraded (tests/unit
 * pins its values).
 */
static uint64_t hash_backend(const struct ring_backend *b, uint64_t seed)
{
	uint64_t h = mix(seed ^ b->addr.family);

	for (int i = 0; i < 16; i += 8) {
		uint64_t word = 0;

		for (int k = 0; k < 8; k++)
			word = word << 8 | b->addr.b[i + k];
		h = mix(h ^ word);
	}
	return mix(h ^ b->port);
}

/* One backend's permutation of the table's positions: next, next + skip, next + 2 * skip … */
struct walk {
	uint32_t next;
	uint32_t skip;
	uint32_t id;
	const struct ring_backend *backend;
};

static int compare_walks(const void *a, const void *b)
{
	const struct ring_backend *x = ((const struct walk *)a)->backend,
				  *y = ((const struct walk *)b)->backend;
	int cmp = address_cmp(&x->addr, &y->addr);

	return cmp ? cmp : (x->port > y->port) - (x->port < y->port);
}

/* Turns are taken in order of address and port, so that ties are broken alike on every node. */
static void start_walks(const struct ring_backend *backends, size_t n, uint32_t len,
			struct walk *walks)
{
	for (size_t i = 0; i < n; i++)
		walks[i] = (struct walk){
			.next = (uint32_t)(hash_backend(&backends[i], 0) % len),
			.skip = (uint32_t)(hash_backend(&backends[i], 1) % (len - 1) + 1),
			.id = backends[i].id,
			.backend = &backends[i],
		};
	qsort(walks, n, sizeof(*walks), compare_walks);
}

int ring_maglev(const struct ring_backend *backends, size_t n, uint32_t *ret_ids)
{
	uint32_t len = ring_maglev_len(n), filled = 0;
	struct walk *walks;

	if (n > len)
		return -E2BIG;
	if (!n)
		return 0;
	walks = malloc(n * sizeof(*walks));
	if (!walks)
		return -ENOMEM;
	start_walks(backends, n, len, walks);
	memset(ret_ids, 0,
	       len * sizeof(*ret_ids)); /* id 0 is never used: it marks an empty position */
	for (size_t i = 0; filled < len; i = i + 1 < n ? i + 1 : 0) {
		struct walk *w = &walks[i];

		while (ret_ids[w->next])
			w->next = (w->next + w->skip) % len;
		ret_ids[w->next] = w->id;
		filled++;
	}
	free(walks);
	return 0;
}

void ring_lines(const uint32_t *ids, uint32_t len, struct sl_ring_line *ret_lines)
{
	uint32_t lines = (len + SL_RING_LINE_IDS - 1) / SL_RING_LINE_IDS;

	if (!lines)
		return;
	memset(&ret_lines[lines - 1], 0, sizeof(*ret_lines));
	memcpy(ret_lines, ids, len * sizeof(*ids));
}
