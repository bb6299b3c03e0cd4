/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The objects of the API as plain data: where sources (Kubernetes, a folder) and the store meet.
 *
 * A source decodes an object into one of these, gives it to the store and frees its own copy; the
 * store copies what it keeps. Values are what the API says, not yet judged: which endpoints serve,
 * and by which policy, is core/policy.h. Strings are NUL-terminated and owned by the struct that
 * holds them; a NULL string means "not set".
 */
#ifndef CORE_MODEL_H
#define CORE_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/address.h"

enum object_kind {
	OBJECT_SERVICE,
	OBJECT_ENDPOINT_SLICE,
	OBJECT_NODE,
	OBJECT_SERVICE_CIDR,
	OBJECT_INGRESS, /* from here on: core/model_ingress.h */
	OBJECT_INGRESS_CLASS,
	OBJECT_SECRET,
	OBJECT_KINDS,
};

/* Sets of kinds: what somebody asks of a source. */
#define OBJECT_BIT(kind) (1u << (kind))
#define OBJECTS_ALL      (OBJECT_BIT(OBJECT_KINDS) - 1)
#define OBJECTS_OF_AGENT                                                  \
	(OBJECT_BIT(OBJECT_SERVICE) | OBJECT_BIT(OBJECT_ENDPOINT_SLICE) | \
	 OBJECT_BIT(OBJECT_NODE) | OBJECT_BIT(OBJECT_SERVICE_CIDR))
#define OBJECTS_OF_PROXY                                                                           \
	(OBJECT_BIT(OBJECT_SERVICE) | OBJECT_BIT(OBJECT_ENDPOINT_SLICE) |                          \
	 OBJECT_BIT(OBJECT_NODE) | OBJECT_BIT(OBJECT_INGRESS) | OBJECT_BIT(OBJECT_INGRESS_CLASS) | \
	 OBJECT_BIT(OBJECT_SECRET))

/* What every object has. */
struct object_meta {
	char *namespace; /* empty string for cluster-wide objects */
	char *name;
	char *uid;    /* NULL from a folder */
	char *origin; /* where it was read, for messages: "file.yaml:12", or NULL */
};

enum service_type {
	SERVICE_CLUSTER_IP,
	SERVICE_NODE_PORT,
	SERVICE_LOAD_BALANCER,
	SERVICE_EXTERNAL_NAME,
};

enum traffic_policy {
	POLICY_CLUSTER,
	POLICY_LOCAL,
};

enum balance_algorithm { /* annotation sluice.dev/algorithm */
			 BALANCE_RANDOM,
			 BALANCE_MAGLEV,
			 BALANCE_LEAST_CONN,
};

/* What endpoints speak, as appProtocol says: for whoever looks into the bytes. */
enum app_protocol {
	APP_UNKNOWN, /* nothing is said, or nothing that we know */
	APP_HTTP,    /* http, kubernetes.io/ws */
	APP_HTTPS,   /* https, kubernetes.io/wss */
	APP_H2C,     /* kubernetes.io/h2c, grpc: HTTP/2 without TLS */
	APP_H2,      /* grpcs: HTTP/2 over TLS */
};

struct service_port {
	char *name;         /* "" if unnamed */
	uint8_t proto;      /* IPPROTO_TCP, _UDP, _SCTP */
	uint16_t port;      /* host order, as all ports here */
	uint16_t node_port; /* 0 = none */
	uint8_t app;        /* enum app_protocol */
};

struct service {
	struct object_meta meta;
	enum service_type type;
	struct address *cluster_ips; /* at most one a family; none: headless, not proxied */
	size_t n_cluster_ips;
	struct address *external_ips;
	size_t n_external_ips;
	struct address *lb_ips; /* status.loadBalancer.ingress[].ip with ipMode VIP or unset */
	size_t n_lb_ips;
	struct cidr *source_ranges;
	size_t n_source_ranges;
	struct service_port *ports;
	size_t n_ports;
	uint32_t affinity_s; /* sessionAffinity ClientIP: timeout; 0 = none */
	enum traffic_policy internal_policy;
	enum traffic_policy external_policy;
	uint16_t health_check_node_port;
	enum balance_algorithm algorithm;
	bool skip; /* label service.kubernetes.io/service-proxy-name, or annotation sluice.dev/skip */
	int64_t created_s; /* metadata.creationTimestamp, Unix time; 0 = unknown. Decides conflicts: the oldest wins */
};

struct endpoint {
	struct address addr; /* addresses[0] */
	char *node_name;     /* NULL = unknown, remote */
	char *zone;          /* NULL = unknown */
	char *pod_name;      /* targetRef.name, for people; NULL = none */
	bool ready;          /* nil became true */
	bool serving;        /* nil became true */
	bool terminating;
	char **zone_hints;
	size_t n_zone_hints;
	char **node_hints;
	size_t n_node_hints;
};

struct slice_port {
	char *name; /* "" if unnamed */
	uint8_t proto;
	uint16_t port;
};

struct endpoint_slice {
	struct object_meta meta;
	char *service;  /* label kubernetes.io/service-name; NULL: belongs to none, ignored */
	uint8_t family; /* 4 or 6; 0 for any other addressType, ignored */
	struct endpoint *endpoints;
	size_t n_endpoints;
	struct slice_port *ports;
	size_t n_ports;
	int64_t triggered_ns; /* endpoints.kubernetes.io/last-change-trigger-time, Unix ns; 0 = none */
};

struct node {
	struct object_meta meta;
	struct address *internal_ips;
	size_t n_internal_ips;
	struct address *external_ips;
	size_t n_external_ips;
	struct cidr *pod_cidrs;
	size_t n_pod_cidrs;
	char *zone;    /* label topology.kubernetes.io/zone; NULL = none */
	bool deleting; /* deletionTimestamp is set */
	bool doomed;   /* taint ToBeDeletedByClusterAutoscaler */
};

struct service_cidr {
	struct object_meta meta;
	struct cidr *cidrs;
	size_t n_cidrs;
};

/* Frees what the struct owns, not the struct; NULL-safe, works on half-filled zeroed structs. */
void service_done(struct service *s);
void endpoint_slice_done(struct endpoint_slice *s);
void node_done(struct node *n);
void service_cidr_done(struct service_cidr *c);

/* Deep copies into zeroed *ret_copy. 0 or -ENOMEM (then *ret_copy is empty). */
int service_copy(const struct service *s, struct service *ret_copy);
int endpoint_slice_copy(const struct endpoint_slice *s, struct endpoint_slice *ret_copy);
int node_copy(const struct node *n, struct node *ret_copy);
int service_cidr_copy(const struct service_cidr *c, struct service_cidr *ret_copy);

struct ingress;
struct ingress_class;
struct secret;

/*
 * What a source calls. Everything in one thread, from the loop. Functions of kinds that were not asked for may be NULL.
 * put: the object is new or changed (same kind, namespace, name replaces); the callee copies.
 * gone: the object no longer exists.
 * listed: everything of this kind that existed has been put once; nothing is ever deleted before every kind of every
 *         source has been listed.
 * problem: an object or document was refused; `object` ("Service ns/name" or "file.yaml:12") and `reason` name it and the
 *         remedy. The same object put again later clears it (reason NULL).
 */
struct source_sink {
	void *ctx;
	void (*put_service)(void *ctx, const struct service *s);
	void (*put_slice)(void *ctx, const struct endpoint_slice *s);
	void (*put_node)(void *ctx, const struct node *n);
	void (*put_service_cidr)(void *ctx, const struct service_cidr *c);
	void (*put_ingress)(void *ctx, const struct ingress *i);
	void (*put_ingress_class)(void *ctx, const struct ingress_class *c);
	void (*put_secret)(void *ctx, const struct secret *s);
	void (*gone)(void *ctx, enum object_kind kind, const char *namespace, const char *name);
	void (*listed)(void *ctx, enum object_kind kind);
	void (*problem)(void *ctx, const char *object, const char *reason);
};

#endif
