// SPDX-License-Identifier: GPL-2.0-only
/* Which certificate a host gets, and what is demanded of its clients: a counted table, built from Secrets. */
/* Must not know connections, Ingresses or where Secrets come from. */
#include "ingress/certs.h"

#include <ctype.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/table.h"
#include "ingress/certs_parse.h"

#define HOST_MAX 253

struct entry {
	struct cert *cert;           /* counted; NULL: the default one */
	struct certs_client *client; /* counted, or NULL */
};

struct certs {
	_Atomic unsigned refs;
	struct table hosts; /* lower case, "*.…" for wildcards, to struct entry */
	struct cert *fallback;
};

struct certs_cache {
	struct table certs;   /* digest of PEM to struct cert, counted */
	struct table clients; /* the same to struct certs_client */
	struct cert *made;    /* self-signed, once needed */
};

CLEANUP_DEFINE(struct cert *, cert_drop);
CLEANUP_DEFINE(struct certs *, certs_drop);

/* ---- counted ---------------------------------------------------------------------------------------------------- */

struct cert *cert_hold(struct cert *cert)
{
	atomic_fetch_add_explicit(&cert->refs, 1, memory_order_relaxed);
	return cert;
}

struct certs_client *certs_client_hold(struct certs_client *client)
{
	atomic_fetch_add_explicit(&client->refs, 1, memory_order_relaxed);
	return client;
}

struct certs *certs_hold(struct certs *certs)
{
	atomic_fetch_add_explicit(&certs->refs, 1, memory_order_relaxed);
	return certs;
}

static bool was_last(_Atomic unsigned *refs)
{
	return atomic_fetch_sub_explicit(refs, 1, memory_order_acq_rel) == 1;
}

void cert_drop(struct cert *cert)
{
	if (!cert || !was_last(&cert->refs))
		return;
	X509_free(cert->leaf);
	EVP_PKEY_free(cert->key);
	sk_X509_pop_free(cert->chain, X509_free);
	free(cert->secret);
	free(cert);
}

void certs_client_drop(struct certs_client *client)
{
	if (!client || !was_last(&client->refs))
		return;
	X509_STORE_free(client->store);
	sk_X509_NAME_pop_free(client->names, X509_NAME_free);
	free(client);
}

static void drop_cert(void *cert)
{
	cert_drop(cert);
}

static void drop_client(void *client)
{
	certs_client_drop(client);
}

static void entry_free(void *value)
{
	struct entry *entry = value;

	cert_drop(entry->cert);
	certs_client_drop(entry->client);
	free(entry);
}

void certs_drop(struct certs *certs)
{
	if (!certs || !was_last(&certs->refs))
		return;
	table_done(&certs->hosts, entry_free);
	cert_drop(certs->fallback);
	free(certs);
}

/* ---- looking up --------------------------------------------------------------------------------------------------- */

/* Lower case into `to` of HOST_MAX bytes; 0: no host name. */
static size_t lower(const char *host, size_t len, char *to)
{
	if (len > 1 && host[len - 1] == '.')
		len--;
	if (len > HOST_MAX)
		return 0;
	for (size_t i = 0; i < len; i++)
		to[i] = (char)tolower((unsigned char)host[i]);
	return len;
}

/* "*.b.c" for "a.b.c", else nothing; `host` is overwritten up to the dot. */
static const struct entry *find_wildcard(const struct certs *certs, char *host, size_t len)
{
	char *dot = memchr(host, '.', len);

	if (!dot || dot == host)
		return NULL;
	dot[-1] = '*';
	return table_get(&certs->hosts, dot - 1, len - (size_t)(dot - 1 - host));
}

struct certs_choice certs_find(const struct certs *certs, const char *host, size_t len)
{
	char name[HOST_MAX];
	const struct entry *entry = NULL;
	size_t n = lower(host, len, name);

	if (n)
		entry = table_get(&certs->hosts, name, n);
	if (!entry && n)
		entry = find_wildcard(certs, name, n);
	return (struct certs_choice){
		.cert = entry && entry->cert ? entry->cert : certs->fallback,
		.client = entry ? entry->client : NULL,
		.is_default = !entry || !entry->cert,
	};
}

void certs_each(const struct certs *certs, certs_each_fn *fn, void *ctx)
{
	struct table_entry *e;

	table_for_each(e, &certs->hosts) {
		const struct entry *entry = e->value;

		if (entry->cert)
			fn(ctx, e->key, entry->cert);
	}
	fn(ctx, "", certs->fallback);
}

/* ---- the cache ------------------------------------------------------------------------------------------------------ */

struct digest {
	unsigned char bytes[32];
};

/* Lengths are part of it, so that no two contents are cut differently to the same bytes. */
static int digest_of(const void *const *parts, const size_t *lens, size_t n,
		     struct digest *ret_digest)
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	int ok = md && EVP_DigestInit_ex(md, EVP_sha256(), NULL);

	for (size_t i = 0; i < n; i++)
		ok = ok && EVP_DigestUpdate(md, &lens[i], sizeof(lens[i])) &&
		     (!lens[i] || EVP_DigestUpdate(md, parts[i], lens[i]));
	ok = ok && EVP_DigestFinal_ex(md, ret_digest->bytes, NULL);
	EVP_MD_CTX_free(md);
	return ok ? 0 : -ENOMEM;
}

int certs_cache_new(struct certs_cache **ret_cache)
{
	struct certs_cache *cache = calloc(1, sizeof(*cache));

	if (!cache)
		return -ENOMEM;
	if (!EVP_sha256()) {
		free(cache);
		return -EIO;
	}
	/* The keys are digests: nobody can choose them. */
	table_init(&cache->certs, 1);
	table_init(&cache->clients, 2);
	*ret_cache = cache;
	return 0;
}

void certs_cache_free(struct certs_cache *cache)
{
	if (!cache)
		return;
	table_done(&cache->certs, drop_cert);
	table_done(&cache->clients, drop_client);
	cert_drop(cache->made);
	free(cache);
}

/* What nobody else holds can only have been used by stores that are gone. */
static void let_go(struct certs_cache *cache)
{
	struct table_entry *e;

	table_for_each(e, &cache->certs) {
		struct cert *cert = e->value;

		if (atomic_load(&cert->refs) == 1) {
			table_remove(&cache->certs, e->key, e->key_len);
			cert_drop(cert);
		}
	}
	table_for_each(e, &cache->clients) {
		struct certs_client *client = e->value;

		if (atomic_load(&client->refs) == 1) {
			table_remove(&cache->clients, e->key, e->key_len);
			certs_client_drop(client);
		}
	}
}

static int digest_of_secret(const struct certs_secret *secret, struct digest *ret_digest)
{
	const void *parts[] = { secret->crt, secret->key };
	const size_t lens[] = { secret->crt ? secret->crt_len : 0,
				secret->key ? secret->key_len : 0 };

	if (!secret->tag)
		return digest_of(parts, lens, 2, ret_digest);
	*ret_digest = (struct digest){ 0 };
	memcpy(ret_digest->bytes, &secret->tag, sizeof(secret->tag));
	return 0;
}

/* Counted for the caller. */
static int get_cert(struct certs_cache *cache, const struct certs_secret *secret,
		    struct cert **ret_cert, struct err *err)
{
	struct digest digest;
	struct cert *cert;
	int rc = digest_of_secret(secret, &digest);

	if (rc < 0)
		return rc;
	cert = table_get(&cache->certs, &digest, sizeof(digest));
	if (cert) {
		*ret_cert = cert_hold(cert);
		return 0;
	}
	rc = cert_parse(secret, &cert, err);
	if (rc < 0)
		return rc;
	rc = table_put(&cache->certs, &digest, sizeof(digest), cert, NULL);
	if (rc < 0) {
		cert_drop(cert);
		return rc;
	}
	*ret_cert = cert_hold(cert);
	return 0;
}

static int client_new(const struct certs_demand *demand, const struct digest *digest,
		      struct certs_client **ret_client, struct err *err)
{
	struct certs_client *client = calloc(1, sizeof(*client));
	char what[600];
	int rc = 0;

	if (!client)
		return -ENOMEM;
	client->refs = 1;
	client->verify = demand->verify;
	client->depth = demand->depth ? demand->depth : 1;
	memcpy(client->id, digest, sizeof(client->id));
	snprintf(what, sizeof(what), "Secret %s/%s, ca.crt", demand->namespace, demand->name);
	if (demand->ca)
		rc = certs_parse_store(what, demand->ca, demand->ca_len, demand->crl,
				       demand->crl_len, &client->store, &client->names, err);
	else if (demand->verify != CERTS_VERIFY_ANY)
		rc = err_set(err, -EINVAL,
			     "%s: the field is missing, so no client certificate can be verified; "
			     "add the CA's certificates in PEM",
			     what);
	if (rc == -EINVAL) { /* an empty store trusts nobody */
		client->store = X509_STORE_new();
		client->names = sk_X509_NAME_new_null();
		rc = client->store && client->names ? -EINVAL : -ENOMEM;
	}
	if (rc < 0 && rc != -EINVAL) {
		certs_client_drop(client);
		return rc;
	}
	*ret_client = client;
	return rc;
}

/* Counted for the caller; with -EINVAL and a sentence too: then one that nobody meets. */
static int get_client(struct certs_cache *cache, const struct certs_demand *demand,
		      struct certs_client **ret_client, struct err *err)
{
	const unsigned char how[] = { (unsigned char)demand->verify, (unsigned char)demand->depth };
	const void *parts[] = { demand->ca, demand->crl, how };
	const size_t lens[] = { demand->ca ? demand->ca_len : 0, demand->crl ? demand->crl_len : 0,
				sizeof(how) };
	struct digest digest;
	struct certs_client *client;
	int rc = digest_of(parts, lens, 3, &digest);

	if (rc < 0)
		return rc;
	client = table_get(&cache->clients, &digest, sizeof(digest));
	if (client) {
		*ret_client = certs_client_hold(client);
		return 0;
	}
	rc = client_new(demand, &digest, &client, err);
	if (rc == -EINVAL) {
		*ret_client = client; /* not kept, so that it is said again */
		return rc;
	}
	if (rc == 0)
		rc = table_put(&cache->clients, &digest, sizeof(digest), client, NULL);
	if (rc < 0) {
		certs_client_drop(client);
		return rc;
	}
	*ret_client = certs_client_hold(client);
	return 0;
}

/* ---- building ------------------------------------------------------------------------------------------------------- */

struct building {
	struct certs_cache *cache;
	const struct certs_input *input;
	struct certs *certs;
	const void *said_source; /* the last thing that was said */
	char said[sizeof(((struct err *)0)->what)];
};

static void note(struct building *b, const void *source, enum certs_severity severity,
		 const char *reason)
{
	if (!b->input->note || (b->said_source == source && strcmp(b->said, reason) == 0))
		return;
	b->said_source = source;
	snprintf(b->said, sizeof(b->said), "%s", reason);
	b->input->note(b->input->ctx, source, severity, reason);
}

static void note_age(struct building *b, const void *source, const struct certs_secret *secret,
		     const struct cert *cert)
{
	struct err err;
	int64_t now = b->input->now_s;

	if (cert->not_after_s < now)
		err_set(&err, 0,
			"Secret %s/%s, tls.crt: the certificate expired %lld days ago; it is used all the "
			"same, clients will complain; renew it",
			secret->namespace, secret->name,
			(long long)((now - cert->not_after_s) / 86400));
	else if (cert->not_before_s > now)
		err_set(&err, 0,
			"Secret %s/%s, tls.crt: the certificate is not valid yet, for another %lld "
			"minutes; it is used all the same; compare the clocks",
			secret->namespace, secret->name,
			(long long)((cert->not_before_s - now) / 60 + 1));
	else
		return;
	note(b, source, CERTS_WARNING, err.what);
}

static bool covers(const struct cert *cert, const char *host)
{
	return X509_check_host(cert->leaf, host, strlen(host), X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS,
			       NULL) == 1;
}

/* The entry of a host, made if there was none. */
static int entry_of(struct building *b, const char *host, struct entry **ret_entry)
{
	size_t len = strlen(host);
	struct entry *entry = table_get(&b->certs->hosts, host, len);
	int rc;

	if (!entry) {
		entry = calloc(1, sizeof(*entry));
		rc = entry ? table_put(&b->certs->hosts, host, len, entry, NULL) : -ENOMEM;
		if (rc < 0) {
			free(entry);
			return rc;
		}
	}
	*ret_entry = entry;
	return 0;
}

static int add_cert(struct building *b, const struct certs_host *h, const char *host,
		    struct entry *entry)
{
	_cleanup_(cert_dropp) struct cert *cert = NULL;
	struct err err = { 0 };
	int rc;

	if (!h->secret || entry->cert)
		return 0;
	rc = get_cert(b->cache, h->secret, &cert, &err);
	if (rc == -ENOMEM)
		return rc;
	if (rc == 0 && !covers(cert, host))
		rc = err_set(
			&err, -EINVAL,
			"Secret %s/%s, tls.crt: the certificate's names do not cover the host %s, "
			"which gets the default certificate; issue one for this host",
			h->secret->namespace, h->secret->name, h->host);
	if (rc < 0) {
		if (!h->maybe)
			note(b, h->source, CERTS_REFUSED, err.what);
		return 0;
	}
	note_age(b, h->source, h->secret, cert);
	entry->cert = TAKE_PTR(cert);
	return 0;
}

static int add_demand(struct building *b, const struct certs_host *h, struct entry *entry)
{
	struct err err = { 0 };
	int rc;

	if (!h->demand || entry->client)
		return 0;
	rc = get_client(b->cache, h->demand, &entry->client, &err);
	if (rc == -EINVAL) {
		note(b, h->source, CERTS_REFUSED, err.what);
		return 0;
	}
	return rc;
}

static int add_host(struct building *b, const struct certs_host *h)
{
	char host[HOST_MAX + 1];
	struct entry *entry;
	size_t len = lower(h->host, strlen(h->host), host);
	int rc;

	if (!len)
		return 0; /* such an Ingress is refused elsewhere */
	host[len] = '\0';
	rc = entry_of(b, host, &entry);
	if (rc == 0)
		rc = add_cert(b, h, host, entry);
	return rc == 0 ? add_demand(b, h, entry) : rc;
}

static int set_fallback(struct building *b)
{
	const struct certs_secret *secret = b->input->fallback;
	struct err err = { 0 };
	int rc;

	if (secret) {
		rc = get_cert(b->cache, secret, &b->certs->fallback, &err);
		if (rc == 0)
			note_age(b, NULL, secret, b->certs->fallback);
		if (rc != -EINVAL)
			return rc;
		note(b, NULL, CERTS_REFUSED, err.what);
	}
	if (!b->cache->made) {
		rc = cert_make(b->input->now_s, &b->cache->made);
		if (rc < 0)
			return rc;
	}
	b->certs->fallback = cert_hold(b->cache->made);
	return 0;
}

int certs_build(struct certs_cache *cache, const struct certs_input *input,
		struct certs **ret_certs)
{
	_cleanup_(certs_dropp) struct certs *certs = calloc(1, sizeof(*certs));
	struct building b = { .cache = cache, .input = input, .certs = certs };
	int rc;

	if (!certs)
		return -ENOMEM;
	certs->refs = 1;
	table_init(&certs->hosts, input->seed);
	rc = set_fallback(&b);
	for (size_t i = 0; rc == 0 && i < input->n_hosts; i++)
		rc = add_host(&b, &input->hosts[i]);
	if (rc < 0)
		return rc;
	let_go(cache);
	*ret_certs = TAKE_PTR(certs);
	return 0;
}
