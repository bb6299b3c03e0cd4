// SPDX-License-Identifier: GPL-2.0-only
/* TLS for clients: what OpenSSL is set to, the choice by SNI, tickets, and whether a request may come by a connection. */
/* Must not know loops, deadlines, Ingresses, or how certificates are found. */
#include "ingress/tls.h"

#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/table.h"
#include "ingress/tickets.h"
#include "ingress/tls_setup.h"

#define READ_AHEAD (32 * 1024) /* bytes for one read; given back when it was used up */

struct tls {
	SSL_CTX *ctx;
	struct tls_settings settings;
	struct tickets *tickets;
	uint64_t seed; /* secret */
};

CLEANUP_DEFINE(struct tls *, tls_free);

/* ---- what hangs on an SSL ------------------------------------------------------------------------------------- */

/* Index of the demand on the client that was made in the handshake (counted). */
static int demand_index = -1;

static void demand_free(void *parent, void *ptr, CRYPTO_EX_DATA *ad, int index, long argl,
			void *argp)
{
	(void)parent;
	(void)ad;
	(void)index;
	(void)argl;
	(void)argp;
	certs_client_drop(ptr);
}

static void make_index(void)
{
	demand_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, demand_free);
}

static const struct certs_client *demand_of(const SSL *ssl)
{
	return SSL_get_ex_data(ssl, demand_index);
}

static int set_demand(SSL *ssl, struct certs_client *client)
{
	certs_client_drop(SSL_get_ex_data(ssl, demand_index));
	return SSL_set_ex_data(ssl, demand_index, client ? certs_client_hold(client) : NULL);
}

/* ---- ClientHello ------------------------------------------------------------------------------------------------ */

/* The name in a server_name extension (RFC 6066 3): one host_name. */
static size_t read_sni(const unsigned char *ext, size_t len, const char **ret_name)
{
	size_t name_len;

	if (len < 5 || ((size_t)ext[0] << 8 | ext[1]) != len - 2 || ext[2] != 0)
		return 0;
	name_len = (size_t)ext[3] << 8 | ext[4];
	if (name_len != len - 5)
		return 0;
	*ret_name = (const char *)ext + 5;
	return name_len;
}

/* What the client's certificate says is judged for each request: with a sentence, not with an alert. */
static int judge_later(int ok, X509_STORE_CTX *ctx)
{
	(void)ok;
	(void)ctx;
	return 1;
}

static bool demand_cert(SSL *ssl, struct certs_client *client)
{
	if (!set_demand(ssl, client))
		return false;
	if (!client) {
		SSL_set_verify(ssl, SSL_VERIFY_NONE, NULL);
		return true;
	}
	SSL_set_verify(ssl, SSL_VERIFY_PEER, judge_later);
	SSL_set_verify_depth(ssl, (int)client->depth);
	if (client->store && !SSL_set1_verify_cert_store(ssl, client->store))
		return false;
	if (client->names) {
		STACK_OF(X509_NAME) *names = SSL_dup_CA_list(client->names);

		if (!names)
			return false;
		SSL_set0_CA_list(ssl, names);
	}
	return true;
}

/* A session is resumed only for the host it was made for, and under the same demand. */
static bool bind_session(SSL *ssl, const struct tls *tls, const char *name, size_t len,
			 const struct certs_client *client)
{
	unsigned char id[SSL_MAX_SSL_SESSION_ID_LENGTH] = { 0 };
	char host[256];
	uint64_t hash;

	if (len > sizeof(host))
		return false;
	for (size_t i = 0; i < len; i++)
		host[i] = name[i] >= 'A' && name[i] <= 'Z' ? (char)(name[i] | 0x20) : name[i];
	hash = table_hash(tls->seed, host, len);
	memcpy(id, &hash, sizeof(hash));
	if (client)
		memcpy(id + sizeof(hash), client->id, sizeof(id) - sizeof(hash));
	return SSL_set_session_id_context(ssl, id, sizeof(id));
}

/* Before anything is decided, resumption too. */
static int on_hello(SSL *ssl, int *alert, void *arg)
{
	const struct tls *tls = arg;
	const struct certs *certs = tls->settings.certs(SSL_get_app_data(ssl));
	const unsigned char *ext;
	const char *name = "";
	size_t ext_len, len = 0;
	struct certs_choice choice;

	*alert = SSL_AD_INTERNAL_ERROR;
	if (!certs)
		return SSL_CLIENT_HELLO_ERROR;
	if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &ext, &ext_len))
		len = read_sni(ext, ext_len, &name);
	choice = certs_find(certs, name, len);
	if (!SSL_use_cert_and_key(ssl, choice.cert->leaf, choice.cert->key, choice.cert->chain,
				  1) ||
	    !demand_cert(ssl, choice.client) || !bind_session(ssl, tls, name, len, choice.client))
		return SSL_CLIENT_HELLO_ERROR;
	return SSL_CLIENT_HELLO_SUCCESS;
}

/* Only so that the name is kept, also over a resumption. */
static int on_name(SSL *ssl, int *alert, void *arg)
{
	(void)ssl;
	(void)alert;
	(void)arg;
	return SSL_TLSEXT_ERR_OK;
}

/* "h2" before "http/1.1"; who offers neither is refused (RFC 7301 3.2): it means another protocol. */
static int on_alpn(SSL *ssl, const unsigned char **ret, unsigned char *ret_len,
		   const unsigned char *offered, unsigned int len, void *arg)
{
	static const unsigned char ours[] = "\x02h2\x08http/1.1";
	const struct tls *tls = arg;
	unsigned skip = tls->settings.http2 ? 0 : 3;

	(void)ssl;
	if (SSL_select_next_proto((unsigned char **)ret, ret_len, ours + skip,
				  (unsigned)sizeof(ours) - 1 - skip, offered,
				  len) != OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	return SSL_TLSEXT_ERR_OK;
}

/* ---- tickets ------------------------------------------------------------------------------------------------------ */

static bool start_hmac(EVP_MAC_CTX *mac, const struct ticket_key *key)
{
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)"SHA256", 0),
		OSSL_PARAM_construct_end(),
	};

	return EVP_MAC_init(mac, key->hmac, sizeof(key->hmac), params);
}

/* 1: go on; 2: and give a new one; 0: no such key, a full handshake follows; -1: failed. */
static int on_ticket(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
		     EVP_MAC_CTX *mac, int making)
{
	const struct tls *tls = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
	int64_t now_s = (int64_t)(clock_now_ns() / CLOCK_NS_PER_S);
	struct ticket_key key = { 0 };
	bool stale = false;
	int rc = -1;

	if (making) {
		if (tickets_current(tls->tickets, now_s, &key) == 0 &&
		    RAND_bytes(iv, EVP_MAX_IV_LENGTH) == 1 && start_hmac(mac, &key) &&
		    EVP_EncryptInit_ex(cipher, EVP_aes_256_cbc(), NULL, key.aes, iv))
			rc = 1;
		memcpy(name, key.name, sizeof(key.name));
	} else if (!tickets_find(tls->tickets, name, now_s, &key, &stale)) {
		return 0;
	} else if (start_hmac(mac, &key) &&
		   EVP_DecryptInit_ex(cipher, EVP_aes_256_cbc(), NULL, key.aes, iv)) {
		rc = stale ? 2 : 1;
	}
	OPENSSL_cleanse(&key, sizeof(key));
	return rc;
}

/* ---- set-up ------------------------------------------------------------------------------------------------------- */

bool tls_setup(SSL_CTX *ctx, const char *ciphers)
{
	/* Whatever keeps the key's secrecy and is no ground for refusal in HTTP/2 (RFC 9113 9.2.2). */
	static const char tls1_2[] = "ECDHE+AESGCM:ECDHE+CHACHA20";
	static const char tls1_3[] =
		"TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";

	SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
				      SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_read_ahead(ctx, 1);
	SSL_CTX_set_default_read_buffer_len(ctx, READ_AHEAD);
	return SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) &&
	       SSL_CTX_set_cipher_list(ctx, ciphers ? ciphers : tls1_2) &&
	       SSL_CTX_set_ciphersuites(ctx, tls1_3);
}

static bool set_up(struct tls *tls)
{
	SSL_CTX *ctx = tls->ctx;

	if (!tls_setup(ctx, NULL))
		return false;
	SSL_CTX_set_app_data(ctx, tls);
	SSL_CTX_set_client_hello_cb(ctx, on_hello, tls);
	SSL_CTX_set_tlsext_servername_callback(ctx, on_name);
	SSL_CTX_set_alpn_select_cb(ctx, on_alpn, tls);
	SSL_CTX_set_timeout(ctx, TICKETS_LIFE_S);
	return SSL_CTX_set_num_tickets(ctx, 1) &&
	       SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, on_ticket);
}

int tls_new(const struct tls_settings *settings, struct tls **ret_tls, struct err *err)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	_cleanup_(tls_freep) struct tls *tls = calloc(1, sizeof(*tls));
	char why[160];

	pthread_once(&once, make_index);
	if (!tls || tickets_new(&tls->tickets) < 0)
		return err_set(err, -ENOMEM, "out of memory");
	tls->settings = *settings;
	tls->ctx = SSL_CTX_new(TLS_server_method());
	if (demand_index < 0 || !tls->ctx || !set_up(tls) ||
	    RAND_bytes((unsigned char *)&tls->seed, sizeof(tls->seed)) != 1) {
		tls_error(NULL, why, sizeof(why));
		return err_set(err, -EIO, "OpenSSL cannot be set up: %s", why);
	}
	*ret_tls = TAKE_PTR(tls);
	return 0;
}

void tls_free(struct tls *tls)
{
	if (!tls)
		return;
	SSL_CTX_free(tls->ctx);
	tickets_free(tls->tickets);
	free(tls);
}

SSL *tls_accept(struct tls *tls, int fd, void *arg)
{
	SSL *ssl = SSL_new(tls->ctx);

	if (!ssl || !SSL_set_fd(ssl, fd)) {
		SSL_free(ssl);
		return NULL;
	}
	SSL_set_app_data(ssl, arg);
	SSL_set_accept_state(ssl);
	return ssl;
}

bool tls_was_resumed(const struct ssl_st *ssl)
{
	return SSL_session_reused(ssl);
}

bool tls_speaks_http2(const SSL *ssl)
{
	const unsigned char *protocol;
	unsigned len;

	SSL_get0_alpn_selected(ssl, &protocol, &len);
	return len == 2 && memcmp(protocol, "h2", 2) == 0;
}

/* ---- requests ------------------------------------------------------------------------------------------------------- */

static const char *problem_of(const SSL *ssl, const struct certs_client *demand)
{
	long verdict = SSL_get_verify_result(ssl);

	if (!SSL_get0_peer_certificate(ssl))
		return demand->verify == CERTS_VERIFY_ON ? "no certificate was sent" : NULL;
	if (verdict == X509_V_OK || demand->verify == CERTS_VERIFY_ANY)
		return NULL;
	return X509_verify_cert_error_string(verdict);
}

static bool same_demand(const struct certs_client *a, const struct certs_client *b)
{
	return a == b || (a && b && memcmp(a->id, b->id, sizeof(a->id)) == 0);
}

enum tls_host tls_check_host(const SSL *ssl, const struct certs *certs, const char *host,
			     size_t len, const struct certs_client **ret_demand,
			     const char **ret_problem)
{
	const char *sni = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
	struct certs_choice by_host = certs_find(certs, host, len), by_sni;

	*ret_demand = by_host.client;
	*ret_problem = NULL;
	if (!same_demand(demand_of(ssl), by_host.client)) {
		if (sni || !by_host.client)
			return TLS_HOST_MISDIRECTED;
		*ret_problem = "no certificate was asked for, as the connection named no host";
		return TLS_HOST_OK;
	}
	if (by_host.client)
		*ret_problem = problem_of(ssl, by_host.client);
	if (!sni || by_host.is_default || (strlen(sni) == len && strncasecmp(sni, host, len) == 0))
		return TLS_HOST_OK;
	by_sni = certs_find(certs, sni, strlen(sni));
	return by_sni.is_default || by_sni.cert == by_host.cert ? TLS_HOST_OK
								: TLS_HOST_MISDIRECTED;
}

/* Everything but letters, digits and "-._~" as %XX: one line for a header field. */
static int percent(const char *bytes, size_t len, char **ret_text)
{
	struct buf out = { 0 };

	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)bytes[i];

		if ((c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') ||
		    strchr("-._~", c))
			buf_putc(&out, (char)c);
		else
			buf_printf(&out, "%%%02X", c);
	}
	*ret_text = buf_take(&out);
	return *ret_text ? 0 : -ENOMEM;
}

static char *name_text(X509_NAME *name)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *text = NULL, *bytes;
	long len;

	if (bio && X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253) >= 0) {
		len = BIO_get_mem_data(bio, &bytes);
		text = strndup(bytes, (size_t)len);
	}
	BIO_free(bio);
	return text;
}

static int pem_text(X509 *x, char **ret_pem)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *bytes;
	int rc = -ENOMEM;

	if (bio && PEM_write_bio_X509(bio, x)) {
		long len = BIO_get_mem_data(bio, &bytes);

		rc = percent(bytes, (size_t)len, ret_pem);
	}
	BIO_free(bio);
	return rc;
}

int tls_client_cert(const SSL *ssl, struct tls_client_cert *ret_cert)
{
	X509 *x = SSL_get0_peer_certificate(ssl);
	struct tls_client_cert cert = { 0 };
	int rc;

	if (!x)
		return -ENOENT;
	cert.subject = name_text(X509_get_subject_name(x));
	cert.issuer = name_text(X509_get_issuer_name(x));
	rc = cert.subject && cert.issuer ? pem_text(x, &cert.pem) : -ENOMEM;
	if (rc < 0) {
		free(cert.subject);
		free(cert.issuer);
		return rc;
	}
	*ret_cert = cert;
	return 0;
}

void tls_error(const SSL *ssl, char *text, size_t size)
{
	unsigned long e = ERR_peek_last_error();
	long verdict = ssl ? SSL_get_verify_result(ssl) : X509_V_OK;
	const char *reason = ERR_reason_error_string(e);

	if (e && verdict != X509_V_OK && ERR_GET_REASON(e) == SSL_R_CERTIFICATE_VERIFY_FAILED)
		snprintf(text, size, "%s: %s", reason, X509_verify_cert_error_string(verdict));
	else if (reason)
		snprintf(text, size, "%s", reason);
	else
		snprintf(text, size, "%s", e ? "unknown error" : "connection closed");
	ERR_clear_error();
}
