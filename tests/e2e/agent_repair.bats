#!/usr/bin/env bats
# What somebody breaks by hand is found and put right; what a lost endpoint leaves behind is cleared.

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

map() { "$BPFTOOL" map "$1" pinned "$BPFFS/sluice/v1/maps/$2" "${@:3}"; }

@test "the self-audit finds and repairs what was changed behind the agent's back, within a minute" {
	agent_start
	local key letters
	# a backend that leads elsewhere, a service that is gone, a record that is none of ours
	mapfile -t key < <("$BPFTOOL" -j map dump pinned "$BPFFS/sluice/v1/maps/sl4_backends" |
		jq -r '[.[] | select(.formatted.value.port != 0)][0].key[]')
	map update sl4_backends key "${key[@]}" value 10 9 9 9 99 0 7 0 1 0 0 0 1 0 0 0
	mapfile -t key < <("$BPFTOOL" -j map dump pinned "$BPFFS/sluice/v1/maps/sl4_services" | jq -r '.[0].key[]')
	map delete sl4_services key "${key[@]}"
	mapfile -t letters < <(yes 65 | head -n 196)
	map update sl4_names key 200 0 0 0 value "${letters[@]}" # no such id
	repaired() { in_ns node curl -s http://127.0.0.1:10249/metrics | grep -q '^sluice_drift_repairs_total 3'; }
	wait_for 75 "three repairs" repaired
	settled
	in_ns client "$CALL" tcp 10.96.0.10 80 | grep -q name=server
	run agent_said
	assert_output --partial 'self-audit: row differs map=sl4_backends'
}

@test "a connected UDP socket of the node learns that its endpoint is gone" {
	agent_start
	in_ns node python3 - "$T_DIR/step" <<-'END' >"$T_DIR/udp" 2>&1 &
		import errno, os, socket, sys, time
		def wait(name):
		    end = time.time() + 20
		    while not os.path.exists(sys.argv[1] + name):
		        assert time.time() < end, name
		        time.sleep(0.01)
		gone = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); gone.settimeout(5)
		gone.connect(('10.96.0.10', 80)); gone.send(b'a'); first = gone.recv(100)
		free = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); free.settimeout(5)
		free.sendto(b'a', ('10.96.0.10', 80)); free.recv(100)
		open(sys.argv[1] + '-connected', 'w').close()
		wait('-moved')
		try:
		    gone.recv(100)
		    print('connected socket noticed nothing')
		except OSError as e:
		    print('connected', errno.errorcode[e.errno])
		free.sendto(b'b', ('10.96.0.10', 80)); print('unconnected', free.recv(100) != first)
	END
	local asker=$!
	wait_for 20 "the sockets" test -e "$T_DIR/step-connected"
	endpoints web 12
	# shellcheck disable=SC2317
	destroyed() { in_ns node curl -s http://127.0.0.1:10249/metrics | grep -q '^sluice_sockets_destroyed_total 1'; }
	wait_for 5 "the socket to be destroyed" destroyed
	touch "$T_DIR/step-moved"
	wait $asker
	run cat "$T_DIR/udp"
	assert_output --partial 'connected ECONNABORTED'
	assert_output --partial 'unconnected'
	rm -f "$T_DIR"/step-* "$T_DIR/udp"
}

# A process is told an endpoint that goes in that moment, and is connected only when all sockets were looked at: so this one connects
# by itself, to the address that it was told before. After the barrier that nobody may know the endpoint any more they are looked at again.
@test "a UDP socket that connects to an endpoint just after it went, and was looked for, learns it too" {
	agent_start
	cat >"$T_DIR/late.py" <<-'END'
		import errno, http.client, os, re, socket, sys, time
		def sweeps():
		    link = http.client.HTTPConnection('127.0.0.1', 10249, timeout=5)
		    link.request('GET', '/metrics')
		    return int(re.search(r'^sluice_socket_sweeps_total (\d+)', link.getresponse().read().decode(), re.M).group(1))
		def pods(n):  # as endpoints() does: by rename
		    text = open(sys.argv[1] + f'/endpoints-{n}').read()
		    open(sys.argv[2] + '/.late.new', 'w').write(text)
		    os.rename(sys.argv[2] + '/.late.new', sys.argv[2] + '/web-endpoints.yaml')
		def told():
		    """A socket that was told pod 11, once that is the only one."""
		    end = time.monotonic() + 20
		    while time.monotonic() < end:
		        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(1)
		        try:
		            s.sendto(b'a', ('10.96.0.10', 80))
		            if s.recv(100).split()[0] == b'server':
		                return s
		        except OSError:
		            pass
		        s.close()
		    sys.exit('pod 11 never answered')
		for round in range(1, 41):  # a machine that is busy may let this process wait until both looks are over
		    pods(11)
		    s, before = told(), sweeps()
		    pods(12)
		    while sweeps() == before:
		        pass
		    s.connect(('10.244.1.11', 8080))
		    s.settimeout(0.5)
		    try:
		        s.recv(100)
		    except socket.timeout:
		        pass
		    except OSError as e:
		        print('round', round, errno.errorcode[e.errno]); sys.exit()
		    s.close()
		print('never noticed')
	END
	local n
	for n in 12 11; do
		endpoints web "$n"
		cp "$MANIFESTS/web-endpoints.yaml" "$T_DIR/endpoints-$n"
	done
	run in_ns node python3 "$T_DIR/late.py" "$T_DIR" "$MANIFESTS"
	rm -f "$T_DIR"/endpoints-* "$T_DIR/late.py"
	assert_output --regexp '^round [0-9]+ ECONNABORTED$'
	echo "# $output" >&3
}

@test "an agent that is killed between taking an endpoint away and looking for its sockets: the next one looks" {
	agent_start
	in_ns node python3 - "$T_DIR/step" <<-'END' >"$T_DIR/udp" 2>&1 &
		import errno, os, socket, sys, time
		s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(20)
		s.connect(('10.96.0.10', 80)); s.send(b'a'); s.recv(100)
		open(sys.argv[1] + '-connected', 'w').close()
		try:
		    s.recv(100)
		    print('connected socket noticed nothing')
		except OSError as e:
		    print('connected', errno.errorcode.get(e.errno, e))
	END
	local asker=$! id gen
	wait_for 20 "the socket" test -e "$T_DIR/step-connected"
	agent_stop KILL
	# what the killed agent wrote last: the endpoint is nobody's, and only its generations are kept
	local family zeros rest
	for family in 4 6; do
		mapfile -t zeros < <(yes 0 | head -n $((family == 4 ? 8 : 20)))
		mapfile -t rest < <(yes 0 | head -n $((family == 4 ? 6 : 10)))
		while read -r id gen; do
			map update "sl${family}_backends" key "$id" 0 0 0 value "${zeros[@]}" "$gen" 0 "${rest[@]}"
		done < <("$BPFTOOL" -j map dump pinned "$BPFFS/sluice/v1/maps/sl${family}_backends" |
			jq -r '.[].formatted | select(.value.flags != 0) | "\(.key) \(.value.gen)"')
	done
	endpoints web 12
	agent_start
	destroyed() { in_ns node curl -s http://127.0.0.1:10249/metrics | grep -q '^sluice_sockets_destroyed_total 1'; }
	wait_for 5 "the socket to be destroyed" destroyed
	wait $asker
	run cat "$T_DIR/udp"
	assert_output --partial 'connected ECONNABORTED'
	rm -f "$T_DIR"/step-* "$T_DIR/udp"
}

@test "maps are equal to the source after hundreds of changes" {
	agent_start
	local i
	for i in $(seq 200); do
		endpoints web $((11 + i % 2))
		[ $((i % 5)) != 0 ] || service "s$((i % 7))" "10.96.2.$((i % 7 + 1))" "fd00:10:96::2:$((i % 7 + 1))"
		[ $((i % 9)) != 0 ] || forget "s$((i % 7))"
	done
	settled
	ctl diff --source "dir:$MANIFESTS" --node-name node-1
	assert_equal "$(in_ns node curl -s http://127.0.0.1:10249/metrics | awk '/^sluice_sync_failures_total/ { print $2 }')" 0
}
