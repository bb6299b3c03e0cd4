#!/usr/bin/env bats
# The node follows an API server: changes arrive, and what an API server does when it fails reaches no packet.

# shellcheck disable=SC1091,SC2016,SC2154

setup_file() {
	load topology
	load manifests
	begin_file
	topology_node
	topology_pod server 11
	topology_pod other 12
	topology_pod client 100
	topology_model server
	topology_model other
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
	mkfifo "$T_DIR/api"
	in_ns_bg node sh -c 'exec python3 "$1/../kube/apiserver.py" 6080 <>"$2"' sh "$BATS_TEST_DIRNAME" "$T_DIR/api" \
		>"$T_DIR/api.log" 2>&1
	API=$!
	wait_for 10 "the API server" in_ns node curl -fs http://127.0.0.1:6080/version
	api_node
	api_service 10.96.0.10
	api_endpoints 10.244.1.11
}

teardown() {
	end_test
	agent_cleanup >/dev/null
	kill "$API" 2>/dev/null
	rm -f "$T_DIR/api"
}

# One line each: that is how the API server is told.
api() { { tr '\n\t' '  ' <<<"$1"; echo; } >"$T_DIR/api"; }

api_node() {
	api '{"put": "nodes", "object": {"metadata": {"name": "node-1"}, "spec": {}, "status":
		{"addresses": [{"type": "InternalIP", "address": "192.0.2.1"}]}}}'
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

kube_start() {
	agent_start --source kube --api-server http://127.0.0.1:6080 --kubeconfig "$T_DIR/kubeconfig"
}

kubeconfig() {
	cat >"$T_DIR/kubeconfig" <<-'END'
		current-context: c
		contexts: [{ name: c, context: { cluster: k, user: u } }]
		clusters: [{ name: k, cluster: { server: "http://127.0.0.1:6080" } }]
		users: [{ name: u, user: {} }]
	END
}

answers() { in_ns client "$CALL" tcp "$1" 80; }

@test "services of an API server are served; changes arrive" {
	kubeconfig
	kube_start
	answers 10.96.0.10
	run ask status
	assert_output --partial '"source":"kube"'
	api_service 10.96.0.20
	wait_for 3 "the new address" answers 10.96.0.20
	api '{"delete": "services", "namespace": "default", "name": "web"}'
	wait_for 3 "the deletion" not answers 10.96.0.20
}

@test "an API server that stops, lies and hangs changes nothing; changes arrive when it is back" {
	kubeconfig
	kube_start
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
	kubeconfig
	kube_start
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

@test "diff reads the API server: as the agent does, or as it is told" {
	kubeconfig
	kube_start
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
	kubeconfig
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
