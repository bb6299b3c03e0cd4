// SPDX-License-Identifier: GPL-2.0-only
// Which interfaces get programs: by default, by name and pattern, and what an operator is told.
/* link: user/dp/links_choose.c user/core/address.c */
#include "unit/test.h"

#include <errno.h>
#include <net/if_arp.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dp/links.h"

#define MAX 32

static struct link_info links[MAX];
static struct link_addr addrs[MAX];
static struct links_table table;
static struct links_rules rules;
static char told[512];

static int reset(void **state)
{
	(void)state;
	memset(links, 0, sizeof(links));
	memset(addrs, 0, sizeof(addrs));
	memset(&rules, 0, sizeof(rules));
	table = (struct links_table){ .links = links, .addrs = addrs };
	told[0] = 0;
	return 0;
}

static struct link_info *add(const char *name, const char *kind)
{
	struct link_info *link = &links[table.n_links++];

	link->ifindex = (uint32_t)table.n_links;
	snprintf(link->name, sizeof(link->name), "%s", name);
	snprintf(link->kind, sizeof(link->kind), "%s", kind);
	link->flags = IFF_UP;
	link->arphrd = ARPHRD_ETHER;
	return link;
}

static struct link_info *add_pod(const char *name)
{
	struct link_info *link = add(name, "veth");

	link->lower = 2;
	link->lower_elsewhere = true;
	return link;
}

static void give(const struct link_info *link, const char *text)
{
	struct link_addr *addr = &addrs[table.n_addrs++];

	addr->ifindex = link->ifindex;
	addr->scope = RT_SCOPE_UNIVERSE;
	assert_int_equal(address_parse(text, &addr->addr), 0);
}

static void note(void *ctx, const char *text)
{
	(void)ctx;
	snprintf(told + strlen(told), sizeof(told) - strlen(told), "%s\n", text);
}

/* "uplink:eth0 pod:veth1 overlay:wg0!": ! = without Ethernet header */
static const char *chosen(void)
{
	static const char *const classes[] = { "pod", "uplink", "overlay" };
	static char text[512];
	struct attach_want *wants = NULL;
	size_t n = 0;

	text[0] = 0;
	assert_int_equal(links_choose(&table, &rules, note, NULL, &wants, &n), 0);
	for (size_t i = 0; i < n; i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%s:%s%s",
			 i ? " " : "", classes[wants[i].class], wants[i].name,
			 wants[i].ethernet ? "" : "!");
	free(wants);
	return text;
}

/* Names of those whose packets can be handed to the other end. */
static const char *handed_to(void)
{
	static char text[256];
	struct attach_want *wants = NULL;
	size_t n = 0;

	text[0] = 0;
	assert_int_equal(links_choose(&table, &rules, note, NULL, &wants, &n), 0);
	for (size_t i = 0; i < n; i++)
		if (wants[i].handover)
			snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%s",
				 text[0] ? " " : "", wants[i].name);
	free(wants);
	return text;
}

#define ALONE(name) cmocka_unit_test_setup(name, reset)

TEST(default_route_is_the_uplink_and_veths_to_elsewhere_are_pods)
{
	add("lo", "")->flags |= IFF_LOOPBACK;
	add("eth0", "")->default_route = true;
	add("eth1", "");
	add_pod("veth1");
	add("inside", "veth"); /* both ends here */
	add("docker0", "bridge");
	assert_string_equal(chosen(), "uplink:eth0 pod:veth1");
	assert_string_equal(told, "");
}

TEST(packets_are_handed_to_pods_in_other_namespaces)
{
	struct link_info *uplink = add_pod("eth0");

	uplink->default_route =
		true; /* the node is a container: its uplink is a veth that ends elsewhere, too */
	add_pod("veth1");
	add("veth2", "veth")->lower = 4; /* both ends here */
	add("tap0", "tun");
	strcpy(add_pod("nk1")->kind, "netkit");
	strcpy(add_pod("nk2")->kind, "netkit");
	links[5].arphrd = ARPHRD_NONE; /* netkit without Ethernet */
	rules.pod_ifaces = "veth*,tap*,nk*";
	assert_string_equal(chosen(), "uplink:eth0 pod:veth1 pod:veth2 pod:tap0 pod:nk1 pod:nk2!");
	assert_string_equal(handed_to(), "veth1 nk1");
}

/* What a pod may get is limited by a qdisc of its device, which a packet that is handed over would not meet. */
TEST(packets_are_not_handed_past_a_qdisc)
{
	add_pod("veth1")->queued = true;
	add_pod("veth2");
	assert_string_equal(chosen(), "pod:veth1 pod:veth2");
	assert_string_equal(handed_to(), "veth2");
}

TEST(a_node_that_is_a_container_has_a_veth_as_its_uplink)
{
	struct link_info *eth0 = add_pod("eth0");

	add_pod("veth1");
	give(eth0, "172.18.0.2");
	eth0->default_route = true;
	assert_string_equal(chosen(), "uplink:eth0 pod:veth1");
}

TEST(a_node_address_makes_an_uplink)
{
	struct address ip;

	give(add("eth0", ""), "192.0.2.1");
	give(add_pod("veth1"), "10.0.0.1"); /* as the ptp plugin does */
	assert_int_equal(address_parse("192.0.2.1", &ip), 0);
	rules.node_ips = &ip;
	rules.n_node_ips = 1;
	assert_string_equal(chosen(), "uplink:eth0 pod:veth1");
}

TEST(without_route_and_known_address_any_device_with_an_address_will_do)
{
	give(add("eth0", ""), "192.0.2.1");
	give(add_pod("veth1"), "10.0.0.1");
	give(add("cni0", "bridge"), "10.0.1.1");
	give(add("kube-ipvs0", "dummy"), "10.96.0.1");
	assert_string_equal(chosen(), "uplink:eth0 pod:veth1");
}

TEST(no_uplink_is_said)
{
	add_pod("veth1");
	assert_string_equal(chosen(), "pod:veth1");
	assert_non_null(strstr(told, "--uplink"));
}

TEST(uplinks_go_down_to_the_lowest_device)
{
	struct link_info *bond = add("bond0", "bond");
	struct link_info *vlan = add("bond0.7", "vlan");

	vlan->lower = bond->ifindex;
	vlan->default_route = true;
	add("eth0", "")->master = bond->ifindex;
	add("eth1", "")->master = bond->ifindex;
	assert_string_equal(chosen(), "uplink:bond0.7 uplink:bond0 uplink:eth0 uplink:eth1");
}

TEST(pods_on_an_uplink_bridge_stay_pods)
{
	struct link_info *bridge = add("br0", "bridge");

	bridge->default_route = true;
	add("eth0", "")->master = bridge->ifindex;
	add_pod("veth1")->master = bridge->ifindex;
	assert_string_equal(chosen(), "uplink:br0 uplink:eth0 pod:veth1");
}

TEST(a_circle_of_devices_ends)
{
	struct link_info *a = add("a", "vlan"), *b = add("b", "vlan");

	a->lower = b->ifindex;
	b->lower = a->ifindex;
	a->default_route = true;
	assert_string_equal(chosen(), "uplink:a uplink:b");
}

TEST(overlays_are_known_by_kind_and_only_when_up)
{
	add("eth0", "")->default_route = true;
	add("flannel.1", "vxlan");
	add("wg0", "wireguard")->arphrd = ARPHRD_NONE;
	add("tunl0", "ipip")->flags = 0;
	assert_string_equal(chosen(), "uplink:eth0 overlay:flannel.1 overlay:wg0!");
}

TEST(names_and_patterns_choose)
{
	add("eth0", "")->default_route = true;
	add("eth1", "");
	add_pod("veth1");
	add("cali12", "");
	add("cali34", "");
	add("tun0", "tun")->arphrd = ARPHRD_NONE;
	rules.uplink = "eth1,eth9";
	rules.pod_ifaces = "cali*";
	rules.overlay_ifaces = "tun?";
	assert_string_equal(chosen(), "uplink:eth1 overlay:tun0! pod:cali12 pod:cali34");
	assert_string_equal(told, "--uplink eth9: no such interface (yet)\n");
	told[0] = 0;
	rules.uplink = "eth8,eth9";
	chosen();
	assert_string_equal(told, "--uplink eth8: no such interface (yet)\n"
				  "--uplink eth9: no such interface (yet)\n");
}

TEST(a_pod_pattern_that_names_only_a_bridge_is_refused)
{
	struct err err = { 0 };

	add("cni0", "bridge");
	add_pod("veth1");
	assert_int_equal(links_check_pods(&table, "cni*", &err), -EINVAL);
	assert_non_null(strstr(err.what, "cni0"));
	assert_non_null(strstr(err.what, "--pod-ifaces"));
	assert_int_equal(links_check_pods(&table, "veth*,cni0", &err), -EINVAL);
	assert_int_equal(links_check_pods(&table, "veth*", &err), 0);
	assert_int_equal(links_check_pods(&table, "nothing*", &err), 0);
	assert_int_equal(links_check_pods(&table, "auto", &err), 0);
	assert_int_equal(links_check_pods(&table, NULL, &err), 0);
	add_pod("cni-pod");
	assert_int_equal(links_check_pods(&table, "cni*", &err), 0);
}

TEST(the_nodes_address_is_the_uplinks)
{
	struct link_info *eth0 = add("eth0", ""), *eth1 = add("eth1", "");
	struct address got, want;

	give(add_pod("veth1"), "10.0.0.1");
	give(eth1, "192.0.2.9");
	give(eth0, "192.0.2.1");
	eth0->default_route = true;
	assert_int_equal(links_node_address(&table, &rules, 4, &got), 0);
	assert_int_equal(address_parse("192.0.2.1", &want), 0);
	assert_int_equal(address_cmp(&got, &want), 0);
	rules.uplink = "eth1";
	assert_int_equal(links_node_address(&table, &rules, 4, &got), 0);
	assert_int_equal(address_parse("192.0.2.9", &want), 0);
	assert_int_equal(address_cmp(&got, &want), 0);
	assert_int_equal(links_node_address(&table, &rules, 6, &got), -ENOENT);
}

RUN(ALONE(default_route_is_the_uplink_and_veths_to_elsewhere_are_pods),
    ALONE(packets_are_handed_to_pods_in_other_namespaces),
    ALONE(packets_are_not_handed_past_a_qdisc),
    ALONE(a_node_that_is_a_container_has_a_veth_as_its_uplink),
    ALONE(a_node_address_makes_an_uplink),
    ALONE(without_route_and_known_address_any_device_with_an_address_will_do),
    ALONE(no_uplink_is_said), ALONE(uplinks_go_down_to_the_lowest_device),
    ALONE(pods_on_an_uplink_bridge_stay_pods), ALONE(a_circle_of_devices_ends),
    ALONE(overlays_are_known_by_kind_and_only_when_up), ALONE(names_and_patterns_choose),
    ALONE(a_pod_pattern_that_names_only_a_bridge_is_refused),
    ALONE(the_nodes_address_is_the_uplinks))
