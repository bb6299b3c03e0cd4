#!/usr/bin/env bats
# Interfaces come, go, are renamed, and belong to others too.

setup_file() {
	load topology
	load manifests
	begin_node server:11
}

teardown_file() {
	load topology
	topology_names "$T_ID"
	topology_end
}

setup() {
	load topology
	load manifests
	load helpers
	begin_test
	service web 10.96.0.10 fd00:10:96::10
	endpoints web 11
}

teardown() {
	end_test
	pod_gone 100
	agent_cleanup >/dev/null
	in_ns node ip link del probe0 2>/dev/null || :
	in_ns node ip link del cni9 2>/dev/null || :
}

pod_gone() {
	in_ns node ip link del "pod-$1" 2>/dev/null || :
	[ ! -e "/run/netns/$(ns_of client)" ] || ip netns del "$(ns_of client)"
}

# is_attached INTERFACE: "hook/how hook/how …", sorted
attached() { ctl attach -o json | jq -r --arg i "$1" '[.items[] | select(.interface == $i and .state == "ok") | "\(.hook)/\(.how)"] | sort | join(" ")'; }
is_attached() { [ "$(attached "$1")" = "$2" ]; }
class_of() { ask interfaces | jq -r --arg i "$1" '.interfaces[] | select(.name == $i).class'; }

@test "a pod that comes later is served within a second, and its pins go with it" {
	agent_start
	topology_pod client 100
	wait_for 1 "the pod's hooks" is_attached pod-100 'egress/tcx ingress/tcx'
	in_ns client "$CALL" tcp 10.96.0.10 80
	local index
	index=$(ifindex pod-100)
	pod_gone 100
	index_is_gone() { ! pinned links | grep -q "_$index\$"; }
	wait_for 5 "its pins to go" index_is_gone
}

# An agent whose uplink only routes can tell.
start_auto() {
	in_ns_bg node "$SLUICED" --source "dir:$MANIFESTS" --node-name node-1 --node-ip 203.0.113.77 --uplink auto --pod-ifaces 'pod-*' \
		--bpffs "$BPFFS" --cgroup "$CGROUP" --admin-socket "$ADMIN" "${AGENT_OPTIONS[@]}" >>"$T_DIR/sluiced.log" 2>&1
	echo $! >"$T_DIR/sluiced.pid"
	disown
	wait_for 20 "sluiced to be ready" agent_is_ready
}

@test "the device of the default route is found beside narrower routes, and where two halves stand for it" {
	local routes=(192.0.3.0/24 192.0.0.0/20 193.0.0.0/8 128.0.0.0/3) route
	in_ns node ip link add probe0 type veth peer name probe1
	in_ns node ip link set probe0 up
	in_ns node ip link set probe1 up
	for route in "${routes[@]}"; do in_ns node ip route add "$route" dev probe1; done
	in_ns node ip route add 192.0.2.1/32 dev probe1 # the addresses that are asked for first
	in_ns node ip -6 route add 2001:db8:ffff::1/128 dev probe1
	in_ns node ip -6 route add 2001:db8:fffe::/47 dev probe1
	start_auto
	assert_equal "$(class_of up0)" uplink
	assert_equal "$(class_of probe1)" ""
	agent_stop
	# a tunnel's way to take everything
	in_ns node ip link add tun9 type veth peer name tun8
	in_ns node ip link set tun9 up
	in_ns node ip link set tun8 up
	in_ns node ip route add 0.0.0.0/1 dev tun9
	in_ns node ip route add 128.0.0.0/1 dev tun9
	start_auto
	assert_equal "$(class_of tun9)" uplink
	in_ns node ip link del tun9
}

@test "a hundred pods come and go: one program a hook, no pin too many" {
	agent_start
	local i before
	before=$(pinned links | wc -l)
	for i in $(seq 100); do
		in_ns node ip link add "pod-t$i" type veth peer name p netns "$(ns_of world)"
		in_ns world ip link set p name "w$i"
		[ $((i % 3)) != 0 ] || in_ns node ip link set "pod-t$i" name "pod-r$i"
		[ $((i % 2)) = 0 ] || in_ns node ip link del "pod-t$i" 2>/dev/null || in_ns node ip link del "pod-r$i"
	done
	links_right() {
		[ "$(pinned links | wc -l)" = $((before + 100)) ] &&
			ctl attach -o json | jq -e '[.items[] | select(.interface | startswith("pod-t") or startswith("pod-r"))] |
				length == 100 and all(.state == "ok") and ([.[].linkId] | unique | length == 100)'
	}
	wait_for 10 "50 pods with two hooks each" links_right
	for i in $(seq 100); do
		in_ns node ip link del "pod-t$i" 2>/dev/null || in_ns node ip link del "pod-r$i" 2>/dev/null || :
	done
	none_left() { [ "$(pinned links | wc -l)" = "$before" ]; }
	wait_for 10 "no pin to be left" none_left
}

@test "a hook that was torn off is set again and counted" {
	agent_start
	local index
	index=$(ifindex pod-11)
	rm "$BPFFS/sluice/v1/links/tc_in_$index"
	in_ns node ip link set pod-11 alias touched # something for netlink to tell
	wait_for 35 "the hook to be back" is_attached pod-11 'egress/tcx ingress/tcx'
	reattached() { in_ns node curl -s http://127.0.0.1:10249/metrics | grep -q '^sluice_hook_changes_total{change="reattached"} 1'; }
	wait_for 5 "it to be counted" reattached
}

@test "somebody else's XDP program stays; tc serves, and status says so" {
	"$BPFTOOL" prog loadall "$BPF_DIR/sluice_xdp.bpf.o" "$BPFFS/foreign" 2>/dev/null
	in_ns node "$BPFTOOL" net attach xdp pinned "$BPFFS/foreign/sl_xdp" dev up0
	topology_agent "${AGENT_OPTIONS[@]}"
	wait_for 20 "sluiced to sync" ask_is status '.synced and .hooks.foreign == 1'
	is_attached up0 'egress/tcx ingress/tcx'
	run ask problems
	assert_output --partial 'another XDP program owns the device'
	in_ns node ip link show up0 | grep -q xdp
	in_ns node "$BPFTOOL" net detach xdp dev up0
	rm -r "$BPFFS/foreign"
	in_ns node ip link set up0 alias touched
	wait_for 35 "XDP to be attached when it is free" is_attached up0 'egress/tcx ingress/tcx xdp/native'
	in_ns node ip link set up0 alias ''
}

@test "somebody else's clsact filter on an egress: ours goes behind it" {
	topology_pod client 100
	"$BPFTOOL" prog loadall "$BPF_DIR/sluice_tc.bpf.o" "$BPFFS/foreign" 2>/dev/null
	in_ns node tc qdisc add dev pod-100 clsact
	in_ns node tc filter add dev pod-100 egress prio 7 bpf da pinned "$BPFFS/foreign/sl_l3_in"
	agent_start
	is_attached pod-100 'egress/clsact ingress/tcx'
	in_ns client "$CALL" tcp 10.96.0.10 80
	agent_cleanup
	run in_ns node tc filter show dev pod-100 egress
	assert_output --partial 'pref 7'
	refute_output --partial sl_pod_out
	rm -r "$BPFFS/foreign"
}

@test "interfaces are found without options: route, addresses, veths, tunnels" {
	in_ns node ip link add probe0 type vxlan id 7 dstport 4789 dev up0 2>/dev/null || skip "kernel without vxlan"
	in_ns node ip link set probe0 up
	in_ns_bg node "$SLUICED" --source "dir:$MANIFESTS" --node-name node-1 --bpffs "$BPFFS" --cgroup "$CGROUP" \
		--admin-socket "$ADMIN" "${AGENT_OPTIONS[@]}" >>"$T_DIR/sluiced.log" 2>&1
	echo $! >"$T_DIR/sluiced.pid"
	wait_for 20 "sluiced to be ready" agent_is_ready
	assert_equal "$(class_of up0)" uplink
	assert_equal "$(class_of pod-11)" pod
	assert_equal "$(class_of probe0)" overlay
	is_attached up0 'egress/tcx ingress/tcx xdp/native'
	is_attached probe0 'egress/tcx ingress/tcx'
}

@test "the node's own address is found, and followed" {
	in_ns_bg node "$SLUICED" --source "dir:$MANIFESTS" --node-name node-1 --bpffs "$BPFFS" --cgroup "$CGROUP" \
		--admin-socket "$ADMIN" "${AGENT_OPTIONS[@]}" >>"$T_DIR/sluiced.log" 2>&1
	echo $! >"$T_DIR/sluiced.pid"
	wait_for 20 "sluiced to be ready" agent_is_ready
	node4() { "$BPFTOOL" -j map dump pinned "$BPFFS/sluice/v1/maps/sl_config" | jq -c '.[0].formatted.value.node4'; }
	node4_is() { [ "$(node4)" = "$1" ]; }
	wait_for 5 "the address in sl_config" node4_is '[192,0,2,1]'
	in_ns node ip addr del "$NODE4/24" dev up0
	in_ns node ip addr add 192.0.2.7/24 dev up0
	wait_for 5 "the new address in sl_config" node4_is '[192,0,2,7]'
	in_ns node ip addr del 192.0.2.7/24 dev up0
	in_ns node ip addr add "$NODE4/24" dev up0
	in_ns node ip route replace default via "$WORLD4"
	in_ns node ip route replace 10.244.1.11/32 dev pod-11 src "$NODE4"
}

@test "a pod pattern that names only a bridge is refused with the reason" {
	in_ns node ip link add cni9 type bridge
	run agent_run --check --pod-ifaces 'cni*'
	assert_failure 1
	assert_output --partial 'cni9'
	assert_output --partial 'bridge'
	run agent_run --check --pod-ifaces 'pod-*'
	assert_success
}

@test "devices without Ethernet header get programs of their own" {
	in_ns node ip tuntap add dev probe0 mode tun 2>/dev/null || skip "kernel without tun"
	in_ns node ip link set probe0 up
	agent_start --overlay-ifaces probe0
	assert_equal "$(ctl attach -o json | jq -r '[.items[] | select(.interface == "probe0").program] | sort | join(" ")')" 'sl_l3_in sl_l3_out'
}
