// SPDX-License-Identifier: GPL-2.0-only
/*
 * sluicectl doctor: each thing that could keep service traffic from working on this node, looked at once.
 * Must not repair anything. A check is a function that says ok, warn or fail, a fact, and a remedy.
 */
#include "cli/cli.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "cli/agent.h"
#include "cli/leftovers.h"
#include "core/format.h"
#include "dp/attach.h"
#include "dp/filters.h"
#include "dp/pin.h"
#include "dp/probe.h"

enum result {
	RESULT_OK,
	RESULT_WARN, /* works, but look at it */
	RESULT_FAIL,
};

struct doctor {
	struct cli *cli;
	bool maps; /* the pins could be opened */
	bool fast; /* the agent runs with --forwarding fast */
	enum result worst;
	int code; /* exit code of the first failure */
};

static const struct out_column columns[] = {
	{ "check", "CHECK", false },
	{ "result", "RESULT", false },
	{ "fact", "FACT", false },
	{ "remedy", "WHAT TO DO", false },
};

__attribute__((format(printf, 5, 6))) static void tell(struct doctor *d, const char *check,
						       enum result result, const char *remedy,
						       const char *format, ...)
{
	static const char *const words[] = { "ok", "warn", "fail" };
	static const enum out_tone tones[] = { OUT_GOOD, OUT_WARN, OUT_BAD };
	char fact[512];
	va_list args;

	va_start(args, format);
	vsnprintf(fact, sizeof(fact), format, args);
	va_end(args);
	out_row(&d->cli->out);
	out_text(&d->cli->out, check);
	out_tone(&d->cli->out, words[result], tones[result]);
	out_text(&d->cli->out, fact);
	out_text(&d->cli->out, result == RESULT_OK ? "" : remedy);
	if (result > d->worst)
		d->worst = result;
	if (result == RESULT_FAIL && !d->code)
		d->code = CLI_PROBLEMS;
}

/* ---- the machine ----------------------------------------------------------------------------------------------------- */

static void check_kernel(struct doctor *d)
{
	struct utsname system;

	if (uname(&system) < 0)
		snprintf(system.release, sizeof(system.release), "?");
	if (probe_kernel_at_least(5, 10)) {
		tell(d, "kernel", RESULT_OK, "", "%s", system.release);
		return;
	}
	tell(d, "kernel", RESULT_FAIL, "run Linux 5.10 or newer", "%s is too old", system.release);
	d->code = CLI_KERNEL;
}

static void check_capabilities(struct doctor *d)
{
	struct err err = { 0 };

	if (probe_capabilities(&err) == 0) {
		tell(d, "capabilities", RESULT_OK, "",
		     "this process may load programs and read maps");
		return;
	}
	tell(d, "capabilities", RESULT_FAIL, "run as root, or with the capabilities named", "%s",
	     err.what);
	d->code = CLI_CAPABILITY;
}

static void check_features(struct doctor *d)
{
	const struct {
		const char *name;
		bool there;
		const char *without;
	} features[] = {
		{ "TCX links", probe_tcx(), "clsact filters are used instead" },
		{ "errors from socket calls", probe_set_retval(),
		  "refused calls fail by an ICMP error instead" },
		{ "coarse clock", probe_coarse_clock(), "time stamps cost some nanoseconds more" },
	};

	for (size_t i = 0; i < sizeof(features) / sizeof(features[0]); i++)
		tell(d, "kernel feature", RESULT_OK, "", "%s: %s", features[i].name,
		     features[i].there ? "yes" : features[i].without);
}

static void check_bpffs(struct doctor *d)
{
	struct err err = { 0 };
	struct pin_dir pins;

	if (pin_dir_init(d->cli->values.bpffs, &err, &pins) == 0) {
		tell(d, "bpffs", RESULT_OK, "", "mounted at %s", d->cli->values.bpffs);
		pin_dir_done(&pins);
		return;
	}
	tell(d, "bpffs", RESULT_FAIL, "mount -t bpf bpf /sys/fs/bpf", "%s", err.what);
}

static void check_cgroup(struct doctor *d)
{
	struct err err = { 0 };
	char path[256];

	if (attach_find_cgroup(d->cli->values.cgroup, &err, path) == 0)
		tell(d, "cgroup2", RESULT_OK, "", "mounted at %s", path);
	else
		tell(d, "cgroup2", RESULT_FAIL, "mount -t cgroup2 none /sys/fs/cgroup/unified",
		     "%s", err.what);
}

/* First number of a file below /proc/sys; -1: cannot be read. */
static int read_sysctl(const char *path)
{
	_cleanup_fclose_ FILE *file = fopen(path, "re");
	int value;

	return file && fscanf(file, "%d", &value) == 1 ? value : -1;
}

static void check_sysctls(struct doctor *d)
{
	static const struct {
		const char *name, *path, *remedy;
		int least;
	} sysctls[] = {
		{ "IPv4 forwarding", "/proc/sys/net/ipv4/ip_forward",
		  "sysctl -w net.ipv4.ip_forward=1", 1 },
		{ "IPv6 forwarding", "/proc/sys/net/ipv6/conf/all/forwarding",
		  "sysctl -w net.ipv6.conf.all.forwarding=1", 1 },
		{ "BPF compiler", "/proc/sys/net/core/bpf_jit_enable",
		  "sysctl -w net.core.bpf_jit_enable=1", 1 },
	};

	for (size_t i = 0; i < sizeof(sysctls) / sizeof(sysctls[0]); i++) {
		int value = read_sysctl(sysctls[i].path);

		if (value < 0) /* no such family, or not ours to read */
			continue;
		tell(d, sysctls[i].name, value >= sysctls[i].least ? RESULT_OK : RESULT_WARN,
		     sysctls[i].remedy, "is %s", value >= sysctls[i].least ? "on" : "off");
	}
}

/*
 * What kube-proxy did for the node besides: connections that are not ours (SNAT of others, NetworkPolicy by conntrack) still
 * need it. Its defaults.
 */
static void check_conntrack(struct doctor *d)
{
	static const struct {
		const char *name, *path, *remedy;
		int least;
	} values[] = {
		{ "time of established TCP", "nf_conntrack_tcp_timeout_established",
		  "sysctl -w net.netfilter.nf_conntrack_tcp_timeout_established=86400", 86400 },
		{ "time of TCP close-wait", "nf_conntrack_tcp_timeout_close_wait",
		  "sysctl -w net.netfilter.nf_conntrack_tcp_timeout_close_wait=3600", 3600 },
	};
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	int want = cores * 32768 > 131072 ? (int)(cores * 32768) : 131072;
	int have = read_sysctl("/proc/sys/net/netfilter/nf_conntrack_max");
	char path[128], remedy[96];

	if (have < 0) /* the module is not loaded: nobody tracks connections here */
		return;
	want = want > 1048576 ? 1048576 : want;
	snprintf(remedy, sizeof(remedy), "sysctl -w net.netfilter.nf_conntrack_max=%d", want);
	tell(d, "conntrack room", have >= want ? RESULT_OK : RESULT_WARN, remedy,
	     have >= want ? "%d connections" : "%d connections; kube-proxy had set %d", have, want);
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		snprintf(path, sizeof(path), "/proc/sys/net/netfilter/%s", values[i].path);
		have = read_sysctl(path);
		if (have >= 0)
			tell(d, "conntrack time", have >= values[i].least ? RESULT_OK : RESULT_WARN,
			     values[i].remedy,
			     have >= values[i].least ? "%s: %d s"
						     : "%s: %d s; kube-proxy had set %d s",
			     values[i].name, have, values[i].least);
	}
}

/* ---- what is ours ----------------------------------------------------------------------------------------------------- */

static void check_agent(struct doctor *d)
{
	struct err err = { 0 };
	cJSON *status = NULL;
	uint64_t problems;

	if (agent_ask(d->cli->values.admin_socket, "status", &err, &status) < 0) {
		tell(d, "agent", RESULT_FAIL, "start sluiced, or give --admin-socket", "%s",
		     err.what);
		d->code = d->code == CLI_PROBLEMS ? CLI_UNREACHABLE : d->code;
		return;
	}
	problems = agent_number(status, "problems");
	d->fast = strcmp(agent_text(status, "forwarding"), "fast") == 0;
	tell(d, "agent", RESULT_OK, "", "runs, version %s", agent_text(status, "version"));
	if (problems)
		tell(d, "agent's problems", RESULT_WARN, "sluicectl status", "%llu",
		     (unsigned long long)problems);
	if (!cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(status, "healthy")))
		tell(d, "agent's health", RESULT_FAIL, "sluicectl status, and the agent's log",
		     "not healthy");
	cJSON_Delete(status);
}

static void check_pins(struct doctor *d)
{
	struct err err = { 0 };
	int rc = dp_open_read(d->cli->values.bpffs, &err, &d->cli->dp);
	const char *remedy = rc == -ENOENT  ? "start sluiced"
			     : rc == -EPERM ? "run as root, or with CAP_BPF"
					    : "as the fact says; then start sluiced";

	d->maps = rc == 0;
	if (d->maps)
		tell(d, "maps", RESULT_OK, "", "pinned below %s/%s", d->cli->values.bpffs,
		     SL_PIN_DIR);
	else
		tell(d, "maps", RESULT_FAIL, remedy, "%s", err.what);
}

static void check_room(struct doctor *d)
{
	static const enum dp_map maps[] = {
		DP_sl4_services, DP_sl4_flows_tcp, DP_sl4_flows_udp,
		DP_sl6_services, DP_sl6_flows_tcp, DP_sl6_flows_udp,
	};
	bool all = true;

	for (size_t i = 0; i < sizeof(maps) / sizeof(maps[0]); i++) {
		uint64_t n = 0, room = dp_capacity(d->cli->dp, maps[i]);
		bool flows = dp_map_is_flows(maps[i]);

		if (dp_count(d->cli->dp, maps[i], &n) < 0 || n * 10 <= room * 9)
			continue;
		all = false;
		tell(d, "room", RESULT_WARN, flows ? "raise --max-flows" : "raise --max-services",
		     "%s holds %llu of %llu", dp_map_name(maps[i]), (unsigned long long)n,
		     (unsigned long long)room);
	}
	if (all)
		tell(d, "room", RESULT_OK, "", "no map is nearly full");
}

static void check_hooks(struct doctor *d)
{
	struct attach_row *rows = NULL;
	size_t n = 0, bad = 0;

	if (cli_attach_rows(d->cli, &rows, &n) != CLI_OK) {
		tell(d, "hooks", RESULT_FAIL, "see the message above", "could not be read");
		return;
	}
	for (size_t i = 0; i < n; i++) {
		const struct attach_row *r = &rows[i];

		if (r->state == ATTACH_OK || r->state == ATTACH_UNSUPPORTED)
			continue;
		bad++;
		tell(d, "hooks", r->state == ATTACH_FOREIGN ? RESULT_WARN : RESULT_FAIL,
		     "sluicectl attach", "%s %s: %s", r->ifindex ? r->name : "cgroup", r->hook,
		     r->text);
	}
	if (!n)
		tell(d, "hooks", RESULT_FAIL, "start sluiced; see --pod-ifaces and --uplink",
		     "no program is attached");
	else if (!bad)
		tell(d, "hooks", RESULT_OK, "", "%zu programs attached", n);
	free(rows);
}

static void check_node_address(struct doctor *d)
{
	static const uint8_t none[16];
	struct sl_config config;

	if (dp_config_read(d->cli->dp, &config) < 0)
		return;
	if (memcmp(config.node4, none, 4) != 0 || memcmp(config.node6, none, 16) != 0)
		tell(d, "node address", RESULT_OK, "", "known");
	else
		tell(d, "node address", RESULT_WARN, "set --node-ip",
		     "unknown: a pod cannot reach itself through a service");
}

static void check_records(struct doctor *d)
{
	size_t damaged = 0;
	struct view view;

	if (cli_kernel_view(d->cli, &view) != CLI_OK)
		return;
	for (size_t i = 0; i < view.n_services; i++)
		damaged += view.services[i].damage != NULL;
	tell(d, "records", damaged ? RESULT_FAIL : RESULT_OK, "sluicectl diff",
	     "%zu of %zu service records are damaged", damaged, view.n_services);
	view_done(&view);
}

static bool get_address(const struct ifaddrs *i, struct address *ret_addr)
{
	*ret_addr = (struct address){ 0 };
	if (!i->ifa_addr)
		return false;
	if (i->ifa_addr->sa_family == AF_INET) {
		ret_addr->family = 4;
		memcpy(ret_addr->b, &((const struct sockaddr_in *)i->ifa_addr)->sin_addr, 4);
	} else if (i->ifa_addr->sa_family == AF_INET6) {
		ret_addr->family = 6;
		memcpy(ret_addr->b, &((const struct sockaddr_in6 *)i->ifa_addr)->sin6_addr, 16);
	}
	return ret_addr->family;
}

/* NodeLocal DNSCache, or what IPVS mode left: an interface of the node has a Service's address. */
static void check_taken(struct doctor *d)
{
	struct ifaddrs *all = NULL;
	struct address addr;
	struct view view;
	char text[ADDRESS_TEXT_LEN];
	bool any = false;

	if (getifaddrs(&all) < 0)
		return;
	if (cli_kernel_view(d->cli, &view) != CLI_OK) {
		freeifaddrs(all);
		return;
	}
	for (const struct ifaddrs *i = all; i; i = i->ifa_next) {
		const struct view_service *s = get_address(i, &addr) ? view_find(&view, &addr, 0, 0)
								     : NULL;

		if (!s)
			continue;
		any = true;
		tell(d, "addresses", RESULT_WARN,
		     "if a cache shall answer there: --exclude-vip, or annotation sluice.dev/skip",
		     "%s has %s of Service %s/%s", i->ifa_name, address_format(&addr, text),
		     s->namespace, s->name);
	}
	if (!any)
		tell(d, "addresses", RESULT_OK, "", "no interface of this node has a Service's");
	view_done(&view);
	freeifaddrs(all);
}

/* What a kube-proxy that was here before has left in the kernel's table of connections. */
static void check_leftovers(struct doctor *d)
{
	_cleanup_fclose_ FILE *file = fopen("/proc/net/nf_conntrack", "re");
	struct buf over = { 0 }, open = { 0 };
	struct cidr ranges[2 * SL_CIDRS];
	struct sl_config config;
	struct leftovers n;
	struct view view;
	size_t n_ranges;

	if (!file || dp_config_read(d->cli->dp, &config) < 0 ||
	    cli_kernel_view(d->cli, &view) != CLI_OK)
		return;
	n = leftovers_count(file, &view);
	view_done(&view);
	n_ranges = cli_service_cidrs(&config, ranges);
	buf_puts(&over, "when it is gone: kube-proxy --cleanup");
	leftovers_command(ranges, n_ranges, false, &over);
	leftovers_command(ranges, n_ranges, true, &open);
	if (n.over)
		tell(d, "kube-proxy's rest", RESULT_WARN, buf_str(&over),
		     "%llu connections to services that are over: the kernel's connection table drops new ones to a pod that look alike",
		     (unsigned long long)n.over);
	if (n.open)
		tell(d, "kube-proxy's rest", RESULT_WARN,
		     open.len ? buf_str(&open) : "set --service-cidr to see the command",
		     "%llu open connections to services: of pods they end with their next packet, of the node's processes with this",
		     (unsigned long long)n.open);
	if (!n.over && !n.open)
		tell(d, "kube-proxy's rest", RESULT_OK, "",
		     "no connection to a service is translated by others");
	buf_done(&over);
	buf_done(&open);
}

/* Refusals that are never a client's fault. */
static void check_refusals(struct doctor *d)
{
	static const enum sl_reason ours[] = {
		SL_REASON_FLOW_INSERT,     SL_REASON_PORT_COLLISION, SL_REASON_TORN,
		SL_REASON_NO_NODE_ADDRESS, SL_REASON_REWRITE,        SL_REASON_SNAT_PORTS,
	};
	struct sl_counter counters[SL_REASON_COUNT];
	bool any = false;

	if (dp_counters_read(d->cli->dp, counters) < 0)
		return;
	for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++) {
		const struct sl_counter *c = &counters[ours[i]];
		uint64_t n =
			c->xdp.packets + c->ingress.packets + c->egress.packets + c->socket.packets;

		if (!n)
			continue;
		any = true;
		tell(d, "refusals", RESULT_WARN, format_reason_advice(ours[i]), "%llu packets: %s",
		     (unsigned long long)n, format_reason_text(ours[i]));
	}
	if (!any)
		tell(d, "refusals", RESULT_OK, "", "none that the node itself is to blame for");
}

struct filters {
	char names[320]; /* as many as there is room for */
};

static void add_filter(void *ctx, const char *name)
{
	struct filters *filters = ctx;
	size_t len = strlen(filters->names), room = sizeof(filters->names) - len;

	if (strlen(name) + 8 <= room)
		snprintf(filters->names + len, room, "%s%s", len ? ", " : "", name);
	else if (room >= 6 && !strstr(filters->names, ", …"))
		snprintf(filters->names + len, room, ", …");
}

/* Is --forwarding fast safe here? What it goes past may be a NetworkPolicy. */
static void check_forwarding(struct doctor *d)
{
	struct filters filters = { 0 };
	int rc = filters_each(add_filter, &filters);

	if (rc < 0)
		tell(d, "forwarding", RESULT_WARN, "run as root",
		     "cannot tell whether --forwarding fast is safe: %s", strerror(-rc));
	else if (!filters.names[0])
		tell(d, "forwarding", RESULT_OK, "",
		     "%s; no packet filter of the stack looks at forwarded packets: fast is safe as far as that goes",
		     d->fast ? "fast" : "stack");
	else if (d->fast)
		tell(d, "forwarding", RESULT_WARN,
		     "if they guard pods (NetworkPolicy): --forwarding stack",
		     "fast: services' packets from pod to pod of this node go past these packet filters: %s",
		     filters.names);
	else
		tell(d, "forwarding", RESULT_OK, "",
		     "stack; --forwarding fast would go past these packet filters: %s",
		     filters.names);
}

static void (*const machine_checks[])(struct doctor *d) = {
	check_kernel,  check_capabilities, check_features, check_bpffs,      check_cgroup,
	check_sysctls, check_conntrack,    check_agent,    check_forwarding, check_pins,
};

static void (*const map_checks[])(struct doctor *d) = {
	check_room,  check_hooks,     check_node_address, check_records,
	check_taken, check_leftovers, check_refusals,
};

int cli_doctor(struct cli *cli)
{
	struct doctor d = { .cli = cli };

	out_begin(&cli->out, "Doctor");
	out_rows(&cli->out, "checks", NULL, columns, sizeof(columns) / sizeof(columns[0]));
	for (size_t i = 0; i < sizeof(machine_checks) / sizeof(machine_checks[0]); i++)
		machine_checks[i](&d);
	for (size_t i = 0; d.maps && i < sizeof(map_checks) / sizeof(map_checks[0]); i++)
		map_checks[i](&d);
	out_rows_end(&cli->out);
	out_end(&cli->out);
	return d.code;
}
