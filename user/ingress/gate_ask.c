// SPDX-License-Identifier: GPL-2.0-only
/* External authentication: the question about a request, and what its answer means. */
/* Must not know how it is sent. */
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "ingress/gate_parts.h"

/* ---- the question ---------------------------------------------------------------------------------------------------- */

static bool begins_with(const struct gate_request *q, const struct http1_field *f,
			const char *prefix)
{
	size_t len = strlen(prefix);

	return f->name_len >= len && strncasecmp(prefix, q->bytes + f->name_at, len) == 0;
}

/* Fields that speak of the request's body, and those that speak for the client: what is to be believed of it is set here. */
static bool is_left_out(const struct gate_request *q, const struct http1_field *f)
{
	static const char *const names[] = { "forwarded",   "x-sent-from",
					     "x-real-ip",   "x-auth-request-redirect",
					     "x-scheme",    "content-encoding",
					     "content-type" };

	if (f->connection || f->name == HTTP1_HOST || f->name == HTTP1_CONTENT_LENGTH ||
	    f->name == HTTP1_TRANSFER_ENCODING || f->name == HTTP1_EXPECT ||
	    f->name == HTTP1_UPGRADE)
		return true;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strlen(names[i]) == f->name_len && begins_with(q, f, names[i]))
			return true;
	return begins_with(q, f, "x-forwarded-") || begins_with(q, f, "x-original-");
}

static void put_field(struct buf *out, const char *name, const char *value)
{
	buf_printf(out, "%s: %s\r\n", name, value);
}

/* What we say of the client's certificate, where one is asked for. */
static bool is_of_certificate(const struct gate_request *q, const struct http1_field *f)
{
	return begins_with(q, f, "ssl-client-");
}

static void put_certificate(const struct gate_request *q, struct buf *out)
{
	put_field(out, "ssl-client-verify", q->has_client_cert ? "SUCCESS" : "NONE");
	if (q->client_cert_subject)
		put_field(out, "ssl-client-subject-dn", q->client_cert_subject);
	if (q->client_cert_issuer)
		put_field(out, "ssl-client-issuer-dn", q->client_cert_issuer);
}

static void put_url(const struct gate_request *q, struct buf *out)
{
	buf_printf(out, "%s://%.*s", q->tls ? "https" : "http", (int)q->head->host.len,
		   q->bytes + q->head->host.at);
	gate_put_uri(q, out);
}

static void put_host(const struct gate_request *q, const struct policy_url *url, struct buf *out)
{
	bool is_v6 = strchr(url->host, ':') != NULL;

	if (!*url->host) {
		buf_printf(out, "Host: %.*s\r\n", (int)q->head->host.len,
			   q->bytes + q->head->host.at);
		return;
	}
	buf_printf(out, "Host: %s%s%s", is_v6 ? "[" : "", url->host, is_v6 ? "]" : "");
	if (url->port != (url->tls ? 443 : 80))
		buf_printf(out, ":%u", url->port);
	buf_puts(out, "\r\n");
}

int gate_ask(const struct gate_request *q, const struct rule *rule, struct buf *out)
{
	const struct policy *p = rule->policy;
	bool certs = p->has & POLICY_HAS_CLIENT_CERT;
	char addr[ADDRESS_TEXT_LEN];

	buf_printf(out, "%s ", p->ask.method);
	gate_put_url(q, &p->ask.url.path, out);
	buf_puts(out, " HTTP/1.1\r\n");
	put_host(q, &p->ask.url, out);
	for (size_t i = 0; i < q->head->n_fields; i++) {
		const struct http1_field *f = &q->head->fields[i];

		if (!is_left_out(q, f) && !(certs && is_of_certificate(q, f)))
			buf_printf(out, "%.*s: %.*s\r\n", f->name_len, q->bytes + f->name_at,
				   f->value_len, q->bytes + f->value_at);
	}
	buf_puts(out, "X-Original-URL: ");
	put_url(q, out);
	buf_printf(out, "\r\nX-Original-Method: %.*s\r\n", (int)q->head->method.len,
		   q->bytes + q->head->method.at);
	put_field(out, "X-Sent-From", "sluice-proxy");
	address_format(&q->client, addr);
	put_field(out, "X-Real-IP", addr);
	put_field(out, "X-Forwarded-For", addr);
	put_field(out, "X-Forwarded-Proto", q->tls ? "https" : "http");
	buf_printf(out, "X-Forwarded-Host: %.*s\r\n", (int)q->head->host.len,
		   q->bytes + q->head->host.at);
	buf_puts(out, "X-Auth-Request-Redirect: ");
	if (p->ask.request_redirect.n)
		gate_put_url(q, &p->ask.request_redirect, out);
	else
		gate_put_uri(q, out);
	buf_puts(out, "\r\n");
	if (certs)
		put_certificate(q, out);
	if (strcmp(p->ask.method, "GET") != 0 && strcmp(p->ask.method, "HEAD") != 0)
		put_field(out, "Content-Length", "0");
	buf_puts(out, "\r\n");
	return out->failed ? -ENOMEM : 0;
}

/* ---- the answer -------------------------------------------------------------------------------------------------------- */

static const char *copy_value(struct step *s, const char *bytes, const struct http1_field *f)
{
	const char *value = arena_strndup(s->q->arena, bytes + f->value_at, f->value_len);

	s->no_memory |= !value;
	return value;
}

static void pass_cookies(struct step *s, const struct http1_head *answer, const char *bytes)
{
	const struct http1_field *f = NULL;

	while ((f = http1_field_find(answer, bytes, "set-cookie", f)))
		gate_add(s, &s->result->response_set, "Set-Cookie", copy_value(s, bytes, f));
}

/* Fields for the origin; what the client sent by these names is never passed on. */
static void pass_fields(struct step *s, const struct http1_head *answer, const char *bytes)
{
	const struct policy_list *names = &s->policy->ask.response_headers;

	for (size_t i = 0; i < names->n; i++) {
		const struct http1_field *f = http1_field_find(answer, bytes, names->item[i], NULL);

		gate_set(s, &s->result->request_set, names->item[i],
			 f ? copy_value(s, bytes, f) : NULL);
	}
}

void gate_ask_none(struct step *s)
{
	const struct policy_list *names = &s->policy->ask.response_headers;

	for (size_t i = 0; i < names->n; i++)
		gate_set(s, &s->result->request_set, names->item[i], NULL);
}

/* Where a 401 leads: the page for signing in, told where the client wanted to go unless the URL says it itself. */
static enum gate_verdict sign_in(struct step *s)
{
	const struct policy *p = s->policy;
	struct buf url = { 0 }, mark = { 0 };

	gate_put_url(s->q, &p->ask.signin, &url);
	buf_printf(&mark, "%s=", p->ask.signin_param);
	if (!url.failed && !mark.failed && !strstr(buf_str(&url), mark.data)) {
		struct buf wanted = { 0 };

		put_url(s->q, &wanted);
		buf_putc(&url, strchr(buf_str(&url), '?') ? '&' : '?');
		buf_puts(&url, buf_str(&mark));
		gate_put_escaped(&url, buf_str(&wanted), wanted.len);
		url.failed |= wanted.failed;
		buf_done(&wanted);
	}
	buf_done(&mark);
	return gate_redirect(s, 302, gate_keep(s, &url), "not signed in");
}

static enum gate_verdict refuse(struct step *s, const struct http1_head *answer, const char *bytes)
{
	const struct http1_field *f = http1_field_find(answer, bytes, "www-authenticate", NULL);

	if (answer->status == 401 && s->policy->ask.signin.n)
		return sign_in(s);
	if (answer->status == 401 && f)
		gate_set(s, &s->result->answer_set, "WWW-Authenticate", copy_value(s, bytes, f));
	return gate_answer(s, answer->status, "the authentication service refused");
}

enum gate_verdict gate_ask_done(struct step *s, const struct http1_head *answer, const char *bytes)
{
	if (!answer)
		return gate_answer(s, 503, "the authentication service did not answer");
	if (answer->status >= 200 && answer->status < 300) {
		pass_fields(s, answer, bytes);
		pass_cookies(s, answer, bytes);
		return GATE_PASS;
	}
	if (s->policy->ask.always_set_cookie)
		pass_cookies(s, answer, bytes);
	if (answer->status == 401 || answer->status == 403)
		return refuse(s, answer, bytes);
	return gate_answer(s, 503, "the authentication service failed");
}
