// SPDX-License-Identifier: GPL-2.0
/* The model of the data path: what it reads, families apart from here on. */
/* Must not know: what a row means for a packet. */
#include "core/explain_walk.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void walk_step(struct walk *w, const char *format, ...)
{
	va_list args;

	if (vec_reserve(&w->steps, 1) < 0) {
		w->rc = -ENOMEM;
		return;
	}
	va_start(args, format);
	vsnprintf(w->steps.data[w->steps.len++], EXPLAIN_STEP_LEN, format, args);
	va_end(args);
}

bool walk_get(struct walk *w, enum explain_map map, const void *key, void *ret_value)
{
	int rc = w->maps->get(w->maps->ctx, w->family, map, key, ret_value);

	if (rc < 0 && rc != -ENOENT && !w->rc)
		w->rc = rc;
	return rc == 0;
}

void walk_add_backend(struct walk *w, uint32_t id, const struct row_backend *row)
{
	if (vec_push(&w->backends, (struct explain_backend){ .id = id, .row = *row }) < 0)
		w->rc = -ENOMEM;
}

/* ---- rows of either family ------------------------------------------------------------------------------------------ */

union flow_key_bytes {
	struct sl4_flow_key v4;
	struct sl6_flow_key v6;
};

union flow_bytes {
	struct sl4_flow v4;
	struct sl6_flow v6;
};

struct address walk_address(int family, const void *bytes)
{
	struct address addr = { .family = (uint8_t)family };

	memcpy(addr.b, bytes, family == 4 ? 4 : 16);
	return addr;
}

#define ENCODE_FLOW_KEY(k, id)                                               \
	do {                                                                 \
		memcpy((k)->saddr, (id)->tuple.saddr.b, sizeof((k)->saddr)); \
		memcpy((k)->daddr, (id)->tuple.daddr.b, sizeof((k)->daddr)); \
		(k)->sport = (id)->tuple.sport;                              \
		(k)->dport = (id)->tuple.dport;                              \
		(k)->proto = (id)->tuple.proto;                              \
		(k)->kind = (id)->kind;                                      \
	} while (0)

static union flow_key_bytes encode_flow_key(int family, const struct flow_id *id)
{
	union flow_key_bytes key;

	memset(&key, 0, sizeof(key));
	if (family == 4)
		ENCODE_FLOW_KEY(&key.v4, id);
	else
		ENCODE_FLOW_KEY(&key.v6, id);
	return key;
}

uint32_t walk_flow_hash(int family, const struct flow_id *id, uint32_t seed)
{
	const union flow_key_bytes key = encode_flow_key(family, id);

	return family == 4 ? sl4_flow_hash(&key.v4, seed) : sl6_flow_hash(&key.v6, seed);
}

#define DECODE_FLOW(v, fam, prot)                                                                  \
	(struct flow)                                                                              \
	{                                                                                          \
		.to = { walk_address((fam), (v)->saddr), walk_address((fam), (v)->daddr),          \
			(v)->sport, (v)->dport, (prot) },                                          \
		.backend = (v)->backend, .backend_gen = (v)->backend_gen, .service = (v)->service, \
		.flags = (v)->flags, .state = (v)->state, .seen = (v)->seen,                       \
	}

bool walk_find_flow(struct walk *w, const struct flow_id *id, struct flow *ret_flow)
{
	const union flow_key_bytes key = encode_flow_key(w->family, id);
	union flow_bytes value;

	if (!walk_get(w, id->tuple.proto == IPPROTO_TCP ? EXPLAIN_FLOWS_TCP : EXPLAIN_FLOWS_UDP,
		      &key, &value))
		return false;
	*ret_flow = w->family == 4 ? DECODE_FLOW(&value.v4, 4, id->tuple.proto)
				   : DECODE_FLOW(&value.v6, 6, id->tuple.proto);
	return true;
}

bool walk_read_backend(struct walk *w, uint32_t id, struct row_backend *ret_backend)
{
	union {
		struct sl4_backend v4;
		struct sl6_backend v6;
	} value;

	if (!walk_get(w, EXPLAIN_BACKENDS, &id, &value))
		return false;
	row_decode_backend(w->family, &value, ret_backend);
	return true;
}

bool walk_filter_has(struct walk *w, const struct address *addr, bool backends)
{
	uint32_t bit = row_filter_bit(addr), word = (backends ? SL_FILTER_WORDS : 0) + bit / 64;
	uint64_t value;

	return walk_get(w, EXPLAIN_FILTER, &word, &value) && value >> (bit % 64) & 1;
}

void walk_service_name(struct walk *w, uint32_t service, char *text, size_t size)
{
	struct sl_name name;

	if (!service || !walk_get(w, EXPLAIN_NAMES, &service, &name))
		snprintf(text, size, "service id %u", service);
	else if (name.port_name[0])
		snprintf(text, size, "%s/%s:%s", name.namespace, name.name, name.port_name);
	else
		snprintf(text, size, "%s/%s:%u", name.namespace, name.name, name.port);
}

/* ---- services --------------------------------------------------------------------------------------------------------- */

enum record walk_find_service(struct walk *w, const struct row_service_key *key,
			      struct row_service *ret_service, uint32_t *ret_slot)
{
	uint8_t key_bytes[ROW_KEY_MAX] = { 0 };
	union {
		struct sl4_service v4;
		struct sl6_service v6;
	} value;
	struct sl_slot_ref ref;

	row_encode_key(w->family, key, key_bytes);
	if (!walk_get(w, EXPLAIN_SERVICES, key_bytes, &ref))
		return RECORD_NONE;
	if (!walk_get(w, EXPLAIN_RECORDS, &ref.slot, &value))
		return RECORD_TORN;
	row_decode_service(w->family, &value, ret_service);
	*ret_slot = ref.slot;
	if (ret_service->gen != ref.gen || address_cmp(&ret_service->key.vip, &key->vip) != 0 ||
	    ret_service->key.port != key->port || ret_service->key.proto != key->proto)
		return RECORD_TORN;
	return RECORD_FOUND;
}

/* Every cluster IP has an entry with port 0 and protocol 0. */
bool walk_is_cluster_ip(struct walk *w, const struct address *addr)
{
	const struct row_service_key key = { .vip = *addr };
	uint8_t key_bytes[ROW_KEY_MAX] = { 0 };
	struct sl_slot_ref ref;

	row_encode_key(w->family, &key, key_bytes);
	return walk_get(w, EXPLAIN_SERVICES, key_bytes, &ref);
}

static bool masked_equal(const uint8_t *addr, const uint8_t *net, const uint8_t *mask, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if ((addr[i] & mask[i]) != net[i])
			return false;
	return true;
}

/* A slot whose mask begins with 0 is off. */
bool walk_in_service_range(struct walk *w, const struct address *addr)
{
	const struct sl_config *c = &w->maps->config;

	for (size_t i = 0; i < SL_CIDRS; i++) {
		const uint8_t *net = w->family == 4 ? c->cidrs4[i].addr : c->cidrs6[i].addr;
		const uint8_t *mask = w->family == 4 ? c->cidrs4[i].mask : c->cidrs6[i].mask;

		if (mask[0] && masked_equal(addr->b, net, mask, w->family == 4 ? 4 : 16))
			return true;
	}
	return false;
}

struct address walk_node_address(const struct walk *w)
{
	return walk_address(w->family,
			    w->family == 4 ? w->maps->config.node4 : w->maps->config.node6);
}
