#!/usr/bin/env bats
# The proxy on two real nodes, as the DaemonSet of deploy/proxy: the first document's manifests with kubectl alone, its address in the
# Ingress's status, certificates, Events that say what is wrong, the death of the replica that writes, and an upgrade under load.
# The tests are one story, in this order.

# shellcheck disable=SC1091,SC2154

setup_file() {
	load nodes_all
	export T_ID=slk-$$
	cluster_begin "$T_ID" && nodes_begin && cluster_control node-lifecycle && nodes_images &&
	node_add 1 bridge && node_add 2 ptp && nodes_ready || return 1
	k label node n1 n2 proxy=yes >/dev/null
	k apply -f "$CLUSTER_DIR/../../deploy/base/namespace.yaml" >/dev/null
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
}

teardown() {
	[ ! -e "$T_DIR/requests.pid" ] || { kill -TERM "$(cat "$T_DIR/requests.pid")" 2>/dev/null || :; rm -f "$T_DIR/requests.pid"; }
	[ -n "${BATS_TEST_COMPLETED:-}" ] || {
		k -n sluice get pods -o wide
		k get ingress,events -o wide
		for pod in $(k -n sluice get pods -o name); do k -n sluice logs "$pod" --tail 15; done
	} 2>&1 | sed 's/^/# /'
}

# The kustomization that an administrator would write: where the API server is, and the nodes that are to serve.
write_deploy() {
	mkdir -p "$T_DIR/deploy/cluster" && cp -r "$CLUSTER_DIR/../../deploy/proxy" "$T_DIR/deploy/" || return 1
	cat >"$T_DIR/deploy/cluster/sluice-proxy.conf" <<-END
		api-server: https://$API4:6443
		drain-timeout: 20s
		workers: 2
	END
	cat >"$T_DIR/deploy/cluster/kustomization.yaml" <<-END
		resources: [../proxy]
		configMapGenerator:
		  - name: sluice-proxy
		    namespace: sluice
		    behavior: merge
		    files: [sluice-proxy.conf]
		patches:
		  - target: { kind: DaemonSet, name: sluice-proxy }
		    patch: '[{ "op": "add", "path": "/spec/template/spec/nodeSelector/proxy", "value": "yes" }]'
	END
}

addresses() { k get ingress ai-model-ingress -o 'jsonpath={.status.loadBalancer.ingress[*].ip}'; }
addresses_are() { [ "$(addresses)" = "$*" ]; }
proxy_pods() { k -n sluice get pods -l app.kubernetes.io/name=sluice-proxy --no-headers "$@"; }
fetch() { in_ns world curl -sS --max-time 20 "$@"; }
event_says() { k describe ingress "$1" | grep -F "$2"; }

holder() { k -n sluice get lease sluice-proxy-leader -o 'jsonpath={.spec.holderIdentity}'; }
# Somebody leads who will go on: a lease that was given back names nobody, and a pod that is on its way out gives it back.
somebody_leads() {
	local pod
	pod=$(holder) && [ -n "$pod" ] &&
		[ -z "$(k -n sluice get pod "$pod" -o 'jsonpath={.metadata.deletionTimestamp}' 2>&1)" ]
}

@test "the first document's manifests, with kubectl alone: the address is shown, /model answers" {
	write_deploy
	k apply -k "$T_DIR/deploy/cluster" --dry-run=server --validate=strict
	k apply -k "$T_DIR/deploy/cluster"
	k -n sluice rollout status daemonset sluice-proxy --timeout 300s
	apply <"$CLUSTER_DIR/manifests/ai-model.yaml"
	wait_for 60 "three pods" have_pods ai-model 3
	wait_for 20 "the addresses of both nodes" addresses_are 192.0.2.11 192.0.2.12
	run k get ingress ai-model-ingress
	assert_output --partial "192.0.2.11,192.0.2.12"
	assert_output --partial "sluice" # the default class
	for node in 192.0.2.11 192.0.2.12; do
		for _ in $(seq 30); do fetch "http://$node/model/anything"; done | sort -u >"$BATS_TEST_TMPDIR/pods"
		[ "$(grep -c '^ai-model-' "$BATS_TEST_TMPDIR/pods")" -ge 2 ] || fail "$(cat "$BATS_TEST_TMPDIR/pods")"
		run fetch -k "https://$node/model"
		assert_output --regexp '^ai-model-'
		run fetch -o /dev/null -w '%{http_code}' "http://$node/other"
		assert_output 404
	done
}

@test "the proxies have one capability, and no right to Secrets" {
	for pid in $(pgrep -f '^/usr/local/sbin/sluice-proxy '); do
		grep -q "/$T_ID/" "/proc/$pid/cgroup" || continue
		assert_equal "$(awk '/^CapEff/ { print $2 }' "/proc/$pid/status")" 0000000000000400 # NET_BIND_SERVICE
		assert_equal "$(awk '/^NoNewPrivs/ { print $2 }' "/proc/$pid/status")" 1
		found=1
	done
	[ "${found:-}" = 1 ]
	run k auth can-i list secrets --as system:serviceaccount:sluice:sluice-proxy
	assert_output --partial no
}

@test "TLS: an Event says the line that grants a namespace's Secrets; with it, the certificate is served" {
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj /CN=model.test \
		-addext subjectAltName=DNS:model.test -keyout "$T_DIR/key" -out "$T_DIR/crt" 2>/dev/null
	k create secret tls model-tls --cert="$T_DIR/crt" --key="$T_DIR/key"
	apply <<-'END'
		apiVersion: networking.k8s.io/v1
		kind: Ingress
		metadata: { name: with-tls }
		spec:
		  tls: [{ hosts: [model.test], secretName: model-tls }]
		  rules:
		    - host: model.test
		      http: { paths: [{ path: /, pathType: Prefix, backend: { service: { name: ai-model-service, port: { number: 80 } } } }] }
	END
	line='kubectl create rolebinding sluice-proxy-tls -n default --clusterrole=sluice-proxy-tls --serviceaccount=sluice:sluice-proxy'
	wait_for 20 "the Event" event_says with-tls "$line"
	# shellcheck disable=SC2086 # as it would be typed
	k ${line#kubectl }
	served() { fetch --cacert "$T_DIR/crt" --resolve model.test:443:192.0.2.11 https://model.test/ | grep '^ai-model-'; }
	wait_for 60 "the certificate to be served" served
	run fetch -o /dev/null -w '%{http_code} %{redirect_url}' --resolve model.test:80:192.0.2.12 http://model.test/x
	assert_output "308 https://model.test/x"
}

@test "a wrong class, a Service that is not there, a path that another has: kubectl describe says it" {
	apply <<-'END'
		apiVersion: networking.k8s.io/v1
		kind: Ingress
		metadata: { name: wrong-class }
		spec:
		  ingressClassName: slucie
		  rules: [{ http: { paths: [{ path: /w, pathType: Prefix, backend: { service: { name: ai-model-service, port: { number: 80 } } } }] } }]
		---
		apiVersion: networking.k8s.io/v1
		kind: Ingress
		metadata: { name: no-service }
		spec:
		  rules: [{ http: { paths: [{ path: /n, pathType: Prefix, backend: { service: { name: nobody, port: { number: 80 } } } }] } }]
		---
		apiVersion: networking.k8s.io/v1
		kind: Ingress
		metadata: { name: same-path }
		spec:
		  rules: [{ http: { paths: [{ path: /model, pathType: Prefix, backend: { service: { name: ai-model-service, port: { number: 80 } } } }] } }]
	END
	wait_for 20 "the class" event_says wrong-class 'there is no such IngressClass'
	wait_for 20 "the Service" event_says no-service 'Service nobody, port 80: there is no such Service'
	wait_for 20 "the path" event_says same-path 'Ingress default/ai-model-ingress is older and has the same path'
	# each once, whoever tells it
	assert_equal "$(k get events --field-selector involvedObject.name=no-service --no-headers | wc -l)" 1
}

# New connections to both nodes without end, each answered or told.
requests_begin() {
	in_ns_bg world python3 "$CLUSTER_DIR/requests.py" 192.0.2.11 192.0.2.12 >"$T_DIR/requests" 2>&1 3>&-
	echo $! >"$T_DIR/requests.pid"
	sleep_until_requests 100
}

sleep_until_requests() { wait_for 20 "$1 requests" requests_above "$1"; }
requests_above() { [ "$(sed -n 's/^done=\([0-9]*\).*/\1/p' "$T_DIR/requests" | tail -n 1)" -gt "$1" ] 2>/dev/null; }

requests_end() {
	kill -TERM "$(cat "$T_DIR/requests.pid")"
	wait_for 40 "the last figures" grep -q '^end' "$T_DIR/requests"
	rm -f "$T_DIR/requests.pid"
	tail -n 1 "$T_DIR/requests" | sed 's/^/# /' >&3
}

@test "an upgrade of the proxies under load: no connection is refused or reset" {
	requests_begin
	k -n sluice rollout restart daemonset sluice-proxy
	k -n sluice rollout status daemonset sluice-proxy --timeout 300s
	requests_end
	run tail -n 1 "$T_DIR/requests"
	assert_output --partial "failed=0"
	wait_for 30 "the addresses of both nodes" addresses_are 192.0.2.11 192.0.2.12
}

@test "the replica that writes is killed with its node's part: the address goes with it, and comes back" {
	wait_for 20 "a leader" somebody_leads
	pod=$(holder)
	node=$(k -n sluice get pod "$pod" -o 'jsonpath={.spec.nodeName}')
	other=192.0.2.1$([ "$node" = n1 ] && echo 2 || echo 1)
	k label node "$node" proxy- >/dev/null
	k -n sluice delete pod "$pod" --grace-period=0 --force >/dev/null 2>&1
	start=$EPOCHSECONDS
	wait_for 15 "its address to be gone" addresses_are "$other"
	echo "# gone after $((EPOCHSECONDS - start)) s" >&3
	k label node "$node" proxy=yes >/dev/null
	wait_for 60 "it to be back" addresses_are 192.0.2.11 192.0.2.12
}
