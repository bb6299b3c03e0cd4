/* SPDX-License-Identifier: GPL-2.0-only */
/* --forwarding fast: packets between two pods of this node go past its stack, with real routes in a network namespace. */
/* Must not know how programs do it: expectations are those of bpf/README.md. */
#include <errno.h>
#include <arpa/inet.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <linux/pkt_cls.h>

#include "prog/life.h"

#define C  AT(CLIENT, 40000)
#define V  AT(VIP, 80)
#define B1 AT(BACKEND1, 8080)

/* Devices of the node: the client's, the endpoint's, one of neither. */
#define OF_CLIENT  "pod-c"
#define OF_BACKEND "pod-b"
#define OTHER_WAY  "up0"

/* What the stack knows of each: the device's own address, and the pod's. */
static const uint8_t device_mac[3][6] = { { 2, 0, 0, 0, 1, 1 },
					  { 2, 0, 0, 0, 2, 1 },
					  { 2, 0, 0, 0, 3, 1 } };
static const uint8_t pod_mac[3][6] = { { 2, 0, 0, 0, 1, 2 },
				       { 2, 0, 0, 0, 2, 2 },
				       { 2, 0, 0, 0, 3, 2 } };
static const char *const devices[] = { OF_CLIENT, OF_BACKEND, OTHER_WAY };

/* ---- the node's routes ---------------------------------------------------------------------------------------------- */

/* Runs ip with these words; without a shell, as those of small systems have an ip of their own that knows less. */
__attribute__((format(printf, 1, 2))) static void ip(const char *format, ...)
{
	char command[512], words[512], *argv[32] = { "ip" };
	int n = 1, status;
	va_list args;
	pid_t child;

	va_start(args, format);
	vsnprintf(command, sizeof(command), format, args);
	va_end(args);
	snprintf(words, sizeof(words), "%s", command);
	for (char *word = strtok(words, " "); word && n < 31; word = strtok(NULL, " "))
		argv[n++] = word;
	child = fork();
	if (child == 0) {
		execvp("ip", argv);
		_exit(127);
	}
	if (child < 0 || waitpid(child, &status, 0) < 0 || status)
		fail_msg("ip %s", command);
}

static const char *mac_text(const uint8_t mac[6])
{
	static char text[2][18];
	static int i;

	i = !i;
	snprintf(text[i], sizeof(text[i]), "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2],
		 mac[3], mac[4], mac[5]);
	return text[i];
}

/* "10.1.0.5" */
static const char *host_text(int of_family, enum host host)
{
	static char text[INET6_ADDRSTRLEN];

	inet_ntop(of_family == 4 ? AF_INET : AF_INET6, host_address(of_family, host), text,
		  sizeof(text));
	return text;
}

static void add_device(int i)
{
	ip("link add %s address %s type veth peer name peer%d", devices[i], mac_text(device_mac[i]),
	   i);
	ip("link set %s up", devices[i]);
	ip("link set peer%d up", i);
}

static void know_neighbour(enum host host, int device, bool known)
{
	for (int f = 4; f <= 6; f += 2)
		ip("-%d neigh %s %s lladdr %s dev %s nud permanent", f, known ? "replace" : "del",
		   host_text(f, host), mac_text(pod_mac[device]), devices[device]);
}

static void route(enum host host, int device)
{
	for (int f = 4; f <= 6; f += 2)
		ip("-%d route replace %s dev %s", f, host_text(f, host), devices[device]);
}

static void write_file(const char *path, const char *text)
{
	FILE *file = fopen(path, "we");

	if (!file || fputs(text, file) < 0 || fclose(file))
		fail_msg("%s: %s", path, strerror(errno));
}

static int make_node(void **state)
{
	static const struct harness_options bypass = { .consts = { .bypass = 1 } };
	const char *why = "";

	(void)state;
	if (unshare(CLONE_NEWNET) < 0 || harness_load(&bypass, &why) < 0) {
		print_error("%s: %s\n", why, strerror(errno));
		return -1;
	}
	ip("link set lo up");
	for (int i = 0; i < 3; i++)
		add_device(i);
	write_file("/proc/sys/net/ipv4/ip_forward", "1");
	write_file("/proc/sys/net/ipv6/conf/all/forwarding", "1");
	return 0;
}

/* ---- a test --------------------------------------------------------------------------------------------------------- */

static void know_device(int device, bool known)
{
	struct sl_device value = { 0 };
	uint32_t ifindex = if_nametoindex(devices[device]);
	int fd = harness_map("sl_devices");

	if (known)
		assert_int_equal(bpf_map_update_elem(fd, &ifindex, &value, BPF_ANY), 0);
	else
		bpf_map_delete_elem(fd, &ifindex);
}

static void comes_by(int device)
{
	harness_ifindex = if_nametoindex(devices[device]);
	assert_true(harness_ifindex > 0);
}

/* Client and endpoint are pods of this node, and all is as it should be. */
static void begin(void **state)
{
	start(state);
	route(CLIENT, 0);
	route(BACKEND1, 1);
	know_neighbour(CLIENT, 0, true);
	know_neighbour(BACKEND1, 1, true);
	know_device(0, true);
	know_device(1, true);
	know_device(2, false);
	service(V, IPPROTO_TCP, READY(B1));
	service(V, IPPROTO_UDP, READY(B1));
	comes_by(0);
}

static const uint8_t usual_macs[12] = { 2, 0, 0, 0, 0, 0xaa, 2, 0, 0, 0, 0, 0xbb };

/* The packet is handed to the pod behind a device: as the stack would have sent it, one hop on. */
static void harness_hands_to(int device, struct packet in, enum sl_reason reason, struct packet out,
			     int line)
{
	struct outcome outcome = harness_run(POD_IN, &in, __FILE__, line);
	const char *difference;
	struct parsed parsed;

	if (outcome.verdict != TC_ACT_REDIRECT || outcome.reason != reason)
		fail_msg("%d: verdict %d, reason %u, out %s", line, outcome.verdict, outcome.reason,
			 frame_text(&outcome.out));
	if (memcmp(outcome.out.bytes, pod_mac[device], 6) ||
	    memcmp(outcome.out.bytes + 6, device_mac[device], 6))
		fail_msg("%d: to %s from %s, must be to %s from its device", line,
			 mac_text(outcome.out.bytes), mac_text(outcome.out.bytes + 6),
			 mac_text(pod_mac[device]));
	memcpy(outcome.out.bytes, usual_macs, sizeof(usual_macs));
	out.ttl = (uint8_t)((in.ttl ? in.ttl : 64) - 1);
	difference = frame_difference(&outcome.out, &out);
	packet_parse(outcome.out.bytes, outcome.out.len, outcome.out.l3, true, &parsed);
	if (difference || parsed.wrong[0])
		fail_msg("%d: came out as %s: %s", line, frame_text(&outcome.out),
			 difference ? difference : parsed.wrong);
}

#define hands_to(device, in, reason, out) \
	harness_hands_to(device, in, SL_REASON_##reason, out, __LINE__)

static bool is_bypassed(enum sl_flow_kind kind, uint8_t proto, struct end from, struct end to)
{
	struct flow_seen flow = flow_find(kind, proto, from, to);

	assert_int_equal(flow.copies, 1);
	return flow.value.flags & SL_FLOW_BYPASS;
}

/* A connection from pod to pod, all of it past the stack. */
static void opens_past_the_stack(void)
{
	comes_by(0);
	hands_to(1, TCP(family, C, V, SYN), NEW_FLOW, TCP(family, C, B1, SYN));
	assert_true(is_bypassed(SL_FLOW_REQUEST, IPPROTO_TCP, C, V));
	assert_true(is_bypassed(SL_FLOW_REPLY, IPPROTO_TCP, B1, C));
	comes_by(1);
	hands_to(0, TCP(family, B1, C, SYN | ACK), REPLY, TCP(family, V, C, SYN | ACK));
	expect_flow(REQUEST, IPPROTO_TCP, C, V, IN_NEW, REPLIED, C, B1);
	comes_by(0);
	hands_to(1, TCP(family, C, V, ACK), FLOW, TCP(family, C, B1, ACK));
	expect_flow(REPLY, IPPROTO_TCP, B1, C, IN_TCP, CONFIRMED, V, C);
}

/* The same where the stack has it; opened there or not. */
static void goes_through_the_stack(bool opened)
{
	comes_by(0);
	if (!opened)
		forwards(POD_IN, TCP(family, C, V, SYN), NEW_FLOW, TCP(family, C, B1, SYN));
	else
		forwards(POD_IN, TCP(family, C, V, ACK), FLOW, TCP(family, C, B1, ACK));
	comes_by(1);
	passes(POD_IN, TCP(family, B1, C, ACK), NOT_SERVICE);
	comes_by(0);
	forwards(POD_OUT, TCP(family, B1, C, ACK), REPLY, TCP(family, V, C, ACK));
}

/* ---- what goes that way --------------------------------------------------------------------------------------------- */

static void tcp_from_pod_to_pod(void **state)
{
	begin(state);
	opens_past_the_stack();
	for (uint16_t payload = 1; payload < 1400; payload += 350) {
		comes_by(0);
		hands_to(1, TCP(family, C, V, ACK | PSH, .payload = payload), FLOW,
			 TCP(family, C, B1, ACK | PSH, .payload = payload));
		comes_by(1);
		hands_to(0, TCP(family, B1, C, ACK, .payload = payload, .tcp_options = 12), REPLY,
			 TCP(family, V, C, ACK, .payload = payload, .tcp_options = 12));
	}
	hands_to(0, TCP(family, B1, C, FIN | ACK), REPLY, TCP(family, V, C, FIN | ACK));
	comes_by(0);
	hands_to(1, TCP(family, C, V, FIN | ACK), FLOW, TCP(family, C, B1, FIN | ACK));
	expect_flow(REQUEST, IPPROTO_TCP, C, V, IN_TCP, CLOSING, C, B1);
	expect_flow(REPLY, IPPROTO_TCP, B1, C, IN_TCP, CLOSING, V, C);
}

static void counts_are_those_of_any_flow(void **state)
{
	struct sl_backend_stats stats[64] = { 0 };
	uint64_t to = 0, from = 0;
	uint32_t id;

	begin(state);
	opens_past_the_stack();
	comes_by(1);
	hands_to(0, TCP(family, B1, C, ACK, .payload = 1000), REPLY,
		 TCP(family, V, C, ACK, .payload = 1000));
	id = backend_id(V, IPPROTO_TCP, B1);
	assert_int_equal(harness_lookup("be_stats", &id, stats), 0);
	for (int i = 0; i < 64; i++) {
		to += stats[i].packets_to;
		from += stats[i].packets_from;
	}
	assert_int_equal(to, 2);
	assert_int_equal(from, 2);
	assert_int_equal(flow_find(SL_FLOW_REQUEST, IPPROTO_TCP, C, V).value.packets, 2);
	assert_int_equal(flow_find(SL_FLOW_REPLY, IPPROTO_TCP, B1, C).value.packets, 2);
}

static void udp_from_pod_to_pod(void **state)
{
	begin(state);
	for (int i = 0; i < 3; i++) {
		enum sl_reason reason = i ? SL_REASON_FLOW : SL_REASON_NEW_FLOW;

		comes_by(0);
		harness_hands_to(1, UDP(family, C, V, .payload = 9), reason,
				 UDP(family, C, B1, .payload = 9), __LINE__);
		comes_by(1);
		hands_to(0, UDP(family, B1, C, .payload = 700), REPLY,
			 UDP(family, V, C, .payload = 700));
	}
	if (family == 4)
		hands_to(0, UDP(family, B1, C, .no_checksum = true), REPLY,
			 UDP(family, V, C, .no_checksum = true));
	expect_flow(REQUEST, IPPROTO_UDP, C, V, IN_UDP, CONFIRMED, C, B1);
}

/* Two VIPs, one client tuple, one endpoint: the second flow's source port is another, and the reply gets it back. */
static void a_changed_source_port_comes_back(void **state)
{
	struct end v2 = AT(VIP2, 80), changed;

	begin(state);
	service(v2, IPPROTO_TCP, READY(B1));
	opens_past_the_stack();
	comes_by(0);
	harness_run(POD_IN, &TCP(family, C, v2, SYN), __FILE__, __LINE__);
	changed = flow_find(SL_FLOW_REQUEST, IPPROTO_TCP, C, v2).from;
	assert_int_not_equal(changed.port, C.port);
	comes_by(1);
	hands_to(0, TCP(family, B1, changed, SYN | ACK), REPLY, TCP(family, v2, C, SYN | ACK));
}

static void errors_about_such_flows_are_translated_where_they_leave(void **state)
{
	struct packet about, told;

	begin(state);
	about = TCP(family, C, B1, ACK);
	told = TCP(family, C, V, ACK);
	opens_past_the_stack();
	comes_by(1);
	passes(POD_IN, ICMP_ERROR(family, ROUTER, CLIENT, UNREACHABLE, 1, &about), NOT_SERVICE);
	comes_by(0);
	forwards(POD_OUT, ICMP_ERROR(family, ROUTER, CLIENT, UNREACHABLE, 1, &about), ICMP_ERROR,
		 ICMP_ERROR(family, ROUTER, CLIENT, UNREACHABLE, 1, &told));
}

/* ---- what does not -------------------------------------------------------------------------------------------------- */

static void not_to_a_device_that_is_none_of_ours(void **state)
{
	begin(state);
	know_device(1, false);
	goes_through_the_stack(false);
	assert_false(is_bypassed(SL_FLOW_REQUEST, IPPROTO_TCP, C, V));
	/* the whole flow stays there, whatever comes later */
	know_device(1, true);
	goes_through_the_stack(true);
}

static void not_from_a_device_that_is_none_of_ours(void **state)
{
	begin(state);
	know_device(0, false);
	goes_through_the_stack(false);
	assert_false(is_bypassed(SL_FLOW_REPLY, IPPROTO_TCP, B1, C));
}

/* Replies would go to another device than the request came by: the stack must see both directions, or none. */
static void not_where_the_way_back_is_another(void **state)
{
	begin(state);
	know_device(2, true);
	know_neighbour(CLIENT, 2, true);
	route(CLIENT, 2);
	goes_through_the_stack(false);
	assert_false(is_bypassed(SL_FLOW_REQUEST, IPPROTO_TCP, C, V));
	route(CLIENT, 0);
	goes_through_the_stack(true);
}

static void not_before_the_neighbour_is_known(void **state)
{
	begin(state);
	know_neighbour(BACKEND1, 1, false);
	goes_through_the_stack(false);
	know_neighbour(BACKEND1, 1, true);
	goes_through_the_stack(true);
}

static void not_to_another_node(void **state)
{
	begin(state);
	route(BACKEND1, 2);
	know_neighbour(BACKEND1, 2, true);
	goes_through_the_stack(false);
}

static void not_what_came_by_an_uplink(void **state)
{
	begin(state);
	comes_by(2);
	forwards(UP_IN, TCP(family, C, V, SYN), NEW_FLOW, TCP(family, C, B1, SYN));
	assert_false(is_bypassed(SL_FLOW_REQUEST, IPPROTO_TCP, C, V));
}

static void not_a_pod_to_itself(void **state)
{
	struct end self = AT(CLIENT, 8080);

	begin(state);
	service(V, IPPROTO_TCP, READY(self));
	forwards(POD_IN, TCP(family, C, V, SYN), HAIRPIN, TCP(family, C, self, SYN));
	assert_false(is_bypassed(SL_FLOW_REQUEST, IPPROTO_TCP, C, V));
}

/* Two addresses of one pod: there is no other device. */
static void not_back_into_the_same_device(void **state)
{
	begin(state);
	route(BACKEND1, 0);
	know_neighbour(BACKEND1, 0, true);
	goes_through_the_stack(false);
	assert_false(is_bypassed(SL_FLOW_REQUEST, IPPROTO_TCP, C, V));
}

static void a_route_that_changes_takes_the_packets_along(void **state)
{
	begin(state);
	opens_past_the_stack();
	route(BACKEND1, 2);
	know_neighbour(BACKEND1, 2, true);
	comes_by(0);
	forwards(POD_IN, TCP(family, C, V, ACK), FLOW, TCP(family, C, B1, ACK));
	know_device(2, true);
	hands_to(2, TCP(family, C, V, ACK), FLOW, TCP(family, C, B1, ACK));
}

/* Not one direction without the other: a reply could still be handed to the client's device. */
static void both_directions_or_none(void **state)
{
	begin(state);
	opens_past_the_stack();
	know_device(1, false);
	goes_through_the_stack(true);
	know_device(1, true);
	know_device(0, false);
	goes_through_the_stack(true);
}

static void a_device_that_leaves_has_its_packets_by_the_stack(void **state)
{
	begin(state);
	opens_past_the_stack();
	know_device(0, false);
	know_device(1, false);
	goes_through_the_stack(true);
	know_device(0, true);
	know_device(1, true);
	comes_by(0);
	hands_to(1, TCP(family, C, V, ACK), FLOW, TCP(family, C, B1, ACK));
	comes_by(1);
	hands_to(0, TCP(family, B1, C, ACK), REPLY, TCP(family, V, C, ACK));
}

/* Its time is over: the stack says so to the sender, and must find the packet as it came. */
static void a_packet_at_its_last_hop_is_the_stacks(void **state)
{
	begin(state);
	opens_past_the_stack();
	comes_by(0);
	forwards(POD_IN, TCP(family, C, V, ACK, .ttl = 1), FLOW, TCP(family, C, B1, ACK, .ttl = 1));
	hands_to(1, TCP(family, C, V, ACK, .ttl = 2), FLOW, TCP(family, C, B1, ACK));
	comes_by(1);
	passes(POD_IN, TCP(family, B1, C, ACK, .ttl = 1), NOT_SERVICE);
}

static void packets_with_options_are_the_stacks(void **state)
{
	struct packet in, out;

	begin(state);
	opens_past_the_stack();
	in = TCP(family, C, V, ACK, .options = family == 4 ? 8 : 0,
		 .extensions = { family == 6 ? HOP_BY_HOP : 0 });
	out = in;
	out.to = B1;
	comes_by(0);
	forwards(POD_IN, in, FLOW, out);
}

/* The stack would see its SYN and not the answer, and its connection tracking would call invalid what comes next. */
static void a_flow_that_begins_with_options_is_the_stacks(void **state)
{
	struct packet in, out;

	begin(state);
	in = TCP(family, C, V, SYN, .options = family == 4 ? 8 : 0,
		 .extensions = { family == 6 ? HOP_BY_HOP : 0 });
	out = in;
	out.to = B1;
	forwards(POD_IN, in, NEW_FLOW, out);
	assert_false(is_bypassed(SL_FLOW_REQUEST, IPPROTO_TCP, C, V));
	comes_by(1);
	passes(POD_IN, TCP(family, B1, C, SYN | ACK), NOT_SERVICE);
}

static void fragments_are_the_stacks(void **state)
{
	struct packet whole, out;

	begin(state);
	comes_by(0);
	hands_to(1, UDP(family, C, V, .payload = 9), NEW_FLOW, UDP(family, C, B1, .payload = 9));
	comes_by(1);
	hands_to(0, UDP(family, B1, C, .payload = 9), REPLY, UDP(family, V, C, .payload = 9));
	for (uint16_t at = 0; at < 1600; at += 800) {
		comes_by(0);
		whole = UDP(family, C, V, .payload = 1592, .id = 77, .slice_at = at,
			    .slice_len = 800);
		out = whole;
		out.to = B1;
		forwards(POD_IN, whole, FLOW, out);
	}
}

/* Nor is a flow that begins with one: all of its datagrams may be as long. */
static void a_flow_that_begins_in_pieces_is_the_stacks(void **state)
{
	struct packet in, out;

	begin(state);
	in = UDP(family, C, V, .payload = 1592, .id = 77, .slice_len = 800);
	out = in;
	out.to = B1;
	forwards(POD_IN, in, NEW_FLOW, out);
	assert_false(is_bypassed(SL_FLOW_REQUEST, IPPROTO_UDP, C, V));
}

static void what_is_no_reply_passes(void **state)
{
	begin(state);
	comes_by(1);
	passes(POD_IN, TCP(family, B1, C, ACK), NOT_SERVICE);
	passes(POD_IN, UDP(family, B1, AT(STRANGER, 53), .payload = 3), NOT_SERVICE);
	passes(POD_IN, ICMP(family, BACKEND1, CLIENT, ECHO_REQUEST), NOT_SERVICE);
}

/* An endpoint of this service is a client of another, and of the same: its requests go their own way. */
static void an_endpoint_is_a_client_too(void **state)
{
	struct end from = AT(BACKEND1, 50000), v2 = AT(VIP2, 80), to = AT(CLIENT, 9090);

	begin(state);
	service(v2, IPPROTO_TCP, READY(to));
	comes_by(1);
	hands_to(0, TCP(family, from, v2, SYN), NEW_FLOW, TCP(family, from, to, SYN));
	comes_by(0);
	hands_to(1, TCP(family, to, from, SYN | ACK), REPLY, TCP(family, v2, from, SYN | ACK));
	comes_by(1);
	hands_to(0, TCP(family, from, v2, ACK), FLOW, TCP(family, from, to, ACK));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		FOR_ALL(tcp_from_pod_to_pod),
		FOR_ALL(counts_are_those_of_any_flow),
		FOR_ALL(udp_from_pod_to_pod),
		FOR_ALL(a_changed_source_port_comes_back),
		FOR_ALL(errors_about_such_flows_are_translated_where_they_leave),
		FOR_ALL(not_to_a_device_that_is_none_of_ours),
		FOR_ALL(not_from_a_device_that_is_none_of_ours),
		FOR_ALL(not_where_the_way_back_is_another),
		FOR_ALL(not_before_the_neighbour_is_known),
		FOR_ALL(not_to_another_node),
		FOR_ALL(not_what_came_by_an_uplink),
		FOR_ALL(not_a_pod_to_itself),
		FOR_ALL(not_back_into_the_same_device),
		FOR_ALL(a_route_that_changes_takes_the_packets_along),
		FOR_ALL(both_directions_or_none),
		FOR_ALL(a_device_that_leaves_has_its_packets_by_the_stack),
		FOR_ALL(a_packet_at_its_last_hop_is_the_stacks),
		FOR_ALL(packets_with_options_are_the_stacks),
		FOR_ALL(a_flow_that_begins_with_options_is_the_stacks),
		FOR_ALL(fragments_are_the_stacks),
		FOR_ALL(a_flow_that_begins_in_pieces_is_the_stacks),
		FOR_ALL(what_is_no_reply_passes),
		FOR_ALL(an_endpoint_is_a_client_too),
	};

	return cmocka_run_group_tests_name("bypass", tests, make_node, harness_teardown);
}
