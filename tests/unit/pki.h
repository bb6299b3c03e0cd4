/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TESTS_UNIT_PKI_H
#define TESTS_UNIT_PKI_H

/* Certificates made for a test: a CA, leaves for names, as PEM. Keys never leave the process. */
#include <assert.h>
#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

struct pki {
	X509 *x;
	EVP_PKEY *key;
	char *crt_pem, *key_pem;
};

static char *pki_text(BIO *bio)
{
	char *bytes;
	long len = BIO_get_mem_data(bio, &bytes);
	char *text = strndup(bytes, (size_t)len);

	BIO_free(bio);
	return text;
}

static void pki_extend(X509 *x, int nid, const char *value)
{
	X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, nid, value);

	assert(e && X509_add_ext(x, e, -1));
	X509_EXTENSION_free(e);
}

/* names: "DNS:a.test,DNS:*.b.test"; NULL for a CA. issuer NULL: self-signed. Valid from now + from_s to now + to_s. */
static struct pki pki_make(const char *cn, const char *names, const struct pki *issuer, int from_s,
			   int to_s)
{
	static long serial = 1;
	struct pki p = { .key = EVP_EC_gen("P-256"), .x = X509_new() };
	X509_NAME *name = X509_get_subject_name(p.x);
	BIO *crt = BIO_new(BIO_s_mem()), *key = BIO_new(BIO_s_mem());

	X509_set_version(p.x, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(p.x), serial++);
	ASN1_TIME_adj(X509_getm_notBefore(p.x), time(NULL), 0, from_s);
	ASN1_TIME_adj(X509_getm_notAfter(p.x), time(NULL), 0, to_s);
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)cn, -1, -1, 0);
	X509_set_issuer_name(p.x, issuer ? X509_get_subject_name(issuer->x) : name);
	X509_set_pubkey(p.x, p.key);
	if (names)
		pki_extend(p.x, NID_subject_alt_name, names);
	else
		pki_extend(p.x, NID_basic_constraints, "critical,CA:TRUE");
	assert(X509_sign(p.x, issuer ? issuer->key : p.key, EVP_sha256()));
	PEM_write_bio_X509(crt, p.x);
	PEM_write_bio_PrivateKey(key, p.key, NULL, NULL, 0, NULL, NULL);
	p.crt_pem = pki_text(crt);
	p.key_pem = pki_text(key);
	return p;
}

static inline void pki_free(struct pki *p)
{
	X509_free(p->x);
	EVP_PKEY_free(p->key);
	free(p->crt_pem);
	free(p->key_pem);
}

#endif
