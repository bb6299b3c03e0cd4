// SPDX-License-Identifier: GPL-2.0-only
/* What the proxy says of itself: metrics, health, what is in force and what is wrong. */
/* Must not know how pages are served, nor change anything. */
#include "ingress/pages.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/metrics_text.h"
#include "ingress/access_log.h"
#include "ingress/certs.h"
#include "ingress/config.h"
#include "ingress/settings.h"
#include "ingress/stats.h"
#include "serve/http.h"
#include "sluice_version.h"

#define CERTIFICATES_MAX 1000 /* with series of their own */

/* ---- metrics --------------------------------------------------------------------------------------------------- */

static void write_seconds(struct buf *out, const char *name, const char *type, const char *help,
			  uint64_t ns)
{
	metrics_family(out, name, type, help);
	buf_printf(out, "%s %" PRIu64 ".%06" PRIu64 "\n", name, ns / 1000000000,
		   ns % 1000000000 / 1000);
}

struct expiry {
	struct buf *out;
	bool nginx;
	size_t n, left;
};

static void write_expiry(void *ctx, const char *host, const struct cert *cert)
{
	struct expiry *e = ctx;
	const char *slash = cert->secret ? strchr(cert->secret, '/') : NULL;
	char namespace[256] = "";
	const char *secret = slash ? slash + 1 : "";

	if (e->n >= CERTIFICATES_MAX) {
		e->left++;
		return;
	}
	e->n++;
	if (slash)
		snprintf(namespace, sizeof(namespace), "%.*s", (int)(slash - cert->secret),
			 cert->secret);
	if (!e->nginx)
		metrics_sample(e->out, "sluice_certificate_expiry_seconds",
			       (uint64_t)cert->not_after_s, "host", host, "namespace", namespace,
			       "secret", secret, NULL);
	else
		metrics_sample(e->out, "nginx_ingress_controller_ssl_expire_time_seconds",
			       (uint64_t)cert->not_after_s, "host", host, "namespace", namespace,
			       "secret_name", secret, NULL);
}

static void write_certificates(const struct pages *p, struct buf *out)
{
	struct expiry ours = { .out = out }, nginx = { .out = out, .nginx = true };
	const struct certs *certs = config_certs(p->config);

	if (!certs)
		return;
	metrics_family(out, "sluice_certificate_expiry_seconds", "gauge",
		       "When the certificate of a host ends, as Unix time.");
	certs_each(certs, write_expiry, &ours);
	metrics_single(out, "sluice_certificates_omitted", "gauge",
		       "Hosts whose certificates have no series.", ours.left);
	if (!p->settings->nginx_metrics)
		return;
	metrics_family(out, "nginx_ingress_controller_ssl_expire_time_seconds", "gauge",
		       "When the certificate of a host ends, as Unix time.");
	certs_each(certs, write_expiry, &nginx);
}

static void count_problem(void *ctx, enum config_concern concern, const char *object,
			  const char *reason)
{
	uint64_t *counts = ctx;

	(void)object;
	(void)reason;
	counts[concern]++;
}

static void write_config(const struct pages *p, struct buf *out)
{
	uint64_t counts[CONFIG_CONCERNS] = { 0 };
	struct config_stats s;

	config_count(p->config, &s);
	metrics_single(out, "sluice_config_generation", "counter",
		       "Configurations that were given to the workers.", s.generation);
	write_seconds(out, "sluice_config_time_seconds", "gauge",
		      "When the last one was, as Unix time.", s.wall_ns);
	write_seconds(out, "sluice_config_delay_seconds", "gauge",
		      "From the source's word of the last change until it was in force.",
		      s.delay_ns);
	write_seconds(out, "sluice_config_delay_max_seconds", "gauge",
		      "The longest of these times.", s.delay_max_ns);
	metrics_single(out, "sluice_config_endpoint_changes_total", "counter",
		       "Changes of Services and endpoints that were taken up.", s.endpoint_changes);
	metrics_single(out, "sluice_config_failures_total", "counter",
		       "Changes that failed for want of memory, and are tried again.", s.failures);
	metrics_single(out, "sluice_ingresses", "gauge", "Ingresses that are served here.", s.ours);
	metrics_single(out, "sluice_http_endpoints", "gauge",
		       "Endpoints of the Services that Ingresses name.", s.endpoints);
	metrics_single(out, "sluice_http_endpoints_ejected", "gauge",
		       "Those of them that are left out for a while after failures.", s.ejected);
	metrics_family(out, "sluice_problems", "gauge",
		       "What is wrong with objects, see /configz.");
	config_each_problem(p->config, count_problem, counts);
	for (int c = 0; c < CONFIG_CONCERNS; c++)
		metrics_sample(out, "sluice_problems", counts[c], "concern",
			       config_concern_names[c], NULL);
	if (!p->settings->nginx_metrics)
		return;
	metrics_single(out, "nginx_ingress_controller_config_last_reload_successful", "gauge",
		       "Whether the last change is in force.", s.generation > 0);
	write_seconds(out,
		      "nginx_ingress_controller_config_last_reload_successful_timestamp_seconds",
		      "gauge", "When the last change came into force, as Unix time.", s.wall_ns);
}

static void write_log(const struct pages *p, struct buf *out)
{
	struct access_log_stats s;

	if (!p->log)
		return;
	access_log_count(p->log, &s);
	metrics_single(out, "sluice_access_log_lines_total", "counter", "Lines for the access log.",
		       s.lines);
	metrics_single(out, "sluice_access_log_lost_total", "counter",
		       "Requests without a line, since writing did not keep up.", s.lost);
	metrics_single(out, "sluice_access_log_failed_total", "counter",
		       "Lines whose writing failed.", s.failed);
}

static void write_leader(const struct pages *p, struct buf *out)
{
	if (!p->has_leader)
		return;
	metrics_single(out, "sluice_leader", "gauge",
		       "1 in the replica that writes the Ingresses' status and Events.", p->leads);
	metrics_single(out, "sluice_status_writes_total", "counter",
		       "Statuses of Ingresses that were written.", p->status_writes);
	metrics_single(out, "sluice_status_failures_total", "counter",
		       "Those that were refused or failed.", p->status_failures);
	metrics_single(out, "sluice_events_sent_total", "counter", "Events about Ingresses.",
		       p->events_sent);
	metrics_single(out, "sluice_events_dropped_total", "counter",
		       "Events not sent: too many, or refused.", p->events_dropped);
	if (p->settings->nginx_metrics) {
		metrics_family(out, "nginx_ingress_controller_leader_election_status", "gauge",
			       "1 in the leader.");
		metrics_sample(out, "nginx_ingress_controller_leader_election_status", p->leads,
			       "name", "sluice-proxy", NULL);
	}
}

/* Of the process, in bytes; 0: not known. */
static uint64_t resident(void)
{
	unsigned long long size, pages = 0;
	FILE *f = fopen("/proc/self/statm", "re");

	if (!f)
		return 0;
	if (fscanf(f, "%llu %llu", &size, &pages) != 2)
		pages = 0;
	fclose(f);
	return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void write_metrics(const struct pages *p, struct buf *out)
{
	metrics_family(out, "sluice_build_info", "gauge", "Which release this is.");
	metrics_sample(out, "sluice_build_info", 1, "version", SLUICE_VERSION, NULL);
	write_seconds(out, "process_start_time_seconds", "gauge", "When it started, as Unix time.",
		      p->started_wall_ns);
	metrics_single(out, "process_resident_memory_bytes", "gauge", "Memory of the process.",
		       resident());
	write_config(p, out);
	write_log(p, out);
	write_leader(p, out);
	write_certificates(p, out);
	stats_write(p->stats, p->settings->controllers[0], p->settings->nginx_metrics, out);
}

/* ---- what is in force ------------------------------------------------------------------------------------------- */

struct json_list {
	struct buf *out;
	bool first;
};

static void json_number(struct buf *out, const char *key, bool first, uint64_t value)
{
	json_key(out, key, first);
	buf_printf(out, "%" PRIu64, value);
}

static void write_problem(void *ctx, enum config_concern concern, const char *object,
			  const char *reason)
{
	struct json_list *list = ctx;

	buf_puts(list->out, list->first ? "\n    {" : ",\n    {");
	list->first = false;
	json_key(list->out, "object", true);
	json_string(list->out, object);
	json_key(list->out, "concern", false);
	json_string(list->out, config_concern_names[concern]);
	json_key(list->out, "reason", false);
	json_string(list->out, reason);
	buf_putc(list->out, '}');
}

static void write_certificate(void *ctx, const char *host, const struct cert *cert)
{
	struct json_list *list = ctx;

	buf_puts(list->out, list->first ? "\n    {" : ",\n    {");
	list->first = false;
	json_key(list->out, "host", true);
	json_string(list->out, host);
	json_key(list->out, "secret", false);
	json_string(list->out, cert->secret ? cert->secret : "");
	json_key(list->out, "not_after", false);
	buf_printf(list->out, "%" PRId64 "}", cert->not_after_s);
}

static void write_configz(const struct pages *p, struct buf *out)
{
	struct json_list problems = { .out = out, .first = true }, certs = problems;
	struct config_stats s;

	config_count(p->config, &s);
	buf_puts(out, "{\n  ");
	json_key(out, "ready", true);
	buf_puts(out, json_bool(config_is_ready(p->config)));
	json_key(out, "draining", false);
	buf_puts(out, json_bool(*p->draining));
	json_key(out, "version", false);
	json_string(out, SLUICE_VERSION);
	json_number(out, "generation", false, s.generation);
	json_number(out, "ingresses", false, s.ours);
	json_number(out, "ingresses_of_others", false, s.ingresses - s.ours);
	json_number(out, "services", false, s.services);
	json_number(out, "secrets", false, s.secrets);
	if (p->has_leader) {
		json_key(out, "leads", false);
		buf_puts(out, json_bool(p->leads));
	}
	buf_puts(out, ",\n  \"problems\": [");
	config_each_problem(p->config, write_problem, &problems);
	buf_puts(out,
		 problems.first ? "],\n  \"certificates\": [" : "\n  ],\n  \"certificates\": [");
	if (config_certs(p->config))
		certs_each(config_certs(p->config), write_certificate, &certs);
	buf_puts(out, certs.first ? "]\n}\n" : "\n  ]\n}\n");
}

/* ---- pages ------------------------------------------------------------------------------------------------------ */

static unsigned int answer_ready(const struct pages *p, struct buf *out)
{
	if (*p->draining) {
		buf_puts(out, "draining\n");
		return 503;
	}
	if (!config_is_ready(p->config)) {
		buf_puts(out, "the configuration is not in force yet: Services, EndpointSlices, "
			      "IngressClasses, Ingresses and Secrets have to be listed once\n");
		return 503;
	}
	buf_puts(out, "ok\n");
	return 200;
}

unsigned int pages_answer(void *ctx, const char *path, struct http_page *page)
{
	const struct pages *p = ctx;

	if (strcmp(path, "/metrics") == 0) {
		page->type = "text/plain; version=0.0.4; charset=utf-8";
		write_metrics(p, &page->body);
		return 200;
	}
	if (strcmp(path, "/healthz") == 0) {
		buf_puts(&page->body, "ok\n");
		return 200;
	}
	if (strcmp(path, "/readyz") == 0)
		return answer_ready(p, &page->body);
	if (strcmp(path, "/configz") == 0) {
		page->type = "application/json";
		write_configz(p, &page->body);
		return 200;
	}
	return 404;
}
