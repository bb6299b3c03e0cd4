# shellcheck shell=bash
# A node, its pods and the world around it, in network namespaces of their own. For the tests and the demo.
#
#   topology_begin ID        claims the name; removes what a killed run of the same name left
#   topology_node            the node, its uplink and the world
#   topology_pod NAME N      a pod: 10.244.1.N and fd00:10:244:1::N (N in decimal digits), its device pod-N
#   topology_far             a host two hops away, over a path with a small MTU; topology_sink: see there
#   topology_agent […]       sluiced on the node; topology_agent_kill [SIGNAL]
#   in_ns NAME command…      runs a command inside; its processes are in a cgroup of their own
#   topology_end             removes everything; runs by itself when the owner (this shell) dies
#
#       pod-11  10.244.1.11 ──pod-11┐                ┌─ client on the outside: 192.0.2.100 (world)
#       pod-12  10.244.1.12 ──pod-12┤ node 192.0.2.1 ├─up0──── world ── far 10.244.2.13, a pod of another
#       client  10.244.1.100 ─pod-100                                       node; path MTU 1400
#
# Nothing outside these namespaces, one directory below /run and one cgroup is touched. nsenter is used, not
# "ip netns exec": that one would hide the cgroups.

TOPOLOGY_FILE=${BASH_SOURCE[0]}
NODE4=192.0.2.1 NODE6=2001:db8::1
WORLD4=192.0.2.100 WORLD6=2001:db8::100
FAR4=198.51.100.2 FAR6=2001:db8:1::2
FAR_POD4=10.244.2.13 FAR_POD6=fd00:10:244:2::13
FAR_MTU=1400
SERVICES4=10.96.0.0/16 SERVICES6=fd00:10:96::/112

topology_names() {
	T_ID=$1
	T_DIR=/run/$T_ID
	BPFFS=$T_DIR/bpf
	CGROUP=$(topology_cgroup_root)/$T_ID
	MANIFESTS=$T_DIR/manifests
	ADMIN=$T_DIR/admin.sock
	SLUICED=${SLUICED:-$BUILD/sluiced}
	SLUICECTL=${SLUICECTL:-$BUILD/sluicectl}
}

# The only hierarchy, or beside cgroup v1.
topology_cgroup_root() {
	awk '{ for (i = 7; i <= NF; i++) if ($i == "-") break }
		$(i + 1) == "cgroup2" { print $5; exit }' /proc/self/mountinfo
}

# pid and start time: a number alone may have become somebody else's.
topology_process() {
	echo "$1 $(awk '{ sub(/^.*\) /, ""); print $20 }' "/proc/$1/stat" 2>/dev/null)"
}

topology_begin() {
	local id=$1 owner
	topology_names "$id"
	[ -n "$(topology_cgroup_root)" ] || { echo "no cgroup2 is mounted: mount -t cgroup2 none /sys/fs/cgroup/unified" >&2; return 1; }
	if [ -d "$T_DIR" ]; then
		owner=$(cat "$T_DIR/owner" 2>/dev/null)
		if [ -n "$owner" ] && [ "$(topology_process "${owner%% *}")" = "$owner" ]; then
			echo "$id is running already (process ${owner%% *})" >&2
			return 1
		fi
	fi
	topology_remove
	mkdir -p "$T_DIR" "$BPFFS" "$MANIFESTS" "$T_DIR/state" &&
	topology_process $$ >"$T_DIR/.owner" && mv "$T_DIR/.owner" "$T_DIR/owner" && # never half: others sweep
	mkdir -p "$CGROUP" &&
	mount -t bpf -o mode=0700 "$T_ID" "$BPFFS" || return 1
	# Whatever becomes of this shell, somebody cleans up behind it.
	setsid bash "$TOPOLOGY_FILE" reap "$id" $$ </dev/null >/dev/null 2>&1 3>&- 4>&- &
	disown
}

# Names of runs that are over but left something, by prefix.
topology_sweep() {
	local dir owner
	for dir in /run/"$1"-*/; do
		[ -f "$dir/owner" ] || continue
		owner=$(cat "$dir/owner")
		[ -n "$owner" ] || continue
		[ "$(topology_process "${owner%% *}")" != "$owner" ] || continue
		topology_names "$(basename "$dir")"
		topology_remove
	done
}

topology_reap() {
	tail --pid="$2" -f /dev/null
	topology_names "$1"
	[ "$(cut -d' ' -f1 "$T_DIR/owner" 2>/dev/null)" != "$2" ] || topology_remove
}

topology_kill_all() {
	local tries=200 pids
	# groups below are those of real nodes (../kube/nodes.bash)
	while pids=$(find "$CGROUP" -name cgroup.procs -exec cat {} + 2>/dev/null) && [ -n "$pids" ]; do
		# shellcheck disable=SC2086
		kill -9 $pids 2>/dev/null
		[ $((tries--)) -gt 0 ] || return 1
		sleep 0.01
	done
}

topology_remove() {
	local ns tries=100
	topology_kill_all
	for ns in /run/netns/"$T_ID"+*; do
		[ -e "$ns" ] && ip netns del "${ns##*/}"
	done
	if mountpoint -q "$BPFFS"; then
		rm -rf "${BPFFS:?}"/sluice
		umount "$BPFFS"
	fi
	while ! topology_remove_cgroups && [ $((tries--)) -gt 0 ]; do
		sleep 0.01
	done
	rm -rf "${T_DIR:?}"
}

# In every hierarchy that there is; the last process of a group may still be ending.
topology_remove_cgroups() {
	local at left=0
	while read -r at; do
		[ ! -d "$at/$T_ID" ] || find "$at/$T_ID" -depth -type d -exec rmdir {} + 2>/dev/null || left=1
	done < <(awk '{ for (i = 7; i <= NF; i++) if ($i == "-") break } $(i + 1) ~ /^cgroup2?$/ { print $5 }' /proc/self/mountinfo)
	return "$left"
}

topology_end() {
	topology_remove
}

# ---- namespaces ------------------------------------------------------------------------------------------------------

# Shows up as "demo+node" in `ip netns`.
ns_of() { echo "$T_ID+$1"; }

in_ns() {
	local ns=$1
	shift
	( echo "$BASHPID" >"$CGROUP/cgroup.procs" && exec nsenter --net="/run/netns/$T_ID+$ns" "$@" )
}

# In the background; the process is the one that $! says.
in_ns_bg() {
	local ns=$1
	shift
	{ echo "$BASHPID" >"$CGROUP/cgroup.procs" && exec nsenter --net="/run/netns/$T_ID+$ns" "$@"; } </dev/null 3>&- 4>&- &
}

ns_add() {
	ip netns add "$(ns_of "$1")" &&
	in_ns "$1" sh -c '
		ip link set lo up
		cd /proc/sys/net
		echo 0 >ipv4/conf/all/rp_filter; echo 0 >ipv4/conf/default/rp_filter
		echo 0 >ipv4/conf/all/send_redirects; echo 0 >ipv4/conf/default/send_redirects
		echo 0 >ipv6/conf/all/accept_dad; echo 0 >ipv6/conf/default/accept_dad
		echo 0 >ipv6/conf/default/accept_ra
		# answers and refusals of a test arrive faster than these limits allow
		echo 0 >ipv4/icmp_ratelimit; echo 0 >ipv6/icmp/ratelimit
		[ ! -e ipv4/icmp_msgs_per_sec ] || echo 1000000 2>/dev/null >ipv4/icmp_msgs_per_sec || :' 2>/dev/null
}

# ip of a namespace, several lines at once; those that begin with -6 come last.
ns_ip() {
	local lines
	lines=$(cat)
	ip -n "$(ns_of "$1")" -batch - <<<"$(grep -v '^-6 ' <<<"$lines")" &&
	ip -n "$(ns_of "$1")" -6 -batch - <<<"$(sed -n 's/^-6 //p' <<<"$lines")"
}

ns_forward() {
	in_ns "$1" sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward; echo 1 >/proc/sys/net/ipv6/conf/all/forwarding'
}

topology_node() {
	ns_add node && ns_add world && ns_forward node || return 1
	ip -n "$(ns_of node)" link add up0 type veth peer name eth0 netns "$(ns_of world)" &&
	ns_ip node <<-END &&
		addr add $NODE4/24 dev up0
		addr add $NODE6/64 dev up0 nodad
		link set up0 up
		route add default via $WORLD4
	END
	ns_ip world <<-END &&
		addr add $WORLD4/24 dev eth0
		addr add $WORLD6/64 dev eth0 nodad
		link set eth0 up
		route add $SERVICES4 via $NODE4
		route add 10.244.1.0/24 via $NODE4
		-6 route add $SERVICES6 via $NODE6
		-6 route add fd00:10:244:1::/64 via $NODE6
	END
	ip -n "$(ns_of node)" -6 route add default via $WORLD6
}

# A pod whose packets are routed: its device carries its address alone, the gateway is a link-local one.
topology_pod() {
	local name=$1 n=$2
	ns_add "$name" &&
	ip -n "$(ns_of node)" link add "pod-$n" type veth peer name eth0 netns "$(ns_of "$name")" &&
	ns_ip node <<-END &&
		addr add 169.254.1.1/32 dev pod-$n
		addr add fe80::1/64 dev pod-$n nodad
		link set pod-$n up
		route add 10.244.1.$n/32 dev pod-$n src $NODE4
		-6 route add fd00:10:244:1::$n/128 dev pod-$n src $NODE6
	END
	ns_ip "$name" <<-END
		addr add 10.244.1.$n/32 dev eth0
		addr add fd00:10:244:1::$n/128 dev eth0 nodad
		link set eth0 up
		route add 169.254.1.1/32 dev eth0
		route add default via 169.254.1.1
		-6 route add default via fe80::1 dev eth0
	END
}

# A pod on the node's bridge cni0, in one segment with the other pods there.
topology_bridge_pod() {
	local name=$1 n=$2
	ip -n "$(ns_of node)" link show cni0 >/dev/null 2>&1 || ns_ip node <<-END || return 1
		link add cni0 type bridge
		addr add 10.244.1.1/24 dev cni0
		addr add fd00:10:244:1::1/64 dev cni0 nodad
		link set cni0 up
	END
	ns_add "$name" &&
	ip -n "$(ns_of node)" link add "pod-$n" type veth peer name eth0 netns "$(ns_of "$name")" &&
	ns_ip node <<-END &&
		link set pod-$n master cni0
		link set pod-$n up
	END
	ns_ip "$name" <<-END
		addr add 10.244.1.$n/24 dev eth0
		addr add fd00:10:244:1::$n/64 dev eth0 nodad
		link set eth0 up
		route add default via 10.244.1.1
		-6 route add default via fd00:10:244:1::1
	END
}

# Behind the world, which is a router then: a pod of another node, also used as a client. Only the way towards it is narrow, and only the router knows: segments as large as both ends agreed on are refused there.
topology_far() {
	ns_add far && ns_forward world &&
	ip -n "$(ns_of world)" link add far0 type veth peer name eth0 netns "$(ns_of far)" &&
	ns_ip world <<-END &&
		addr add 198.51.100.1/24 dev far0
		addr add 2001:db8:1::1/64 dev far0 nodad
		link set far0 up
		route add 10.244.2.0/24 via $FAR4 mtu $FAR_MTU
		-6 route add fd00:10:244:2::/64 via $FAR6 mtu $FAR_MTU
	END
	ns_ip far <<-END
		addr add $FAR4/24 dev eth0
		addr add $FAR6/64 dev eth0 nodad
		addr add $FAR_POD4/32 dev lo
		addr add $FAR_POD6/128 dev lo nodad
		link set eth0 up
		route add default via 198.51.100.1 src $FAR_POD4
		-6 route add default via 2001:db8:1::1 src $FAR_POD6
	END
}

# Where the node's stack sends what is still addressed to a service: a host that forwards nothing and counts each such
# packet as InAddrErrors. No program of ours sees the device. Exact: what was translated never comes here.
topology_sink() {
	ns_add sink &&
	ip -n "$(ns_of node)" link add sink0 address 02:00:00:00:00:01 type veth peer name eth0 address 02:00:00:00:00:02 \
		netns "$(ns_of sink)" &&
	ns_ip sink <<-END &&
		addr add 169.254.2.2/30 dev eth0
		addr add fe80::2/64 dev eth0 nodad
		link set eth0 up
		route add default via 169.254.2.1
		-6 route add default via fe80::3 dev eth0
		neigh add 169.254.2.1 lladdr 02:00:00:00:00:01 dev eth0 nud permanent
	END
	ns_ip node <<-END
		addr add 169.254.2.1/30 dev sink0
		addr add fe80::3/64 dev sink0 nodad
		link set sink0 up
		neigh add 169.254.2.2 lladdr 02:00:00:00:00:02 dev sink0 nud permanent
		neigh add fe80::2 lladdr 02:00:00:00:00:02 dev sink0 nud permanent
		route add $SERVICES4 via 169.254.2.2
		-6 route add $SERVICES6 via fe80::2 dev sink0
	END
}

# shellcheck disable=SC2016
# One number of a namespace's /proc/net/snmp or snmp6: counter world Tcp InCsumErrors; counter sink Ip6InAddrErrors
counter() {
	if [ $# = 3 ]; then
		in_ns "$1" awk -v k="$2:" -v f="$3" '$1 == k { if (!n) { for (n = 2; n <= NF; n++) if ($n == f) break } else print $n }' /proc/net/snmp
	else
		in_ns "$1" awk -v f="$2" '$1 == f { print $2 }' /proc/net/snmp6
	fi
}

untranslated() {
	echo $(($(counter sink Ip InAddrErrors) + $(counter sink Ip6InAddrErrors)))
}

# Offloads of every device, both ends: on or off.
topology_offload() {
	local path ns dev
	for path in /run/netns/"$T_ID"+*; do
		ns=${path##*+}
		for dev in $(in_ns "$ns" ip -o link | sed -n 's/^[0-9]*: \([^@:]*\)[@:].*/\1/p'); do
			[ "$dev" = lo ] || [ "$dev" = cni0 ] || in_ns "$ns" ethtool -K "$dev" tx "$1" rx "$1" tso "$1" gso "$1" gro "$1" >/dev/null 2>&1 || :
		done
	done
}

# ---- processes -------------------------------------------------------------------------------------------------------

# A model server in a pod; waits until it answers.
topology_model() {
	local name=$1
	in_ns_bg "$name" "$BUILD/demo/model" "$name" "${2:-8080}" >>"$T_DIR/model.log" 2>&1
	disown
	wait_for 5 "$name to listen" in_ns "$name" "$BUILD/test/e2e/call" tcp 127.0.0.1 "${2:-8080}"
}

topology_agent() {
	in_ns_bg node "$SLUICED" --source "dir:$MANIFESTS" --node-name node-1 --node-ip "$NODE4,$NODE6" \
		--uplink up0 --pod-ifaces 'pod-*' --service-cidr "$SERVICES4,$SERVICES6" \
		--bpffs "$BPFFS" --cgroup "$CGROUP" --admin-socket "$ADMIN" --state-dir "$T_DIR/state" \
		"$@" >>"$T_DIR/sluiced.log" 2>&1
	echo $! >"$T_DIR/sluiced.pid"
	disown
}

# Until the agent holds what the folder says, and the kernel too.
topology_settled() {
	wait_for "${1:-10}" "the agent to settle" ctl diff
}

topology_agent_kill() {
	local pid
	pid=$(cat "$T_DIR/sluiced.pid" 2>/dev/null) || return 0
	rm -f "$T_DIR/sluiced.pid"
	kill "-${1:-TERM}" "$pid" 2>/dev/null || return 0
	wait_for 10 "sluiced to end" not kill -0 "$pid"
}

ctl() {
	in_ns node "$SLUICECTL" "$@" --bpffs "$BPFFS" --admin-socket "$ADMIN"
}

not() { ! "$@"; }

# wait_for SECONDS WHAT command…: until the command succeeds. SECONDS are those of an idle machine; one that is loaded has three
# times as many. Where the time itself is the question a test takes it and says it.
wait_for() {
	local end=$((${EPOCHREALTIME%[.,]*} + 3 * $1)) what=$2
	shift 2
	until "$@" >/dev/null 2>&1; do
		if [ "${EPOCHREALTIME%[.,]*}" -ge "$end" ]; then
			echo "waited in vain for $what" >&2
			return 1
		fi
		sleep 0.02
	done
}

if [ "${1:-}" = reap ] && [ "${BASH_SOURCE[0]}" = "$0" ]; then
	topology_reap "$2" "$3"
fi
