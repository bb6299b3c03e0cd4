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
#include "source/object.h"

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

static void wake(struct config *config)
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

static bool has_first(const struct config *config)
{
	return (config->listed & FIRST_KINDS) == FIRST_KINDS;
}

/* Secrets are asked for when the Ingresses are known; what needs them waits for their list once. */
static bool has_all(const struct config *config)
{
	return has_first(config) && (config->listed & OBJECT_BIT(OBJECT_SECRET));
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

	if (!has_first(config))
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
	wake(config);
}

/* ---- what the source says ------------------------------------------------------------------------------------- */

/* An object that could not be kept: everything is asked for again. */
static void lost(struct config *config)
{
	config->stats.failures++;
	source_relist(&config->source);
}

static void on_service(void *ctx, const struct service *s)
{
	struct config *config = ctx;

	config->store_sink.put_service(config->store_sink.ctx, s);
	wake(config);
}

static void on_slice(void *ctx, const struct endpoint_slice *s)
{
	struct config *config = ctx;

	config->store_sink.put_slice(config->store_sink.ctx, s);
	wake(config);
}

static void on_node(void *ctx, const struct node *n)
{
	struct config *config = ctx;

	config->store_sink.put_node(config->store_sink.ctx, n);
	wake(config);
}

static bool is_same_ingress(const struct ingress *a, const struct ingress *b)
{
	const struct object one = { .kind = OBJECT_INGRESS, .ingress = *a };
	const struct object two = { .kind = OBJECT_INGRESS, .ingress = *b };

	return object_equal(&one, &two);
}

static struct config_ingress *ingress_of(struct config *config, const struct ingress *i)
{
	char key[CONFIG_KEY_MAX];
	struct config_ingress *c;

	config_key(i->meta.namespace, i->meta.name, key);
	c = table_get_str(&config->ingresses, key);
	if (c)
		return c;
	c = calloc(1, sizeof(*c));
	if (c && table_put_str(&config->ingresses, key, c, NULL) < 0) {
		free(c);
		return NULL;
	}
	return c;
}

static void on_ingress(void *ctx, const struct ingress *i)
{
	struct config *config = ctx;
	struct config_ingress *c = ingress_of(config, i);
	struct ingress copy = { 0 };

	if (!c || ingress_copy(i, &copy) < 0) {
		lost(config);
		return;
	}
	if (c->version && is_same_ingress(i, &c->ingress)) {
		/* what is not served of it has changed: its status, mostly */
		ingress_done(&c->ingress);
		c->ingress = copy;
		return;
	}
	ingress_done(&c->ingress);
	c->ingress = copy;
	config_touch(config, c);
	wake(config);
}

static void free_class(void *value)
{
	struct ingress_class *class = value;

	ingress_class_done(class);
	free(class);
}

static void on_class(void *ctx, const struct ingress_class *c)
{
	struct config *config = ctx;
	struct ingress_class *copy = calloc(1, sizeof(*copy));
	void *old = NULL;

	if (!copy || ingress_class_copy(c, copy) < 0 ||
	    table_put_str(&config->classes, c->meta.name, copy, &old) < 0) {
		if (copy)
			free_class(copy);
		lost(config);
		return;
	}
	if (old)
		free_class(old);
	config->classes_dirty = config->routes_dirty = true;
	wake(config);
}

static void free_secret(void *value)
{
	struct config_secret *s = value;

	secret_done(&s->secret);
	free(s->broken);
	free(s);
}

/* A certificate that was right must not be lost to one that is not. */
static char *why_not(const struct secret *s)
{
	const struct secret_item *crt = secret_find(s, "tls.crt"), *key = secret_find(s, "tls.key");
	struct certs_secret pair = { .namespace = s->meta.namespace,
				     .name = s->meta.name,
				     .crt = crt ? (const char *)crt->data : NULL,
				     .crt_len = crt ? crt->len : 0,
				     .key = key ? (const char *)key->data : NULL,
				     .key_len = key ? key->len : 0 };
	struct err err = { 0 };
	struct cert *cert;

	if (!s->type || strcmp(s->type, SECRET_TLS) != 0)
		return NULL;
	if (cert_parse(&pair, &cert, &err) < 0)
		return strdup(err.what);
	cert_drop(cert);
	return NULL;
}

/* Policies hold what is in a Secret (passwords): those that name it are made anew. */
static void touch_users(struct config *config, const struct secret *s)
{
	struct table_entry *entry;

	table_for_each(entry, &config->ingresses) {
		struct config_ingress *i = entry->value;
		const struct policy_ref *refs[3];

		if (!i->ours || !i->policy)
			continue;
		refs[0] = &i->policy->auth.secret;
		refs[1] = &i->policy->ssl.secret;
		refs[2] = &i->policy->client_cert.secret;
		for (int k = 0; k < 3; k++)
			if (refs[k]->name && strcmp(refs[k]->name, s->meta.name) == 0 &&
			    strcmp(refs[k]->namespace, s->meta.namespace) == 0) {
				config_touch(config, i);
				break;
			}
	}
}

static bool is_same_secret(const struct secret *a, const struct secret *b)
{
	const struct object one = { .kind = OBJECT_SECRET, .secret = *a };
	const struct object two = { .kind = OBJECT_SECRET, .secret = *b };

	return object_equal(&one, &two);
}

static void on_secret(void *ctx, const struct secret *s)
{
	struct config *config = ctx;
	char key[CONFIG_KEY_MAX], *broken;
	struct config_secret *c, *made = NULL;
	struct secret copy = { 0 };

	config_key(s->meta.namespace, s->meta.name, key);
	c = table_get_str(&config->secrets, key);
	if (!c) {
		c = made = calloc(1, sizeof(*made));
		if (!c || table_put_str(&config->secrets, key, made, NULL) < 0) {
			free(made);
			lost(config);
			return;
		}
	}
	if (!made && !c->broken && is_same_secret(s, &c->secret)) { /* listed once more */
		if (c->gone)
			config->certs_dirty = true;
		c->gone = false;
		wake(config);
		return;
	}
	/* of a new one there is nothing to keep; the store says what is wrong with it */
	broken = made ? NULL : why_not(s);
	free(c->broken);
	c->broken = NULL;
	if (broken) { /* what was there is kept */
		c->broken = broken;
	} else {
		if (secret_copy(s, &copy) < 0) {
			lost(config);
			return;
		}
		secret_done(&c->secret);
		c->secret = copy;
		c->tag = ++config->next_version;
	}
	c->gone = false;
	touch_users(config, s);
	config->certs_dirty = true;
	wake(config);
}

static const char *const all_tellers[] = { "", "secret", "certificate" };

static void forget_ingress(struct config *config, const char *key)
{
	struct config_ingress *i = table_remove_str(&config->ingresses, key);
	char object[CONFIG_KEY_MAX + 16];

	if (!i)
		return;
	snprintf(object, sizeof(object), "Ingress %s", key);
	for (int c = CONFIG_ROUTES; c < CONFIG_CONCERNS; c++)
		for (size_t t = 0; t < sizeof(all_tellers) / sizeof(all_tellers[0]); t++)
			problem_set(config->problems[c], all_tellers[t], object, NULL);
	config->certs_dirty |= i->had_certs;
	config->secrets_dirty |= i->had_secrets;
	config->routes_dirty = true;
	config_ingress_free(i);
}

static void on_gone(void *ctx, enum object_kind kind, const char *namespace, const char *name)
{
	struct config *config = ctx;
	char key[CONFIG_KEY_MAX];
	struct config_secret *secret;
	void *class;

	config_key(namespace, name, key);
	switch (kind) {
	case OBJECT_INGRESS:
		forget_ingress(config, key);
		break;
	case OBJECT_INGRESS_CLASS:
		class = table_remove_str(&config->classes, name);
		if (class)
			free_class(class);
		config->classes_dirty = config->routes_dirty = true;
		break;
	case OBJECT_SECRET:
		secret = table_get_str(&config->secrets, key);
		if (secret) {
			secret->gone = true;
			config->certs_dirty = true;
		}
		break;
	default:
		config->store_sink.gone(config->store_sink.ctx, kind, namespace, name);
	}
	wake(config);
}

static void on_listed(void *ctx, enum object_kind kind)
{
	struct config *config = ctx;

	config->listed |= OBJECT_BIT(kind);
	config->store_sink.listed(config->store_sink.ctx, kind);
	if (has_first(config) && !config->routes)
		config->routes_dirty = config->secrets_dirty = true;
	if (store_error(config->store) < 0) {
		store_clear_error(config->store);
		lost(config);
	}
	wake(config);
}

static void on_source_problem(void *ctx, const char *object, const char *reason)
{
	struct config *config = ctx;

	problem_set(config->problems[CONFIG_SOURCE], "", object, reason);
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
	const struct source_sink sink = { .ctx = config,
					  .put_service = on_service,
					  .put_slice = on_slice,
					  .put_node = on_node,
					  .put_ingress = on_ingress,
					  .put_ingress_class = on_class,
					  .put_secret = on_secret,
					  .gone = on_gone,
					  .listed = on_listed,
					  .problem = on_source_problem };

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
	resolver_free(config->resolver);
	certs_drop(config->certs);
	certs_cache_free(config->certs_cache);
	table_done(&config->ingresses, config_ingress_free);
	table_done(&config->classes, free_class);
	table_done(&config->secrets, free_secret);
	table_done(&config->backends, config_backend_free);
	table_done(&config->services, config_service_free);
	for (int c = 0; c < CONFIG_CONCERNS; c++)
		problems_free(config->problems[c]);
	store_free(config->store);
	free(config);
}
