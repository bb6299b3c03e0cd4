// SPDX-License-Identifier: GPL-2.0-only
/* Makes one Ingress's annotations into a policy, and says what cannot be taken. */
/* Must not know requests, or how single values are read. */
#include "ingress/policy.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/options.h"
#include "base/table.h"
#include "ingress/auth.h"
#include "ingress/match.h"
#include "ingress/policy_table.h"
#include "ingress/setting.h"

static const struct policy defaults = {
	.refs = 1,
	.ssl_redirect = true,
	.access_log = true,
	.limit = { .burst = 5 },
	.cors = { .any_origin = true,
		  .methods = "GET, PUT, POST, DELETE, PATCH, OPTIONS",
		  .headers =
			  "DNT,Keep-Alive,User-Agent,X-Requested-With,If-Modified-Since,Cache-Control,"
			  "Content-Type,Range,Authorization",
		  .credentials = true,
		  .max_age = "1728000" },
	.auth = { .realm = "Authentication Required" },
	.ask = { .method = "GET", .signin_param = "rd" },
	.client_cert = { .depth = 1 },
	.wait_ns = UINT64_MAX,
	.next = POLICY_NEXT_ERROR | POLICY_NEXT_TIMEOUT,
	.next_tries = POLICY_TRIES_UNSAID,
	.ssl = { .depth = 1 },
	.affinity = { .cookie = "INGRESSCOOKIE" },
	.canary = { .weight_total = 100 },
};

/* ---- notes ----------------------------------------------------------------------------------------------------- */

#define NAME_SHOWN  100
#define VALUE_SHOWN 80

/* Of text that an Ingress has, so that it can stand in a log: at most max bytes, in out (max + 4). */
static const char *show(const char *text, size_t max, char *out)
{
	size_t n = 0;

	for (; text[n] && n < max; n++)
		out[n] = (unsigned char)text[n] < 0x20 || text[n] == 0x7f ? '?' : text[n];
	memcpy(out + n, text[n] ? "..." : "", text[n] ? 4 : 1);
	return out;
}

static void say(struct reader *r, enum policy_severity severity, const char *value,
		const char *format, va_list args)
{
	char name[NAME_SHOWN + 4], shown[VALUE_SHOWN + 4], what[512], clean[sizeof(what) + 4];
	char reason[1024];

	if (!r->in->note)
		return;
	show(r->name, NAME_SHOWN, name);
	vsnprintf(what, sizeof(what), format, args);
	show(what, sizeof(what), clean);
	if (value)
		snprintf(reason, sizeof(reason), "annotation %s is \"%s\": %s", name,
			 show(value, VALUE_SHOWN, shown), clean);
	else
		snprintf(reason, sizeof(reason), "annotation %s %s", name, clean);
	r->in->note(r->in->ctx, r->in->ingress, severity, reason);
}

bool policy_bad(struct reader *r, const char *value, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say(r, POLICY_REFUSED, value, format, args);
	va_end(args);
	return false;
}

void policy_warn(struct reader *r, const char *value, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say(r, POLICY_WARNING, value, format, args);
	va_end(args);
}

/* Nothing passes: what is to protect cannot be kept. */
static void shut(struct reader *r, const char *what)
{
	const char *reason;

	if (r->policy->closed)
		return;
	reason = arena_printf(r->arena, "annotation %s: %s", r->name, what);
	r->no_memory |= !reason;
	r->policy->closed = reason;
}

/* ---- one annotation -------------------------------------------------------------------------------------------- */

static void read_row(struct reader *r, const struct annotation *row,
		     const struct ingress_annotation *a)
{
	struct policy before = *r->policy;

	r->row = row;
	r->name = a->name;
	switch (row->state) {
	case ANNOTATION_TAKEN:
		if (row->read(r, a->value) || r->no_memory || row->read == read_canary_pattern)
			return;
		*r->policy = before;
		if (row->guard)
			shut(r, "its value cannot be kept");
		return;
	case ANNOTATION_ROUTES:
	case ANNOTATION_NEEDLESS:
		return;
	case ANNOTATION_MISSING:
		policy_bad(r, NULL, "is not supported and has no effect: %s", row->help);
		return;
	case ANNOTATION_REFUSED:
		policy_bad(r, NULL, "is never taken: %s", row->help);
		return;
	}
}

static const char *nearest(const char *name)
{
	static const char *names[256];

	if (!names[0]) {
		size_t n = 0;

		for (const struct annotation *row = policy_table; row->name && n < 255; row++)
			if (row->state == ANNOTATION_TAKEN || row->state == ANNOTATION_ROUTES)
				names[n++] = row->name;
	}
	return options_nearest(name, names);
}

static void say_unknown(struct reader *r, const struct ingress_annotation *a)
{
	const char *near = nearest(setting_name(a->name));

	r->name = a->name;
	if (near)
		policy_bad(r, NULL, "is not known and has no effect: did you mean \"%s\"?", near);
	else
		policy_bad(
			r, NULL,
			"is not known and has no effect: remove it, or look into the list of annotations");
}

static const struct annotation *find_row(const char *annotation)
{
	const char *name = setting_name(annotation);
	bool own = annotation[0] == INGRESS_SLUICE[0];

	for (const struct annotation *row = policy_table; name && row->name; row++)
		if (strcmp(row->name, name) == 0 && (own || !row->own))
			return row;
	return NULL;
}

/* In the table's order, whatever the order in the object is. */
static int read_all(struct reader *r)
{
	const struct ingress *in = r->in->ingress;
	const struct ingress_annotation **found;
	size_t n_rows = 0;

	while (policy_table[n_rows].name)
		n_rows++;
	found = calloc(n_rows, sizeof(*found));
	r->no_memory = !found;
	if (!found)
		return -ENOMEM;
	for (size_t i = 0; i < in->n_annotations; i++) {
		const struct ingress_annotation *a = &in->annotations[i];
		const struct annotation *row = find_row(a->name);
		const struct ingress_annotation **slot = row ? &found[row - policy_table] : NULL;

		if (!slot && setting_name(a->name))
			say_unknown(r, a);
		else if (slot && (!*slot || a->name[0] == INGRESS_SLUICE[0]))
			*slot = a;
	}
	for (size_t i = 0; i < n_rows && !r->no_memory; i++)
		if (found[i])
			read_row(r, &policy_table[i], found[i]);
	free(found);
	return r->no_memory ? -ENOMEM : 0;
}

/* ---- what only means something together --------------------------------------------------------------------------- */

static void on_user(void *ctx, const char *reason)
{
	struct reader *r = ctx;

	policy_warn(r, r->policy->auth.secret.name, "%s", reason);
}

static void finish_basic(struct reader *r)
{
	struct policy *p = r->policy;
	const struct secret *secret = NULL;
	int rc;

	if (p->auth.type == POLICY_AUTH_NONE)
		return;
	r->name = INGRESS_NGINX "auth-secret";
	if (!p->auth.secret.name) {
		if (!p->closed)
			policy_bad(
				r, NULL,
				"is missing: name a Secret with the passwords; until then the answer is 503");
		shut(r, "no Secret is named");
		return;
	}
	if (r->in->secret)
		secret = r->in->secret(r->in->ctx, p->auth.secret.namespace, p->auth.secret.name);
	if (!secret) {
		policy_bad(
			r, p->auth.secret.name,
			"there is no such Secret, or it may not be read; until then the answer is 503");
		shut(r, "the Secret is missing");
		return;
	}
	rc = auth_users_new(secret, r->auth_map, on_user, r, &p->auth.users);
	r->no_memory |= rc == -ENOMEM;
	if (rc == -ENOENT) {
		policy_bad(
			r, p->auth.secret.name, "nobody is in it: %s; until then the answer is 503",
			r->auth_map
				? "give each user a key with a hash"
				: "put lines \"user:hash\" under the key \"auth\", or set auth-secret-type: auth-map");
		shut(r, "the Secret has no users");
	}
}

static void finish_canary(struct reader *r)
{
	struct policy *p = r->policy;

	r->name = INGRESS_NGINX "canary";
	if (!p->canary.enabled)
		return;
	if (!p->canary.weight && !p->canary.header && !p->canary.cookie)
		policy_warn(
			r, "true",
			"nothing leads to it; set canary-weight, canary-by-header or canary-by-cookie");
	else if (p->canary.weight > p->canary.weight_total)
		p->canary.weight = p->canary.weight_total;
	if (p->canary.header_value || p->canary.header_pattern)
		if (!p->canary.header)
			policy_warn(r, "true", "a value without canary-by-header has no effect");
}

static void finish_ask(struct reader *r)
{
	struct policy *p = r->policy;

	if (p->ask.signin.n && !p->ask.url.host) {
		r->name = INGRESS_NGINX "auth-signin";
		policy_bad(r, NULL, "has no effect without auth-url");
	}
}

static void finish_client_cert(struct reader *r)
{
	struct policy *p = r->policy;

	if (p->client_cert.verify == POLICY_VERIFY_OFF)
		p->client_cert.secret.name = NULL;
	if (p->client_cert.match_cn && !p->client_cert.secret.name) {
		r->name = INGRESS_NGINX "auth-tls-match-cn";
		policy_bad(r, NULL, "has no effect without auth-tls-secret");
	}
}

static unsigned what_it_has(const struct policy *p)
{
	unsigned has = 0;

	has |= p->has_allow || p->deny.n ? POLICY_HAS_RANGES : 0;
	has |= p->limit.connections || p->limit.rps || p->limit.rpm ? POLICY_HAS_LIMITS : 0;
	has |= p->app_root || p->redirect.n ? POLICY_HAS_REDIRECT : 0;
	has |= p->cors.enabled ? POLICY_HAS_CORS : 0;
	has |= p->client_cert.secret.name ? POLICY_HAS_CLIENT_CERT : 0;
	has |= p->auth.type != POLICY_AUTH_NONE ? POLICY_HAS_BASIC : 0;
	has |= p->ask.url.host ? POLICY_HAS_EXTERNAL : 0;
	has |= p->affinity.enabled ? POLICY_HAS_AFFINITY : 0;
	has |= p->hash.n ? POLICY_HAS_HASH : 0;
	has |= p->request_headers.n || p->response_headers.n || p->forwarded_prefix
		       ? POLICY_HAS_HEADERS
		       : 0;
	return has;
}

static void finish(struct reader *r)
{
	struct policy *p = r->policy;

	finish_basic(r);
	finish_ask(r);
	finish_client_cert(r);
	finish_canary(r);
	if (p->hash_bound && !p->hash.n) {
		r->name = INGRESS_SLUICE "hash-load-factor";
		policy_bad(r, NULL, "has no effect without upstream-hash-by");
	}
	if (p->redirect.n == 0)
		p->redirect_status = 0;
	p->has = what_it_has(p);
}

/* ---- life ------------------------------------------------------------------------------------------------------- */

bool policy_is_plain(const struct ingress *ingress)
{
	for (size_t i = 0; i < ingress->n_annotations; i++)
		if (setting_name(ingress->annotations[i].name))
			return false;
	return true;
}

static uint64_t id_of(const struct object_meta *meta)
{
	return table_hash(table_hash(0, meta->namespace, strlen(meta->namespace)), meta->name,
			  strlen(meta->name));
}

int policy_build(const struct policy_input *input, struct policy **ret_policy)
{
	struct policy_owner *owner = calloc(1, sizeof(*owner));
	struct reader r = { .in = input };

	if (!owner)
		return -ENOMEM;
	r.policy = &owner->policy;
	r.arena = &owner->arena;
	*r.policy = defaults;
	r.policy->hsts = input->hsts;
	r.policy->id = id_of(&input->ingress->meta);
	if (read_all(&r) == 0)
		finish(&r);
	if (r.no_memory) {
		policy_drop(r.policy);
		return -ENOMEM;
	}
	*ret_policy = r.policy;
	return 0;
}

struct policy *policy_hold(const struct policy *policy)
{
	struct policy *p = (struct policy *)policy; /* what is counted is not what is said */

	if (p != &defaults)
		atomic_fetch_add_explicit(&p->refs, 1, memory_order_relaxed);
	return p;
}

void policy_drop(const struct policy *policy)
{
	struct policy *p = (struct policy *)policy;
	struct policy_owner *owner = (struct policy_owner *)p;

	if (!p || p == &defaults || atomic_fetch_sub(&p->refs, 1) != 1)
		return;
	auth_users_free(p->auth.users);
	match_drop(p->client_cert.match_cn);
	match_drop(p->canary.header_pattern);
	arena_done(&owner->arena);
	free(owner);
}

const struct policy *policy_none(void)
{
	return &defaults;
}
