/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef INGRESS_SETTINGS_H
#define INGRESS_SETTINGS_H

/*
 * What the process was told, converted and checked; never changes while it runs. Times are nanoseconds, 0: no limit, unless
 * it says something else. What an Ingress's annotations say for its requests goes before the time-outs here.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/address.h"
#include "ingress/http1.h"
#include "serve/listen_addr.h"

struct option_list;
struct options;

struct settings {
	struct options *options; /* all of them as text, and where each comes from */

	/* Where objects come from. */
	const char *source;     /* as said: "kube", "dir:PATH" */
	const char *source_dir; /* NULL: the API */
	const char *kubeconfig;
	const char *const *api_servers;
	size_t n_api_servers;
	const char *node_name; /* NULL: unknown; no preference by node or zone */
	const char *const *controllers;
	size_t n_controllers;
	bool take_classless;     /* --watch-ingress-without-class */
	const char *default_tls; /* "namespace/name", or NULL */

	/* Where to listen and what for. */
	struct listen_addr http, https, metrics; /* family AF_UNSPEC: not */
	unsigned workers;
	bool proxy_protocol;
	struct cidr *trusted_proxies;
	size_t n_trusted_proxies;
	const char *publish_service; /* "namespace/name", or NULL */
	const char *pod_namespace;   /* of the lease, of the pods whose nodes are published */
	const char *pod_name;        /* who this replica is, among the others */
	const char *pod_selector;    /* of those pods, as kubectl takes it */
	bool elect;                  /* one replica writes statuses and Events */
	struct address *status_addresses;
	size_t n_status_addresses;
	const char
		*handover; /* path of the socket by which listeners go to a successor; NULL: none */
	const char *access_log; /* "stdout", a file, or NULL: none */
	bool access_log_query;
	bool nginx_metrics;        /* also under the names of ingress-nginx */
	bool path_normalised;      /* forward what was matched */
	bool near_node, near_zone; /* prefer endpoints there */
	bool half_close; /* a client's FIN after its request does not mean that it is gone */

	/* Limits. */
	uint64_t connections_max;    /* of clients, in all workers */
	uint64_t connections_per_ip; /* 0: any number; trusted proxies are not counted */
	uint64_t body_max;           /* bytes of a request's body; 0: no limit */
	struct http1_limits request_limits;
	uint64_t retry_body;      /* bytes of a request's body that are kept for a second try */
	uint64_t tries;           /* of a request, the first one included */
	uint64_t idle_per_origin; /* idle connections to one endpoint that a worker keeps */

	/* Times. */
	uint64_t handshake_ns;  /* TLS, and the PROXY header before it */
	uint64_t head_ns;       /* a request's head, from its first byte to its last */
	uint64_t keep_alive_ns; /* between requests of a client */
	uint64_t
		client_ns; /* a client that sends no more of its body, or takes no more of an answer */
	uint64_t connect_ns;     /* to an endpoint, TLS included */
	uint64_t first_byte_ns;  /* from the end of a request to its answer's head */
	uint64_t idle_ns;        /* between pieces of an answer; a tunnel without bytes */
	uint64_t origin_idle_ns; /* how long an idle connection to an endpoint is kept */
	uint64_t vanished_ns;    /* a peer that answers nothing; 0: as the kernel does */
	uint64_t drain_ns;       /* after SIGTERM, until what is left is cut */
	uint64_t
		wait_ns; /* for an endpoint, when none is ready; sluice.dev/wait-for-endpoint goes before */

	bool check; /* --check */

	char *host_name, *account_namespace; /* owned; where options say nothing of the pod */
};

/* Fills *ret_settings from flags, environment and file: 0, OPTIONS_HELP, OPTIONS_VERSION, or a negative errno with *err. */
struct buf;
struct err;
int settings_load(int argc, char *const argv[], char *const env[], struct settings *ret_settings,
		  struct err *err);
int settings_write_help(struct buf *out);
void settings_done(struct settings *settings);

#endif
