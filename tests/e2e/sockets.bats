#!/usr/bin/env bats
# Service traffic translated in socket calls: of the node's own processes always, of pods where connect() allows it.
# shellcheck disable=SC1091,SC2016,SC2030,SC2031,SC2034,SC2086,SC2154

. "$BATS_TEST_DIRNAME/topology.bash"
. "$BATS_TEST_DIRNAME/manifests.bash"

PODS=ai-11,ai-12,ai-13
WEB4=10.96.0.20 WEB6=fd00:10:96::20

setup_file() {
	begin_node ai-11:11 ai-12:12 ai-13:13 client:100
	topology_far
	topology_model far
	service web $WEB4 $WEB6
	endpoints web 11 12 13
	topology_agent --max-flows 4096
	topology_settled 30
}

setup() { begin_test; }
teardown() { end_test; }
teardown_file() { topology_end; }

@test "the node reaches every endpoint: TCP and UDP, connected and not, IPv4 and IPv6" {
	local address before after
	before=$(counted SOCKET) after=$(counted NEW_FLOW)
	for address in $WEB4 $WEB6; do
		assert_balanced node $address 80 $PODS --tcp 200 --udp 200
		assert_balanced node $address 8080 $PODS --tcp 100
		assert_balanced node $address 80 $PODS --udp 100 --unconnected
	done
	# all of it at the socket, nothing by packet
	[ $(($(counted SOCKET) - before)) -ge 1200 ] || fail "$(ctl counters)"
	assert_equal "$(counted NEW_FLOW)" "$after"
}

@test "a pod's TCP is translated at the socket, its UDP by packet" {
	local address sockets flows
	sockets=$(counted SOCKET) flows=$(counted NEW_FLOW ingressPackets)
	for address in $WEB4 $WEB6; do
		assert_balanced client $address 80 $PODS --tcp 200
	done
	assert_equal $(($(counted SOCKET) - sockets)) 400
	assert_equal "$(counted NEW_FLOW ingressPackets)" "$flows"
	for address in $WEB4 $WEB6; do
		assert_balanced client $address 80 $PODS --udp 100
		assert_balanced client $address 80 $PODS --udp 100 --unconnected
	done
	assert_equal $(($(counted SOCKET) - sockets)) 400
	[ $(($(counted NEW_FLOW ingressPackets) - flows)) -ge 395 ] || fail "$(ctl counters)"
}

@test "the peer is the service, whatever is asked: getpeername, recvfrom" {
	local ns
	for ns in node client; do
		call_from $ns tcp $WEB4 80
		assert_output --partial "peer=$WEB4:80"
		call_from $ns tcp $WEB6 80
		assert_output --partial "peer=[$WEB6]:80"
		call_from $ns udp $WEB4 80
		assert_output --partial "peer=$WEB4:80 from=$WEB4:80"
		call_from $ns udp $WEB6 80
		assert_output --partial "peer=[$WEB6]:80 from=[$WEB6]:80"
		call_from $ns udp $WEB4 80 --unconnected
		assert_output --partial "from=$WEB4:80"
		call_from $ns udp $WEB6 80 --unconnected
		assert_output --partial "from=[$WEB6]:80"
	done
}

@test "an IPv4 address in an IPv6 socket (v4-mapped)" {
	local ns
	for ns in node client; do
		call_from $ns tcp $WEB4 80 --mapped
		assert_output --partial "peer=[::ffff:$WEB4]:80"
		call_from $ns udp $WEB4 80 --mapped
		assert_output --partial "peer=[::ffff:$WEB4]:80 from=[::ffff:$WEB4]:80"
		call_from $ns udp $WEB4 80 --mapped --unconnected
		assert_output --partial "from=[::ffff:$WEB4]:80"
	done
}

@test "what is no service keeps its address" {
	call_from node tcp 10.244.1.11 8080
	assert_output --partial 'peer=10.244.1.11:8080'
	call_from node udp 10.244.1.11 8080 --unconnected
	assert_output --partial 'from=10.244.1.11:8080'
}

@test "datagrams of one socket stay with their endpoint, and leave it when it leaves" {
	local first other
	service two 10.96.0.40 fd00:10:96::40
	endpoints two 11 12
	settled
	in_ns node "$CALL" udp 10.96.0.40 80 --unconnected --count 300 --pause 10 >"$T_DIR/calls" &
	wait_for 3 "the first answers" grep -q ok "$T_DIR/calls"
	first=$(grep -o 'name=ai-..' "$T_DIR/calls" | head -n 1 | tail -c 3)
	other=$((23 - first))
	endpoints two $other
	settled
	wait_for 3 "the datagrams to move" sh -c "tail -n 1 $T_DIR/calls | grep -q name=ai-$other"
	wait $! || fail "$(grep error "$T_DIR/calls")"
	assert_equal "$(grep -o 'name=[^ ]*' "$T_DIR/calls" | uniq | wc -l)" 2
}

@test "affinity holds for the node" {
	service sticky 10.96.0.41 fd00:10:96::41 'sessionAffinity: ClientIP'
	endpoints sticky 11 12 13
	settled
	run in_ns node "$LOAD" 10.96.0.41 80 --tcp 60 --rate 1000
	assert_success
	assert_equal "$(grep -c '^pod\.' <<<"$output")" 1
	run in_ns client "$LOAD" 10.96.0.41 80 --tcp 60 --rate 1000 # by packet: the source is not known in connect()
	assert_success
	assert_equal "$(grep -c '^pod\.' <<<"$output")" 1
}

@test "no endpoint, unknown port: connect() says so at once" {
	local address
	service empty 10.96.0.42 fd00:10:96::42
	endpoints empty
	settled
	for address in 10.96.0.42 fd00:10:96::42; do
		assert_refused node tcp $address 80 100
		assert_refused node udp $address 80 100
		assert_refused node tcp $address 81 100
		assert_refused client tcp $address 80 100
		assert_refused client tcp $address 81 100
	done
	call_from node udp 10.96.0.42 80 --unconnected
	assert_output --partial 'error=ECONNREFUSED at=send'
	call_from node tcp 10.96.0.42 80 --mapped
	assert_output --partial 'error=ECONNREFUSED at=connect'
	endpoints empty 12
	settled
	call_from node tcp 10.96.0.42 80
	assert_output --partial 'name=ai-12'
}

@test "the node's call to an address of the service range that no service has leaves the node nowhere" {
	local before
	before=$(counted UNALLOCATED egressPackets)
	assert_silent node tcp 10.96.77.77 80
	[ "$(counted UNALLOCATED egressPackets)" -gt "$before" ] || fail "$(ctl counters)"
}

@test "endpoints on another node; internal traffic policy Local" {
	service abroad 10.96.0.43 fd00:10:96::43
	endpoints abroad far
	service local 10.96.0.44 fd00:10:96::44 'internalTrafficPolicy: Local'
	endpoints local 12 far
	settled
	for address in 10.96.0.43 fd00:10:96::43; do
		call_from node tcp $address 80 --put 1000000
		assert_output --partial 'name=far'
		call_from client tcp $address 80 --put 1000000
		assert_output --partial 'name=far'
		call_from node udp $address 80 --size 4000
		assert_output --partial 'name=far'
	done
	run in_ns node "$LOAD" 10.96.0.44 80 --tcp 60 --udp 60 --rate 1000 --expect ai-12
	assert_success
}

@test "large transfers and datagrams" {
	local ns address
	for ns in node client; do
		for address in $WEB4 $WEB6; do
			call_from $ns tcp $address 80 --put 30000000 --timeout 20000
			assert_success
			call_from $ns tcp $address 80 --get 30000000 --timeout 20000
			assert_output --partial 'bytes=30000000'
			call_from $ns udp $address 80 --size 20000 --count 5
			assert_success
		done
	done
}

@test "a connected socket's translation is forgotten when it is closed" {
	local before
	entries() { in_ns node "$BPFTOOL" -j map dump pinned "$BPFFS/sluice/v1/maps/sl4_sockets" | jq '[.[].formatted.value.tags[] | select(. != 0)] | length'; }
	are_forgotten() { [ "$(entries)" = "$before" ]; }
	before=$(entries)
	run in_ns node "$LOAD" $WEB4 80 --long 20 --tcp 50 --udp 50 --rate 3000 --seconds 1
	assert_success
	wait_for 5 "the sockets to be forgotten" are_forgotten || fail "$before before, $(entries) now"
}

@test "a socket that talks hears from the service, however many others call" {
	local talker calls from
	calls() { wc -l <"$T_DIR/calls"; }
	talks_on() { [ "$(calls)" -gt $((calls + 2)) ]; }
	in_ns_bg node "$CALL" udp $WEB4 80 --unconnected --count 100000 --pause 10 >"$T_DIR/calls"
	talker=$!
	wait_for 10 "the first answers" grep -q ok "$T_DIR/calls"
	# each leaves two entries behind, in a table of 4,400 slots: everything quiet is put out (so this test is the last)
	run in_ns node "$LOAD" $WEB4 80 --udp 6000 --unconnected --rate 5000
	assert_success
	calls=$(calls)
	wait_for 10 "more answers" talks_on
	kill $talker
	wait $talker || :
	run grep error "$T_DIR/calls"
	refute_output
	from=$(grep -o 'from=[^ ]*' "$T_DIR/calls" | sort -u)
	assert_equal "$from" "from=$WEB4:80"
}
