// SPDX-License-Identifier: GPL-2.0-only
/* What sluiced was told: the table of options, and their values checked and converted. */
#ifndef AGENT_OPTIONS_H
#define AGENT_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "core/address.h"
#include "serve/listen_addr.h"
#include "source/source.h"

struct options;

enum config_xdp { CONFIG_XDP_NATIVE, CONFIG_XDP_GENERIC, CONFIG_XDP_OFF };
enum config_tc { CONFIG_TC_AUTO, CONFIG_TC_TCX, CONFIG_TC_CLSACT };
enum config_forwarding { CONFIG_FORWARDING_STACK, CONFIG_FORWARDING_FAST };

struct config {
	const char *source;             /* as it was given: "kube", "dir:PATH" */
	const char *source_dir;         /* folder of manifests; NULL: the API server */
	const char *kubeconfig;         /* NULL: the pod's service account */
	const char *const *api_servers; /* URLs; none: as kubeconfig or environment say */
	size_t n_api_servers;
	const char *state_dir; /* NULL: nothing is kept */
	char node_name[256];
	struct address *node_ips;
	size_t n_node_ips;
	struct address *exclude_vips;
	size_t n_exclude_vips;
	struct cidr *service_cidrs;
	size_t n_service_cidrs;
	char *uplink; /* comma-separated, "auto" */
	char *pod_ifaces;
	char *overlay_ifaces;
	uint32_t max_services;
	uint32_t max_backends;
	uint32_t max_flows; /* 0: by the node's memory */
	uint16_t snat_low, snat_high;
	enum config_xdp xdp;
	enum config_tc tc;
	bool socket_lb;
	enum config_forwarding forwarding;
	const char *bpffs;
	const char *cgroup; /* NULL: found */
	struct listen_addr metrics, healthz;
	const char *admin_socket; /* NULL: none */
	bool check, cleanup;
	char *notes;             /* one line for each option that has no effect yet; NULL = none */
	struct options *options; /* owns the strings */
};

/*
 * Reads flags, environment and file. 0; OPTIONS_HELP or OPTIONS_VERSION; or -EINVAL and the like with *err. A refused
 * option is named with what it may be. config_done() is needed after 0 only.
 */
int config_load(int argc, char *const argv[], char *const env[], struct config *ret_config,
		struct err *err);
void config_done(struct config *config);
int config_write_help(struct buf *buf);

/* What the agent asks of its source. Texts stay the config's. */
struct source_options config_source(const struct config *config);

#endif
