/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The control maps as tables of rows: which there are, how large key and value are, and in which
 * order they are written. Everything that reads or writes rows (plan, diff, view, the maps of the
 * kernel) meets here. Pure.
 *
 * A row is the bytes of the ABI (sluice_abi.h). In tables that are arrays a row of zeros is the
 * same as no row, so taking a row away means writing zeros there, and deleting the key in tables
 * that are hashes.
 */
#ifndef CORE_ROWS_H
#define CORE_ROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/address.h"
#include "sluice_abi.h"

/* In the order in which they are written; taken away in reverse. */
/* clang-format off */
#define ROW_TABLES(X)                                                                      \
	/* id              map            key                     value               array */ \
	X(ROW_CONFIG,    sl_config,     __u32,                  struct sl_config,    true)  \
	X(ROW4_NAMES,    sl4_names,     __u32,                  struct sl_name,      false) \
	X(ROW6_NAMES,    sl6_names,     __u32,                  struct sl_name,      false) \
	X(ROW4_FILTER,   sl4_filter,    __u32,                  __u64,               true)  \
	X(ROW6_FILTER,   sl6_filter,    __u32,                  __u64,               true)  \
	X(ROW4_BACKENDS, sl4_backends,  __u32,                  struct sl4_backend,  true)  \
	X(ROW6_BACKENDS, sl6_backends,  __u32,                  struct sl6_backend,  true)  \
	X(ROW4_RINGS,    sl4_rings,     __u32,                  struct sl_ring_line, true)  \
	X(ROW6_RINGS,    sl6_rings,     __u32,                  struct sl_ring_line, true)  \
	X(ROW4_RECORDS,  sl4_records,   __u32,                  struct sl4_service,  true)  \
	X(ROW6_RECORDS,  sl6_records,   __u32,                  struct sl6_service,  true)  \
	X(ROW4_SERVICES, sl4_services,  struct sl4_service_key, struct sl_slot_ref,  false) \
	X(ROW6_SERVICES, sl6_services,  struct sl6_service_key, struct sl_slot_ref,  false)
/* clang-format on */

enum row_table {
#define ROW_TABLE_ENUM(id, map, key, value, array) id,
	ROW_TABLES(ROW_TABLE_ENUM)
#undef ROW_TABLE_ENUM
		ROW_TABLE_COUNT,
};

#define ROW_KEY_MAX   24                       /* sizeof(struct sl6_service_key) */
#define ROW_VALUE_MAX sizeof(struct sl_config) /* the largest value */

struct row_table_info {
	const char *map; /* name of the BPF map */
	uint8_t key_len;
	uint16_t value_len;
	bool array; /* key is an index (__u32), rows of zeros do not count */
};

extern const struct row_table_info row_tables[ROW_TABLE_COUNT];

/*
 * The table of that kind for a family (4 or 6), e.g. row_table_of(ROW4_NAMES, 6) is ROW6_NAMES. Not
 * for ROW_CONFIG.
 */
static inline enum row_table row_table_of(enum row_table table4, int family)
{
	return family == 6 ? (enum row_table)(table4 + 1) : table4;
}

/*
 * Something that has rows: the maps of the kernel, or what the diff holds of them. Filled in by whoever has them.
 * each: calls fn once for each row (rows of zeros of arrays may be left out); stops and returns fn's value when that is not 0.
 * get:  copies one row's value; -ENOENT if there is none. May be slow, may be NULL (then each is used).
 */
struct row_reader {
	void *ctx;
	int (*each)(void *ctx, enum row_table table,
		    int (*fn)(void *fn_ctx, const void *key, const void *value), void *fn_ctx);
	int (*get)(void *ctx, enum row_table table, const void *key, void *ret_value);
};

/* ---- rows of both families in one form ------------------------------------------------------- */

struct row_service_key {
	struct address vip;
	uint16_t port;
	uint8_t proto;
};

struct row_service {
	struct row_service_key key;
	enum sl_kind kind;
	uint32_t gen;
	uint32_t service;
	uint32_t cluster_line, cluster_len, cluster_backends;
	uint32_t local_line, local_len, local_backends;
	uint32_t affinity_s;
	uint16_t flags; /* SL_SERVICE_ */
	enum sl_algorithm algorithm;
};

struct row_backend {
	struct address addr;
	uint16_t port;
	uint16_t flags; /* SL_BACKEND_ */
	uint32_t gen;
	uint32_t service;
};

/*
 * Bytes of the ABI and back. `family` is 4 or 6; buffers are at least as large as the table's key
 * or value.
 */
void row_encode_key(int family, const struct row_service_key *key, void *ret_bytes);
void row_decode_key(int family, const void *bytes, struct row_service_key *ret_key);
void row_encode_service(int family, const struct row_service *s, void *ret_bytes);
void row_decode_service(int family, const void *bytes, struct row_service *ret_service);
void row_encode_backend(int family, const struct row_backend *b, void *ret_bytes);
void row_decode_backend(int family, const void *bytes, struct row_backend *ret_backend);

/*
 * Which bit of the address filter (0 … 2^SL_FILTER_BITS - 1) stands for an address; see
 * sluice_abi.h.
 */
uint32_t row_filter_bit(const struct address *addr);

/* How many ring lines hold so many ids. */
static inline uint32_t row_ring_lines(uint32_t len)
{
	return (len + SL_RING_LINE_IDS - 1) / SL_RING_LINE_IDS;
}

#endif
