// SPDX-License-Identifier: GPL-2.0-only
/* Reads a kubeconfig: the server, its authority and our credentials of the current context. */
/* Must not know when files are read again, nor how a plugin is run. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "source/decode.h"
#include "source/kube/auth_state.h"
#include "source/manifest.h"
#include "source/value.h"

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

/* Bytes with a NUL behind them; NULL if it is no base64, or without memory. */
static char *decode_data(const char *text, size_t *ret_len)
{
	char *out = malloc(strlen(text) + 1);
	ssize_t len = out ? decode_base64(text, (unsigned char *)out) : -1;

	if (len < 0) {
		free(out);
		return NULL;
	}
	out[len] = 0;
	*ret_len = (size_t)len;
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
		s->text = decode_data(data, &s->len);
		if (s->text && auth_is_pem(s->text, s->len))
			return 0;
		snprintf(what, sizeof(what), "%s is not PEM in base64", data_key);
		return refuse(k, what);
	}
	if (!path || !*path)
		return 0;
	s->path = resolve(k->path, path);
	rc = s->path ? auth_kept_file_read(s, false) : -ENOMEM;
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
		rc = s->path ? auth_kept_file_read(s, true) : -ENOMEM;
		if (rc >= 0)
			return 0;
		snprintf(what, sizeof(what), "tokenFile: %s: %s", path,
			 rc == -EINVAL ? "holds no token" : strerrordesc_np(-rc));
		return refuse(k, what);
	}
	if (!text)
		return 0;
	if (!auth_is_token(text, strlen(text)))
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

/* ---- a credential plugin ---------------------------------------------------------------------------- */

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

/* ---- the user, and all of it ------------------------------------------------------------------------ */

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

int auth_load_kubeconfig(struct auth *auth, const char *path, struct err *err)
{
	struct kubeconfig k = { .auth = auth, .path = path, .err = err };
	const struct manifest_handler handler = { &k, on_document, on_broken };
	struct buf text = { 0 };
	int rc = auth_read_file(path, &text);

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
