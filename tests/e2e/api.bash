# shellcheck shell=bash disable=SC2034,SC2154
# The scripted API server (../kube/apiserver.py) on the node's loopback, as a source of sluiced. On top of topology.bash.
#
#   api_begin                starts it, knowing the node; $T_DIR/kubeconfig leads there
#   api_end
#   api JSON                 one word to it; its first lines say which there are
#   api_node                 the Node object
#   api_start [OPTION…]      sluiced on the node, following it

api_begin() {
	mkfifo "$T_DIR/api"
	# shellcheck disable=SC2016
	in_ns_bg node sh -c 'exec python3 "$1/../kube/apiserver.py" 6080 <>"$2"' sh "$BATS_TEST_DIRNAME" "$T_DIR/api" \
		>"$T_DIR/api.log" 2>&1
	API=$!
	wait_for 10 "the API server" in_ns node curl -fs http://127.0.0.1:6080/version
	cat >"$T_DIR/kubeconfig" <<-'END'
		current-context: c
		contexts: [{ name: c, context: { cluster: k, user: u } }]
		clusters: [{ name: k, cluster: { server: "http://127.0.0.1:6080" } }]
		users: [{ name: u, user: {} }]
	END
	api_node
}

api_end() {
	[ -z "${API:-}" ] || kill "$API" 2>/dev/null
	rm -f "$T_DIR/api"
}

# One line each: that is how it is told.
api() { { tr '\n\t' '  ' <<<"$1"; echo; } >"$T_DIR/api"; }

api_node() {
	api '{"put": "nodes", "object": {"metadata": {"name": "node-1"}, "spec": {}, "status":
		{"addresses": [{"type": "InternalIP", "address": "192.0.2.1"}]}}}'
}

api_start() {
	agent_start --source kube --api-server http://127.0.0.1:6080 --kubeconfig "$T_DIR/kubeconfig" "$@"
}
