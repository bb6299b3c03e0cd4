#!/usr/bin/env bats
# The node follows an API server: changes arrive, and what an API server does when it fails reaches no packet.

# shellcheck disable=SC1091,SC2016,SC2154,SC2317

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
	load api
	api_begin
	api_service 10.96.0.10
	api_endpoints 10.244.1.11
}

teardown() {
	end_test
	agent_cleanup >/dev/null
	api_end
}

api_service() {
	api '{"put": "services", "object": {"metadata": {"namespace": "default", "name": "web"}, "spec":
		{"type": "ClusterIP", "clusterIP": "'"$1"'", "clusterIPs": ["'"$1"'"], "ipFamilies": ["IPv4"],
		"ports": [{"name": "http", "protocol": "TCP", "port": 80, "targetPort": 8080}]}}}'
}

api_endpoints() {
	local address list=
	for address; do
		list+="${list:+, }{\"addresses\": [\"$address\"], \"conditions\": {\"ready\": true}, \"nodeName\": \"node-1\"}"
	done
	api '{"put": "endpointslices", "object": {"metadata": {"namespace": "default", "name": "web-a",
		"labels": {"kubernetes.io/service-name": "web"}}, "addressType": "IPv4", "endpoints": ['"$list"'],
		"ports": [{"name": "http", "protocol": "TCP", "port": 8080}]}}'
}

answers() { in_ns client "$CALL" tcp "$1" 80; }

@test "services of an API server are served; changes arrive" {
	api_start
	answers 10.96.0.10
	run ask status
	assert_output --partial '"source":"kube"'
	api_service 10.96.0.20
	wait_for 3 "the new address" answers 10.96.0.20
	api '{"delete": "services", "namespace": "default", "name": "web"}'
	wait_for 3 "the deletion" not answers 10.96.0.20
}

@test "an API server that stops, lies and hangs changes nothing; changes arrive when it is back" {
	api_start
	answers 10.96.0.10
	before=$(ctl services -o json)
	for word in '{"do": "stop"}' '{"do": "start"}' '{"lie": 404}' '{"lie": 403}' '{"lie": 500}' '{"lie": 0}' '{"do": "pause"}'; do
		api "$word"
		answers 10.96.0.10
	done
	api '{"do": "stop"}'
	wait_for 10 "it to be told" ask_is problems '[.problems[] | select(.object | startswith("API server"))] | length > 0'
	answers 10.96.0.10
	assert_equal "$(ctl services -o json)" "$before"
	api '{"do": "resume"}'
	api_service 10.96.0.30
	api '{"do": "start"}'
	wait_for 5 "the new address" answers 10.96.0.30
	wait_for 40 "nothing left to be told" ask_is problems '.problems == []'
}

@test "a restart without an API server keeps what was served" {
	api_start
	answers 10.96.0.10
	api '{"do": "stop"}'
	agent_stop KILL
	answers 10.96.0.10
	topology_agent "${AGENT_OPTIONS[@]}" --source kube --api-server http://127.0.0.1:6080 --kubeconfig "$T_DIR/kubeconfig"
	wait_for 10 "it to be told" ask_is problems '.problems | length > 0'
	answers 10.96.0.10
	api_endpoints 10.244.1.12
	api '{"do": "start"}'
	moved() { answers 10.96.0.10 | grep -q 'name=other'; }
	wait_for 10 "the endpoint of now" moved
}

# What was served stays until everything was listed, whichever comes last; the Service of a former life goes then.
@test "a restart while one kind is not answered yet: nothing is removed before all are there" {
	api_start
	other_service() { api '{"put": "services", "object": {"metadata": {"namespace": "default", "name": "old"}, "spec":
		{"type": "ClusterIP", "clusterIP": "10.96.0.77", "clusterIPs": ["10.96.0.77"], "ipFamilies": ["IPv4"],
		"ports": [{"name": "http", "protocol": "TCP", "port": 80}]}}}'; }
	rows() { for table in services backends records rings; do "$BPFTOOL" -j map dump pinned "$BPFFS/sluice/v1/maps/sl4_$table" | md5sum; done; }
	has_old() { ctl services --all -o json | jq -e '[.items[] | select(.name == "old")] | length > 0'; }
	local kind before
	for kind in services endpointslices nodes servicecidrs; do
		other_service
		wait_for 5 "it to be there" has_old
		wait_for 5 "everything to be written" ctl diff
		agent_stop KILL
		api '{"delete": "services", "namespace": "default", "name": "old"}'
		api '{"hold": "'"$kind"'"}'
		before=$(rows)
		topology_agent "${AGENT_OPTIONS[@]}" --source kube --api-server http://127.0.0.1:6080 --kubeconfig "$T_DIR/kubeconfig"
		# the others are there
		others() { [ "$(in_ns node curl -s -m 5 http://127.0.0.1:10249/metrics | grep -cE '^sluice_api_syncs_total[{].*[}] [1-9]')" = 3 ]; }
		wait_for 20 "the other kinds to be listed ($kind)" others
		answers 10.96.0.10
		assert_equal "$(rows)" "$before"
		api '{"hold": ""}'
		wait_for 10 "it to go ($kind)" not has_old
		answers 10.96.0.10
		wait_for 5 "everything to be written" ctl diff
	done
}

@test "diff reads the API server: as the agent does, or as it is told" {
	api_start
	run ctl diff
	assert_success
	assert_output --partial 'source, agent and kernel agree'
	agent_stop
	api_service 10.96.0.40
	run ctl diff --source kube --kubeconfig "$T_DIR/kubeconfig"
	assert_failure 1
	assert_output --partial 10.96.0.40
	run ctl diff --source kube --kubeconfig "$T_DIR/kubeconfig" --api-server nonsense
	assert_failure 2
	assert_output --partial nonsense
}

# As on a real node: addresses and uplink are what the API server and the node say.
launch_bare() {
	in_ns_bg node "$SLUICED" --source kube --api-server http://127.0.0.1:6080 --kubeconfig "$T_DIR/kubeconfig" \
		--node-name node-1 --bpffs "$BPFFS" --cgroup "$CGROUP" --admin-socket "$ADMIN" --state-dir "$T_DIR/state" \
		"${AGENT_OPTIONS[@]}" >>"$T_DIR/sluiced.log" 2>&1
	echo $! >"$T_DIR/sluiced.pid"
	disown
}

readyz_is() { [ "$(in_ns node curl -s -o /dev/null -w '%{http_code}' http://127.0.0.1:10256/readyz)" = "$1" ]; }
on_uplink() { ctl attach -o json | jq -r '.items[] | select(.interface == "up0") | "\(.hook) \(.program) \(.linkId)"' | sort; }

@test "a restart without an API server leaves the uplink's hooks alone, and is not ready" {
	# so that nothing but the Node object says which device is the uplink
	ip -n "$(ns_of node)" route del default
	ip -n "$(ns_of node)" -6 route del default
	launch_bare
	wait_for 10 "sluiced to be ready" readyz_is 200
	uplink_has_hooks() { on_uplink | grep -q sl_up_in; }
	wait_for 5 "hooks on the uplink" uplink_has_hooks
	before=$(on_uplink)
	agent_stop KILL
	api '{"do": "stop"}'
	wait_for 5 "the API server to stop" not in_ns node curl -fs http://127.0.0.1:6080/version
	launch_bare
	hooks_are_set() { agent_said | grep -q 'hooks are set'; }
	wait_for 10 "its hooks" hooks_are_set
	assert_equal "$(on_uplink)" "$before"
	run agent_said
	refute_output --partial 'no uplink found'
	wait_for 5 "it to say that it is not ready" readyz_is 503
	answers 10.96.0.10
	api '{"do": "start"}'
	wait_for 10 "it to be ready" readyz_is 200
	assert_equal "$(on_uplink)" "$before"
	ip -n "$(ns_of node)" route add default via "$WORLD4"
	ip -n "$(ns_of node)" -6 route add default via "$WORLD6"
}

# Events so far: has one for which the jq filter holds?
wrote() {
	rm -f "$T_DIR/writes"
	api "{\"writes\": \"$T_DIR/writes\"}"
	wait_for 10 "the writes" test -e "$T_DIR/writes" &&
	jq -se "[.[] | select($1)] | length ${2:->} ${3:-0}" "$T_DIR/writes" >/dev/null
}

@test "Events tell of the start, of conflicts, and of what is refused; repeated ones are counted" {
	api_start
	wait_for 10 "the start" wrote '.path == "/apis/events.k8s.io/v1/namespaces/default/events" and .body.reason == "Starting"
		and .body.type == "Normal" and .body.regarding.kind == "Node" and .body.regarding.name == "node-1"'
	for who in "first 2020" "late 2030"; do
		api '{"put": "services", "object": {"metadata": {"namespace": "shop", "name": "'"${who% *}"'", "uid": "u-'"${who% *}"'",
			"creationTimestamp": "'"${who#* }"'-01-01T00:00:00Z"}, "spec": {"type": "ClusterIP", "clusterIP": "10.96.0.50",
			"clusterIPs": ["10.96.0.50"], "ipFamilies": ["IPv4"], "ports": [{"name": "x", "protocol": "TCP", "port": 80}]}}}'
	done
	wait_for 10 "the conflict" wrote '.method == "POST" and .path == "/apis/events.k8s.io/v1/namespaces/shop/events"
		and .body.type == "Warning" and .body.reason == "Misconfigured" and .body.regarding.uid == "u-late"
		and (.body.note | test("belongs to Service shop/first port x, which is older")) and .body.reportingInstance == "node-1"
		and (.body.eventTime | test("^20.*\\.[0-9]{6}Z$")) and .body.metadata.namespace == "shop"'
	api_endpoints 10.244.1.11 169.254.169.254
	wait_for 10 "the refused endpoint" wrote '.body.regarding.name == "web" and (.body.note | test("169.254.169.254.*link-local"))'
	taken() { fetch_metrics | grep -q '^sluice_api_writes_total{what="events",result="sent"} [3-9]$'; }
	wait_for 5 "their answers" taken
}

@test "an API server that takes no Events is asked no more, and nothing else suffers" {
	api '{"refuse": 403}'
	api_start
	wait_for 10 "one try" wrote '.method == "POST"'
	api_endpoints 10.244.1.11 169.254.169.254
	api_service 10.96.0.20
	wait_for 3 "the new address" answers 10.96.0.20
	wrote '.method == "POST"' == 1
	agent_said | grep -q 'Events are not taken: the API server answers 403'
	api_endpoints 10.244.1.11
}

fetch_metrics() { in_ns node curl -sS -m 20 http://127.0.0.1:10249/metrics; }

@test "no Node object: not eligible, and ready all the same" {
	api '{"delete": "nodes", "namespace": "", "name": "node-1"}'
	api_start
	page() { in_ns node curl -s -o /dev/null -w '%{http_code}' "http://127.0.0.1:10256/$1"; }
	assert_equal "$(page healthz)" 503
	assert_equal "$(page livez)" 200
	assert_equal "$(page readyz)" 200
	api_node
	eligible() { [ "$(page healthz)" = 200 ]; }
	wait_for 5 "the Node" eligible
}

api_balancer() { # ENDPOINT-SPEC: health port, then endpoints as "ADDRESS NODE"
	api '{"put": "services", "object": {"metadata": {"namespace": "default", "name": "lb", "uid": "u-lb"}, "spec":
		{"type": "LoadBalancer", "clusterIP": "10.96.0.30", "clusterIPs": ["10.96.0.30"], "ipFamilies": ["IPv4"],
		"externalTrafficPolicy": "Local", "healthCheckNodePort": '"$1"',
		"ports": [{"name": "http", "protocol": "TCP", "port": 80, "nodePort": 30080}]}}}'
}

balancer_endpoints() { # of this node, elsewhere
	local list=
	for address in $1; do list+="${list:+, }{\"addresses\": [\"$address\"], \"nodeName\": \"node-1\"}"; done
	for address in $2; do list+="${list:+, }{\"addresses\": [\"$address\"], \"nodeName\": \"node-2\"}"; done
	api '{"put": "endpointslices", "object": {"metadata": {"namespace": "default", "name": "lb-a",
		"labels": {"kubernetes.io/service-name": "lb"}}, "addressType": "IPv4", "endpoints": ['"$list"'],
		"ports": [{"name": "http", "protocol": "TCP", "port": 8080}, {"name": "more", "protocol": "TCP", "port": 8081}]}}'
}

@test "healthCheckNodePort: on the node's address, who is ready here counts" {
	api_start
	api_balancer 32000
	balancer_endpoints "10.244.1.11 10.244.1.12" "10.244.2.11"
	probe() { in_ns node curl -s -m 20 -i "$@" http://192.0.2.1:32000/any/path; }
	two() { probe | grep -q 'localEndpoints": 2'; }
	wait_for 5 "the listener" two
	run probe
	assert_line --partial '200 OK'
	assert_line --partial 'Content-Type: application/json'
	assert_line --partial 'X-Content-Type-Options: nosniff'
	assert_line --partial 'X-Load-Balancing-Endpoint-Weight: 2'
	probe -X POST -d x | grep -q '200 OK'
	in_ns node curl -s http://192.0.2.1:32000/ | jq -e '. == {service: {namespace: "default", name: "lb"}, localEndpoints: 2,
		serviceProxyHealthy: true}'
	run in_ns node curl -s -m 20 http://127.0.0.1:32000/
	assert_failure # the primary address only
	balancer_endpoints "" "10.244.2.11"
	drained() { probe | grep -q '503 Service Unavailable' && probe | grep -q 'Endpoint-Weight: 0'; }
	wait_for 5 "nobody here" drained
	run fetch_metrics
	assert_line 'kubeproxy_sync_proxy_rules_no_local_endpoints_total{ip_family="IPv4",traffic_policy="external"} 1'
	assert_line 'sluice_health_check_ports 1'
	api_balancer 32001
	moved() { in_ns node curl -s -m 20 http://192.0.2.1:32001/ | grep -q lb; }
	wait_for 5 "another port" moved
	run in_ns node curl -s -m 20 http://192.0.2.1:32000/
	assert_failure
	api '{"delete": "services", "namespace": "default", "name": "lb"}'
	wait_for 5 "the end" not moved
}

@test "healthCheckNodePort of a Service of both families: each answers for itself" {
	api_start
	api '{"put": "services", "object": {"metadata": {"namespace": "default", "name": "lb", "uid": "u-lb"}, "spec":
		{"type": "LoadBalancer", "clusterIP": "10.96.0.30", "clusterIPs": ["10.96.0.30", "fd00:10:96::30"], "ipFamilies": ["IPv4", "IPv6"],
		"externalTrafficPolicy": "Local", "healthCheckNodePort": 32003, "ports": [{"name": "http", "protocol": "TCP", "port": 80, "nodePort": 30080}]}}}'
	balancer_endpoints "10.244.1.11 10.244.1.12" ""
	api '{"put": "endpointslices", "object": {"metadata": {"namespace": "default", "name": "lb-6",
		"labels": {"kubernetes.io/service-name": "lb"}}, "addressType": "IPv6",
		"endpoints": [{"addresses": ["fd00:10:244:1::11"], "nodeName": "node-1", "conditions": {"ready": false}}],
		"ports": [{"name": "http", "protocol": "TCP", "port": 8080}]}}'
	weigh() { in_ns node curl -s -g -m 20 -o /dev/null -w '%{http_code} %header{x-load-balancing-endpoint-weight}' "http://$1:32003/"; }
	weighs() { [ "$(weigh "$1")" = "$2" ]; }
	wait_for 5 "IPv4" weighs "$NODE4" "200 2"
	wait_for 5 "IPv6" weighs "[$NODE6]" "503 0"
	# one that keeps its connection asks on after the Service went
	in_ns node python3 - "$NODE6" "$T_DIR/asked" <<-'END' >"$T_DIR/kept" 2>&1 &
		import http.client, os, sys, time
		link = http.client.HTTPConnection(sys.argv[1], 32003, timeout=10)
		def ask():
		    link.request('GET', '/')
		    answer = link.getresponse(); answer.read()
		    return answer.status
		print(ask(), flush=True)
		open(sys.argv[2], 'w').close()
		end = time.time() + 20
		while os.path.exists(sys.argv[2]):
		    assert time.time() < end
		    time.sleep(0.01)
		try:
		    print(ask())
		except (http.client.HTTPException, OSError):
		    print('closed')
	END
	local asker=$!
	wait_for 10 "the first answer" test -e "$T_DIR/asked"
	api '{"delete": "services", "namespace": "default", "name": "lb"}'
	wait_for 5 "the end" not weigh "$NODE4"
	rm -f "$T_DIR/asked"
	wait "$asker"
	run cat "$T_DIR/kept"
	rm -f "$T_DIR/kept"
	assert_output --regexp $'^503\n(503|closed)$'
}

@test "healthCheckNodePort that is taken: an Event, tried again" {
	in_ns_bg node python3 -c 'import socket,time; s = socket.create_server(("192.0.2.1", 32002)); time.sleep(900)'
	local taken=$!
	api_start
	api_balancer 32002
	balancer_endpoints 10.244.1.11
	wait_for 10 "the Event" wrote '.body.reason == "FailedToStartServiceHealthcheck" and .body.action == "Listen"
		and .body.regarding.uid == "u-lb"'
	kill "$taken"
	there() { in_ns node curl -s -m 20 http://192.0.2.1:32002/ | grep -q lb; }
	wait_for 10 "the next try" there
}

@test "figures under kube-proxy's names" {
	api_start
	local now
	now=$(date -u +%Y-%m-%dT%H:%M:%S.%NZ)
	api '{"put": "endpointslices", "object": {"metadata": {"namespace": "default", "name": "web-a",
		"annotations": {"endpoints.kubernetes.io/last-change-trigger-time": "'"$now"'"},
		"labels": {"kubernetes.io/service-name": "web"}}, "addressType": "IPv4", "endpoints": [{"addresses": ["10.244.1.12"]}],
		"ports": [{"name": "http", "protocol": "TCP", "port": 8080}]}}'
	one() { fetch_metrics | grep -q '^kubeproxy_network_programming_duration_seconds_count{ip_family="IPv4"} 1$'; }
	wait_for 5 "its latency" one
	in_ns node curl -s http://127.0.0.1:10256/healthz >/dev/null
	run fetch_metrics
	assert_line 'kubeproxy_network_programming_duration_seconds_bucket{ip_family="IPv4",le="1"} 1'
	assert_line 'kubeproxy_network_programming_duration_seconds_count{ip_family="IPv6"} 0'
	assert_line 'kubeproxy_sync_proxy_rules_service_changes_pending 0'
	assert_line --regexp '^kubeproxy_proxy_healthz_total\{code="200"\} [1-9]'
	assert_line --regexp '^kubeproxy_sync_proxy_rules_endpoint_changes_total [1-9]'
	assert_line --regexp '^kubeproxy_sync_proxy_rules_last_timestamp_seconds\{ip_family="IPv6"\} 1[0-9]{9}'
	assert_line --regexp '^sluice_sync_latency_seconds_bucket\{le="1e-05"\} '
}

@test "a Service's address on an interface of the node is told" {
	in_ns node ip link add nodelocaldns type bridge
	in_ns node ip addr add 10.96.0.10/32 dev nodelocaldns
	api_start
	wait_for 10 "it to be told" ask_is problems '[.problems[] | select(.reason | test("nodelocaldns has 10.96.0.10, a Service.s address"))] | length == 1'
	run ctl doctor
	assert_output --partial 'nodelocaldns has 10.96.0.10 of Service default/web'
	in_ns node ip link del nodelocaldns
	wait_for 10 "the end" ask_is problems '[.problems[] | select(.reason | test("nodelocaldns"))] | length == 0'
}
