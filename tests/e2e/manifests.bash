# shellcheck shell=bash disable=SC2034,SC2154
# Manifests in a few words, and the usual beginnings and endings of a test file.
#
#   service NAME ADDRESS4 ADDRESS6 [LINE…]        ports 80 and 8080 → 8080, TCP and UDP; further lines of its spec
#   endpoints NAME ENDPOINT…                      N (pod 10.244.1.N), far, or with conditions: 12,ready=false,serving=true
#   forget NAME                                   both are gone
# Files are replaced by rename.

CLUSTER_PODS=(11 12 13)

put_manifest() {
	cat >"$MANIFESTS/.$1.new" && mv "$MANIFESTS/.$1.new" "$MANIFESTS/$1.yaml"
}

service() {
	local name=$1 address4=$2 address6=$3
	shift 3
	{
		cat <<-END
			apiVersion: v1
			kind: Service
			metadata: { name: $name }
			spec:
			  clusterIP: $address4
			  clusterIPs: [$address4, "$address6"]
			  ipFamilies: [IPv4, IPv6]
			  ports:
			    - { name: http, protocol: TCP, port: 80, targetPort: 8080 }
			    - { name: datagram, protocol: UDP, port: 80, targetPort: 8080 }
			    - { name: same, protocol: TCP, port: 8080 }
		END
		[ $# = 0 ] || printf '  %s\n' "$@"
	} | put_manifest "$name"
}

# One line of a slice.
endpoint_line() {
	local family=$1 what=$2 address node=node-1 conditions
	conditions=$(tr , '\n' <<<"$what" | sed -n 's/^\(.*\)=\(.*\)$/\1: \2/p' | paste -sd, -)
	case $family,${what%%,*} in
	IPv4,far) address=$FAR_POD4 node=node-2 ;;
	IPv6,far) address=$FAR_POD6 node=node-2 ;;
	IPv4,*) address=10.244.1.${what%%,*} ;;
	IPv6,*) address=fd00:10:244:1::${what%%,*} ;;
	esac
	echo "  - { addresses: [\"$address\"], nodeName: $node, conditions: { $conditions } }"
}

endpoints() {
	local name=$1 family what
	shift
	for family in IPv4 IPv6; do
		cat <<-END
			---
			apiVersion: discovery.k8s.io/v1
			kind: EndpointSlice
			metadata:
			  name: $name-${family,,}
			  labels: { kubernetes.io/service-name: $name }
			addressType: $family
			ports:
			  - { name: http, protocol: TCP, port: 8080 }
			  - { name: datagram, protocol: UDP, port: 8080 }
			  - { name: same, protocol: TCP, port: 8080 }
			endpoints:$([ $# != 0 ] || echo ' []')
		END
		for what; do
			endpoint_line $family "$what"
		done
	done | put_manifest "$name-endpoints"
}

forget() {
	rm -f "$MANIFESTS/$1.yaml" "$MANIFESTS/$1-endpoints.yaml"
}

# ---- beginnings ------------------------------------------------------------------------------------------------------

load_bats() {
	bats_load_library bats-support
	bats_load_library bats-assert
}

# In setup_file: names, and what a killed run left behind.
begin_file() {
	topology_sweep slt
	export T_ID=slt-$$
	topology_begin "$T_ID"
}

# In setup_file instead: a node with pods NAME:N…, each of which answers but the client.
begin_node() {
	local pod
	begin_file && topology_node || return 1
	for pod in "$@"; do
		topology_pod "${pod%:*}" "${pod#*:}" || return 1
	done
	for pod in "$@"; do
		[ "${pod%:*}" = client ] || topology_model "${pod%:*}" || return 1
	done
}

# In setup.
begin_test() {
	load_bats
	topology_names "$T_ID"
	CALL=$BUILD/test/e2e/call
	LOAD=$BUILD/test/e2e/load
	[ -e "$T_DIR/sluiced.log" ] && wc -l <"$T_DIR/sluiced.log" >"$T_DIR/log.at" || echo 0 >"$T_DIR/log.at"
}

# In teardown: what the agent said during a test that failed.
end_test() {
	[ -n "${BATS_TEST_COMPLETED:-}" ] || [ ! -e "$T_DIR/sluiced.log" ] || {
		echo "# sluiced said:"
		tail -n +"$(($(cat "$T_DIR/log.at") + 1))" "$T_DIR/sluiced.log" | tail -n 30
	}
}

# ---- questions -------------------------------------------------------------------------------------------------------

settled() { topology_settled 10; }

# call_from NS tcp|udp ADDRESS PORT […]: $output and $status
call_from() {
	local ns=$1
	shift
	run in_ns "$ns" "$CALL" "$@"
}

# Linux keeps an ICMP error back that arrives while connect() still holds the socket, and so does one that is sent on this CPU in
# the same breath: such a call ends with the refusal of the first retransmission, after a second.
REFUSED_TCP_MS=1500
REFUSED_MS=100

# assert_refused NS tcp|udp ADDRESS PORT [LIMIT_MS]
assert_refused() {
	local limit_ms=$REFUSED_MS
	[ "$2" != tcp ] || limit_ms=$REFUSED_TCP_MS
	limit_ms=${5:-$limit_ms}
	set -- "${@:1:4}"
	call_from "$@"
	assert_failure
	assert_output --partial 'error=ECONNREFUSED'
	[ "$(sed -n 's/.*ms=\([0-9]*\).*/\1/p' <<<"$output")" -lt "$limit_ms" ] || fail "not at once: $output"
}

# Nobody answers, not even to refuse.
assert_silent() {
	call_from "$@" --timeout 400
	assert_failure
	assert_output --partial 'error=ETIMEDOUT'
}

# Sum of a reason over hooks: counted NO_ENDPOINT [ingressPackets|egressPackets|socketCalls]
counted() {
	ctl counters -o json | jq --arg r "$1" --arg f "${2:-}" '[.items[] | select(.reason == $r) |
		if $f == "" then .xdpPackets + .ingressPackets + .egressPackets + .socketCalls else .[$f] end] | add // 0'
}

value() { awk -v k="$2" '$1 == k { print $2 }' <<<"$1"; }

# Requests to all of its endpoints, none fails: assert_balanced NS ADDRESS PORT POD,POD… [OPTION of load…]
assert_balanced() {
	local ns=$1 address=$2 port=$3 pods=$4 pod
	shift 4
	run in_ns "$ns" "$LOAD" "$address" "$port" --expect "$pods" --rate 3000 --seconds 10 "$@"
	assert_success
	[ "$(value "$output" tcp.refused)$(value "$output" udp.refused)" -eq 0 ] || fail "refused: $output"
	for pod in ${pods//,/ }; do
		[ "$(value "$output" "pod.$pod")" -gt 0 ] || fail "$pod was never asked: $output"
	done
}
