#!/usr/bin/env bats
# Services of a real API server over pods that are namespaces: what kubectl changes reaches the packets.

# shellcheck disable=SC1091,SC2154

setup_file() {
	load cluster
	load ../e2e/manifests
	load ../e2e/helpers
	load helpers
	kube_begin_file && pods_begin 11 12 13 14 15 16 && topology_pod client 100 && topology_sink && agent_kubeconfig
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
	kube_start
	model_begin
}

teardown() {
	kube_end_test
	agent_cleanup >/dev/null
	model_end
}

@test "the first document's Service is served by its three pods; diff is clean" {
	assert_served
	agrees
	run ctl diff
	assert_output --partial 'source, agent and kernel agree'
}

@test "the account of deploy/base may do what the agent does, and nothing else" {
	run k auth can-i --list --as system:serviceaccount:sluice:sluiced
	# what every account may: ask about itself and the server, read trust bundles
	run grep -vE '^Resources|^self|^clustertrustbundles|^ +\[/' <<<"$output"
	assert_equal "$(tr -s ' ' <<<"$output" | sort)" "$(sort <<-'END'
		endpointslices.discovery.k8s.io [] [] [list watch]
		events.events.k8s.io [] [] [create patch]
		nodes [] [] [list watch]
		servicecidrs.networking.k8s.io [] [] [list watch]
		services [] [] [list watch]
	END
	)"
	# and nothing that it asked for was refused
	run ask problems
	assert_output --partial '"problems":[]'
}

@test "Events are where kubectl looks for them, and a repeated one is counted" {
	starts() { k get events.events.k8s.io -n default -o json | jq -e '[.items[] | select(.reason == "Starting" and
		.regarding.kind == "Node" and .regarding.name == "node-1" and .reportingController == "sluice.dev/sluiced")] | length > 0'; }
	wait_for 10 "the start" starts
	apply >/dev/null <<-'END'
		apiVersion: v1
		kind: Service
		metadata: { name: bad }
		spec: { ports: [{ port: 80 }] }
	END
	bad_slice() { # PORT
		apply >/dev/null <<-END
			apiVersion: discovery.k8s.io/v1
			kind: EndpointSlice
			metadata: { name: bad-1, labels: { kubernetes.io/service-name: bad } }
			addressType: IPv4
			endpoints: [{ addresses: [$(vip bad)] }]
			ports: [{ name: "", port: $1 }]
		END
	}
	bad_slice 8080
	told() { k get events -n default --field-selector involvedObject.kind=Service,involvedObject.name=bad -o json |
		jq -e "[.items[] | select(.reason == \"Misconfigured\" and .type == \"Warning\" and (.message | test(\"is the address of a service\"))
			and .involvedObject.uid == \"$(k get service bad -o jsonpath='{.metadata.uid}')\")] | length == 1"; }
	wait_for 10 "the conflict" told
	k delete endpointslice bad-1 >/dev/null
	wait_for 10 "the problem to be over" ask_is problems '.problems == []'
	bad_slice 8081
	again() { k get events.events.k8s.io -n default -o json | jq -e '[.items[] | select(.regarding.name == "bad" and .series.count == 2)] | length == 1'; }
	wait_for 40 "it to be counted" again
	k delete service/bad endpointslice/bad-1 >/dev/null
}

@test "scaled up, down to nothing, and up again" {
	k scale deployment ai-model --replicas 6 >/dev/null
	wait_for 20 "six endpoints" have_endpoints 6
	wait_for 5 "six pods" have_pods ai-model 6
	assert_served
	k scale deployment ai-model --replicas 0 >/dev/null
	wait_for 20 "no endpoint" have_endpoints 0
	wait_for 5 "no service without endpoints to answer" not in_ns node "$CALL" tcp "$VIP" 80
	assert_refused client tcp "$VIP" 80
	assert_refused node tcp "$VIP" 80
	k scale deployment ai-model --replicas 2 >/dev/null
	wait_for 20 "two endpoints" have_endpoints 2
	assert_served
}

@test "a rolling update under load: no request fails" {
	load_begin
	k rollout restart deployment ai-model >/dev/null
	k rollout status deployment ai-model --timeout 300s >/dev/null
	wait_for 20 "three pods" have_pods ai-model 3
	load_end
	assert_served
	agrees
}

@test "a pod that is not Ready gets nothing; one that is deleted serves until others can" {
	local pod others
	pod=$(ready_pods ai-model | cut -d, -f1)
	others=$(ready_pods ai-model | cut -d, -f2-)
	load_begin
	k annotate pod "$pod" sluice.test/ready=false >/dev/null
	wait_for 10 "two endpoints" have_endpoints 2
	assert_balanced client "$VIP" 80 "$others" --tcp 100
	k annotate pod "$pod" sluice.test/ready- >/dev/null
	wait_for 10 "three endpoints" have_endpoints 3
	k delete pod "$pod" --wait=false >/dev/null
	wait_for 10 "its successor" have_pods ai-model 3
	load_end
	assert_served
}

@test "a Service deleted and made again under the same name has its new address only" {
	local old=$VIP
	k delete service ai-model-service >/dev/null
	is_nobodys() { ctl services -o json | jq -e '[.items[] | select(.name == "ai-model-service")] == []'; }
	wait_for 5 "the old address to be nobody's" is_nobodys
	k create service clusterip ai-model-service --tcp=80:8080 --dry-run=client -o json |
		jq '.spec.selector = { app: "ai-model" } | .spec.clusterIP = "10.96.200.1"' | apply >/dev/null
	VIP=$(vip ai-model-service)
	[ "$VIP" = 10.96.200.1 ]
	is_known() { ctl services -o json | jq -e '[.items[] | select(.name == "ai-model-service").address] == ["10.96.200.1"]'; }
	wait_for 5 "the new address" is_known
	wait_for 5 "three endpoints" have_endpoints 3
	assert_served
	run in_ns client "$CALL" tcp "$old" 80 --timeout 300
	assert_failure
	assert_equal "$(ctl services -o json | jq '[.items[] | select(.name == "ai-model-service")] | length')" 1
}

@test "both families: a dual-stack Service is served in each" {
	k patch service ai-model-service --type merge -p '{"spec": {"ipFamilyPolicy": "RequireDualStack"}}' >/dev/null
	six_is_served() { in_ns client "$CALL" tcp "$(vip ai-model-service 1)" 80; }
	wait_for 5 "the second family" six_is_served
	VIP=$(vip ai-model-service 1)
	wait_for 5 "all endpoints of both" have_endpoints 6
	assert_served
}

@test "a ServiceCIDR that is added holds Services, and is ours as soon as it is there" {
	apply >/dev/null <<-'END'
		apiVersion: networking.k8s.io/v1
		kind: ServiceCIDR
		metadata: { name: more }
		spec: { cidrs: [10.97.0.0/24] }
	END
	ip -n "$(ns_of node)" route replace 10.97.0.0/24 via 169.254.2.2
	wait_for 5 "it to be Ready" k wait --for=condition=Ready --timeout=1s servicecidr/more
	before=$(untranslated)
	k create service clusterip other --tcp=80:8080 --clusterip=10.97.0.5 >/dev/null
	k set selector service other app=ai-model >/dev/null
	other_is_served() { in_ns client "$CALL" tcp 10.97.0.5 80; }
	wait_for 5 "the Service in the new range" other_is_served
	# an address of the range that is nobody's is dropped here, not routed on
	before=$(untranslated)
	assert_silent client tcp 10.97.0.77 80
	assert_equal "$(untranslated)" "$before"
	k delete service other >/dev/null
	k delete servicecidr more --wait=false >/dev/null
}
