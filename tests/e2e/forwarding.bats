#!/usr/bin/env bats
# --forwarding fast: packets between two pods of this node do not pass its stack, in neither direction; all others do as ever. The rest
# of what fast must do as well is in packets_fast.bats.
# shellcheck disable=SC1091,SC2016,SC2034,SC2086,SC2154

. "$BATS_TEST_DIRNAME/topology.bash"
. "$BATS_TEST_DIRNAME/manifests.bash"
. "$BATS_TEST_DIRNAME/helpers.bash"

PODS=ai-11,ai-12,ai-13
WEB4=10.96.0.20 WEB6=fd00:10:96::20

setup_file() {
	begin_node ai-11:11 ai-12:12 ai-13:13 client:100
	topology_far
	topology_model far
	service web $WEB4 $WEB6
	endpoints web 11 12 13
}

setup() { begin_test; }
teardown() { end_test; }
teardown_file() { topology_end; }

# Agent with options, in the place of the one before.
with() {
	agent_stop
	agent_start --socket-lb off "$@"
	settled
}

# The node's neighbours: where one is unknown, a flow goes through the stack, which asks for it.
meet_pods() {
	local n
	for n in 11 12 13 100; do
		in_ns node "$CALL" udp 10.244.1.$n 8080 --timeout 300 >/dev/null || :
		in_ns node "$CALL" udp fd00:10:244:1::$n 8080 --timeout 300 >/dev/null || :
	done
}

# What the node's stack forwarded.
forwarded() { echo $(($(counter node Ip ForwDatagrams) + $(counter node Ip6OutForwDatagrams))); }

# assert_past_the_stack BEFORE: none of the 4,000 packets and more of ask_web was forwarded; what ends a flow of a test before may be.
assert_past_the_stack() {
	[ $(($(forwarded) - $1)) -lt 40 ] || fail "$(($(forwarded) - $1)) packets were forwarded"
}

# 400 requests over each family, TCP and UDP, all of them new flows.
ask_web() {
	local address
	for address in $WEB4 $WEB6; do
		assert_balanced client $address 80 $PODS --tcp 200 --udp 200 --new-ports
	done
}

# sl_devices, by number, and the pods' devices
handed_to() { "$BPFTOOL" -j map dump pinned "$BPFFS/sluice/v1/maps/sl_devices" | jq -r '.[].formatted.key' | sort -n; }
devices() { in_ns node ip -j link | jq -r '.[] | select(.ifname | startswith("pod-")) | .ifindex' | sort -n; }
devices_are_handed_to() { [ "$(handed_to)" = "$(devices)" ]; }

@test "requests and answers from pod to pod do not pass the node's stack" {
	local before replies
	with --forwarding fast
	meet_pods
	before=$(forwarded) replies=$(counted REPLY egressPackets)
	ask_web
	assert_past_the_stack $before
	assert_equal "$(counted REPLY egressPackets)" "$replies"
	[ "$(counted REPLY ingressPackets)" -ge 1000 ] || fail "$(ctl counters)"
	ctl flows -o json | jq -e '[.items[] | select(.flags | index("fast"))] | length > 100'
}

@test "the same by clsact filters" {
	local before
	with --forwarding fast --tc clsact
	meet_pods
	before=$(forwarded)
	ask_web
	assert_past_the_stack $before
}

@test "control: with --forwarding stack, all of it does" {
	local before replies
	with --forwarding stack
	meet_pods
	before=$(forwarded) replies=$(counted REPLY ingressPackets)
	ask_web
	[ $(($(forwarded) - before)) -ge 4000 ] || fail "only $(($(forwarded) - before)) packets"
	assert_equal "$(counted REPLY ingressPackets)" "$replies"
	assert_equal "$(handed_to)" "" # nobody asks
}

@test "changed under load, there and back: no request fails" {
	local loads=() i address
	with --forwarding stack
	meet_pods
	for address in $WEB4 $WEB6; do
		in_ns_bg client "$LOAD" $address 80 --long 40 --streams 10 --tcp 0 --udp 0 --rate 100 --seconds 120 \
			--least 200 --expect $PODS >"$T_DIR/load.${#address}"
		loads+=($!)
	done
	wait_for 20 "the load to run" has_connections 70
	for i in 1 2 3; do
		with --forwarding fast
		with --forwarding stack
	done
	with --forwarding fast
	kill -TERM "${loads[@]}"
	for i in "${loads[@]}"; do
		wait $i || :
	done
	run cat "$T_DIR"/load.*
	assert_equal "$(awk '$1 == "bad" { s += $2 } /\.(refused|aborted) / { s += $2 } END { print s + 0 }' <<<"$output")" 0
}

has_connections() { [ "$(in_ns client ss -Htn state established | wc -l)" -ge "$1" ]; }

@test "endpoints of other nodes, and clients from outside, are served by the stack" {
	local address
	with --forwarding fast
	service mixed 10.96.0.36 fd00:10:96::36
	endpoints mixed 11 12 far
	settled
	for address in 10.96.0.36 fd00:10:96::36; do
		assert_balanced client $address 80 ai-11,ai-12,far --tcp 100 --udp 100
	done
	for address in $WEB4 $WEB6; do
		assert_balanced world $address 80 $PODS --tcp 100 --udp 100
	done
	forget mixed
}

@test "a pod behind a narrower device: what does not fit is the stack's, which says so" {
	local address
	with --forwarding fast
	service narrow 10.96.0.35 fd00:10:96::35
	endpoints narrow 13
	settled
	ip -n "$(ns_of node)" link set pod-13 mtu 1300
	ip -n "$(ns_of ai-13)" link set eth0 mtu 1300
	topology_offload off
	meet_pods
	for address in 10.96.0.35 fd00:10:96::35; do
		call_from client tcp $address 80 --put 1000000
		assert_success
		call_from client tcp $address 80 --get 1000000
		assert_success
	done
	topology_offload on
	ip -n "$(ns_of node)" link set pod-13 mtu 1500
	ip -n "$(ns_of ai-13)" link set eth0 mtu 1500
	forget narrow
}

@test "sl_devices is what is attached, and follows pods that come and go" {
	local before
	with --forwarding fast
	wait_for 10 "all devices" devices_are_handed_to
	ip netns del "$(ns_of ai-12)" # its process goes on in a namespace without a name, and its device is here still
	ip -n "$(ns_of node)" link del pod-12
	wait_for 10 "one less" devices_are_handed_to
	assert_equal "$(handed_to | wc -l)" 3
	topology_pod ai-12 12
	topology_model ai-12
	wait_for 10 "and one more" devices_are_handed_to
	assert_equal "$(handed_to | wc -l)" 4
	settled
	meet_pods
	before=$(forwarded)
	ask_web
	assert_past_the_stack $before
}

is_not_handed_to() { ! handed_to | grep -qx "$1"; }
is_handed_to() { handed_to | grep -qx "$1"; }

@test "a pod whose bandwidth is limited has its packets through its qdisc" {
	local before device
	with --forwarding fast
	device=$(in_ns node ip -j link show pod-100 | jq ".[0].ifindex")
	in_ns node tc qdisc add dev pod-100 root tbf rate 1gbit burst 1mb latency 50ms
	wait_for 5 "the device to be left out" is_not_handed_to "$device"
	meet_pods
	before=$(in_ns node tc -j -s qdisc show dev pod-100 root | jq '.[0].packets')
	assert_balanced client $WEB4 80 $PODS --tcp 100 --new-ports
	[ $(($(in_ns node tc -j -s qdisc show dev pod-100 root | jq '.[0].packets') - before)) -ge 400 ]
	in_ns node tc qdisc del dev pod-100 root
	wait_for 5 "the device to be back" is_handed_to "$device"
}

@test "the agent is killed: flows go on past the stack, and new ones too" {
	local before
	with --forwarding fast
	meet_pods
	before=$(forwarded)
	agent_stop KILL
	ask_web
	assert_past_the_stack $before
}
