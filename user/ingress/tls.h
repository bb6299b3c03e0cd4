/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef INGRESS_TLS_H
#define INGRESS_TLS_H

/*
 * TLS by OpenSSL: TLS 1.2 and 1.3, ALPN, the certificate by SNI, tickets that every worker can read, client certificates, and TLS
 * to origins. The result is an SSL over a socket for struct sock, which does the handshake, reads and writes. No loop, no deadline.
 *
 *	accept:   sock.ssl = tls_accept(tls, fd, worker);   … sock_handshake() says 0 …   tls_speaks_http2(sock.ssl)
 *	request:  tls_check_host(sock.ssl, certs, host, …)  before it is routed
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "ingress/certs.h"

struct ssl_st;
struct tls;

/* ---- for clients -------------------------------------------------------------------------------------------------- */

/* The certificates in force, borrowed until the caller's return to its loop; NULL: none yet, the handshake fails. */
typedef const struct certs *tls_certs_fn(void *arg);

struct tls_settings {
	bool http2;          /* offered by ALPN */
	tls_certs_fn *certs; /* called with tls_accept()'s arg at a ClientHello */
};

/* One for a process; used by any thread. 0; -ENOMEM; -EIO with a sentence. */
int tls_new(const struct tls_settings *settings, struct tls **ret_tls, struct err *err);
void tls_free(struct tls *tls); /* after the last connection; NULL is fine */

/* An SSL for an accepted socket; SSL_free() ends it. NULL: out of memory. */
struct ssl_st *tls_accept(struct tls *tls, int fd, void *arg);

/* After the handshake, of either side. */
bool tls_speaks_http2(const struct ssl_st *ssl);
bool tls_was_resumed(const struct ssl_st *ssl); /* by a ticket */

enum tls_host {
	TLS_HOST_OK,
	TLS_HOST_MISDIRECTED, /* 421: another certificate, or another demand on the client's, than this connection has */
};

/*
 * May a request for this host (any case, no port, no final dot) come by this connection? The certificates are those in force now: a
 * rotated certificate is no mismatch, a changed demand is. No SNI, or a host that has the default certificate, is none by itself.
 *
 * *ret_problem: NULL, or why the client's certificate does not meet the host's demand, e.g. "no certificate was sent".
 * ret_demand: what is demanded for this host, borrowed from certs; NULL: nothing.
 */
enum tls_host tls_check_host(const struct ssl_st *ssl, const struct certs *certs, const char *host,
			     size_t len, const struct certs_client **ret_demand,
			     const char **ret_problem);

/* What a verified client's certificate says, for fields to the origin. */
struct tls_client_cert {
	char *pem;     /* percent-encoded, one line */
	char *subject; /* RFC 2253 */
	char *issuer;
};

/* 0; -ENOENT: the client sent none; -ENOMEM. The strings are the caller's to free(). */
int tls_client_cert(const struct ssl_st *ssl, struct tls_client_cert *ret_cert);

/* ---- to origins --------------------------------------------------------------------------------------------------- */

/* proxy-ssl-*; borrowed for the call. */
struct tls_origin_input {
	const struct certs_secret *secret; /* our certificate for origins that ask; NULL: none */
	const char *ca;                    /* PEM; NULL with verify: the system's */
	size_t ca_len;
	const char *ca_what; /* "Secret shop/ca, ca.crt", for errors */
	bool verify;
	unsigned depth;      /* 0: 1 */
	const char *name;    /* SNI, and what the certificate must cover; NULL: neither */
	bool send_name;      /* as SNI */
	bool http2;          /* only h2 is offered (GRPCS); else http/1.1 */
	const char *ciphers; /* of TLS 1.2, OpenSSL's words; NULL: ours */
	bool tls1_2, tls1_3; /* allowed; neither: both */
};

struct tls_origin;

/* Counted. 0; -EINVAL with a sentence that names the field; -ENOMEM. */
int tls_origin_new(const struct tls_origin_input *input, struct tls_origin **ret_origin,
		   struct err *err);
struct tls_origin *tls_origin_hold(struct tls_origin *origin);
void tls_origin_drop(struct tls_origin *origin); /* NULL is fine */

/* An SSL for a socket that is connecting, or NULL: out of memory. A handshake that said 0 has met what was asked. */
struct ssl_st *tls_connect(struct tls_origin *origin, int fd);

/* ---- errors ------------------------------------------------------------------------------------------------------- */

/* Why the last call failed, e.g. "certificate verify failed"; empties OpenSSL's queue of this thread. ssl may be NULL. */
void tls_error(const struct ssl_st *ssl, char *text, size_t size);

#endif
