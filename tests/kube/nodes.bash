# shellcheck shell=bash disable=SC2153,SC2154
# Real nodes: kubelet, containerd and runc in namespaces of their own, on top of cluster.bash.
#
#   nodes_begin             the segment that the nodes are on, with the control plane's address in it
#   nodes_images            packs the images that pods run: pause, model (also the client), sluice
#   node_add N bridge|ptp   node nN at 192.0.2.1N, pods 10.244.N.0/24, by that CNI plugin; nodes_ready: until all are
#   on_node N command…      in the node's namespaces
#   dns_start               CoreDNS, behind the Service kube-system/kube-dns
#   client_add N            a pod client-N on node nN that does nothing
#   at_place client-N|node-N command…   runs in the network and cgroup of that pod or of a node
#   escaped                 packets to service addresses that left a node untranslated, so far
#   deploy_apply […], deploy_rolled_out     sluice by deploy/base; agent_on N, ctl_on N …
#
# The node's own files are in $T_DIR/nN.

DNS4=10.96.0.10

nodes_begin() {
	ns_add world && ns_forward world && ns_ip world <<-END
		link add br0 type bridge
		addr add $API4/24 dev br0
		link set br0 up
	END
}

# ---- images ----------------------------------------------------------------------------------------------------------

nodes_images() {
	local images=$T_DIR/images image=$CLUSTER_DIR/image.py names=()
	mkdir -p "$images"
	mapfile -t names < <(nss_libraries)
	# One program for pods that serve, that ask and that do nothing; names are found as in any pod (libnss).
	"$image" "$images/model.tar" sluice.test/model:1 --program "$BUILD/demo/model" --program "$BUILD/test/e2e/load" \
		--program "$BUILD/test/e2e/call" --program "$(command -v sleep)" --program "$(command -v getent)" \
		--program "$(command -v curl)" --program "$(command -v dash)=/bin/sh" \
		"${names[@]}" -- /bin/model &&
	"$image" "$images/pause.tar" sluice.test/pause:1 --program "$(command -v sleep)" -- /bin/sleep infinity &&
	make -s -C "$CLUSTER_DIR/../.." install O="$BUILD" DESTDIR="$T_DIR/install" >/dev/null &&
	"$image" "$images/sluice.tar" localhost/sluice:0.1.0 --root "$T_DIR/install" "${names[@]}" -- /usr/local/sbin/sluiced
}

nss_libraries() {
	local library
	for library in /lib/x86_64-linux-gnu/libnss_{dns,files}.so.2 /lib/x86_64-linux-gnu/libresolv.so.2; do
		[ ! -e "$library" ] || echo "--program=$library=$library"
	done
}

# ---- a node ----------------------------------------------------------------------------------------------------------

node_network() {
	local n=$1 other
	ns_add "n$n" && ns_forward "n$n" &&
	ip -n "$(ns_of world)" link add "n$n" type veth peer name eth0 netns "$(ns_of "n$n")" &&
	ip -n "$(ns_of world)" link set "n$n" master br0 up &&
	ns_ip "n$n" <<-END || return 1
		addr add 192.0.2.1$n/24 dev eth0
		link set eth0 up
		route add default via $API4
	END
	ip -n "$(ns_of world)" route add "10.244.$n.0/24" via "192.0.2.1$n"
	for other in $(nodes); do
		ip -n "$(ns_of "n$n")" route add "10.244.$other.0/24" via "192.0.2.1$other"
		ip -n "$(ns_of "n$other")" route add "10.244.$n.0/24" via "192.0.2.1$n"
	done
}

node_files() {
	local n=$1 plugin=$2 d=$3 bridge=
	[ "$plugin" != bridge ] || bridge='"bridge": "cni0", "isGateway": true, "hairpinMode": true,'
	cat >"$d/pods.conflist" <<-END
		{ "cniVersion": "1.0.0", "name": "pods", "plugins": [{ "type": "$plugin", $bridge "ipMasq": false,
		  "ipam": { "type": "host-local", "dataDir": "/run/cni", "ranges": [[{ "subnet": "10.244.$n.0/24" }]],
		            "routes": [{ "dst": "0.0.0.0/0" }] } }] }
	END
	cat >"$d/containerd.toml" <<-END
		version = 3
		[plugins.'io.containerd.cri.v1.images'.pinned_images]
		  sandbox = "sluice.test/pause:1"
		[plugins.'io.containerd.cri.v1.runtime']
		  restrict_oom_score_adj = true # sandboxes fail without CAP_SYS_RESOURCE otherwise
		[plugins.'io.containerd.cri.v1.runtime'.cni]
		  bin_dirs = ["/usr/lib/cni"]
		  conf_dir = "/etc/cni/net.d"
		[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
		  runtime_type = "io.containerd.runc.v2"
		[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
		  BinaryName = "/opt/kube/runc"
	END
	cat >"$d/kubelet.yaml" <<-END
		apiVersion: kubelet.config.k8s.io/v1beta1
		kind: KubeletConfiguration
		containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
		cgroupDriver: cgroupfs
		failCgroupV1: false
		failSwapOn: false
		authentication: { anonymous: { enabled: true }, webhook: { enabled: false } }
		authorization: { mode: AlwaysAllow }
		resolvConf: ""
		clusterDomain: cluster.local
		clusterDNS: [$DNS4]
		enforceNodeAllocatable: []
		evictionHard: { memory.available: 50Mi, nodefs.available: 1%, imagefs.available: 1% }
		localStorageCapacityIsolation: false
		nodeStatusUpdateFrequency: 5s
		syncFrequency: 10s
	END
}

# The node's part of each cgroup hierarchy: lines "TYPE MOUNT FOLDER" in FOLDER/cgroups.
node_cgroups() {
	local n=$1 d=$2 type at part
	awk '{ for (i = 7; i <= NF; i++) if ($i == "-") break } $(i + 1) ~ /^cgroup2?$/ { print $(i + 1), $5 }' /proc/self/mountinfo |
	while read -r type at; do
		part=$at/$T_ID/n$n
		mkdir -p "$part"
		case ${at##*/} in cpuset) # v1 groups have no processors of their own at first
			cat "$at/cpuset.cpus" >"$at/$T_ID/cpuset.cpus"; cat "$at/cpuset.mems" >"$at/$T_ID/cpuset.mems"
			cat "$at/cpuset.cpus" >"$part/cpuset.cpus"; cat "$at/cpuset.mems" >"$part/cpuset.mems" ;;
		esac
		echo "$type $at $part"
	done >"$d/cgroups"
	ln -sfn "$CGROUP/n$n" "$d/cgroup"
}

node_add() {
	local n=$1 plugin=$2 d=$T_DIR/n$1
	mkdir -p "$d" && node_network "$n" && node_files "$n" "$plugin" "$d" && node_cgroups "$n" "$d" || return 1
	# Into the node's cgroups first: the cgroup namespace begins where its first process is.
	(
		while read -r _ _ part; do echo "$BASHPID" >"$part/cgroup.procs" || exit 1; done <"$d/cgroups"
		exec nsenter --net="/run/netns/$(ns_of "n$n")" \
			unshare --mount --pid --fork --kill-child --uts --ipc --cgroup \
			"$CLUSTER_DIR/node" "n$n" "$d" "$KUBE" "$KUBECONFIG" "192.0.2.1$n"
	) </dev/null >"$d/node.log" 2>&1 3>&- 4>&- &
	echo $! >"$d/pid"
	disown
}

# Numbers of the nodes there are.
nodes() { find "$T_DIR" -maxdepth 2 -path '*/n*/pid' | sed 's|.*/n\([0-9]*\)/pid|\1|' | sort -n; }

# Process 1 of the node, seen from here.
node_init() { pgrep -P "$(cat "$T_DIR/n$1/pid")"; }

on_node() {
	local n=$1
	shift
	( while read -r _ _ part; do echo "$BASHPID" >"$part/cgroup.procs"; done <"$T_DIR/n$n/cgroups"
	exec nsenter --target "$(node_init "$n")" --all -- env PATH=/opt/kube:/usr/sbin:/usr/bin:/sbin:/bin "$@" )
}

node_is_ready() { k get node "n$1" --no-headers 2>/dev/null | awk '$2 == "Ready" { found = 1 } END { exit !found }'; }

nodes_ready() {
	local n
	for n in $(nodes); do
		wait_for 90 "node n$n" node_is_ready "$n" || { tail -n 5 "$T_DIR/n$n"/*.log >&2; return 1; }
	done
}

# ---- what is on them -------------------------------------------------------------------------------------------------

# Outside of the pods, so that it needs no place on a node; names resolve only where Services work.
dns_start() {
	cat >"$T_DIR/Corefile" <<-END
		.:53 {
		  errors
		  ready 127.0.0.1:8181
		  kubernetes cluster.local in-addr.arpa ip6.arpa {
		    kubeconfig $KUBECONFIG
		  }
		}
	END
	daemon world coredns "$KUBE/coredns" -conf "$T_DIR/Corefile" &&
	apply >/dev/null <<-END
		apiVersion: v1
		kind: Service
		metadata: { name: kube-dns, namespace: kube-system }
		spec: { clusterIP: $DNS4, ports: [{ name: dns, port: 53, protocol: UDP }, { name: dns-tcp, port: 53 }] }
		---
		apiVersion: discovery.k8s.io/v1
		kind: EndpointSlice
		metadata: { name: kube-dns-1, namespace: kube-system, labels: { kubernetes.io/service-name: kube-dns } }
		addressType: IPv4
		ports: [{ name: dns, port: 53, protocol: UDP }, { name: dns-tcp, port: 53, protocol: TCP }]
		endpoints: [{ addresses: [$API4], conditions: { ready: true } }]
	END
	wait_for 20 "CoreDNS" in_ns world curl -fs http://127.0.0.1:8181/ready
}

# sleep's number tells the process.
client_add() {
	apply >/dev/null <<-END
		apiVersion: v1
		kind: Pod
		metadata: { name: client-$1 }
		spec:
		  nodeName: n$1
		  terminationGracePeriodSeconds: 0
		  containers: [{ name: client, image: sluice.test/model:1, command: [/bin/sleep, "86400$1"], resources: { requests: { cpu: 200m } } }]
	END
}

client_pid() {
	local pid
	for pid in $(pgrep -fx "/bin/sleep 86400$1"); do
		[[ $(cat "/proc/$pid/cgroup") != *"/$T_ID/"* ]] || { echo "$pid"; return; }
	done
	return 1
}

# place_exec client-N|node-N command…: this shell becomes a command of this machine, in the network and the cgroup of a pod or of
# a node. Run it in a subshell.
place_exec() {
	local place=$1 n=${1#*-} pid cgroup netns
	shift
	case $place in
	client-*)
		pid=$(client_pid "$n") || exit
		cgroup=$(topology_cgroup_root)$(sed -n 's/^0:://p' "/proc/$pid/cgroup")
		netns=/proc/$pid/ns/net ;;
	node-*)
		cgroup=$CGROUP/n$n
		netns=/run/netns/$(ns_of "n$n") ;;
	esac
	echo "$BASHPID" >"$cgroup/cgroup.procs" && exec nsenter --net="$netns" "$@"
}

at_place() ( place_exec "$@" )

# A router that has no way to service addresses is where they would go.
escaped_begin() {
	in_ns world nft -f - <<-END
		table ip escaped {
			chain in {
				type filter hook prerouting priority -300
				ip daddr $SERVICES4 counter
			}
		}
	END
}

escaped() { in_ns world nft -j list table ip escaped | jq '[.. | .counter? // empty | .packets] | add'; }

# ---- sluice on them --------------------------------------------------------------------------------------------------

# The kustomization that an administrator would write: where the API server is; tables for small tests.
deploy_write() {
	mkdir -p "$T_DIR/deploy/cluster" && cp -r "$CLUSTER_DIR/../../deploy/base" "$T_DIR/deploy/" || return 1
	cat >"$T_DIR/deploy/cluster/sluiced.conf" <<-END
		api-server: https://$API4:6443
		cgroup: /host/cgroup
		max-flows: 16384
	END
	cat >"$T_DIR/deploy/cluster/kustomization.yaml" <<-END
		resources: [../base]
		configMapGenerator:
		  - name: sluiced
		    namespace: sluice
		    behavior: merge
		    files: [sluiced.conf]
	END
}

deploy_apply() { deploy_write && k apply -k "$T_DIR/deploy/cluster" >/dev/null; }

deploy_rolled_out() { k -n sluice rollout status daemonset sluiced --timeout "${1:-60}s" >/dev/null; }

# The pod of the agent on node nN.
agent_on() {
	k -n sluice get pods -l app.kubernetes.io/component=agent --field-selector "spec.nodeName=n$1,status.phase=Running" \
		-o 'jsonpath={range .items[*]}{.metadata.deletionTimestamp} {.metadata.name}{"\n"}{end}' | awk 'NF == 1 { print $1; exit }'
}

# sluicectl in the agent's pod on node nN.
ctl_on() {
	local pod
	pod=$(agent_on "$1") || return 1
	shift
	k -n sluice exec "$pod" -- sluicectl "$@"
}
