#!/usr/bin/env bats
# Two real nodes (kubelet, containerd, runc), one with its pods on a bridge, one with routed pods: sluice takes kube-proxy's
# place as the DaemonSet of deploy/, serves the first document's Service, and is upgraded and removed. The tests are one
# story, in this order; a transcript of it lies beside the results (two-nodes.txt).

# shellcheck disable=SC1091,SC2154

setup_file() {
	load nodes_all
	export T_ID=slk-$$
	cluster_begin "$T_ID" && nodes_begin && cluster_control node-lifecycle && nodes_images &&
	node_add 1 bridge && node_add 2 ptp && escaped_begin && dns_start && nodes_ready || return 1
	client_add 1
	client_add 2
	k label node n1 proxy=kube-proxy >/dev/null
	k label node n2 proxy=sluice >/dev/null
	wait_for 30 "two clients" k wait --for=condition=Ready --timeout=1s pod/client-1 pod/client-2
	apply <"$CLUSTER_DIR/manifests/ai-model.yaml" >/dev/null
	apply >/dev/null <<-'END'
		apiVersion: v1
		kind: Service
		metadata: { name: both }
		spec:
		  selector: { app: ai-model }
		  ports: [{ name: tcp, port: 80, targetPort: 8080 }, { name: udp, port: 80, targetPort: 8080, protocol: UDP }]
		---
		apiVersion: policy/v1
		kind: PodDisruptionBudget
		metadata: { name: ai-model }
		spec: { minAvailable: 2, selector: { matchLabels: { app: ai-model } } }
	END
	wait_for 30 "three pods" have_pods ai-model 3
	mkdir -p "$BUILD/test/results"
	: >"$BUILD/test/results/two-nodes.txt"
}

teardown_file() {
	load cluster
	cluster_names "$T_ID"
	topology_end
}

setup() {
	load nodes_all
	load_bats
	cluster_names "$T_ID"
	LOAD=$BUILD/test/e2e/load CALL=$BUILD/test/e2e/call
	VIP=$(vip ai-model-service)
	BOTH=$(vip both)
	TRANSCRIPT=$BUILD/test/results/two-nodes.txt
	say "# $BATS_TEST_DESCRIPTION"
}

teardown() {
	loads_kill
	[ -n "${BATS_TEST_COMPLETED:-}" ] || {
		cluster_said 3
		k -n sluice get pods -o wide
		for n in 1 2; do k -n sluice logs "$(agent_on "$n")" --tail 15; done
	} 2>&1 | sed 's/^/# /'
}

say() { printf '\n%s\n' "$*" >>"$TRANSCRIPT"; }

# Runs a command and writes it down with what it said, as one would type it.
show() {
	local status=0
	case $1 in
	k) echo "\$ kubectl ${*:2}" ;;
	ctl_on) echo "n$2\$ sluicectl ${*:3}" ;;
	esac | sed "s|$T_DIR/||" >>"$TRANSCRIPT"
	"$@" >"$BATS_TEST_TMPDIR/shown" 2>&1 || status=$?
	tee -a "$TRANSCRIPT" <"$BATS_TEST_TMPDIR/shown"
	return "$status"
}

# From where requests come: pods on both nodes, processes of both nodes.
PLACES=(client-1 client-2 node-1 node-2)

# Requests to $BOTH from each place without end; from ports of their own, since a UDP flow stays with an endpoint that is ending as
# long as that serves, and what kube-proxy has translated is remembered by port.
loads_begin() {
	local place
	for place in "${PLACES[@]}"; do
		( place_exec "$place" "$LOAD" "$BOTH" 80 --tcp 0 --udp 0 --new-ports --rate 100 --least 100 \
			--seconds 120 --log "$T_DIR/log.$place" ) >"$T_DIR/load.$place" 3>&- &
		echo $! >"$T_DIR/load.$place.pid"
	done
}

loads_kill() {
	local file
	for file in "$T_DIR"/load.*.pid; do
		[ ! -e "$file" ] || kill -TERM "$(cat "$file")" 2>/dev/null || :
		rm -f "$file"
	done
}

# All were answered, by pods of the service.
loads_end() {
	local place pid word proto
	for place in "${PLACES[@]}"; do
		pid=$(cat "$T_DIR/load.$place.pid")
		kill -TERM "$pid"
		wait_for 20 "the requests to end" not kill -0 "$pid"
		say "requests from $place meanwhile: $(grep -E '^(tcp|udp)\.(answered|failed|refused|wrong|worst_ms)|^first' "$T_DIR/load.$place" | paste -sd' ')"
	done
	tail -n 12 "$TRANSCRIPT" | grep meanwhile | sed 's/^/# /' >&3
	for place in "${PLACES[@]}"; do
		for proto in tcp udp; do
			[ "$(value "$(cat "$T_DIR/load.$place")" $proto.answered)" -ge 100 ] || fail "$place: too few: $(cat "$T_DIR/load.$place")"
			for word in failed refused wrong; do
				[ "$(value "$(cat "$T_DIR/load.$place")" $proto.$word)" = 0 ] ||
					fail "$place: $word: $(grep -v ' ai-model-' "$T_DIR/log.$place")"
			done
		done
	done
}

# From each place to the first document's Service: every Ready pod answers, nothing fails.
assert_all_served() {
	local place pod pods
	pods=$(ready_pods ai-model)
	for place in "${PLACES[@]}"; do
		run at_place "$place" "$LOAD" "$VIP" 80 --tcp 100 --new-ports --rate 2000 --expect "$pods" --seconds 10
		assert_success
		for pod in ${pods//,/ }; do
			[ "$(value "$output" "pod.$pod")" -gt 0 ] || fail "$place: $pod was never asked: $output"
		done
		say "$place: $(grep '^pod\.' <<<"$output" | sed 's/^pod\.//' | paste -sd,)"
	done
}

@test "without a proxy nobody serves the address (control)" {
	local place before
	for place in "${PLACES[@]}"; do
		before=$(escaped)
		run at_place "$place" "$CALL" tcp "$VIP" 80 --timeout 300
		assert_failure
		[ "$(escaped)" -gt "$before" ] || fail "$place: no packet was counted"
	done
}

@test "part kube-proxy, part sluice: both serve; then the one takes the other's place under load" {
	# Without --cluster-cidr it changes no sources, and so remembers no ports but those that were used.
	on_node 1 kube-proxy --kubeconfig /etc/kubernetes/kubelet.conf --hostname-override n1 --proxy-mode nftables \
		--conntrack-max-per-core 0 --conntrack-tcp-timeout-established 0 \
		--conntrack-tcp-timeout-close-wait 0 </dev/null >"$T_DIR/kube-proxy.log" 2>&1 3>&- 4>&- &
	deploy_write
	# From the first moment on: an agent that had begun on the other node would leave its programs there.
	cat >>"$T_DIR/deploy/cluster/kustomization.yaml" <<-'END'
		patches:
		  - target: { kind: DaemonSet, name: sluiced }
		    patch: '[{ "op": "add", "path": "/spec/template/spec/nodeSelector/proxy", "value": "sluice" }]'
	END
	apply <"$T_DIR/deploy/base/namespace.yaml" >/dev/null # or nothing in it can be tried
	show k apply -k "$T_DIR/deploy/cluster" --dry-run=server --validate=strict
	show k apply -k "$T_DIR/deploy/cluster"
	deploy_rolled_out
	[ "$(k -n sluice get daemonset sluiced -o 'jsonpath={.status.numberReady}')" = 1 ]
	all_served() { for place in "${PLACES[@]}"; do at_place "$place" "$CALL" tcp "$VIP" 80 --timeout 300 || return 1; done; }
	wait_for 30 "both nodes to serve" all_served
	assert_all_served
	loads_begin
	k label node n1 proxy=sluice --overwrite >/dev/null
	# not Ready yet: kube-proxy has the port of the health pages
	wait_for 30 "the agent on n1 to have taken over" works_on 1
	kill -TERM "$(proxy_pid)"
	wait_for 10 "kube-proxy to end" not proxy_pid
	on_node 1 kube-proxy --cleanup >>"$T_DIR/kube-proxy.log" 2>&1
	# What it left in the connection table: a new connection straight to a pod is dropped where one of these answers as it would.
	on_node 1 conntrack -D -d "$SERVICES4" >/dev/null 2>&1 || : # none is fine
	loads_end
	wait_for 20 "both agents to be Ready" on_both
	run on_node 1 nft list tables
	refute_output --partial kube-proxy
	assert_all_served
}

proxy_pid() {
	local pid
	for pid in $(pgrep -f '^kube-proxy --kubeconfig '); do
		! grep -q "/$T_ID/" "/proc/$pid/cgroup" || { echo "$pid"; return; }
	done
	return 1
}

works_on() { ctl_on "$1" diff && ctl_on "$1" attach | grep -q sl_up_in; }

on_both() { [ "$(k -n sluice get daemonset sluiced -o 'jsonpath={.status.numberReady}')" = 2 ]; }

@test "the agents have three capabilities, a root that cannot be written, and agree with the API server" {
	local n pid
	show k get nodes -o wide
	show k -n sluice get pods -o wide
	for n in 1 2; do
		pid=$(agent_pid_on "$n")
		# BPF, NET_ADMIN, PERFMON
		assert_equal "$(awk '/^CapEff/ { print $2 }' "/proc/$pid/status")" 000000c000001000
		assert_equal "$(awk '/^Seccomp:/ { print $2 }' "/proc/$pid/status")" 2
		[[ $(awk '$5 == "/" { print $6 }' "/proc/$pid/mountinfo") == ro,* ]]
		say "on node n$n:"
		show ctl_on "$n" status
		show ctl_on "$n" diff
		show ctl_on "$n" attach
		run ctl_on "$n" doctor -o json
		assert_equal "$(jq -r '[.checks[] | select(.result == "fail")] | length' <<<"$output")" 0
	done
}

agent_pid_on() {
	local pid
	for pid in $(pgrep -f '^/usr/local/sbin/sluiced '); do
		! grep -q "/$T_ID/n$1/" "/proc/$pid/cgroup" || { echo "$pid"; return; }
	done
	return 1
}

@test "the first document's Service: from pods, from nodes, and by its name" {
	show k get service,endpointslice,pod -o wide
	assert_all_served
	# names: the DNS server's own Service is served here too, by UDP and TCP
	for n in 1 2; do
		show k exec "client-$n" -- getent hosts ai-model-service.default.svc.cluster.local
		assert_equal "$(k exec "client-$n" -- getent hosts ai-model-service | awk '{ print $1 }')" "$VIP"
		for _ in $(seq 12); do show k exec "client-$n" -- curl -s --max-time 3 http://ai-model-service/; done | sort | uniq -c >"$BATS_TEST_TMPDIR/by-name"
		[ "$(wc -l <"$BATS_TEST_TMPDIR/by-name")" -ge 2 ] || fail "one pod only: $(cat "$BATS_TEST_TMPDIR/by-name")"
	done
}

@test "a rolling update of the Deployment under load: no request fails" {
	loads_begin
	show k rollout restart deployment ai-model
	show k rollout status deployment ai-model --timeout 60s
	wait_for 20 "the old pods to go" three_pods
	loads_end
	assert_all_served
}

three_pods() { [ "$(k get pods -l app=ai-model --no-headers | wc -l)" = 3 ]; }

@test "a node is drained under load: no request fails" {
	loads_begin
	show k drain n2 --ignore-daemonsets --pod-selector app=ai-model --timeout 60s
	assert_equal "$(k get pods -l app=ai-model --field-selector spec.nodeName=n2 --no-headers 2>/dev/null | wc -l)" 0
	wait_for 20 "three pods on the other node" have_pods ai-model 3
	loads_end
	assert_all_served
	show k uncordon n2
}

@test "the DaemonSet is restarted under load: no request fails, no packet escapes" {
	local before
	before=$(escaped)
	loads_begin
	show k -n sluice rollout restart daemonset sluiced
	show k -n sluice rollout status daemonset sluiced --timeout 90s
	loads_end
	assert_equal "$(escaped)" "$before"
	assert_all_served
	for n in 1 2; do show ctl_on "$n" diff; done
}

@test "deleted: services go on as they were; cleaned up: nothing is left" {
	local n before
	loads_begin
	show k delete -k "$T_DIR/deploy/cluster" --wait=true
	wait_for 20 "the agents to go" no_agents
	assert_all_served
	loads_end
	assert_equal "$(on_node 1 find /sys/fs/bpf/sluice -name 'connect4' | wc -l)" 1
	cp -r "$CLUSTER_DIR/../../deploy/cleanup" "$T_DIR/deploy/"
	mkdir -p "$T_DIR/deploy/away"
	printf '%s\n' 'resources: [../cleanup]' 'images: [{ name: registry.k8s.io/pause, newName: sluice.test/pause, newTag: "1" }]' \
		>"$T_DIR/deploy/away/kustomization.yaml"
	show k apply -k "$T_DIR/deploy/away"
	show k -n sluice rollout status daemonset sluice-cleanup --timeout 60s
	show k delete -k "$T_DIR/deploy/away" --wait=true
	for n in 1 2; do
		assert_equal "$(on_node "$n" find /sys/fs/bpf -mindepth 1 ! -name "*.debug")" ""
		assert_equal "$(on_node "$n" "$BPFTOOL" cgroup tree | grep -c sl_)" 0
		assert_equal "$(on_node "$n" "$BPFTOOL" net show | grep -c sl_)" 0
	done
	before=$(escaped)
	run at_place node-1 "$CALL" tcp "$VIP" 80 --timeout 300
	assert_failure
	[ "$(escaped)" -gt "$before" ]
}

no_agents() { not agent_pid_on 1 && not agent_pid_on 2; }
