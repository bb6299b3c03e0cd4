#!/usr/bin/env bats
# The agent and what goes wrong around it: clocks that jump, writes that fail, storms of events, an API server out of reach,
# objects that were replaced meanwhile. Packets notice none of it.

# shellcheck disable=SC1091,SC2016,SC2154,SC2317

setup_file() {
	load topology
	load manifests
	begin_node server:11 other:12 client:100
	"${CC:-cc}" -std=gnu11 -D_GNU_SOURCE -shared -fPIC -O2 -Wall -Wextra -Werror -o "$BATS_FILE_TMPDIR/shim.so" "$BATS_TEST_DIRNAME/shim/shim.c" -ldl
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
	load api
	api_begin
	api_service web u-1 10.96.0.10
	api_endpoints web 10.244.1.11
	head -c 32 /dev/zero >"$T_DIR/control"
	cat >"$T_DIR/sluiced" <<-END
		#!/bin/sh
		SHIM='$T_DIR/control' LD_PRELOAD='$BATS_FILE_TMPDIR/shim.so' exec '$SLUICED' "\$@"
	END
	chmod +x "$T_DIR/sluiced"
}

teardown() {
	in_ns node nft delete table inet cut 2>/dev/null
	end_test
	agent_cleanup >/dev/null
	api_end
}

api_service() { # NAME UID ADDRESS [PORT…]
	local name=$1 uid=$2 ip=$3 ports="" port
	shift 3
	for port in "${@:-80}"; do ports+="${ports:+, }{\"name\": \"p$port\", \"protocol\": \"TCP\", \"port\": $port}"; done
	api '{"put": "services", "object": {"metadata": {"namespace": "default", "name": "'"$name"'", "uid": "'"$uid"'"}, "spec":
		{"type": "ClusterIP", "clusterIP": "'"$ip"'", "clusterIPs": ["'"$ip"'"], "ipFamilies": ["IPv4"], "ports": ['"$ports"']}}}'
}

api_endpoints() { # SERVICE ADDRESS…
	local service=$1 list="" address
	shift
	for address; do list+="${list:+, }{\"addresses\": [\"$address\"], \"nodeName\": \"node-1\"}"; done
	api '{"put": "endpointslices", "object": {"metadata": {"namespace": "default", "name": "'"$service"'-a",
		"labels": {"kubernetes.io/service-name": "'"$service"'"}}, "addressType": "IPv4", "endpoints": ['"$list"'],
		"ports": [{"name": "p80", "protocol": "TCP", "port": 8080}, {"name": "p81", "protocol": "TCP", "port": 8080}]}}'
}

# A Service of one port, and its endpoint.
api_protocol() { # NAME ADDRESS PROTOCOL ENDPOINT
	api '{"put": "services", "object": {"metadata": {"namespace": "default", "name": "'"$1"'", "uid": "u-'"$1"'"}, "spec":
		{"type": "ClusterIP", "clusterIP": "'"$2"'", "clusterIPs": ["'"$2"'"], "ipFamilies": ["IPv4"],
		"ports": [{"name": "p80", "protocol": "'"$3"'", "port": 80}]}}}'
	api '{"put": "endpointslices", "object": {"metadata": {"namespace": "default", "name": "'"$1"'-a",
		"labels": {"kubernetes.io/service-name": "'"$1"'"}}, "addressType": "IPv4",
		"endpoints": [{"addresses": ["'"$4"'"], "nodeName": "node-1"}],
		"ports": [{"name": "p80", "protocol": "'"$3"'", "port": 8080}]}}'
}

start_with_shim() { SLUICED=$T_DIR/sluiced api_start; }

# control WORD NUMBER: 0 the clock's lead in seconds, 1 changes so far, 2 first that fails, 3 first that does not fail again
control() { python3 -c 'import struct,sys; f = open(sys.argv[1], "r+b"); f.seek(8 * int(sys.argv[2])); f.write(struct.pack("q", int(sys.argv[3])))' \
	"$T_DIR/control" "$1" "$2"; }
changes() { python3 -c 'import struct,sys; print(struct.unpack("4q", open(sys.argv[1], "rb").read(32))[1])' "$T_DIR/control"; }

answers() { in_ns client "$CALL" tcp "${1:-10.96.0.10}" "${2:-80}"; }
from_dns() { in_ns client "$CALL" udp 10.96.0.53 80 | grep -q "name=$1"; }
from() { answers | grep -q "name=$1"; }
metric() { in_ns node curl -sS -m 20 http://127.0.0.1:10249/metrics | awk -v m="$1" '$1 == m { print $2 }'; }
page() { in_ns node curl -s -o /dev/null -m 20 -w '%{http_code}' "http://127.0.0.1:10256/$1"; }
page_is() { [ "$(page "$1")" = "$2" ]; }
# Source, agent and kernel agree, and nothing waits.
exact() { ctl diff; }
rss() { awk '/VmRSS/ { print $2 }' "/proc/$(agent_pid)/status"; }
fd_count() { find "/proc/$(agent_pid)/fd" -mindepth 1 | wc -l; }
cpu_ticks() { awk '{ print $14 + $15 }' "/proc/$(agent_pid)/stat"; }

# Asks as fast as it can until asking_end, which says how often; each failure is a line.
asking_begin() {
	: >"$T_DIR/failures"
	: >"$T_DIR/asked"
	(
		while [ ! -e "$T_DIR/enough" ]; do
			in_ns client "$CALL" tcp 10.96.0.10 80 >/dev/null 2>>"$T_DIR/failures" || echo failed >>"$T_DIR/failures"
			echo >>"$T_DIR/asked"
		done
	) 3>&- &
	ASKING=$!
}

asking_end() {
	touch "$T_DIR/enough"
	wait "$ASKING"
	rm "$T_DIR/enough"
	echo "# $(wc -l <"$T_DIR/asked") requests meanwhile, $(grep -c failed "$T_DIR/failures") failed" >&3
	[ "$(wc -l <"$T_DIR/asked")" -gt 10 ]
	[ ! -s "$T_DIR/failures" ]
}

# Does the agent's page tell the time of DAYS from now?
believes() {
	local off
	off=$(in_ns node curl -sS -m 20 http://127.0.0.1:10256/healthz | jq '(.currentTime | sub("[.][0-9]+"; "") | fromdate) - now') &&
	python3 -c 'import sys; sys.exit(abs(float(sys.argv[1]) - 86400 * int(sys.argv[2])) > 3600)' "$off" "$1"
}

has_asked() { [ -s "$T_DIR/asked" ]; }

@test "thirty days of wall-clock jumps do nothing" {
	start_with_shim
	asking_begin
	wait_for 10 "a request" has_asked
	wait_for 10 "everything to be written" exact
	local writes streams watches day
	writes=$(metric 'sluice_map_writes_total{result="ok"}')
	streams=$(metric 'sluice_api_streams_total{kind="Service"}')
	watches=$(metric 'sluice_api_watches_total{kind="Service"}')
	for day in 1 -1 $(seq 1 30) 0 -30; do
		control 0 $((day * 86400))
		wait_for 10 "the agent to believe it ($day)" believes "$day"
	done
	in_ns node curl -s http://127.0.0.1:10256/healthz | jq -e .healthy
	assert_equal "$(metric 'sluice_map_writes_total{result="ok"}')" "$writes"
	assert_equal "$(metric 'sluice_api_streams_total{kind="Service"}')" "$streams"
	assert_equal "$(metric 'sluice_api_watches_total{kind="Service"}')" "$watches"
	api_endpoints web 10.244.1.12
	wait_for 3 "a change" from other
	control 0 $((60 * 86400))
	api_endpoints web 10.244.1.11
	wait_for 3 "the next change" from server
	asking_end
	assert_equal "$(page livez)$(page readyz)" 200200
}

@test "whichever bpf() call of a change fails, the state is exact afterwards" {
	start_with_shim
	local n i=0 words last
	for n in $(seq 1 6); do
		for words in "endpoints 10.244.1.12" "endpoints 10.244.1.11 10.244.1.12" "ports 80 81" "ports 80" "endpoints 10.244.1.11"; do
			last=$(changes)
			control 2 $((last + n))
			control 3 $((last + n + 1))
			# shellcheck disable=SC2086
			case $words in
			endpoints*) api_endpoints web ${words#* } ;;
			ports*) api_service web u-1 10.96.0.10 ${words#* } ;;
			esac
			wait_for 5 "what was written ($words, call $n)" eval '[ "$(changes)" -gt '"$last"' ]'
			wait_for 5 "the state to be exact ($words, call $n)" exact
			i=$((i + 1))
		done
	done
	from server
	echo "# $i changes, $(metric sluice_sync_failures_total) runs failed in part" >&3
	[ "$(metric sluice_sync_failures_total)" -ge 15 ]
	assert_equal "$(metric sluice_drift_repairs_total)" 0
}

@test "one endpoint that changes: one Service is planned, and a handful of bpf() calls write, among two hundred" {
	local i planned n
	for i in $(seq 200); do
		api_service "s$i" "u$i" "10.96.1.$i"
	done
	start_with_shim
	wait_for 10 "everything to be written" exact
	wait_for 5 "the first look for sockets" eval '[ "$(metric sluice_socket_sweeps_total)" = 1 ]'
	planned=$(metric sluice_services_planned_total) n=$(changes)
	api_endpoints web 10.244.1.12
	wait_for 5 "the change" from other
	wait_for 10 "everything to be written" exact
	# among them the one that waits for programs to end, and the note of the last sync
	n=$(($(changes) - n))
	echo "# $n calls" >&3
	[ "$n" -ge 4 ]
	[ "$n" -le 10 ]
	assert_equal "$(metric sluice_services_planned_total)" $((planned + 1))
	# TCP goes on with an endpoint that left: nobody's sockets were looked at. UDP does not.
	assert_equal "$(metric sluice_socket_sweeps_total)" 1
	api_protocol dns 10.96.0.53 UDP 10.244.1.11
	wait_for 5 "the datagrams" from_dns server
	assert_equal "$(metric sluice_socket_sweeps_total)" 1
	api_protocol dns 10.96.0.53 UDP 10.244.1.12
	wait_for 5 "the change" from_dns other
	wait_for 5 "a look for sockets" eval '[ "$(metric sluice_socket_sweeps_total)" = 3 ]' # one at once, one after the barrier
}

# slice_of NAME N: a slice of web with that many endpoints, of which the first is a pod
slice_of() {
	local list="" i
	for ((i = 0; i < $2; i++)); do
		list+="${list:+, }{\"addresses\": [\"$([ $i = 0 ] && echo 10.244.1.11 || echo "10.9.0.$i")\"], \"nodeName\": \"node-1\"}"
	done
	echo '{"metadata": {"namespace": "default", "name": "'"$1"'", "labels": {"kubernetes.io/service-name": "web"}},
		"addressType": "IPv4", "endpoints": ['"$list"'], "ports": [{"name": "p80", "protocol": "TCP", "port": 8080}]}'
}

@test "endpoints that move from one slice to another: none leaves the kernel, whichever is told first" {
	api '{"put": "endpointslices", "object": '"$(slice_of web-a 100)"'}'
	api '{"put": "endpointslices", "object": '"$(slice_of web-b 0)"'}'
	start_with_shim
	all_there() { ctl backends -s default/web -o json | jq -e '.items | length == 100'; }
	wait_for 10 "all of them" all_there
	exact
	# a write that takes even one of them away shows in these
	rows() { "$BPFTOOL" -j map dump pinned "$BPFFS/sluice/v1/maps/sl4_$1" | md5sum; }
	local backends rings n from=web-a to=web-b
	backends=$(rows backends) rings=$(rows rings)
	moved() { ask_is status ".syncs > $1"; }
	for n in together together apart apart; do
		local syncs writes
		syncs=$(ask status | jq .syncs) writes=$(changes)
		if [ $n = together ]; then # the old one loses them first, in one piece with what gives them to the other
			api '{"put": "endpointslices", "objects": ['"$(slice_of "$from" 0), $(slice_of "$to" 100)"']}'
		else # the other has them, too, for a while
			api '{"put": "endpointslices", "object": '"$(slice_of "$to" 100)"'}'
			wait_for 5 "the other one" moved "$syncs"
			syncs=$(ask status | jq .syncs)
			api '{"put": "endpointslices", "object": '"$(slice_of "$from" 0)"'}'
		fi
		wait_for 5 "the move" moved "$syncs"
		exact
		[ "$(changes)" -le $((writes + 2)) ] || fail "$n: $(($(changes) - writes)) calls that write" # the notes of the syncs
		assert_equal "$(rows backends)" "$backends"
		assert_equal "$(rows rings)" "$rings"
		read -r from to <<<"$to $from"
	done
}

@test "writes that go on failing: not ready within ten seconds, alive, and packets go on" {
	start_with_shim
	assert_equal "$(page readyz)" 200
	asking_begin
	control 3 $((1 << 62)) # all
	api_endpoints web 10.244.1.12
	wait_for 11 "it to be red" page_is readyz 503
	assert_equal "$(page livez)" 200
	[ "$(metric sluice_pending_rows)" -gt 0 ]
	control 3 0
	wait_for 31 "it to be green" page_is readyz 200
	exact
	from other
	asking_end
}

@test "an API server out of reach: packets go on, changes and deletions are there at once afterwards" {
	api_service gone u-2 10.96.0.20
	api_endpoints gone 10.244.1.12
	api_start
	answers 10.96.0.20
	asking_begin
	in_ns node nft 'add table inet cut; add chain inet cut c { type filter hook output priority 0; };
		add rule inet cut c tcp dport 6080 drop; add rule inet cut c tcp sport 6080 drop'
	api '{"delete": "services", "namespace": "default", "name": "gone"}'
	api_endpoints web 10.244.1.12
	sleep "${OUTAGE:-50}"
	assert_equal "$(page livez)$(page readyz)" 200200
	assert_equal "$(metric sluice_api_down)" 1
	answers 10.96.0.20
	in_ns node nft delete table inet cut
	local began=${EPOCHREALTIME/./}
	wait_for 3 "the deletion and the change" ask_is wanted '[.services[] | select(.name == "gone")] == [] and
		[.services[] | select(.name == "web" and .kind == "ClusterIP").cluster[].address] == ["10.244.1.12"]'
	echo "# after ${OUTAGE:-50} s without the API server: in step after $(((${EPOCHREALTIME/./} - began) / 1000)) ms" >&3
	not answers 10.96.0.20
	from other
	exact
	asking_end
}

@test "a kernel that refuses a program: exit status 5 and its name, and what ran before goes on" {
	api_start
	wait_for 10 "everything to be written" exact
	asking_begin
	wait_for 10 "a request" has_asked
	agent_stop
	# other constants: the programs have to be loaded anew
	SHIM_REFUSES=sl_connect4 SLUICED=$T_DIR/sluiced run agent_run --forwarding fast
	assert_equal "$status" 5
	assert_output --partial 'missing kernel feature: BPF object sluice_sock does not load: Invalid argument'
	answers 10.96.0.10
	asking_end
	api_start
	wait_for 10 "the agent" exact
}

# Every way in which an API server fails, one after another, with a change that waits each time. ROUNDS=50 for the long run: after lies
# that come one after another the client asks less and less often (30 to 60 seconds in the end), as it should.
@test "${ROUNDS:-7} faults of the API server, under load, with changes waiting: nothing is taken away" {
	local faults=(killed stopped cut 404 dropped 410 empty 403 401 500 html) fault i pod pods=(other server) names=(12 11)
	for i in $(seq 20); do
		api_service "s$i" "u$i" "10.96.1.$i"
		api_endpoints "s$i" 10.244.1.11 10.244.1.12
	done
	api_start
	wait_for 10 "everything to be written" exact
	# what no change was made of, as the kernel has it
	others() { ctl backends -o json | jq -c '[.items[] | select(.name != "web") | [.name, .address, .port, .id]] | sort'; }
	assert_equal "$(others | jq length)" 40
	local took="" before fds rss began worst_ms=0 ms asked
	before=$(others)
	fds=$(fd_count)
	asking_begin
	wait_for 10 "a request" has_asked
	for ((i = 0; i < ${ROUNDS:-7}; i++)); do
		fault=${faults[i % 11]} pod=${pods[i % 2]} asked=$(wc -l <"$T_DIR/asked")
		case $fault in
		killed) api '{"do": "stop"}' ;;
		stopped) api '{"do": "pause"}' ;;
		cut) api '{"do": "drop"}' ;;
		410) api '{"do": "forget"}' ;;
		dropped) in_ns node nft 'add table inet cut; add chain inet cut c { type filter hook output priority 0; };
			add rule inet cut c tcp dport 6080 drop; add rule inet cut c tcp sport 6080 drop' ;;
		html | empty) api '{"lie": "'"$fault"'"}' ;;
		*) api '{"lie": '"$fault"'}' ;;
		esac
		api_endpoints web "10.244.1.${names[i % 2]}"
		served() { [ "$(wc -l <"$T_DIR/asked")" -gt $((asked + 10)) ]; }
		wait_for 10 "requests meanwhile ($fault)" served
		assert_equal "$(others)" "$before"
		began=${EPOCHREALTIME/./}
		case $fault in
		killed) api '{"do": "start"}' ;;
		stopped) api '{"do": "resume"}' ;;
		dropped) in_ns node nft delete table inet cut ;;
		cut | 410) ;;
		*) api '{"lie": 0}' ;;
		esac
		wait_for 35 "the change that waited ($fault)" from "$pod"
		ms=$(((${EPOCHREALTIME/./} - began) / 1000)); took+="$fault $ms "
		case $fault in
		killed | stopped | cut | 410 | dropped) [ $ms -le $worst_ms ] || worst_ms=$ms ;;
		esac
		assert_equal "$(others)" "$before"
		[ $i != 6 ] || rss=$(rss)
	done
	asking_end
	exact
	few() { [ "$(fd_count)" -le $((fds + 1)) ]; }
	wait_for 10 "no more descriptors than $fds" few
	echo "# in step again after (ms): $took" >&3
	echo "# memory $rss KiB after seven rounds, $(rss) at the end; descriptors $fds before, $(fd_count) at the end" >&3
	[ "$worst_ms" -le 6000 ] # 2 s on an idle machine
	[ "$(rss)" -le $((rss + 4096)) ]
	assert_equal "$(page livez)$(page readyz)" 200200
}

@test "a Service that was replaced by another of its name meanwhile" {
	api_start
	from server
	api '{"do": "stop"}'
	wait_for 10 "it to be told" ask_is problems '[.problems[] | select(.object | startswith("API server"))] | length > 0'
	api '{"delete": "services", "namespace": "default", "name": "web"}'
	api '{"delete": "endpointslices", "namespace": "default", "name": "web-a"}'
	api_service web u-other 10.96.0.10
	api_endpoints web 10.244.1.12
	from server # what was said last holds
	api '{"do": "start"}'
	wait_for 3 "the new one" from other
	for _ in $(seq 100); do from other; done
	exact
}

@test "a storm of events: one core at most, no memory, and the last word counts" {
	for i in $(seq 0 99); do
		api_service "s$i" "u$i" "10.96.1.$((i + 1))"
	done
	api_start
	local before cpu began took n=300000
	before=$(rss) cpu=$(cpu_ticks) began=${EPOCHREALTIME/./}
	asking_begin
	api '{"storm": '$n'}'
	api_endpoints web 10.244.1.12 # comes behind it
	wait_for 60 "the end" from other
	took=$(((${EPOCHREALTIME/./} - began) / 1000))
	cpu=$((($(cpu_ticks) - cpu) * 10))
	echo "# $n events in $took ms: $((n * 1000 / took)) a second, $cpu ms of CPU, memory $before KiB before, $(rss) after" >&3
	[ "$(rss)" -lt $((before * 3 / 2)) ]
	[ $cpu -le $((n / 50)) ] # 10 us an event are one core at 100,000 a second; twice that where others share its caches
	asking_end
	exact
	assert_equal "$(metric 'sluice_drift_repairs_total')" 0
}
