#!/usr/bin/env bats
# Service traffic of pods and of the outside, translated by packet: tc on the pods' devices and on the uplink.
# Pods' sockets are left alone here (--socket-lb off); what the sockets do is in sockets.bats.
# packets_fast.bats is this file once more, with --forwarding fast.
# shellcheck disable=SC1091,SC2016,SC2034,SC2086,SC2154

. "$BATS_TEST_DIRNAME/topology.bash"
. "$BATS_TEST_DIRNAME/manifests.bash"

PODS=ai-11,ai-12,ai-13
case $BATS_TEST_FILENAME in
*_fast*) FORWARDING=fast ;;
*) FORWARDING=stack ;;
esac
WEB4=10.96.0.20 WEB6=fd00:10:96::20

setup_file() {
	begin_node ai-11:11 ai-12:12 ai-13:13 client:100
	topology_far
	topology_model far
	service web $WEB4 $WEB6
	endpoints web 11 12 13
	topology_agent --socket-lb off --forwarding $FORWARDING
	topology_settled 30
}

setup() { begin_test; }
teardown() { end_test; }
teardown_file() { topology_end; }

@test "a pod reaches every endpoint: TCP and UDP, IPv4 and IPv6" {
	local address before
	before=$(counted NEW_FLOW ingressPackets)
	for address in $WEB4 $WEB6; do
		assert_balanced client $address 80 $PODS --tcp 200 --udp 200
		assert_balanced client $address 8080 $PODS --tcp 100
		assert_balanced client $address 80 $PODS --udp 100 --unconnected
	done
	# all of it by packet; a source port may have come twice
	[ $(($(counted NEW_FLOW ingressPackets) - before)) -ge 1190 ] || fail "$(ctl counters)"
	assert_equal "$(counted SOCKET)" 0
}

@test "a client on the outside reaches every endpoint by the uplink" {
	local address
	for address in $WEB4 $WEB6; do
		assert_balanced world $address 80 $PODS --tcp 200 --udp 200
	done
}

@test "an IPv4 address in an IPv6 socket (v4-mapped)" {
	local proto
	for proto in tcp udp; do
		call_from client $proto $WEB4 80 --mapped
		assert_success
		assert_output --partial "peer=[::ffff:$WEB4]:80"
	done
	call_from client udp $WEB4 80 --mapped --unconnected
	assert_output --partial "from=[::ffff:$WEB4]:80"
}

@test "the peer is the service, whatever is asked: getpeername, recvfrom" {
	call_from client tcp $WEB4 80
	assert_output --partial "peer=$WEB4:80"
	call_from client udp $WEB4 80
	assert_output --partial "peer=$WEB4:80 from=$WEB4:80"
	call_from client udp $WEB6 80 --unconnected
	assert_output --partial "from=[$WEB6]:80"
}

@test "a UDP flow stays with its endpoint" {
	call_from client udp $WEB4 80 --count 20
	assert_success
	[ "$(grep -o 'name=[^ ]*' <<<"$output" | sort -u | wc -l)" = 1 ] || fail "$output"
}

@test "a pod reaches itself through its service: TCP and UDP, small and large" {
	local address proto
	service self 10.96.0.30 fd00:10:96::30
	endpoints self 11
	settled
	for address in 10.96.0.30 fd00:10:96::30; do
		for proto in tcp udp; do
			call_from ai-11 $proto $address 80 --count 3
			assert_success
			assert_output --partial 'name=ai-11'
			refute_output --partial 'error'
		done
		call_from ai-11 tcp $address 80 --put 3000000
		assert_success
		call_from ai-11 tcp $address 80 --get 3000000
		assert_success
		call_from ai-11 udp $address 80 --size 1200 --count 5
		assert_success
	done
	# and others reach it as ever
	call_from client tcp 10.96.0.30 80
	assert_output --partial 'name=ai-11'
}

@test "a pod reaches itself or another through one service, on each connection anew" {
	assert_balanced ai-11 $WEB4 80 $PODS --tcp 200 --udp 200
	assert_balanced ai-12 $WEB6 80 $PODS --tcp 200 --udp 200
}

@test "affinity: a client stays with its endpoint, and only as long as the timeout" {
	local n before after again
	sticky() {
		service sticky 10.96.0.31 fd00:10:96::31 'sessionAffinity: ClientIP' \
			"sessionAffinityConfig: { clientIP: { timeoutSeconds: $1 } }"
		endpoints sticky 11 12 13
		settled
	}
	sticky 600 # a busy machine must not make it expire
	for n in $(seq 200 219); do
		ip -n "$(ns_of client)" addr add 10.244.1.$n/32 dev eth0
		ip -n "$(ns_of node)" route add 10.244.1.$n/32 dev pod-100
	done
	ask_all() {
		for n in $(seq 200 219); do
			in_ns client "$CALL" "$1" 10.96.0.31 80 --source 10.244.1.$n | sed "s/^ok name=\([^ ]*\).*/$n \1/"
		done
	}
	before=$(ask_all tcp)
	after=$(ask_all udp) # another port of the service: an affinity of its own
	again=$(ask_all tcp)
	[ "$(awk '{ print $2 }' <<<"$before" | sort -u | tr '\n' ' ')" = "ai-11 ai-12 ai-13 " ] || fail "$before"
	assert_equal "$again" "$before"
	assert_equal "$(ask_all udp)" "$after"
	sticky 2
	sleep 2.2 # the timeout is what is tested
	again=$(ask_all tcp)
	[ "$again" != "$before" ] || fail "twenty clients, and all of them stayed"
	for n in $(seq 200 219); do
		ip -n "$(ns_of client)" addr del 10.244.1.$n/32 dev eth0
		ip -n "$(ns_of node)" route del 10.244.1.$n/32 dev pod-100
	done
}

@test "no endpoint: refused at once, and served again when there is one" {
	local ns address
	service empty 10.96.0.32 fd00:10:96::32
	endpoints empty
	settled
	for ns in client world; do
		for address in 10.96.0.32 fd00:10:96::32; do
			assert_refused $ns tcp $address 80
			assert_refused $ns udp $address 80
		done
	done
	endpoints empty 12
	settled
	call_from client tcp 10.96.0.32 80
	assert_output --partial 'name=ai-12'
	call_from client udp fd00:10:96::32 80
	assert_output --partial 'name=ai-12'
}

@test "a port that the service does not have is refused" {
	local ns address before
	before=$(counted UNKNOWN_PORT ingressPackets)
	for ns in client world; do
		for address in $WEB4 $WEB6; do
			assert_refused $ns tcp $address 81
			assert_refused $ns udp $address 8080
		done
	done
	[ $(($(counted UNKNOWN_PORT ingressPackets) - before)) -ge 8 ]
}

@test "an address of the service range that no service has: dropped" {
	local before
	before=$(counted UNALLOCATED ingressPackets)
	assert_silent client tcp 10.96.77.77 80
	assert_silent client udp 10.96.77.77 80
	assert_silent client tcp fd00:10:96::7777 80
	[ $(($(counted UNALLOCATED ingressPackets) - before)) -ge 3 ]
}

@test "endpoints that are not ready are not used; terminating ones only when no other is left" {
	service rolling 10.96.0.33 fd00:10:96::33
	endpoints rolling 11 12,ready=false,serving=true,terminating=true 13,ready=false,serving=false
	settled
	run in_ns client "$LOAD" 10.96.0.33 80 --tcp 100 --udp 100 --rate 3000 --expect ai-11
	assert_success
	endpoints rolling 11,ready=false,serving=false 12,ready=false,serving=true,terminating=true 13,ready=false,serving=true
	settled
	run in_ns client "$LOAD" fd00:10:96::33 80 --tcp 100 --udp 100 --rate 3000 --expect ai-12
	assert_success
	endpoints rolling 11,ready=false,serving=false
	settled
	assert_refused client tcp 10.96.0.33 80
	forget rolling
}

@test "internal traffic policy Local: endpoints of this node, or none" {
	local before
	service local 10.96.0.34 fd00:10:96::34 'internalTrafficPolicy: Local'
	endpoints local 11 far
	settled
	run in_ns client "$LOAD" 10.96.0.34 80 --tcp 100 --udp 100 --rate 3000 --expect ai-11
	assert_success
	run in_ns client "$LOAD" fd00:10:96::34 80 --tcp 100 --udp 100 --rate 3000 --expect ai-11
	assert_success
	before=$(counted NO_LOCAL_ENDPOINT)
	endpoints local far
	settled
	assert_silent client tcp 10.96.0.34 80
	assert_silent client udp fd00:10:96::34 80
	[ "$(counted NO_LOCAL_ENDPOINT)" -gt "$before" ]
	endpoints local
	settled
	assert_refused client tcp 10.96.0.34 80
}

@test "an endpoint on another node" {
	local address
	service abroad 10.96.0.35 fd00:10:96::35
	endpoints abroad far
	settled
	for address in 10.96.0.35 fd00:10:96::35; do
		call_from client tcp $address 80
		assert_output --partial 'name=far'
		call_from client udp $address 80
		assert_output --partial 'name=far'
	done
}

@test "datagrams larger than the MTU: fragments both ways" {
	local address size
	service abroad 10.96.0.35 fd00:10:96::35
	endpoints abroad far
	settled
	for size in 1473 4000 20000; do
		for address in $WEB4 $WEB6; do
			call_from client udp $address 80 --size $size --count 5
			assert_success
			assert_line --index 4 --partial "bytes=$size"
			call_from world udp $address 80 --size $size --count 5
			assert_success
		done
	done
	[ "$(counted FRAGMENT)" = 0 ] || fail "$(ctl counters)"
	# IPv4 routers fragment, too
	call_from client udp 10.96.0.35 80 --size 4000 --count 5
	assert_success
}

# Which path MTU does a namespace know towards an address?
path_mtu() { in_ns "$1" ip route get "$2" | grep -o 'mtu [0-9]*' | head -n 1; }

@test "the client learns the path MTU: need-to-fragment comes back with the service's address inside" {
	local address
	service abroad 10.96.0.35 fd00:10:96::35
	endpoints abroad far
	settled
	for address in 10.96.0.35 fd00:10:96::35; do
		in_ns client ip route flush cache
		in_ns client ip -6 route flush cache
		assert_equal "$(path_mtu client $address)" ""
		call_from client tcp $address 80 --put 3000000
		assert_success
		[ "$(sed -n 's/.*ms=\([0-9]*\).*/\1/p' <<<"$output")" -lt 1500 ] || fail "too slow: $output"
		assert_equal "$(path_mtu client $address)" "mtu $FAR_MTU"
	done
	[ "$(counted ICMP_ERROR egressPackets)" -ge 2 ] || fail "$(ctl counters)"
}

@test "an endpoint learns the path MTU to a client: the error about its reply is addressed to the service" {
	local address
	service one 10.96.0.36 fd00:10:96::36
	endpoints one 13
	settled
	for address in 10.96.0.36 fd00:10:96::36; do
		call_from far tcp $address 80 --get 3000000
		assert_success
	done
	assert_equal "$(path_mtu ai-13 $FAR_POD4)" "mtu $FAR_MTU"
	assert_equal "$(path_mtu ai-13 $FAR_POD6)" "mtu $FAR_MTU"
	[ "$(counted ICMP_ERROR ingressPackets)" -ge 2 ] || fail "$(ctl counters)"
}

# Bad checksums seen anywhere.
bad_checksums() {
	local ns sum=0
	for ns in client world node ai-11 ai-12 ai-13 far; do
		sum=$((sum + $(counter $ns Tcp InCsumErrors) + $(counter $ns Udp InCsumErrors) + $(counter $ns Udp6InCsumErrors)))
	done
	echo $sum
}

large_transfers() {
	local ns address
	for ns in client world; do
		for address in $WEB4 $WEB6; do
			call_from $ns tcp $address 80 --put 30000000 --timeout 20000
			assert_success
			call_from $ns tcp $address 80 --get 30000000 --timeout 20000
			assert_success
			assert_output --partial 'bytes=30000000'
			call_from $ns udp $address 80 --size 1400 --count 20
			assert_success
		done
	done
}

@test "large transfers, every offload on: no bad checksum" {
	topology_offload on
	large_transfers
	assert_equal "$(bad_checksums)" 0
}

@test "large transfers, every offload off: no bad checksum" {
	topology_offload off
	large_transfers
	assert_equal "$(bad_checksums)" 0
	topology_offload on
}

@test "two services, one client port, one endpoint: both are answered" {
	local proto first second
	service one 10.96.0.36 fd00:10:96::36
	service two 10.96.0.37 fd00:10:96::37
	endpoints one 13
	endpoints two 13
	settled
	for proto in tcp udp; do
		for first in 10.96.0.36 fd00:10:96::36; do
			second=${first%36}37
			in_ns client "$CALL" $proto $first 80 --source-port 5555 --count 2 --pause 600 >"$T_DIR/first" &
			wait_for 3 "the first answer" grep -q ok "$T_DIR/first"
			call_from client $proto $second 80 --source-port 5555 --count 2
			assert_success
			assert_output --partial 'name=ai-13'
			wait $! || fail "the first flow broke: $(cat "$T_DIR/first")"
			assert_equal "$(grep -c 'name=ai-13' "$T_DIR/first")" 2
		done
	done
}

@test "the state of it all: source, agent and kernel agree, nothing was lost on the way" {
	run ctl diff
	assert_success
	for reason in TORN REWRITE FLOW_INSERT NO_NODE_ADDRESS MALFORMED SPOOFED_VIP; do
		assert_equal "$reason $(counted $reason)" "$reason 0"
	done
}
