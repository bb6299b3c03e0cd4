#!/usr/bin/env bats
# The folder: half of it broken, repaired, emptied, gone; and --check.

setup_file() {
	load topology
	load manifests
	begin_node server:11 other:12 client:100
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
	rm -f "$MANIFESTS"/*
	service web 10.96.0.10 fd00:10:96::10
	endpoints web 11
}

teardown() {
	end_test
	agent_cleanup >/dev/null
}

broken() {
	cat >"$MANIFESTS/bad.yaml" <<-'END'
		apiVersion: v1
		kind: Service
		metadata: { name: good }
		spec: { clusterIP: 10.96.0.20, clusterIPs: [10.96.0.20], ports: [{ port: 80 }] }
		---
		apiVersion: v1
		kind: Service
		metadata: { name: bad }
		spec: { clusterIP: 10.96.0.999, ports: [{ port: 80 }] }
		---
		kind: [ not closed
	END
}

@test "a broken document is named with file, line and reason; the rest is served" {
	broken
	agent_start
	in_ns client "$CALL" tcp 10.96.0.10 80
	run ctl services -o json
	assert_output --partial '"good"'
	run ask problems
	assert_output --partial 'bad.yaml:'
	assert_output --partial '10.96.0.999'
	assert_equal "$(jq '.problems | length' <<<"$output")" 2
	run agent_said
	assert_output --partial 'problem: '
	rm "$MANIFESTS/bad.yaml"
	wait_for 5 "the problems to be solved" ask_is problems '.problems == []'
	wait_for 5 "all to be settled" agent_is_ready
}

@test "check prints every problem and exits 1; right again, 0" {
	broken
	run agent_run --check
	assert_failure 1
	assert_output --partial 'bad.yaml:'
	assert_output --partial '10.96.0.999'
	rm "$MANIFESTS/bad.yaml"
	run agent_run --check
	assert_success
	refute_output --partial problem
	run bash -c "find '$BPFFS' -mindepth 1 ! -name '*.debug'" # touches nothing
	assert_output ''
}

@test "check needs no rights" {
	run in_ns node setpriv --reuid 65534 --clear-groups --bounding-set -all --inh-caps -all cat "$MANIFESTS/web.yaml"
	[ "$status" = 0 ] || chmod 755 "$T_DIR" "$MANIFESTS" && chmod 644 "$MANIFESTS"/*
	run in_ns node setpriv --reuid 65534 --clear-groups --bounding-set -all --inh-caps -all \
		"$SLUICED" --check --source "dir:$MANIFESTS" --node-name node-1
	assert_success
}

@test "a folder that is missing is refused" {
	run agent_run --source "dir:$T_DIR/nowhere"
	assert_failure 1
	assert_output --partial "$T_DIR/nowhere"
}

@test "an endpoint that comes is used, one that goes is not, soon" {
	agent_start
	in_ns client "$CALL" tcp 10.96.0.10 80 | grep -q 'name=server'
	endpoints web 12
	now_other() { in_ns client "$CALL" tcp 10.96.0.10 80 | grep -q 'name=other'; }
	wait_for 2 "the other pod" now_other
	endpoints web
	refused() { in_ns client "$CALL" tcp 10.96.0.10 80 | grep -q 'ECONNREFUSED'; }
	wait_for 2 "a refusal" refused
}

@test "a folder that vanishes changes nothing" {
	agent_start
	mv "$MANIFESTS" "$MANIFESTS.away"
	wait_for 40 "the problem to be told" ask_is problems '.problems | length == 1'
	in_ns client "$CALL" tcp 10.96.0.10 80
	mv "$MANIFESTS.away" "$MANIFESTS"
	wait_for 40 "the problem to be solved" ask_is problems '.problems == []'
}

# By --check and with bpffs and cgroup of its own: what is taken by mistake must not begin to work on this machine.
@test "what no option knows is refused by name, exit code 2" {
	run agent_run --check --forwarding quick
	assert_failure 2
	assert_output --partial "forwarding"
	assert_output --partial "stack"
	run agent_run --check --pod-iface x
	assert_failure 2
	assert_output --partial "pod-ifaces"
}

@test "more services than there is room for: the rest is served, the refused are named" {
	local i
	for i in $(seq 30); do
		service "s$i" "10.96.1.$i" "fd00:10:96::1:$i"
	done
	AGENT_OPTIONS=(--max-flows 4096 --max-services 64 --max-backends 256)
	topology_agent "${AGENT_OPTIONS[@]}"
	wait_for 20 "sluiced to sync" ask_is status '.synced'
	ask_is problems '.problems | length > 5'
	run ask problems
	assert_output --partial '--max-services'
	agent_stop
}
