#!/usr/bin/env bats
# sluicectl: says what is so, with the agent and without it; explain is what happens; diff finds what was changed by hand.

setup_file() {
	load topology
	load manifests
	begin_node server:11 other:12 client:100
}

teardown_file() {
	load topology
	topology_names "$T_ID"
	topology_end
}

setup() {
	load topology
	load manifests
	load helpers
	begin_test
	service web 10.96.0.10 fd00:10:96::10
	endpoints web 11 12
}

teardown() {
	end_test
	agent_cleanup >/dev/null
	forget web
	forget empty
}

# Sees only packets: connect() in pods is left alone.
packets_only() { agent_start --socket-lb off; }

map() { in_ns node "$BPFTOOL" map "$1" pinned "$BPFFS/sluice/v1/maps/$2" "${@:3}"; }

# explained FIELD ARGUMENT…: one field of the explanation
explained() { ctl explain "${@:2}" -o json | jq -r "$1"; }

@test "every command answers, in tables and in JSON" {
	agent_start
	settled
	local command
	for command in status services backends flows counters attach 'drops --counters' diff doctor \
		'explain 10.244.1.100 10.96.0.10:80'; do
		# shellcheck disable=SC2086
		run ctl $command
		assert_success
		[ -n "$output" ]
		# shellcheck disable=SC2086
		run ctl $command -o json
		assert_success
		jq -e '.apiVersion == "sluice.dev/v1" and .kind' <<<"$output" >/dev/null || fail "$command: $output"
	done
	run ctl services --no-headers -s default/web:http
	assert_output --regexp '^default +web:http +10\.96\.0\.10:80 +TCP +ClusterIP +Cluster +random +- +2 +2'
}

@test "fields of the JSON keep their names" {
	packets_only
	settled
	in_ns client "$CALL" tcp 10.96.0.10 80
	local command
	for command in status services backends flows counters attach 'drops --counters' diff doctor \
		'explain 10.244.1.100 10.96.0.10:80'; do
		# shellcheck disable=SC2086
		ctl $command -o json | jq -r --arg c "${command%% *}" \
			'[paths | map(if type == "number" then "[]" else "." + . end) | add | sub("^[.]"; "")] | unique[] | "\($c) \(.)"'
	done | sort -u >"$BATS_TEST_TMPDIR/fields"
	run comm -23 <(grep -v '^#' "$BATS_TEST_DIRNAME/../data/sluicectl-json.txt" | sort) "$BATS_TEST_TMPDIR/fields"
	assert_output ''
}

@test "without an agent everything is read from the pins" {
	agent_start
	settled
	ctl services >"$BATS_TEST_TMPDIR/services"
	agent_stop KILL
	diff "$BATS_TEST_TMPDIR/services" <(ctl services)
	local command
	for command in backends flows counters attach 'drops --counters' 'explain 10.244.1.100 default/web:80'; do
		# shellcheck disable=SC2086
		run ctl $command
		assert_success
	done
	run ctl diff --source "dir:$MANIFESTS"
	assert_success
	assert_output --partial 'source and kernel agree'
	run ctl status
	assert_equal "$status" 3
	assert_output --partial 'traffic goes on without it'
	run ctl diff
	assert_equal "$status" 3
	assert_output --partial '--source kube|dir:PATH'
}

@test "nothing is pinned: exit code 3, and a sentence" {
	run ctl services
	assert_equal "$status" 3
	assert_output --partial 'no sluiced has run here'
}

@test "without the right to read: exit code 4, and the capability's name" {
	agent_start
	run in_ns node setpriv --reuid 65534 --clear-groups "$SLUICECTL" services --bpffs "$BPFFS"
	assert_equal "$status" 4
	assert_output --partial 'CAP_BPF is missing'
}

@test "diff finds a backend that was changed by hand; a restart puts it right" {
	agent_start
	settled
	local id
	id=$(ctl backends -s web:http -o json | jq '[.items[] | select(.address == "10.244.1.11")][0].id')
	# 10.0.0.9:8080, everything else as it was
	local bytes
	bytes=$(map lookup sl4_backends key "$id" 0 0 0 -j | jq -r '.value[4:] | join(" ")')
	# shellcheck disable=SC2086
	map update sl4_backends key "$id" 0 0 0 value 10 0 0 9 $bytes
	run ctl diff
	assert_equal "$status" 1
	assert_output --partial 'default/web:http TCP 10.96.0.10:80: cluster endpoint 10.0.0.9 port 8080 is in the kernel, not in the source'
	assert_output --partial 'is in the kernel, not in the agent'
	assert_equal "$(ctl diff -o json | jq '.differences > 0 and .agentRunning')" true
	agent_stop KILL
	run ctl diff --source "dir:$MANIFESTS"
	assert_equal "$status" 1
	assert_output --partial 'start sluiced'
	agent_start
	settled
}

@test "diff finds a service that vanished from the kernel" {
	agent_start
	settled
	map delete sl4_services key 10 96 0 10 80 0 6 0
	run ctl diff
	assert_equal "$status" 1
	assert_output --partial 'default/web:http TCP 10.96.0.10:80: is in the source, not in the kernel'
}

@test "diff finds what the source says and no agent has seen" {
	agent_start
	settled
	agent_stop KILL
	endpoints web 11 12 13
	run ctl diff --source "dir:$MANIFESTS"
	assert_equal "$status" 1
	assert_output --partial 'cluster endpoint 10.244.1.13 port 8080 is in the source, not in the kernel'
}

@test "explain says what happens to new and to running flows" {
	packets_only
	settled
	assert_equal "$(explained '.reason' 10.244.1.100:40001 10.96.0.10:80)" NEW_FLOW
	assert_equal "$(explained '[.endpoints[].address] | sort | join(" ")' 10.244.1.100:40001 10.96.0.10:80)" '10.244.1.11 10.244.1.12'
	call_from client tcp 10.96.0.10 80 --source-port 40001
	assert_success
	# the flow knows where it went, and explain goes by the flow
	local pod
	pod=$(ctl flows --client 10.244.1.100:40001 -o json | jq -r '.items[0].endpointAddress')
	case $output in
	*name=server*) assert_equal "$pod" 10.244.1.11 ;;
	*name=other*) assert_equal "$pod" 10.244.1.12 ;;
	esac
	assert_equal "$(explained '.reason' 10.244.1.100:40001 10.96.0.10:80 --established)" FLOW
	assert_equal "$(explained '.endpoints | map(.address) | join(" ")' 10.244.1.100:40001 10.96.0.10:80 --established)" "$pod"
}

@test "explain says what is refused, and how" {
	packets_only
	service empty 10.96.0.20 fd00:10:96::20
	endpoints empty
	settled
	assert_equal "$(explained '"\(.verdict) \(.reason)"' 10.244.1.100:40002 10.96.0.20:80)" 'reject NO_ENDPOINT'
	assert_refused client tcp 10.96.0.20 80
	assert_equal "$(explained '"\(.verdict) \(.reason)"' 10.244.1.100:40002 10.96.0.10:81 udp)" 'reject UNKNOWN_PORT'
	assert_refused client udp 10.96.0.10 81
	assert_equal "$(explained '"\(.verdict) \(.reason)"' 10.244.1.100:40002 10.96.0.99:80 udp)" 'drop UNALLOCATED'
	assert_silent client udp 10.96.0.99 80
	assert_equal "$(explained '"\(.verdict) \(.reason)"' '[fd00:10:244:1::100]:40002' '[fd00:10:96::20]:80')" 'reject NO_ENDPOINT'
	assert_refused client tcp fd00:10:96::20 80
	assert_equal "$(explained .reason 10.244.1.100:40002 8.8.8.8:53 udp)" NOT_SERVICE
}

@test "explain says which calls are translated before a packet exists" {
	agent_start
	settled
	assert_equal "$(explained '"\(.hook): \(.reason)"' "$NODE4" 10.96.0.10:80)" 'socket call of the node: SOCKET'
	call_from node tcp 10.96.0.10 80
	assert_success
	assert_equal "$(counted SOCKET socketCalls)" 1
	assert_equal "$(explained '"\(.hook): \(.reason)"' 10.244.1.100 default/web:http)" 'connect() in the pod: SOCKET'
	assert_equal "$(explained '"\(.hook): \(.reason)"' 10.244.1.100 default/web:80 udp)" "ingress of the pod's device: NEW_FLOW"
}

# drops_shows PATTERN: the live list has a line like this before long
drops_shows() {
	in_ns_bg node "$SLUICECTL" drops --bpffs "$BPFFS" --admin-socket "$ADMIN" >"$BATS_TEST_TMPDIR/drops" 2>&1
	local drops=$!
	wait_for 5 "a refusal to be shown" shows "$1" || cat "$BATS_TEST_TMPDIR/drops"
	kill "$drops"
	wait "$drops" || :
	grep -qE "$1" "$BATS_TEST_TMPDIR/drops"
}

# Refuses again each time, so that a reader that begins later sees one too.
shows() {
	in_ns "${REFUSED_IN:-client}" "$CALL" "${REFUSED_PROTO:-udp}" 10.96.0.10 81 --timeout 50 || :
	grep -qE "$1" "$BATS_TEST_TMPDIR/drops"
}

@test "drops shows refusals with their reason, by the agent and without it" {
	packets_only
	settled
	drops_shows 'UNKNOWN_PORT +reject +UDP +10\.244\.1\.100:[0-9]+ +10\.96\.0\.10:81 +ingress +pod-100 .*no such port'
	agent_stop KILL
	drops_shows 'UNKNOWN_PORT +reject +UDP +10\.244\.1\.100:[0-9]+ +10\.96\.0\.10:81 +ingress +pod-100 .*no such port'
	run ctl drops --counters
	assert_output --regexp 'UNKNOWN_PORT +reject +[0-9]+ .*compare the port with: sluicectl services'
}

@test "drops ends where its output cannot be written, and says so" {
	packets_only
	settled
	call_from client tcp 10.96.0.10 81
	refused() { ask_is drops '.drops | length > 0'; }
	wait_for 5 "the agent to tell a refusal" refused
	run in_ns node bash -c 'timeout 20 "$@" >/dev/full' bash "$SLUICECTL" drops --bpffs "$BPFFS" --admin-socket "$ADMIN"
	assert_failure 1
	assert_output --partial 'the output could not be written: No space left on device'
}

@test "drops shows calls that were refused at the socket" {
	agent_start
	settled
	REFUSED_IN=node REFUSED_PROTO=tcp drops_shows 'UNKNOWN_PORT +reject +TCP +[^ ]+ +10\.96\.0\.10:81 +socket '
}

@test "doctor finds what is missing" {
	run ctl doctor
	assert_equal "$status" 3
	assert_output --regexp 'agent +fail'
	assert_output --regexp 'maps +fail'
	agent_start
	run ctl doctor
	assert_success
	refute_output --regexp ' fail '
	in_ns node sh -c 'echo 0 >/proc/sys/net/ipv4/ip_forward'
	run ctl doctor
	in_ns node sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward'
	assert_success
	assert_output --regexp 'IPv4 forwarding +warn +is off +sysctl -w net.ipv4.ip_forward=1'
	refute_output --regexp "kube-proxy's rest +warn"
}

@test "doctor says where connection tracking is sized below what kube-proxy set, and its commands do" {
	agent_start
	in_ns node conntrack -L >/dev/null 2>&1 # now the module is there
	in_ns node sh -c 'cd /proc/sys/net/netfilter; echo 600 >nf_conntrack_tcp_timeout_established; echo 60 >nf_conntrack_tcp_timeout_close_wait'
	advice() { ctl doctor -o json | jq -r '.checks[] | select(.check == "conntrack time") | "\(.result) \(.fact)\(if .remedy == "" then "" else ": " + .remedy end)"'; }
	run advice
	assert_output "$(printf '%s\n' \
		"warn time of established TCP: 600 s; kube-proxy had set 86400 s: sysctl -w net.netfilter.nf_conntrack_tcp_timeout_established=86400" \
		"warn time of TCP close-wait: 60 s; kube-proxy had set 3600 s: sysctl -w net.netfilter.nf_conntrack_tcp_timeout_close_wait=3600")"
	local line
	# shellcheck disable=SC2086
	for line in "${lines[@]}"; do in_ns node ${line##*: }; done
	run advice
	assert_output "$(printf '%s\n' "ok time of established TCP: 86400 s" "ok time of TCP close-wait: 3600 s")"
	# that one is the machine's: only looked at
	local room least=$(($(nproc) * 32768))
	room=$(cat /proc/sys/net/netfilter/nf_conntrack_max)
	[ $least -ge 131072 ] || least=131072
	[ $least -le 1048576 ] || least=1048576
	run ctl doctor
	if [ "$room" -ge $least ]; then
		assert_output --regexp "conntrack room +ok +$room connections"
	else
		assert_output --regexp "conntrack room +warn +$room connections; kube-proxy had set $least +sysctl -w net.netfilter.nf_conntrack_max=$least"
	fi
}

# What a kube-proxy leaves in the kernel's table of connections, made as it makes it: by translation, in both families.
@test "the commands that doctor gives take off what kube-proxy left of connections, and nothing else" {
	local address file over="conntrack -D -p tcp --state TIME_WAIT -d"
	in_ns node nft -f - <<-'END'
		table inet cni { # others look at connections, too: their table lives on without kube-proxy
			chain forward { type filter hook forward priority 0; ct state established accept; }
		}
		table inet kube-proxy {
			chain nat {
				type nat hook prerouting priority -100
				ip daddr 10.96.0.10 meta l4proto { tcp, udp } th dport 80 dnat ip to 10.244.1.11:8080
				ip6 daddr fd00:10:96::10 meta l4proto { tcp, udp } th dport 80 dnat ip6 to [fd00:10:244:1::11]:8080
			}
		}
	END
	for address in "10.96.0.10 80" "fd00:10:96::10 80" "10.244.1.12 8080" "fd00:10:244:1::12 8080"; do
		# shellcheck disable=SC2086
		in_ns client "$CALL" tcp $address --source-port 4321
		# shellcheck disable=SC2086
		in_ns client "$CALL" udp $address --source-port 4321
	done
	for address in 10.96.0.10 fd00:10:96::10; do
		file=$BATS_TEST_TMPDIR/$address
		in_ns_bg client "$CALL" tcp "$address" 80 --source-port 4322 --count 1000 --pause 1500 --timeout 60000 >"$file" # nobody translates between the two
		echo $! >"$file.pid"
	done
	entries() { in_ns node grep -cE "$1" /proc/net/nf_conntrack || :; }
	talks() { [ "$(entries 'ESTABLISHED.*dport=80 .*sport=8080')" = 2 ]; }
	wait_for 5 "two connections that stay" talks
	in_ns node nft delete table inet kube-proxy
	agent_start --socket-lb off
	settled
	straight() { in_ns client "$CALL" "$1" "$2" 8080 --source-port "$3" --timeout 300; }
	not straight tcp 10.244.1.11 4321
	not straight udp fd00:10:244:1::11 4321

	run ctl doctor -o json
	assert_success
	run jq -r '.checks[] | select(.check == "kube-proxy'"'"'s rest") | .result, (.fact | split(":")[0]), .remedy' <<<"$output"
	assert_output "$(printf '%s\n' warn "4 connections to services that are over" \
		"when it is gone: kube-proxy --cleanup; $over $SERVICES4; conntrack -D -p udp -d $SERVICES4; $over $SERVICES6; conntrack -D -p udp -d $SERVICES6" \
		warn "2 open connections to services" "conntrack -D -d $SERVICES4; conntrack -D -d $SERVICES6")"
	in_ns node sh -c "${lines[2]#*--cleanup; }"
	assert_equal "$(entries 'dport=80 ')" 2
	talks
	assert_equal "$(entries 'TIME_WAIT.*dst=(10.244.1.12|[0-9a-f:]+:0012) sport=4321 dport=8080 ')" 2
	assert_equal "$(entries 'udp .*dst=(10.244.1.12|[0-9a-f:]+:0012) sport=4321 dport=8080 ')" 2
	for address in 10.244.1.11 fd00:10:244:1::11; do
		straight tcp "$address" 4321
		straight udp "$address" 4321
	done

	# open ones: the client is told, the table is not
	for file in 10.96.0.10 fd00:10:96::10; do
		wait_for 5 "a connection to end" grep -q ECONNRESET "$BATS_TEST_TMPDIR/$file"
	done
	talks
	not straight tcp 10.244.1.11 4322
	in_ns node sh -c "${lines[5]}"
	assert_equal "$(entries 'dport=80 ')" 0
	straight tcp 10.244.1.11 4322
	straight tcp fd00:10:244:1::11 4322
	run ctl doctor
	assert_success
	assert_output --regexp "kube-proxy's rest +ok"
	in_ns node nft delete table inet cni
	in_ns node conntrack -F
}

@test "doctor says what --forwarding fast goes past" {
	in_ns node nft flush ruleset
	agent_start
	run ctl doctor
	assert_output --regexp 'forwarding +ok +stack; no packet filter .* fast is safe'
	# chains that look at nothing, or elsewhere, are none
	in_ns node nft -f - <<-END
		table inet policies {
			chain forward { type filter hook forward priority 0; policy accept; counter; }
			chain empty { type filter hook forward priority 1; policy accept; }
			chain nat { type nat hook prerouting priority -100; counter; }
			chain input { type filter hook input priority 0; policy drop; iif lo accept; ip protocol tcp accept; ip6 nexthdr tcp accept; }
			chain other { counter; }
		}
		table ip6 strict {
			chain guard { type filter hook forward priority 2; policy drop; }
		}
	END
	run ctl doctor
	assert_output --regexp 'forwarding +ok +stack; --forwarding fast would go past these packet filters: nf_tables chain inet policies forward, nf_tables chain ip6 strict guard '
	agent_stop
	agent_start --forwarding fast
	run ctl doctor
	assert_success
	assert_output --regexp 'forwarding +warn +fast: .* these packet filters: nf_tables chain inet policies forward, nf_tables chain ip6 strict guard +if they guard pods \(NetworkPolicy\): --forwarding stack'
	# as far as forwarding goes, what is looked at before and after is the same
	in_ns node nft -f - <<-END
		flush ruleset
		table ip raw {
			chain before { type filter hook prerouting priority raw; iif pod-100 counter; }
		}
		table ip6 mangle {
			chain after { type filter hook postrouting priority mangle; counter; }
		}
		table netdev guard {
			chain arriving { type filter hook ingress device pod-100 priority 0; counter; }
		}
	END
	run ctl doctor
	assert_output --regexp 'forwarding +warn +fast: .* these packet filters: nf_tables chain ip raw before, nf_tables chain ip6 mangle after, nf_tables chain netdev guard arriving +if they'
	in_ns node nft flush ruleset
	in_ns node iptables-legacy -t filter -L -n >/dev/null
	run ctl doctor
	assert_output --regexp 'forwarding +warn +fast: .* these packet filters: iptables table filter '
}

@test "cleanup is refused while an agent runs, and leaves nothing behind" {
	local before
	before=$(inventory)
	agent_start
	run ctl cleanup
	assert_failure
	assert_equal "$(ctl attach -o json | jq '.items | length > 0')" true
	agent_stop KILL
	rm -f "$ADMIN" # what the killed agent left
	run ctl cleanup
	assert_success
	diff <(echo "$before") <(inventory)
	run ctl cleanup
	assert_success
	assert_output --partial 'nothing at'
}

@test "colours are for terminals that want them" {
	agent_start
	settled
	run ctl status
	refute_output --partial $'\033['
	run env -u NO_COLOR TERM=xterm script -qec "$SLUICECTL diff --bpffs $BPFFS --admin-socket $ADMIN" /dev/null
	assert_output --partial $'\033[32m'
	run env NO_COLOR=1 TERM=xterm script -qec "$SLUICECTL diff --bpffs $BPFFS --admin-socket $ADMIN" /dev/null
	refute_output --partial $'\033['
	assert_output --partial 'agree'
}

# completed WORD…: what the shell would offer for the last one
completed() {
	# shellcheck source=/dev/null
	( . "$BATS_TEST_DIRNAME/../../user/cli/sluicectl.bash"
	# shellcheck disable=SC2317
	sluicectl() { ctl "$@"; }
	COMP_WORDS=(sluicectl "$@")
	COMP_CWORD=$#
	_sluicectl
	echo "${COMPREPLY[@]}" )
}

@test "completion knows commands, options, their words, and services" {
	assert_equal "$(completed se)" services
	assert_equal "$(completed b)" backends
	assert_equal "$(completed flows --cl)" --client
	assert_equal "$(completed services --cl)" ''
	assert_equal "$(completed explain --from o)" outside
	assert_equal "$(completed services -o '')" 'table json'
	agent_start
	settled
	assert_equal "$(completed services -s default/web:h)" default/web:http
	assert_equal "$(completed backends --namespace d)" default
}
