/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SOURCE_KUBE_AUTH_H
#define SOURCE_KUBE_AUTH_H

/*
 * Who we are to the API server and how we know it: from a pod's service account folder, or from a kubeconfig.
 *
 * Files are read again, by their path, since a volume swaps links: the token once a minute and when it is refused, the
 * authorities and the client's certificate before new connections. A file that cannot be read changes nothing.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct auth;

#define AUTH_POD_DIR "/var/run/secrets/kubernetes.io/serviceaccount"

/* kubeconfig: a file, or NULL for the service account in AUTH_POD_DIR. 0 or a negative errno with *err. */
int auth_new(const char *kubeconfig, struct err *err, struct auth **ret_auth);
void auth_free(struct auth *auth);

/* Where the kubeconfig's server is, and under which name its certificate is checked; NULL: it does not say. */
const char *auth_server(const struct auth *auth);
const char *auth_tls_name(const struct auth *auth);

enum auth_when {
	AUTH_WHEN_DUE, /* what is old enough */
	AUTH_NOW,      /* everything: it was refused */
};
void auth_refresh(struct auth *auth, uint64_t now_ns, enum auth_when when);

/* Moves on when connections have to be made anew: another authority or client certificate. A token does not count. */
uint64_t auth_generation(const struct auth *auth);

/* The bearer token; NULL: none. Valid until the next auth_refresh(). */
const char *auth_token(const struct auth *auth);

/*
 * A user with `exec`: the plugin to be run before the next request, because there is no credential yet, it has expired, or it
 * was refused. argv and env stay the auth's.
 */
bool auth_exec_is_due(const struct auth *auth, uint64_t now_ns);
char *const *auth_exec_argv(const struct auth *auth);
char *const *auth_exec_env(const struct auth *auth);
/* What it printed. 0, or -EINVAL with *err: it is no credential; the last one stays. wall_ns: its expiry is in wall time. */
int auth_exec_take(struct auth *auth, const char *output, uint64_t now_ns, uint64_t wall_ns,
		   struct err *err);

struct auth_pem {
	const char *text; /* NULL: none */
	size_t len;
};
struct auth_pem auth_ca(const struct auth *auth);
struct auth_pem auth_cert(const struct auth *auth);
struct auth_pem auth_key(const struct auth *auth);

#endif
