#!/usr/bin/env bats
# What a real API server does when it is restarted, hangs, moves, or takes a token back: no packet notices, and what changed
# meanwhile arrives.

# shellcheck disable=SC1091,SC2154

setup_file() {
	load cluster
	load ../e2e/manifests
	load ../e2e/helpers
	load helpers
	kube_begin_file && agent_kubeconfig && node_object || return 1
	for n in 11 12 13 14; do
		topology_pod "pod-$n" "$n" && topology_model "pod-$n" || return 1
	done
	topology_pod client 100
	# No controller is in between: what the API server says is what is written here.
	k create service clusterip web --tcp=80:8080 --clusterip=10.96.50.1 --dry-run=client -o json |
		jq 'del(.spec.selector)' | apply >/dev/null
}

teardown_file() {
	load cluster
	cluster_names "$T_ID"
	topology_end
}

setup() {
	load cluster
	load ../e2e/manifests
	load ../e2e/helpers
	load helpers
	kube_begin_test
	VIP=10.96.50.1
	slice 11 12 13
	kube_start --api-server "https://$API4:6443,https://$API4_OTHER:6443"
	wait_for 5 "three endpoints" endpoints_are 11 12 13
}

teardown() {
	load_kill
	world_hears
	api_signal CONT
	if [ -e "$T_DIR/other.pid" ]; then
		api_signal KILL other
		rm -f "$T_DIR/other.pid"
	fi 2>/dev/null
	api_is_ready >/dev/null 2>&1 || api_restart
	kube_end_test
	agent_cleanup >/dev/null
}

api_restart() {
	api_signal KILL 2>/dev/null
	api_start && wait_for 30 "the API server" api_is_ready
}

other_start() { api_start other && wait_for 30 "the other API server" api_is_ready other; }

# slice N…: pods 10.244.1.N are the endpoints of the Service. By the other server: SERVER=https://… slice …
slice() {
	{
		cat <<-'END'
			apiVersion: discovery.k8s.io/v1
			kind: EndpointSlice
			metadata: { name: web-1, labels: { kubernetes.io/service-name: web } }
			addressType: IPv4
			ports: [{ name: 80-8080, protocol: TCP, port: 8080 }]
			endpoints:
		END
		for n; do echo "- { addresses: [10.244.1.$n], nodeName: node-1, conditions: { ready: true } }"; done
	} | k ${SERVER:+--server "$SERVER"} apply -f - >/dev/null
}

endpoints_are() {
	[ "$(ctl backends -s default/web -o json | jq -r '[.items[].address | split(".")[3]] | sort | join(" ")')" = "$*" ]
}

# arrives SECONDS N…: until these are the endpoints; says how long that took.
arrives() {
	local seconds=$1 start=${EPOCHREALTIME//[.,]/}
	shift
	wait_for "$seconds" "endpoints $*" endpoints_are "$@"
	echo "# endpoints $* after $(((${EPOCHREALTIME//[.,]/} - start) / 1000)) ms" >&3
}

# Requests go to these and to nobody else.
assert_served_by() {
	local pods
	pods=$(printf 'pod-%s,' "$@")
	assert_balanced client "$VIP" 80 "${pods%,}" --tcp 100
	assert_balanced node "$VIP" 80 "${pods%,}" --tcp 100
}

# Packets between the node and the API server are lost, both ways and without a word.
world_is_deaf() {
	in_ns world nft "add table ip deaf
		add chain ip deaf in { type filter hook input priority 0; }
		add rule ip deaf in ip saddr $NODE4 drop
		add chain ip deaf out { type filter hook output priority 0; }
		add rule ip deaf out ip daddr $NODE4 drop"
}
world_hears() { in_ns world nft delete table ip deaf 2>/dev/null || :; }

told() { ask_is problems "[.problems[] | select(.object | startswith(\"API server\"))] | length $1"; }

@test "killed and started again, five times, under load" {
	local pods=(13 14) i
	load_begin 1000
	for i in 1 2 3 4 5; do
		api_signal KILL
		wait_for 10 "it to be told" told '> 0'
		endpoints_are 11 12 13 || endpoints_are 11 12 14
		api_start
		wait_for 30 "the API server" api_is_ready
		slice 11 12 "${pods[i % 2]}"
		arrives 4 11 12 "${pods[i % 2]}"
	done
	wait_for 10 "nothing left to be told" told '== 0'
	load_end
	agrees
}

@test "stopped for a while (SIGSTOP): nothing is lost" {
	load_begin
	api_signal STOP
	sleep 3 # the pause itself
	assert_served_by 11 12 13
	api_signal CONT
	slice 11 14
	arrives 4 11 14
	load_end
	assert_served_by 11 14
}

@test "stopped for good (SIGSTOP): another API server is asked within a minute" {
	other_start
	load_begin 1000
	api_signal STOP
	SERVER=https://$API4_OTHER:6443 slice 12 14
	arrives 60 12 14
	load_end
	assert_served_by 12 14
}

@test "replaced by another one at another address" {
	other_start
	load_begin
	api_signal KILL
	SERVER=https://$API4_OTHER:6443 slice 12 13
	arrives 4 12 13
	api_start
	wait_for 30 "the first one" api_is_ready
	api_signal KILL other
	slice 11 12 13 14
	arrives 4 11 12 13 14
	load_end
	assert_served_by 11 12 13 14
}

@test "packets to it are lost; what was deleted meanwhile is gone after" {
	load_begin
	k create service clusterip doomed --tcp=80:8080 >/dev/null
	has_doomed() { ctl services --all -o json | jq -e '[.items[] | select(.name == "doomed")] | length > 0'; }
	wait_for 5 "a Service" has_doomed
	world_is_deaf
	k delete service doomed >/dev/null
	slice 11 14
	sleep 3 # the outage itself
	assert_served_by 11 12 13
	has_doomed
	world_hears
	arrives 5 11 14
	wait_for 1 "the Service to go" not has_doomed
	load_end
	agrees
}

@test "a token is exchanged, and one is taken back before there is another" {
	cluster_token second
	k -n sluice delete secret first >/dev/null
	api_restart
	slice 11 14
	arrives 4 11 14
	# taken back: refused from the server's next start on
	k -n sluice delete secret second >/dev/null
	api_restart
	is_refused() { ask problems | grep -q 'answers 401'; }
	wait_for 20 "the refusal to be told" is_refused
	slice 12 13
	assert_served_by 11 14
	endpoints_are 11 14
	cluster_token first
	arrives 35 12 13
	wait_for 35 "nothing left to be told" told '== 0'
}
