// SPDX-License-Identifier: GPL-2.0-only
/* Compares a password with its hash: crypt(3)'s kinds by libcrypt, Apache's by OpenSSL. */
/* Must not know users. */
#include <crypt.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ingress/auth.h"

/* What an unknown user's password is compared with, so that names cannot be told from the time. */
#define NOBODY "$2b$10$abcdefghijklmnopqrstuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuu"

static bool is_equal(const void *a, size_t a_len, const void *b, size_t b_len)
{
	return a_len == b_len && CRYPTO_memcmp(a, b, a_len) == 0;
}

/* ---- {SHA}, {SSHA} -------------------------------------------------------------------------------------------------- */

#define SHA1_LEN 20
#define SALT_MAX 64

static bool check_sha(const char *base64, bool salted, const char *password)
{
	unsigned char want[SHA1_LEN + SALT_MAX + 3], got[EVP_MAX_MD_SIZE];
	size_t len = strlen(base64), pad = 0;
	EVP_MD_CTX *md;
	unsigned got_len = 0;
	int n;
	bool ok;

	if (len % 4 || len / 4 * 3 > sizeof(want))
		return false;
	n = EVP_DecodeBlock(want, (const unsigned char *)base64, (int)len);
	while (pad < 2 && pad < len && base64[len - 1 - pad] == '=')
		pad++;
	n -= (int)pad;
	if (n < SHA1_LEN || (!salted && n != SHA1_LEN))
		return false;
	md = EVP_MD_CTX_new();
	ok = md && EVP_DigestInit_ex(md, EVP_sha1(), NULL) &&
	     EVP_DigestUpdate(md, password, strlen(password)) &&
	     EVP_DigestUpdate(md, want + SHA1_LEN, (size_t)(n - SHA1_LEN)) &&
	     EVP_DigestFinal_ex(md, got, &got_len);
	EVP_MD_CTX_free(md);
	return ok && is_equal(want, SHA1_LEN, got, got_len);
}

/* ---- $apr1$ ---------------------------------------------------------------------------------------------------------- */

#define MD5_LEN 16

struct piece {
	const void *at;
	size_t len;
};

/* The digest of pieces, up to one without an address. */
static bool md5(EVP_MD_CTX *md, const struct piece *pieces, unsigned char out[MD5_LEN])
{
	bool ok = EVP_DigestInit_ex(md, EVP_md5(), NULL);

	for (; ok && pieces->at; pieces++)
		ok = EVP_DigestUpdate(md, pieces->at, pieces->len);
	return ok && EVP_DigestFinal_ex(md, out, NULL);
}

static bool apr1_first(EVP_MD_CTX *md, struct piece salt, struct piece password,
		       unsigned char out[MD5_LEN])
{
	static const char zero;
	unsigned char inner[MD5_LEN];
	struct piece pieces[64 + 32] = { password, { "$apr1$", 6 }, salt };
	size_t n = 3;

	if (!md5(md, (struct piece[]){ password, salt, password, { 0 } }, inner))
		return false;
	for (size_t left = password.len; left; left -= left < MD5_LEN ? left : MD5_LEN)
		pieces[n++] = (struct piece){ inner, left < MD5_LEN ? left : MD5_LEN };
	for (size_t bits = password.len; bits; bits >>= 1)
		pieces[n++] = (struct piece){ bits & 1 ? &zero : password.at, 1 };
	pieces[n] = (struct piece){ 0 };
	return md5(md, pieces, out);
}

static bool apr1_rounds(EVP_MD_CTX *md, struct piece salt, struct piece password,
			unsigned char sum[MD5_LEN])
{
	for (int i = 0; i < 1000; i++) {
		struct piece own = { sum, MD5_LEN }, pieces[5];
		size_t n = 0;

		pieces[n++] = i & 1 ? password : own;
		if (i % 3)
			pieces[n++] = salt;
		if (i % 7)
			pieces[n++] = password;
		pieces[n++] = i & 1 ? own : password;
		pieces[n] = (struct piece){ 0 };
		if (!md5(md, pieces, sum))
			return false;
	}
	return true;
}

static void apr1_write(const unsigned char sum[MD5_LEN], char out[23])
{
	static const char digits[] =
		"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
	static const unsigned char order[5][3] = {
		{ 0, 6, 12 }, { 1, 7, 13 }, { 2, 8, 14 }, { 3, 9, 15 }, { 4, 10, 5 }
	};
	size_t n = 0;
	unsigned bits;

	for (int i = 0; i < 5; i++) {
		bits = (unsigned)sum[order[i][0]] << 16 | (unsigned)sum[order[i][1]] << 8 |
		       sum[order[i][2]];
		for (int j = 0; j < 4; j++, bits >>= 6)
			out[n++] = digits[bits & 63];
	}
	for (bits = sum[11]; n < 22; bits >>= 6)
		out[n++] = digits[bits & 63];
	out[n] = '\0';
}

static bool check_apr1(const char *hash, const char *password)
{
	const char *text = hash + 6, *end = strchr(text, '$');
	struct piece salt = { text, end ? (size_t)(end - text) : 0 },
		     word = { password, strlen(password) };
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	unsigned char sum[MD5_LEN];
	char got[23] = "";
	bool ok;

	if (salt.len > 8)
		salt.len = 8;
	ok = md && end && word.len < 1024 && apr1_first(md, salt, word, sum) &&
	     apr1_rounds(md, salt, word, sum);
	EVP_MD_CTX_free(md);
	if (ok)
		apr1_write(sum, got);
	return ok && is_equal(end + 1, strlen(end + 1), got, strlen(got));
}

/* ---- all ------------------------------------------------------------------------------------------------------------- */

static bool check_crypt(const char *hash, const char *password)
{
	struct crypt_data *data = calloc(1, sizeof(*data)); /* 32 KiB */
	const char *got = data ? crypt_r(password, hash, data) : NULL;
	bool ok = got && got[0] != '*' && is_equal(hash, strlen(hash), got, strlen(got));

	if (data)
		explicit_bzero(data, sizeof(*data));
	free(data);
	return ok;
}

bool auth_check(const char *hash, const char *password)
{
	if (!hash) {
		check_crypt(NOBODY, password);
		return false;
	}
	if (strncmp(hash, "{PLAIN}", 7) == 0)
		return is_equal(hash + 7, strlen(hash + 7), password, strlen(password));
	if (strncmp(hash, "{SHA}", 5) == 0)
		return check_sha(hash + 5, false, password);
	if (strncmp(hash, "{SSHA}", 6) == 0)
		return check_sha(hash + 6, true, password);
	if (strncmp(hash, "$apr1$", 6) == 0)
		return check_apr1(hash, password);
	return check_crypt(hash, password);
}
