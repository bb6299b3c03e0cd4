# shellcheck shell=bash disable=SC2153,SC2154
# What tests with a control plane share: an agent on the topology's node, pods that are namespaces, the seed's objects.
#
#   pods_begin N…           namespaces of pods on the node, and pods.py as its kubelet (the Node object is node-1)
#   agent_kubeconfig        the agent's way in: the account of deploy/base, with a token in $T_DIR/token
#   kube_start [OPTION…]    sluiced --source kube, ready
#   apply                   kubectl apply of what stands on the standard input
#   vip NAME [FAMILY]       the address that the API server gave
#   model_begin             the objects of manifests/ai-model.yaml, served; model_end
#   load_begin, load_end    requests to it without end from a pod and from the node, of which none may have failed

kube_begin_file() {
	export T_ID=slk-$$
	cluster_begin "$T_ID" && topology_node && cluster_control
}

kube_begin_test() {
	begin_test
	cluster_names "$T_ID"
}

kube_end_test() {
	end_test
	[ -n "${BATS_TEST_COMPLETED:-}" ] || cluster_said 2
}

apply() { k apply -f -; }

# The node as an object. Nobody sends its heartbeats, so nobody may mind: see the controllers' options.
node_object() {
	apply >/dev/null <<-END &&
		apiVersion: v1
		kind: Node
		metadata: { name: node-1, labels: { kubernetes.io/hostname: node-1, topology.kubernetes.io/zone: zone-a } }
		spec: { podCIDRs: [10.244.1.0/24, "fd00:10:244:1::/64"] }
	END
	k patch node node-1 --subresource status --type merge -p '{ "status": {
		"addresses": [{ "type": "InternalIP", "address": "192.0.2.1" }, { "type": "InternalIP", "address": "2001:db8::1" }],
		"allocatable": { "cpu": "8", "memory": "8Gi", "pods": "100" }, "capacity": { "cpu": "8", "memory": "8Gi", "pods": "100" },
		"conditions": [{ "type": "Ready", "status": "True", "lastHeartbeatTime": "2030-01-01T00:00:00Z" }] } }' >/dev/null &&
	# every new node is given one, which the controller that we do without would take away again
	k patch node node-1 --type merge -p '{ "spec": { "taints": null } }' >/dev/null
}

pods_begin() {
	local n given=()
	for n; do
		topology_pod "place-$n" "$n" || return 1
		given+=("$(ns_of "place-$n")=10.244.1.$n,fd00:10:244:1::$n")
	done
	node_object &&
	daemon world pods "$CLUSTER_DIR/pods.py" "$API4" "$PKI/ca.crt" "$ADMIN_TOKEN" node-1 "$BUILD/demo/model" "${given[@]}"
}

agent_kubeconfig() {
	k kustomize "$CLUSTER_DIR/../../deploy/base" >"$T_DIR/deploy.yaml" &&
	# no node is to run it here
	in_ns world python3 - "$T_DIR/deploy.yaml" >"$T_DIR/account.yaml" <<-'END' &&
		import sys
		print("---\n".join(d for d in open(sys.argv[1]).read().split("---\n") if "kind: DaemonSet" not in d))
	END
	apply <"$T_DIR/account.yaml" >/dev/null && cluster_token first &&
	write_kubeconfig "$T_DIR/agent.conf" "tokenFile: $T_DIR/token"
}

# Addresses and service ranges are what the API server says, interfaces what the agent finds.
kube_launch() {
	in_ns_bg node "$SLUICED" --source kube --kubeconfig "$T_DIR/agent.conf" --node-name node-1 --pod-ifaces 'pod-*' \
		--bpffs "$BPFFS" --cgroup "$CGROUP" --admin-socket "$ADMIN" --state-dir "$T_DIR/state" \
		"${AGENT_OPTIONS[@]}" "$@" >>"$T_DIR/sluiced.log" 2>&1
	echo $! >"$T_DIR/sluiced.pid"
	disown
}

kube_start() {
	kube_launch "$@"
	wait_for 20 "sluiced to be ready" agent_is_ready
}

vip() {
	k get service "$1" -o "jsonpath={.spec.clusterIPs[${2:-0}]}"
}

# Pods of the label app=NAME that are Ready, as "a,b,c".
ready_pods() {
	k get pods -l "app=$1" -o json | jq -r '[.items[] | select(.metadata.deletionTimestamp == null and
		any(.status.conditions[]?; .type == "Ready" and .status == "True")) | .metadata.name] | sort | join(",")'
}

have_pods() { [ "$(ready_pods "$1" | tr , '\n' | grep -c .)" = "$2" ]; }

# Endpoints that sluice has of a service's first port.
endpoints_of() {
	ctl backends -s "default/$1" -o json | jq '[.items[] | select(.ready != false)] | length'
}

# ---- the first document's Service ------------------------------------------------------------------------------------

model_begin() {
	apply <"$CLUSTER_DIR/manifests/ai-model.yaml" >/dev/null
	wait_for 20 "three pods" have_pods ai-model 3
	VIP=$(vip ai-model-service)
	wait_for 5 "three endpoints" have_endpoints 3
}

model_end() { k delete -f "$CLUSTER_DIR/manifests/ai-model.yaml" --wait=true >/dev/null; }

have_endpoints() { [ "$(endpoints_of ai-model-service)" = "$1" ]; }

# Has sluice the endpoints that are the Ready pods, and no others? Between the two the endpoints' controller takes its time.
follows_pods() {
	local addresses endpoints
	addresses=$(k get pods -l app=ai-model -o json | jq -c '[.items[] | select(.metadata.deletionTimestamp == null and
		any(.status.conditions[]?; .type == "Ready" and .status == "True")) | [.status.podIPs[].ip]]') &&
	endpoints=$(ctl backends -s default/ai-model-service -o json | jq -c '[.items[] | select(.ready != false).address]') &&
	jq -en --argjson pods "$addresses" --argjson have "$endpoints" '($have - [$pods[][]] == []) and
		($pods | length > 0) and all($pods[]; . - $have != .)' >/dev/null
}

agrees() { wait_for 10 "source, agent and kernel to agree" ctl diff; }

# Requests from a pod by packet and by socket, and from a process of the node, over all of the Ready pods.
assert_served() {
	local pods
	wait_for 20 "the endpoints to be the Ready pods" follows_pods
	pods=$(ready_pods ai-model)
	assert_balanced client "$VIP" 80 "$pods" --tcp 100
	assert_balanced node "$VIP" 80 "$pods" --tcp 100
}

# load_begin [LEAST]: requests from the pod and from the node until load_end, at least LEAST (100) from each.
load_begin() {
	local from
	LOAD_LEAST=${1:-100}
	for from in client node; do
		in_ns_bg "$from" "$LOAD" "$VIP" 80 --tcp 0 --rate 200 --least "$LOAD_LEAST" --seconds 900 >"$T_DIR/load.$from"
		echo $! >"$T_DIR/load.$from.pid"
	done
}

load_kill() {
	local file
	for file in "$T_DIR"/load.*.pid; do
		[ ! -e "$file" ] || kill -TERM "$(cat "$file")" 2>/dev/null
		rm -f "$file"
	done
}

load_end() {
	local from pid
	for from in client node; do
		pid=$(cat "$T_DIR/load.$from.pid")
		kill -TERM "$pid"
		wait_for 20 "the requests to end" not kill -0 "$pid"
		echo "# $from: $(grep -E '^(tcp\.|first)' "$T_DIR/load.$from" | paste -sd' ')" >&3
		[ "$(value "$(cat "$T_DIR/load.$from")" tcp.answered)" -ge "$LOAD_LEAST" ] || fail "too few: $(cat "$T_DIR/load.$from")"
		for word in failed refused wrong; do
			[ "$(value "$(cat "$T_DIR/load.$from")" "tcp.$word")" = 0 ] || fail "$word: $(cat "$T_DIR/load.$from")"
		done
	done
}
