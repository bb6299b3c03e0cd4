/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef INGRESS_AUTH_H
#define INGRESS_AUTH_H

/*
 * Names and passwords of basic authentication, as htpasswd writes them. A list is immutable and belongs to one policy. Reading is pure
 * (auth_users.c); only checking a password needs libcrypt and OpenSSL (auth_check.c), and may take a tenth of a second (bcrypt).
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/model_ingress.h"

struct auth_users;

/* For each line that cannot be used; a sentence that names it and the remedy, never the hash. */
typedef void auth_note_fn(void *ctx, const char *reason);

/*
 * map: each key of the Secret is a user, its data the hash; else the key "auth" holds lines "user:hash". 0; -ENOENT: the key is
 * missing or nobody is in it, so nobody may come; -ENOMEM. note may be NULL.
 */
int auth_users_new(const struct secret *secret, bool map, auth_note_fn *note, void *ctx,
		   struct auth_users **ret_users);
void auth_users_free(struct auth_users *users); /* NULL is fine */

/* The user's hash, or NULL. */
const char *auth_users_find(const struct auth_users *users, const char *name, size_t len);

/* A number that other lists do not have. */
uint64_t auth_users_id(const struct auth_users *users);

/* "Basic dXNlcjpwYXNz" into name and password, NUL-terminated, in out (at least len bytes). False: it is nothing of the kind. */
bool auth_parse_basic(const char *value, size_t len, char *out, const char **ret_name,
		      const char **ret_password);

/* Is this the password behind the hash? Slow. hash may be NULL: then no, in the time that a usual hash takes. */
bool auth_check(const char *hash, const char *password);

#endif
