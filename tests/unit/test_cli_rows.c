// SPDX-License-Identifier: GPL-2.0-only
// What sluicectl prints, table and JSON, from rows made here. JSON keys are a contract: a change here is a change for scripts.
/* link: user/cli/out.c user/cli/out_table.c user/cli/out_json.c user/cli/names.c user/cli/services.c user/cli/backends.c user/cli/flows.c user/dp/flow_time.c user/cli/counters.c user/cli/attach.c user/cli/drops.c user/cli/agent.c user/core/view.c user/core/diff.c user/core/diff_row.c user/core/diff_audit.c user/core/diff_look.c user/core/rows.c user/core/format.c user/core/address.c user/base/arena.c user/base/buf.c user/base/clock.c user/base/table.c */
/* libs: cjson */
#include "unit/test.h"

#include <cjson/cJSON.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/rows.h"
#include "core/format.h"
#include "dp/flows.h"
#include "dp/events.h"

/* ---- nothing here reads a kernel --------------------------------------------------------------------------------------- */

#define NEVER(type, name, ...)                 \
	type name(__VA_ARGS__);                \
	type name(__VA_ARGS__)                 \
	{                                      \
		fail_msg(#name " was called"); \
		abort();                       \
	}
#pragma GCC diagnostic ignored "-Wunused-parameter"
NEVER(int, cli_open_maps, struct cli *cli)
NEVER(int, cli_kernel_view, struct cli *cli, struct view *view)
NEVER(int, cli_names_read, struct cli *cli, int family, struct cli_names *names)
NEVER(void, cli_names_done, struct cli_names *names)
NEVER(int, cli_fail, const struct err *err)
NEVER(int, dp_stats_read, struct dp *dp, enum dp_map map, uint32_t first, uint32_t n, void *values)
NEVER(enum dp_map, dp_map_of, int family, enum dp_map map)
NEVER(int, dp_flows_each, struct dp *dp, int family, enum dp_flow_table table, dp_flow_fn *fn,
      void *ctx)
NEVER(int, dp_counters_read, const struct dp *dp, struct sl_counter counters[SL_REASON_COUNT])
NEVER(int, dp_config_read, const struct dp *dp, struct sl_config *config)
NEVER(int, pin_dir_init, const char *bpffs, struct err *err, struct pin_dir *pins)
NEVER(void, pin_dir_done, struct pin_dir *pins)
NEVER(int, attach_list, const struct pin_dir *pins, struct attach_row **rows, size_t *n)
NEVER(int, events_new, struct dp *dp, events_fn *fn, void *ctx, struct events **events)
NEVER(void, events_free, struct events *events)
NEVER(int, events_fd, const struct events *events)
NEVER(int, events_read, struct events *events)

void cli_complain(const char *format, ...)
{
	fail_msg("complained: %s", format);
}

const char *attach_state_name(enum attach_state state)
{
	return state == ATTACH_OK ? "ok" : "foreign";
}

/* ---- printing into memory ------------------------------------------------------------------------------------------------ */

static char *text;
static size_t text_len;
static struct out out;

static void begin(enum out_style style)
{
	free(text);
	text = NULL;
	out_init(&out, style, open_memstream(&text, &text_len));
}

static void end(void)
{
	fclose(out.file);
	out_done(&out);
}

static int done(void **state)
{
	(void)state;
	free(text);
	text = NULL;
	return 0;
}

/* What was printed is this, and if it is JSON, one document a line. */
static void printed(const char *want)
{
	end();
	assert_string_equal(text, want);
}

static void printed_json(const char *want)
{
	cJSON *document;

	printed(want);
	document = cJSON_Parse(text);
	assert_non_null(document);
	assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(document, "apiVersion")),
			    "sluice.dev/v1");
	cJSON_Delete(document);
}

/* ---- rows ------------------------------------------------------------------------------------------------------------------ */

static struct view_endpoint endpoints[] = {
	{ .addr = { 4, { 10, 1, 1, 11 } },
	  .port = 8080,
	  .flags = SL_BACKEND_IN_CLUSTER | SL_BACKEND_SERVING,
	  .backend = 1,
	  .gen = 5 },
	{ .addr = { 4, { 10, 1, 1, 12 } },
	  .port = 8080,
	  .flags = SL_BACKEND_IN_CLUSTER | SL_BACKEND_IN_LOCAL | SL_BACKEND_SERVING |
		   SL_BACKEND_LOCAL,
	  .backend = 2,
	  .gen = 6 },
	{ .addr = { 4, { 10, 1, 1, 13 } },
	  .port = 8080,
	  .flags = SL_BACKEND_SERVING | SL_BACKEND_TERMINATING,
	  .backend = 3,
	  .gen = 7 },
};

static char ns_default[] = "default", ns_shop[] = "shop", web[] = "web", cart[] = "cart",
	    http[] = "http", none[] = "";

static struct view_service services[] = {
	{ .namespace = ns_default,
	  .name = web,
	  .port_name = none,
	  .vip = { 4, { 10, 96, 0, 10 } },
	  .kind = SL_KIND_ADDRESS },
	{ .namespace = ns_default,
	  .name = web,
	  .port_name = http,
	  .vip = { 4, { 10, 96, 0, 10 } },
	  .port = 80,
	  .proto = IPPROTO_TCP,
	  .kind = SL_KIND_CLUSTER_IP,
	  .affinity_s = 10800,
	  .service = 1,
	  .slot = 7,
	  .gen = 3,
	  .cluster = endpoints,
	  .n_cluster = 2,
	  .local = endpoints + 1,
	  .n_local = 1,
	  .backends = endpoints,
	  .n_backends = 3 },
	{ .namespace = ns_shop,
	  .name = cart,
	  .port_name = none,
	  .vip = { 6, { 0xfd, 0, 0, 0x96, [15] = 1 } },
	  .port = 53,
	  .proto = IPPROTO_UDP,
	  .kind = SL_KIND_CLUSTER_IP,
	  .algorithm = SL_ALGORITHM_MAGLEV,
	  .flags = SL_SERVICE_INTERNAL_LOCAL,
	  .service = 2,
	  .slot = 9,
	  .gen = 4 },
};

static const struct view view = { .services = services, .n_services = 3 };

TEST(services_as_a_table)
{
	begin(OUT_TABLE);
	rows_services(&out, &view, &(struct rows_filter){ 0 });
	printed("NAMESPACE  SERVICE   ADDRESS          PROTO  KIND       POLICY   ALGORITHM  AFFINITY        ENDPOINTS  LOCAL\n"
		"default    web:http  10.96.0.10:80    TCP    ClusterIP  Cluster  random           3h                2      1\n"
		"shop       cart:53   [fd00:96::1]:53  UDP    ClusterIP  Local    maglev            -  0 (none usable)      0\n");
}

TEST(services_as_json)
{
	begin(OUT_JSON);
	rows_services(&out, &view, &(struct rows_filter){ .namespace = "default" });
	printed_json(
		"{\"apiVersion\":\"sluice.dev/v1\",\"kind\":\"ServiceList\",\"items\":[{\"namespace\":\"default\",\"name\":\"web\","
		"\"portName\":\"http\",\"address\":\"10.96.0.10\",\"port\":80,\"protocol\":\"TCP\",\"kind\":\"ClusterIP\","
		"\"policy\":\"Cluster\",\"algorithm\":\"random\",\"affinitySeconds\":10800,\"endpointCount\":2,\"localCount\":1,"
		"\"endpoints\":[\"10.1.1.11:8080\",\"10.1.1.12:8080\"],\"localEndpoints\":[\"10.1.1.12:8080\"],\"id\":1,"
		"\"slot\":7,\"generation\":3,\"damage\":\"\"}]}\n");
}

TEST(services_are_filtered_by_name_and_port)
{
	static const struct {
		const char *service;
		bool found;
	} cases[] = {
		{ "web", true },
		{ "default/web", true },
		{ "web:http", true },
		{ "default/web:80", true },
		{ "web:81", false },
		{ "shop/web", false },
		{ "we", false },
		{ "web:", false },
		{ "default/web:https", false },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		begin(OUT_TABLE);
		rows_services(&out, &view, &(struct rows_filter){ .service = cases[i].service });
		end();
		if (!!strstr(text, "web:http") != cases[i].found)
			fail_msg("'%s' %s", cases[i].service,
				 cases[i].found ? "was not found" : "was found");
	}
}

TEST(nothing_is_said_to_people_and_an_empty_list_to_programs)
{
	const struct view empty = { 0 };

	begin(OUT_TABLE);
	rows_services(&out, &empty, &(struct rows_filter){ 0 });
	printed("no services\n");
	begin(OUT_JSON);
	rows_services(&out, &empty, &(struct rows_filter){ 0 });
	printed_json("{\"apiVersion\":\"sluice.dev/v1\",\"kind\":\"ServiceList\",\"items\":[]}\n");
}

TEST(tables_without_headers_hold_rows_alone)
{
	begin(OUT_TABLE);
	out.headers = false;
	rows_services(&out, &view, &(struct rows_filter){ .service = "cart" });
	printed("shop  cart:53  [fd00:96::1]:53  UDP  ClusterIP  Local  maglev  -  0 (none usable)  0\n");
}

TEST(backends_once_for_all_addresses_of_their_port)
{
	static const struct sl_backend_stats stats[] = { { 0 }, { 10, 2048, 9, 1024, 3 }, { 0 } };
	const struct rows_stats all = { .v4 = stats, .n4 = 3 };
	struct view_service twice[] = { services[1], services[1] };
	const struct view two = { .services = twice, .n_services = 2 };

	twice[1].vip.b[3] = 11;
	begin(OUT_TABLE);
	rows_backends(&out, &two, &all, &(struct rows_filter){ 0 });
	printed("NAMESPACE  SERVICE   PROTO  ENDPOINT        STATE                       FLOWS  TO  FROM  BYTES-TO  BYTES-FROM\n"
		"default    web:http  TCP    10.1.1.11:8080  cluster,serving                 3  10     9     2.0Ki       1.0Ki\n"
		"default    web:http  TCP    10.1.1.12:8080  cluster,local,serving,here      0   0     0         0           0\n"
		"default    web:http  TCP    10.1.1.13:8080  serving,terminating             0   0     0         0           0\n");
}

TEST(flows_as_table_and_json)
{
	static const struct sl_name name = {
		.namespace = "default", .name = "web", .port_name = "http", .port = 80
	};
	const struct sl4_flow_key key = { { 10, 1, 0, 5 }, { 10, 96, 0, 10 }, 40000, 80,
					  IPPROTO_TCP,     SL_FLOW_REQUEST,   { 0 } };
	const struct sl4_flow value = { .saddr = { 10, 1, 0, 5 },
					.daddr = { 10, 1, 1, 11 },
					.sport = 40000,
					.dport = 8080,
					.backend = 1,
					.service = 1,
					.state = SL_STATE_CONFIRMED,
					.seen = sl_tick(1000000000),
					.packets = 12,
					.bytes = 3456 };

	begin(OUT_TABLE);
	rows_flows_begin(&out);
	rows_flow(&out, 4, &key, &value, &name, 66100000000, false);
	rows_flows_end(&out);
	printed("PROTO  CLIENT          ADDRESS        ENDPOINT        SERVICE           STATE      FLAGS  IDLE  PACKETS  BYTES\n"
		"TCP    10.1.0.5:40000  10.96.0.10:80  10.1.1.11:8080  default/web:http  confirmed  -       65s       12  3.3Ki\n");
	begin(OUT_JSON);
	rows_flows_begin(&out);
	rows_flow(&out, 4, &key, &value, NULL, 66100000000, true);
	rows_flows_end(&out);
	printed_json(
		"{\"apiVersion\":\"sluice.dev/v1\",\"kind\":\"FlowList\",\"items\":[{\"protocol\":\"TCP\","
		"\"clientAddress\":\"10.1.0.5\",\"clientPort\":40000,\"address\":\"10.96.0.10\",\"port\":80,"
		"\"endpointAddress\":\"10.1.1.11\",\"endpointPort\":8080,\"namespace\":\"\",\"name\":\"\",\"portName\":\"\","
		"\"kind\":\"request\",\"state\":\"confirmed\",\"flags\":\"-\",\"idleSeconds\":65,\"packets\":12,\"bytes\":3456,"
		"\"expired\":true,\"backend\":1,\"service\":1}]}\n");
}

TEST(counters_leave_out_what_never_happened)
{
	struct sl_counter counters[SL_REASON_COUNT] = { 0 };

	counters[SL_REASON_FLOW].ingress = (struct sl_hook_counter){ 7, 700 };
	counters[SL_REASON_NO_ENDPOINT].socket.packets = 2;
	begin(OUT_TABLE);
	rows_counters(&out, counters, false);
	printed("REASON       VERDICT  XDP  INGRESS  EGRESS  SOCKET  BYTES  MEANING\n"
		"FLOW         forward    0        7       0       0    700  established flow\n"
		"NO_ENDPOINT  reject     0        0       0       2      0  service port has no usable endpoint\n");
	begin(OUT_TABLE);
	rows_drops(&out, counters, false);
	end();
	assert_null(strstr(text, "FLOW "));
	assert_non_null(strstr(text, "NO_ENDPOINT  reject         2"));
	assert_non_null(strstr(text, "kubectl get endpointslices"));
	begin(OUT_JSON);
	rows_counters(&out, counters, true);
	end();
	for (unsigned int r = 0; r < SL_REASON_COUNT; r++) { /* all of them, whatever their count */
		char key[64];

		snprintf(key, sizeof(key), "\"reason\":\"%s\"",
			 format_reason_name((enum sl_reason)r));
		assert_non_null(strstr(text, key));
	}
}

TEST(attachments)
{
	const struct attach_row rows[] = {
		{ .ifindex = 4,
		  .name = "veth1",
		  .hook = "ingress",
		  .how = "tcx",
		  .program = "sl_pod_in",
		  .prog_id = 9,
		  .link_id = 2 },
		{ .hook = "connect4",
		  .how = "cgroup",
		  .program = "sl_connect4",
		  .state = ATTACH_FOREIGN,
		  .text = "somebody's" },
	};

	begin(OUT_TABLE);
	rows_attach(&out, rows, 2);
	printed("INTERFACE  INDEX  HOOK      HOW     PROGRAM      STATE    PROG-ID  LINK-ID  DETAIL\n"
		"veth1          4  ingress   tcx     sl_pod_in    ok             9        2  -\n"
		"(cgroup)       -  connect4  cgroup  sl_connect4  foreign        0        -  somebody's\n");
}

TEST(refusals_are_documents_of_their_own)
{
	struct sl_event event = { .reason = SL_REASON_NO_ENDPOINT,
				  .hook = SL_HOOK_INGRESS,
				  .family = 4,
				  .proto = IPPROTO_UDP,
				  .sport = 40000,
				  .dport = 53,
				  .saddr = { 10, 1, 0, 5 },
				  .daddr = { 10, 96, 0, 10 } };

	begin(OUT_JSON);
	rows_events_begin(&out);
	rows_event(&out, &event, NULL, 1700000000123000000);
	fflush(out.file);
	assert_int_equal(text[text_len - 1], '\n'); /* at once, not with the next */
	rows_event(&out, &event, NULL, 1700000000123000000);
	end();
	assert_int_equal(
		strncmp(text,
			"{\"apiVersion\":\"sluice.dev/v1\",\"kind\":\"Drop\",\"time\":\"2023-11-14T22:13:20.123Z\","
			"\"reason\":\"NO_ENDPOINT\",\"verdict\":\"reject\",\"protocol\":\"UDP\",\"sourceAddress\":\"10.1.0.5\","
			"\"sourcePort\":40000,\"address\":\"10.96.0.10\",\"port\":53,",
			200),
		0);
	*strchr(text, '\n') = '\0';
	cJSON_Delete(cJSON_Parse(text));
}

TEST(what_the_agent_tells_looks_the_same)
{
	cJSON *item = cJSON_Parse(
		"{\"time\":\"2023-11-14T22:13:20.123Z\",\"reason\":\"UNKNOWN_PORT\",\"hook\":\"ingress\","
		"\"protocol\":\"TCP\",\"from\":\"[fd00::1]:40000\",\"to\":\"[fd00:96::10]:81\",\"ifindex\":0,"
		"\"namespace\":\"\",\"name\":\"\",\"portName\":\"\"}");

	begin(OUT_TABLE);
	out.headers = false;
	rows_events_begin(&out);
	rows_agent_drop(&out, item);
	printed("2023-11-14T22:13:20.123Z  UNKNOWN_PORT  reject  TCP  [fd00::1]:40000  [fd00:96::10]:81  ingress  -  -  "
		"address of a service, but no such port or protocol  compare the port with: sluicectl services\n");
	cJSON_Delete(item);
}

TEST(names_cannot_break_json_nor_colours_a_pipe)
{
	begin(OUT_JSON);
	out_begin(&out, "X");
	out_field_text(&out, "name", "name", "a\"b\\c\nd\x1b");
	out_end(&out);
	printed_json(
		"{\"apiVersion\":\"sluice.dev/v1\",\"kind\":\"X\",\"name\":\"a\\\"b\\\\c\\u000ad\\u001b\"}\n");
	begin(OUT_TABLE);
	out_field_tone(&out, "k", "label", "bad", OUT_BAD);
	printed("label          bad\n");
	begin(OUT_TABLE);
	out.colour = true;
	out_field_tone(&out, "k", "label", "bad", OUT_BAD);
	printed("label          \033[31mbad\033[0m\n");
}

TEST(a_long_list_is_printed_in_portions)
{
	static const struct out_column columns[] = { { "n", "N", true } };

	begin(OUT_TABLE);
	out_rows(&out, "items", NULL, columns, 1);
	for (uint64_t i = 0; i < 10000; i++) {
		out_row(&out);
		out_number(&out, i, NULL);
	}
	out_rows_end(&out);
	end();
	assert_int_equal(strncmp(text, "   N\n   0\n   1\n", 15), 0);
	assert_non_null(strstr(text, "\n9999\n"));
}

#define T(test) cmocka_unit_test_teardown(test, done)

RUN(T(services_as_a_table), T(services_as_json), T(services_are_filtered_by_name_and_port),
    T(nothing_is_said_to_people_and_an_empty_list_to_programs),
    T(tables_without_headers_hold_rows_alone), T(backends_once_for_all_addresses_of_their_port),
    T(flows_as_table_and_json), T(counters_leave_out_what_never_happened), T(attachments),
    T(refusals_are_documents_of_their_own), T(what_the_agent_tells_looks_the_same),
    T(names_cannot_break_json_nor_colours_a_pipe), T(a_long_list_is_printed_in_portions))
