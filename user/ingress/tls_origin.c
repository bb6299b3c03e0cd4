// SPDX-License-Identifier: GPL-2.0-only
/* TLS to origins: what proxy-ssl-* asks for, as a context that connections share. */
/* Must not know which origin, or when it is connected to. */
#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "ingress/tls.h"
#include "ingress/tls_setup.h"

struct tls_origin {
	_Atomic unsigned refs;
	SSL_CTX *ctx;
	char *name; /* NULL: neither sent nor checked */
	bool send_name;
	bool verify;
};

CLEANUP_DEFINE(struct tls_origin *, tls_origin_drop);
CLEANUP_DEFINE(struct cert *, cert_drop);

struct tls_origin *tls_origin_hold(struct tls_origin *origin)
{
	atomic_fetch_add_explicit(&origin->refs, 1, memory_order_relaxed);
	return origin;
}

void tls_origin_drop(struct tls_origin *origin)
{
	if (!origin || atomic_fetch_sub_explicit(&origin->refs, 1, memory_order_acq_rel) != 1)
		return;
	SSL_CTX_free(origin->ctx);
	free(origin->name);
	free(origin);
}

static int use_cert(struct tls_origin *o, const struct certs_secret *secret, struct err *err)
{
	_cleanup_(cert_dropp) struct cert *cert = NULL;
	int rc = cert_parse(secret, &cert, err);

	if (rc < 0)
		return rc;
	return SSL_CTX_use_cert_and_key(o->ctx, cert->leaf, cert->key, cert->chain, 1) == 1
		       ? 0
		       : -ENOMEM;
}

static int use_ca(struct tls_origin *o, const struct tls_origin_input *in, struct err *err)
{
	X509_STORE *store;
	int rc;

	SSL_CTX_set_verify(o->ctx, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_verify_depth(o->ctx, in->depth ? (int)in->depth : 1);
	if (!in->ca)
		return SSL_CTX_set_default_verify_paths(o->ctx) ? 0 : -ENOMEM;
	rc = certs_parse_store(in->ca_what, in->ca, in->ca_len, NULL, 0, &store, NULL, err);
	if (rc == 0)
		SSL_CTX_set_cert_store(o->ctx, store);
	return rc;
}

static bool offer(struct tls_origin *o, bool http2)
{
	static const unsigned char h2[] = "\x02h2", h1[] = "\x08http/1.1";

	return SSL_CTX_set_alpn_protos(o->ctx, http2 ? h2 : h1,
				       http2 ? sizeof(h2) - 1 : sizeof(h1) - 1) == 0;
}

static int set_up(struct tls_origin *o, const struct tls_origin_input *in, struct err *err)
{
	char why[120];

	if (!tls_setup(o->ctx, in->ciphers)) {
		tls_error(NULL, why, sizeof(why));
		return err_set(
			err, -EINVAL,
			"proxy-ssl-ciphers: OpenSSL finds no cipher in %s (%s); use its names, e.g. "
			"ECDHE-RSA-AES128-GCM-SHA256",
			in->ciphers ? in->ciphers : "our own list", why);
	}
	if (in->tls1_2 != in->tls1_3 &&
	    !SSL_CTX_set_max_proto_version(o->ctx, in->tls1_2 ? TLS1_2_VERSION : TLS1_3_VERSION))
		return -ENOMEM;
	if (in->tls1_3 && !in->tls1_2 && !SSL_CTX_set_min_proto_version(o->ctx, TLS1_3_VERSION))
		return -ENOMEM;
	return offer(o, in->http2) ? 0 : -ENOMEM;
}

int tls_origin_new(const struct tls_origin_input *in, struct tls_origin **ret_origin,
		   struct err *err)
{
	_cleanup_(tls_origin_dropp) struct tls_origin *o = calloc(1, sizeof(*o));
	int rc;

	if (!o)
		return -ENOMEM;
	o->refs = 1;
	o->send_name = in->send_name;
	o->verify = in->verify;
	o->ctx = SSL_CTX_new(TLS_client_method());
	o->name = in->name ? strdup(in->name) : NULL;
	if (!o->ctx || (in->name && !o->name))
		return -ENOMEM;
	rc = set_up(o, in, err);
	if (rc == 0 && in->secret)
		rc = use_cert(o, in->secret, err);
	if (rc == 0 && in->verify)
		rc = use_ca(o, in, err);
	if (rc < 0)
		return rc;
	*ret_origin = TAKE_PTR(o);
	return 0;
}

static bool is_address(const char *name)
{
	unsigned char binary[sizeof(struct in6_addr)];

	return inet_pton(AF_INET, name, binary) == 1 || inet_pton(AF_INET6, name, binary) == 1;
}

static bool expect_name(SSL *ssl, const struct tls_origin *o)
{
	bool address = is_address(o->name);

	if (o->send_name && !address && !SSL_set_tlsext_host_name(ssl, o->name))
		return false;
	if (!o->verify)
		return true;
	SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	return address ? X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), o->name)
		       : SSL_set1_host(ssl, o->name);
}

SSL *tls_connect(struct tls_origin *origin, int fd)
{
	SSL *ssl = SSL_new(origin->ctx);

	if (!ssl || !SSL_set_fd(ssl, fd) || (origin->name && !expect_name(ssl, origin))) {
		SSL_free(ssl);
		ERR_clear_error();
		return NULL;
	}
	SSL_set_connect_state(ssl);
	return ssl;
}
