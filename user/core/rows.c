// SPDX-License-Identifier: GPL-2.0
/* The control maps as tables of rows, and rows of both families as one form. */
/* Must not know: what is in a row and why; only its layout. */
#include <string.h>

#include "core/rows.h"

const struct row_table_info row_tables[ROW_TABLE_COUNT] = {
#define ROW_TABLE_INFO(id, map_name, key, value, is_array) \
	[id] = { #map_name, sizeof(key), sizeof(value), is_array },
	ROW_TABLES(ROW_TABLE_INFO)
#undef ROW_TABLE_INFO
};

_Static_assert(sizeof(struct sl6_service_key) == ROW_KEY_MAX, "ROW_KEY_MAX");
_Static_assert(sizeof(struct sl_config) >= sizeof(struct sl_name), "ROW_VALUE_MAX");

static struct address address_of(int family, const void *bytes)
{
	struct address a = { .family = (uint8_t)family };

	memcpy(a.b, bytes, family == 4 ? 4 : 16);
	return a;
}

/* The same assignments for the structs of either family: r is the one form, w the bytes. */
#define ENCODE_KEY(w, r)                                        \
	do {                                                    \
		memset((w), 0, sizeof(*(w)));                   \
		memcpy((w)->vip, (r)->vip.b, sizeof((w)->vip)); \
		(w)->port = (r)->port;                          \
		(w)->proto = (r)->proto;                        \
	} while (0)

#define ENCODE_SERVICE(w, r)                                        \
	do {                                                        \
		memset((w), 0, sizeof(*(w)));                       \
		memcpy((w)->vip, (r)->key.vip.b, sizeof((w)->vip)); \
		(w)->port = (r)->key.port;                          \
		(w)->proto = (r)->key.proto;                        \
		(w)->kind = (r)->kind;                              \
		(w)->gen = (r)->gen;                                \
		(w)->service = (r)->service;                        \
		(w)->cluster_line = (r)->cluster_line;              \
		(w)->cluster_len = (r)->cluster_len;                \
		(w)->local_line = (r)->local_line;                  \
		(w)->local_len = (r)->local_len;                    \
		(w)->cluster_backends = (r)->cluster_backends;      \
		(w)->local_backends = (r)->local_backends;          \
		(w)->affinity_s = (r)->affinity_s;                  \
		(w)->flags = (r)->flags;                            \
		(w)->algorithm = (r)->algorithm;                    \
	} while (0)

#define DECODE_SERVICE(w, fam)                                                                    \
	(struct row_service)                                                                      \
	{                                                                                         \
		.key = { address_of((fam), (w)->vip), (w)->port, (w)->proto }, .kind = (w)->kind, \
		.gen = (w)->gen, .service = (w)->service, .cluster_line = (w)->cluster_line,      \
		.cluster_len = (w)->cluster_len, .cluster_backends = (w)->cluster_backends,       \
		.local_line = (w)->local_line, .local_len = (w)->local_len,                       \
		.local_backends = (w)->local_backends, .affinity_s = (w)->affinity_s,             \
		.flags = (w)->flags, .algorithm = (w)->algorithm,                                 \
	}

#define ENCODE_BACKEND(w, r)                                       \
	do {                                                       \
		memset((w), 0, sizeof(*(w)));                      \
		memcpy((w)->addr, (r)->addr.b, sizeof((w)->addr)); \
		(w)->port = (r)->port;                             \
		(w)->flags = (r)->flags;                           \
		(w)->gen = (r)->gen;                               \
		(w)->service = (r)->service;                       \
	} while (0)

#define DECODE_BACKEND(w, fam)                                                                \
	(struct row_backend)                                                                  \
	{                                                                                     \
		.addr = address_of((fam), (w)->addr), .port = (w)->port, .flags = (w)->flags, \
		.gen = (w)->gen, .service = (w)->service,                                     \
	}

void row_encode_key(int family, const struct row_service_key *key, void *ret_bytes)
{
	struct sl4_service_key k4;
	struct sl6_service_key k6;

	if (family == 4) {
		ENCODE_KEY(&k4, key);
		memcpy(ret_bytes, &k4, sizeof(k4));
	} else {
		ENCODE_KEY(&k6, key);
		memcpy(ret_bytes, &k6, sizeof(k6));
	}
}

void row_decode_key(int family, const void *bytes, struct row_service_key *ret_key)
{
	struct sl4_service_key k4;
	struct sl6_service_key k6;

	if (family == 4) {
		memcpy(&k4, bytes, sizeof(k4));
		*ret_key = (struct row_service_key){ address_of(4, k4.vip), k4.port, k4.proto };
	} else {
		memcpy(&k6, bytes, sizeof(k6));
		*ret_key = (struct row_service_key){ address_of(6, k6.vip), k6.port, k6.proto };
	}
}

void row_encode_service(int family, const struct row_service *s, void *ret_bytes)
{
	struct sl4_service s4;
	struct sl6_service s6;

	if (family == 4) {
		ENCODE_SERVICE(&s4, s);
		memcpy(ret_bytes, &s4, sizeof(s4));
	} else {
		ENCODE_SERVICE(&s6, s);
		memcpy(ret_bytes, &s6, sizeof(s6));
	}
}

void row_decode_service(int family, const void *bytes, struct row_service *ret_service)
{
	struct sl4_service s4;
	struct sl6_service s6;

	if (family == 4) {
		memcpy(&s4, bytes, sizeof(s4));
		*ret_service = DECODE_SERVICE(&s4, 4);
	} else {
		memcpy(&s6, bytes, sizeof(s6));
		*ret_service = DECODE_SERVICE(&s6, 6);
	}
}

void row_encode_backend(int family, const struct row_backend *b, void *ret_bytes)
{
	struct sl4_backend b4;
	struct sl6_backend b6;

	if (family == 4) {
		ENCODE_BACKEND(&b4, b);
		memcpy(ret_bytes, &b4, sizeof(b4));
	} else {
		ENCODE_BACKEND(&b6, b);
		memcpy(ret_bytes, &b6, sizeof(b6));
	}
}

void row_decode_backend(int family, const void *bytes, struct row_backend *ret_backend)
{
	struct sl4_backend b4;
	struct sl6_backend b6;

	if (family == 4) {
		memcpy(&b4, bytes, sizeof(b4));
		*ret_backend = DECODE_BACKEND(&b4, 4);
	} else {
		memcpy(&b6, bytes, sizeof(b6));
		*ret_backend = DECODE_BACKEND(&b6, 6);
	}
}

static uint32_t word_at(const uint8_t *b)
{
	return (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

uint32_t row_filter_bit(const struct address *addr)
{
	const uint8_t *b = addr->b;

	if (addr->family == 4)
		return sl_filter_bit(word_at(b));
	return sl_filter_bit(sl_fold6(word_at(b), word_at(b + 4), word_at(b + 8), word_at(b + 12)));
}
