/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A list of backends as ring lines. The data path takes element (hash * len) >> 32 of the ring, so
 * any length works. Pure.
 *
 * Plain ring: each backend once; the hash is random, so is the choice.
 * Maglev ring: a lookup table after Eisenbud et al., "Maglev: A Fast and Reliable Software Network
 * Load Balancer" (NSDI 2016).
 * Permutations come from address and port alone, so every node builds the same table whatever its
 * ids are, and a backend that
 * comes or goes moves few of the others' elements.
 */
#ifndef CORE_RING_H
#define CORE_RING_H

#include <stddef.h>
#include <stdint.h>

#include "core/address.h"
#include "sluice_abi.h"

struct ring_backend {
	struct address addr;
	uint16_t port;
	uint32_t id;
};

/*
 * Length of the Maglev table for so many backends: a prime, at least 100 times as many up to 65521.
 * 0 for no backend.
 */
uint32_t ring_maglev_len(size_t n_backends);

/*
 * The elements of the Maglev table, ring_maglev_len(n) of them, into ret_ids. Order of the backends
 * does not matter. 0, -ENOMEM, or -E2BIG for more backends than the largest table has elements.
 */
int ring_maglev(const struct ring_backend *backends, size_t n, uint32_t *ret_ids);

/*
 * Ids as lines, the end of the last filled with zeros. ret_lines holds row_ring_lines(len) lines.
 */
void ring_lines(const uint32_t *ids, uint32_t len, struct sl_ring_line *ret_lines);

#endif
