# shellcheck shell=bash
# What tests of the agent share, on top of topology.bash and manifests.bash.
#
#   agent_start [OPTION…]    sluiced on the node with small tables; waits until it has synced and its hooks are set
#   agent_run [OPTION…]      runs it until it ends by itself, as one command: for refusals, --check, --cleanup
#   agent_stop [SIGNAL]      and waits for its end; agent_cleanup: also takes everything away
#   ask WHAT                 one answer of the admin socket (user/agent/admin.h)
#   link_ids, prog_ids, map_ids   kernel ids of what is pinned, "name id" by line
#   inventory                everything that could be left behind, as text to compare

AGENT_OPTIONS=(--max-flows 4096 --max-services 256 --max-backends 1024)

ask() {
	python3 - "$ADMIN" "$1" <<-'END'
		import socket, sys
		s = socket.socket(socket.AF_UNIX)
		s.settimeout(5)
		s.connect(sys.argv[1])
		s.sendall(b'{"get": "%s"}\n' % sys.argv[2].encode())
		line = b''
		while not line.endswith(b'\n'):
		    more = s.recv(65536)
		    if not more:
		        break
		    line += more
		print(line.decode(), end='')
	END
}

# ask_is WHAT JQ-EXPRESSION: is it true of the answer?
ask_is() {
	local answer
	answer=$(ask "$1") && [ -n "$answer" ] && jq -e "$2" <<<"$answer" >/dev/null
}

agent_is_ready() { ask_is status '.synced and .hooks.ok > 0 and .hooks.failed == 0'; }

agent_start() {
	topology_agent "${AGENT_OPTIONS[@]}" "$@"
	wait_for 20 "sluiced to be ready" agent_is_ready
}

agent_run() {
	in_ns node "$SLUICED" --source "dir:$MANIFESTS" --node-name node-1 --bpffs "$BPFFS" --cgroup "$CGROUP" \
		--admin-socket "$ADMIN" "${AGENT_OPTIONS[@]}" "$@"
}

agent_pid() { cat "$T_DIR/sluiced.pid"; }

agent_stop() { topology_agent_kill "${1:-TERM}"; }

agent_cleanup() {
	agent_stop TERM
	in_ns node "$SLUICED" --cleanup --bpffs "$BPFFS" --admin-socket "$ADMIN"
}

# The last run's lines of the log.
agent_said() {
	awk '/ starts node=/ { n = 0 } { line[n++] = $0 } END { for (i = 0; i < n; i++) print line[i] }' "$T_DIR/sluiced.log"
}

pinned() { find "$BPFFS/sluice/v1/$1" -mindepth 1 -printf '%f\n' | sort; }

# Links have no "show pinned" in old bpftools. Fails where there are none.
link_ids() { ctl attach -o json | jq -er '.items[] | "\(.interface)/\(.hook) \(.linkId)"' | sort | grep .; }

prog_ids() {
	local name
	for name in $(pinned progs); do
		echo "$name $("$BPFTOOL" -j prog show pinned "$BPFFS/sluice/v1/progs/$name" | jq .id)"
	done
}

map_ids() {
	local name
	for name in $(pinned maps); do
		echo "$name $("$BPFTOOL" -j map show pinned "$BPFFS/sluice/v1/maps/$name" | jq .id)"
	done
}

ifindex() { ip -n "$(ns_of node)" -j link show dev "$1" | jq '.[0].ifindex'; }

inventory() {
	find "$BPFFS" -mindepth 1 ! -name '*.debug'
	"$BPFTOOL" cgroup tree "$CGROUP" 2>/dev/null | grep -v '^CgroupPath'
	in_ns node "$BPFTOOL" net show
	in_ns node tc qdisc show
	# shellcheck disable=SC2016
	in_ns node sh -c 'for dev in $(ip -o link | sed "s/^[0-9]*: \([^:@]*\).*/\1/"); do tc filter show dev $dev ingress; tc filter show dev $dev egress; done' 2>/dev/null
	in_ns node ip -d link show | grep -i xdp || :
	in_ns node ip rule
	in_ns node ip route show table all
	find "$T_DIR" -maxdepth 1 ! -name 'sluiced*' ! -name log.at ! -path "$T_DIR" -printf '%f\n' | sort
}

# Until no map or program of these ids is left in the kernel: gone map|prog, ids as lines "name id" on stdin.
gone() {
	local kind=$1 name id
	while read -r name id; do
		wait_for 10 "$kind $name to be freed" not "$BPFTOOL" "$kind" show id "$id"
	done
}
