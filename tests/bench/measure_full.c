/* SPDX-License-Identifier: GPL-2.0 */
/* What a new flow costs by what lies in the table: nothing, a million entries that are all over at once, a million that all live. */
/* Must not know how programs find a slot. */
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "bench/measure.h"
#include "bench/ns.h"
#include "bench/rig.h"

#define OVER_AGE_S (SL_IDLE_TCP_S + 60)
#define SERVICES   1000
#define TCP_SYN    0x02

static const struct {
	const char *name;
	bool filled;
	uint32_t age_s;
} tables[] = {
	{ "empty table", false, 0 },
	{ "every entry is over", true, OVER_AGE_S },
	{ "every entry lives", true, 0 },
};

static const struct traffic syns = {
	.family = 4,
	.proto = IPPROTO_TCP,
	.tcp_flags = TCP_SYN,
	.make = MAKE_IN,
	.flows = 1u << 22,
	.fresh = true,
	.services = SERVICES,
	.endpoints = 1,
	.far = RIG_VIP,
	.far_service = 1,
	.far_port = RIG_PORT,
};

static int measure_one(struct rig *rig, size_t which, uint32_t flows, uint32_t repeat,
		       struct err *err)
{
	int rc = rig_flows(rig, IPPROTO_TCP, tables[which].filled ? flows : 0, SERVICES,
			   tables[which].age_s, err);
	int base, ns;

	if (rc < 0)
		return rc;
	base = ns_run(&syns, ns_floor(FLOOR_EMPTY), repeat);
	ns = ns_run(&syns, rig->programs.fd[DP_PROG_sl_pod_in], repeat);
	if (base < 0 || ns < 0)
		return err_set(err, -1, "BPF_PROG_TEST_RUN failed");
	printf("full\t%s: new flow\t%d\tns\n", tables[which].name, ns - base);
	fflush(stdout);
	return 0;
}

/* Short runs: a run must not fill the table itself. */
int measure_full(const struct measure_options *o, struct err *err)
{
	uint32_t flows = o->quick ? 1u << 14 : 1u << 19;
	struct rig_options options = {
		.name = "full",
		.family = 4,
		.max_services = 2 * SERVICES,
		.max_backends = 2 * SERVICES * 5,
		.flows = flows / 4 * 5,
	};
	struct rig_times times;
	struct rig *rig = NULL;
	int rc = ns_init(o->object, err);

	if (rc == 0)
		rc = rig_new(&options, err, &rig);
	if (rc == 0)
		rc = rig_publish(rig, SERVICES, 5, err, &times);
	for (uint32_t round = 0; rc == 0 && round < o->rounds; round++)
		for (size_t i = 0; rc == 0 && i < sizeof(tables) / sizeof(tables[0]); i++)
			rc = measure_one(rig, i, flows, flows / 8, err);
	rig_free(rig);
	ns_done();
	return rc;
}
