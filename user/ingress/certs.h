/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef INGRESS_CERTS_H
#define INGRESS_CERTS_H

/*
 * Which certificate a client is shown, and which it must show: a host of SNI or Host to a certificate with its key and, where an
 * Ingress asks for client certificates, to what is demanded of them. Exact hosts, then "*." for one label, then the default.
 *
 * A store is immutable and counted: the control thread builds a new one from Secrets and hands it on; connections that began
 * before keep what they chose. Certificates are parsed once and cached by content, so a build costs what has changed.
 * Keys are in memory only. No I/O; no TLS connection either.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct evp_pkey_st;
struct stack_st_X509;
struct stack_st_X509_NAME;
struct x509_st;
struct x509_store_st;

/* ---- what is chosen ------------------------------------------------------------------------------------------- */

struct cert {
	_Atomic unsigned refs;
	struct x509_st *leaf;
	struct evp_pkey_st *key;
	struct stack_st_X509 *chain; /* without the leaf; NULL: none */
	char *secret; /* namespace/name, where it was first met; "" for the made one */
	int64_t not_before_s, not_after_s; /* Unix time */
};

enum certs_verify {
	CERTS_VERIFY_ON,       /* one that verifies */
	CERTS_VERIFY_OPTIONAL, /* none, or one that verifies */
	CERTS_VERIFY_ANY,      /* none, or any: "optional_no_ca" */
};

/* What is demanded of clients. */
struct certs_client {
	_Atomic unsigned refs;
	enum certs_verify verify;
	unsigned depth;
	struct x509_store_st *store; /* CAs, CRLs; NULL: none (CERTS_VERIFY_ANY) */
	struct stack_st_X509_NAME
		*names;       /* the CAs' names, for the handshake; NULL where store is */
	unsigned char id[32]; /* of the content: equal demands have equal ones */
};

struct certs_choice {
	struct cert *cert;           /* never NULL; borrowed from the store */
	struct certs_client *client; /* NULL: nothing is demanded; borrowed */
	bool is_default;             /* no certificate is for this host */
};

struct certs;

/* host: any case, without port and final dot; len 0: none was named. */
struct certs_choice certs_find(const struct certs *certs, const char *host, size_t len);

struct cert *cert_hold(struct cert *cert);
void cert_drop(struct cert *cert); /* NULL is fine */
struct certs_client *certs_client_hold(struct certs_client *client);
void certs_client_drop(struct certs_client *client); /* NULL is fine */

/* ---- building ----------------------------------------------------------------------------------------------------- */

/* Data of a Secret of type kubernetes.io/tls; borrowed for the call. */
struct certs_secret {
	const char *namespace;
	const char *name;
	const char *crt; /* tls.crt: PEM, leaf first; NULL: the Secret has no such field */
	size_t crt_len;
	const char *key; /* tls.key: PEM, not encrypted */
	size_t key_len;
	uint64_t
		tag; /* of this content, of the caller's choice: the same tag is not read again; 0: content is compared */
};

/* auth-tls-*; borrowed for the call. */
struct certs_demand {
	const char *namespace; /* of the Secret */
	const char *name;
	const char *ca; /* ca.crt: PEM, any number; NULL: the Secret has no such field */
	size_t ca_len;
	const char *crl; /* ca.crl: PEM, or NULL */
	size_t crl_len;
	enum certs_verify verify;
	unsigned depth; /* 0: 1 */
};

/* A host may come several times: of the certificates the first that covers the host counts, of the demands the first. */
struct certs_host {
	const char *host;                  /* "*.example.com" for one label; any case */
	const struct certs_secret *secret; /* NULL: none here, only a demand */
	const struct certs_demand *demand; /* NULL: none */
	bool maybe; /* not named for this host: used if it covers it, and nothing is said if not */
	const void *source; /* goes to note() */
};

enum certs_severity {
	CERTS_REFUSED, /* not used: hosts get the next, or the default certificate */
	CERTS_WARNING, /* used, but look at it */
};

/* `reason` is a sentence that names the Secret, its field and the remedy, valid during the call. Said once for each pair of
 * source and reason that follow each other. */
typedef void certs_note_fn(void *ctx, const void *source, enum certs_severity severity,
			   const char *reason);

struct certs_input {
	const struct certs_host *hosts; /* who comes first counts: oldest Ingress first */
	size_t n_hosts;
	const struct certs_secret *
		fallback; /* the default certificate; NULL, or not usable: one is made, self-signed */
	int64_t now_s;    /* Unix time, for expiry */
	uint64_t seed;    /* of the hash table */
	certs_note_fn *note; /* may be NULL; source is NULL for the fallback */
	void *ctx;
};

/* What was parsed, by content; of one thread. */
struct certs_cache;

int certs_cache_new(
	struct certs_cache **ret_cache);          /* 0, -ENOMEM or -EIO (OpenSSL does not work) */
void certs_cache_free(struct certs_cache *cache); /* NULL is fine; stores live on */

/* 0 or -ENOMEM. A host whose demand cannot be met (no CA that can be read) demands what nobody has: it is not served without.
 * Whatever in the cache is of no use any more is let go. */
int certs_build(struct certs_cache *cache, const struct certs_input *input,
		struct certs **ret_certs);

struct certs *certs_hold(struct certs *certs);
void certs_drop(struct certs *certs); /* NULL is fine */

/* Every certificate of the store with a host that has it ("" for the default): for metrics and pages. */
typedef void certs_each_fn(void *ctx, const char *host, const struct cert *cert);
void certs_each(const struct certs *certs, certs_each_fn *fn, void *ctx);

/* ---- pieces, for other users of PEM ------------------------------------------------------------------------------- */

/* A certificate with its key from a Secret; counted. -EINVAL with a sentence, or -ENOMEM. */
int cert_parse(const struct certs_secret *secret, struct cert **ret_cert, struct err *err);

/* CAs (and CRLs, may be NULL) as a store, and their names (ret_names may be NULL). what: e.g. "Secret shop/ca, ca.crt". The same
 * errors. */
int certs_parse_store(const char *what, const char *ca, size_t ca_len, const char *crl,
		      size_t crl_len, struct x509_store_st **ret_store,
		      struct stack_st_X509_NAME **ret_names, struct err *err);

#endif
