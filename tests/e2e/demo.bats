#!/usr/bin/env bats
# The demo works, and leaves nothing whatever becomes of it.
# shellcheck disable=SC1091,SC2016,SC2034,SC2086,SC2154

. "$BATS_TEST_DIRNAME/topology.bash"
. "$BATS_TEST_DIRNAME/manifests.bash"

setup() {
	load_bats
	export DEMO_NAME=slt-demo-$$
	topology_names "$DEMO_NAME"
	DEMO=$BATS_TEST_DIRNAME/../../deploy/demo/run
}

teardown() {
	kill -9 $demo 2>/dev/null || :
	wait_for 10 "everything to be gone" gone
}

gone() { [ ! -e "$T_DIR" ] && [ ! -e "$CGROUP" ] && ! ip netns list | grep -qF "$DEMO_NAME" && ! grep -qF "$DEMO_NAME" /proc/self/mountinfo; }
is_serving() { ctl services; }

@test "every step does what it says, in less than a minute" {
	run "$DEMO"
	assert_success
	refute_output --partial FAILED
	assert_line --regexp '^[0-9]+ requests answered, 0 failed, in [0-5]?[0-9] seconds\.$'
	gone
}

@test "the demo says so when a pod answers wrongly" {
	local copy=$BATS_TEST_TMPDIR/copy
	mkdir -p "$copy/deploy" "$copy/tests"
	cp -r "$BATS_TEST_DIRNAME/../../deploy/demo" "$copy/deploy/demo"
	cp -r "$BATS_TEST_DIRNAME" "$copy/tests/e2e"
	sed -i 's/10\.244\.1\.13\]/10.244.1.100]/' "$copy/deploy/demo/manifests/endpoints.yaml" # the client, which serves nothing
	run "$copy/deploy/demo/run"
	assert_failure
	assert_output --partial 'FAILED: TCP 10.96.0.20:80'
	gone
}

# Started so that SIGINT is not ignored, as it is for what a shell runs in the background.
start_demo() {
	python3 -c 'import signal, os, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); os.execv(sys.argv[1], sys.argv[1:])' \
		"$DEMO" >/dev/null 2>&1 3>&- &
	demo=$!
	wait_for 30 "the demo to serve" is_serving
}

@test "interrupted, terminated or killed, it leaves nothing" {
	local signal
	for signal in INT TERM KILL; do
		start_demo
		kill -$signal $demo
		wait_for 10 "everything to be gone after SIG$signal" gone
	done
}
