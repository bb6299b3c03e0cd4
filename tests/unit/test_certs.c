// SPDX-License-Identifier: GPL-2.0-only
// Certificates by host: exact, wildcard, default; what is refused and how it is said; the cache; ticket keys.
/* link: user/ingress/certs.c user/ingress/certs_parse.c user/ingress/tickets.c user/base/table.c */
/* libs: ssl crypto */
#include "unit/test.h"

#include <errno.h>
#include <stdlib.h>

#include "ingress/certs.h"
#include "ingress/tickets.h"
#include "unit/pki.h"

#define DAY 86400

struct said {
	int n;
	enum certs_severity severity;
	const void *source;
	char text[512];
};

static void say(void *ctx, const void *source, enum certs_severity severity, const char *reason)
{
	struct said *said = ctx;

	said->n++;
	said->severity = severity;
	said->source = source;
	snprintf(said->text, sizeof(said->text), "%s", reason);
}

static struct certs_secret secret_of(const char *name, const struct pki *p)
{
	return (struct certs_secret){ .namespace = "shop",
				      .name = name,
				      .crt = p->crt_pem,
				      .crt_len = strlen(p->crt_pem),
				      .key = p->key_pem,
				      .key_len = strlen(p->key_pem) };
}

static struct certs *build(struct certs_cache *cache, const struct certs_host *hosts, size_t n,
			   const struct certs_secret *fallback, struct said *said)
{
	struct certs_input in = { .hosts = hosts,
				  .n_hosts = n,
				  .fallback = fallback,
				  .now_s = time(NULL),
				  .seed = 7,
				  .note = say,
				  .ctx = said };
	struct certs *certs = NULL;

	*said = (struct said){ 0 };
	assert_int_equal(certs_build(cache, &in, &certs), 0);
	return certs;
}

static const char *found(const struct certs *certs, const char *host)
{
	struct certs_choice choice = certs_find(certs, host, strlen(host));

	assert_non_null(choice.cert);
	assert_true(choice.is_default == (strcmp(choice.cert->secret, "shop/fallback") == 0 ||
					  choice.cert->secret[0] == '\0'));
	return choice.cert->secret;
}

TEST(exact_then_wildcard_then_default)
{
	struct pki a = pki_make("a", "DNS:a.test", NULL, 0, DAY);
	struct pki w = pki_make("w", "DNS:*.test,DNS:*.b.test", NULL, 0, DAY);
	struct pki f = pki_make("f", "DNS:f", NULL, 0, DAY);
	struct certs_secret sa = secret_of("a", &a), sw = secret_of("w", &w),
			    sf = secret_of("fallback", &f);
	struct certs_host hosts[] = { { .host = "A.test", .secret = &sa },
				      { .host = "*.Test", .secret = &sw },
				      { .host = "*.b.test", .secret = &sw } };
	struct certs_cache *cache;
	struct certs *certs;
	struct said said;

	assert_int_equal(certs_cache_new(&cache), 0);
	certs = build(cache, hosts, 3, &sf, &said);
	assert_int_equal(said.n, 0);
	assert_string_equal(found(certs, "a.test"), "shop/a");
	assert_string_equal(found(certs, "A.TEST"), "shop/a");
	assert_string_equal(found(certs, "a.test."), "shop/a");
	assert_string_equal(found(certs, "x.test"), "shop/w");
	assert_string_equal(found(certs, "y.B.test"), "shop/w");
	assert_string_equal(found(certs, "x.y.b.test"), "shop/fallback"); /* one label only */
	assert_string_equal(found(certs, "x.a.test"), "shop/fallback");
	assert_string_equal(found(certs, "test"), "shop/fallback");
	assert_string_equal(found(certs, ".test"), "shop/fallback");
	assert_string_equal(found(certs, "*.test"), "shop/w");
	assert_string_equal(found(certs, ""), "shop/fallback");
	certs_drop(certs);
	certs = build(cache, NULL, 0, NULL, &said);
	assert_string_equal(found(certs, "a.test"), ""); /* the made one */
	certs_drop(certs);
	certs_cache_free(cache);
	pki_free(&a);
	pki_free(&w);
	pki_free(&f);
}

TEST(long_hosts_find_the_default)
{
	struct certs_cache *cache;
	struct certs *certs;
	struct said said;
	char host[1000];

	memset(host, 'a', sizeof(host));
	host[sizeof(host) - 1] = '\0';
	assert_int_equal(certs_cache_new(&cache), 0);
	certs = build(cache, NULL, 0, NULL, &said);
	assert_string_equal(found(certs, host), "");
	certs_drop(certs);
	certs_cache_free(cache);
}

/* One host with that Secret gets the default certificate, and somebody is told why. */
static void check_refused(const struct certs_secret *secret, const char *host, const char *why)
{
	int marker;
	struct certs_host h = { .host = host, .secret = secret, .source = &marker };
	struct certs_cache *cache;
	struct certs *certs;
	struct said said;

	assert_int_equal(certs_cache_new(&cache), 0);
	certs = build(cache, &h, 1, NULL, &said);
	assert_string_equal(found(certs, host), "");
	assert_int_equal(said.n, 1);
	assert_int_equal(said.severity, CERTS_REFUSED);
	assert_ptr_equal(said.source, &marker);
	if (!strstr(said.text, why) || !strstr(said.text, "Secret shop/"))
		fail_msg("\"%s\" does not say \"%s\"", said.text, why);
	certs_drop(certs);
	h.maybe = true;
	certs = build(cache, &h, 1, NULL, &said);
	assert_int_equal(said.n, 0);
	certs_drop(certs);
	certs_cache_free(cache);
}

TEST(what_is_wrong_is_named)
{
	struct pki a = pki_make("a", "DNS:a.test", NULL, 0, DAY);
	struct pki b = pki_make("b", "DNS:b.test", NULL, 0, DAY);
	struct certs_secret s = secret_of("a", &a);
	char both[8192];

	check_refused(&s, "b.test", "names do not cover the host b.test");
	check_refused(&s, "*.test", "names do not cover the host *.test");
	s.crt = NULL;
	check_refused(&s, "a.test", "tls.crt: the field is missing");
	s = secret_of("a", &a);
	s.key = NULL;
	check_refused(&s, "a.test", "tls.key: the field is missing");
	s = secret_of("a", &a);
	s.key = b.key_pem;
	s.key_len = strlen(b.key_pem);
	check_refused(&s, "a.test", "tls.key: the key does not belong");
	s = secret_of("a", &a);
	s.crt = "hello";
	s.crt_len = 5;
	check_refused(&s, "a.test", "tls.crt: there is no PEM certificate");
	s = secret_of("a", &a);
	s.crt_len /= 2;
	check_refused(&s, "a.test", "tls.crt: the first certificate cannot be read");
	s = secret_of("a", &a);
	s.key_len = 20;
	check_refused(&s, "a.test", "tls.key: there is no private key");
	s = secret_of("a", &a);
	snprintf(both, sizeof(both),
		 "%s-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n", a.crt_pem);
	s.crt = both;
	s.crt_len = strlen(both);
	check_refused(&s, "a.test", "tls.crt: certificate 2 of the chain");
	pki_free(&a);
	pki_free(&b);
}

TEST(an_encrypted_key_is_named)
{
	struct pki a = pki_make("a", "DNS:a.test", NULL, 0, DAY);
	struct certs_secret s = secret_of("a", &a);
	BIO *bio = BIO_new(BIO_s_mem());
	char *pem;

	assert_true(PEM_write_bio_PrivateKey(bio, a.key, EVP_aes_128_cbc(), (unsigned char *)"pw",
					     2, NULL, NULL));
	pem = pki_text(bio);
	s.key = pem;
	s.key_len = strlen(pem);
	check_refused(&s, "a.test", "tls.key: the key is encrypted");
	free(pem);
	pki_free(&a);
}

TEST(a_weak_key_is_named)
{
	EVP_PKEY *key = EVP_RSA_gen(1024);
	struct pki weak = { .key = key, .x = X509_new() };
	BIO *crt = BIO_new(BIO_s_mem()), *pem = BIO_new(BIO_s_mem());
	struct certs_secret s;

	X509_gmtime_adj(X509_getm_notBefore(weak.x), 0);
	X509_gmtime_adj(X509_getm_notAfter(weak.x), DAY);
	X509_set_pubkey(weak.x, key);
	pki_extend(weak.x, NID_subject_alt_name, "DNS:a.test");
	X509_sign(weak.x, key, EVP_sha256());
	PEM_write_bio_X509(crt, weak.x);
	PEM_write_bio_PrivateKey(pem, key, NULL, NULL, 0, NULL, NULL);
	weak.crt_pem = pki_text(crt);
	weak.key_pem = pki_text(pem);
	s = secret_of("weak", &weak);
	check_refused(&s, "a.test", "OpenSSL does not accept the certificate (ee key too small)");
	pki_free(&weak);
}

TEST(expired_ones_are_used_with_a_warning)
{
	struct pki a = pki_make("a", "DNS:a.test", NULL, -3 * DAY, -2 * DAY);
	struct pki b = pki_make("b", "DNS:b.test", NULL, DAY, 2 * DAY);
	struct certs_secret sa = secret_of("a", &a), sb = secret_of("b", &b);
	struct certs_host ha = { .host = "a.test", .secret = &sa },
			  hb = { .host = "b.test", .secret = &sb };
	struct certs_cache *cache;
	struct certs *certs;
	struct said said;

	assert_int_equal(certs_cache_new(&cache), 0);
	certs = build(cache, &ha, 1, NULL, &said);
	assert_string_equal(found(certs, "a.test"), "shop/a");
	assert_int_equal(said.n, 1);
	assert_int_equal(said.severity, CERTS_WARNING);
	assert_non_null(
		strstr(said.text, "Secret shop/a, tls.crt: the certificate expired 2 days ago"));
	certs_drop(certs);
	certs = build(cache, &hb, 1, NULL, &said);
	assert_string_equal(found(certs, "b.test"), "shop/b");
	assert_int_equal(said.n, 1);
	assert_non_null(strstr(said.text, "not valid yet"));
	certs_drop(certs);
	certs_cache_free(cache);
	pki_free(&a);
	pki_free(&b);
}

/* Several Secrets for a host: the first that covers it. */
TEST(the_first_that_covers_counts)
{
	struct pki a = pki_make("a", "DNS:a.test", NULL, 0, DAY);
	struct pki b = pki_make("b", "DNS:a.test,DNS:b.test", NULL, 0, DAY);
	struct certs_secret sa = secret_of("a", &a), sb = secret_of("b", &b);
	struct certs_host hosts[] = { { .host = "b.test", .secret = &sa, .maybe = true },
				      { .host = "b.test", .secret = &sb, .maybe = true },
				      { .host = "a.test", .secret = &sb },
				      { .host = "a.test", .secret = &sa } };
	struct certs_cache *cache;
	struct certs *certs;
	struct said said;

	assert_int_equal(certs_cache_new(&cache), 0);
	certs = build(cache, hosts, 4, NULL, &said);
	assert_int_equal(said.n, 0);
	assert_string_equal(found(certs, "b.test"), "shop/b");
	assert_string_equal(found(certs, "a.test"), "shop/b");
	certs_drop(certs);
	certs_cache_free(cache);
	pki_free(&a);
	pki_free(&b);
}

TEST(content_is_parsed_once_and_let_go)
{
	struct pki a = pki_make("a", "DNS:a.test,DNS:b.test", NULL, 0, DAY);
	struct pki b = pki_make("b", "DNS:a.test,DNS:b.test", NULL, 0, DAY);
	struct certs_secret s = secret_of("a", &a);
	struct certs_host hosts[] = { { .host = "a.test", .secret = &s },
				      { .host = "b.test", .secret = &s } };
	struct certs_cache *cache;
	struct certs *first, *second;
	struct cert *kept;
	struct said said;

	assert_int_equal(certs_cache_new(&cache), 0);
	first = build(cache, hosts, 2, NULL, &said);
	kept = certs_find(first, "a.test", 6).cert;
	assert_ptr_equal(kept, certs_find(first, "b.test", 6).cert);
	second = build(cache, hosts, 1, NULL, &said);
	assert_ptr_equal(kept, certs_find(second, "a.test", 6).cert);
	certs_drop(second);
	s = secret_of("a", &b); /* rotated */
	second = build(cache, hosts, 2, NULL, &said);
	assert_ptr_not_equal(kept, certs_find(second, "a.test", 6).cert);
	cert_hold(kept); /* a connection */
	certs_drop(first);
	assert_int_equal(kept->refs, 2); /* cache, connection */
	certs_drop(second);
	second = build(cache, hosts, 2, NULL, &said);
	assert_int_equal(kept->refs, 2); /* the connection may still make a store share it */
	cert_drop(kept);
	certs_drop(second);
	second = build(cache, NULL, 0, NULL, &said); /* lets both go: the leak checker would tell */
	certs_drop(second);
	certs_cache_free(cache);
	pki_free(&a);
	pki_free(&b);
}

TEST(a_tag_stands_for_content)
{
	struct pki a = pki_make("a", "DNS:a.test", NULL, 0, DAY);
	struct pki b = pki_make("b", "DNS:a.test", NULL, 0, DAY);
	struct certs_secret s = secret_of("a", &a);
	struct certs_host h = { .host = "a.test", .secret = &s };
	struct certs_cache *cache;
	struct certs *first, *second, *third;
	struct said said;

	assert_int_equal(certs_cache_new(&cache), 0);
	s.tag = 1;
	first = build(cache, &h, 1, NULL, &said);
	s = secret_of("a", &b);
	s.tag = 1; /* a lie, which shows that it was not read again */
	second = build(cache, &h, 1, NULL, &said);
	assert_ptr_equal(certs_find(first, "a.test", 6).cert, certs_find(second, "a.test", 6).cert);
	s.tag = 2;
	third = build(cache, &h, 1, NULL, &said);
	assert_ptr_not_equal(certs_find(first, "a.test", 6).cert,
			     certs_find(third, "a.test", 6).cert);
	certs_drop(first);
	certs_drop(second);
	certs_drop(third);
	certs_cache_free(cache);
	pki_free(&a);
	pki_free(&b);
}

TEST(demands_are_kept_even_when_they_cannot_be_met)
{
	struct pki ca = pki_make("ca", NULL, NULL, 0, DAY);
	struct certs_demand d = {
		.namespace = "shop", .name = "ca", .ca = ca.crt_pem, .ca_len = strlen(ca.crt_pem)
	};
	struct certs_demand broken = { .namespace = "shop", .name = "none" };
	struct certs_host hosts[] = { { .host = "a.test", .demand = &d },
				      { .host = "b.test", .demand = &broken },
				      { .host = "a.test", .demand = &broken } };
	struct certs_cache *cache;
	struct certs *certs;
	struct certs_choice a, b;
	struct said said;

	assert_int_equal(certs_cache_new(&cache), 0);
	certs = build(cache, hosts, 3, NULL, &said);
	assert_int_equal(said.n, 1);
	assert_non_null(strstr(said.text, "Secret shop/none, ca.crt: the field is missing"));
	a = certs_find(certs, "a.test", 6);
	b = certs_find(certs, "b.test", 6);
	assert_non_null(a.client);
	assert_int_equal(a.client->depth, 1);
	assert_non_null(b.client);
	assert_int_equal(sk_X509_OBJECT_num(X509_STORE_get0_objects(a.client->store)), 1);
	assert_int_equal(sk_X509_OBJECT_num(X509_STORE_get0_objects(b.client->store)), 0);
	assert_null(certs_find(certs, "c.test", 6).client);
	certs_drop(certs);
	d.ca_len = 30;
	certs = build(cache, hosts, 1, NULL, &said);
	assert_non_null(strstr(said.text, "Secret shop/ca, ca.crt: "));
	assert_non_null(certs_find(certs, "a.test", 6).client);
	certs_drop(certs);
	certs_cache_free(cache);
	pki_free(&ca);
}

static void count_one(void *ctx, const char *host, const struct cert *cert)
{
	char *hosts = ctx;

	strcat(hosts, *host ? host : "(default)");
	strcat(hosts, cert->not_after_s > time(NULL) ? "+ " : "- ");
}

TEST(each_is_listed_with_its_end)
{
	struct pki a = pki_make("a", "DNS:a.test", NULL, -2 * DAY, -DAY);
	struct certs_secret s = secret_of("a", &a);
	struct certs_host h = { .host = "a.test", .secret = &s };
	struct certs_cache *cache;
	struct certs *certs;
	struct said said;
	char hosts[100] = "";

	assert_int_equal(certs_cache_new(&cache), 0);
	certs = build(cache, &h, 1, NULL, &said);
	certs_each(certs, count_one, hosts);
	assert_string_equal(hosts, "a.test- (default)+ ");
	certs_drop(certs);
	certs_cache_free(cache);
	pki_free(&a);
}

TEST(ticket_keys_turn_and_age)
{
	struct ticket_key first, now, again;
	struct tickets *t;
	int64_t s = 1000;
	bool stale;

	assert_int_equal(tickets_new(&t), 0);
	assert_int_equal(tickets_current(t, s, &first), 0);
	assert_int_equal(tickets_current(t, s + TICKETS_PERIOD_S - 1, &now), 0);
	assert_memory_equal(&first, &now, sizeof(now));
	assert_true(tickets_find(t, first.name, s + TICKETS_PERIOD_S - 1, &again, &stale));
	assert_false(stale);
	assert_memory_equal(&first, &again, sizeof(again));
	assert_int_equal(tickets_current(t, s + TICKETS_PERIOD_S, &now), 0);
	assert_memory_not_equal(&first, &now, sizeof(now));
	for (int i = 1; i < TICKETS_KEYS; i++)
		assert_int_equal(tickets_current(t, s + i * TICKETS_PERIOD_S, &now), 0);
	/* A ticket of the last second of the first key is still good for as long as it lives. */
	assert_true(tickets_find(t, first.name, s + TICKETS_PERIOD_S + TICKETS_LIFE_S - 1, &again,
				 &stale));
	assert_true(stale);
	assert_false(
		tickets_find(t, first.name, s + TICKETS_PERIOD_S + TICKETS_LIFE_S, &again, &stale));
	assert_int_equal(tickets_current(t, s + TICKETS_KEYS * TICKETS_PERIOD_S, &now), 0);
	assert_false(
		tickets_find(t, first.name, s + TICKETS_KEYS * TICKETS_PERIOD_S, &again, &stale));
	tickets_free(t);
}

RUN(cmocka_unit_test(exact_then_wildcard_then_default),
    cmocka_unit_test(long_hosts_find_the_default), cmocka_unit_test(what_is_wrong_is_named),
    cmocka_unit_test(an_encrypted_key_is_named), cmocka_unit_test(a_weak_key_is_named),
    cmocka_unit_test(expired_ones_are_used_with_a_warning),
    cmocka_unit_test(the_first_that_covers_counts),
    cmocka_unit_test(content_is_parsed_once_and_let_go), cmocka_unit_test(a_tag_stands_for_content),
    cmocka_unit_test(demands_are_kept_even_when_they_cannot_be_met),
    cmocka_unit_test(each_is_listed_with_its_end), cmocka_unit_test(ticket_keys_turn_and_age))
