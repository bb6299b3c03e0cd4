// SPDX-License-Identifier: GPL-2.0-only
// Any bytes as a file of users, and as an Authorization field: what is read lies within, and nobody is let in with a hash that is
// none.
/* link: user/ingress/auth_users.c user/core/model.c user/core/model_ingress.c user/core/address.c user/base/table.c */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "ingress/auth.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int true_for_every_input)
{
	if (!true_for_every_input)
		abort();
}

static void on_note(void *ctx, const char *reason)
{
	must(strlen(reason) < 256);
	(void)ctx;
}

static void read_users(const uint8_t *data, size_t size, bool map)
{
	unsigned char *copy = malloc(size + 1);
	struct secret_item item = { (char *)"auth", copy, size };
	struct secret secret = { .items = &item, .n_items = 1 };
	struct auth_users *users;

	must(copy != NULL);
	if (size)
		memcpy(copy, data, size);
	copy[size] = 0;
	if (auth_users_new(&secret, map, on_note, NULL, &users) == 0) {
		const char *hash = auth_users_find(users, "user", 4);

		must(!hash || strchr("${./", *hash) || strlen(hash) == 13);
		auth_users_free(users);
	}
	free(copy);
}

/* The field in a buffer of exactly its length. */
static void read_field(const uint8_t *data, size_t size)
{
	char *field = malloc(size ? size : 1), *out = malloc(size ? size : 1);
	const char *name, *password;

	must(field && out);
	if (size)
		memcpy(field, data, size);
	if (auth_parse_basic(field, size, out, &name, &password)) {
		must(name == out && password > name && !strchr(name, ':'));
		must((size_t)(password - out) + strlen(password) < size);
	}
	free(field);
	free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	read_users(data, size, false);
	read_users(data, size, true);
	read_field(data, size);
	return 0;
}
