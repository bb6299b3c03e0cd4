// SPDX-License-Identifier: GPL-2.0-only
// TLS over a socket pair: SNI, ALPN, versions, tickets, client certificates, 421, origins.
/* link: user/ingress/tls.c user/ingress/tls_origin.c user/ingress/certs.c user/ingress/certs_parse.c user/ingress/tickets.c user/base/table.c user/base/buf.c user/base/clock.c */
/* libs: ssl crypto */
#include "unit/test.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ingress/tls.h"
#include "unit/pki.h"

#define DAY 86400

/* Everything that the tests serve: a.test and its sibling with one certificate, b.test with another, c.test and e.test asking for
 * certificates of a CA, optional.test maybe; d.test has no certificate. */
static struct {
	struct pki ca, a, b, c, fallback, user, stranger;
	struct certs_cache *cache;
	struct certs *certs;
	struct tls *tls;
} w;

static struct certs_secret secret_of(const char *name, const struct pki *p)
{
	return (struct certs_secret){ .namespace = "shop",
				      .name = name,
				      .crt = p->crt_pem,
				      .crt_len = strlen(p->crt_pem),
				      .key = p->key_pem,
				      .key_len = strlen(p->key_pem) };
}

static const struct certs *in_force(void *arg)
{
	assert_ptr_equal(arg, &w);
	return w.certs;
}

static struct certs *serve(const struct pki *a, enum certs_verify how)
{
	struct certs_secret sa = secret_of("a", a), sb = secret_of("b", &w.b),
			    sc = secret_of("c", &w.c), sf = secret_of("f", &w.fallback);
	struct certs_demand d = { .namespace = "shop",
				  .name = "ca",
				  .ca = w.ca.crt_pem,
				  .ca_len = strlen(w.ca.crt_pem),
				  .verify = how };
	struct certs_host hosts[] = { { .host = "a.test", .secret = &sa },
				      { .host = "sibling.test", .secret = &sa },
				      { .host = "b.test", .secret = &sb },
				      { .host = "c.test", .secret = &sc, .demand = &d },
				      { .host = "e.test", .secret = &sc, .demand = &d } };
	struct certs_input in = {
		.hosts = hosts, .n_hosts = 5, .fallback = &sf, .now_s = time(NULL), .seed = 3
	};
	struct certs *certs;

	assert_int_equal(certs_build(w.cache, &in, &certs), 0);
	return certs;
}

static int set_up(void **state)
{
	struct tls_settings settings = { .http2 = true, .certs = in_force };

	(void)state;
	w.ca = pki_make("ca", NULL, NULL, -60, DAY);
	w.a = pki_make("a", "DNS:a.test,DNS:sibling.test", &w.ca, -60, DAY);
	w.b = pki_make("b", "DNS:b.test", &w.ca, -60, DAY);
	w.c = pki_make("c", "DNS:c.test,DNS:e.test", &w.ca, -60, DAY);
	w.fallback = pki_make("fallback", "DNS:x", &w.ca, -60, DAY);
	w.user = pki_make("user, or so", "DNS:user", &w.ca, -60, DAY);
	w.stranger = pki_make("stranger", "DNS:user", NULL, -60, DAY);
	assert_int_equal(certs_cache_new(&w.cache), 0);
	w.certs = serve(&w.a, CERTS_VERIFY_ON);
	return tls_new(&settings, &w.tls, NULL);
}

static int tear_down(void **state)
{
	(void)state;
	tls_free(w.tls);
	certs_drop(w.certs);
	certs_cache_free(w.cache);
	pki_free(&w.ca);
	pki_free(&w.a);
	pki_free(&w.b);
	pki_free(&w.c);
	pki_free(&w.fallback);
	pki_free(&w.user);
	pki_free(&w.stranger);
	return 0;
}

/* ---- a connection ------------------------------------------------------------------------------------------------- */

struct pair {
	int fds[2];
	SSL *server, *client;
	SSL_CTX *ctx; /* the client's; NULL: not ours */
};

struct how {
	const char *sni;
	const char *alpn;
	const struct pki *cert;
	int max; /* version; 0: any */
	SSL_SESSION *session;
	const char *ciphers;
};

static SSL_SESSION *last_session;

static int keep_session(SSL *ssl, SSL_SESSION *session)
{
	(void)ssl;
	SSL_SESSION_free(last_session);
	last_session = session;
	return 1;
}

static void pair_open(struct pair *p)
{
	*p = (struct pair){ 0 };
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, p->fds), 0);
}

static void pair_close(struct pair *p)
{
	/* A session whose connection broke would not be offered again. */
	SSL_set_shutdown(p->client, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
	SSL_free(p->server);
	SSL_free(p->client);
	SSL_CTX_free(p->ctx);
	close(p->fds[0]);
	close(p->fds[1]);
}

/* 1: both are done; otherwise what the side that failed said. */
static int shake(struct pair *p)
{
	int s = 0, c = 0;

	for (int i = 0; i < 20 && (s != 1 || c != 1); i++) {
		c = c == 1 ? 1 : SSL_do_handshake(p->client);
		if (c != 1 && SSL_get_error(p->client, c) != SSL_ERROR_WANT_READ)
			return -1;
		s = s == 1 ? 1 : SSL_do_handshake(p->server);
		if (s != 1 && SSL_get_error(p->server, s) != SSL_ERROR_WANT_READ)
			return -2;
	}
	return s == 1 && c == 1 ? 1 : 0;
}

/* Lets the client read what came behind the handshake: tickets. */
static void settle(struct pair *p)
{
	char bytes[16];

	assert_int_equal(SSL_read(p->client, bytes, sizeof(bytes)), -1);
}

static int connect_as(struct pair *p, struct how how)
{
	pair_open(p);
	p->server = tls_accept(w.tls, p->fds[0], &w);
	p->ctx = SSL_CTX_new(TLS_client_method());
	SSL_CTX_set_session_cache_mode(p->ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(p->ctx, keep_session);
	if (how.max)
		SSL_CTX_set_max_proto_version(p->ctx, how.max);
	if (how.ciphers)
		assert_true(SSL_CTX_set_cipher_list(p->ctx, how.ciphers));
	if (how.max && how.max < TLS1_2_VERSION)
		SSL_CTX_set_security_level(p->ctx, 0);
	if (how.cert) {
		SSL_CTX_use_certificate(p->ctx, how.cert->x);
		SSL_CTX_use_PrivateKey(p->ctx, how.cert->key);
	}
	p->client = SSL_new(p->ctx);
	SSL_set_fd(p->client, p->fds[1]);
	SSL_set_connect_state(p->client);
	if (how.sni)
		SSL_set_tlsext_host_name(p->client, how.sni);
	if (how.alpn)
		SSL_set_alpn_protos(p->client, (const unsigned char *)how.alpn,
				    (unsigned)strlen(how.alpn));
	if (how.session)
		SSL_set_session(p->client, how.session);
	return shake(p);
}

/* Connects; the server showed the certificate with this name. */
static void check_cn(const char *sni, const char *cn)
{
	struct pair p;
	char name[100];

	assert_int_equal(connect_as(&p, (struct how){ .sni = sni }), 1);
	X509_NAME_get_text_by_NID(X509_get_subject_name(SSL_get0_peer_certificate(p.client)),
				  NID_commonName, name, sizeof(name));
	assert_string_equal(name, cn);
	pair_close(&p);
}

TEST(sni_chooses_the_certificate)
{
	check_cn("a.test", "a");
	check_cn("A.TEST", "a");
	check_cn("b.test", "b");
	check_cn("nobody.test", "fallback");
	check_cn(NULL, "fallback");
}

TEST(alpn_prefers_http2)
{
	static const struct {
		const char *offered;
		bool works, http2;
	} cases[] = {
		{ "\x02h2", true, true },
		{ "\x08http/1.1", true, false },
		{ "\x08http/1.1\x02h2", true, true },
		{ "\x03xyz\x08http/1.1", true, false },
		{ "\x03xyz", false, false },
		{ NULL, true, false },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct pair p;
		struct how how = { .sni = "a.test", .alpn = cases[i].offered };

		assert_int_equal(connect_as(&p, how) == 1, cases[i].works);
		if (cases[i].works)
			assert_int_equal(tls_speaks_http2(p.server), cases[i].http2);
		pair_close(&p);
	}
}

TEST(http2_can_be_off)
{
	struct tls_settings settings = { .certs = in_force };
	struct tls *with = w.tls;
	struct pair p;

	assert_int_equal(tls_new(&settings, &w.tls, NULL), 0);
	assert_int_equal(connect_as(&p, (struct how){ .alpn = "\x02h2\x08http/1.1" }), 1);
	assert_false(tls_speaks_http2(p.server));
	pair_close(&p);
	tls_free(w.tls);
	w.tls = with;
}

TEST(old_versions_and_weak_ciphers_are_refused)
{
	struct pair p;

	assert_int_equal(connect_as(&p, (struct how){ .max = TLS1_2_VERSION }), 1);
	pair_close(&p);
	assert_int_not_equal(connect_as(&p, (struct how){ .max = TLS1_1_VERSION }), 1);
	pair_close(&p);
	assert_int_not_equal(
		connect_as(&p, (struct how){ .max = TLS1_2_VERSION, .ciphers = "AES128-SHA256" }),
		1);
	pair_close(&p);
}

TEST(no_renegotiation)
{
	struct pair p;
	char byte;

	assert_int_equal(connect_as(&p, (struct how){ .max = TLS1_2_VERSION }), 1);
	assert_int_equal(SSL_renegotiate(p.client), 1);
	SSL_do_handshake(p.client);
	assert_int_equal(SSL_read(p.server, &byte, 1), -1);
	assert_int_equal(SSL_write(p.server, "x", 1), 1); /* it goes on as it was */
	assert_int_equal(SSL_num_renegotiations(p.server), 0);
	pair_close(&p);
}

TEST(no_certificates_yet_fails)
{
	struct certs *certs = w.certs;
	struct pair p;
	char why[100];

	w.certs = NULL;
	assert_int_equal(connect_as(&p, (struct how){ .sni = "a.test" }), -2);
	tls_error(p.server, why, sizeof(why));
	assert_true(strlen(why) > 0);
	pair_close(&p);
	w.certs = certs;
}

/* ---- tickets ------------------------------------------------------------------------------------------------------ */

/* A session from one connection is offered by another. */
static bool resumes(struct how first, struct how second)
{
	struct pair p;
	bool reused;

	assert_int_equal(connect_as(&p, first), 1);
	settle(&p);
	pair_close(&p);
	assert_non_null(last_session);
	second.session = last_session;
	assert_int_equal(connect_as(&p, second), 1);
	reused = SSL_session_reused(p.server);
	pair_close(&p);
	SSL_SESSION_free(last_session);
	last_session = NULL;
	return reused;
}

TEST(sessions_resume_for_their_host_only)
{
	static const int versions[] = { 0, TLS1_2_VERSION };

	for (int i = 0; i < 2; i++) {
		int v = versions[i];

		assert_true(resumes((struct how){ .sni = "a.test", .max = v },
				    (struct how){ .sni = "a.test", .max = v }));
		assert_true(resumes((struct how){ .max = v }, (struct how){ .max = v }));
		assert_false(resumes((struct how){ .sni = "a.test", .max = v },
				     (struct how){ .sni = "b.test", .max = v }));
		assert_false(resumes((struct how){ .sni = "a.test", .max = v },
				     (struct how){ .sni = "c.test", .max = v }));
		assert_true(resumes((struct how){ .sni = "c.test", .cert = &w.user, .max = v },
				    (struct how){ .sni = "c.test", .cert = &w.user, .max = v }));
	}
}

TEST(a_changed_demand_ends_resumption)
{
	struct certs *certs = w.certs;
	struct pair p;

	assert_int_equal(connect_as(&p, (struct how){ .sni = "c.test" }), 1);
	settle(&p);
	pair_close(&p);
	w.certs = serve(&w.a, CERTS_VERIFY_OPTIONAL);
	assert_int_equal(connect_as(&p, (struct how){ .sni = "c.test", .session = last_session }),
			 1);
	assert_false(SSL_session_reused(p.server));
	pair_close(&p);
	certs_drop(w.certs);
	w.certs = certs;
	SSL_SESSION_free(last_session);
	last_session = NULL;
}

/* ---- requests ----------------------------------------------------------------------------------------------------- */

static enum tls_host check(const struct pair *p, const char *host, const char **ret_problem)
{
	const struct certs_client *demand;

	return tls_check_host(p->server, w.certs, host, strlen(host), &demand, ret_problem);
}

TEST(misdirected_where_certificate_or_demand_differs)
{
	static const struct {
		const char *sni, *host;
		enum tls_host expected;
	} cases[] = {
		{ "a.test", "a.test", TLS_HOST_OK },
		{ "a.test", "A.TEST", TLS_HOST_OK },
		{ "a.test", "sibling.test", TLS_HOST_OK }, /* the same certificate */
		{ "a.test", "b.test", TLS_HOST_MISDIRECTED },
		{ "a.test", "nobody.test", TLS_HOST_OK }, /* the default one */
		{ "nobody.test", "a.test", TLS_HOST_OK },
		{ NULL, "a.test", TLS_HOST_OK },
		{ "a.test", "c.test", TLS_HOST_MISDIRECTED }, /* its demand would be passed by */
		{ "nobody.test", "c.test", TLS_HOST_MISDIRECTED },
		{ "c.test", "e.test", TLS_HOST_OK }, /* both are equal */
		{ "c.test", "a.test", TLS_HOST_MISDIRECTED },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *problem;
		struct pair p;

		assert_int_equal(connect_as(&p, (struct how){ .sni = cases[i].sni }), 1);
		if (check(&p, cases[i].host, &problem) != cases[i].expected)
			fail_msg("SNI %s, Host %s", cases[i].sni, cases[i].host);
		pair_close(&p);
	}
}

TEST(rotation_is_no_mismatch)
{
	struct certs *certs = w.certs;
	struct pki fresh = pki_make("a", "DNS:a.test,DNS:sibling.test", &w.ca, -60, DAY);
	const char *problem;
	struct pair p, q;
	char byte;

	assert_int_equal(connect_as(&p, (struct how){ .sni = "a.test" }), 1);
	w.certs = serve(&fresh, CERTS_VERIFY_ON);
	assert_int_equal(check(&p, "a.test", &problem), TLS_HOST_OK);
	assert_int_equal(check(&p, "sibling.test", &problem), TLS_HOST_OK);
	assert_int_equal(check(&p, "b.test", &problem), TLS_HOST_MISDIRECTED);
	assert_int_equal(connect_as(&q, (struct how){ .sni = "a.test" }), 1);
	assert_int_not_equal(
		X509_cmp(SSL_get0_peer_certificate(p.client), SSL_get0_peer_certificate(q.client)),
		0);
	settle(&p);
	assert_int_equal(SSL_write(p.server, "x", 1), 1); /* the old one lives */
	assert_int_equal(SSL_read(p.client, &byte, 1), 1);
	pair_close(&p);
	pair_close(&q);
	certs_drop(w.certs);
	w.certs = certs;
	pki_free(&fresh);
}

TEST(client_certificates_are_judged_by_request)
{
	struct certs *certs = w.certs;
	const char *problem;
	struct pair p;

	assert_int_equal(connect_as(&p, (struct how){ .sni = "c.test" }), 1);
	assert_int_equal(check(&p, "c.test", &problem), TLS_HOST_OK);
	assert_string_equal(problem, "no certificate was sent");
	pair_close(&p);
	assert_int_equal(connect_as(&p, (struct how){ .sni = "c.test", .cert = &w.user }), 1);
	assert_int_equal(check(&p, "c.test", &problem), TLS_HOST_OK);
	assert_null(problem);
	pair_close(&p);
	assert_int_equal(connect_as(&p, (struct how){ .sni = "c.test", .cert = &w.stranger }), 1);
	assert_int_equal(check(&p, "c.test", &problem), TLS_HOST_OK);
	assert_string_equal(problem, "self-signed certificate");
	pair_close(&p);
	/* Without SNI nothing was asked, so nothing can be right. */
	assert_int_equal(connect_as(&p, (struct how){ .cert = &w.user }), 1);
	assert_int_equal(check(&p, "c.test", &problem), TLS_HOST_OK);
	assert_non_null(problem);
	pair_close(&p);
	/* A demand that came or changed later is not met by what was asked before. */
	assert_int_equal(connect_as(&p, (struct how){ .sni = "c.test" }), 1);
	w.certs = serve(&w.a, CERTS_VERIFY_OPTIONAL);
	assert_int_equal(check(&p, "c.test", &problem), TLS_HOST_MISDIRECTED);
	pair_close(&p);
	assert_int_equal(connect_as(&p, (struct how){ .sni = "c.test" }), 1);
	assert_int_equal(check(&p, "c.test", &problem), TLS_HOST_OK);
	assert_null(problem);
	pair_close(&p);
	assert_int_equal(connect_as(&p, (struct how){ .sni = "c.test", .cert = &w.stranger }), 1);
	check(&p, "c.test", &problem);
	assert_non_null(problem);
	pair_close(&p);
	certs_drop(w.certs);
	w.certs = serve(&w.a, CERTS_VERIFY_ANY);
	assert_int_equal(connect_as(&p, (struct how){ .sni = "c.test", .cert = &w.stranger }), 1);
	check(&p, "c.test", &problem);
	assert_null(problem);
	pair_close(&p);
	certs_drop(w.certs);
	w.certs = certs;
}

TEST(client_certificates_as_text)
{
	struct tls_client_cert cert;
	struct pair p;

	assert_int_equal(connect_as(&p, (struct how){ .sni = "c.test", .cert = &w.user }), 1);
	assert_int_equal(tls_client_cert(p.server, &cert), 0);
	assert_string_equal(cert.subject, "CN=user\\, or so");
	assert_string_equal(cert.issuer, "CN=ca");
	assert_true(strncmp(cert.pem, "-----BEGIN%20CERTIFICATE-----%0AMII", 35) == 0);
	free(cert.subject);
	free(cert.issuer);
	free(cert.pem);
	pair_close(&p);
	assert_int_equal(connect_as(&p, (struct how){ .sni = "c.test" }), 1);
	assert_int_equal(tls_client_cert(p.server, &cert), -ENOENT);
	pair_close(&p);
}

/* ---- origins ------------------------------------------------------------------------------------------------------ */

/* Our own server, as an origin, to a client made by this input. */
static int to_origin(struct pair *p, const struct tls_origin_input *in)
{
	struct tls_origin *origin;

	assert_int_equal(tls_origin_new(in, &origin, NULL), 0);
	pair_open(p);
	p->server = tls_accept(w.tls, p->fds[0], &w);
	p->client = tls_connect(origin, p->fds[1]);
	assert_non_null(p->client);
	tls_origin_drop(origin); /* the connection lives on */
	return shake(p);
}

TEST(origins_are_verified_where_asked)
{
	struct tls_origin_input in = { .ca_what = "Secret shop/ca, ca.crt" };
	struct pair p;
	char why[160];

	assert_int_equal(to_origin(&p, &in), 1); /* not verified */
	assert_null(SSL_get_servername(p.server, TLSEXT_NAMETYPE_host_name));
	assert_false(tls_speaks_http2(p.client));
	pair_close(&p);
	in.http2 = true;
	assert_int_equal(to_origin(&p, &in), 1);
	assert_true(tls_speaks_http2(p.client));
	pair_close(&p);

	in.verify = true;
	in.ca = w.ca.crt_pem;
	in.ca_len = strlen(w.ca.crt_pem);
	in.name = "a.test";
	in.send_name = true;
	assert_int_equal(to_origin(&p, &in), 1);
	assert_string_equal(SSL_get_servername(p.server, TLSEXT_NAMETYPE_host_name), "a.test");
	pair_close(&p);
	in.name = "other.test"; /* the fallback's names do not cover that */
	assert_int_equal(to_origin(&p, &in), -1);
	tls_error(p.client, why, sizeof(why));
	assert_string_equal(why, "certificate verify failed: hostname mismatch");
	pair_close(&p);
	in.name = "192.0.2.1";
	assert_int_equal(to_origin(&p, &in), -1);
	tls_error(p.client, why, sizeof(why));
	assert_string_equal(why, "certificate verify failed: IP address mismatch");
	pair_close(&p);
	in.name = "a.test";
	in.ca = w.stranger.crt_pem;
	in.ca_len = strlen(w.stranger.crt_pem);
	assert_int_equal(to_origin(&p, &in), -1);
	tls_error(p.client, why, sizeof(why));
	assert_non_null(strstr(why, "unable to get local issuer"));
	pair_close(&p);
}

TEST(origins_get_our_certificate)
{
	struct certs_secret s = secret_of("user", &w.user);
	struct tls_origin_input in = { .secret = &s, .name = "c.test", .send_name = true };
	const char *problem;
	struct pair p;

	assert_int_equal(to_origin(&p, &in), 1);
	check(&p, "c.test", &problem);
	assert_null(problem);
	pair_close(&p);
}

TEST(origins_versions_and_errors)
{
	struct tls_origin_input in = { .tls1_2 = true };
	struct certs_secret s = secret_of("user", &w.user);
	struct tls_origin *origin;
	struct err err;
	struct pair p;

	assert_int_equal(to_origin(&p, &in), 1);
	assert_int_equal(SSL_version(p.client), TLS1_2_VERSION);
	pair_close(&p);
	in = (struct tls_origin_input){ .tls1_3 = true };
	assert_int_equal(to_origin(&p, &in), 1);
	assert_int_equal(SSL_version(p.client), TLS1_3_VERSION);
	pair_close(&p);
	in.ciphers = "NO-SUCH";
	assert_int_equal(tls_origin_new(&in, &origin, &err), -EINVAL);
	assert_non_null(strstr(err.what, "proxy-ssl-ciphers"));
	in = (struct tls_origin_input){
		.verify = true, .ca = "x", .ca_len = 1, .ca_what = "Secret shop/ca, ca.crt"
	};
	assert_int_equal(tls_origin_new(&in, &origin, &err), -EINVAL);
	assert_non_null(strstr(err.what, "Secret shop/ca, ca.crt: there is no PEM certificate"));
	s.key = NULL;
	in = (struct tls_origin_input){ .secret = &s };
	assert_int_equal(tls_origin_new(&in, &origin, &err), -EINVAL);
	assert_non_null(strstr(err.what, "Secret shop/user, tls.key"));
}

/* A ClientHello byte by byte, cut off and with bytes turned: no crash, no success. */
TEST(broken_hellos_fail)
{
	unsigned char hello[2048];
	struct pair p;
	ssize_t n;

	assert_int_equal(connect_as(&p, (struct how){ .sni = "a.test" }), 1);
	pair_close(&p);
	for (int at = 0; at < 400; at++) {
		SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

		pair_open(&p);
		p.ctx = ctx;
		p.client = SSL_new(ctx);
		SSL_set_fd(p.client, p.fds[1]);
		SSL_set_tlsext_host_name(p.client, "a.test");
		SSL_connect(p.client);
		n = read(p.fds[0], hello, sizeof(hello));
		assert_true(n > 100 && n < (ssize_t)sizeof(hello));
		hello[at % n] ^= (unsigned char)(1 + at);
		assert_int_equal(write(p.fds[1], hello, (size_t)n), n);
		p.server = tls_accept(w.tls, p.fds[0], &w);
		SSL_do_handshake(p.server);
		assert_false(SSL_is_init_finished(p.server));
		pair_close(&p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sni_chooses_the_certificate),
		cmocka_unit_test(alpn_prefers_http2),
		cmocka_unit_test(http2_can_be_off),
		cmocka_unit_test(old_versions_and_weak_ciphers_are_refused),
		cmocka_unit_test(no_renegotiation),
		cmocka_unit_test(no_certificates_yet_fails),
		cmocka_unit_test(sessions_resume_for_their_host_only),
		cmocka_unit_test(a_changed_demand_ends_resumption),
		cmocka_unit_test(misdirected_where_certificate_or_demand_differs),
		cmocka_unit_test(rotation_is_no_mismatch),
		cmocka_unit_test(client_certificates_are_judged_by_request),
		cmocka_unit_test(client_certificates_as_text),
		cmocka_unit_test(origins_are_verified_where_asked),
		cmocka_unit_test(origins_get_our_certificate),
		cmocka_unit_test(origins_versions_and_errors),
		cmocka_unit_test(broken_hellos_fail),
	};

	return cmocka_run_group_tests_name(__FILE__, tests, set_up, tear_down);
}
