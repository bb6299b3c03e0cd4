// SPDX-License-Identifier: GPL-2.0-only
/* Takes what the source says, and gives the workers what comes of it. */
/* Must not know how routes, endpoints or certificates are made of objects. */
#include "ingress/config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/loop.h"
#include "ingress/certs.h"
#include "ingress/config_state.h"
#include "ingress/pool.h"
#include "ingress/resolver.h"
#include "ingress/settings.h"
#include "ingress/worker.h"

#define RETRY_NS  (500 * CLOCK_NS_PER_MS) /* after something failed for want of memory */
#define EXPIRY_NS (3600 * CLOCK_NS_PER_S) /* how often certificates are looked at for their age */

const char *const config_concern_names[CONFIG_CONCERNS] = {
	[CONFIG_SOURCE] = "Source",           [CONFIG_ROUTES] = "Routes",
	[CONFIG_POLICY] = "Annotation",       [CONFIG_BACKEND] = "Backend",
	[CONFIG_CERTIFICATE] = "Certificate",
};

/* What has to be known before anything is given to the workers, and before anything counts as gone. */
#define FIRST_KINDS                                                       \
	(OBJECT_BIT(OBJECT_SERVICE) | OBJECT_BIT(OBJECT_ENDPOINT_SLICE) | \
	 OBJECT_BIT(OBJECT_INGRESS) | OBJECT_BIT(OBJECT_INGRESS_CLASS))

const char *config_key(const char *namespace, const char *name, char key[CONFIG_KEY_MAX])
{
	snprintf(key, CONFIG_KEY_MAX, "%s/%s", namespace, name);
	return key;
}

/* ---- work ------------------------------------------------------------------------------------------------------ */

void config_wake(struct config *config)
{
	if (!config->since_ns)
		config->since_ns = clock_now_ns();
	loop_post(config->now);
}

static void drop_gone(struct worker *worker, void *arg)
{
	(void)arg;
	pool_drop_gone(worker->pool);
}

static void close_left(struct config *config)
{
	if (!config->endpoints_left)
		return;
	config->endpoints_left = false;
	for (size_t i = 0; i < config->in.n_workers; i++)
		if (worker_post(config->in.workers[i], drop_gone, NULL) < 0)
			config->endpoints_left = true; /* with the next change */
}

static int publish(struct config *config)
{
	struct snapshot *snapshot = snapshot_new(config->routes, config->certs);
	int rc = snapshot ? 0 : -ENOMEM;

	for (size_t i = 0; rc == 0 && i < config->in.n_workers; i++)
		rc = worker_publish(config->in.workers[i], snapshot);
	snapshot_drop(snapshot);
	if (rc < 0)
		return rc;
	config->stats.generation++;
	config->stats.wall_ns = clock_wall_ns();
	return 0;
}

bool config_has_first(const struct config *config)
{
	return (config->listed & FIRST_KINDS) == FIRST_KINDS;
}

/* Secrets are asked for when the Ingresses are known; what needs them waits for their list once. */
static bool has_all(const struct config *config)
{
	return config_has_first(config) && (config->listed & OBJECT_BIT(OBJECT_SECRET));
}

static int make(struct config *config)
{
	bool changed = config->routes_dirty;
	int rc = 0;

	if (config->routes_dirty) {
		config->routes_dirty = false;
		rc = config_make_routes(config);
		if (rc < 0) {
			config->routes_dirty = true;
			return rc;
		}
	}
	if (config->secrets_dirty) {
		rc = config_want_secrets(config);
		if (rc < 0)
			return rc;
		config->secrets_dirty = false;
	}
	if (!has_all(config))
		return 0;
	if (config->certs_dirty || !config->certs) {
		config->certs_dirty = false;
		changed = true;
		rc = config_make_certs(config);
		if (rc < 0) {
			config->certs_dirty = true;
			return rc;
		}
	}
	if (!changed && config->stats.generation)
		return 0;
	rc = publish(config);
	if (rc < 0)
		config->certs_dirty = true; /* so that it is tried again */
	return rc;
}

static void count_delay(struct config *config)
{
	uint64_t delay = clock_now_ns() - config->since_ns;

	if (!config->since_ns)
		return;
	config->since_ns = 0;
	if (config->stats.generation < 2)
		return; /* the start is no change */
	config->stats.delay_ns = delay;
	if (delay > config->stats.delay_max_ns)
		config->stats.delay_max_ns = delay;
}

/* Endpoints at once; the rest not more than half of the time. */
static void work(void *arg)
{
	struct config *config = arg;
	uint64_t start_ns = clock_now_ns(), took_ns;
	int rc;

	if (!config_has_first(config))
		return;
	rc = config_update_backends(config);
	close_left(config);
	if (start_ns < config->rest_until_ns &&
	    (config->routes_dirty || config->certs_dirty || config->secrets_dirty)) {
		loop_arm(config->later, config->rest_until_ns - start_ns, 0);
		return;
	}
	if (rc == 0)
		rc = make(config);
	took_ns = clock_now_ns() - start_ns;
	config->rest_until_ns = clock_now_ns() + took_ns;
	if (rc < 0) {
		config->stats.failures++;
		loop_arm(config->later, RETRY_NS, 0);
		return;
	}
	count_delay(config);
	if (config->stats.generation && config->sweep_at != config->stats.generation) {
		config->sweep_at = config->stats.generation;
		config_sweep_backends(config);
		if (config->in.on_change)
			config->in.on_change(config->in.ctx);
	}
}

static void on_expiry(void *arg)
{
	struct config *config = arg;

	config->certs_dirty = true;
	config_wake(config);
}

/* ---- problems -------------------------------------------------------------------------------------------------- */

static void on_problem(void *ctx, const char *object, const char *reason, bool solved)
{
	const struct config_told *told = ctx;
	const struct config_input *in = &told->config->in;

	if (solved)
		log_info("solved object=\"%s\" problem=\"%s\"", object, reason);
	else
		log_warn("problem object=\"%s\" reason=\"%s\"", object, reason);
	if (in->on_problem)
		in->on_problem(in->ctx, told->concern, object, reason, solved);
}

struct each {
	void (*fn)(void *ctx, enum config_concern concern, const char *object, const char *reason);
	void *ctx;
	enum config_concern concern;
};

static void call_each(void *ctx, const char *object, const char *reason)
{
	const struct each *each = ctx;

	each->fn(each->ctx, each->concern, object, reason);
}

void config_each_problem(const struct config *config,
			 void (*fn)(void *ctx, enum config_concern concern, const char *object,
				    const char *reason),
			 void *ctx)
{
	struct each each = { .fn = fn, .ctx = ctx };

	for (int c = 0; c < CONFIG_CONCERNS; c++) {
		each.concern = (enum config_concern)c;
		problem_each(config->problems[c], call_each, &each);
	}
}

/* ---- questions ------------------------------------------------------------------------------------------------- */

struct source *config_source(struct config *config)
{
	return &config->source;
}

bool config_is_ready(const struct config *config)
{
	return config->stats.generation > 0;
}

const struct certs *config_certs(const struct config *config)
{
	return config->certs;
}

void config_count(const struct config *config, struct config_stats *ret_stats)
{
	struct store_stats store;
	struct table_entry *entry;

	*ret_stats = config->stats;
	store_count(config->store, &store);
	ret_stats->services = store.services;
	ret_stats->ingresses = config->ingresses.len;
	ret_stats->secrets = config->secrets.len;
	config_count_endpoints(config, &ret_stats->endpoints, &ret_stats->ejected);
	for (int c = 0; c < CONFIG_CONCERNS; c++)
		ret_stats->problems += problem_count(config->problems[c]);
	table_for_each(entry, &config->ingresses)
		ret_stats->ours += ((const struct config_ingress *)entry->value)->ours;
}

void config_each_ingress(const struct config *config,
			 void (*fn)(void *ctx, const struct ingress *ingress), void *ctx)
{
	struct table_entry *entry;

	table_for_each(entry, &config->ingresses) {
		const struct config_ingress *i = entry->value;

		if (i->ours)
			fn(ctx, &i->ingress);
	}
}

const struct ingress *config_ingress(const struct config *config, const char *namespace,
				     const char *name)
{
	char key[CONFIG_KEY_MAX];
	const struct config_ingress *i =
		table_get_str(&config->ingresses, config_key(namespace, name, key));

	return i && i->ours ? &i->ingress : NULL;
}

const struct ingress *config_any_ingress(const struct config *config, const char *namespace,
					 const char *name)
{
	char key[CONFIG_KEY_MAX];
	const struct config_ingress *i =
		table_get_str(&config->ingresses, config_key(namespace, name, key));

	return i ? &i->ingress : NULL;
}

const struct service *config_service(const struct config *config, const char *namespace,
				     const char *name)
{
	const struct store_entry *entry = store_find(config->store, namespace, name);

	return entry ? entry->service : NULL;
}

/* ---- life ------------------------------------------------------------------------------------------------------ */

static int open_source(struct config *config, struct err *err)
{
	const struct settings *settings = config->in.settings;
	const struct source_options options = {
		.dir = settings->source_dir,
		.kinds = OBJECTS_OF_PROXY,
		.kube = { .kubeconfig = settings->kubeconfig,
			  .api_servers = settings->api_servers,
			  .n_api_servers = settings->n_api_servers,
			  .node_name = settings->node_name },
	};
	const struct source_sink sink = config_sink(config);

	config->store_sink = store_sink(config->store);
	return source_init(config->in.loop, &options, &sink, err, &config->source);
}

static int make_parts(struct config *config)
{
	int rc = 0;

	if (getrandom(&config->seed, sizeof(config->seed), 0) < 0)
		return -errno;
	table_init(&config->ingresses, config->seed);
	table_init(&config->classes, config->seed);
	table_init(&config->secrets, config->seed);
	table_init(&config->services, config->seed);
	table_init(&config->backends, config->seed);
	config->store = store_new(NULL);
	if (!config->store)
		return -ENOMEM;
	for (int c = 0; c < CONFIG_CONCERNS; c++) {
		config->told[c].config = config;
		config->told[c].concern = (enum config_concern)c;
		config->problems[c] = problems_new(on_problem, &config->told[c]);
		if (!config->problems[c])
			return -ENOMEM;
	}
	rc = routes_maker_new(config->seed, &config->maker);
	if (rc == 0)
		rc = resolver_new(&config->resolver);
	if (rc == 0)
		rc = certs_cache_new(&config->certs_cache);
	if (rc == 0)
		rc = loop_add_deferred(config->in.loop, work, config, &config->now);
	if (rc == 0)
		rc = loop_add_timer(config->in.loop, work, config, &config->later);
	if (rc == 0)
		rc = loop_add_timer(config->in.loop, on_expiry, config, &config->expiry);
	if (rc == 0)
		rc = loop_arm(config->expiry, EXPIRY_NS, EXPIRY_NS);
	return rc;
}

int config_new(const struct config_input *input, struct err *err, struct config **ret_config)
{
	struct config *config = calloc(1, sizeof(*config));
	int rc;

	if (!config)
		return err_set(err, -ENOMEM, "no memory");
	config->in = *input;
	rc = make_parts(config);
	if (rc < 0)
		err_set(err, rc, "cannot begin to read the configuration: %s", strerror(-rc));
	else
		rc = open_source(config, err);
	if (rc < 0) {
		config_free(config);
		return rc;
	}
	*ret_config = config;
	return 0;
}

void config_free(struct config *config)
{
	if (!config)
		return;
	source_done(&config->source);
	loop_remove(config->now);
	loop_remove(config->later);
	loop_remove(config->expiry);
	routes_drop(config->routes);
	routes_maker_free(config->maker);
	policy_drop(config->plain[0]);
	policy_drop(config->plain[1]);
	resolver_free(config->resolver);
	certs_drop(config->certs);
	certs_cache_free(config->certs_cache);
	table_done(&config->ingresses, config_ingress_free);
	table_done(&config->classes, config_class_free);
	table_done(&config->secrets, config_secret_free);
	table_done(&config->backends, config_backend_free);
	table_done(&config->services, config_service_free);
	for (int c = 0; c < CONFIG_CONCERNS; c++)
		problems_free(config->problems[c]);
	store_free(config->store);
	free(config);
}
