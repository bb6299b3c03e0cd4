#!/bin/bash
# Real traffic between network namespaces: client pod - node - server pod, one such trio for each way of reaching a service, all
# alive at once and measured in turn, in many short slices. Prints raw data for report.py.
#
#   traffic.sh ROUNDS SLICE_MS      BUILD: where nb, sluiced and sluicectl are; COUNTS: numbers of services ("1 10000");
#                                   HOLD=1: sets everything up, says where, and waits (for a profiler)
#
# Nothing outside these namespaces, one directory below /run and one cgroup is touched.
set -u
rounds=$1 slice_ms=$2
: "${BUILD:?}" "${COUNTS:=1 10000}" "${CPU:=1}" "${WAYS:=tc fast socket nft iptables}" "${MODES:=crr rr urr}"
here=$(cd "$(dirname "$0")" && pwd)
id=slbench$$
dir=/run/$id
vip=10.96.200.200 server=10.0.2.2
pids=()

cgroup_root=$(awk '{ for (i = 7; i <= NF; i++) if ($i == "-") break } $(i + 1) == "cgroup2" { print $5; exit }' /proc/self/mountinfo)
cgroup=$cgroup_root/$id

in_ns() { nsenter --net="/run/netns/$id-$1" "${@:2}"; }
die() { echo "traffic.sh: $*" >&2; exit 1; }
now_ms() { echo $((${EPOCHREALTIME//[.,]/} / 1000)); }

clean_up() {
	local ns p
	exec 2>/dev/null
	[ ${#pids[@]} = 0 ] || kill "${pids[@]}"
	for p in "${pids[@]}"; do wait "$p"; done
	for ns in /run/netns/"$id"-*; do [ ! -e "$ns" ] || ip netns del "${ns##*/}"; done
	for ns in "$dir"/*.bpf; do [ ! -d "$ns" ] || umount -l "$ns"; done
	[ -z "${KEEP_LOGS-}" ] || cp "$dir"/*.log "$KEEP_LOGS"
	rm -rf "$dir"
	for ns in "$cgroup"/*/; do [ ! -d "$ns" ] || rmdir "$ns"; done
	[ ! -d "$cgroup" ] || rmdir "$cgroup"
}
trap clean_up EXIT
trap 'exit 1' INT TERM HUP

wait_for() { # SECONDS WHAT command…
	local deadline=$(($(now_ms) + $1 * 1000)) what=$2
	until "${@:3}"; do
		[ "$(now_ms)" -lt "$deadline" ] || die "$what: not after $1 s"
		sleep 0.02
	done
}

# ---- trios ------------------------------------------------------------------------------------------------------------

make_trio() { # WAY
	local ns
	for ns in c n s; do
		ip netns add "$id-$1-$ns"
		in_ns "$1-$ns" ip link set lo up
		in_ns "$1-$ns" sysctl -qw net.ipv4.ip_local_port_range="1024 65000" net.ipv4.tcp_max_tw_buckets=64
	done
	in_ns "$1-n" ip link add pod-c type veth peer name eth0 netns "$id-$1-c"
	in_ns "$1-n" ip link add pod-s type veth peer name eth0 netns "$id-$1-s"
	in_ns "$1-n" ip link add up0 type veth peer name up1
	in_ns "$1-n" ip addr add 10.0.1.1/24 dev pod-c
	in_ns "$1-n" ip addr add 10.0.2.1/24 dev pod-s
	in_ns "$1-n" ip addr add 192.0.2.1/24 dev up0
	for ns in pod-c pod-s up0 up1; do in_ns "$1-n" ip link set $ns up; done
	in_ns "$1-c" ip addr add 10.0.1.2/24 dev eth0
	in_ns "$1-s" ip addr add $server/24 dev eth0
	for ns in c s; do in_ns "$1-$ns" ip link set eth0 up; done
	in_ns "$1-c" ip route add default via 10.0.1.1
	in_ns "$1-s" ip route add default via 10.0.2.1
	in_ns "$1-n" sysctl -qw net.ipv4.ip_forward=1
	local port
	for port in 8080 8081; do # the second is nobody's endpoint
		nsenter --net="/run/netns/$id-$1-s" "$BUILD/bench/nb" server $port "$CPU" </dev/null >/dev/null &
		pids+=($!)
	done
}

# Programs that do nothing where sluice has its own: on the devices, by the same kind of link; with CGROUP also where a TCP socket
# connects and closes.
add_empty() { # WAY [CGROUP]
	local device side
	[ -z "${2-}" ] || mkdir "$2" || exit 1
	nsenter --net="/run/netns/$id-$1-n" "$BUILD/bench/hold" "$BUILD/bench/empty.bpf.o" ${2:+"$2"} pod-c pod-s \
		</dev/null >"$dir/$1.held" 2>"$dir/$1.log" &
	pids+=($!)
	until [ -s "$dir/$1.held" ] || ! kill -0 $! 2>/dev/null; do sleep 0.02; done
	[ ! -s "$dir/$1.held" ] || return 0
	[ -z "${2-}" ] || die "the empty programs do not attach: $(cat "$dir/$1.log")"
	for device in pod-c pod-s; do # a kernel without TCX
		in_ns "$1-n" tc qdisc add dev $device clsact
		for side in ingress egress; do
			in_ns "$1-n" tc filter add dev $device $side bpf direct-action object-file "$BUILD/bench/empty.bpf.o" section tc ||
				die "the empty program does not attach"
		done
	done
}

services() { awk -v as="$1" -v n="$2" -v vip=$vip -v backend=$server -f "$here/services.awk"; }

load_nft() { # WAY N
	local piece=$dir/$1.nft line
	: >"$piece"
	while IFS= read -r line; do
		if [ "$line" = "#" ]; then
			in_ns "$1-n" nft -f "$piece" || die "nft refused the rules"
			: >"$piece"
		else
			echo "$line" >>"$piece"
		fi
	done < <(services nft "$2")
}

load_iptables() { # WAY N
	services iptables "$2" >"$dir/$1.rules"
	in_ns "$1-n" iptables-legacy-restore "$dir/$1.rules" || die "iptables refused the rules"
}

load_sluice() { # WAY N on|off: socket translation in pods; more options
	local way=$1 n=$2 sockets=$3 began
	shift 3
	mkdir "$dir/$way.bpf" "$dir/$way.d" "$cgroup/$way"
	mount -t bpf bpf "$dir/$way.bpf"
	services yaml "$n" >"$dir/$way.d/services.yaml"
	began=$(now_ms)
	nsenter --net="/run/netns/$id-$way-n" "${SLUICED:-$BUILD/sluiced}" --source "dir:$dir/$way.d" --node-name node-1 --node-ip 192.0.2.1 --uplink up0 --xdp off \
		--pod-ifaces 'pod-*' --socket-lb "$sockets" --service-cidr 10.96.0.0/15 --bpffs "$dir/$way.bpf" --cgroup "$cgroup/$way" \
		--admin-socket "$dir/$way.sock" --healthz-addr 127.0.0.1:10256 --metrics-addr off --max-flows 131072 "$@" \
		</dev/null >"$dir/$way.log" 2>&1 &
	pids+=($!)
	agent_pid=$!
	wait_for 60 "$way: sluiced is ready" in_ns "$way-n" curl -sf -o /dev/null http://127.0.0.1:10256/healthz
	printf 'load\t%s\tagent ready after\t%s\tms\n' "$way" $(($(now_ms) - began))
	printf 'load\t%s\tagent memory\t%s\tKiB\n' "$way" "$(awk '/^VmRSS/ { print $2 }' /proc/$agent_pid/status)"
	printf 'load\t%s\tagent CPU since start\t%s\tms\n' "$way" "$(awk '{ print ($14 + $15) * 10 }' /proc/$agent_pid/stat)"
}

# ---- clients: one process each, told what to measure ------------------------------------------------------------------

declare -A to from
clients=()

add_client() { # NAME namespace address port [cgroup]
	local name=$1 ns=$2 in out
	mkfifo "$dir/$name.to" "$dir/$name.from"
	exec {in}<>"$dir/$name.to" {out}<>"$dir/$name.from"
	(
		[ -z "${5-}" ] || echo $BASHPID >"$5/cgroup.procs"
		exec nsenter --net="/run/netns/$id-$ns" "$BUILD/bench/nb" client "$3" "$4" "$CPU" <"$dir/$name.to" >"$dir/$name.from"
	) &
	pids+=($!)
	to[$name]=$in from[$name]=$out
	clients+=("$name")
}

measure() { # NAME MODE MS: the answer into $reply
	echo "$2 $3" >&"${to[$1]}"
	read -r -t 30 reply <&"${from[$1]}" || reply="failed: no answer"
}

answers() ( # WAY
	# As its client will: what is translated at the socket must not leave flows of packets behind.
	if [ -d "$cgroup/$1" ]; then echo $BASHPID >"$cgroup/$1/cgroup.procs"; fi
	in_ns "$1-c" timeout 6 "$BUILD/bench/nb" client $vip 80 "$CPU" <<<"crr 1" 2>/dev/null | grep -qv failed
)

noise() {
	local steal total
	read -r steal total < <(awk '/^cpu / { for (i = 2; i <= 9; i++) t += $i; print $9, t }' /proc/stat)
	printf 'noise\t%s\tload\t%s\tsteal\t%s\ttotal\t%s\n' "$1" "$(cut -d' ' -f1 /proc/loadavg)" "$steal" "$total"
}

# ---- run --------------------------------------------------------------------------------------------------------------

[ "$(id -u)" = 0 ] || die "needs root: it makes network namespaces"
[ -n "$cgroup_root" ] || die "no cgroup2 is mounted"
mkdir "$dir" "$cgroup" || exit 1

make_trio direct
add_client direct direct-c $server 8080
add_client node-direct direct-n $server 8080
make_trio again # the same once more: what differs between two equal trios is below what can be told apart
add_client direct-again again-c $server 8080
add_client node-direct-again again-n $server 8080
make_trio empty
add_empty empty
add_client tc-empty empty-c $server 8080
add_client node-tc-empty empty-n $server 8080
make_trio calls
add_empty calls "$cgroup/calls"
add_client socket-empty calls-c $server 8080 "$cgroup/calls"
add_client node-socket-empty calls-n $server 8080 "$cgroup/calls"
for n in $COUNTS; do
	for kind in $WAYS; do
		way=$kind-$n
		case $kind in nft | iptables)
			tool=$kind
			[ "$kind" = nft ] || tool=iptables-legacy-restore
			command -v "$tool" >/dev/null || { printf 'skip\t%s\tno %s here\n' "$way" "$tool"; continue; }
		esac
		make_trio "$way"
		began=$(now_ms)
		case $kind in
		tc) load_sluice "$way" "$n" off ;;
		fast) load_sluice "$way" "$n" off --forwarding fast ;;
		socket) load_sluice "$way" "$n" on ;;
		nft) load_nft "$way" "$n" ;;
		iptables) load_iptables "$way" "$n" ;;
		esac
		wait_for 20 "$way: the service answers" answers "$way"
		printf 'load\t%s\tserves after\t%s\tms\n' "$way" $(($(now_ms) - began))
		if [ "$kind" = socket ]; then
			add_client "$way" "$way-c" $vip 80 "$cgroup/$way"
			add_client "node-$way" "$way-n" $vip 80 "$cgroup/$way"
		else
			add_client "$way" "$way-c" $vip 80
			case $kind in tc | fast) add_client "$kind-podip-$n" "$way-c" $server 8081 ;; esac
		fi
	done
done

for mode in $MODES; do
	for name in "${clients[@]}"; do
		measure "$name" "$mode" 20
		case $reply in failed*) die "$name: $mode: $reply" ;; esac
	done
done
[ -z "${HOLD-}" ] || { echo "hold	/run/netns/$id-*"; while sleep 1; do :; done; }
noise start
for ((round = 1; round <= rounds; round++)); do
	for mode in $MODES; do
		length=$slice_ms
		[ "$mode" = crr ] || length=$((slice_ms / 2)) # round trips are so short that half of it holds thousands
		# Each round in another order, so that no way always follows the same one.
		for name in $(printf '%s\n' "${clients[@]}" | shuf); do
			measure "$name" "$mode" "$length"
			printf 'slice\t%d\t%s\t%s\t%s\n' "$round" "$mode" "$name" "${reply// /$'\t'}"
		done
	done
	[ $round != $((rounds / 2)) ] || noise middle
done
noise end
for n in $COUNTS; do
	for way in tc fast socket; do
		[ ! -d "$dir/$way-$n.bpf" ] || "$BUILD/sluicectl" --bpffs "$dir/$way-$n.bpf" counters -o json | jq -c . | sed "s/^/counters\t$way-$n\t/"
	done
done
