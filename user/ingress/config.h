/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef INGRESS_CONFIG_H
#define INGRESS_CONFIG_H

/*
 * Objects of the source into snapshots and endpoints, for all workers. On the control thread.
 *
 * Nothing is given to the workers before every kind was listed once. Afterwards a change is in force at the end of the turn in which
 * it came, unless the one before took long: then at most as much later as that took. Endpoints change inside of their upstreams,
 * and no route is made anew for them. What vanishes for want of information is kept: a Secret that is gone or broken leaves the
 * certificate that was made of it in use, and that is said.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "core/model_ingress.h"

struct buf;
struct certs;
struct config;
struct loop;
struct settings;
struct source;
struct stats_hub;
struct worker;

/* What is wrong with an object, by what it has to do with. */
enum config_concern {
	CONFIG_SOURCE,  /* it cannot be read */
	CONFIG_ROUTES,  /* class, hosts, paths: who has what */
	CONFIG_POLICY,  /* annotations */
	CONFIG_BACKEND, /* Services and endpoints */
	CONFIG_CERTIFICATE,
	CONFIG_CONCERNS,
};
extern const char *const config_concern_names[CONFIG_CONCERNS]; /* as Events have it: "Routes" */

struct config_input {
	struct loop *loop; /* the control thread's */
	const struct settings *settings;
	struct worker *const *workers;
	size_t n_workers;
	struct stats_hub *stats; /* may be NULL */
	/* A problem arose, or is solved. May be NULL. object: "Ingress shop/cart". */
	void (*on_problem)(void *ctx, enum config_concern concern, const char *object,
			   const char *reason, bool solved);
	/* Our Ingresses may be others than before, or their status. May be NULL. */
	void (*on_change)(void *ctx);
	void *ctx;
};

/* Opens the source. 0 or a negative errno with *err. */
int config_new(const struct config_input *input, struct err *err, struct config **ret_config);
void config_free(struct config *config); /* after the workers; NULL is fine */

/* For requests of one's own. */
struct source *config_source(struct config *config);

/* Something was given to the workers. */
bool config_is_ready(const struct config *config);

struct config_stats {
	uint64_t generation; /* snapshots given to the workers */
	uint64_t wall_ns;    /* when the last one was; Unix time */
	uint64_t endpoint_changes;
	uint64_t failures; /* for want of memory; tried again */
	uint64_t
		delay_ns; /* of the last change: from the source's word until it was given to the workers */
	uint64_t delay_max_ns;
	size_t ingresses, ours, services, secrets, problems;
	size_t endpoints,
		ejected; /* of Services that Ingresses name; those left out after failures */
};
void config_count(const struct config *config, struct config_stats *ret_stats);

/* Everything that is wrong, by concern, then by object. */
void config_each_problem(const struct config *config,
			 void (*fn)(void *ctx, enum config_concern concern, const char *object,
				    const char *reason),
			 void *ctx);

/* Our Ingresses, in no order. */
void config_each_ingress(const struct config *config,
			 void (*fn)(void *ctx, const struct ingress *ingress), void *ctx);
/* One of them; NULL: there is none. */
const struct ingress *config_ingress(const struct config *config, const char *namespace,
				     const char *name);
/* Whoever's it is. */
const struct ingress *config_any_ingress(const struct config *config, const char *namespace,
					 const char *name);
const struct service *config_service(const struct config *config, const char *namespace,
				     const char *name);

/* In force; NULL: none yet. Borrowed. */
const struct certs *config_certs(const struct config *config);

#endif
