# The same N services in the words of each way to serve them; the one that answers stands in the middle of the list.
#
#   awk -v as=yaml|nft|iptables -v n=N -v vip=ADDR -v backend=ADDR -f services.awk
#
# yaml: manifests. nft, iptables: rule sets of the shape that kube-proxy writes (a chain for each service and endpoint; a verdict
# map, or a list of rules in order). Every service has a TCP port 80; the one that answers also UDP. nft comes in pieces of 500
# services, each ended by a line "#": one transaction for all is quadratic in the number of chains.

function service_ip(i) { return i == middle ? vip : "10.97." int(i / 250) "." i % 250 + 1 }
function endpoint_ip(i) { return i == middle ? backend : "10.244." int(i / 250) "." i % 250 + 1 }
function protocols(i) { return i == middle ? 2 : 1 }

function yaml(i,   p) {
	print "---\napiVersion: v1\nkind: Service\nmetadata: {name: svc-" i ", namespace: bench}\nspec:\n  clusterIP: " service_ip(i) "\n  ports:"
	for (p = 1; p <= protocols(i); p++)
		print "  - {name: " tolower(proto[p]) ", protocol: " proto[p] ", port: 80, targetPort: 8080}"
	print "---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata:\n  name: svc-" i "-a\n  namespace: bench"
	print "  labels: {kubernetes.io/service-name: svc-" i "}\naddressType: IPv4\nendpoints:\n- addresses: [\"" endpoint_ip(i) "\"]\nports:"
	for (p = 1; p <= protocols(i); p++)
		print "- {name: " tolower(proto[p]) ", protocol: " proto[p] ", port: 8080}"
}

function nft_begin() {
	print "table ip bench {"
	print "map services { type ipv4_addr . inet_proto . inet_service : verdict; }"
	print "map no_endpoints { type ipv4_addr . inet_proto . inet_service : verdict; }"
	print "map node_ports { type inet_proto . inet_service : verdict; }"
	print "chain to_masquerade { meta mark set mark or 0x4000; }"
	print "chain dispatch { ip daddr . meta l4proto . th dport vmap @services; fib daddr type local ip daddr != 127.0.0.0/8 meta l4proto . th dport vmap @node_ports; }"
	print "chain prerouting { type nat hook prerouting priority -100; jump dispatch; }"
	print "chain output { type nat hook output priority -100; jump dispatch; }"
	print "chain postrouting { type nat hook postrouting priority 100; mark and 0x4000 != 0 meta mark set mark xor 0x4000 masquerade fully-random; }"
	print "chain check { ip daddr . meta l4proto . th dport vmap @no_endpoints; }"
	print "chain check_prerouting { type filter hook prerouting priority -110; ct state new jump check; }"
	print "chain check_forward { type filter hook forward priority -110; ct state new jump check; }"
	print "}\n#"
}

function nft(i,   p, name) {
	for (p = 1; p <= protocols(i); p++) {
		name = i tolower(proto[p])
		print "add chain ip bench endpoint" name
		print "add rule ip bench endpoint" name " ip saddr " endpoint_ip(i) " jump to_masquerade"
		print "add rule ip bench endpoint" name " meta l4proto " tolower(proto[p]) " dnat to " endpoint_ip(i) ":8080"
		print "add chain ip bench service" name
		print "add rule ip bench service" name " ip daddr " service_ip(i) " " tolower(proto[p]) " dport 80 ip saddr != 10.0.0.0/8 jump to_masquerade"
		print "add rule ip bench service" name " numgen random mod 1 vmap { 0 : goto endpoint" name " }"
		print "add element ip bench services { " service_ip(i) " . " tolower(proto[p]) " . 80 : goto service" name " }"
	}
	if (i % 500 == 0 || i == n)
		print "#"
}

function iptables_begin(   i, p) {
	print "*filter\n:FORWARD ACCEPT [0:0]\n:B-FORWARD - [0:0]\n:B-SERVICES - [0:0]"
	print "-A FORWARD -m conntrack --ctstate NEW -j B-SERVICES\n-A FORWARD -j B-FORWARD"
	print "-A B-FORWARD -m conntrack --ctstate INVALID -j DROP\n-A B-FORWARD -m mark --mark 0x4000/0x4000 -j ACCEPT"
	print "-A B-FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\nCOMMIT\n*nat"
	print ":B-SERVICES - [0:0]\n:B-MASQ - [0:0]\n:B-POSTROUTING - [0:0]\n:B-NODEPORTS - [0:0]"
	for (i = 1; i <= n; i++)
		for (p = 1; p <= protocols(i); p++)
			print ":B-SVC-" i proto[p] " - [0:0]\n:B-SEP-" i proto[p] " - [0:0]"
	print "-A PREROUTING -j B-SERVICES\n-A OUTPUT -j B-SERVICES\n-A POSTROUTING -j B-POSTROUTING"
	print "-A B-MASQ -j MARK --set-xmark 0x4000/0x4000\n-A B-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN"
	print "-A B-POSTROUTING -j MARK --set-xmark 0x4000/0x0\n-A B-POSTROUTING -j MASQUERADE --random-fully"
}

function iptables(i,   p, q, name, to) {
	for (p = 1; p <= protocols(i); p++) {
		q = tolower(proto[p])
		name = i proto[p]
		to = endpoint_ip(i)
		print "-A B-SERVICES -d " service_ip(i) "/32 -p " q " -m comment --comment \"bench/svc-" i ":" q " cluster IP\" -m " q " --dport 80 -j B-SVC-" name
		print "-A B-SVC-" name " ! -s 10.0.0.0/8 -d " service_ip(i) "/32 -p " q " -m " q " --dport 80 -j B-MASQ"
		print "-A B-SVC-" name " -m comment --comment \"bench/svc-" i ":" q " -> " to ":8080\" -j B-SEP-" name
		print "-A B-SEP-" name " -s " to "/32 -j B-MASQ"
		print "-A B-SEP-" name " -p " q " -m " q " -j DNAT --to-destination " to ":8080"
	}
}

BEGIN {
	proto[1] = "TCP"
	proto[2] = "UDP"
	middle = int(n / 2) + 1
	if (as == "nft") nft_begin()
	if (as == "iptables") iptables_begin()
	for (i = 1; i <= n; i++) {
		if (as == "yaml") yaml(i)
		if (as == "nft") nft(i)
		if (as == "iptables") iptables(i)
	}
	if (as == "iptables") print "-A B-SERVICES -m addrtype --dst-type LOCAL -j B-NODEPORTS\nCOMMIT"
}
