/* SPDX-License-Identifier: GPL-2.0-only */
/* bpftool is a user interface: its plain dump of our maps names enumerations and shows addresses as bytes, ports as numbers. */
/* Must not know bpftool but by what it prints. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>
#include <linux/bpf.h>

#include "prog/life.h"

#define C AT(CLIENT, 40000)
#define V AT(VIP, 80)
#define B AT(BACKEND1, 8080)

/* What "bpftool map dump id N" says, without white space. */
static const char *dump(int fd)
{
	static char text[1 << 20];
	struct bpf_map_info info = { 0 };
	uint32_t len = sizeof(info);
	const char *tool = getenv("BPFTOOL");
	char command[512];
	size_t n = 0;
	FILE *pipe;
	int c;

	assert_int_equal(bpf_obj_get_info_by_fd(fd, &info, &len), 0);
	snprintf(command, sizeof(command), "PATH=$PATH:/usr/sbin %s map dump id %u 2>&1",
		 tool && *tool ? tool : "bpftool", info.id);
	pipe = popen(command, "r");
	assert_non_null(pipe);
	while ((c = fgetc(pipe)) != EOF && n < sizeof(text) - 1)
		if (c != ' ' && c != '\n' && c != '\t')
			text[n++] = (char)c;
	text[n] = '\0';
	if (pclose(pipe))
		fail_msg("%s: %s", command, text);
	return text;
}

static void shows(const char *text, const char *what)
{
	if (!strstr(text, what))
		fail_msg("no %s in: %.600s", what, text);
}

/* "[10,96,0,10]" */
static const char *bytes(enum host host)
{
	static char text[128];
	const uint8_t *address = host_address(family, host);
	size_t n = 0;

	for (size_t i = 0; i < address_len(family); i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%c%u", i ? ',' : '[',
				      address[i]);
	snprintf(text + n, sizeof(text) - n, "]");
	return text;
}

static void shows_field(const char *text, const char *field, const char *value)
{
	char what[256];

	snprintf(what, sizeof(what), "\"%s\":%s", field, value);
	shows(text, what);
}

static int map(const char *name)
{
	char full[32];

	snprintf(full, sizeof(full), "sl%d_%s", family, name);
	return harness_map(full);
}

static void services(void **state)
{
	const char *text;

	start(state);
	service_with(V, IPPROTO_TCP, .algorithm = SL_ALGORITHM_MAGLEV, .backends = { { .at = B } });
	text = dump(map("services"));
	shows_field(text, "vip", bytes(VIP));
	shows_field(text, "port", "80");
	shows_field(text, "proto", "6");
	text = dump(map("records"));
	shows_field(text, "vip", bytes(VIP));
	shows_field(text, "kind", "\"SL_KIND_CLUSTER_IP\"");
	shows_field(text, "kind", "\"SL_KIND_ADDRESS\"");
	shows_field(text, "algorithm", "\"SL_ALGORITHM_MAGLEV\"");
	text = dump(map("backends"));
	shows_field(text, "addr", bytes(BACKEND1));
	shows_field(text, "port", "8080");
	text = dump(map("rings"));
	shows_field(text, "backend", "[1,");
}

static void flows(void **state)
{
	static const struct harness_options one = { .consts = { .buckets4_tcp = 1,
								.buckets4_udp = 1,
								.buckets6_tcp = 1,
								.buckets6_udp = 1 } };
	const char *text = "";

	assert_int_equal(harness_load(&one, &text), 0);
	start(state);
	service(V, IPPROTO_TCP, READY(B));
	tcp_opens(C, V, B);
	text = dump(map("flows_tcp"));
	shows_field(text, "kind", "\"SL_FLOW_REQUEST\"");
	shows_field(text, "state", "\"SL_STATE_CONFIRMED\"");
	shows_field(text, "saddr", bytes(CLIENT));
	shows_field(text, "daddr", bytes(VIP));
	shows_field(text, "daddr", bytes(BACKEND1));
	shows_field(text, "sport", "40000");
	shows_field(text, "dport", "8080");
}

static void affinity_and_fragments(void **state)
{
	const char *text;

	start(state);
	service_with(V, IPPROTO_UDP, .affinity_s = 9, .backends = { { .at = B } });
	forwards(POD_IN, UDP(family, C, V, .payload = 1000, .id = 5, .slice_len = 504), NEW_FLOW,
		 UDP(family, C, B, .payload = 1000, .id = 5, .slice_len = 504));
	text = dump(map("affinity"));
	shows_field(text, "client", bytes(CLIENT));
	text = dump(map("frags"));
	shows_field(text, "saddr", bytes(CLIENT));
	shows_field(text, "hook", "\"SL_HOOK_INGRESS\"");
	shows_field(text, "dport", "80");
}

static void counters_and_configuration(void **state)
{
	const char *text;

	start(state);
	service(V, IPPROTO_UDP, READY(B));
	udp_opens(C, V, B);
	text = dump(harness_map("sl_counters"));
	shows(text, "\"ingress\":{\"packets\":");
	text = dump(harness_map("sl_config"));
	shows_field(text, family == 4 ? "node4" : "node6", bytes(NODE));
	shows_field(text, "snat_low", "61000");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		{ "services v4", services, NULL, NULL, (void *)&variants[0] },
		{ "services v6", services, NULL, NULL, (void *)&variants[1] },
		{ "flows v4", flows, NULL, NULL, (void *)&variants[0] },
		{ "flows v6", flows, NULL, NULL, (void *)&variants[1] },
		{ "affinity_and_fragments v4", affinity_and_fragments, NULL, NULL,
		  (void *)&variants[0] },
		{ "affinity_and_fragments v6", affinity_and_fragments, NULL, NULL,
		  (void *)&variants[1] },
		{ "counters_and_configuration v4", counters_and_configuration, NULL, NULL,
		  (void *)&variants[0] },
		{ "counters_and_configuration v6", counters_and_configuration, NULL, NULL,
		  (void *)&variants[1] },
	};

	return run_group("dump", tests);
}
