// SPDX-License-Identifier: GPL-2.0-only
/* Reads lists of users and the Authorization field of basic authentication. */
/* Must not know how passwords are hashed. */
#include "ingress/auth.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/digit.h"
#include "base/table.h"

struct auth_users {
	uint64_t id;
	struct table hashes; /* name -> hash, a string of its own */
};

/* ---- lists --------------------------------------------------------------------------------------------------- */

/* Of a kind that auth_check() knows. */
static bool is_hash(const char *hash, size_t len)
{
	static const char *const kinds[] = { "$2a$", "$2b$", "$2y$",  "$apr1$", "$1$",    "$5$",
					     "$6$",  "$y$",  "{SHA}", "{SSHA}", "{PLAIN}" };

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (len > strlen(kinds[i]) && strncmp(hash, kinds[i], strlen(kinds[i])) == 0)
			return true;
	/* The oldest of all: 13 characters. */
	for (size_t i = 0; i < len; i++)
		if (!isalnum((unsigned char)hash[i]) && hash[i] != '.' && hash[i] != '/')
			return false;
	return len == 13;
}

struct reader {
	struct auth_users *users;
	auth_note_fn *note;
	void *ctx;
};

static void say(const struct reader *r, const char *what, const char *name, size_t len)
{
	char reason[256];

	if (!r->note)
		return;
	snprintf(reason, sizeof(reason), "%s \"%.*s\": %s", "user", (int)(len < 64 ? len : 64),
		 name, what);
	r->note(r->ctx, reason);
}

static int add(const struct reader *r, const char *name, size_t name_len, const char *hash,
	       size_t len)
{
	void *old = NULL;
	char *copy;

	while (len && strchr(" \t\r\n", hash[len - 1]))
		len--;
	if (!is_hash(hash, len)) {
		say(r, "the hash is of no known kind; make one with 'htpasswd -nB'", name,
		    name_len);
		return 0;
	}
	if (table_get(&r->users->hashes, name, name_len)) {
		say(r, "is there twice; the first one counts", name, name_len);
		return 0;
	}
	copy = strndup(hash, len);
	if (!copy || table_put(&r->users->hashes, name, name_len, copy, &old) < 0) {
		free(copy);
		return -ENOMEM;
	}
	return 0;
}

static int read_file(const struct reader *r, const char *text, size_t len)
{
	const char *end = text + len;
	int rc = 0;

	while (text < end && !rc) {
		const char *line = text, *stop = memchr(text, '\n', (size_t)(end - text)), *colon,
			   *more;

		stop = stop ? stop : end;
		text = stop + 1;
		if (stop > line && stop[-1] == '\r')
			stop--;
		if (stop == line || *line == '#')
			continue;
		colon = memchr(line, ':', (size_t)(stop - line));
		if (!colon || colon == line) {
			say(r, "no line \"user:hash\"", line, colon ? 0 : strcspn(line, " :$\r\n"));
			continue;
		}
		/* A comment may follow behind a second colon. */
		more = memchr(colon + 1, ':', (size_t)(stop - colon - 1));
		rc = add(r, line, (size_t)(colon - line), colon + 1,
			 (size_t)((more ? more : stop) - colon - 1));
	}
	return rc;
}

int auth_users_new(const struct secret *secret, bool map, auth_note_fn *note, void *ctx,
		   struct auth_users **ret_users)
{
	static _Atomic uint64_t next = 1;
	struct reader r = { calloc(1, sizeof(struct auth_users)), note, ctx };
	const struct secret_item *file = secret_find(secret, "auth");
	int rc = 0;

	if (!r.users)
		return -ENOMEM;
	r.users->id = next++;
	table_init(&r.users->hashes, r.users->id);
	if (!map && file)
		rc = read_file(&r, (const char *)file->data, file->len);
	for (size_t i = 0; map && i < secret->n_items && !rc; i++)
		rc = add(&r, secret->items[i].key, strlen(secret->items[i].key),
			 (const char *)secret->items[i].data, secret->items[i].len);
	if (!rc && !r.users->hashes.len)
		rc = -ENOENT;
	if (rc)
		auth_users_free(r.users);
	else
		*ret_users = r.users;
	return rc;
}

void auth_users_free(struct auth_users *users)
{
	if (!users)
		return;
	table_done(&users->hashes, free);
	free(users);
}

const char *auth_users_find(const struct auth_users *users, const char *name, size_t len)
{
	return table_get(&users->hashes, name, len);
}

uint64_t auth_users_id(const struct auth_users *users)
{
	return users->id;
}

/* ---- what clients send ------------------------------------------------------------------------------------------ */

/* Strict: whole groups, padding at the end alone, no bits left over. */
static bool decode(const char *text, size_t len, char *out, size_t *ret_len)
{
	size_t n = 0;

	if (len % 4)
		return false;
	for (size_t i = 0; i < len; i += 4) {
		int pad = i + 4 == len ? (text[i + 3] == '=') + (text[i + 2] == '=') : 0;
		uint32_t bits = 0;

		if (pad == 1 && text[i + 3] != '=')
			return false;
		for (int j = 0; j < 4; j++) {
			int d = j >= 4 - pad ? 0 : digit_base64(text[i + (size_t)j]);

			if (d < 0)
				return false;
			bits = bits << 6 | (uint32_t)d;
		}
		if ((pad == 1 && bits & 0xff) || (pad == 2 && bits & 0xffff))
			return false;
		for (int j = 0; j < 3 - pad; j++)
			out[n++] = (char)(bits >> (16 - 8 * j));
	}
	*ret_len = n;
	return true;
}

bool auth_parse_basic(const char *value, size_t len, char *out, const char **ret_name,
		      const char **ret_password)
{
	char *colon;
	size_t n;

	if (len < 6 || strncasecmp(value, "basic ", 6) != 0)
		return false;
	for (value += 6, len -= 6; len && *value == ' '; value++, len--)
		;
	if (!decode(value, len, out, &n) || memchr(out, '\0', n))
		return false;
	out[n] = '\0';
	colon = strchr(out, ':');
	if (!colon)
		return false;
	*colon = '\0';
	*ret_name = out;
	*ret_password = colon + 1;
	return true;
}
