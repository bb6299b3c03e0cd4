#!/usr/bin/env bats
# Endpoints that come and go under load: none, all, others. Every pod answers with its name, and each request is judged by when
# it was sent: what was sent later than 100 ms after `sluicectl diff` was clean again must go where the manifests say.
# shellcheck disable=SC1091,SC2016,SC2034,SC2086,SC2154

. "$BATS_TEST_DIRNAME/topology.bash"
. "$BATS_TEST_DIRNAME/manifests.bash"

OLD=ai-11,ai-12,ai-13 NEW=ai-14,ai-15,ai-16
WEB4=10.96.0.20 WEB6=fd00:10:96::20

setup_file() {
	begin_node ai-11:11 ai-12:12 ai-13:13 ai-14:14 ai-15:15 ai-16:16 client:100
	topology_sink
	service web $WEB4 $WEB6
	endpoints web 11 12 13
	service other 10.96.0.21 fd00:10:96::21
	endpoints other 14 15 16
	topology_agent --socket-lb off
	topology_settled 30
}

setup() { begin_test; }
teardown() { end_test; }
teardown_file() { topology_end; }

now_us() { echo "${EPOCHREALTIME//[.,]/}"; }

# load_in NAME NS ADDRESS [OPTION…]
load_in() {
	local name=$1 ns=$2 address=$3
	shift 3
	: >"$T_DIR/log.$name"
	in_ns_bg "$ns" "$LOAD" "$address" 80 --expect $OLD,$NEW --seconds 120 --think 20 --log "$T_DIR/log.$name" "$@" >"$T_DIR/load.$name"
	loads+=($!)
}

start_loads() {
	loads=()
	load_in pod4 client $WEB4 --long 50 --streams 20 --tcp 0 --udp 0 --rate 300
	load_in pod6 client $WEB6 --long 20 --streams 10 --tcp 0 --udp 0 --rate 100
	load_in unconnected client $WEB4 --streams 10 --unconnected
	load_in node4 node $WEB4 --long 50 --streams 20 --tcp 0 --udp 0 --rate 200
	load_in node6 node $WEB6 --long 20 --streams 10 --tcp 0 --udp 0 --rate 100
	load_in nodefree node $WEB4 --streams 10 --unconnected
	phases=()
	phase "$OLD"
}

end_loads() {
	local pid
	kill -TERM "${loads[@]}"
	for pid in "${loads[@]}"; do
		wait $pid || :
	done
}

# From now on these may answer: names, "refused", "running:NAME" (for UDP flows that run already; a new socket whose port an
# earlier one had moments ago goes on with that one's flow), "ECONNABORTED" (UDP sockets of the node whose endpoint leaves).
phase() { phases+=("$(now_us) $1"); }

# change FROM TO command…: rewrites the manifests and waits until all agree. Meanwhile the old and the new are both right.
change() {
	local to=$2 from=$1
	shift 2
	phase "$from,$to,ECONNABORTED"
	"$@"
	settled
	phases+=("$(($(now_us) + 100000)) $to")
}

# Seconds of traffic in a phase that is settled: until every load logged so many ends of requests in it.
traffic() {
	local since=$(($(now_us) + 100000)) name
	for name in pod4 pod6 node4 node6; do
		wait_for 15 "traffic in $name" eval '[ "$(awk -v s=$since "\$1 > s" "$T_DIR/log.$name" | wc -l)" -ge 150 ]'
	done
}

# Every line of every log against the phase it was sent in. A TCP request whose first packets went unanswered is sent again
# each second, and a UDP socket may be taken away any time: they may also have ended as of any phase until their end.
judge() {
	local name
	for name in pod4 pod6 unconnected node4 node6 nodefree; do
		printf '%s\n' "${phases[@]}" | awk -v load="$name" '
		NR == FNR { at[++n] = $1; what[n] = $2; next }
		function allowed(i, outcome) {
			return index("," what[i] ",", "," outcome ",") || $2 != "tcp" && index("," what[i] ",", ",running:" outcome ",")
		}
		$2 == "long" { print load ": " $0; next }
		{
			outcome = $3 == "ECONNREFUSED" ? "refused" : $3
			for (i = n; i > 1 && at[i] > $1; i--)
				;
			ok = allowed(i, outcome)
			if (($2 == "tcp" && $4 > 900000) || outcome == "ECONNABORTED")
				for (i++; !ok && i <= n && at[i] <= $1 + $4; i++)
					ok = allowed(i, outcome)
			if (!ok) {
				for (i = n; i > 1 && at[i] > $1; i--)
					;
				print load ": " $0 " but expected " what[i] " since " ($1 - at[i]) / 1000 " ms"
			}
		}' - "$T_DIR/log.$name"
	done
}

# Sum of a figure of the reports.
sum() { awk -v k="$1" '$1 ~ k { s += $2 } END { print s + 0 }' "$T_DIR"/load.*; }
most() { awk -v k="$1" '$1 ~ k && $2 > w { w = $2 } END { print w + 0 }' "${@:2}"; }

check_all() {
	local wrong
	wrong=$(judge)
	echo "# $(sum '\\.answered$') answered, $(sum '\\.refused$') refused, $(sum '\\.failed$') failed," \
		"$(sum '\\.aborted$') UDP sockets taken away, $(grep -c . <<<"$wrong" || :) in the wrong place;" \
		"long-lived: $(sum '^long.answered$') requests, $(sum '^long.failed$') failed;" \
		"refused after at most $(most 'udp.worst_refused_ms' "$T_DIR"/load.*) ms (UDP)," \
		"$(most 'tcp.worst_refused_ms' "$T_DIR"/load.node*) ms (TCP, socket)," \
		"$(most 'tcp.worst_refused_ms' "$T_DIR"/load.pod*) ms (TCP, packet)" >&3
	[ -z "$wrong" ] || ctl counters
	[ -z "$wrong" ] || fail "$(head -n 20 <<<"$wrong")"
	assert_equal "$(sum '\\.failed$')" 0
	assert_equal "$(sum '\\.wrong$')" 0
	assert_equal "$(sum '\\.foreign$')" 0
	assert_equal "$(untranslated)" "$before"
}

@test "three, none, three: refused at once while there is none, nothing else fails, connections live on" {
	local before round
	before=$(untranslated)
	start_loads
	traffic
	for round in 1 2 3; do
		change $OLD refused endpoints web
		traffic
		change refused $OLD endpoints web 11 12 13
		traffic
	done
	end_loads
	[ "$(sum '\\.refused$')" -ge 500 ] || fail "only $(sum '\\.refused$') refused"
	check_all
	[ "$(most 'udp.worst_refused_ms' "$T_DIR"/load.*)" != 0 ]
	awk -v limit=$REFUSED_TCP_MS '/refused_ms/ && $2 > limit { exit 1 }' "$T_DIR"/load.pod* || fail "not at once"
	awk -v limit=$REFUSED_MS '/refused_ms/ && $2 > limit { exit 1 }' "$T_DIR"/load.node* || fail "not at once"
}

both() {
	endpoints web "${@:1:3}"
	endpoints other "${@:4:3}"
}

@test "all endpoints replaced by those of another service and back: none refused, none to a wrong pod" {
	local before round
	before=$(untranslated)
	start_loads
	traffic
	for round in 1 2 3; do
		change $OLD $NEW both 14 15 16 11 12 13
		traffic
		change $NEW $OLD both 11 12 13 14 15 16
		traffic
	done
	end_loads
	assert_equal "$(sum '\\.refused$')" 0
	check_all
}

@test "endpoints that become not ready, terminate and vanish one by one" {
	local before
	before=$(untranslated)
	start_loads
	traffic
	change $OLD running:ai-11,ai-12,ai-13 endpoints web 11,ready=false,serving=true,terminating=true 12 13
	traffic
	change running:ai-11,ai-12,ai-13 ai-12,ai-13 endpoints web 12 13
	traffic
	change ai-12,ai-13 ai-13 endpoints web 12,ready=false,serving=false 13
	traffic
	change ai-13 $OLD endpoints web 11 12 13
	traffic
	end_loads
	assert_equal "$(sum '\\.refused$')" 0
	check_all
}
