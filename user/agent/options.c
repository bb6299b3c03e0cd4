// SPDX-License-Identifier: GPL-2.0-only
/*
 * The option table of sluiced, and the conversion of what was said into what is used.
 * Must not know what an option does.
 */
#include "agent/options.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/detect_local.h"
#include "base/cleanup.h"
#include "base/options.h"
#include "serve/convert.h"

CLEANUP_DEFINE(struct options *, options_free);

/* As said, before conversion. */
struct values {
	char *config;
	char *source;
	char *kubeconfig;
	char *node_name;
	struct option_list node_ip;
	struct option_list api_server;
	char *state_dir;
	struct option_list uplink;
	struct option_list pod_ifaces;
	struct option_list overlay_ifaces;
	struct option_list exclude_vip;
	uint64_t max_services;
	uint64_t max_backends;
	uint64_t max_flows;
	struct option_ports snat_ports;
	int xdp;
	int tc;
	bool socket_lb;
	int forwarding;
	char *bpffs;
	char *cgroup;
	char *detect_local;
	struct option_list service_cidr;
	struct option_list nodeport_addresses;
	bool masquerade_all;
	char *metrics_addr;
	char *healthz_addr;
	char *admin_socket;
	bool check;
	bool cleanup;
};

static const char *const xdp_words[] = { "native", "generic", "off", NULL };
static const char *const tc_words[] = { "auto", "tcx", "clsact", NULL };
static const char *const forwarding_words[] = { "stack", "fast", NULL };
static const char *const flows_words[] = { "auto", NULL };

#define V struct values
static const struct option table[] = {
	{ OPTION_STRING(V, config, "config", NULL, "FILE",
			"file with options, one \"name: value\" a line") },
	{ OPTION_STRING(V, source, "source", "kube", "kube|dir:PATH", "where objects come from") },
	{ OPTION_STRING(V, kubeconfig, "kubeconfig", NULL, "FILE",
			"how to reach the API server; none: as a pod") },
	{ OPTION_STRING(V, node_name, "node-name", NULL, "NAME",
			"this node's name in the API; none: the host name") },
	{ OPTION_LIST(V, node_ip, "node-ip", NULL, "ADDR",
		      "this node's addresses, where no Node object says them") },
	{ OPTION_LIST(V, api_server, "api-server", NULL, "URL", "API servers, tried in turn") },
	{ OPTION_STRING(V, state_dir, "state-dir", "/var/lib/sluice", "DIR",
			"what is kept over a reboot") },
	{ OPTION_LIST(V, uplink, "uplink", "auto", "auto|IF",
		      "devices towards other nodes and the world") },
	{ OPTION_LIST(
		V, pod_ifaces, "pod-ifaces", "auto", "auto|PATTERN",
		"host side of the pods' devices; auto: every veth whose other end is elsewhere") },
	{ OPTION_LIST(V, overlay_ifaces, "overlay-ifaces", "auto", "auto|PATTERN",
		      "tunnels between nodes; auto: vxlan, geneve, wireguard, ipip and the like") },
	{ OPTION_LIST(V, exclude_vip, "exclude-vip", NULL, "ADDR",
		      "service addresses that somebody else serves here") },
	{ OPTION_UINT(V, max_services, "max-services", "16384", 16, 1 << 20, "N",
		      "service ports there is room for") },
	{ OPTION_UINT(V, max_backends, "max-backends", "65536", 16, 1 << 21, "N",
		      "endpoints of service ports there is room for") },
	{ OPTION_UINT(V, max_flows, "max-flows", "auto", 1024, 1 << 22, "N",
		      "confirmed TCP flows there is room for; auto: by the node's memory"),
	  .words = flows_words },
	{ OPTION_PORTS(V, snat_ports, "snat-ports", "61000-65535",
		       "source ports of the node for changed sources") },
	{ OPTION_ENUM(V, xdp, "xdp", "native", xdp_words, "XDP on uplinks") },
	{ OPTION_ENUM(V, tc, "tc", "auto", tc_words, "how to attach to tc") },
	{ OPTION_BOOL(V, socket_lb, "socket-lb", "on",
		      "translate connect() in pods; off: the node's processes only") },
	{ OPTION_ENUM(
		V, forwarding, "forwarding", "stack", forwarding_words,
		"way of translated packets; fast: from pod to pod of this node past its stack") },
	{ OPTION_STRING(V, bpffs, "bpffs", "/sys/fs/bpf", "DIR", "mounted BPF file system") },
	{ OPTION_STRING(V, cgroup, "cgroup", NULL, "DIR",
			"mounted cgroup2, or the folder of \"unified\"; none: found") },
	{ OPTION_STRING(V, detect_local, "detect-local", "none",
			"cidr:CIDR[,CIDR]|node-cidr|bridge:IF|prefix:IFPREFIX|none",
			"what traffic comes from pods") },
	{ OPTION_LIST(V, service_cidr, "service-cidr", NULL, "CIDR",
		      "service ranges, where no ServiceCIDR object says them") },
	{ OPTION_LIST(V, nodeport_addresses, "nodeport-addresses", "primary", "primary|CIDR",
		      "addresses of the node that serve node ports") },
	{ OPTION_BOOL(V, masquerade_all, "masquerade-all", "off",
		      "change the source of all service traffic") },
	{ OPTION_STRING(V, metrics_addr, "metrics-addr", "127.0.0.1:10249", "ADDR:PORT",
			"/metrics; off: not served") },
	{ OPTION_STRING(V, healthz_addr, "healthz-addr", ":10256", "ADDR:PORT",
			"/healthz, /livez, /readyz; off: not served") },
	{ OPTION_STRING(V, admin_socket, "admin-socket", "/run/sluice/admin.sock", "PATH",
			"what sluicectl asks; off: not served") },
	{ OPTION_ACTION(V, check, "check", "validate options and source, and exit") },
	{ OPTION_ACTION(V, cleanup, "cleanup", "remove everything of ours, and exit") },
	{ 0 },
};
#undef V

static const struct options_spec spec = {
	.program = "sluiced",
	.synopsis = "[OPTION…]",
	.about = "Balances service traffic of this node over its endpoints, in the kernel.",
	.table = table,
};

int config_write_help(struct buf *buf)
{
	return options_write_help(&spec, buf);
}

/* ---- conversions --------------------------------------------------------------------------------- */

static int join(const struct option_list *list, char **ret_text, struct err *err)
{
	struct buf buf = { 0 };

	for (size_t i = 0; i < list->len; i++)
		buf_printf(&buf, "%s%s", i ? "," : "", list->item[i]);
	if (!list->len)
		buf_puts(&buf, "auto");
	*ret_text = buf_take(&buf);
	return *ret_text ? 0 : err_set(err, -ENOMEM, "no memory");
}

/* What a Node object may be called. */
static int check_node_name(const char *name, struct err *err)
{
	if (name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-.")])
		return err_set(
			err, -EINVAL,
			"--node-name '%s': a node's name holds a to z, 0 to 9, '-' and '.'; see: kubectl get nodes",
			name);
	return 0;
}

static int convert_node_name(const char *given, struct config *config, struct err *err)
{
	size_t len;

	if (!given) {
		if (gethostname(config->node_name, sizeof(config->node_name)) < 0 ||
		    !config->node_name[0])
			return err_set(err, -EINVAL,
				       "--node-name is needed: this host has no name");
		config->node_name[sizeof(config->node_name) - 1] = 0;
		for (char *c = config->node_name; *c; c++) /* the API knows lower case only */
			*c = (char)tolower((unsigned char)*c);
		return check_node_name(config->node_name, err);
	}
	len = strlen(given);
	if (!len || len >= sizeof(config->node_name))
		return err_set(err, -EINVAL, "--node-name: must have 1 to 253 characters");
	memcpy(config->node_name, given, len + 1);
	return check_node_name(given, err);
}

/* Options without effect are refused all the same where they are wrong: a later release would stumble over them. */
static int check_unused(const struct values *v, struct err *err)
{
	const struct option_list *list = &v->nodeport_addresses;
	struct cidr *cidrs = NULL;
	size_t n;
	int rc = detect_local_check(v->detect_local, err);

	if (rc == 0 && !(list->len == 1 && strcmp(list->item[0], "primary") == 0))
		rc = convert_cidrs("nodeport-addresses", list, &cidrs, &n, err);
	free(cidrs);
	return rc;
}

/* Options of the list that later releases use. Said aloud, so that nobody relies on them. */
static int note_unused(struct config *config)
{
	static const struct {
		const char *name, *why;
		bool of_kube;
	} unused[] = {
		{ "kubeconfig", "it belongs to --source kube", true },
		{ "api-server", "it belongs to --source kube", true },
		{ "state-dir", "it belongs to --source kube", true },
		{ "detect-local", "sources are not changed yet", false },
		{ "nodeport-addresses", "node ports are not served yet", false },
		{ "masquerade-all", "sources are not changed yet", false },
	};
	struct buf buf = { 0 };

	for (size_t i = 0; i < sizeof(unused) / sizeof(unused[0]); i++)
		if ((config->source_dir || !unused[i].of_kube) &&
		    options_origin(config->options, unused[i].name) != OPTION_FROM_DEFAULT)
			buf_printf(&buf, "--%s has no effect in this release: %s\n", unused[i].name,
				   unused[i].why);
	if (buf.failed) {
		buf_done(&buf);
		return -ENOMEM;
	}
	config->notes = buf.len ? buf_take(&buf) : NULL;
	return 0;
}

static int convert_lists(const struct values *v, struct config *config, struct err *err)
{
	int rc = convert_addresses("node-ip", &v->node_ip, &config->node_ips, &config->n_node_ips,
				   err);

	if (rc == 0)
		rc = convert_addresses("exclude-vip", &v->exclude_vip, &config->exclude_vips,
				       &config->n_exclude_vips, err);
	if (rc == 0)
		rc = convert_cidrs("service-cidr", &v->service_cidr, &config->service_cidrs,
				   &config->n_service_cidrs, err);
	if (rc == 0)
		rc = join(&v->uplink, &config->uplink, err);
	if (rc == 0)
		rc = join(&v->pod_ifaces, &config->pod_ifaces, err);
	if (rc == 0)
		rc = join(&v->overlay_ifaces, &config->overlay_ifaces, err);
	return rc;
}

static void convert_plain(const struct values *v, struct config *config)
{
	config->max_services = (uint32_t)v->max_services;
	config->max_backends = (uint32_t)v->max_backends;
	config->max_flows = (uint32_t)v->max_flows;
	config->snat_low = v->snat_ports.low;
	config->snat_high = v->snat_ports.high;
	config->xdp = (enum config_xdp)v->xdp;
	config->tc = (enum config_tc)v->tc;
	config->socket_lb = v->socket_lb;
	config->forwarding = (enum config_forwarding)v->forwarding;
	config->source = v->source;
	config->kubeconfig = v->kubeconfig;
	config->api_servers = (const char *const *)v->api_server.item;
	config->n_api_servers = v->api_server.len;
	config->state_dir = v->state_dir && *v->state_dir ? v->state_dir : NULL;
	config->bpffs = v->bpffs;
	config->cgroup = v->cgroup;
	config->admin_socket = strcmp(v->admin_socket, "off") ? v->admin_socket : NULL;
	config->check = v->check;
	config->cleanup = v->cleanup;
}

static int convert(const struct values *v, struct config *config, struct err *err)
{
	int rc;

	convert_plain(v, config);
	if (v->cleanup && v->check)
		return err_set(
			err, -EINVAL,
			"--check and --cleanup: one looks, the other removes everything; give one of them");
	if (v->cleanup) /* works without a source, and whatever else is wrong */
		return 0;
	rc = convert_source(v->source, &config->source_dir, err);
	if (rc == 0)
		rc = convert_node_name(v->node_name, config, err);
	if (rc == 0)
		rc = convert_lists(v, config, err);
	if (rc == 0)
		rc = convert_listen("metrics-addr", v->metrics_addr, &config->metrics, err);
	if (rc == 0)
		rc = convert_listen("healthz-addr", v->healthz_addr, &config->healthz, err);
	if (rc == 0)
		rc = check_unused(v, err);
	if (rc == 0)
		rc = note_unused(config);
	return rc;
}

int config_load(int argc, char *const argv[], char *const env[], struct config *ret_config,
		struct err *err)
{
	_cleanup_(options_freep) struct options *options = NULL;
	struct config config = { 0 };
	struct values values;
	int rc = options_load(&spec, argc, argv, env, &values, &options, err);

	if (rc)
		return rc;
	config.options = options;
	rc = convert(&values, &config, err);
	if (rc < 0) {
		config.options = NULL; /* freed at the end of the scope */
		config_done(&config);
		return rc;
	}
	*ret_config = config;
	options = NULL;
	return 0;
}

void config_done(struct config *config)
{
	free(config->node_ips);
	free(config->exclude_vips);
	free(config->service_cidrs);
	free(config->uplink);
	free(config->pod_ifaces);
	free(config->overlay_ifaces);
	free(config->notes);
	options_free(config->options);
	memset(config, 0, sizeof(*config));
}

struct source_options config_source(const struct config *config)
{
	return (struct source_options){
		.dir = config->source_dir,
		.kinds = OBJECTS_OF_AGENT,
		.kube = {
			.kubeconfig = config->kubeconfig,
			.api_servers = config->api_servers,
			.n_api_servers = config->n_api_servers,
			.state_dir = config->state_dir,
			.node_name = config->node_name,
		},
	};
}
