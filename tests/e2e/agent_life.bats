#!/usr/bin/env bats
# shellcheck disable=SC2030,SC2031,SC2153
# The agent comes and goes, is killed, started twice, replaced and removed; traffic goes on, and in the end nothing is left.

setup_file() {
	load topology
	load manifests
	begin_node server:11 client:100
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
	agent_cleanup >/dev/null
}

served() { in_ns client "$CALL" tcp 10.96.0.10 80; }

@test "a restart takes over every map, program and link" {
	agent_start
	served
	link_ids >"$BATS_TEST_TMPDIR/links"
	prog_ids >"$BATS_TEST_TMPDIR/progs"
	map_ids >"$BATS_TEST_TMPDIR/maps"
	[ "$(wc -l <"$BATS_TEST_TMPDIR/links")" = 16 ]
	agent_stop
	agent_start
	diff "$BATS_TEST_TMPDIR/links" <(link_ids)
	diff "$BATS_TEST_TMPDIR/progs" <(prog_ids)
	diff "$BATS_TEST_TMPDIR/maps" <(map_ids)
	run agent_said
	assert_output --partial 'programs are adopted maps=adopted'
	served
}

@test "a restart with an unchanged source writes nothing" {
	agent_start
	agent_stop
	agent_start
	run bash -c "nsenter --net=/run/netns/$T_ID+node curl -s http://127.0.0.1:10249/metrics | awk '/^sluice_map_writes_total/ { n += \$2 } END { print n }'"
	assert_output 0
}

@test "traffic goes on without an agent" {
	agent_start
	agent_stop TERM
	served
	run "$BPFTOOL" -j map dump pinned "$BPFFS/sluice/v1/maps/sl_meta"
	assert_equal "$(jq '.[0].formatted.value.agent_pid' <<<"$output")" 0
	agent_start
	agent_stop KILL
	served
}

@test "killed and started 20 times, a connection and new ones live" {
	agent_start
	in_ns_bg client "$LOAD" 10.96.0.10 80 --expect server --seconds 12 --rate 300 --long 20 >"$BATS_TEST_TMPDIR/load" 2>&1
	local load=$! i
	for i in $(seq 20); do
		agent_stop KILL
		agent_start
	done
	wait "$load" || fail "$(cat "$BATS_TEST_TMPDIR/load")"
}

@test "a change made while no agent ran is taken up, what left is removed" {
	agent_start
	agent_stop
	service web 10.96.0.11 fd00:10:96::11
	agent_start
	in_ns client "$CALL" tcp 10.96.0.11 80
	run ctl services -o json
	assert_equal "$(jq '.items | length' <<<"$output")" 6
	run in_ns client "$CALL" tcp 10.96.0.10 80 --timeout 400
	assert_failure
	agent_stop
	forget web
	agent_start
	run ctl services -o json
	assert_equal "$(jq '.items | length' <<<"$output")" 0
}

@test "a second agent ends at once and touches nothing" {
	agent_start
	link_ids >"$BATS_TEST_TMPDIR/links"
	prog_ids >"$BATS_TEST_TMPDIR/progs"
	run agent_run
	assert_failure 1
	assert_output --partial 'another sluiced'
	run agent_run --cleanup
	assert_failure 1
	assert_output --partial 'another sluiced'
	diff "$BATS_TEST_TMPDIR/links" <(link_ids)
	diff "$BATS_TEST_TMPDIR/progs" <(prog_ids)
	agent_is_ready
	served
}

@test "of ten that start together one works" {
	local pids=() i alive=0
	for i in $(seq 10); do
		in_ns_bg node "$SLUICED" --source "dir:$MANIFESTS" --node-name node-1 --bpffs "$BPFFS" --cgroup "$CGROUP" \
			--admin-socket "$ADMIN" --uplink up0 "${AGENT_OPTIONS[@]}" >>"$T_DIR/sluiced.log" 2>&1
		pids+=($!)
	done
	wait_for 20 "one to be ready" agent_is_ready
	one_is_left() {
		alive=0
		for i in "${pids[@]}"; do ! kill -0 "$i" 2>/dev/null || alive=$((alive + 1)); done
		[ $alive = 1 ]
	}
	wait_for 10 "nine to end" one_is_left
	assert_equal "$(ask status | jq .pid)" "$(for i in "${pids[@]}"; do ! kill -0 "$i" 2>/dev/null || echo "$i"; done)"
	kill "${pids[@]}" 2>/dev/null || :
	wait "${pids[@]}" || :
}

@test "other sizes are refused by name, and the running data path stays" {
	agent_start
	agent_stop
	run agent_run --max-flows 65536
	assert_failure 1
	assert_output --partial 'sluiced --cleanup'
	served
	# without a number what is there is kept
	AGENT_OPTIONS=(--max-services 256 --max-backends 1024)
	agent_start
	run agent_said
	assert_output --partial 'maps=adopted max_flows=4096'
}

@test "pins of another network namespace are let go" {
	agent_start
	agent_stop
	ns_add elsewhere
	in_ns_bg elsewhere "$SLUICED" --source "dir:$MANIFESTS" --node-name node-1 --bpffs "$BPFFS" --cgroup "$CGROUP" \
		--admin-socket "$ADMIN" "${AGENT_OPTIONS[@]}" >>"$T_DIR/sluiced.log" 2>&1
	echo $! >"$T_DIR/sluiced.pid"
	wait_for 20 "sluiced to be ready" agent_is_ready
	run in_ns node "$BPFTOOL" net show
	refute_output --partial sl_pod
	run pinned links
	refute_output --partial tc_in
	assert_equal "$("$BPFTOOL" -j map dump pinned "$BPFFS/sluice/v1/maps/sl_devices" | jq length)" 0
	agent_stop
	ip netns del "$(ns_of elsewhere)"
}

@test "cleanup leaves nothing, and may be repeated" {
	inventory >"$BATS_TEST_TMPDIR/before"
	agent_start
	served
	map_ids >"$BATS_TEST_TMPDIR/maps"
	prog_ids >"$BATS_TEST_TMPDIR/progs"
	agent_stop KILL
	rm -rf "${MANIFESTS:?}".away && mv "$MANIFESTS" "$MANIFESTS.away" # works without a source
	run in_ns node "$SLUICED" --cleanup --bpffs "$BPFFS" --admin-socket "$ADMIN"
	mv "$MANIFESTS.away" "$MANIFESTS"
	assert_success
	diff "$BATS_TEST_TMPDIR/before" <(inventory)
	gone map <"$BATS_TEST_TMPDIR/maps"
	gone prog <"$BATS_TEST_TMPDIR/progs"
	run in_ns node "$SLUICED" --cleanup --bpffs "$BPFFS" --admin-socket "$ADMIN"
	assert_success
	assert_output --partial 'nothing to remove'
}

@test "cleanup after clsact leaves no qdisc of ours" {
	inventory >"$BATS_TEST_TMPDIR/before"
	agent_start --tc clsact --xdp generic
	served
	assert_equal "$(ctl attach -o json | jq -r '[.items[] | select(.hook == "ingress").how] | unique | join(" ")')" clsact
	agent_cleanup
	diff "$BATS_TEST_TMPDIR/before" <(inventory)
}

@test "a cleanup from another network namespace touches nothing where there are clsact filters, and says so" {
	inventory >"$BATS_TEST_TMPDIR/before"
	agent_start --tc clsact --xdp generic
	agent_stop
	ns_add elsewhere
	run in_ns elsewhere "$SLUICED" --cleanup --bpffs "$BPFFS" --admin-socket "$ADMIN"
	ip netns del "$(ns_of elsewhere)"
	assert_failure 1
	assert_output --partial 'in another network namespace'
	assert_output --partial 'nsenter --net='
	served
	agent_cleanup
	diff "$BATS_TEST_TMPDIR/before" <(inventory)
	# links need no namespace to be taken away from
	agent_start --tc tcx
	agent_stop
	ns_add elsewhere
	in_ns elsewhere "$SLUICED" --cleanup --bpffs "$BPFFS" --admin-socket "$ADMIN"
	ip netns del "$(ns_of elsewhere)"
	diff "$BATS_TEST_TMPDIR/before" <(inventory)
}

@test "clsact filters whose pins were lost are taken over, and go with the cleanup" {
	inventory >"$BATS_TEST_TMPDIR/before"
	agent_start --tc clsact --xdp generic
	agent_stop KILL
	find "$BPFFS/sluice" -type f -exec rm {} +
	agent_start --tc clsact --xdp generic
	served
	assert_equal "$(ctl attach -o json | jq -r '[.items[].state] | unique | join(" ")')" ok
	agent_stop KILL
	find "$BPFFS/sluice" -type f -exec rm {} +
	agent_cleanup
	diff "$BATS_TEST_TMPDIR/before" <(inventory)
}

@test "cleanup touches nothing of others" {
	"$BPFTOOL" prog loadall "$BPF_DIR/sluice_xdp.bpf.o" "$BPFFS/foreign" 2>/dev/null
	agent_start --tc clsact --xdp off
	agent_stop
	in_ns node tc qdisc add dev pod-100 clsact 2>/dev/null || :
	in_ns node "$BPFTOOL" net attach xdp pinned "$BPFFS/foreign/sl_xdp" dev pod-100
	mkdir "$BPFFS/other"
	agent_cleanup
	run in_ns node "$BPFTOOL" net show
	assert_output --partial 'pod-100'
	[ -d "$BPFFS/other" ]
	in_ns node "$BPFTOOL" net detach xdp dev pod-100
	rm -r "$BPFFS/foreign"
	rmdir "$BPFFS/other"
	in_ns node tc qdisc del dev pod-100 clsact 2>/dev/null || :
}

@test "other programs replace the old ones in every link, in place, under load" {
	agent_start
	agent_stop
	link_ids >"$BATS_TEST_TMPDIR/links"
	prog_ids >"$BATS_TEST_TMPDIR/progs"
	# what the pinned programs were made of is forgotten: the agent takes its own for newer ones
	local value
	mapfile -t value < <("$BPFTOOL" -j map dump pinned "$BPFFS/sluice/v1/maps/sl_meta" | jq -r '.[0].value[]')
	value[24]=0x11 value[25]=0x22
	"$BPFTOOL" map update pinned "$BPFFS/sluice/v1/maps/sl_meta" key 0 0 0 0 value "${value[@]}"
	in_ns_bg client "$LOAD" 10.96.0.10 80 --expect server --seconds 6 --rate 300 --long 10 >"$BATS_TEST_TMPDIR/load" 2>&1
	local load=$!
	agent_start
	run agent_said
	assert_output --partial 'programs are loaded maps=adopted'
	assert_output --partial 'updated=16'
	diff "$BATS_TEST_TMPDIR/links" <(link_ids)
	prog_ids | join "$BATS_TEST_TMPDIR/progs" - | awk '$2 == $3 { print "still the old one: " $1; bad = 1 } END { exit bad }'
	run pinned progs
	refute_output --partial _new
	gone prog <"$BATS_TEST_TMPDIR/progs"
	wait "$load" || fail "$(cat "$BATS_TEST_TMPDIR/load")"
}

@test "a map that is new waits for the source: until then the old programs serve with the old maps" {
	agent_start
	agent_stop
	prog_ids >"$BATS_TEST_TMPDIR/progs"
	rm "$BPFFS/sluice/v1/maps/sl4_services" # as if the version that comes had changed it
	cat >"$T_DIR/kubeconfig" <<-END
		apiVersion: v1
		kind: Config
		current-context: c
		clusters: [{ name: c, cluster: { server: "http://127.0.0.1:1" } }]
		users: [{ name: u, user: {} }]
		contexts: [{ name: c, context: { cluster: c, user: u } }]
	END
	in_ns_bg node "$SLUICED" --source kube --kubeconfig "$T_DIR/kubeconfig" --node-name node-1 --node-ip "$NODE4,$NODE6" \
		--uplink up0 --pod-ifaces 'pod-*' --bpffs "$BPFFS" --cgroup "$CGROUP" --admin-socket "$ADMIN" \
		--state-dir "$T_DIR/state" "${AGENT_OPTIONS[@]}" >>"$T_DIR/sluiced.log" 2>&1
	echo $! >"$T_DIR/sluiced.pid"
	wait_for 20 "the agent to answer" ask_is status '.pid > 0'
	in_ns node ip address add 203.0.113.9/32 dev lo # word of a change
	local i
	for i in $(seq 30); do
		in_ns client "$CALL" tcp 10.96.0.10 80 || fail "call $i"
	done
	in_ns node ip address del 203.0.113.9/32 dev lo
	rm "$T_DIR/kubeconfig"
	diff "$BATS_TEST_TMPDIR/progs" <(prog_ids | grep -v _new)
}

@test "hooks change their kind at a restart without a gap" {
	agent_start --tc tcx --xdp native
	in_ns_bg client "$LOAD" 10.96.0.10 80 --expect server --seconds 6 --rate 300 --long 10 >"$BATS_TEST_TMPDIR/load" 2>&1
	local load=$!
	agent_stop
	agent_start --tc clsact --xdp generic
	assert_equal "$(ctl attach -o json | jq -r '[.items[] | select(.interface == "up0").how] | unique | join(" ")')" 'clsact generic'
	agent_stop
	agent_start --tc auto --xdp off
	assert_equal "$(ctl attach -o json | jq -r '[.items[] | select(.interface == "up0").how] | unique | join(" ")')" tcx
	run in_ns node tc qdisc show dev up0
	refute_output --partial clsact
	wait "$load" || fail "$(cat "$BATS_TEST_TMPDIR/load")"
}

@test "a missing capability is named, exit code 4" {
	run in_ns node setpriv --bounding-set -sys_admin,-bpf,-perfmon,-net_admin --inh-caps -all \
		"$SLUICED" --source "dir:$MANIFESTS" --node-name node-1 --bpffs "$BPFFS" --cgroup "$CGROUP" --admin-socket "$ADMIN"
	assert_failure 4
	assert_output --partial 'CAP_NET_ADMIN, CAP_BPF, CAP_PERFMON'
}

@test "three capabilities are enough" {
	in_ns_bg node setpriv --bounding-set -all,+net_admin,+bpf,+perfmon,+dac_override --inh-caps -all \
		"$SLUICED" --source "dir:$MANIFESTS" --node-name node-1 --bpffs "$BPFFS" --cgroup "$CGROUP" --uplink up0 \
		--admin-socket "$ADMIN" "${AGENT_OPTIONS[@]}" >>"$T_DIR/sluiced.log" 2>&1
	echo $! >"$T_DIR/sluiced.pid"
	wait_for 20 "sluiced to be ready" agent_is_ready
	served
}

@test "cgroup2 is found where it lies beside cgroup v1" {
	mkdir "$T_DIR/groups"
	ln -s "$CGROUP" "$T_DIR/groups/unified"
	run agent_run --cgroup "$T_DIR"
	assert_failure
	assert_output --partial "--cgroup $T_DIR: not a directory of cgroup2"
	agent_start --cgroup "$T_DIR/groups"
	run in_ns node "$CALL" tcp 10.96.0.10 80
	assert_success
}
