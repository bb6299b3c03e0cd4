#!/usr/bin/env bats
# What the agent serves: /healthz, /livez, /metrics, the admin socket.

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
	rm -f "$MANIFESTS"/*
	service web 10.96.0.10 fd00:10:96::10
	endpoints web 11
}

teardown() {
	end_test
	agent_cleanup >/dev/null
}

fetch() { in_ns node curl -sS -m 20 "$@"; }
status_of() { fetch -o /dev/null -w '%{http_code}' "$@"; }

node_object() {
	put_manifest node <<-END
		apiVersion: v1
		kind: Node
		metadata: { name: node-1 }
		spec: { taints: [$1] }
		status: { addresses: [{ type: InternalIP, address: $NODE4 }] }
	END
}

@test "healthz and livez as kube-proxy serves them" {
	agent_start
	run fetch -i http://127.0.0.1:10256/healthz
	assert_output --partial '200 OK'
	assert_output --partial 'Content-Type: application/json'
	assert_output --partial 'X-Content-Type-Options: nosniff'
	fetch http://127.0.0.1:10256/healthz | jq -e '.healthy and .nodeEligible and .status.IPv4.healthy and .status.IPv6.healthy and .lastUpdated == .currentTime'
	fetch 'http://[::1]:10256/livez' | jq -e '.healthy and (has("nodeEligible") | not)'
	[ "$(fetch http://127.0.0.1:10256/healthz | wc -l)" = 1 ]
	assert_equal "$(status_of http://127.0.0.1:10256/)" 404
	assert_equal "$(status_of http://127.0.0.1:10256/metrics)" 404
	assert_equal "$(status_of -X POST http://127.0.0.1:10256/healthz)" 405
}

@test "a doomed node is drained but alive" {
	agent_start
	node_object '{ key: ToBeDeletedByClusterAutoscaler, effect: NoSchedule }'
	drained() { [ "$(status_of http://127.0.0.1:10256/healthz)" = 503 ]; }
	wait_for 5 "503" drained
	fetch http://127.0.0.1:10256/healthz | jq -e '.healthy and (.nodeEligible | not)'
	assert_equal "$(status_of http://127.0.0.1:10256/livez)" 200
	node_object ''
	back() { [ "$(status_of http://127.0.0.1:10256/healthz)" = 200 ]; }
	wait_for 5 "200" back
}

@test "a port that is taken is tried again, and is no reason to die" {
	in_ns_bg node python3 -c 'import socket,time; s = socket.create_server(("", 10256)); t = socket.create_server(("127.0.0.1", 10249)); time.sleep(900)'
	local holder=$!
	taken() { in_ns node ss -ltn | grep -q :10256; }
	wait_for 5 "the ports to be taken" taken
	agent_start
	run agent_said
	assert_output --partial 'cannot serve healthz'
	in_ns client "$CALL" tcp 10.96.0.10 80
	kill $holder
	served() { [ "$(status_of http://127.0.0.1:10256/livez)$(status_of http://127.0.0.1:10249/metrics)" = 200200 ]; }
	wait_for 12 "both pages" served
}

@test "a client that opens a hundred connections and says nothing keeps nobody out" {
	agent_start
	in_ns client python3 - "$NODE4" "$T_DIR/holding" <<-'END' &
		import socket, sys, time
		held = []
		for i in range(100):
		    s = socket.create_connection((sys.argv[1], 10256), 5)
		    held.append(s)
		    try:
		        s.sendall(b'GET /livez HTTP/1.1\r\nX: ')
		    except OSError: # closed: one too many
		        pass
		open(sys.argv[2], 'w').close()
		time.sleep(12)
	END
	local holder=$!
	wait_for 20 "a hundred connections" test -e "$T_DIR/holding"
	run status_of http://127.0.0.1:10256/livez
	rm -f "$T_DIR/holding"
	assert_output 200
	wait $holder
}

@test "metrics are well-formed and tell what happened" {
	agent_start --socket-lb off
	for _ in 1 2 3; do in_ns client "$CALL" tcp 10.96.0.10 80; done
	in_ns client "$CALL" tcp 10.96.0.10 81 --timeout 400 || :
	fetch http://127.0.0.1:10249/metrics >"$BATS_TEST_TMPDIR/metrics"
	python3 - "$BATS_TEST_TMPDIR/metrics" <<-'END'
		import re, sys
		family = None
		types, seen, closed = {}, set(), set()
		sample = re.compile(r'^([a-z_]+)(\{(?:[a-z_]+="(?:[^"\\\n]|\\.)*",?)*\})? (-?[0-9.e+-]+|\+Inf)$')
		for n, line in enumerate(open(sys.argv[1]), 1):
		    line = line.rstrip('\n')
		    if line.startswith('# HELP '):
		        closed.add(family)
		        family = line.split(' ')[2]
		        assert family not in closed, (n, 'family twice', line)
		        assert len(line.split(' ', 3)) == 4
		    elif line.startswith('# TYPE '):
		        assert line.split(' ')[2] == family, (n, line)
		        types[family] = line.split(' ')[3]
		    else:
		        m = sample.match(line)
		        assert m, (n, line)
		        name = m.group(1)
		        base = re.sub('_(bucket|sum|count)$', '', name) if types[family] == 'histogram' else name
		        assert base == family, (n, 'outside its family', line)
		        assert types[family] != 'counter' or name.endswith('_total'), (n, line)
		        assert m.group(1, 2) not in seen, (n, 'twice', line)
		        seen.add(m.group(1, 2))
		assert len(types) > 35, len(types)
	END
	metric() { awk -v k="$1" 'index($0, k) == 1 { print $NF }' "$BATS_TEST_TMPDIR/metrics"; }
	assert_equal "$(metric 'sluice_service_flows_total{namespace="default",service="web",port="http",protocol="TCP",family="IPv4"}')" 3
	assert_equal "$(metric 'sluice_backend_flows_total{namespace="default",service="web",port="http",protocol="TCP",family="IPv4",endpoint="10.244.1.11:8080"}')" 3
	[ "$(metric 'sluice_service_bytes_to_total{namespace="default",service="web",port="http",protocol="TCP",family="IPv4"}')" -gt 100 ]
	[ "$(awk '/reason="UNKNOWN_PORT"/ { n += $2 } END { print n }' <(grep ^sluice_packets_total "$BATS_TEST_TMPDIR/metrics"))" -ge 1 ]
	assert_equal "$(metric 'sluice_sync_failures_total')" 0
	[ "$(metric 'sluice_sync_latency_seconds_count')" -ge 1 ]
}

@test "counters survive the agent" {
	agent_start
	in_ns client "$CALL" tcp 10.96.0.10 80
	flows() { fetch http://127.0.0.1:10249/metrics | awk '/^sluice_service_flows_total.*port="http".*IPv4/ { print $NF }'; }
	assert_equal "$(flows)" 1
	agent_stop KILL
	in_ns client "$CALL" tcp 10.96.0.10 80
	agent_start
	assert_equal "$(flows)" 2
}

@test "an id with a new owner starts at zero" {
	agent_start
	in_ns client "$CALL" tcp 10.96.0.10 80
	forget web
	none() { ctl services -o json | jq -e '.items == []'; }
	wait_for 5 "the service to go" none
	service next 10.96.0.30 fd00:10:96::30
	endpoints next 11
	some() { ctl services -o json | jq -e '.items | length > 0'; }
	wait_for 5 "the next one" some
	settled
	assert_equal "$(fetch http://127.0.0.1:10249/metrics | awk '/^sluice_(service|backend)_.*_total/ { n += $NF } END { print n + 0 }')" 0
}

@test "frontends that no program serves are told, and are not in the kernel" {
	agent_start
	put_manifest outside <<-END
		apiVersion: v1
		kind: Service
		metadata: { name: outside }
		spec:
		  type: LoadBalancer
		  clusterIP: 10.96.0.40
		  externalIPs: [198.51.100.9]
		  ports: [{ name: http, port: 80, nodePort: 30080 }]
		status: { loadBalancer: { ingress: [{ ip: 203.0.113.9 }, { ip: 203.0.113.10, ipMode: Proxy }] } }
	END
	known() { ask status | jq -e '.notServed == { NodePort: 1, LoadBalancer: 1, ExternalIP: 1 }'; }
	wait_for 5 "the Service to be known" known
	ctl services -o json | jq -e '[.items[] | select(.name == "outside") | .kind] == ["ClusterIP"]'
	run ctl status
	assert_output --regexp 'not served yet +1 NodePort, 1 LoadBalancer, 1 ExternalIP'
	run fetch http://127.0.0.1:10249/metrics
	assert_line 'sluice_frontends_not_served{kind="NodePort"} 1'
	[ "$("$BPFTOOL" map dump pinned "$BPFFS/sluice/v1/maps/sl4_services" | grep -c '"vip"')" -gt 0 ]
	run "$BPFTOOL" map dump pinned "$BPFFS/sluice/v1/maps/sl4_services"
	refute_output --partial '198,51,100,9'
	refute_output --partial '203,0,113'
	refute_output --partial '"port": 30080'
}

@test "the admin socket answers lines, and survives bad ones" {
	local i
	for i in {1..20}; do service "more-$i" "10.96.1.$i" "fd00:10:96::1$i"; done # more than one piece of "wanted"
	agent_start
	wait_for 10 "all of them" ask_is status '.serviceRecords > 120'
	[ "$(stat -c %a "$ADMIN")" = 660 ]
	ask status | jq -e '.version and .nodeName == "node-1" and .healthy and .problems == 0'
	ask wanted | jq -e '[.services[] | select(.address == "10.96.0.10" and .port == 80 and .protocol == "TCP").cluster[0].address] == ["10.244.1.11"]'
	ask nonsense | jq -e .error
	python3 - "$ADMIN" <<-'END'
		import json, socket, sys
		def dial():
		    s = socket.socket(socket.AF_UNIX); s.settimeout(5); s.connect(sys.argv[1]); return s
		s = dial(); s.sendall(b'{"get":"status"}\n{"get":"problems"}\n')
		f = s.makefile(); assert 'version' in f.readline(); assert 'problems' in f.readline()
		s = dial(); s.sendall(b'{"get":"wanted"}\n{"get":"status"}\n{"get":"wanted"}\n\n{"get":"problems"}\n')  # one after another, in order
		f = s.makefile(); assert [list(json.loads(f.readline()))[0] for _ in range(5)] == ['services', 'version', 'services', 'error', 'problems']
		deaf = dial(); deaf.sendall(b'{"get":"wanted"}\n' * 200)  # and never listens
		s = dial(); s.sendall(b'x' * 100000)  # no line end: dropped
		try:
		    assert s.recv(10) == b''
		except ConnectionResetError:
		    pass
		many = [dial() for _ in range(16)]    # idle clients do not stop others from being answered later
		for c in many: c.close()
		s = dial(); s.sendall(b'[' * 3000 + b'\n'); assert b'error' in s.recv(1000)
	END
	ask status | jq -e .synced
	for i in {1..20}; do forget "more-$i"; done
}

@test "without a descriptor left the admin socket waits, and nothing spins" {
	agent_start
	python3 - "$ADMIN" "$(agent_pid)" "$T_DIR/sluiced.log" <<-'END'
		import os, resource, socket, sys, time
		path, pid, log = sys.argv[1], int(sys.argv[2]), sys.argv[3]
		said = lambda: 'lets nobody in' in open(log).read()
		cpu = lambda: sum(int(x) for x in open(f'/proc/{pid}/stat').read().rsplit(') ', 1)[1].split()[11:13])
		before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
		used = {int(n) for n in os.listdir(f'/proc/{pid}/fd')}
		resource.prlimit(pid, resource.RLIMIT_NOFILE, (min(set(range(len(used) + 1)) - used), before[1]))
		s = socket.socket(socket.AF_UNIX); s.settimeout(10); s.connect(path)
		s.sendall(b'{"get":"status"}\n')
		deadline = time.monotonic() + 5
		while not said():
		    assert time.monotonic() < deadline, 'it does not say so'
		    time.sleep(0.01)
		began, ticks = time.monotonic(), cpu()
		while time.monotonic() < began + 2: # how long it is watched, not what is waited for
		    time.sleep(0.1)
		share = (cpu() - ticks) / os.sysconf('SC_CLK_TCK') / (time.monotonic() - began)
		assert share < 0.5, f'the agent takes {share:.0%} of a CPU'
		resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
		assert b'version' in s.recv(65536)
	END
}

@test "refusals are told" {
	agent_start --socket-lb off
	in_ns client "$CALL" tcp 10.96.0.10 81 --timeout 400 || :
	told() { ask_is drops '.drops[] | select(.reason == "UNKNOWN_PORT" and (.to | startswith("10.96.0.10:81")))'; }
	wait_for 5 "the refusal" told
}
