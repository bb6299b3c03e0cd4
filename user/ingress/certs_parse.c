// SPDX-License-Identifier: GPL-2.0-only
/* PEM of Secrets into certificates, keys and stores of CAs, with a sentence for whatever is wrong with it. */
/* Must not know hosts, and keep nothing. */
#include "ingress/certs_parse.h"

#include <errno.h>
#include <limits.h>
#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

#define MADE_FOR_S (366 * INT64_C(86400))

CLEANUP_DEFINE(BIO *, BIO_free_all);
CLEANUP_DEFINE(struct cert *, cert_drop);
CLEANUP_DEFINE(X509 *, X509_free);
CLEANUP_DEFINE(X509_CRL *, X509_CRL_free);
CLEANUP_DEFINE(SSL *, SSL_free);

static void names_free(STACK_OF(X509_NAME) * names)
{
	sk_X509_NAME_pop_free(names, X509_NAME_free);
}
CLEANUP_DEFINE(X509_STORE *, X509_STORE_free);
CLEANUP_DEFINE(STACK_OF(X509_NAME) *, names_free);

static BIO *over(const char *bytes, size_t len)
{
	return len <= INT_MAX ? BIO_new_mem_buf(bytes, (int)len) : NULL;
}

/* Secrets have no pass phrase; OpenSSL would ask the terminal. */
static int no_password(char *to, int size, int writing, void *arg)
{
	(void)to;
	(void)size;
	(void)writing;
	(void)arg;
	return -1;
}

/* The queue is emptied; true if all it says is that no further PEM block was there. */
static bool just_ended(void)
{
	unsigned long e = ERR_peek_last_error();
	bool end = ERR_GET_LIB(e) == ERR_LIB_PEM && ERR_GET_REASON(e) == PEM_R_NO_START_LINE;

	ERR_clear_error();
	return end;
}

static bool out_of_memory(void)
{
	return ERR_GET_REASON(ERR_peek_error()) == ERR_R_MALLOC_FAILURE;
}

static int64_t unix_time(const ASN1_TIME *time)
{
	struct tm tm;

	return time && ASN1_TIME_to_tm(time, &tm) ? (int64_t)timegm(&tm) : 0;
}

/* ---- a certificate and its key ---------------------------------------------------------------------------------------- */

static int read_chain(const struct certs_secret *s, struct cert *cert, struct err *err)
{
	_cleanup_(BIO_free_allp) BIO *bio = over(s->crt, s->crt_len);
	X509 *x;

	if (!bio)
		return -ENOMEM;
	cert->leaf = PEM_read_bio_X509_AUX(bio, NULL, no_password, NULL);
	if (!cert->leaf) {
		bool none = just_ended();

		return err_set(err, -EINVAL,
			       "Secret %s/%s, tls.crt: %s; put the certificate there in PEM",
			       s->namespace, s->name,
			       none ? "there is no PEM certificate in it"
				    : "the first certificate cannot be read");
	}
	while ((x = PEM_read_bio_X509(bio, NULL, no_password, NULL))) {
		if (!cert->chain)
			cert->chain = sk_X509_new_null();
		if (!cert->chain || !sk_X509_push(cert->chain, x)) {
			X509_free(x);
			return -ENOMEM;
		}
	}
	if (!just_ended())
		return err_set(err, -EINVAL,
			       "Secret %s/%s, tls.crt: certificate %d of the chain cannot be read; "
			       "put the whole chain there in PEM",
			       s->namespace, s->name,
			       cert->chain ? sk_X509_num(cert->chain) + 2 : 2);
	cert->not_before_s = unix_time(X509_get0_notBefore(cert->leaf));
	cert->not_after_s = unix_time(X509_get0_notAfter(cert->leaf));
	return 0;
}

static int read_key(const struct certs_secret *s, struct cert *cert, struct err *err)
{
	_cleanup_(BIO_free_allp) BIO *bio = over(s->key, s->key_len);

	if (!bio)
		return -ENOMEM;
	cert->key = PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL);
	if (!cert->key) {
		unsigned long e = ERR_peek_error();
		bool encrypted = ERR_GET_LIB(e) == ERR_LIB_PEM &&
				 ERR_GET_REASON(e) == PEM_R_BAD_PASSWORD_READ;

		if (memmem(s->key, s->key_len, "ENCRYPTED", 9))
			encrypted = true;
		ERR_clear_error();
		return err_set(
			err, -EINVAL, "Secret %s/%s, tls.key: %s", s->namespace, s->name,
			encrypted
				? "the key is encrypted; store it without a pass phrase"
				: "there is no private key in PEM that can be read; put it there");
	}
	if (X509_check_private_key(cert->leaf, cert->key) == 1)
		return 0;
	ERR_clear_error();
	return err_set(err, -EINVAL,
		       "Secret %s/%s, tls.key: the key does not belong to the first certificate of "
		       "tls.crt; put the leaf first, and its own key",
		       s->namespace, s->name);
}

/* Dear to make (0.7 ms), so it stays. */
static SSL_CTX *trial;

static void make_trial(void)
{
	trial = SSL_CTX_new(TLS_server_method());
}

/* Would a connection take it? Weak keys and digests are refused by OpenSSL's security level. */
static int try_out(const struct certs_secret *s, const struct cert *cert, struct err *err)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	_cleanup_(SSL_freep) SSL *ssl = NULL;
	char why[120];

	pthread_once(&once, make_trial);
	ssl = trial ? SSL_new(trial) : NULL;
	if (!ssl)
		return -ENOMEM;
	if (SSL_use_cert_and_key(ssl, cert->leaf, cert->key, cert->chain, 1) == 1)
		return 0;
	if (out_of_memory())
		return -ENOMEM;
	ERR_error_string_n(ERR_peek_error(), why, sizeof(why));
	ERR_clear_error();
	return err_set(
		err, -EINVAL,
		"Secret %s/%s, tls.crt: OpenSSL does not accept the certificate (%s); issue one "
		"with a stronger key or digest",
		s->namespace, s->name, strrchr(why, ':') ? strrchr(why, ':') + 1 : why);
}

int cert_parse(const struct certs_secret *secret, struct cert **ret_cert, struct err *err)
{
	_cleanup_(cert_dropp) struct cert *cert = NULL;
	int rc;

	if (!secret->crt || !secret->key)
		return err_set(err, -EINVAL,
			       "Secret %s/%s, %s: the field is missing; the Secret must be of type "
			       "kubernetes.io/tls",
			       secret->namespace, secret->name,
			       secret->crt ? "tls.key" : "tls.crt");
	cert = calloc(1, sizeof(*cert));
	if (!cert)
		return -ENOMEM;
	cert->refs = 1;
	if (asprintf(&cert->secret, "%s/%s", secret->namespace, secret->name) < 0) {
		cert->secret = NULL;
		return -ENOMEM;
	}
	ERR_clear_error();
	rc = read_chain(secret, cert, err);
	if (rc == 0)
		rc = read_key(secret, cert, err);
	if (rc == 0)
		rc = try_out(secret, cert, err);
	if (rc < 0)
		return rc;
	*ret_cert = TAKE_PTR(cert);
	return 0;
}

/* ---- CAs ---------------------------------------------------------------------------------------------------------------- */

static int add_ca(X509_STORE *store, STACK_OF(X509_NAME) * names, X509 *x)
{
	X509_NAME *name;

	if (X509_STORE_add_cert(store, x) != 1)
		return -ENOMEM;
	if (!names)
		return 0;
	name = X509_NAME_dup(X509_get_subject_name(x));
	if (name && sk_X509_NAME_push(names, name))
		return 0;
	X509_NAME_free(name);
	return -ENOMEM;
}

static int read_cas(const char *what, const char *ca, size_t len, X509_STORE *store,
		    STACK_OF(X509_NAME) * names, struct err *err)
{
	_cleanup_(BIO_free_allp) BIO *bio = over(ca, len);
	int n = 0;

	if (!bio)
		return -ENOMEM;
	for (;; n++) {
		_cleanup_(X509_freep) X509 *x = PEM_read_bio_X509(bio, NULL, no_password, NULL);
		int rc = x ? add_ca(store, names, x) : 0;

		if (rc < 0)
			return rc;
		if (!x)
			break;
	}
	if (!just_ended())
		return err_set(err, -EINVAL,
			       "%s: certificate %d cannot be read; put CAs there in PEM", what,
			       n + 1);
	if (!n)
		return err_set(err, -EINVAL,
			       "%s: there is no PEM certificate in it; put the CA's there", what);
	return 0;
}

static int read_crls(const char *what, const char *crl, size_t len, X509_STORE *store,
		     struct err *err)
{
	_cleanup_(BIO_free_allp) BIO *bio = over(crl, len);
	int n = 0;

	if (!bio)
		return -ENOMEM;
	for (;; n++) {
		_cleanup_(X509_CRL_freep)
			X509_CRL *x = PEM_read_bio_X509_CRL(bio, NULL, no_password, NULL);

		if (!x)
			break;
		if (X509_STORE_add_crl(store, x) != 1)
			return -ENOMEM;
	}
	if (!just_ended() || !n)
		return err_set(
			err, -EINVAL,
			"%s: revocation list %d beside it (ca.crl) cannot be read; put it there "
			"in PEM, or take the field away",
			what, n + 1);
	X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
	return 0;
}

int certs_parse_store(const char *what, const char *ca, size_t ca_len, const char *crl,
		      size_t crl_len, struct x509_store_st **ret_store,
		      struct stack_st_X509_NAME **ret_names, struct err *err)
{
	_cleanup_(X509_STORE_freep) X509_STORE *store = X509_STORE_new();
	_cleanup_(names_freep) STACK_OF(X509_NAME) *names = sk_X509_NAME_new_null();
	int rc;

	if (!store || !names)
		return -ENOMEM;
	ERR_clear_error();
	rc = read_cas(what, ca, ca_len, store, names, err);
	if (rc == 0 && crl)
		rc = read_crls(what, crl, crl_len, store, err);
	if (rc < 0)
		return rc;
	*ret_store = TAKE_PTR(store);
	if (ret_names)
		*ret_names = TAKE_PTR(names);
	return 0;
}

/* ---- one of our own ------------------------------------------------------------------------------------------------------- */

static bool add_extension(X509 *x, int nid, const char *value)
{
	X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, nid, value);
	bool ok = extension && X509_add_ext(x, extension, -1);

	X509_EXTENSION_free(extension);
	return ok;
}

static bool fill_made(X509 *x, EVP_PKEY *key, int64_t now_s)
{
	X509_NAME *name = X509_get_subject_name(x);
	uint64_t serial = (uint64_t)now_s;

	return X509_set_version(x, X509_VERSION_3) &&
	       ASN1_INTEGER_set_uint64(X509_get_serialNumber(x), serial ? serial : 1) &&
	       ASN1_TIME_set(X509_getm_notBefore(x), (time_t)(now_s - 3600)) &&
	       ASN1_TIME_set(X509_getm_notAfter(x), (time_t)(now_s + MADE_FOR_S)) &&
	       X509_NAME_add_entry_by_txt(name, "O", MBSTRING_ASC,
					  (const unsigned char *)"sluice-proxy", -1, -1, 0) &&
	       X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
					  (const unsigned char *)"no certificate for this host", -1,
					  -1, 0) &&
	       X509_set_issuer_name(x, name) && X509_set_pubkey(x, key) &&
	       add_extension(x, NID_subject_alt_name, "DNS:default.invalid") &&
	       add_extension(x, NID_ext_key_usage, "serverAuth") && X509_sign(x, key, EVP_sha256());
}

int cert_make(int64_t now_s, struct cert **ret_cert)
{
	_cleanup_(cert_dropp) struct cert *cert = calloc(1, sizeof(*cert));

	if (!cert)
		return -ENOMEM;
	cert->refs = 1;
	cert->secret = strdup("");
	cert->key = EVP_EC_gen("P-256");
	cert->leaf = X509_new();
	if (!cert->secret || !cert->key || !cert->leaf ||
	    !fill_made(cert->leaf, cert->key, now_s)) {
		ERR_clear_error();
		return -ENOMEM;
	}
	cert->not_before_s = now_s - 3600;
	cert->not_after_s = now_s + MADE_FOR_S;
	*ret_cert = TAKE_PTR(cert);
	return 0;
}
