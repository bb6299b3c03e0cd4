// SPDX-License-Identifier: GPL-2.0-only
/* Reads tokens, authorities and certificates, and notices when they change. */
/* Must not know how they are used. */
#include "source/kube/auth.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/vec.h"
#include "source/decode.h"
#include "source/manifest.h"
#include "source/value.h"
#include "source/value_json.h"

#define FILE_MAX     ((size_t)1 << 20)
#define TOKEN_AGE_NS (60 * CLOCK_NS_PER_S)
#define EXEC_EARLY_NS \
	(10 * CLOCK_NS_PER_S) /* before a credential expires, and at least between two */
#define PEM_AGE_NS (10 * CLOCK_NS_PER_S)

struct words VEC_OF(char *);

/* A text from a file (path set: read again) or given as it is. */
struct kept_file {
	char *path;
	char *text; /* NULL: none */
	size_t len;
};

struct auth {
	char *server, *tls_name;
	struct kept_file ca, cert, key, token;
	uint64_t token_read_ns, pem_read_ns;
	struct words argv, env; /* of the plugin, each with a NULL at its end; empty: none */
	bool exec_due;
	uint64_t exec_until_ns; /* its credential holds until then */
	uint64_t generation;
};

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
static int read_file(const char *path, struct buf *ret_text)
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

static bool is_token(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (text[i] <= ' ' || text[i] >= 0x7f) /* would end or forge a header line */
			return false;
	return len > 0;
}

static bool is_pem(const char *text, size_t len)
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
static int kept_file_read(struct kept_file *s, bool token)
{
	struct buf text = { 0 };
	size_t len;
	int rc = read_file(s->path, &text);

	if (rc == 0 && text.data) {
		text.len--; /* the NUL */
		if (token)
			trim(&text);
		if (!(token ? is_token(text.data, text.len) : is_pem(text.data, text.len)))
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
	if (kept_file_read(&cert, false) < 0 || kept_file_read(&key, false) < 0) {
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
		(void)kept_file_read(&auth->token,
				     true); /* if not: the last one may still be good */
	}
	if (when == AUTH_WHEN_DUE && now_ns - auth->pem_read_ns < PEM_AGE_NS)
		return;
	auth->pem_read_ns = now_ns;
	changed = auth->ca.path && kept_file_read(&auth->ca, false) > 0;
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
	rc = kept_file_read(&auth->token, true);
	if (rc < 0)
		return err_set(err, rc, "%s: %s: outside of a pod give --kubeconfig FILE",
			       auth->token.path, strerrordesc_np(-rc));
	rc = kept_file_read(&auth->ca, false);
	return rc < 0 ? err_set(err, rc, "%s: %s: it must hold the cluster's authority in PEM form",
				auth->ca.path, strerrordesc_np(-rc))
		      : 0;
}

/* ---- a kubeconfig ----------------------------------------------------------------------------------- */

struct kubeconfig {
	struct auth *auth;
	const char *path;
	struct err *err;
	bool seen;
};

static int refuse(struct kubeconfig *k, const char *what)
{
	return err_set(k->err, -EINVAL, "kubeconfig %s: %s", k->path, what);
}

/* RFC 4648, 4; white space is passed over. NULL if it is none, or without memory. */
static char *base64_decode(const char *text, size_t *ret_len)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	char *out = malloc(strlen(text) / 4 * 3 + 4);
	unsigned bits = 0, n = 0, pads = 0;
	size_t len = 0;
	const char *digit;

	for (; out && *text; text++) {
		if (strchr(" \t\r\n", *text))
			continue;
		digit = strchr(digits, *text);
		pads += *text == '=';
		if ((!digit && *text != '=') || (digit && pads) || pads > 2)
			break;
		bits = bits << 6 | (digit ? (unsigned)(digit - digits) : 0);
		if (++n % 4 == 0) {
			out[len++] = (char)(bits >> 16);
			out[len++] = (char)(bits >> 8);
			out[len++] = (char)bits;
		}
	}
	if (!out || *text || n % 4) {
		free(out);
		return NULL;
	}
	*ret_len = len - pads;
	out[*ret_len] = 0;
	return out;
}

/* A path as the kubeconfig means it: relative to its own folder. */
static char *resolve(const char *kubeconfig, const char *path)
{
	const char *slash = strrchr(kubeconfig, '/');
	struct buf out = { 0 };

	if (*path != '/' && slash)
		buf_put(&out, kubeconfig, (size_t)(slash - kubeconfig) + 1);
	buf_puts(&out, path);
	return buf_take(&out);
}

/* The element of root.<list> with this name; its member <member>. */
static struct value find_named(struct value root, const char *list, const char *name,
			       const char *member)
{
	struct value e;
	const char *its;

	for (e = value_first(value_get(root, list)); e.node; e = value_next(e)) {
		its = value_string(value_get(e, "name"));
		if (its && name && strcmp(its, name) == 0)
			return value_get(e, member);
	}
	return (struct value){ 0 };
}

/* PEM from <key>-data, which comes first, or from the file <key>. Neither: 0. */
static int load_pem(struct kubeconfig *k, struct value map, const char *key, struct kept_file *s)
{
	char data_key[64], what[512];
	const char *data, *path = value_string(value_get(map, key));
	int rc;

	snprintf(data_key, sizeof(data_key), "%s-data", key);
	data = value_string(value_get(map, data_key));
	if (data && *data) {
		s->text = base64_decode(data, &s->len);
		if (s->text && is_pem(s->text, s->len))
			return 0;
		snprintf(what, sizeof(what), "%s is not PEM in base64", data_key);
		return refuse(k, what);
	}
	if (!path || !*path)
		return 0;
	s->path = resolve(k->path, path);
	rc = s->path ? kept_file_read(s, false) : -ENOMEM;
	if (rc >= 0)
		return 0;
	snprintf(what, sizeof(what), "%s: %s: %s", key, path,
		 rc == -EINVAL ? "not PEM" : strerrordesc_np(-rc));
	return refuse(k, what);
}

static int load_token(struct kubeconfig *k, struct value user)
{
	struct kept_file *s = &k->auth->token;
	const char *text = value_string(value_get(user, "token"));
	const char *path = value_string(value_get(user, "tokenFile"));
	char what[512];
	int rc;

	if (path && *path) { /* comes first: it is the newer one */
		s->path = resolve(k->path, path);
		rc = s->path ? kept_file_read(s, true) : -ENOMEM;
		if (rc >= 0)
			return 0;
		snprintf(what, sizeof(what), "tokenFile: %s: %s", path,
			 rc == -EINVAL ? "holds no token" : strerrordesc_np(-rc));
		return refuse(k, what);
	}
	if (!text)
		return 0;
	if (!is_token(text, strlen(text)))
		return refuse(k, "the user's token holds characters that no token has");
	s->text = strdup(text);
	s->len = strlen(text);
	return s->text ? 0 : refuse(k, "no memory");
}

static int load_cluster(struct kubeconfig *k, struct value cluster)
{
	const char *server = value_string(value_get(cluster, "server"));
	const char *tls_name = value_string(value_get(cluster, "tls-server-name"));

	if (!server || !*server)
		return refuse(k, "the cluster of the current context has no `server`");
	if (value_is_set(value_get(cluster, "insecure-skip-tls-verify")) &&
	    value_bool(value_get(cluster, "insecure-skip-tls-verify")))
		return refuse(
			k,
			"insecure-skip-tls-verify is refused; name the cluster's `certificate-authority`");
	if (value_is_set(value_get(cluster, "proxy-url")))
		return refuse(
			k,
			"proxy-url is not supported; name a server that can be reached directly");
	k->auth->server = strdup(server);
	k->auth->tls_name = tls_name && *tls_name ? strdup(tls_name) : NULL;
	return load_pem(k, cluster, "certificate-authority", &k->auth->ca);
}

static int add_word(struct words *words, const char *name, const char *value)
{
	struct buf word = { 0 };
	char *text;

	buf_printf(&word, "%s%s%s", name, value ? "=" : "", value ? value : "");
	text = buf_take(&word);
	if (text && vec_push(words, text) == 0)
		return 0;
	free(text);
	return -ENOMEM;
}

static int end_words(struct words *words)
{
	return vec_push(words, NULL);
}

static int load_exec_env(struct kubeconfig *k, struct value exec, const char *api_version)
{
	struct words *env = &k->auth->env;
	struct buf info = { 0 };
	struct value e;
	int rc = 0;

	for (char **word = environ; *word && rc == 0; word++)
		rc = add_word(env, *word, NULL);
	buf_printf(
		&info,
		"{\"apiVersion\":\"%s\",\"kind\":\"ExecCredential\",\"spec\":{\"interactive\":false}}",
		api_version);
	if (rc == 0)
		rc = info.failed ? -ENOMEM : add_word(env, "KUBERNETES_EXEC_INFO", buf_str(&info));
	buf_done(&info);
	for (e = value_first(value_get(exec, "env")); e.node && rc == 0; e = value_next(e)) {
		const char *name = value_string(value_get(e, "name"));
		const char *value = value_string(value_get(e, "value"));

		if (!name || !value)
			return refuse(k, "exec: each `env` has a name and a value");
		rc = add_word(env, name, value);
	}
	if (rc == 0)
		rc = end_words(env);
	return rc < 0 ? refuse(k, "no memory") : 0;
}

/* The plugin is run by kube.c: it takes its time. */
static int load_exec(struct kubeconfig *k, struct value exec)
{
	const char *command = value_string(value_get(exec, "command"));
	const char *api_version = value_string(value_get(exec, "apiVersion"));
	struct words *argv = &k->auth->argv;
	struct value e;
	char *path;
	int rc;

	if (!command || !*command)
		return refuse(k, "exec: `command` is missing");
	if (!api_version || (strcmp(api_version, "client.authentication.k8s.io/v1") != 0 &&
			     strcmp(api_version, "client.authentication.k8s.io/v1beta1") != 0))
		return refuse(
			k, "exec: apiVersion must be client.authentication.k8s.io/v1 or v1beta1");
	path = strchr(command, '/') ? resolve(k->path, command) : strdup(command);
	rc = path ? add_word(argv, path, NULL) : -ENOMEM;
	free(path);
	for (e = value_first(value_get(exec, "args")); e.node && rc == 0; e = value_next(e)) {
		if (!value_string(e))
			return refuse(k, "exec: each of `args` is a text");
		rc = add_word(argv, value_string(e), NULL);
	}
	if (rc == 0)
		rc = end_words(argv);
	k->auth->exec_due = true;
	return rc < 0 ? refuse(k, "no memory") : load_exec_env(k, exec, api_version);
}

static int load_user(struct kubeconfig *k, struct value user)
{
	int rc;

	if (value_is_set(value_get(user, "exec")))
		return load_exec(k, value_get(user, "exec"));
	if (value_is_set(value_get(user, "auth-provider")) ||
	    value_is_set(value_get(user, "username")))
		return refuse(
			k,
			"users with `auth-provider` or a password are not supported; use a token or a client certificate");
	rc = load_pem(k, user, "client-certificate", &k->auth->cert);
	if (rc == 0)
		rc = load_pem(k, user, "client-key", &k->auth->key);
	if (rc == 0)
		rc = load_token(k, user);
	if (rc == 0 && !k->auth->cert.text != !k->auth->key.text)
		rc = refuse(k, "client-certificate and client-key belong together: one is missing");
	return rc;
}

static int on_document(void *ctx, struct value root)
{
	struct kubeconfig *k = ctx;
	const char *name = value_string(value_get(root, "current-context"));
	struct value context = find_named(root, "contexts", name, "context"), cluster, user;
	int rc;

	k->seen = true;
	if (!context.node)
		return refuse(k, "current-context names none of its contexts");
	cluster = find_named(root, "clusters", value_string(value_get(context, "cluster")),
			     "cluster");
	user = find_named(root, "users", value_string(value_get(context, "user")), "user");
	if (!cluster.node)
		return refuse(k, "the current context names none of its clusters");
	rc = load_cluster(k, cluster);
	return rc == 0 ? load_user(k, user) : rc;
}

static int on_broken(void *ctx, unsigned line, const char *reason)
{
	struct kubeconfig *k = ctx;

	return err_set(k->err, -EINVAL, "kubeconfig %s:%u: %s", k->path, line, reason);
}

static int load_kubeconfig(struct auth *auth, const char *path, struct err *err)
{
	struct kubeconfig k = { .auth = auth, .path = path, .err = err };
	const struct manifest_handler handler = { &k, on_document, on_broken };
	struct buf text = { 0 };
	int rc = read_file(path, &text);

	if (rc < 0) {
		err_set(err, rc, "kubeconfig %s: %s", path, strerrordesc_np(-rc));
	} else {
		rc = manifest_read(text.data, text.len - 1, false, &handler);
		if (rc == 0 && !k.seen)
			rc = refuse(&k, "is empty");
	}
	if (text.data)
		explicit_bzero(text.data, text.len);
	buf_done(&text);
	return rc;
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
	if (token && !is_token(token, strlen(token)))
		return err_set(err, -EINVAL, "its token holds characters that no token has");
	if (!cert != !key || (cert && (!is_pem(cert, strlen(cert)) || !is_pem(key, strlen(key)))))
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
	rc = kubeconfig ? load_kubeconfig(auth, kubeconfig, err) : load_pod(auth, err);
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
