#!/usr/bin/env bats
# Pods on one bridge: the reply of a neighbour goes straight over the bridge and never passes the node's stack.
# shellcheck disable=SC1091,SC2016,SC2034,SC2086,SC2154

. "$BATS_TEST_DIRNAME/topology.bash"
. "$BATS_TEST_DIRNAME/manifests.bash"

PODS=ai-11,ai-12,ai-13
WEB4=10.96.0.20 WEB6=fd00:10:96::20

setup_file() {
	local n
	begin_file
	topology_node
	for n in "${CLUSTER_PODS[@]}"; do
		topology_bridge_pod "ai-$n" "$n"
		topology_model "ai-$n"
	done
	topology_bridge_pod client 100
	service web $WEB4 $WEB6
	endpoints web 11 12 13
	topology_agent --socket-lb off
	topology_settled 30
}

setup() { begin_test; }
teardown() { end_test; }
teardown_file() { topology_end; }

@test "a pod reaches its neighbours on the bridge: TCP and UDP, IPv4 and IPv6" {
	local address
	for address in $WEB4 $WEB6; do
		assert_balanced client $address 80 $PODS --tcp 200 --udp 200
		assert_balanced client $address 80 $PODS --udp 100 --unconnected
	done
	[ "$(counted REPLY egressPackets)" -gt 1000 ] || fail "$(ctl counters)"
}

@test "a pod on the bridge reaches itself" {
	local proto address
	service self 10.96.0.30 fd00:10:96::30
	endpoints self 11
	settled
	for address in 10.96.0.30 fd00:10:96::30; do
		for proto in tcp udp; do
			call_from ai-11 $proto $address 80 --count 3
			assert_success
			assert_output --partial 'name=ai-11'
		done
		call_from ai-11 tcp $address 80 --put 3000000
		assert_success
	done
}

@test "the node and the outside reach the pods on the bridge" {
	local ns address
	for ns in node world; do
		for address in $WEB4 $WEB6; do
			assert_balanced $ns $address 80 $PODS --tcp 100 --udp 100
		done
	done
}

@test "large transfers and datagrams over the bridge" {
	local address
	for address in $WEB4 $WEB6; do
		call_from client tcp $address 80 --put 30000000 --timeout 20000
		assert_success
		call_from client tcp $address 80 --get 30000000 --timeout 20000
		assert_success
		call_from client udp $address 80 --size 8000 --count 5
		assert_success
	done
	assert_equal "$(counter client Tcp InCsumErrors) $(counter ai-11 Tcp InCsumErrors)" "0 0"
}

@test "no endpoint: refused" {
	service empty 10.96.0.32 fd00:10:96::32
	endpoints empty
	settled
	assert_refused client tcp 10.96.0.32 80
	assert_refused client udp fd00:10:96::32 80
}

@test "a pattern that names only the bridge is refused: replies would keep the pods' addresses" {
	run in_ns node "$SLUICED" --check --source "dir:$MANIFESTS" --node-name node-1 --pod-ifaces cni0
	assert_failure
	assert_output --partial 'only the bridge cni0'
}
