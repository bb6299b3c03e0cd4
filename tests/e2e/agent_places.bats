#!/usr/bin/env bats
# shellcheck disable=SC2030,SC2031,SC2153
# What an operator finds in the agent's places: other files, other releases' pins, a file system that takes nothing. Each is named with
# the remedy, nothing that works is touched, and --cleanup gets along with all of it.

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
	mount -o remount,rw "$BPFFS"
	agent_cleanup >/dev/null
}

# Ends by itself where it is refused; one that serves instead is stopped (124).
start() {
	in_ns node timeout 20 "$SLUICED" --source "dir:$MANIFESTS" --node-name node-1 --bpffs "$BPFFS" --cgroup "$CGROUP" \
		--admin-socket "$ADMIN" "${AGENT_OPTIONS[@]}" "$@"
}

served() { in_ns client "$CALL" tcp 10.96.0.10 80; }

# A map of another layout where ours is looked for; larger than ours, so that who reads it without a look reads too much.
foreign_map() {
	mkdir -p "$BPFFS/sluice/v1/maps"
	"$BPFTOOL" map create "$BPFFS/sluice/v1/maps/$1" type array key 4 value 8192 entries 1 name foreign
}

@test "a pinned map of another layout is refused by name, whatever its size, and goes with the cleanup" {
	foreign_map sl_meta
	AGENT_OPTIONS=(--max-services 256 --max-backends 1024) # --max-flows auto reads sl_meta first
	run start
	assert_failure 1
	assert_output --partial "maps/sl_meta has keys of 4 and values of 8192 bytes"
	assert_output --partial 'sluiced --cleanup'
	run ctl status
	assert_failure 1
	assert_output --partial 'sl_meta has keys of 4 and values of 8192 bytes'
	run ctl doctor
	assert_output --regexp 'maps +fail +.*sluiced --cleanup +as the fact says; then start sluiced'
	# what --cleanup reads to find the namespace of filters
	foreign_map sl_config
	mkdir -p "$BPFFS/sluice/v1/links"
	"$BPFTOOL" map create "$BPFFS/sluice/v1/links/clsact_in_99" type array key 4 value 8 entries 1 name foreign
	run start --cleanup
	assert_success
	run find "$BPFFS" -mindepth 1 ! -name '*.debug'
	assert_output ''
	agent_start
	served
}

@test "programs of another release on the hooks: refused by name, they serve on, and the cleanup takes them along" {
	inventory >"$BATS_TEST_TMPDIR/before"
	agent_start
	agent_stop
	mv "$BPFFS/sluice/v1" "$BPFFS/sluice/v7" # as a release with another ABI would have left it
	run start
	assert_failure 1
	assert_output --partial "sluice/v7: another release of sluice has its programs on the hooks"
	assert_output --partial 'sluiced --cleanup'
	served
	run start --cleanup
	assert_success
	assert_output --partial 'removed: 16 programs detached'
	diff "$BATS_TEST_TMPDIR/before" <(inventory)
	# directories alone, as a start that was refused leaves them, keep nobody out
	mkdir -p "$BPFFS/sluice/v7/links"
	agent_start
	served
}

@test "a BPF file system that is read-only: refused with the remedy; what was there serves on and can be read" {
	mount -o remount,ro "$BPFFS"
	run start
	assert_failure 1
	assert_output --partial 'Read-only file system; mount the BPF file system writable: mount -o remount,rw'
	mount -o remount,rw "$BPFFS"
	agent_start
	agent_stop
	mount -o remount,ro "$BPFFS"
	run start
	assert_failure 1
	assert_output --partial 'mount -o remount,rw'
	run start --cleanup
	assert_failure 1
	assert_output --partial 'mount -o remount,rw'
	served
	run ctl services
	assert_success
	assert_output --partial '10.96.0.10:80'
	run ctl explain 10.244.1.100 10.96.0.10:80
	assert_success
	assert_output --partial 'forward'
	mount -o remount,rw "$BPFFS"
	agent_start
	served
}

@test "something that is no socket at the admin socket's path stays there; the agent says so and serves" {
	echo mine >"$T_DIR/mine"
	agent_stop
	ADMIN=$T_DIR/mine topology_agent "${AGENT_OPTIONS[@]}"
	said() { agent_said | grep -qF -- "--admin-socket $T_DIR/mine: there is something that is no socket"; }
	wait_for 20 "the warning" said
	wait_for 20 "service" served
	assert_equal "$(cat "$T_DIR/mine")" mine
	rm "$T_DIR/mine"
}

@test "a cgroup that is not there is refused with the way to find one" {
	run start --cgroup "$T_DIR/nowhere"
	assert_failure 1
	assert_output --partial "--cgroup $T_DIR/nowhere: No such file or directory; see: findmnt -t cgroup2"
}

@test "too few open files are allowed: refused with the remedy, and what was made until then goes with the cleanup" {
	inventory >"$BATS_TEST_TMPDIR/before"
	run in_ns node bash -c 'ulimit -n 20; exec timeout 20 "$@"' bash "$SLUICED" --source "dir:$MANIFESTS" --node-name node-1 \
		--bpffs "$BPFFS" --cgroup "$CGROUP" --admin-socket "$ADMIN" "${AGENT_OPTIONS[@]}"
	assert_failure 1
	assert_output --partial 'Too many open files; allow sluiced 1024 open files'
	agent_cleanup
	diff "$BATS_TEST_TMPDIR/before" <(inventory)
}
