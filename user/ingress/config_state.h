/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef INGRESS_CONFIG_STATE_H
#define INGRESS_CONFIG_STATE_H

/* Inside of config: what is known, and what has to be made anew. */
#include "base/table.h"
#include "base/vec.h"
#include "core/problem.h"
#include "core/store.h"
#include "ingress/config.h"
#include "ingress/rule.h"
#include "source/source.h"

/* An Ingress, whoever's. */
struct config_ingress {
	struct ingress ingress;
	uint64_t version; /* of it and of what hangs on its routes; never twice the same */
	bool ours;
	bool fresh;                  /* new or changed since routes were made */
	bool had_certs, had_secrets; /* when it was last looked at */
	const struct policy *policy; /* counted; NULL: not ours, or not made yet */
	struct tls_origin *tls;      /* towards endpoints; counted, made when first wanted */
	char *tls_service;           /* for this Service's name */
	bool tls_http2;
	struct buf notes;        /* of routes; one NUL-terminated sentence behind the other */
	bool noted;              /* there were some the last time */
	struct buf policy_notes; /* the same, of annotations */
};

/* A Secret, and what it was: one that is gone or has become useless is kept. */
struct config_secret {
	struct secret secret;
	uint64_t tag; /* changes with the content */
	bool gone;
	char *broken; /* why what came last is not used; NULL: it is */
};

/* A Service's port, as Ingresses name it. */
struct config_backend {
	char *namespace, *service, *port_name;
	uint16_t port;
	bool by_address;           /* to the Service's own address (service-upstream) */
	struct upstream *upstream; /* counted; NULL: there is none, and `missing` says why */
	const char *missing;       /* a literal */
	const char *hint;          /* what to do about it; a literal */
	enum policy_protocol protocol;
	bool has_protocol;
	uint64_t incarnation;   /* of the Service */
	bool empty;             /* no endpoint is ready */
	_Atomic unsigned users; /* rules */
};

/* The backends of one Service, whether there is such a Service or not. */
struct config_service {
	struct VEC_OF(struct config_backend *) backends; /* of the table */
};

struct resolver;

struct config {
	struct config_input in;
	struct source source;
	struct store *store; /* Services, EndpointSlices, nodes */
	struct source_sink store_sink;
	struct problems *problems[CONFIG_CONCERNS];
	struct config_told {
		struct config *config;
		enum config_concern concern;
	} told[CONFIG_CONCERNS]; /* whose problems those are */
	struct table ingresses;  /* namespace/name -> struct config_ingress */
	struct table classes;    /* name -> struct ingress_class */
	struct table secrets;    /* namespace/name -> struct config_secret */
	struct table services;   /* namespace/name -> struct config_service */
	struct table backends;   /* of a Service and its port -> struct config_backend */
	uint64_t seed;
	uint64_t next_version;
	unsigned listed; /* OBJECT_BIT()s */

	struct resolver *resolver; /* of hosts that are asked and are no Services */
	struct routes_maker *maker;
	struct routes *routes; /* counted; NULL: none yet */
	struct certs_cache *certs_cache;
	struct certs *certs;
	struct policy
		*plain[2]; /* counted: of Ingresses that ask for nothing; without and with TLS */
	const struct config_ingress **order; /* while routes are made: by routes_input's index */

	struct loop_event *now, *later, *expiry; /* deferred; timers */
	uint64_t since_ns;                       /* of the oldest change that waits; 0: none */
	uint64_t rest_until_ns;                  /* routes are not made before */
	bool routes_dirty, classes_dirty, certs_dirty, secrets_dirty, endpoints_left;
	uint64_t sweep_at; /* the generation that was swept last */
	struct config_stats stats;
};

#define CONFIG_KEY_MAX 600

/* "namespace/name"; returns key. */
const char *config_key(const char *namespace, const char *name, char key[CONFIG_KEY_MAX]);

/* ---- config.c ---- */

/* Something has changed: it will be worked on. */
void config_wake(struct config *config);
/* Is all known without which nothing is given to the workers? */
bool config_has_first(const struct config *config);

/* ---- config_objects.c ---- */

/* Where the source tells. */
struct source_sink config_sink(struct config *config);
void config_class_free(void *ingress_class);
void config_secret_free(void *config_secret);

/* ---- config_backends.c ---- */

/* The backend, made if it is not there yet. NULL: no memory. */
struct config_backend *config_backend_get(struct config *config, const char *namespace,
					  const char *service, const char *port_name, uint16_t port,
					  bool by_address);
/* Takes up changes of Services and endpoints. Marks Ingresses whose rules have to be made anew. 0 or -ENOMEM. */
int config_update_backends(struct config *config);
/* Lets go of those that no rule has. */
void config_sweep_backends(struct config *config);
/* Says of the Ingress what is wrong with the Services that it names. */
void config_tell_backends(struct config *config, const struct config_ingress *ingress);
void config_count_endpoints(const struct config *config, size_t *ret_all, size_t *ret_ejected);
void config_backend_free(void *backend);
void config_service_free(void *service);

/* ---- config_ask.c ---- */

/* Who is asked for external authentication, for a rule whose policy wants it: ask and ask_tls of the rule. 0 or -ENOMEM. */
int config_fill_ask(struct config *config, struct config_ingress *ingress, struct rule *rule);
/* Is that this Service? */
bool config_asks(const struct config_ingress *ingress, const char *namespace, const char *service);

/* ---- config_secrets.c ---- */

/* Asks the source for the Secrets that our Ingresses name. 0 or -ENOMEM. */
int config_want_secrets(struct config *config);
/* Makes the certificates anew. 0 or -ENOMEM. */
int config_make_certs(struct config *config);
/* Says no more about the certificates of an Ingress that is not ours. */
void config_untell_certs(struct config *config, const struct config_ingress *ingress);
const struct config_secret *config_secret_find(const struct config *config, const char *namespace,
					       const char *name);
/* TLS towards the endpoints of one of its Services; counted, or NULL: it cannot be made, which is said, or needs no memory. */
struct tls_origin *config_tls_origin(struct config *config, struct config_ingress *ingress,
				     const char *service, enum policy_protocol protocol);

/* ---- config_routes.c ---- */

/* Policies of changed Ingresses, then routes and rules. 0 or -ENOMEM. */
int config_make_routes(struct config *config);
void config_ingress_free(void *ingress);
/* The Ingress's rules have to be made anew. */
void config_touch(struct config *config, struct config_ingress *ingress);

#endif
