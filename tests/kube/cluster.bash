# shellcheck shell=bash disable=SC2119,SC2120,SC2153,SC2154
# A real Kubernetes control plane for tests, on top of ../e2e/topology.bash: everything runs in the namespaces of that run, below
# its folder, and goes with it, also when the test is killed.
#
#   cluster_begin ID        claims the name; makes sure of the binaries (tests/kube/build)
#   cluster_control         etcd, API server, controller manager, scheduler in the namespace "world", at $API4:6443
#   k …                     kubectl as the administrator, in "world"
#   cluster_token NAME      a fresh token of the service account sluice/sluiced, bound to the Secret NAME, as $T_DIR/token
#   api_start [NAME], api_signal SIGNAL [NAME], api_is_ready [NAME]     the API server, or another one of the same cluster
#
# Two kinds of nodes: pods that are objects, with namespaces behind them (pods.py plays the kubelet), and real ones (nodes.bash).

CLUSTER_FILE=${BASH_SOURCE[0]}
CLUSTER_DIR=$(cd "$(dirname "$CLUSTER_FILE")" && pwd)
# shellcheck source=tests/e2e/topology.bash
. "$CLUSTER_DIR/../e2e/topology.bash"

API4=192.0.2.100       # the world's
API4_OTHER=192.0.2.101 # a second API server's
ADMIN_TOKEN=administrator
ETCD=http://127.0.0.1:2379

# Names only: also for teardowns and for other processes of the same test.
cluster_names() {
	topology_names "$1"
	PKI=$T_DIR/pki
	export KUBECONFIG=$T_DIR/admin.conf
}

# Binaries of this commit, found or built; or those of the folder $KUBE.
cluster_binaries() {
	[ -z "${KUBE:-}" ] || return 0
	KUBE=$("$CLUSTER_DIR/build" 2>"$BATS_FILE_TMPDIR/build.log") || {
		echo "Kubernetes could not be built:" >&2
		tail -n 20 "$BATS_FILE_TMPDIR/build.log" >&2
		return 1
	}
	export KUBE
}

cluster_begin() {
	cluster_binaries &&
	topology_sweep slk &&
	topology_begin "$1" && cluster_names "$1" && cluster_pki && cluster_kubeconfig
}

# ---- keys ------------------------------------------------------------------------------------------------------------

cluster_pki() (
	mkdir -p "$PKI" && cd "$PKI" || exit 1
	{
		openssl ecparam -name prime256v1 -genkey -noout -out ca.key &&
		openssl req -x509 -new -key ca.key -subj /CN=cluster -days 2 -out ca.crt &&
		openssl ecparam -name prime256v1 -genkey -noout -out api.key &&
		openssl req -new -key api.key -subj /CN=kube-apiserver -out api.csr &&
		openssl x509 -req -in api.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -out api.crt -extfile <(
			echo "subjectAltName=IP:$API4,IP:$API4_OTHER,IP:10.96.0.1,DNS:kubernetes.default.svc"
		) &&
		openssl genrsa -out accounts.key 2048
	} 2>openssl.log || { cat openssl.log >&2; exit 1; }
	echo "$ADMIN_TOKEN,admin,admin,system:masters" >tokens.csv
)

# kubeconfig FILE USER-YAML [SERVER]
write_kubeconfig() {
	cat >"$1" <<-END
		apiVersion: v1
		kind: Config
		clusters: [{ name: c, cluster: { server: "https://${3:-$API4}:6443", certificate-authority-data: $(base64 -w 0 "$PKI/ca.crt") } }]
		users: [{ name: u, user: { $2 } }]
		contexts: [{ name: c, context: { cluster: c, user: u } }]
		current-context: c
	END
}

cluster_kubeconfig() {
	write_kubeconfig "$KUBECONFIG" "token: $ADMIN_TOKEN"
}

k() { in_ns world "$KUBE/kubectl" "$@"; }

# ---- control plane ---------------------------------------------------------------------------------------------------

# daemon NS NAME command…: in the background, its output in NAME.log, its process id in NAME.pid
daemon() {
	local ns=$1 name=$2
	shift 2
	in_ns_bg "$ns" "$@" >>"$T_DIR/$name.log" 2>&1
	echo $! >"$T_DIR/$name.pid"
	disown
}

api_address() { [ "${1:-api}" = api ] && echo "$API4" || echo "$API4_OTHER"; }

api_start() {
	local name=${1:-api} address
	address=$(api_address "$name")
	daemon world "$name" "$KUBE/kube-apiserver" --etcd-servers "$ETCD" \
		--bind-address "$address" --advertise-address "$address" --secure-port 6443 \
		--tls-cert-file "$PKI/api.crt" --tls-private-key-file "$PKI/api.key" --cert-dir "$PKI/$name" \
		--token-auth-file "$PKI/tokens.csv" --authorization-mode Node,RBAC --allow-privileged \
		--service-account-issuer https://kubernetes.default.svc \
		--service-account-key-file "$PKI/accounts.key" --service-account-signing-key-file "$PKI/accounts.key" \
		--service-cluster-ip-range "$SERVICES4,$SERVICES6" --kubelet-preferred-address-types InternalIP \
		--profiling=false "${API_OPTIONS[@]}"
}

API_OPTIONS=()

# Signals it; TERM and KILL wait for its end.
api_signal() {
	local name=${2:-api} pid
	pid=$(cat "$T_DIR/$name.pid") && kill "-$1" "$pid" || return 1
	case $1 in TERM | KILL) wait_for 20 "the API server to end" not kill -0 "$pid" ;; esac
}

api_is_ready() {
	in_ns world curl -fs --max-time 5 --cacert "$PKI/ca.crt" -H "Authorization: Bearer $ADMIN_TOKEN" \
		"https://$(api_address "${1:-}"):6443/readyz"
}

cluster_etcd() {
	daemon world etcd "$KUBE/etcd" --data-dir "$T_DIR/etcd" --unsafe-no-fsync --log-level warn \
		--listen-client-urls "$ETCD" --advertise-client-urls "$ETCD" \
		--listen-peer-urls http://127.0.0.1:2380 --initial-advertise-peer-urls http://127.0.0.1:2380 \
		--initial-cluster default=http://127.0.0.1:2380
}

# Those that tests need; the others cost processor time. One that marks nodes without heartbeats only for real nodes.
CONTROLLERS=deployment,replicaset,daemonset,endpointslice,endpointslice-mirroring,serviceaccount,root-ca-certificate-publisher
CONTROLLERS+=,namespace,garbage-collector,disruption,service-cidr,taint-eviction

# Names of further controllers may follow.
cluster_control() {
	local controllers
	ip -n "$(ns_of world)" addr add "$API4_OTHER/24" dev "$(world_device)" &&
	cluster_etcd && api_start || return 1
	wait_for 60 "the API server" api_is_ready || { tail -n 5 "$T_DIR/etcd.log" "$T_DIR/api.log" >&2; return 1; }
	controllers=$(printf '%s-controller,' ${CONTROLLERS//,/ } "$@")
	daemon world controllers "$KUBE/kube-controller-manager" --kubeconfig "$KUBECONFIG" --leader-elect=false \
		--controllers "${controllers%,}" \
		--service-account-private-key-file "$PKI/accounts.key" --root-ca-file "$PKI/ca.crt" \
		--use-service-account-credentials --cert-dir "$PKI/controllers"
	daemon world scheduler "$KUBE/kube-scheduler" --kubeconfig "$KUBECONFIG" --leader-elect=false --cert-dir "$PKI/scheduler"
	wait_for 30 "the default service account" k get serviceaccount default
}

world_device() { ip -n "$(ns_of world)" -o addr show to "$API4" | awk '{ print $2 }'; }

# ---- the agent's account -----------------------------------------------------------------------------------------------

# A token that ends with its Secret: deleting that is how tokens are withdrawn.
cluster_token() {
	k -n sluice create secret generic "$1" >/dev/null &&
	k -n sluice create token sluiced --bound-object-kind Secret --bound-object-name "$1" >"$T_DIR/token.new" &&
	mv "$T_DIR/token.new" "$T_DIR/token"
}

# The log's last words of everybody, for a test that failed.
cluster_said() {
	local file
	for file in "$T_DIR"/*.log; do
		echo "# ${file##*/}:"
		tail -n "${1:-5}" "$file" | cut -c 1-400 | sed 's/^/#   /'
	done
}
