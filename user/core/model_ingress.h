/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef CORE_MODEL_INGRESS_H
#define CORE_MODEL_INGRESS_H

/*
 * What an HTTP proxy reads, as plain data: networking.k8s.io/v1 Ingress and IngressClass, v1 Secret. It is what the API says,
 * not yet judged. Strings are NUL-terminated and owned by the struct that holds them; NULL means "not set".
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/model.h"

struct ingress_backend {
	char *service;   /* in the Ingress's own namespace; NULL: a resource, or nothing */
	char *port_name; /* NULL if the port is a number; to be looked up in the Service */
	uint16_t port;
};

enum ingress_path_type {
	INGRESS_EXACT,
	INGRESS_PREFIX,
	INGRESS_SPECIFIC, /* ImplementationSpecific */
};

struct ingress_path {
	char *path; /* NULL: "/" */
	enum ingress_path_type type;
	struct ingress_backend backend;
};

struct ingress_rule {
	char *host; /* NULL: any; as written */
	struct ingress_path *paths;
	size_t n_paths;
};

struct ingress_tls {
	char **hosts;
	size_t n_hosts;
	char *secret;
};

struct ingress_annotation {
	char *name;
	char *value;
};

struct ingress {
	struct object_meta meta;
	int64_t created_ns; /* Unix time; 0 = unknown */
	char *class_name;   /* spec.ingressClassName */
	struct ingress_annotation *annotations;
	size_t n_annotations;
	bool has_default; /* spec.defaultBackend */
	struct ingress_backend default_backend;
	struct ingress_rule *rules;
	size_t n_rules;
	struct ingress_tls *tls;
	size_t n_tls;
	char **addresses; /* status.loadBalancer.ingress[]: its ip, else its hostname; what somebody published */
	size_t n_addresses;
};

struct ingress_class {
	struct object_meta meta;
	int64_t created_ns;
	char *controller;
	bool is_default;
};

struct secret_item {
	char *key;           /* "tls.crt" */
	unsigned char *data; /* decoded; a NUL follows, which len does not count. NULL with len 0 */
	size_t len;
};

struct secret {
	struct object_meta meta;
	char *type; /* "kubernetes.io/tls"; "Opaque" where none is said */
	struct secret_item *items;
	size_t n_items;
};

#define SECRET_TLS "kubernetes.io/tls"

/* The item, or NULL. */
const struct secret_item *secret_find(const struct secret *secret, const char *key);

#define INGRESS_ANNOTATION_CLASS \
	"kubernetes.io/ingress.class" /* the way before spec.ingressClassName */
#define INGRESS_NGINX  "nginx.ingress.kubernetes.io/"
#define INGRESS_SLUICE "sluice.dev/"

/* The value, or NULL. */
const char *ingress_annotation(const struct ingress *ingress, const char *name);
/* "true" in the spelling that ingress-nginx takes (Go's ParseBool: 1, t, T, TRUE, true, True). */
bool ingress_is_true(const char *value);

/* Frees what the struct owns, not the struct. NULL-safe, works on half-filled zeroed structs. */
void ingress_done(struct ingress *ingress);
void ingress_class_done(struct ingress_class *class);
void secret_done(struct secret *secret); /* its data is overwritten first */

/* Deep copies into zeroed *ret_copy. 0 or -ENOMEM (then *ret_copy is as it was). */
int ingress_copy(const struct ingress *ingress, struct ingress *ret_copy);
int ingress_class_copy(const struct ingress_class *class, struct ingress_class *ret_copy);
int secret_copy(const struct secret *secret, struct secret *ret_copy);

#endif
