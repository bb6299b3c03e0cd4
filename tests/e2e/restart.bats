#!/usr/bin/env bats
# The agent is not in the packets' way: killed a hundred times with 200 connections that stay and 1,000 new flows in progress in the mean,
# nothing is lost.
#
# That no request fails is too weak a test, since TCP sends again what got lost. The exact one is topology_sink: each packet that
# the node's stack sees with a service address, because nobody translated it, is counted there. And the same with hooks that die
# with the agent must not be 0.
# shellcheck disable=SC1091,SC2016,SC2034,SC2086,SC2154

. "$BATS_TEST_DIRNAME/topology.bash"
. "$BATS_TEST_DIRNAME/manifests.bash"

PODS=ai-11,ai-12,ai-13
WEB4=10.96.0.20 WEB6=fd00:10:96::20
ROUNDS=${ROUNDS:-100}

setup_file() {
	begin_node ai-11:11 ai-12:12 ai-13:13 client:100
	topology_sink
	service web $WEB4 $WEB6
	endpoints web 11 12 13
	service other 10.96.0.21 fd00:10:96::21
	endpoints other 11
	topology_agent --socket-lb off
	topology_settled 30
}

setup() { begin_test; }
teardown() { end_test; }
teardown_file() { topology_end; }

# 200 connections that stay, 40 UDP sockets, 240 requests a second with a flow each, and 1,200 visits at a time, half of them UDP:
# a flow asks, stays for a second and a half (about a kill and a start), asks again, and is replaced. Not all of them are always
# open: 1,000 are, in the mean. From a pod by packet, from the node by socket (whose peers are pods therefore), over IPv4 and IPv6.
#
# Ports suffice: each load closes about 130 TCP connections a second, whose ports rest for a minute: 7,800 of 28,000 to one address.
VISITS=300 # of each of the four: a slow machine has fewer of them at a time

start_loads() {
	loads=()
	local ns address
	for ns in client node; do
		for address in $WEB4 $WEB6; do
			in_ns_bg $ns "$LOAD" $address 80 --long 50 --streams 10 --tcp 0 --udp 0 --rate 60 \
				--visits $VISITS --stay 1500 --seconds 600 --least 125 --expect $PODS >"$T_DIR/load.$ns.${#address}"
			loads+=($!)
		done
	done
	wait_for 20 "the loads to run" loads_run
}

# In both places: all that stay, and nine tenths of the visits by TCP.
loads_run() {
	local ns
	for ns in client node; do
		[ "$(in_ns $ns ss -Htn state established | wc -l)" -ge $((2 * 50 + VISITS * 9 / 10)) ] || return 1
	done
}

# Ends them; $bad, $long, $short, $visits: what went wrong, connections that stayed, flows of one request, flows of two;
# $open, $open_least: how many of the last there were at a time, in the mean and at least.
end_loads() {
	local pid
	kill -TERM "${loads[@]}"
	for pid in "${loads[@]}"; do
		wait $pid || :
	done
	bad=$(awk '$1 == "bad" { s += $2 } /\.(refused|aborted) / { s += $2 } END { print s }' "$T_DIR"/load.*)
	long=$((4 * 50))
	short=$(awk '$1 == "tcp.answered" || $1 == "udp.answered" { s += $2 } END { print s }' "$T_DIR"/load.*)
	visits=$(awk '/^visit_.*\.answered / { s += $2 } END { print int(s / 2) }' "$T_DIR"/load.*)
	open=$(awk '$1 == "visits.open_mean" { s += $2 } END { print s }' "$T_DIR"/load.*)
	open_least=$(awk '$1 == "visits.open_least" { s += $2 } END { print s }' "$T_DIR"/load.*)
	requests=$(awk '/\.answered / { s += $2 } END { print s }' "$T_DIR"/load.*)
	worst_ms=$(awk '/\.worst_ms / && $2 > w { w = $2 } END { print w }' "$T_DIR"/load.*)
}

retransmits() { echo $(($(counter client Tcp RetransSegs) + $(counter node Tcp RetransSegs))); }

@test "$ROUNDS times kill -9 and restart under load: nothing fails, no packet passes untranslated" {
	local round before sent kills=0
	before=$(untranslated) sent=$(retransmits)
	start_loads
	for ((round = 1; round <= ROUNDS; round++)); do
		kill -9 "$(cat "$T_DIR/sluiced.pid")"
		wait_for 5 "its end" not kill -0 "$(cat "$T_DIR/sluiced.pid")"
		kills=$((kills + 1))
		# something to do for the next one
		endpoints other $((11 + round % 3))
		topology_agent --socket-lb off
		# killed again at any moment: while it reads, adopts, writes, or long after
		if ((round % 5 == 0)); then
			settled
		else
			sleep "0.$(printf %03d $((RANDOM % 500)))"
		fi
	done
	settled
	end_loads
	echo "# $kills kills: $requests requests ($long connections that stayed, $short flows of one request, $visits visits," \
		"$open at a time, never less than $open_least), $bad failed," \
		"$(($(untranslated) - before)) packets untranslated; slowest answer $worst_ms ms, $(($(retransmits) - sent)) retransmits" >&3
	assert_equal "$bad" 0
	[ "$short" -ge 1000 ] || fail "only $short short flows"
	[ "$open" -ge 1000 ] || fail "only $open new flows at a time"
	assert_equal "$(untranslated)" "$before"
}

@test "the noise of the same load without a kill" {
	local before sent
	before=$(untranslated) sent=$(retransmits)
	start_loads
	sleep 5 # a measurement, not a wait
	end_loads
	echo "# no kill: $requests requests, $bad failed, $(($(untranslated) - before)) packets untranslated;" \
		"slowest answer $worst_ms ms, $(($(retransmits) - sent)) retransmits" >&3
	assert_equal "$bad" 0
	assert_equal "$(untranslated)" "$before"
}

@test "the negative control: hooks that die with the agent let packets pass untranslated" {
	local round before
	before=$(untranslated)
	start_loads
	for round in 1 2 3 4 5; do
		kill -9 "$(cat "$T_DIR/sluiced.pid")"
		wait_for 5 "its end" not kill -0 "$(cat "$T_DIR/sluiced.pid")"
		rm "$BPFFS"/sluice/v1/links/*
		topology_agent --socket-lb off
		settled
	done
	end_loads
	echo "# 5 kills with links that were not pinned: $requests requests, $bad failed, $(($(untranslated) - before)) packets" \
		"untranslated; slowest answer $worst_ms ms" >&3
	[ "$(untranslated)" -gt "$before" ]
}

@test "stopped and started again by a normal signal: the same" {
	local round before
	before=$(untranslated)
	start_loads
	for round in 1 2 3 4 5; do
		topology_agent_kill TERM
		topology_agent --socket-lb off
		settled
	done
	end_loads
	assert_equal "$bad" 0
	assert_equal "$(untranslated)" "$before"
}
