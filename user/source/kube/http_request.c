// SPDX-License-Identifier: GPL-2.0-only
/* What a request says and whom it trusts; what its answer's head and body say. */
/* Must not know when it is sent, nor over which connection. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "source/kube/auth.h"
#include "source/kube/http_state.h"
#include "sluice_version.h"

#define CONNECT_MS        10000L
#define USER_TIMEOUT_MS   30000
#define KEEP_IDLE_S       15L
#define KEEP_INTERVAL_S   5L
#define KEEP_PROBES       3
#define REFUSAL_BYTES_MAX ((size_t)256 << 10) /* of an answer other than 200 */

/* ---- the answer -------------------------------------------------------------------------------------- */

static size_t on_header(char *line, size_t size, size_t n, void *arg)
{
	struct kube_transfer *t = arg;
	size_t len = size * n, at = sizeof("retry-after:") - 1;
	long status = 0;

	if (len > 5 && strncasecmp(line, "HTTP/", 5) == 0) {
		*t->retry_after = 0;
	} else if (len > at && strncasecmp(line, "retry-after:", at) == 0) {
		for (; at < len && (line[at] == ' ' || line[at] == '\t'); at++)
			;
		while (len > at &&
		       (line[len - 1] == '\r' || line[len - 1] == '\n' || line[len - 1] == ' '))
			len--;
		if (copy_part(t->retry_after, sizeof(t->retry_after), line + at, len - at) < 0)
			*t->retry_after = 0;
	} else if (len <= 2 && !t->status) {
		curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
		if (status >= 200) {
			t->status = (unsigned)status;
			if (t->ops.head)
				t->ops.head(t->ops.ctx, t->status,
					    *t->retry_after ? t->retry_after : NULL);
		}
	}
	return size * n;
}

static size_t on_body(char *bytes, size_t size, size_t n, void *arg)
{
	struct kube_transfer *t = arg;
	size_t len = size * n;

	if (t->status != 200 && !t->sends) {
		t->refusal_bytes += len;
		return t->refusal_bytes <= REFUSAL_BYTES_MAX ? len : 0;
	}
	if (t->ops.bytes && t->ops.bytes(t->ops.ctx, bytes, len) != 0)
		return 0;
	return len;
}

/* ---- the request ------------------------------------------------------------------------------------- */

static int on_socket_made(void *arg, curl_socket_t fd, curlsocktype purpose)
{
	unsigned timeout_ms = USER_TIMEOUT_MS;
	int probes = KEEP_PROBES;

	(void)arg;
	(void)purpose;
	setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms, sizeof(timeout_ms));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof(probes));
	return CURL_SOCKOPT_OK;
}

static void put_host(struct buf *buf, const char *host)
{
	buf_printf(buf, strchr(host, ':') ? "[%s]" : "%s", host);
}

/* Where to, and what the certificate must say. */
int kube_transfer_set_address(struct kube_transfer *t, const struct kube_server *s, bool probe,
			      const char *target)
{
	struct buf url = { 0 }, to = { 0 };
	int rc = -ENOMEM;

	buf_puts(&url, s->plain || probe ? "http://" : "https://");
	put_host(&url, *s->tls_name && !probe ? s->tls_name : s->host);
	buf_printf(&url, ":%u%s%s", s->port, probe ? "" : s->path, target);
	if (*s->tls_name && !probe) {
		buf_puts(&to, "::"); /* whatever the URL says */
		put_host(&to, s->host);
		buf_printf(&to, ":%u", s->port);
		t->connect_to = to.failed ? NULL : curl_slist_append(NULL, buf_str(&to));
	}
	if (!url.failed && (!*s->tls_name || probe || t->connect_to)) {
		curl_easy_setopt(t->easy, CURLOPT_URL, buf_str(&url));
		curl_easy_setopt(t->easy, CURLOPT_CONNECT_TO, t->connect_to);
		rc = 0;
	}
	buf_done(&url);
	buf_done(&to);
	return rc;
}

static void set_blob(CURL *easy, CURLoption option, struct auth_pem pem)
{
	struct curl_blob blob = { (void *)(uintptr_t)pem.text, pem.len, CURL_BLOB_COPY };

	if (pem.text)
		curl_easy_setopt(easy, option, &blob);
}

static void set_identity(struct kube_transfer *t, struct auth *auth)
{
	curl_easy_setopt(t->easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	curl_easy_setopt(t->easy, CURLOPT_CA_CACHE_TIMEOUT, 0L);
	if (auth_ca(auth).text) { /* it and no other */
		curl_easy_setopt(t->easy, CURLOPT_CAINFO, NULL);
		curl_easy_setopt(t->easy, CURLOPT_CAPATH, NULL);
		set_blob(t->easy, CURLOPT_CAINFO_BLOB, auth_ca(auth));
	}
	set_blob(t->easy, CURLOPT_SSLCERT_BLOB, auth_cert(auth));
	set_blob(t->easy, CURLOPT_SSLKEY_BLOB, auth_key(auth));
}

static int add_header(struct kube_transfer *t, const char *name, const char *value)
{
	struct curl_slist *list;
	struct buf line = { 0 };

	buf_printf(&line, "%s: %s", name, value);
	list = line.failed ? NULL : curl_slist_append(t->headers, buf_str(&line));
	if (line.data)
		explicit_bzero(line.data, line.len);
	buf_done(&line);
	if (!list)
		return -ENOMEM;
	t->headers = list;
	return 0;
}

static int set_headers(struct kube_transfer *t, const struct kube_server *s, struct auth *auth)
{
	const char *token = s->plain ? NULL : auth_token(auth);
	struct buf bearer = { 0 };
	int rc = add_header(t, "Accept", "application/json");

	if (rc == 0 && token) {
		buf_printf(&bearer, "Bearer %s", token);
		rc = bearer.failed ? -ENOMEM : add_header(t, "Authorization", buf_str(&bearer));
		if (bearer.data)
			explicit_bzero(bearer.data, bearer.len);
		buf_done(&bearer);
	}
	curl_easy_setopt(t->easy, CURLOPT_HTTPHEADER, t->headers);
	return rc;
}

static void set_common(struct kube_transfer *t)
{
	CURL *e = t->easy;

	curl_easy_setopt(e, CURLOPT_PRIVATE, t);
	curl_easy_setopt(e, CURLOPT_ERRORBUFFER, t->why);
	curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(
		e, CURLOPT_PROXY,
		""); /* none from the environment: the token goes to the API server alone */
	curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(e, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
	curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MS);
	curl_easy_setopt(e, CURLOPT_SOCKOPTFUNCTION, on_socket_made);
	curl_easy_setopt(e, CURLOPT_TCP_KEEPALIVE, 1L);
	curl_easy_setopt(e, CURLOPT_TCP_KEEPIDLE, KEEP_IDLE_S);
	curl_easy_setopt(e, CURLOPT_TCP_KEEPINTVL, KEEP_INTERVAL_S);
	curl_easy_setopt(e, CURLOPT_USERAGENT, "sluice/" SLUICE_VERSION);
	curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(e, CURLOPT_HEADERDATA, t);
	curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(e, CURLOPT_WRITEDATA, t);
}

static void set_http(struct kube_transfer *t, bool plain, bool stream)
{
	curl_easy_setopt(t->easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
	if (!plain) /* there ALPN says soon whether to share the connection; without it, all would wait for the first to end */
		curl_easy_setopt(t->easy, CURLOPT_PIPEWAIT, 1L);
	if (!stream)
		curl_easy_setopt(t->easy, CURLOPT_ACCEPT_ENCODING, "gzip");
}

int kube_transfer_set_request(struct kube_transfer *t, const struct kube_http_request *request)
{
	int rc = 0;

	curl_easy_setopt(t->easy, CURLOPT_CUSTOMREQUEST, request->method);
	curl_easy_setopt(t->easy, CURLOPT_TIMEOUT_MS, (long)KUBE_HTTP_SEND_MS);
	if (!request->body)
		return 0;
	curl_easy_setopt(t->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body_len);
	curl_easy_setopt(t->easy, CURLOPT_POSTFIELDS, request->body);
	rc = add_header(t, "Content-Type", request->content_type);
	if (rc == 0)
		rc = add_header(t, "Expect", ""); /* no 100-continue: bodies are small */
	curl_easy_setopt(t->easy, CURLOPT_HTTPHEADER, t->headers);
	return rc;
}

/* ---- both --------------------------------------------------------------------------------------------- */

struct kube_transfer *kube_transfer_new(void)
{
	struct kube_transfer *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->easy = curl_easy_init();
	if (!t->easy) {
		free(t);
		return NULL;
	}
	set_common(t);
	return t;
}

void kube_transfer_free(struct kube_transfer *t)
{
	if (t->easy)
		curl_easy_cleanup(t->easy);
	curl_slist_free_all(t->headers);
	curl_slist_free_all(t->connect_to);
	free(t);
}

/* A request, GET at first, not yet started. */
int kube_transfer_prepare(struct kube_http *http, const char *target, bool stream,
			  struct kube_transfer **ret)
{
	const struct kube_server *s = &http->servers[http->current];
	struct kube_transfer *t = kube_transfer_new();
	int rc;

	if (!t)
		return -ENOMEM;
	rc = kube_transfer_set_address(t, s, false, target);
	if (rc == 0)
		rc = set_headers(t, s, http->auth);
	if (rc < 0) {
		kube_transfer_free(t);
		return rc;
	}
	set_identity(t, http->auth);
	set_http(t, s->plain, stream);
	*ret = t;
	return 0;
}
