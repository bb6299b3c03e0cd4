/* SPDX-License-Identifier: GPL-2.0 */
/* Which packets through which programs, interleaved: every case once a round, floors among them. */
/* Must not know how a packet is made or run (ns.h), nor how maps are filled (rig.h). */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/measure.h"
#include "bench/ns.h"
#include "bench/rig.h"

#define SERVICES  1000
#define ENDPOINTS 5
#define MANY      (1u << 19) /* 512k flows */
#define SOME      4096
#define CASES_MAX 128
#define TCP_SYN   0x02

/* Rigs that differ in nothing but how many services there are. */
static const struct {
	const char *name;
	uint32_t services;
} flat[] = { { "flat1", 1 }, { "flat1000", 1000 }, { "flat10000", 10000 } };
#define N_FLAT ((int)(sizeof(flat) / sizeof(flat[0])))

struct ns_case {
	const char *name;
	const char *
		base; /* the case whose cost is harness: the same generator before an empty program */
	int fd;
	struct traffic traffic;
};

static struct ns_case cases[CASES_MAX];
static size_t n_cases;

static void add(const char *name, const char *base, int fd, struct traffic traffic)
{
	if (n_cases < CASES_MAX)
		cases[n_cases++] = (struct ns_case){ name, base, fd, traffic };
}

/* ---- traffic -------------------------------------------------------------------------------------------------------- */

static struct traffic requests(int family, uint8_t proto, uint32_t flows, uint32_t services)
{
	return (struct traffic){
		.family = family,
		.proto = proto,
		.make = MAKE_IN,
		.flows = flows,
		.services = services,
		.endpoints = 1,
		.far = RIG_VIP,
		.far_service = 1,
		.far_port = RIG_PORT,
	};
}

static struct traffic replies(int family, uint8_t proto, uint32_t flows, uint32_t services)
{
	return (struct traffic){
		.family = family,
		.proto = proto,
		.make = MAKE_OUT,
		.flows = flows,
		.services = services,
		.endpoints = ENDPOINTS,
		.far = RIG_ENDPOINT,
		.far_service = RIG_ENDPOINT_STEP,
		.far_endpoint = 1,
		.far_port = RIG_TARGET_PORT,
	};
}

/* Between hosts that no service knows: 1,000 of them where there are many flows. */
static struct traffic foreign(int family, enum make make, uint32_t flows)
{
	struct traffic t = requests(family, IPPROTO_TCP, flows, SERVICES);

	t.make = make;
	t.far = RIG_STRANGER;
	t.far_port = 443;
	return t;
}

static struct traffic syns(int family, uint32_t services)
{
	struct traffic t = requests(family, IPPROTO_TCP, 1u << 22, services);

	t.tcp_flags = TCP_SYN;
	t.fresh = true;
	return t;
}

/* ---- cases ---------------------------------------------------------------------------------------------------------- */

static void add_bases(int family)
{
	add("generator in", "generator in", ns_floor(FLOOR_EMPTY),
	    requests(family, IPPROTO_TCP, SOME, SERVICES));
	add("generator out", "generator out", ns_floor(FLOOR_EMPTY),
	    replies(family, IPPROTO_TCP, SOME, SERVICES));
	add("generator xdp", "generator xdp", ns_floor(FLOOR_XDP_EMPTY),
	    foreign(family, MAKE_XDP, SOME));
}

static void add_floors(uint32_t many)
{
	static const struct {
		const char *name;
		uint32_t flows; /* 0: many */
	} floors[] = {
		{ "floor_parse_only", 0 },    { "floor_parse_hash", 0 }, { "floor_parse_lru", 0 },
		{ "floor_dnat", 1 },          { "floor_dnat", 0 },       { "floor_dnat_count", 1 },
		{ "floor_dnat_count", SOME }, { "floor_dnat_count", 0 },
	};

	for (size_t i = 0; i < sizeof(floors) / sizeof(floors[0]); i++)
		add(floors[i].name, "generator in", ns_floor(floors[i].name),
		    requests(4, IPPROTO_TCP, floors[i].flows ? floors[i].flows : many, SERVICES));
}

static void add_established(const struct rig *rig, uint8_t proto, uint32_t many)
{
	const uint32_t flows[] = { 1, SOME, many };
	int family = rig->options.family, in = rig->programs.fd[DP_PROG_sl_pod_in],
	    out = rig->programs.fd[DP_PROG_sl_pod_out];

	for (size_t f = 0; f < 3; f++) {
		add(proto == IPPROTO_TCP ? "request TCP" : "request UDP", "generator in", in,
		    requests(family, proto, flows[f], SERVICES));
		add(proto == IPPROTO_TCP ? "reply TCP" : "reply UDP", "generator out", out,
		    replies(family, proto, flows[f], SERVICES));
	}
}

static void add_foreign(const struct rig *rig, uint32_t many)
{
	const uint32_t flows[] = { 1, many };
	const int *fd = rig->programs.fd;
	int family = rig->options.family;

	for (size_t f = 0; f < 2; f++) {
		struct traffic from_endpoint = replies(family, IPPROTO_TCP, flows[f], SERVICES);

		add("not a service, pod in", "generator in", fd[DP_PROG_sl_pod_in],
		    foreign(family, MAKE_IN, flows[f]));
		add("not a service, pod out", "generator out", fd[DP_PROG_sl_pod_out],
		    foreign(family, MAKE_OUT, flows[f]));
		add("not a service, uplink in", "generator in", fd[DP_PROG_sl_up_in],
		    foreign(family, MAKE_IN, flows[f]));
		add("not a service, uplink out", "generator out", fd[DP_PROG_sl_up_out],
		    foreign(family, MAKE_OUT, flows[f]));
		add("not a service, XDP", "generator xdp", fd[DP_PROG_sl_xdp],
		    foreign(family, MAKE_XDP, flows[f]));
		from_endpoint.far_port = 9090;
		add("from an endpoint, no flow", "generator out", fd[DP_PROG_sl_pod_out],
		    from_endpoint);
	}
}

static void add_flat(const struct rig *rig)
{
	static char names[8][3][64];
	static int n;
	const int *fd = rig->programs.fd;
	int family = rig->options.family;

	snprintf(names[n][0], 64, "flat %u: request TCP", rig->services);
	snprintf(names[n][1], 64, "flat %u: not a service", rig->services);
	snprintf(names[n][2], 64, "flat %u: new flow", rig->services);
	add(names[n][0], "generator in", fd[DP_PROG_sl_pod_in],
	    requests(family, IPPROTO_TCP, SOME, 1));
	add(names[n][1], "generator in", fd[DP_PROG_sl_pod_in], foreign(family, MAKE_IN, SOME));
	add(names[n][2], "generator in", fd[DP_PROG_sl_pod_in], syns(family, 1));
	n++;
}

/* ---- rounds --------------------------------------------------------------------------------------------------------- */

static int run_round(const struct measure_options *o, uint32_t round, struct err *err)
{
	for (size_t i = 0; i < n_cases; i++) {
		const struct ns_case *c = &cases[i];
		int ns;

		if (o->only && !strstr(c->name, o->only) && strcmp(c->name, c->base) != 0)
			continue;
		ns = ns_run(&c->traffic, c->fd, o->repeat);
		if (ns < 0)
			return err_set(err, ns, "%s: BPF_PROG_TEST_RUN: %s", c->name,
				       strerror(-ns));
		printf("ns\t%u\tv%d\t%s\t%u\t%s\t%d\n", round, c->traffic.family, c->name,
		       c->traffic.fresh ? 0 : c->traffic.flows, c->base, ns);
		fflush(stdout);
	}
	return 0;
}

/* Every packet of the established cases must have been one, but for RIG_STRAYS: else something else was measured. */
static int check_reasons(const struct rig *rig, struct err *err)
{
	struct sl_counter counters[SL_REASON_COUNT];
	static const char *const names[] = {
#define REASON_NAME(name, class, text, advice) #name,
		SL_REASONS(REASON_NAME)
#undef REASON_NAME
	};
	uint64_t all = 0;
	int rc = dp_counters_read(rig->dp, counters);

	if (rc < 0)
		return err_set(err, rc, "cannot read counters: %s", strerror(-rc));
	for (int r = 0; r < SL_REASON_COUNT; r++)
		all += counters[r].ingress.packets;
	for (int r = 0; r < SL_REASON_COUNT; r++) {
		const struct sl_counter *c = &counters[r];
		uint64_t n = c->xdp.packets + c->ingress.packets + c->egress.packets;

		if (!n)
			continue;
		printf("reason\t%s\tv%d\t%s\t%llu\n", rig->options.name, rig->options.family,
		       names[r], (unsigned long long)n);
		if (r != SL_REASON_NOT_SERVICE && r != SL_REASON_FLOW && r != SL_REASON_REPLY &&
		    r != SL_REASON_NEW_FLOW && n > all / RIG_STRAYS)
			return err_set(err, -EPROTO,
				       "%llu packets were %s: not what was to be measured",
				       (unsigned long long)n, names[r]);
	}
	return 0;
}

static void print_sizes(const struct rig *rig)
{
	for (int p = 0; p < DP_PROG_COUNT; p++) {
		uint32_t verified, translated;

		if (rig->programs.fd[p] >= 0 &&
		    ns_program_size(rig->programs.fd[p], &verified, &translated) == 0)
			printf("size\t%s\t%u\t%u\n", dp_prog_name(p), verified, translated);
	}
}

/* Services, and established flows of one protocol over the first `spread` of them. */
static int make_rig(const struct rig_options *options, uint32_t services, uint8_t proto,
		    uint32_t flows, uint32_t spread, struct err *err, struct rig **ret_rig)
{
	struct rig_times times;
	int rc = rig_new(options, err, ret_rig);

	if (rc == 0)
		rc = rig_publish(*ret_rig, services, ENDPOINTS, err, &times);
	return rc == 0 ? rig_flows(*ret_rig, proto, flows, spread, 0, err) : rc;
}

/* The rigs of one family. Tables are a quarter larger than their flows, so that hardly a bucket is full. */
struct rigs {
	struct rig *tcp;
	struct rig *udp;   /* apart: a table for UDP is half of that for TCP */
	struct rig *fresh; /* as tcp: a flood of new flows puts others out of full buckets */
	struct rig *flat[N_FLAT];
};

static void free_rigs(struct rigs *r)
{
	rig_free(r->tcp);
	rig_free(r->udp);
	rig_free(r->fresh);
	for (int i = 0; i < N_FLAT; i++)
		rig_free(r->flat[i]);
}

static int make_rigs(struct rigs *r, int family, uint32_t many, struct err *err)
{
	struct rig_options options = {
		.name = "tcp",
		.family = family,
		.max_services = 2 * SERVICES,
		.max_backends = 2 * SERVICES * ENDPOINTS,
		.flows = many / 4 * 5,
	};
	int rc = make_rig(&options, SERVICES, IPPROTO_TCP, many, SERVICES, err, &r->tcp);

	options.name = "fresh";
	if (rc == 0)
		rc = make_rig(&options, SERVICES, IPPROTO_TCP, many, SERVICES, err, &r->fresh);
	options.name = "udp";
	options.flows *= 2;
	options.udp = true;
	if (rc == 0)
		rc = make_rig(&options, SERVICES, IPPROTO_UDP, many, SERVICES, err, &r->udp);
	for (int i = 0; rc == 0 && i < N_FLAT; i++) {
		struct rig_options small = {
			.name = flat[i].name,
			.family = family,
			.max_services = 10000,
			.max_backends = 10000 * ENDPOINTS,
			.flows = 4 * SOME,
		};

		rc = make_rig(&small, flat[i].services, IPPROTO_TCP, SOME, 1, err, &r->flat[i]);
	}
	return rc;
}

static void add_cases(const struct rigs *r, int family, uint32_t many)
{
	n_cases = 0;
	add_bases(family);
	if (family == 4)
		add_floors(many);
	add_established(r->tcp, IPPROTO_TCP, many);
	add_established(r->udp, IPPROTO_UDP, many);
	add_foreign(r->tcp, many);
	add("new flow", "generator in", r->fresh->programs.fd[DP_PROG_sl_pod_in],
	    syns(family, SERVICES));
	for (int i = 0; i < N_FLAT; i++)
		add_flat(r->flat[i]);
}

static int check_rigs(const struct rigs *r, struct err *err)
{
	int rc = check_reasons(r->tcp, err);

	if (rc == 0)
		rc = check_reasons(r->udp, err);
	for (int i = 0; rc == 0 && i < N_FLAT; i++)
		rc = check_reasons(r->flat[i], err);
	return rc;
}

static int measure_family(const struct measure_options *o, int family, struct err *err)
{
	uint32_t many = o->quick ? 1u << 16 : MANY;
	struct rigs rigs = { 0 };
	int rc = make_rigs(&rigs, family, many, err);

	if (rc == 0 && family == 4)
		rc = ns_floor_fill(SERVICES, ENDPOINTS, many, err);
	if (rc == 0) {
		add_cases(&rigs, family, many);
		if (family == 4)
			print_sizes(rigs.tcp);
	}
	for (uint32_t round = 1; rc == 0 && round <= o->rounds; round++)
		rc = run_round(o, round, err);
	if (rc == 0)
		rc = check_rigs(&rigs, err);
	free_rigs(&rigs);
	return rc;
}

int measure_ns(const struct measure_options *o, struct err *err)
{
	int rc = ns_init(o->object, err);

	for (int family = 4; rc == 0 && family <= 6; family += 2)
		rc = measure_family(o, family, err);
	ns_done();
	return rc;
}
