// SPDX-License-Identifier: GPL-2.0-only
/*
 * When to look at interfaces, and what to say about them.
 * Must not know how they are chosen (dp/links_choose.c) or attached (dp/attach.c).
 */
#include "agent/ifaces.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/sync.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/loop.h"
#include "core/plan.h"
#include "core/problem.h"
#include "dp/devices.h"

#define SOON_NS   (3 * CLOCK_NS_PER_MS)  /* a device is made in several steps */
#define PAUSE_NS  (50 * CLOCK_NS_PER_MS) /* between two looks while messages stream in */
#define RETRY_NS  (1 * CLOCK_NS_PER_S)
#define RESCAN_NS (30 * CLOCK_NS_PER_S)

struct ifaces {
	struct loop *loop;
	struct dp *dp;
	struct attach *attach;
	struct sync *sync;
	const struct config *config;
	struct problems *problems;
	struct links_monitor *monitor;
	struct loop_event *monitor_event, *timer;
	struct attach_want *wants;
	size_t n_wants;
	uint64_t looked_ns;
	uint64_t scans;
	bool soon; /* the timer is armed for a look that was asked for */
};

static void add_note(void *ctx, const char *text)
{
	problem_add(ctx, "%s", text);
}

static void report_rows(struct ifaces *i)
{
	size_t n;
	const struct attach_row *rows = attach_rows(i->attach, &n);

	for (size_t k = 0; k < n; k++)
		if (rows[k].state == ATTACH_FAILED || rows[k].state == ATTACH_FOREIGN)
			problem_add(i->problems, "%s of %s: %s", rows[k].hook,
				    rows[k].ifindex ? rows[k].name : "the cgroup", rows[k].text);
}

static void say_changes(const struct ifaces *i, const struct attach_want *wants, size_t n)
{
	static const char *const classes[] = { "pod", "uplink", "overlay" };

	for (size_t k = 0; k < n; k++) {
		bool known = false;

		for (size_t m = 0; m < i->n_wants && !known; m++)
			known = i->wants[m].ifindex == wants[k].ifindex &&
				i->wants[m].class == wants[k].class;
		if (!known)
			log_info("interface name=%s index=%u class=%s", wants[k].name,
				 wants[k].ifindex, classes[wants[k].class]);
	}
}

static struct links_rules rules_of(const struct ifaces *i)
{
	struct links_rules rules = {
		.uplink = i->config->uplink,
		.pod_ifaces = i->config->pod_ifaces,
		.overlay_ifaces = i->config->overlay_ifaces,
	};

	rules.n_node_ips = sync_node_ips(i->sync, &rules.node_ips);
	return rules;
}

static void find_addresses(struct ifaces *i, const struct links_table *table)
{
	struct links_rules rules = rules_of(i);
	struct address found[2];
	size_t n = 0;

	for (int family = 4; family <= 6; family += 2)
		if (links_node_address(table, &rules, family, &found[n]) == 0)
			n++;
	sync_set_found_ips(i->sync, found, n);
}

/* What is attached now is what packets may be handed to; with --forwarding stack nobody asks. */
static void sync_devices(struct ifaces *i)
{
	size_t n_rows, n = i->config->forwarding == CONFIG_FORWARDING_FAST ? i->n_wants : 0;
	const struct attach_row *rows = attach_rows(i->attach, &n_rows);
	int rc = devices_sync(i->dp, i->wants, n, rows, n_rows);

	if (rc < 0)
		problem_add(i->problems,
			    "sl_devices cannot be written (%s): packets for some pods go through "
			    "the node's stack in spite of --forwarding fast",
			    strerror(-rc));
}

/*
 * Somebody on this node has a Service's address: NodeLocal DNSCache does, to answer itself, and IPVS mode of kube-proxy leaves
 * its device behind. One word a device.
 */
static void report_taken(struct ifaces *i, const struct links_table *table)
{
	for (size_t k = 0; k < table->n_links; k++) {
		const struct link_info *link = &table->links[k];
		const struct address *first = NULL;
		char text[ADDRESS_TEXT_LEN];
		size_t n = 0;

		for (size_t m = 0; m < table->n_addrs; m++) {
			if (table->addrs[m].ifindex != link->ifindex ||
			    !plan_has_address(sync_plan(i->sync), &table->addrs[m].addr))
				continue;
			first = first ? first : &table->addrs[m].addr;
			n++;
		}
		if (n && strcmp(link->name, "kube-ipvs0") == 0)
			problem_add(i->problems,
				    "kube-ipvs0 has %zu addresses of Services: kube-proxy's IPVS "
				    "mode left it; remove it with: ip link del kube-ipvs0",
				    n);
		else if (n)
			problem_add(
				i->problems,
				"%s has %s, a Service's address (%zu in all): if a cache like "
				"NodeLocal DNSCache shall answer there, set --exclude-vip %s or "
				"annotate the Service with sluice.dev/skip: \"true\"",
				link->name, address_format(first, text), n, text);
	}
}

static int choose(struct ifaces *i, const struct links_table *table)
{
	struct links_rules rules = rules_of(i);
	struct attach_want *wants = NULL;
	struct err err = { 0 };
	size_t n = 0;
	int rc;

	if (links_check_pods(table, rules.pod_ifaces, &err) < 0)
		problem_add(i->problems, "%s", err.what);
	rc = links_choose(table, &rules, add_note, i->problems, &wants, &n);
	if (rc < 0)
		return rc;
	say_changes(i, wants, n);
	free(i->wants);
	i->wants = wants;
	i->n_wants = n;
	return 0;
}

static int look(struct ifaces *i)
{
	struct links_table table = { 0 };
	int rc = links_scan(&table);

	if (rc < 0) {
		log_warn("cannot list interfaces error=\"%s\"", strerror(-rc));
		return -EAGAIN;
	}
	i->scans++;
	problem_begin(i->problems, "agent", "interfaces");
	rc = choose(i, &table);
	if (rc == 0)
		rc = attach_sync(i->attach, i->wants, i->n_wants);
	sync_devices(i);
	report_rows(i);
	report_taken(i, &table);
	problem_end(i->problems);
	find_addresses(i, &table);
	links_table_done(&table);
	return rc;
}

int ifaces_look(struct ifaces *i)
{
	int rc = look(i);

	i->looked_ns = clock_now_ns();
	i->soon = false;
	loop_arm(i->timer, rc < 0 ? RETRY_NS : RESCAN_NS, 0);
	return rc;
}

static void on_timer(void *arg)
{
	ifaces_look(arg);
}

void ifaces_poke(struct ifaces *i)
{
	uint64_t since_ns = clock_now_ns() - i->looked_ns;

	/* the first look sets hooks, and is the agent's to call: before that the maps may be empty */
	if (!i->looked_ns || i->soon)
		return;
	i->soon = true;
	loop_arm(i->timer, since_ns > PAUSE_NS ? SOON_NS : PAUSE_NS - since_ns, 0);
}

static void on_message(void *arg, int fd, uint32_t events)
{
	struct ifaces *i = arg;
	int rc = links_monitor_read(i->monitor);

	(void)fd;
	(void)events;
	if (rc < 0)
		log_warn("cannot hear of interfaces error=\"%s\"; looking every 30 s",
			 strerror(-rc));
	else if (rc > 0)
		ifaces_poke(i);
}

int ifaces_new(struct loop *loop, struct dp *dp, struct attach *attach, struct sync *sync,
	       const struct config *config, struct problems *problems, struct err *err,
	       struct ifaces **ret_ifaces)
{
	struct ifaces *i = calloc(1, sizeof(*i));
	int rc;

	if (!i)
		return err_set(err, -ENOMEM, "no memory");
	i->loop = loop;
	i->dp = dp;
	i->attach = attach;
	i->sync = sync;
	i->config = config;
	i->problems = problems;
	/* hear first, look then: what changes in between is told */
	rc = links_monitor_new(&i->monitor);
	if (rc == 0)
		rc = loop_add_fd(loop, links_monitor_fd(i->monitor), EPOLLIN, on_message, i,
				 &i->monitor_event);
	if (rc == 0)
		rc = loop_add_timer(loop, on_timer, i, &i->timer);
	if (rc < 0) {
		ifaces_free(i);
		return err_set(err, rc, "cannot follow interfaces by netlink: %s", strerror(-rc));
	}
	*ret_ifaces = i;
	return 0;
}

void ifaces_free(struct ifaces *i)
{
	if (!i)
		return;
	loop_remove(i->monitor_event);
	loop_remove(i->timer);
	links_monitor_free(i->monitor);
	free(i->wants);
	free(i);
}

const struct attach_want *ifaces_wants(const struct ifaces *i, size_t *ret_n)
{
	*ret_n = i->n_wants;
	return i->wants;
}

uint64_t ifaces_scans(const struct ifaces *i)
{
	return i->scans;
}
