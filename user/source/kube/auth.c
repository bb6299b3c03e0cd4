// SPDX-License-Identifier: GPL-2.0-only
/* Reads tokens, authorities and certificates, and notices when they change. */
/* Must not know how they are used, nor what a kubeconfig looks like. */
#include "source/kube/auth.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "source/decode.h"
#include "source/kube/auth_state.h"
#include "source/value.h"
#include "source/value_json.h"

#define FILE_MAX     ((size_t)1 << 20)
#define TOKEN_AGE_NS (60 * CLOCK_NS_PER_S)
#define EXEC_EARLY_NS \
	(10 * CLOCK_NS_PER_S) /* before a credential expires, and at least between two */
#define PEM_AGE_NS (10 * CLOCK_NS_PER_S)

static void kept_file_done(struct kept_file *s)
{
	free(s->path);
	if (s->text)
		explicit_bzero(s->text, s->len);
	free(s->text);
}

static void words_free(struct words *words)
{
	for (size_t i = 0; i < words->len; i++)
		free(words->data[i]);
	vec_done(words);
}

void auth_free(struct auth *auth)
{
	if (!auth)
		return;
	words_free(&auth->argv);
	words_free(&auth->env);
	kept_file_done(&auth->ca);
	kept_file_done(&auth->cert);
	kept_file_done(&auth->key);
	kept_file_done(&auth->token);
	free(auth->server);
	free(auth->tls_name);
	free(auth);
}

/* ---- files ------------------------------------------------------------------------------------------ */

/* 0 or -errno; -EFBIG above FILE_MAX, -ENODATA for an empty file. */
int auth_read_file(const char *path, struct buf *ret_text)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	ssize_t n = 1;

	if (fd < 0)
		return -errno;
	while (n > 0 && ret_text->len <= FILE_MAX) {
		if (buf_reserve(ret_text, 16384) < 0)
			return -ENOMEM;
		n = read(fd, ret_text->data + ret_text->len, 16384);
		if (n < 0)
			return -errno;
		ret_text->len += (size_t)n;
	}
	if (ret_text->len > FILE_MAX)
		return -EFBIG;
	if (!ret_text->len)
		return -ENODATA;
	return buf_putc(ret_text, 0); /* a C string; not counted below */
}

bool auth_is_token(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (text[i] <= ' ' || text[i] >= 0x7f) /* would end or forge a header line */
			return false;
	return len > 0;
}

bool auth_is_pem(const char *text, size_t len)
{
	return memmem(text, len, "-----BEGIN ", 11) && memmem(text, len, "-----END ", 9) &&
	       !memchr(text, 0, len);
}

/* Takes the text over. True if it is another than before. */
static bool replace(struct kept_file *s, char *text, size_t len)
{
	bool other = !s->text || s->len != len || memcmp(s->text, text, len) != 0;

	if (s->text)
		explicit_bzero(s->text, s->len);
	free(s->text);
	s->text = text;
	s->len = len;
	return other;
}

static void trim(struct buf *buf)
{
	size_t at = strspn(buf_str(buf), " \t\r\n");

	buf_consume(buf, at);
	while (buf->len && strchr(" \t\r\n", buf->data[buf->len - 1]))
		buf->data[--buf->len] = 0;
}

/* 1: read, and another than before; 0: read, the same; -errno: as it was. -EINVAL: not what it should be. */
int auth_kept_file_read(struct kept_file *s, bool token)
{
	struct buf text = { 0 };
	size_t len;
	int rc = auth_read_file(s->path, &text);

	if (rc == 0 && text.data) {
		text.len--; /* the NUL */
		if (token)
			trim(&text);
		if (!(token ? auth_is_token(text.data, text.len)
			    : auth_is_pem(text.data, text.len)))
			rc = -EINVAL;
	}
	if (rc < 0) {
		buf_done(&text);
		return rc;
	}
	len = text.len;
	return replace(s, buf_take(&text), len);
}

/* Certificate and key belong together: while one is being replaced, neither is. */
static bool pair_changed(struct auth *auth)
{
	struct kept_file cert = { .path = auth->cert.path }, key = { .path = auth->key.path };
	bool changed;

	if (!cert.path || !key.path)
		return false;
	if (auth_kept_file_read(&cert, false) < 0 || auth_kept_file_read(&key, false) < 0) {
		cert.path = key.path = NULL;
		kept_file_done(&cert);
		kept_file_done(&key);
		return false;
	}
	changed = replace(&auth->cert, cert.text, cert.len);
	changed |= replace(&auth->key, key.text, key.len);
	return changed;
}

void auth_refresh(struct auth *auth, uint64_t now_ns, enum auth_when when)
{
	bool changed;

	auth->exec_due |= when == AUTH_NOW;
	if (auth->token.path &&
	    (when == AUTH_NOW || now_ns - auth->token_read_ns >= TOKEN_AGE_NS)) {
		auth->token_read_ns = now_ns;
		(void)auth_kept_file_read(&auth->token,
					  true); /* if not: the last one may still be good */
	}
	if (when == AUTH_WHEN_DUE && now_ns - auth->pem_read_ns < PEM_AGE_NS)
		return;
	auth->pem_read_ns = now_ns;
	changed = auth->ca.path && auth_kept_file_read(&auth->ca, false) > 0;
	changed |= pair_changed(auth);
	auth->generation += changed;
}

/* ---- a pod ------------------------------------------------------------------------------------------ */

static int load_pod(struct auth *auth, struct err *err)
{
	int rc;

	auth->token.path = strdup(AUTH_POD_DIR "/token");
	auth->ca.path = strdup(AUTH_POD_DIR "/ca.crt");
	if (!auth->token.path || !auth->ca.path)
		return err_set(err, -ENOMEM, "no memory");
	rc = auth_kept_file_read(&auth->token, true);
	if (rc < 0)
		return err_set(err, rc, "%s: %s: outside of a pod give --kubeconfig FILE",
			       auth->token.path, strerrordesc_np(-rc));
	rc = auth_kept_file_read(&auth->ca, false);
	return rc < 0 ? err_set(err, rc, "%s: %s: it must hold the cluster's authority in PEM form",
				auth->ca.path, strerrordesc_np(-rc))
		      : 0;
}

/* ---- what a plugin prints --------------------------------------------------------------------------- */

bool auth_exec_is_due(const struct auth *auth, uint64_t now_ns)
{
	return auth->argv.len && (auth->exec_due || now_ns >= auth->exec_until_ns);
}

char *const *auth_exec_argv(const struct auth *auth)
{
	return auth->argv.data;
}

char *const *auth_exec_env(const struct auth *auth)
{
	return auth->env.data;
}

static int take_text(struct kept_file *s, const char *text, bool *ret_changed)
{
	char *copy = strdup(text);

	if (!copy)
		return -ENOMEM;
	*ret_changed |= replace(s, copy, strlen(copy));
	return 0;
}

static int take_status(struct auth *auth, struct value status, struct err *err)
{
	const char *token = value_string(value_get(status, "token"));
	const char *cert = value_string(value_get(status, "clientCertificateData"));
	const char *key = value_string(value_get(status, "clientKeyData"));
	bool token_changed = false, changed = false;
	int rc = 0;

	if (!token && !cert)
		return err_set(err, -EINVAL,
			       "it printed no ExecCredential with a token or certificate");
	if (token && !auth_is_token(token, strlen(token)))
		return err_set(err, -EINVAL, "its token holds characters that no token has");
	if (!cert != !key ||
	    (cert && (!auth_is_pem(cert, strlen(cert)) || !auth_is_pem(key, strlen(key)))))
		return err_set(err, -EINVAL, "certificate and key are not both there in PEM form");
	if (token)
		rc = take_text(&auth->token, token, &token_changed);
	if (rc == 0 && cert)
		rc = take_text(&auth->cert, cert, &changed);
	if (rc == 0 && cert)
		rc = take_text(&auth->key, key, &changed);
	auth->generation += changed;
	return rc < 0 ? err_set(err, rc, "no memory") : 0;
}

/* In wall time, by the issuer's clock; from here on by the monotonic one. */
static uint64_t until(struct value status, uint64_t now_ns, uint64_t wall_ns)
{
	const char *text = value_string(value_get(status, "expirationTimestamp"));
	int64_t expires_ns, left_ns;

	if (!text || decode_time(text, &expires_ns) < 0)
		return UINT64_MAX;
	left_ns = expires_ns - (int64_t)wall_ns - (int64_t)EXEC_EARLY_NS;
	return now_ns + (left_ns > (int64_t)EXEC_EARLY_NS ? (uint64_t)left_ns : EXEC_EARLY_NS);
}

int auth_exec_take(struct auth *auth, const char *output, uint64_t now_ns, uint64_t wall_ns,
		   struct err *err)
{
	cJSON *json = cJSON_Parse(output);
	struct value status = value_get(value_of_json(json), "status");
	int rc = take_status(auth, status, err);

	if (rc == 0) {
		auth->exec_due = false;
		auth->exec_until_ns = until(status, now_ns, wall_ns);
	}
	cJSON_Delete(json);
	return rc;
}

/* ---- beginning, looking ----------------------------------------------------------------------------- */

int auth_new(const char *kubeconfig, struct err *err, struct auth **ret_auth)
{
	struct auth *auth = calloc(1, sizeof(*auth));
	int rc;

	if (!auth)
		return err_set(err, -ENOMEM, "no memory");
	rc = kubeconfig ? auth_load_kubeconfig(auth, kubeconfig, err) : load_pod(auth, err);
	if (rc < 0) {
		auth_free(auth);
		return rc;
	}
	*ret_auth = auth;
	return 0;
}

const char *auth_server(const struct auth *auth)
{
	return auth->server;
}

const char *auth_tls_name(const struct auth *auth)
{
	return auth->tls_name;
}

uint64_t auth_generation(const struct auth *auth)
{
	return auth->generation;
}

const char *auth_token(const struct auth *auth)
{
	return auth->token.text;
}

static struct auth_pem pem_of(const struct kept_file *s)
{
	return (struct auth_pem){ s->text, s->len };
}

struct auth_pem auth_ca(const struct auth *auth)
{
	return pem_of(&auth->ca);
}

struct auth_pem auth_cert(const struct auth *auth)
{
	return pem_of(&auth->cert);
}

struct auth_pem auth_key(const struct auth *auth)
{
	return pem_of(&auth->key);
}
