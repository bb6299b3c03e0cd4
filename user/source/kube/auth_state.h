/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SOURCE_KUBE_AUTH_STATE_H
#define SOURCE_KUBE_AUTH_STATE_H

/*
 * Credentials, for auth*.c alone.
 *
 *   auth.c             files and when they are read again; a pod's folder; what a credential plugin printed
 *   auth_kubeconfig.c  from a kubeconfig to all of that
 */
#include "base/buf.h"
#include "base/vec.h"
#include "source/kube/auth.h"

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

/* ---- auth.c ---- */

/* 0 or -errno; -EFBIG above 1 MiB, -ENODATA for an empty file. A C string, whose NUL is counted. */
int auth_read_file(const char *path, struct buf *ret_text);
/* 1: read, and another than before; 0: read, the same; -errno: as it was. -EINVAL: not what it should be. */
int auth_kept_file_read(struct kept_file *s, bool token);
bool auth_is_token(const char *text, size_t len);
bool auth_is_pem(const char *text, size_t len);

/* ---- auth_kubeconfig.c ---- */

/* What its current context says. 0 or a negative errno with *err. */
int auth_load_kubeconfig(struct auth *auth, const char *path, struct err *err);

#endif
