// SPDX-License-Identifier: GPL-2.0-only
/*
 * The option table of sluice-proxy, and the conversion of what was said into what is used.
 * Must not know what an option does.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sched.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/options.h"
#include "ingress/settings.h"
#include "serve/convert.h"
#include "source/kube/auth.h"

/* As said, before conversion. */
struct values {
	char *config;
	char *source;
	char *kubeconfig;
	struct option_list api_server;
	char *node_name;
	char *http_addr;
	char *https_addr;
	char *metrics_addr;
	uint64_t workers;
	struct option_list controller;
	bool take_classless;
	char *default_tls;
	struct option_list status_address;
	char *publish_service;
	char *pod_namespace;
	char *pod_name;
	char *pod_selector;
	bool elect;
	struct option_list trusted_proxies;
	bool proxy_protocol;
	char *handover;
	char *access_log;
	bool access_log_query;
	bool nginx_metrics;
	int path_forwarding;
	int prefer;
	bool half_close;
	uint64_t max_connections;
	uint64_t max_connections_per_ip;
	uint64_t max_body;
	uint64_t max_head;
	uint64_t max_line;
	uint64_t max_fields;
	uint64_t retry_body;
	uint64_t tries;
	uint64_t keep_idle;
	uint64_t handshake;
	uint64_t head;
	uint64_t keep_alive;
	uint64_t client;
	uint64_t connect;
	uint64_t first_byte;
	uint64_t idle;
	uint64_t origin_idle;
	uint64_t vanished;
	uint64_t drain;
	uint64_t wait;
	bool check;
};

static const char *const auto_words[] = { "auto", NULL };
static const char *const off_words[] = { "off", NULL };
static const char *const forwarding_words[] = { "received", "normalised", NULL };
static const char *const prefer_words[] = { "any", "zone", "node", NULL };

#define S   CLOCK_NS_PER_S
#define MS  CLOCK_NS_PER_MS
#define DAY (86400 * S)
#define V   struct values
static const struct option table[] = {
	{ OPTION_STRING(V, config, "config", NULL, "FILE",
			"file with options, one \"name: value\" a line") },
	{ OPTION_STRING(V, source, "source", "kube", "kube|dir:PATH", "where objects come from") },
	{ OPTION_STRING(V, kubeconfig, "kubeconfig", NULL, "FILE",
			"how to reach the API server; none: as a pod") },
	{ OPTION_LIST(V, api_server, "api-server", NULL, "URL", "API servers, tried in turn") },
	{ OPTION_STRING(V, node_name, "node-name", NULL, "NAME",
			"this node's name in the API, for --prefer-endpoints") },
	{ OPTION_STRING(V, http_addr, "http-addr", ":80", "ADDR:PORT", "HTTP; off: not served") },
	{ OPTION_STRING(V, https_addr, "https-addr", ":443", "ADDR:PORT",
			"HTTPS; off: not served") },
	{ OPTION_STRING(V, metrics_addr, "metrics-addr", "127.0.0.1:10254", "ADDR:PORT",
			"/metrics, /healthz, /readyz, /configz; off: not served") },
	{ OPTION_UINT(V, workers, "workers", "auto", 1, 256, "N",
		      "threads that serve; auto: one a processor"),
	  .words = auto_words },
	{ OPTION_LIST(V, controller, "controller", "sluice.dev/ingress", "NAME",
		      "IngressClass controllers that are ours") },
	{ OPTION_BOOL(V, take_classless, "watch-ingress-without-class", "off",
		      "serve Ingresses that name no class") },
	{ OPTION_STRING(V, default_tls, "default-tls", NULL, "NAMESPACE/SECRET",
			"certificate for hosts without one; none: made at start") },
	{ OPTION_LIST(V, status_address, "status-address", NULL, "IP",
		      "addresses for the Ingresses' status") },
	{ OPTION_STRING(V, publish_service, "publish-service", NULL, "NAMESPACE/SERVICE",
			"Service whose addresses are the Ingresses' status") },
	{ OPTION_BOOL(
		V, elect, "leader-election", "on",
		"one replica writes the Ingresses' status, and Events; off: this one does neither") },
	{ OPTION_STRING(
		V, pod_namespace, "pod-namespace", NULL, "NAMESPACE",
		"where the replicas and their lease are; none: as the pod's account says") },
	{ OPTION_STRING(V, pod_name, "pod-name", NULL, "NAME",
			"this replica's name; none: the host name") },
	{ OPTION_STRING(
		V, pod_selector, "pod-selector", "app.kubernetes.io/name=sluice-proxy",
		"LABEL=VALUE",
		"the replicas: addresses of their nodes are published where nothing else is said") },
	{ OPTION_LIST(V, trusted_proxies, "trusted-proxies", NULL, "CIDR",
		      "peers whose X-Forwarded fields are believed") },
	{ OPTION_BOOL(V, proxy_protocol, "proxy-protocol", "off",
		      "each connection begins with a PROXY header (version 1 or 2)") },
	{ OPTION_STRING(V, handover, "handover-socket", NULL, "PATH",
			"where a successor gets the listening sockets; none: nowhere") },
	{ OPTION_STRING(V, access_log, "access-log", "stdout", "stdout|FILE|off",
			"a line of JSON for each request") },
	{ OPTION_BOOL(V, access_log_query, "access-log-query", "off",
		      "arguments of requests are in it, too") },
	{ OPTION_BOOL(V, nginx_metrics, "nginx-metrics", "on",
		      "metrics under the names of ingress-nginx, too") },
	{ OPTION_ENUM(V, path_forwarding, "path-forwarding", "received", forwarding_words,
		      "form of the path that endpoints see") },
	{ OPTION_ENUM(V, prefer, "prefer-endpoints", "any", prefer_words,
		      "endpoints in this zone, or on this node, while they are not busier") },
	{ OPTION_BOOL(V, half_close, "client-half-close", "off",
		      "a client that ends its writing still wants its answer") },
	{ OPTION_UINT(V, max_connections, "max-connections", "65536", 16, 1 << 22, "N",
		      "connections of clients") },
	{ OPTION_UINT(V, max_connections_per_ip, "max-connections-per-ip", "16384", 0, 1 << 22, "N",
		      "connections of one address, trusted proxies apart; off: any number"),
	  .words = off_words },
	{ OPTION_UINT(V, max_body, "max-body-bytes", "1048576", 0, UINT64_C(1) << 50, "N",
		      "a request's body where no annotation says it; off: any size"),
	  .words = off_words },
	{ OPTION_UINT(V, max_head, "max-head-bytes", "32768", 1024, 131072, "N",
		      "a request's head") },
	{ OPTION_UINT(V, max_line, "max-line-bytes", "8192", 256, 65535 - 64, "N",
		      "a request's target, and each of its fields") },
	{ OPTION_UINT(V, max_fields, "max-fields", "100", 8, HTTP1_FIELDS_MAX, "N",
		      "fields of a request") },
	{ OPTION_UINT(V, retry_body, "retry-body-bytes", "65536", 0, 1 << 20, "N",
		      "of a body that are kept for a second try") },
	{ OPTION_UINT(V, tries, "max-tries", "3", 1, 16, "N",
		      "endpoints that a request is sent to") },
	{ OPTION_UINT(V, keep_idle, "endpoint-idle-connections", "320", 0, 65536, "N",
		      "idle connections to an endpoint that a worker keeps") },
	{ OPTION_DURATION(V, handshake, "handshake-timeout", "10s", S, 300 * S,
			  "for TLS, and a PROXY header") },
	{ OPTION_DURATION(V, head, "head-timeout", "15s", S, 300 * S,
			  "for a request's head as a whole") },
	{ OPTION_DURATION(V, keep_alive, "keep-alive-timeout", "75s", S, DAY,
			  "between requests of a client") },
	{ OPTION_DURATION(V, client, "client-timeout", "60s", S, DAY,
			  "without a byte that a client should send or take") },
	{ OPTION_DURATION(V, connect, "connect-timeout", "5s", 10 * MS, 300 * S,
			  "for a connection to an endpoint") },
	{ OPTION_DURATION(V, first_byte, "first-byte-timeout", "600s", S, DAY,
			  "from a request to its answer's head") },
	{ OPTION_DURATION(V, idle, "idle-timeout", "600s", S, DAY,
			  "between pieces of an answer, or of a tunnel") },
	{ OPTION_DURATION(V, origin_idle, "endpoint-keep-alive", "4s", 0, 3600 * S,
			  "idle connections to endpoints; what they announce goes before") },
	{ OPTION_DURATION(V, vanished, "vanished-timeout", "30s", 0, 3600 * S,
			  "until a peer that answers nothing is given up; 0s: the kernel's own") },
	{ OPTION_DURATION(V, drain, "drain-timeout", "3600s", 0, DAY,
			  "after SIGTERM, for what still runs") },
	{ OPTION_DURATION(V, wait, "wait-for-endpoint", "0s", 0, 600 * S,
			  "when none is ready, before 503") },
	{ OPTION_ACTION(V, check, "check", "validate options and source, and exit") },
	{ 0 },
};
#undef V

static const struct options_spec spec = {
	.program = "sluice-proxy",
	.synopsis = "[OPTION…]",
	.about = "Serves Ingresses: HTTP to pods, without a reload.",
	.table = table,
};

int settings_write_help(struct buf *out)
{
	return options_write_help(&spec, out);
}

/* ---- conversions --------------------------------------------------------------------------------- */

/* "namespace/name", both there. */
static int check_named(const char *option, const char *text, struct err *err)
{
	const char *slash = text ? strchr(text, '/') : NULL;

	if (!text || (slash && slash != text && slash[1] && !strchr(slash + 1, '/')))
		return 0;
	return err_set(err, -EINVAL, "--%s %s: must be NAMESPACE/NAME", option, text);
}

static int check_near(const struct values *v, struct err *err)
{
	if (!v->prefer || v->node_name)
		return 0;
	return err_set(err, -EINVAL,
		       "--prefer-endpoints %s needs --node-name: which node this is, is not known",
		       prefer_words[v->prefer]);
}

static unsigned processors(void)
{
	cpu_set_t set;

	return sched_getaffinity(0, sizeof(set), &set) == 0 && CPU_COUNT(&set) > 0
		       ? (unsigned)CPU_COUNT(&set)
		       : 1;
}

static void convert_times(const struct values *v, struct settings *s)
{
	s->handshake_ns = v->handshake;
	s->head_ns = v->head;
	s->keep_alive_ns = v->keep_alive;
	s->client_ns = v->client;
	s->connect_ns = v->connect;
	s->first_byte_ns = v->first_byte;
	s->idle_ns = v->idle;
	s->origin_idle_ns = v->origin_idle;
	s->vanished_ns = v->vanished;
	s->drain_ns = v->drain;
	s->wait_ns = v->wait;
}

#define NAMESPACE_FILE AUTH_POD_DIR "/namespace"

/* Of the pod's account; NULL: this is no pod. */
static char *read_namespace(void)
{
	_cleanup_fclose_ FILE *f = fopen(NAMESPACE_FILE, "re");
	char text[254];

	return f && fscanf(f, "%253s", text) == 1 ? strdup(text) : NULL;
}

/* Who we are among the replicas, where it is not said. */
static int convert_pod(const struct values *v, struct settings *s, struct err *err)
{
	char host[254] = "";

	s->pod_selector = v->pod_selector;
	s->elect = v->elect;
	s->pod_name = v->pod_name;
	s->pod_namespace = v->pod_namespace;
	if (!s->pod_name) {
		gethostname(host, sizeof(host) - 1);
		s->pod_name = s->host_name = strdup(*host ? host : "unknown");
	}
	if (!s->pod_namespace) {
		s->account_namespace = read_namespace();
		s->pod_namespace = s->account_namespace ? s->account_namespace : "default";
	}
	return s->pod_name ? 0 : err_set(err, -ENOMEM, "no memory");
}

static void convert_plain(const struct values *v, struct settings *s)
{
	s->source = v->source;
	s->kubeconfig = v->kubeconfig;
	s->api_servers = (const char *const *)v->api_server.item;
	s->n_api_servers = v->api_server.len;
	s->node_name = v->node_name;
	s->controllers = (const char *const *)v->controller.item;
	s->n_controllers = v->controller.len;
	s->take_classless = v->take_classless;
	s->default_tls = v->default_tls;
	s->workers = v->workers ? (unsigned)v->workers : processors();
	s->proxy_protocol = v->proxy_protocol;
	s->publish_service = v->publish_service;
	s->handover = v->handover;
	s->access_log = strcmp(v->access_log, "off") ? v->access_log : NULL;
	s->access_log_query = v->access_log_query;
	s->nginx_metrics = v->nginx_metrics;
	s->path_normalised = v->path_forwarding == 1;
	s->near_zone = v->prefer == 1;
	s->near_node = v->prefer == 2;
	s->half_close = v->half_close;
	s->connections_max = v->max_connections;
	s->connections_per_ip = v->max_connections_per_ip;
	s->body_max = v->max_body;
	s->request_limits = (struct http1_limits){
		/* a method, the version and two spaces are not the target's */
		.first_line = (uint32_t)v->max_line + HTTP1_METHOD_MAX + 10,
		.line = (uint32_t)v->max_line,
		.head = (uint32_t)v->max_head,
		.fields = (uint32_t)v->max_fields,
	};
	s->retry_body = v->retry_body;
	s->tries = v->tries;
	s->idle_per_origin = v->keep_idle;
	s->check = v->check;
}

static int convert(const struct values *v, struct settings *s, struct err *err)
{
	int rc;

	convert_plain(v, s);
	convert_times(v, s);
	rc = convert_source(v->source, &s->source_dir, err);
	if (rc == 0)
		rc = convert_listen("http-addr", v->http_addr, &s->http, err);
	if (rc == 0)
		rc = convert_listen("https-addr", v->https_addr, &s->https, err);
	if (rc == 0)
		rc = convert_listen("metrics-addr", v->metrics_addr, &s->metrics, err);
	if (rc == 0)
		rc = check_named("default-tls", v->default_tls, err);
	if (rc == 0)
		rc = check_named("publish-service", v->publish_service, err);
	if (rc == 0)
		rc = check_near(v, err);
	if (rc == 0)
		rc = convert_cidrs("trusted-proxies", &v->trusted_proxies, &s->trusted_proxies,
				   &s->n_trusted_proxies, err);
	if (rc == 0)
		rc = convert_addresses("status-address", &v->status_address, &s->status_addresses,
				       &s->n_status_addresses, err);
	if (rc == 0)
		rc = convert_pod(v, s, err);
	return rc;
}

int settings_load(int argc, char *const argv[], char *const env[], struct settings *ret_settings,
		  struct err *err)
{
	struct settings settings = { 0 };
	struct options *options = NULL;
	struct values values;
	int rc = options_load(&spec, argc, argv, env, &values, &options, err);

	if (rc)
		return rc;
	settings.options = options;
	rc = convert(&values, &settings, err);
	if (rc < 0) {
		settings_done(&settings);
		return rc;
	}
	*ret_settings = settings;
	return 0;
}

void settings_done(struct settings *settings)
{
	free(settings->trusted_proxies);
	free(settings->status_addresses);
	free(settings->host_name);
	free(settings->account_namespace);
	options_free(settings->options);
	settings->options = NULL;
}
