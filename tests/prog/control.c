/* SPDX-License-Identifier: GPL-2.0-only */
/* Writes the control maps as the agent would, from a few words: services, backends, rings, filter, configuration. */
/* Must not know the agent's planner: it would then agree with itself. */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/membarrier.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "core/ring.h"
#include "prog/harness_internal.h"

#define PORTS_MAX 256

/* What was published, and the numbers it got. */
struct published {
	bool live;
	struct end at;
	uint8_t proto;
	uint32_t service;
	struct {
		struct end at;
		uint32_t id;
		bool live;
	} backends[HARNESS_BACKENDS];
	uint32_t n_backends;
};

static struct published *published[PORTS_MAX];
static uint32_t n_published, next_slot, slots_used, next_line, next_backend, next_gen;
static uint32_t backend_gens[HARNESS_BACKENDS];
static uint64_t filters[2][2 * SL_FILTER_WORDS];
static struct sl_config config;

int map_of(const char *name)
{
	char full[32];

	snprintf(full, sizeof(full), "sl%d_%s", family, name);
	return harness_map(full);
}

int harness_lookup(const char *name, const void *key, void *ret_value)
{
	return bpf_map_lookup_elem(map_of(name), key, ret_value);
}

static void put(int fd, const void *key, const void *value)
{
	if (bpf_map_update_elem(fd, key, value, BPF_ANY) < 0)
		fail_msg("cannot write a map: %s", strerror(errno));
}

/* ---- filter --------------------------------------------------------------------------------------------------------- */

static void filter_set(struct end end, bool backend)
{
	const uint8_t *address = host_address(family, end.host);
	__u32 words[4] = { 0 }, bit, word;
	uint64_t *filter = filters[family == 6];

	memcpy(words, address, address_len(family));
	bit = sl_filter_bit(family == 4 ? words[0]
					: sl_fold6(words[0], words[1], words[2], words[3]));
	word = bit / 64 + (backend ? SL_FILTER_WORDS : 0);
	filter[word] |= 1ull << (bit % 64);
	put(map_of("filter"), &word, &filter[word]);
}

void filter_like_a_vip(enum host host)
{
	filter_set(AT(host, 0), false);
}

static void filter_clear(void)
{
	uint64_t *filter = filters[family == 6];

	for (__u32 word = 0; word < 2 * SL_FILTER_WORDS; word++) {
		if (!filter[word])
			continue;
		filter[word] = 0;
		put(map_of("filter"), &word, &filter[word]);
	}
}

/* ---- backends ------------------------------------------------------------------------------------------------------- */

static void backend_write(uint32_t id, struct end at, uint16_t flags, uint32_t service)
{
	if (family == 4) {
		struct sl4_backend b = {
			.port = at.port, .flags = flags, .gen = backend_gens[id], .service = service
		};

		memcpy(b.addr, host_address(4, at.host), 4);
		put(map_of("backends"), &id, &b);
	} else {
		struct sl6_backend b = {
			.port = at.port, .flags = flags, .gen = backend_gens[id], .service = service
		};

		memcpy(b.addr, host_address(6, at.host), 16);
		put(map_of("backends"), &id, &b);
	}
}

static bool same_end(struct end a, struct end b)
{
	return a.host == b.host && a.port == b.port;
}

static uint32_t backend_number(struct published *p, struct end at)
{
	for (uint32_t i = 0; i < p->n_backends; i++)
		if (same_end(p->backends[i].at, at)) {
			p->backends[i].live = true;
			return p->backends[i].id;
		}
	assert(next_backend < HARNESS_BACKENDS);
	backend_gens[next_backend] = ++next_gen;
	p->backends[p->n_backends].at = at;
	p->backends[p->n_backends].live = true;
	p->backends[p->n_backends].id = next_backend;
	filter_set(at, true);
	return p->backends[p->n_backends++].id = next_backend++;
}

static uint16_t flags_of(const struct backend_spec *spec)
{
	return spec->flags ? spec->flags : SL_BACKEND_IN_CLUSTER | SL_BACKEND_SERVING;
}

/* Returns when every program that was running has ended: on all kernels this command is a synchronize_rcu(). */
static void barrier_rcu(void)
{
	assert_int_equal(syscall(__NR_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0), 0);
}

/* ---- rings ---------------------------------------------------------------------------------------------------------- */

struct list {
	uint32_t line, len, backends;
};

static struct list list_write(const struct service_spec *spec, struct published *p, uint16_t member)
{
	struct ring_backend backends[SERVICE_BACKENDS];
	uint32_t ids[70000], len = 0;
	struct sl_ring_line lines[70000 / SL_RING_LINE_IDS + 1];
	struct list list = { 0 };

	for (int i = 0; i < SERVICE_BACKENDS && spec->backends[i].at.host; i++) {
		const struct backend_spec *b = &spec->backends[i];

		if (!(flags_of(b) & member))
			continue;
		memset(&backends[list.backends], 0, sizeof(backends[0]));
		backends[list.backends].addr.family = (uint8_t)family;
		memcpy(backends[list.backends].addr.b, host_address(family, b->at.host),
		       address_len(family));
		backends[list.backends].port = b->at.port;
		backends[list.backends].id = ids[len++] = backend_number(p, b->at);
		list.backends++;
	}
	if (spec->algorithm == SL_ALGORITHM_MAGLEV) {
		len = ring_maglev_len(list.backends);
		assert_int_equal(ring_maglev(backends, list.backends, ids), 0);
	}
	list.len = len;
	ring_lines(ids, len, lines);
	if (next_line + len / SL_RING_LINE_IDS + 1 > HARNESS_LINES) {
		barrier_rcu();
		next_line = 0;
	}
	list.line = next_line;
	for (uint32_t i = 0; i * SL_RING_LINE_IDS < len; i++, next_line++)
		put(map_of("rings"), &next_line, &lines[i]);
	return list;
}

/* ---- services ------------------------------------------------------------------------------------------------------- */

static void service_key(struct end at, uint8_t proto, void *ret_key)
{
	if (family == 4) {
		struct sl4_service_key *key = ret_key;

		memset(key, 0, sizeof(*key));
		memcpy(key->vip, host_address(4, at.host), 4);
		key->port = at.port;
		key->proto = proto;
	} else {
		struct sl6_service_key *key = ret_key;

		memset(key, 0, sizeof(*key));
		memcpy(key->vip, host_address(6, at.host), 16);
		key->port = at.port;
		key->proto = proto;
	}
}

/*
 * Slots and lines in turn; before the first is used again, every program that may still read it has ended. They are
 * many enough that those in force are never met again: tests that publish that often replace the same few services.
 */
static uint32_t take_slot(void)
{
	if (next_slot == HARNESS_RECORDS) {
		barrier_rcu();
		next_slot = 0;
	}
	if (next_slot >= slots_used)
		slots_used = next_slot + 1;
	return next_slot++;
}

/* The fields both families have, into a record in a new slot, which is then put into force. */
#define FILL(record)                                                                             \
	do {                                                                                     \
		memcpy((record)->vip, host_address(family, spec->at.host), address_len(family)); \
		(record)->port = spec->at.port;                                                  \
		(record)->proto = spec->proto;                                                   \
		(record)->kind = spec->kind;                                                     \
		(record)->gen = ref.gen;                                                         \
		(record)->service = id;                                                          \
		(record)->cluster_line = cluster.line;                                           \
		(record)->cluster_len = cluster.len;                                             \
		(record)->cluster_backends = cluster.backends;                                   \
		(record)->local_line = local.line;                                               \
		(record)->local_len = local.len;                                                 \
		(record)->local_backends = local.backends;                                       \
		(record)->affinity_s = spec->affinity_s;                                         \
		(record)->flags = spec->flags;                                                   \
		(record)->algorithm = spec->algorithm;                                           \
	} while (0)

static void record_publish(const struct service_spec *spec, uint32_t id, struct list cluster,
			   struct list local)
{
	struct sl_slot_ref ref = { .slot = take_slot(), .gen = ++next_gen };
	uint8_t key[sizeof(struct sl6_service_key)];
	struct sl4_service record4 = { 0 };
	struct sl6_service record6 = { 0 };

	if (family == 4)
		FILL(&record4);
	else
		FILL(&record6);
	put(map_of("records"), &ref.slot, family == 4 ? (void *)&record4 : (void *)&record6);
	service_key(spec->at, spec->proto, key);
	put(map_of("services"), key, &ref);
}

static struct published *find_service(struct end at, uint8_t proto)
{
	for (uint32_t i = 0; i < n_published; i++)
		if (same_end(published[i]->at, at) && published[i]->proto == proto)
			return published[i];
	return NULL;
}

static struct published *have_service(struct end at, uint8_t proto)
{
	struct published *p = find_service(at, proto);

	if (p)
		return p;
	assert(n_published < PORTS_MAX);
	p = calloc(1, sizeof(*p));
	p->at = at;
	p->proto = proto;
	p->service = n_published + 1;
	return published[n_published++] = p;
}

static void address_publish(enum host vip)
{
	struct service_spec spec = { .at = { vip, 0 }, .kind = SL_KIND_ADDRESS };
	uint8_t key[sizeof(struct sl6_service_key)];
	struct sl_slot_ref ref;

	service_key(spec.at, 0, key);
	if (bpf_map_lookup_elem(map_of("services"), key, &ref) < 0)
		record_publish(&spec, 0, (struct list){ 0 }, (struct list){ 0 });
}

void service_cross(struct end at, struct end other, uint8_t proto)
{
	uint8_t key[sizeof(struct sl6_service_key)];
	struct sl_slot_ref ref;

	service_key(other, proto, key);
	assert_int_equal(bpf_map_lookup_elem(map_of("services"), key, &ref), 0);
	ref.gen -= same_end(at, other);
	service_key(at, proto, key);
	put(map_of("services"), key, &ref);
}

void address_delete(enum host vip)
{
	uint8_t key[sizeof(struct sl6_service_key)];

	service_key(AT(vip, 0), 0, key);
	assert_int_equal(bpf_map_delete_elem(map_of("services"), key), 0);
}

void service_publish(const struct service_spec *given)
{
	struct service_spec wanted = *given, *spec = &wanted;
	struct published *p = have_service(spec->at, spec->proto);
	struct list cluster, local;

	if (!spec->kind)
		spec->kind = SL_KIND_CLUSTER_IP;
	for (uint32_t i = 0; i < p->n_backends; i++)
		p->backends[i].live = false;
	for (int i = 0; i < SERVICE_BACKENDS && spec->backends[i].at.host; i++)
		backend_write(backend_number(p, spec->backends[i].at), spec->backends[i].at,
			      flags_of(&spec->backends[i]), p->service);
	cluster = list_write(spec, p, SL_BACKEND_IN_CLUSTER);
	local = list_write(spec, p, SL_BACKEND_IN_LOCAL);
	filter_set(spec->at, false);
	if (spec->kind == SL_KIND_CLUSTER_IP)
		address_publish(spec->at.host);
	record_publish(spec, p->service, cluster, local);
	p->live = true;
	for (uint32_t i = 0; i < p->n_backends; i++)
		if (!p->backends[i].live)
			backend_write(p->backends[i].id, p->backends[i].at, 0, p->service);
}

void service_delete(struct end at, uint8_t proto)
{
	uint8_t key[sizeof(struct sl6_service_key)];
	struct published *p = find_service(at, proto);

	assert(p);
	service_key(at, proto, key);
	assert_int_equal(bpf_map_delete_elem(map_of("services"), key), 0);
	p->live = false;
	for (uint32_t i = 0; i < p->n_backends; i++)
		backend_write(p->backends[i].id, p->backends[i].at, 0, p->service);
}

uint32_t service_id(struct end at, uint8_t proto)
{
	const struct published *p = find_service(at, proto);

	return p ? p->service : 0;
}

uint32_t backend_id(struct end vip, uint8_t proto, struct end backend)
{
	const struct published *p = find_service(vip, proto);

	for (uint32_t i = 0; p && i < p->n_backends; i++)
		if (same_end(p->backends[i].at, backend))
			return p->backends[i].id;
	return 0;
}

void backend_recycle(uint32_t id, struct end new_owner, uint32_t new_service)
{
	backend_gens[id] = ++next_gen;
	filter_set(new_owner, true);
	backend_write(id, new_owner, SL_BACKEND_IN_CLUSTER | SL_BACKEND_SERVING, new_service);
}

/* ---- configuration -------------------------------------------------------------------------------------------------- */

struct sl_config *config_edit(void)
{
	return &config;
}

void config_publish(void)
{
	__u32 zero = 0;

	put(harness_map("sl_config"), &zero, &config);
}

static void config_default(void)
{
	memset(&config, 0, sizeof(config));
	config.snat_low = 61000;
	config.snat_high = 62999;
	memcpy(config.node4, host_address(4, NODE), 4);
	memcpy(config.node6, host_address(6, NODE), 16);
	memcpy(config.cidrs4[0].addr, (uint8_t[]){ 10, 96, 0, 0 }, 4);
	memcpy(config.cidrs4[0].mask, (uint8_t[]){ 255, 255, 0, 0 }, 4);
	memcpy(config.cidrs6[0].addr, host_address(6, VIP), 14); /* fd00:96::/112 */
	memset(config.cidrs6[0].mask, 0xff, 14);
	config_publish();
}

static void empty(int fd)
{
	uint8_t key[64];

	while (!bpf_map_get_next_key(fd, NULL, key))
		assert_int_equal(bpf_map_delete_elem(fd, key), 0);
}

static void zero_elements(const char *name, uint32_t n, size_t size)
{
	int cpus = libbpf_num_possible_cpus();
	void *zeros = calloc((size_t)cpus, size);

	for (uint32_t i = 0; i < n; i++)
		put(map_of(name), &i, zeros);
	free(zeros);
}

void control_reset(void)
{
	static const uint32_t first_backend = 1;
	int was = family;

	for (family = 4; family <= 6; family += 2) {
		empty(map_of("services"));
		empty(map_of("affinity"));
		empty(map_of("frags"));
		zero_elements("records", slots_used, sizeof(struct sl6_service));
		zero_elements("backends", next_backend, sizeof(struct sl6_backend));
		zero_elements("be_stats", next_backend, sizeof(struct sl_backend_stats));
		zero_elements("svc_stats", n_published + 1, sizeof(struct sl_service_stats));
		filter_clear();
	}
	family = was;
	for (uint32_t i = 0; i < n_published; i++)
		free(published[i]);
	n_published = next_slot = slots_used = next_line = 0;
	next_backend = first_backend;
	config_default();
}
