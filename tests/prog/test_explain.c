// SPDX-License-Identifier: GPL-2.0-only
/*
 * The model (core/explain.c) and the programs, held to each other: random contents of the maps, a random packet, and both
 * have to say the same: verdict, reason, backend, and what becomes of the packet. Neither was derived from the other.
 *
 * EXPLAIN_PAIRS: pairs in all (100000); EXPLAIN_SEED: another sequence; EXPLAIN_ONLY: one pair of it, with what is in the maps.
 */
/* link: nothing but the libraries */
#include "core/explain.h" /* before the harness, whose `family` would be shadowed */
#include "core/format.h"
#include "prog/harness_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/pkt_cls.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>

#define PAIRS_DEFAULT 100000
#define PER_CONTROL   25 /* pairs before services, rings and backends are drawn again */
#define NS_PER_S      UINT64_C(1000000000)
#define NS_PER_MS     UINT64_C(1000000)
#define ARRAY_LEN(a)  (sizeof(a) / sizeof((a)[0]))

#define BACKENDS 24 /* ids from 1 */
#define SERVICES 6  /* service ids from 1 */
#define RECORDS  14 /* slots from 1; several addresses may be of one service */
#define SNAT_LOW 61000

/* ---- chance --------------------------------------------------------------------------------------------------------- */

static uint64_t chance_state;

static uint32_t chance(uint32_t n) /* 0 … n-1 */
{
	chance_state ^= chance_state << 13;
	chance_state ^= chance_state >> 7;
	chance_state ^= chance_state << 17;
	return (uint32_t)((chance_state >> 32) * n >> 32);
}

static bool percent(uint32_t p)
{
	return chance(100) < p;
}

#define PICK(array) ((array)[chance(ARRAY_LEN(array))])

static const enum host clients[] = { CLIENT, CLIENT2, BACKEND1, BACKEND2, OUTSIDE, STRANGER };
static const enum host vips[] = { VIP, VIP, VIP2, VIP3 };
static const enum host backends[] = { BACKEND1, BACKEND2, BACKEND3, BACKEND4, CLIENT };
static const enum host anybody[] = { CLIENT,   OUTSIDE,  VIP,      VIP2, VIP3,     UNALLOCATED,
				     BACKEND1, BACKEND2, BACKEND3, NODE, STRANGER, STRANGER2 };
static const uint16_t client_ports[] = { 40000, 40000, 40001, 53 };
static const uint16_t service_ports[] = { 80, 80, 53, 443 };
static const uint16_t backend_ports[] = { 8080, 8080, 9090, 80 };
static const uint8_t protos[] = { IPPROTO_TCP, IPPROTO_TCP, IPPROTO_TCP,
				  IPPROTO_UDP, IPPROTO_UDP, IPPROTO_SCTP };

static struct end draw_client(void)
{
	return AT(PICK(clients), PICK(client_ports));
}

static struct end draw_service(void)
{
	return AT(PICK(vips), PICK(service_ports));
}

static struct end draw_backend(void)
{
	return AT(PICK(backends), PICK(backend_ports));
}

static struct end draw_anybody(void)
{
	return AT(PICK(anybody), percent(50) ? PICK(service_ports) : PICK(client_ports));
}

static struct address address_of_host(enum host host)
{
	struct address a = { .family = (uint8_t)family };

	memcpy(a.b, host_address(family, host), address_len(family));
	return a;
}

/* ---- control maps ---------------------------------------------------------------------------------------------------- */

static struct sl_config config;
static struct row_backend backend_rows[BACKENDS + 1];
static uint32_t control_gen;
static struct {
	struct end at;
	uint8_t proto;
	uint32_t service;
} published[RECORDS + 1];

static void put(const char *map, const void *key, const void *value)
{
	if (bpf_map_update_elem(map_of(map), key, value, BPF_ANY) < 0)
		fail_msg("cannot write %s: %s", map, strerror(errno));
}

static void draw_config(void)
{
	const uint32_t zero = 0;

	memset(&config, 0, sizeof(config));
	config.snat_low = SNAT_LOW;
	config.snat_high = percent(70) ? SNAT_LOW + 999 : SNAT_LOW;
	if (percent(85)) {
		memcpy(config.node4, host_address(4, NODE), 4);
		memcpy(config.node6, host_address(6, NODE), 16);
	}
	if (percent(70)) {
		memcpy(config.cidrs4[0].addr, (uint8_t[]){ 10, 96, 0, 0 }, 4);
		memcpy(config.cidrs4[0].mask, (uint8_t[]){ 255, 255, 128, 0 }, 4);
		memcpy(config.cidrs6[0].addr, (uint8_t[]){ 0xfd, 0, 0, 0x96 }, 4);
		memset(config.cidrs6[0].mask, 0xff, 8);
	}
	if (percent(20)) {
		memcpy(config.cidrs4[1].addr, (uint8_t[]){ 10, 8, 0, 0 }, 4);
		memcpy(config.cidrs4[1].mask, (uint8_t[]){ 255, 255, 0, 0 }, 4);
		memcpy(config.cidrs6[1].addr, host_address(6, STRANGER2), 6);
		memset(config.cidrs6[1].mask, 0xff, 6);
	}
	if (bpf_map_update_elem(harness_map("sl_config"), &zero, &config, BPF_ANY) < 0)
		fail_msg("cannot write sl_config");
}

/* Some service address may have no bit (a bug of the agent), some stranger may share one. */
static void draw_filter(void)
{
	uint64_t words[HOST_COUNT * 2] = { 0 };
	uint32_t keys[HOST_COUNT * 2];

	for (enum host h = 0; h < HOST_COUNT; h++) {
		const struct address a = address_of_host(h);
		uint32_t bit = row_filter_bit(&a);

		keys[2 * h] = bit / 64;
		keys[2 * h + 1] = SL_FILTER_WORDS + bit / 64;
		if (percent(h == VIP || h == VIP2 || h == VIP3  ? 95
			    : h == UNALLOCATED || h == STRANGER ? 40
								: 5))
			words[2 * h] |= UINT64_C(1) << (bit % 64);
		if (percent(h >= BACKEND1 && h <= BACKEND4 ? 95 : h == CLIENT ? 80 : 15))
			words[2 * h + 1] |= UINT64_C(1) << (bit % 64);
	}
	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		put("filter", &keys[i], &words[i]);
}

static void draw_backends(void)
{
	static const uint16_t flags[] = {
		SL_BACKEND_IN_CLUSTER | SL_BACKEND_SERVING,
		SL_BACKEND_IN_CLUSTER | SL_BACKEND_SERVING,
		SL_BACKEND_IN_CLUSTER | SL_BACKEND_IN_LOCAL | SL_BACKEND_SERVING | SL_BACKEND_LOCAL,
		SL_BACKEND_IN_CLUSTER | SL_BACKEND_IN_LOCAL | SL_BACKEND_SERVING | SL_BACKEND_LOCAL,
		SL_BACKEND_SERVING | SL_BACKEND_TERMINATING,
		SL_BACKEND_IN_LOCAL | SL_BACKEND_SERVING | SL_BACKEND_LOCAL,
		SL_BACKEND_LOCAL,
		0,
	};

	for (uint32_t id = 1; id <= BACKENDS; id++) {
		struct end at = draw_backend();
		uint8_t value[sizeof(struct sl6_backend)];

		backend_rows[id] = (struct row_backend){
			.addr = address_of_host(at.host),
			.port = at.port,
			.flags = PICK(flags),
			.gen = 1 + chance(3),
			.service = 1 + chance(SERVICES),
		};
		row_encode_backend(family, &backend_rows[id], value);
		put("backends", &id, value);
	}
}

/* A list of ids that may be in it; now and then one that may not. */
static uint32_t draw_ring(uint32_t line, uint32_t service, uint16_t list)
{
	struct sl_ring_line lines[2] = { 0 };
	uint32_t fit[BACKENDS], n_fit = 0, n = 1 + chance(percent(50) ? 3 : 32);
	uint32_t *ids = lines[0].backend;
	bool wrong = percent(5);

	for (uint32_t id = 1; id <= BACKENDS; id++)
		if (backend_rows[id].service == service && backend_rows[id].flags & list)
			fit[n_fit++] = id;
	if (percent(10) || (!n_fit && !wrong))
		n = 0;
	for (uint32_t i = 0; i < n; i++)
		ids[i] = wrong && percent(50) ? chance(BACKENDS + 1)
			 : n_fit              ? fit[chance(n_fit)]
					      : 0;
	for (uint32_t i = 0; i < 2; i++) {
		uint32_t at = line + i;

		put("rings", &at, &lines[i]);
	}
	return n;
}

static void publish(const struct row_service_key *key, const struct row_service *service,
		    uint32_t slot)
{
	const struct sl_slot_ref ref = { slot, service->gen + (percent(2) ? 1 : 0) };
	uint8_t key_bytes[ROW_KEY_MAX] = { 0 }, value[sizeof(struct sl6_service)];

	row_encode_key(family, key, key_bytes);
	row_encode_service(family, service, value);
	put("records", &slot, value);
	put("services", key_bytes, &ref);
}

static void draw_service_row(uint32_t slot)
{
	struct row_service s = {
		.kind = SL_KIND_CLUSTER_IP,
		.gen = ++control_gen,
		.service = 1 + chance(SERVICES),
		.cluster_line = slot * 4,
		.local_line = slot * 4 + 2,
		.algorithm = percent(35) ? SL_ALGORITHM_MAGLEV : SL_ALGORITHM_RANDOM,
		.affinity_s = percent(40) ? 60 + chance(200) : 0,
	};

	published[slot].at = draw_service();
	published[slot].proto = PICK(protos);
	published[slot].service = s.service;
	s.key.vip = address_of_host(published[slot].at.host);
	s.key.port = published[slot].at.port;
	s.key.proto = published[slot].proto;
	s.flags =
		(uint16_t)((percent(30) ? SL_SERVICE_INTERNAL_LOCAL : 0) |
			   (percent(70) ? SL_SERVICE_ANY_ENDPOINT : 0) |
			   (s.key.proto == IPPROTO_SCTP && percent(30) ? SL_SERVICE_SCTP_PORT : 0));
	s.cluster_len = draw_ring(s.cluster_line, s.service, SL_BACKEND_IN_CLUSTER);
	s.local_len = draw_ring(s.local_line, s.service, SL_BACKEND_IN_LOCAL);
	publish(&s.key, &s, slot);
}

static void clear_hash(int fd, size_t key_size)
{
	uint8_t key[64];

	assert_true(key_size <= sizeof(key));
	while (bpf_map_get_next_key(fd, NULL, key) == 0)
		bpf_map_delete_elem(fd, key);
}

static void draw_control(void)
{
	clear_hash(map_of("services"),
		   family == 4 ? sizeof(struct sl4_service_key) : sizeof(struct sl6_service_key));
	draw_config();
	draw_filter();
	draw_backends();
	for (uint32_t slot = 1; slot <= RECORDS; slot++)
		draw_service_row(slot);
	/* The record that all ports of a cluster IP share. VIP3 is no cluster IP. */
	for (uint32_t i = 0; i < 2; i++) {
		const struct row_service s = { .key.vip = address_of_host(i ? VIP2 : VIP),
					       .kind = SL_KIND_ADDRESS,
					       .gen = ++control_gen };

		if (percent(85))
			publish(&s.key, &s, RECORDS + 1 + i);
	}
}

/* ---- flow tables --------------------------------------------------------------------------------------------------------- */

struct tuple {
	struct end from, to;
	uint8_t proto;
};

union flow_key_bytes {
	struct sl4_flow_key v4;
	struct sl6_flow_key v6;
};

#define FILL_KEY(k, kind_, t)                                                                 \
	do {                                                                                  \
		memcpy((k)->saddr, host_address(family, (t)->from.host), sizeof((k)->saddr)); \
		memcpy((k)->daddr, host_address(family, (t)->to.host), sizeof((k)->daddr));   \
		(k)->sport = (t)->from.port;                                                  \
		(k)->dport = (t)->to.port;                                                    \
		(k)->proto = (t)->proto;                                                      \
		(k)->kind = (kind_);                                                          \
	} while (0)

static union flow_key_bytes flow_key(enum sl_flow_kind kind, const struct tuple *t)
{
	union flow_key_bytes key;

	memset(&key, 0, sizeof(key));
	if (family == 4)
		FILL_KEY(&key.v4, kind, t);
	else
		FILL_KEY(&key.v6, kind, t);
	return key;
}

/* What an entry says beside its tuple. */
struct entry {
	struct tuple to;
	uint32_t backend, backend_gen;
	uint16_t flags;
	enum sl_flow_state state;
	uint64_t seen_ns;
};

#define FILL_VALUE(v, e)                                                                         \
	do {                                                                                     \
		memcpy((v)->saddr, host_address(family, (e)->to.from.host), sizeof((v)->saddr)); \
		memcpy((v)->daddr, host_address(family, (e)->to.to.host), sizeof((v)->daddr));   \
		(v)->sport = (e)->to.from.port;                                                  \
		(v)->dport = (e)->to.to.port;                                                    \
		(v)->backend = (e)->backend;                                                     \
		(v)->backend_gen = (e)->backend_gen;                                             \
		(v)->service = 1;                                                                \
		(v)->flags = (e)->flags;                                                         \
		(v)->state = (e)->state;                                                         \
		(v)->seen = sl_tick((e)->seen_ns);                                               \
		(v)->twin = (uint8_t)(sl_tick((e)->seen_ns) >> SL_TWIN_SHIFT);                   \
	} while (0)

static void write_flow(enum sl_flow_kind kind, const struct tuple *t, const struct entry *e,
		       bool confirmed)
{
	const union flow_key_bytes key = flow_key(kind, t);
	union {
		struct sl4_flow v4;
		struct sl6_flow v6;
	} value;

	memset(&value, 0, sizeof(value));
	if (family == 4)
		FILL_VALUE(&value.v4, e);
	else
		FILL_VALUE(&value.v6, e);
	if (confirmed)
		*(family == 4 ? &value.v4.flags : &value.v6.flags) |= SL_FLOW_CONFIRMED;
	flow_put(&key, &value, confirmed && e->state != SL_STATE_CLOSING);
}

static struct tuple turned(const struct tuple *t)
{
	return (struct tuple){ t->to, t->from, t->proto };
}

/* Fresh or over, and near the border: the programs' clock is a tick behind at most. */
static uint64_t draw_seen(uint64_t now_ns, uint64_t idle_ns)
{
	switch (chance(5)) {
	case 0:
		return now_ns - idle_ns - idle_ns / 2;
	case 1:
		return now_ns - idle_ns - 500 * NS_PER_MS;
	case 2:
		return now_ns - idle_ns + 2000 * NS_PER_MS;
	case 3:
		return now_ns + chance(5) * NS_PER_MS; /* another CPU's clock is ahead */
	default:
		return now_ns - idle_ns / 3;
	}
}

static struct entry draw_entry(const struct tuple *to, uint64_t now_ns)
{
	struct entry e = {
		.to = *to,
		.backend = 1 + chance(BACKENDS),
		.flags = percent(30) ? SL_FLOW_LOCAL_LIST : 0,
		.state = (enum sl_flow_state)(SL_STATE_NEW + chance(5)),
	};

	e.backend_gen = percent(80) ? backend_rows[e.backend].gen : 1 + chance(3);
	if (e.state == SL_STATE_CLOSING && percent(50))
		e.flags |= SL_FLOW_FIN_REQUEST | SL_FLOW_FIN_REPLY;
	e.seen_ns = percent(60) ? now_ns - NS_PER_S
				: draw_seen(now_ns, explain_idle_ns(to->proto, e.state));
	return e;
}

/* An entry where the walk will look, and perhaps its twin, which may be another flow's. */
static void draw_flow(enum sl_flow_kind kind, const struct tuple *key, const struct tuple *to,
		      uint64_t now_ns)
{
	static const enum sl_flow_kind other[] = {
		[SL_FLOW_REQUEST] = SL_FLOW_REPLY,
		[SL_FLOW_REPLY] = SL_FLOW_REQUEST,
		[SL_FLOW_SNAT] = SL_FLOW_UNSNAT,
		[SL_FLOW_UNSNAT] = SL_FLOW_SNAT,
	};
	struct entry e = draw_entry(to, now_ns);
	const struct tuple twin_key = turned(to);
	bool confirmed = percent(60);

	write_flow(kind, key, &e, confirmed);
	if (percent(60)) {
		const struct tuple back = turned(key),
				   elsewhere = { draw_anybody(), draw_anybody(), key->proto };
		struct entry t = draw_entry(percent(85) ? &back : &elsewhere, now_ns);

		write_flow(other[kind], &twin_key, &t, confirmed);
	}
}

/* A flow that stands where the reply of this packet's new flow would be claimed. */
static void draw_collision(const struct tuple *t, uint64_t now_ns)
{
	const struct row_backend *b = &backend_rows[1 + chance(BACKENDS)];
	const struct end at = percent(50) ? draw_backend() : end_of(b->addr.b, b->port);
	const struct tuple reply = { at, t->from, t->proto };
	const struct tuple to = { draw_service(), t->from, t->proto };
	struct entry e = draw_entry(&to, now_ns);

	write_flow(SL_FLOW_REPLY, &reply, &e, percent(50));
	if (percent(30)) { /* and one the other way round, or with itself */
		const struct tuple out = turned(&reply);

		e.to = (struct tuple){ draw_service(), at, t->proto };
		write_flow(SL_FLOW_REPLY, &out, &e, percent(50));
	}
	if (percent(40)) {
		const struct tuple unsnat = { AT(t->from.host, PICK(backend_ports)),
					      AT(NODE, SNAT_LOW), t->proto };
		const struct tuple inside = { unsnat.from, draw_client(), t->proto };

		e = draw_entry(&inside, now_ns);
		write_flow(SL_FLOW_UNSNAT, &unsnat, &e, percent(50));
	}
}

static void draw_affinity(const struct tuple *t, uint64_t now_ns)
{
	union {
		struct sl4_affinity_key v4;
		struct sl6_affinity_key v6;
	} key;

	for (uint32_t service = 1; service <= SERVICES; service++) {
		struct sl_affinity value = { .backend = 1 + chance(BACKENDS) };

		if (percent(40))
			continue;
		for (int tries = 0; tries < 20 && backend_rows[value.backend].service != service;
		     tries++)
			value.backend = 1 + chance(BACKENDS);
		value.backend_gen = percent(85) ? backend_rows[value.backend].gen : 1 + chance(3);
		/* at most 260 s of affinity: the border is drawn as well */
		value.seen_ns = percent(60) ? now_ns - NS_PER_S
					    : now_ns - chance(400) * NS_PER_S - 500 * NS_PER_MS;
		memset(&key, 0, sizeof(key));
		memcpy(family == 4 ? key.v4.client : key.v6.client,
		       host_address(family, t->from.host), address_len(family));
		*(family == 4 ? &key.v4.service : &key.v6.service) = service;
		put("affinity", &key, &value);
	}
}

static void draw_frag(const struct tuple *t, uint32_t id, enum sl_hook hook, uint64_t now_ns)
{
	const struct sl_frag value = {
		.sport = t->from.port,
		.dport = t->to.port,
		.tag = (id ^ (uint32_t)t->proto << 24) ^ percent(5),
		.seen_ns = percent(70) ? now_ns - NS_PER_S
				       : draw_seen(now_ns, SL_IDLE_FRAG_S * NS_PER_S),
	};
	union {
		struct sl4_frag_key v4;
		struct sl6_frag_key v6;
	} key;

	memset(&key, 0, sizeof(key));
	if (family == 4) {
		key.v4 = (struct sl4_frag_key){ .id = id, .proto = t->proto, .hook = hook };
		memcpy(key.v4.saddr, host_address(4, t->from.host), 4);
		memcpy(key.v4.daddr, host_address(4, t->to.host), 4);
	} else {
		key.v6 = (struct sl6_frag_key){ .id = id, .proto = t->proto, .hook = hook };
		memcpy(key.v6.saddr, host_address(6, t->from.host), 16);
		memcpy(key.v6.daddr, host_address(6, t->to.host), 16);
	}
	put("frags", &key, &value);
}

static void clear_flows(void)
{
	flows_clear();
	clear_hash(map_of("affinity"),
		   family == 4 ? sizeof(struct sl4_affinity_key) : sizeof(struct sl6_affinity_key));
	clear_hash(map_of("frags"),
		   family == 4 ? sizeof(struct sl4_frag_key) : sizeof(struct sl6_frag_key));
}

/* ---- packets -------------------------------------------------------------------------------------------------------------- */

struct pair {
	enum program program;
	struct packet packet, about;
	struct tuple
		tuple; /* of the packet, or of the flow an ICMP error is about as its entry has it */
	bool fragment, later;
	struct explain_packet question;
};

static const enum explain_hook hooks[PROGRAMS] = {
	[POD_IN] = EXPLAIN_POD_IN,
	[POD_OUT] = EXPLAIN_POD_OUT,
	[UP_IN] = EXPLAIN_UPLINK_IN,
	[UP_OUT] = EXPLAIN_UPLINK_OUT,
};

static bool is_ingress(enum program program)
{
	return program == POD_IN || program == UP_IN;
}

static uint8_t draw_tcp_flags(void)
{
	static const uint8_t flags[] = { SYN,       SYN, SYN,       ACK,       ACK, ACK | PSH,
					 FIN | ACK, RST, RST | ACK, SYN | ACK, 0 };

	return PICK(flags);
}

/* A service that is there, and sometimes one of its own endpoints as the client. */
static void aim_at_service(struct tuple *t)
{
	uint32_t slot = 1 + chance(RECORDS), id = 1 + chance(BACKENDS);

	t->to = published[slot].at;
	t->proto = published[slot].proto;
	if (percent(75))
		return;
	for (int i = 0; i < 10 && backend_rows[id].service != published[slot].service; i++)
		id = 1 + chance(BACKENDS);
	for (size_t i = 0; i < ARRAY_LEN(backends); i++)
		if (!memcmp(backend_rows[id].addr.b, host_address(family, backends[i]),
			    address_len(family)))
			t->from = AT(backends[i],
				     percent(25) ? backend_rows[id].port : PICK(client_ports));
}

/* Who talks to whom, as this hook mostly sees it. */
static struct tuple draw_tuple(enum program program)
{
	struct tuple t = { .proto = PICK(protos) };

	if (percent(12)) {
		t.from = draw_anybody();
		t.to = draw_anybody();
	} else if (is_ingress(program)) {
		t.from = draw_client();
		t.to = percent(85) ? draw_service() : AT(NODE, (uint16_t)(SNAT_LOW + chance(3)));
		if (percent(70))
			aim_at_service(&t);
		if (percent(3))
			t.from = draw_service();
	} else if (program == POD_OUT || percent(60)) {
		t.from = draw_backend();
		t.to = percent(15) ? AT(t.from.host, PICK(client_ports)) : draw_client();
	} else {
		t.from = AT(percent(70) ? NODE : BACKEND1, PICK(client_ports));
		t.to = draw_service();
		if (percent(60))
			t.to = published[1 + chance(RECORDS)].at;
	}
	return t;
}

/* The kind of entry this packet's walk looks for first. */
static enum sl_flow_kind kind_of(const struct pair *p)
{
	if (is_ingress(p->program))
		return p->tuple.to.host == NODE ? SL_FLOW_UNSNAT : SL_FLOW_REQUEST;
	if (p->tuple.from.host == p->tuple.to.host && percent(60))
		return SL_FLOW_SNAT;
	return SL_FLOW_REPLY;
}

/* What an entry turns the packet into. */
static struct tuple draw_target(enum sl_flow_kind kind, const struct tuple *t)
{
	struct tuple to = *t;

	switch (kind) {
	case SL_FLOW_REQUEST:
		to.to = draw_backend();
		break;
	case SL_FLOW_UNSNAT:
		to.to = draw_client();
		break;
	case SL_FLOW_SNAT:
		to.from = AT(NODE, (uint16_t)(SNAT_LOW + chance(3)));
		break;
	default:
		to.from = draw_service();
	}
	if (percent(10))
		to.from.port = (uint16_t)(2000 + chance(100));
	return to;
}

static struct explain_tuple explain_tuple_of(const struct tuple *t)
{
	return (struct explain_tuple){ address_of_host(t->from.host), address_of_host(t->to.host),
				       t->from.port, t->to.port, t->proto };
}

static bool has_ports(uint8_t proto)
{
	return proto == IPPROTO_TCP || proto == IPPROTO_UDP || proto == IPPROTO_SCTP;
}

static void draw_plain(struct pair *p)
{
	const struct tuple *t = &p->tuple;

	p->packet = (struct packet){ .family = family,
				     .proto = t->proto,
				     .from = t->from,
				     .to = t->to,
				     .payload = 32,
				     .id = 1 + chance(3) };
	if (t->proto == IPPROTO_TCP)
		p->packet.flags = draw_tcp_flags();
	p->question.tuple = explain_tuple_of(t);
	p->question.tcp_flags = p->packet.flags;
}

static void draw_fragment(struct pair *p)
{
	p->packet.payload = 200;
	p->packet.slice_at = percent(35) ? 0 : 64;
	p->packet.slice_len = 64;
	p->fragment = true;
	p->later = p->packet.slice_at;
	p->question.fragment = p->later ? EXPLAIN_LATER_FRAGMENT : EXPLAIN_FIRST_FRAGMENT;
	p->question.fragment_id = p->packet.id;
	if (p->later) {
		p->question.tuple.sport = p->question.tuple.dport = 0;
		p->question.tcp_flags = 0;
	}
}

/* An error about the packet that went the other way, so tuple becomes that of the flow's entry. */
static void draw_icmp_error(struct pair *p)
{
	static const enum icmp_what kinds[] = { UNREACHABLE, TOO_BIG, TIME_EXCEEDED,
						PARAMETER_PROBLEM };
	const struct tuple quoted = turned(&p->tuple);
	enum host from = percent(50) ? ROUTER : p->tuple.from.host;
	bool cut = percent(5);

	p->about = (struct packet){ .family = family,
				    .proto = quoted.proto,
				    .from = quoted.from,
				    .to = quoted.to,
				    .payload = 40 };
	if (percent(5))
		p->about.proto = 47;
	p->packet = ICMP_ERROR(family, from, p->tuple.to.host, PICK(kinds), 0, &p->about);
	if (cut)
		p->packet.about_len = (uint16_t)(family == 4 ? 22 : 42);
	p->question.tuple = (struct explain_tuple){ address_of_host(from),
						    address_of_host(p->tuple.to.host), 0, 0,
						    p->packet.proto };
	p->question.icmp_error = true;
	p->question.has_quoted = has_ports(p->about.proto) && !cut;
	p->question.quoted = explain_tuple_of(&quoted);
}

/* Ping, and protocols that services do not have. */
static void draw_portless(struct pair *p)
{
	if (percent(50))
		p->packet = ICMP(family, p->tuple.from.host, p->tuple.to.host,
				 percent(50) ? ECHO_REQUEST : ECHO_REPLY);
	else
		p->packet = OTHER(family, percent(50) ? 47 : 50, p->tuple.from.host,
				  p->tuple.to.host, .payload = 32);
	p->tuple.proto = p->packet.proto;
	p->tuple.from.port = p->tuple.to.port = 0;
	p->question.tuple = explain_tuple_of(&p->tuple);
}

static void draw_packet(struct pair *p)
{
	/* Devices without Ethernet header run the uplink's walk; a test run cannot give them any source address. */
	static const enum program programs[] = { POD_IN,  POD_IN,  POD_IN, UP_IN, UP_IN,
						 POD_OUT, POD_OUT, UP_OUT, UP_OUT };

	memset(p, 0, sizeof(*p));
	p->program = PICK(programs);
	p->tuple = draw_tuple(p->program);
	p->question.hook = hooks[p->program];
	switch (chance(20)) {
	case 0:
	case 1:
		draw_icmp_error(p);
		break;
	case 2:
		draw_portless(p);
		break;
	case 3:
	case 4:
		draw_plain(p);
		draw_fragment(p);
		break;
	case 5:
		draw_plain(p);
		if (percent(60)) { /* the transport header is cut off */
			p->packet.cut = (uint16_t)(14 + (family == 4 ? 20 : 40) + chance(8));
			p->question.malformed = true;
			p->question.tuple.sport = p->question.tuple.dport = 0;
		}
		break;
	default:
		draw_plain(p);
	}
}

/* Flows, affinity and fragments around this packet. */
static void draw_flows(const struct pair *p, uint64_t now_ns)
{
	enum sl_flow_kind kind = kind_of(p);
	const struct tuple to = draw_target(kind, &p->tuple);

	if (has_ports(p->tuple.proto)) {
		if (percent(45))
			draw_flow(kind, &p->tuple, &to, now_ns);
		if (percent(25))
			draw_collision(&p->tuple, now_ns);
		if (percent(50))
			draw_affinity(&p->tuple, now_ns);
	}
	if (p->fragment && percent(70))
		draw_frag(&p->tuple, p->packet.id,
			  is_ingress(p->program) ? SL_HOOK_INGRESS : SL_HOOK_EGRESS, now_ns);
}

/* ---- the model's eyes ------------------------------------------------------------------------------------------------------- */

static int get(void *ctx, int family_, enum explain_map map, const void *key, void *ret_value)
{
	static const char *const names[EXPLAIN_MAPS] = {
		[EXPLAIN_SERVICES] = "services", [EXPLAIN_RECORDS] = "records",
		[EXPLAIN_RINGS] = "rings",       [EXPLAIN_BACKENDS] = "backends",
		[EXPLAIN_FILTER] = "filter",     [EXPLAIN_AFFINITY] = "affinity",
		[EXPLAIN_FRAGS] = "frags",
	};

	(void)ctx;
	assert_int_equal(family_, family);
	if (map == EXPLAIN_NAMES)
		return -ENOENT;
	if (!names[map])
		return flow_get(key, ret_value) ? 0 : -ENOENT;
	return bpf_map_lookup_elem(map_of(names[map]), key, ret_value) < 0 ? -errno : 0;
}

/* ---- comparing ---------------------------------------------------------------------------------------------------------------- */

struct tally {
	uint64_t reasons[SL_REASON_COUNT];
	uint64_t exact, one_of_many, torn_draws;
};

/* Prints the pair and both answers; always fails. */
static void differ(uint64_t number, const struct pair *p, const struct frame *in,
		   const struct explain_answer *a, const struct outcome *got, const char *what)
{
	char flags[FORMAT_FLAGS_LEN], endpoint[FORMAT_ENDPOINT_LEN];

	print_error("pair %" PRIu64 ": %s\n  packet   %s\n  at       %d\n", number, what,
		    frame_text(in), p->program);
	print_error("  programs %s, verdict %d: %s\n", reason_name(got->reason), got->verdict,
		    frame_text(&got->out));
	print_error("  model    %s%s, %zu backends%s\n", reason_name(a->reason),
		    a->answered ? " (answered)" : "", a->n_backends,
		    a->may_tear ? ", may tear" : "");
	for (size_t i = 0; i < a->n_backends && i < 6; i++)
		print_error("    backend %u %s %s\n", a->backends[i].id,
			    format_endpoint(&a->backends[i].row.addr, a->backends[i].row.port,
					    endpoint),
			    format_backend_flags(a->backends[i].row.flags, flags));
	for (size_t i = 0; i < a->n_steps; i++)
		print_error("    %s\n", a->steps[i]);
	fail_msg("%s; run again with EXPLAIN_ONLY=%" PRIu64, what, number);
}

static int wanted_verdict(const struct explain_answer *a, enum sl_reason reason)
{
	switch (format_reason_verdict(reason)) {
	case SL_VERDICT_REJECT:
		return a->answered ? TC_ACT_REDIRECT : TC_ACT_SHOT;
	case SL_VERDICT_DROP:
		return TC_ACT_SHOT;
	default:
		return TC_ACT_UNSPEC;
	}
}

/* The address and port at one end of what came out. */
struct seen_end {
	struct address addr;
	uint16_t port;
};

static struct seen_end seen_end(const struct parsed *p, bool destination)
{
	struct seen_end e = { .addr.family = (uint8_t)family,
			      .port = destination ? p->dport : p->sport };

	memcpy(e.addr.b, destination ? p->daddr : p->saddr, address_len(family));
	return e;
}

static bool end_is(const struct seen_end *e, const struct address *addr, uint16_t port,
		   bool with_port)
{
	return !address_cmp(&e->addr, addr) && (!with_port || e->port == port);
}

/* Which of the possible backends got it; NULL = none of them. */
static const struct explain_backend *backend_of(const struct explain_answer *a,
						const struct seen_end *to, bool with_port,
						enum sl_reason reason)
{
	for (size_t i = 0; i < a->n_backends; i++)
		if (end_is(to, &a->backends[i].row.addr, a->backends[i].row.port, with_port) &&
		    a->backends[i].reason == reason)
			return &a->backends[i];
	return NULL;
}

/* The id in the entry that the new flow left, which must be of a possible backend. */
static uint32_t opened_backend(const struct pair *p)
{
	const union flow_key_bytes key = flow_key(SL_FLOW_REQUEST, &p->tuple);
	union {
		struct sl4_flow v4;
		struct sl6_flow v6;
	} value;

	if (!flow_get(&key, &value))
		return 0;
	return family == 4 ? value.v4.backend : value.v6.backend;
}

static const char *compare_new(const struct pair *p, const struct explain_answer *a,
			       const struct outcome *got, const struct parsed *out)
{
	const struct seen_end from = seen_end(out, false), to = seen_end(out, true);
	bool same_port = from.port == p->tuple.from.port;
	uint32_t id = opened_backend(p);

	if (!backend_of(a, &to, p->tuple.proto != IPPROTO_SCTP, got->reason))
		return "sent to a backend that the model does not allow";
	for (size_t i = 0; i < a->n_backends; i++)
		if (a->backends[i].id == id)
			goto known;
	return "the new flow's entry names a backend that the model does not allow";
known:
	if (address_cmp(&from.addr, &p->question.tuple.saddr))
		return "the source address changed";
	if (!a->after_any_port && !same_port)
		return "the source port changed";
	if (a->after_any_port && a->n_backends == 1 && same_port)
		return "the source port did not change";
	return NULL;
}

static const char *compare_flow(const struct pair *p, const struct explain_answer *a,
				const struct parsed *out)
{
	const struct seen_end from = seen_end(out, false), to = seen_end(out, true);
	bool with_ports = !p->later;

	if (!end_is(&from, &a->after.saddr, a->after.sport, with_ports))
		return "another source than the model's";
	if (!end_is(&to, &a->after.daddr, a->after.dport, with_ports))
		return "another destination than the model's";
	return NULL;
}

static const char *compare_bytes(const struct pair *p, const struct frame *in,
				 const struct explain_answer *a, const struct outcome *got)
{
	static struct parsed out; /* its sentence is returned */

	if (!a->rewritten)
		return in->len == got->out.len && !memcmp(in->bytes, got->out.bytes, in->len)
			       ? NULL
			       : "the packet changed";
	packet_parse(got->out.bytes, got->out.len, in->l3, true, &out);
	if (out.wrong[0] && !p->fragment)
		return out.wrong;
	if (got->reason == SL_REASON_NEW_FLOW || got->reason == SL_REASON_HAIRPIN)
		return compare_new(p, a, got, &out);
	return compare_flow(p, a, &out);
}

/* Where the draw decides, each backend has its own reason; where a ring is broken, the packet may be torn. */
static bool reason_allowed(const struct explain_answer *a, enum sl_reason reason)
{
	if (a->n_backends && (a->reason == SL_REASON_NEW_FLOW || a->reason == SL_REASON_HAIRPIN) &&
	    a->backends[0].reason != SL_REASON_NOT_SERVICE) {
		for (size_t i = 0; i < a->n_backends; i++)
			if (a->backends[i].reason == reason)
				return true;
		return a->may_tear && reason == SL_REASON_TORN;
	}
	return reason == a->reason || (a->may_tear && reason == SL_REASON_TORN);
}

static void compare(uint64_t number, const struct pair *p, const struct frame *in,
		    const struct explain_answer *a, const struct outcome *got, struct tally *tally)
{
	const char *what = NULL;

	if (!reason_allowed(a, got->reason))
		what = "another reason";
	else if (got->verdict != wanted_verdict(a, got->reason))
		what = "another verdict";
	else if (got->verdict == TC_ACT_UNSPEC)
		what = compare_bytes(p, in, a, got);
	if (what)
		differ(number, p, in, a, got, what);
	tally->reasons[got->reason]++;
	tally->exact += a->n_backends == 1;
	tally->one_of_many += a->n_backends > 1;
	tally->torn_draws += got->reason == SL_REASON_TORN && a->reason != SL_REASON_TORN;
}

/* ---- the test ------------------------------------------------------------------------------------------------------------------- */

static uint64_t number_of(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text ? strtoull(text, NULL, 10) : otherwise;
}

static void ask(struct pair *p, struct explain_answer *ret_answer)
{
	const struct explain_maps maps = { .get = get, .config = config };

	p->question.now_ns = harness_now_ns();
	assert_int_equal(explain(&maps, &p->question, ret_answer), 0);
}

static void run_pair(uint64_t number, bool show, struct tally *tally)
{
	struct explain_answer answer;
	struct outcome got;
	struct frame in;
	struct pair p;

	draw_packet(&p);
	draw_flows(&p, harness_now_ns());
	if (show) {
		packet_build(&p.packet, &in);
		ask(&p, &answer);
		got = harness_run_frame(p.program, &in, __FILE__, __LINE__);
		compare(number, &p, &in, &answer, &got, tally);
		explain_answer_done(&answer);
	}
	clear_flows();
}

/* Reasons that a pair can have. The others need what a test run has not: memory pressure, racing CPUs, sockets, XDP. */
static const enum sl_reason reachable[] = {
	SL_REASON_NOT_SERVICE,      SL_REASON_FLOW,
	SL_REASON_NEW_FLOW,         SL_REASON_REPLY,
	SL_REASON_ICMP_ERROR,       SL_REASON_HAIRPIN,
	SL_REASON_NO_ENDPOINT,      SL_REASON_UNKNOWN_PORT,
	SL_REASON_UNKNOWN_TCP_FLOW, SL_REASON_NO_LOCAL_ENDPOINT,
	SL_REASON_UNALLOCATED,      SL_REASON_SCTP_PORT,
	SL_REASON_FRAGMENT,         SL_REASON_MALFORMED,
	SL_REASON_SPOOFED_VIP,      SL_REASON_ICMP_NO_FLOW,
	SL_REASON_PORT_COLLISION,   SL_REASON_TORN,
	SL_REASON_NO_NODE_ADDRESS,  SL_REASON_SNAT_PORTS,
};

static void report(const struct tally *tally, uint64_t pairs)
{
	print_message("# %" PRIu64 " pairs, 0 differences; one backend %" PRIu64
		      ", one of several %" PRIu64 ", torn draws %" PRIu64 "\n",
		      pairs, tally->exact, tally->one_of_many, tally->torn_draws);
	for (unsigned int r = 0; r < SL_REASON_COUNT; r++)
		if (tally->reasons[r])
			print_message("#   %-18s %" PRIu64 "\n", reason_name(r), tally->reasons[r]);
}

static void model_and_programs_agree(void **state)
{
	const struct variant *variant = *state;
	uint64_t pairs = number_of("EXPLAIN_PAIRS", PAIRS_DEFAULT) / VARIANTS,
		 only = number_of("EXPLAIN_ONLY", UINT64_MAX);
	struct tally tally = { 0 };
	const char *why = "";

	if (!harness.loaded) /* few buckets, which are emptied for every pair */
		assert_int_equal(
			harness_load(&(struct harness_options){ .consts = { .buckets4_tcp = 8,
									    .buckets4_udp = 8,
									    .buckets6_tcp = 8,
									    .buckets6_udp = 8 } },
				     &why),
			0);
	start(state);
	chance_state = 0x9e3779b97f4a7c15u ^ number_of("EXPLAIN_SEED", 1) << 20 ^
		       (uint64_t)(variant - variants + 1);
	chance(2);
	for (uint64_t i = 0; i < pairs; i++) {
		if (i % PER_CONTROL == 0)
			draw_control();
		run_pair(i, only == UINT64_MAX || only == i, &tally);
		if (only == i)
			break;
	}
	report(&tally, pairs);
	for (size_t i = 0; i < ARRAY_LEN(reachable) && pairs >= 5000 && only == UINT64_MAX; i++)
		if (!tally.reasons[reachable[i]])
			fail_msg("no pair was %s: the drawing misses a part of the walk",
				 reason_name(reachable[i]));
}

int main(void)
{
	const struct CMUnitTest tests[] = { FOR_ALL(model_and_programs_agree) };

	return run_group("explain", tests);
}
