// SPDX-License-Identifier: GPL-2.0-only
/* Which Secrets are wanted, and what is made of them: certificates for clients, TLS towards endpoints. */
/* Must not know routes or requests. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "ingress/certs.h"
#include "ingress/config_state.h"
#include "ingress/settings.h"
#include "ingress/tls.h"
#include "source/kube/kube.h"

/* ---- which are wanted ----------------------------------------------------------------------------------------- */

struct wanted {
	struct VEC_OF(struct kube_secret) list;
	struct table seen; /* "namespace/name", "namespace/" */
	bool no_memory;
};

static char here; /* a value that is not NULL */

static void want(struct wanted *w, const char *namespace, const char *name)
{
	struct kube_secret secret = { .namespace = namespace, .name = name };
	char key[CONFIG_KEY_MAX];

	config_key(namespace, name ? name : "", key);
	if (table_get_str(&w->seen, key))
		return;
	w->no_memory |= table_put_str(&w->seen, key, &here, NULL) < 0 ||
			vec_push(&w->list, secret) < 0;
}

static void want_ref(struct wanted *w, const struct policy_ref *ref)
{
	if (ref->name)
		want(w, ref->namespace, ref->name);
}

static void want_all_of(struct wanted *w, const struct config_ingress *i)
{
	const struct ingress *ingress = &i->ingress;

	/* certificates: a watch for all of a namespace, which is one connection and one right */
	for (size_t t = 0; t < ingress->n_tls; t++)
		if (ingress->tls[t].secret)
			want(w, ingress->meta.namespace, NULL);
	if (!i->policy)
		return;
	want_ref(w, &i->policy->auth.secret);
	want_ref(w, &i->policy->client_cert.secret);
	want_ref(w, &i->policy->ssl.secret);
}

/* "namespace/name" of an option, for as long as the settings live. */
static bool split(const char *text, char namespace[256], const char **ret_name)
{
	const char *slash = text ? strchr(text, '/') : NULL;

	if (!slash || slash == text || !slash[1] || slash - text > 255)
		return false;
	memcpy(namespace, text, (size_t)(slash - text));
	namespace[slash - text] = 0;
	*ret_name = slash + 1;
	return true;
}

int config_want_secrets(struct config *config)
{
	struct wanted w = { 0 };
	struct table_entry *entry;
	char namespace[256];
	const char *name;
	int rc = 0;

	table_init(&w.seen, 0);
	if (split(config->in.settings->default_tls, namespace, &name))
		want(&w, namespace, name);
	table_for_each(entry, &config->ingresses) {
		const struct config_ingress *i = entry->value;

		if (i->ours)
			want_all_of(&w, i);
	}
	if (w.no_memory)
		rc = -ENOMEM;
	else
		rc = source_set_secrets(&config->source, w.list.data, w.list.len);
	vec_done(&w.list);
	table_done(&w.seen, NULL);
	return rc;
}

/* ---- one Secret ----------------------------------------------------------------------------------------------- */

const struct config_secret *config_secret_find(const struct config *config, const char *namespace,
					       const char *name)
{
	char key[CONFIG_KEY_MAX];

	return table_get_str(&config->secrets, config_key(namespace, name, key));
}

static const char *item(const struct config_secret *s, const char *key, size_t *ret_len)
{
	const struct secret_item *i = s ? secret_find(&s->secret, key) : NULL;

	*ret_len = i ? i->len : 0;
	return i ? (const char *)i->data : NULL;
}

static void fill_pair(const struct config_secret *s, const char *namespace, const char *name,
		      struct certs_secret *out)
{
	out->namespace = namespace;
	out->name = name;
	out->tag = s->tag;
	out->crt = item(s, "tls.crt", &out->crt_len);
	out->key = item(s, "tls.key", &out->key_len);
}

/* ---- certificates by host ------------------------------------------------------------------------------------- */

/* Elements must stay where they are: a list of pointers. */
struct hosts {
	struct config *config;
	struct arena arena;
	struct VEC_OF(struct certs_host) list;
	bool no_memory;
};

static void subject(const struct ingress *ingress, char object[CONFIG_KEY_MAX + 16])
{
	snprintf(object, CONFIG_KEY_MAX + 16, "Ingress %s/%s", ingress->meta.namespace,
		 ingress->meta.name);
}

static void add_host(struct hosts *h, const char *host, const struct certs_secret *secret,
		     const struct certs_demand *demand, bool maybe, const struct ingress *source)
{
	struct certs_host c = {
		.host = host, .secret = secret, .demand = demand, .maybe = maybe, .source = source
	};

	h->no_memory |= vec_push(&h->list, c) < 0;
}

/* From an API server: it may be there, and not be ours to read; what grants that is said as it is typed. */
static void say_missing(struct config *config, const char *field, const char *effect,
			const char *namespace, const char *name)
{
	const struct settings *settings = config->in.settings;
	struct problems *p = config->problems[CONFIG_CERTIFICATE];

	if (settings->source_dir)
		problem_add(p, "%s: there is no Secret %s: %s; put it into the folder", field, name,
			    effect);
	else
		problem_add(
			p,
			"%s: Secret %s does not exist, or may not be read: %s; create it, or let the "
			"proxy read it: kubectl create rolebinding sluice-proxy-tls -n %s "
			"--clusterrole=sluice-proxy-tls --serviceaccount=%s:sluice-proxy",
			field, name, effect, namespace, settings->pod_namespace);
}

static void add_tls(struct hosts *h, const struct ingress *ingress, const struct ingress_tls *tls)
{
	struct problems *p = h->config->problems[CONFIG_CERTIFICATE];
	const struct config_secret *s;
	struct certs_secret *pair;

	if (!tls->secret)
		return; /* the default certificate */
	s = config_secret_find(h->config, ingress->meta.namespace, tls->secret);
	if (!s) {
		say_missing(h->config, "spec.tls", "its hosts get the default certificate",
			    ingress->meta.namespace, tls->secret);
		return;
	}
	if (s->gone)
		problem_add(
			p,
			"spec.tls: Secret %s is gone: its last certificate stays in use until a "
			"restart; create it again, or take it out of the Ingress",
			tls->secret);
	if (s->broken)
		problem_add(
			p,
			"spec.tls: %s: the certificate it had before stays in use until it is right",
			s->broken);
	pair = arena_new(&h->arena, struct certs_secret, 1);
	if (!pair) {
		h->no_memory = true;
		return;
	}
	fill_pair(s, ingress->meta.namespace, tls->secret, pair);
	for (size_t i = 0; i < tls->n_hosts; i++)
		add_host(h, tls->hosts[i], pair, NULL, false, ingress);
	for (size_t i = 0; !tls->n_hosts && i < ingress->n_rules; i++)
		if (ingress->rules[i].host)
			add_host(h, ingress->rules[i].host, pair, NULL, true, ingress);
}

static void add_demand(struct hosts *h, const struct config_ingress *i)
{
	const struct policy *policy = i->policy;
	const struct policy_ref *ref = &policy->client_cert.secret;
	const struct config_secret *s;
	struct certs_demand *demand;

	if (!ref->name || policy->client_cert.verify == POLICY_VERIFY_OFF)
		return;
	s = config_secret_find(h->config, ref->namespace, ref->name);
	if (!s)
		say_missing(h->config, "auth-tls-secret", "all requests are refused",
			    ref->namespace, ref->name);
	demand = arena_new(&h->arena, struct certs_demand, 1);
	if (!demand) {
		h->no_memory = true;
		return;
	}
	demand->namespace = ref->namespace;
	demand->name = ref->name;
	demand->ca = item(s, "ca.crt", &demand->ca_len);
	demand->crl = item(s, "ca.crl", &demand->crl_len);
	demand->depth = policy->client_cert.depth;
	demand->verify = policy->client_cert.verify == POLICY_VERIFY_ON ? CERTS_VERIFY_ON
			 : policy->client_cert.verify == POLICY_VERIFY_OPTIONAL
				 ? CERTS_VERIFY_OPTIONAL
				 : CERTS_VERIFY_ANY;
	for (size_t r = 0; r < i->ingress.n_rules; r++)
		if (i->ingress.rules[r].host)
			add_host(h, i->ingress.rules[r].host, NULL, demand, false, &i->ingress);
}

static int older(const void *one, const void *two)
{
	const struct ingress *a = &(*(const struct config_ingress *const *)one)->ingress;
	const struct ingress *b = &(*(const struct config_ingress *const *)two)->ingress;
	int rc;

	if (a->created_ns != b->created_ns)
		return a->created_ns < b->created_ns ? -1 : 1;
	rc = strcmp(a->meta.namespace, b->meta.namespace);
	return rc ? rc : strcmp(a->meta.name, b->meta.name);
}

struct note {
	const struct ingress *source;
	char *reason;
};

struct notes_of_certs {
	struct VEC_OF(struct note) list;
	struct buf fallback;
};

/* Kept until the Ingresses are gone through: problems are told by object. */
static void on_note(void *ctx, const void *source, enum certs_severity severity, const char *reason)
{
	struct notes_of_certs *notes = ctx;
	struct note note = { .source = source };

	(void)severity;
	if (!source) {
		buf_printf(&notes->fallback, "%s%s", notes->fallback.len ? "; " : "", reason);
		return;
	}
	if (vec_reserve(&notes->list, 1) < 0)
		return;
	note.reason = strdup(reason);
	if (note.reason)
		notes->list.data[notes->list.len++] = note;
}

static int by_source(const void *one, const void *two)
{
	uintptr_t a = (uintptr_t)((const struct note *)one)->source;
	uintptr_t b = (uintptr_t)((const struct note *)two)->source;

	return (a > b) - (a < b);
}

struct ours VEC_OF(const struct config_ingress *);

/* Everything that concerns certificates of an Ingress: what is missing, then what the store says of what is there. */
static void tell(struct config *config, const struct ours *ours, struct hosts *h,
		 struct notes_of_certs *notes, bool first)
{
	struct problems *p = config->problems[CONFIG_CERTIFICATE];
	const struct config_ingress *const *i;

	vec_for_each(i, ours) {
		const struct ingress *ingress = &(*i)->ingress;
		char object[CONFIG_KEY_MAX + 16];

		subject(ingress, object);
		problem_begin(p, first ? "secret" : "certificate", object);
		if (first) {
			for (size_t t = 0; t < ingress->n_tls; t++)
				add_tls(h, ingress, &ingress->tls[t]);
			if ((*i)->policy)
				add_demand(h, *i);
		} else if (notes->list.len) {
			struct note key = { .source = ingress };
			struct note *n = bsearch(&key, notes->list.data, notes->list.len,
						 sizeof(key), by_source);

			while (n && n > notes->list.data && n[-1].source == ingress)
				n--;
			for (; n && n < notes->list.data + notes->list.len && n->source == ingress;
			     n++)
				problem_add(p, "%s", n->reason);
		}
		problem_end(p);
	}
}

void config_untell_certs(struct config *config, const struct config_ingress *i)
{
	struct problems *p = config->problems[CONFIG_CERTIFICATE];
	char object[CONFIG_KEY_MAX + 16];

	subject(&i->ingress, object);
	problem_set(p, "secret", object, NULL);
	problem_set(p, "certificate", object, NULL);
}

static const struct certs_secret *fallback_of(struct config *config, char namespace[256],
					      struct certs_secret *out)
{
	const struct config_secret *s;
	const char *name, *said = config->in.settings->default_tls;

	if (!split(said, namespace, &name))
		return NULL;
	s = config_secret_find(config, namespace, name);
	problem_set(
		config->problems[CONFIG_CERTIFICATE], "secret", "--default-tls",
		s ? NULL
		  : "the Secret does not exist, or may not be read: a certificate that was made at start is "
		    "used; create the Secret");
	if (!s)
		return NULL;
	fill_pair(s, namespace, name, out);
	return out;
}

static int build(struct config *config, const struct ours *ours, struct hosts *h,
		 struct notes_of_certs *notes)
{
	char namespace[256];
	struct certs_secret pair = { 0 };
	struct certs_input in = { .now_s = (int64_t)(clock_wall_ns() / CLOCK_NS_PER_S),
				  .seed = config->seed,
				  .note = on_note,
				  .ctx = notes };
	struct certs *certs;
	int rc;

	tell(config, ours, h, notes, true);
	if (h->no_memory)
		return -ENOMEM;
	in.fallback = fallback_of(config, namespace, &pair);
	in.hosts = h->list.data;
	in.n_hosts = h->list.len;
	rc = certs_build(config->certs_cache, &in, &certs);
	if (rc < 0)
		return rc;
	certs_drop(config->certs);
	config->certs = certs;
	if (notes->list.len)
		vec_sort(&notes->list, by_source);
	tell(config, ours, h, notes, false);
	problem_set(config->problems[CONFIG_CERTIFICATE], "certificate", "--default-tls",
		    notes->fallback.len ? buf_str(&notes->fallback) : NULL);
	return 0;
}

int config_make_certs(struct config *config)
{
	struct hosts h = { .config = config };
	struct notes_of_certs notes = { 0 };
	struct table_entry *entry;
	struct ours ours = { 0 };
	struct note *note;
	int rc = 0;

	table_for_each(entry, &config->ingresses) {
		const struct config_ingress *i = entry->value;

		if (i->ours && vec_push(&ours, i) < 0)
			rc = -ENOMEM;
	}
	vec_sort(&ours, older);
	if (rc == 0)
		rc = build(config, &ours, &h, &notes);
	vec_for_each(note, &notes.list)
		free(note->reason);
	vec_done(&notes.list);
	buf_done(&notes.fallback);
	vec_done(&h.list);
	arena_done(&h.arena);
	vec_done(&ours);
	return rc;
}

/* ---- TLS towards endpoints ------------------------------------------------------------------------------------ */

static void fill_origin(const struct config *config, const struct policy *policy,
			const char *service, bool http2, struct certs_secret *pair, char what[],
			size_t size, struct tls_origin_input *in)
{
	const struct policy_ref *ref = &policy->ssl.secret;
	const struct config_secret *s =
		ref->name ? config_secret_find(config, ref->namespace, ref->name) : NULL;

	if (s) {
		fill_pair(s, ref->namespace, ref->name, pair);
		in->secret = pair->crt ? pair : NULL;
		in->ca = item(s, "ca.crt", &in->ca_len);
		snprintf(what, size, "Secret %.250s/%.250s, ca.crt", ref->namespace, ref->name);
		in->ca_what = what;
	}
	in->verify = policy->ssl.verify;
	in->depth = policy->ssl.depth;
	in->name = policy->ssl.name ? policy->ssl.name : service;
	in->send_name = policy->ssl.server_name;
	in->http2 = http2;
	in->ciphers = policy->ssl.ciphers;
	in->tls1_2 = policy->ssl.tls1_2;
	in->tls1_3 = policy->ssl.tls1_3;
}

struct tls_origin *config_tls_origin(struct config *config, struct config_ingress *i,
				     const char *service, enum policy_protocol protocol)
{
	bool http2 = protocol == POLICY_GRPCS;
	struct tls_origin_input in = { 0 };
	struct certs_secret pair = { 0 };
	struct err err = { 0 };
	struct tls_origin *made;
	char what[560];

	if (protocol != POLICY_HTTPS && protocol != POLICY_GRPCS)
		return NULL;
	if (i->tls && strcmp(i->tls_service, service) == 0 && i->tls_http2 == http2)
		return tls_origin_hold(i->tls);
	fill_origin(config, i->policy, service, http2, &pair, what, sizeof(what), &in);
	if (tls_origin_new(&in, &made, &err) < 0) {
		buf_printf(&i->policy_notes, "TLS to endpoints: %s", err.what);
		buf_putc(&i->policy_notes, 0);
		return NULL;
	}
	free(i->tls_service);
	tls_origin_drop(i->tls);
	i->tls = NULL;
	i->tls_service = strdup(service);
	if (i->tls_service) {
		i->tls = tls_origin_hold(made);
		i->tls_http2 = http2;
	}
	return made;
}
