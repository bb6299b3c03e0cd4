// SPDX-License-Identifier: GPL-2.0-only
/* Writes what an origin is told about the client, and decides what of a peer's words is believed. */
/* Must not know where the request goes. */
#include "ingress/forwarded.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define REQUEST_ID_MAX 128

static const struct http1_field *find(const struct forwarded_input *in, const char *name)
{
	return http1_field_find(in->head, in->bytes, name, NULL);
}

static void set(struct forwarded *out, const char *name, const char *value)
{
	out->set[out->n_set++] = (struct http1_set){ .name = name, .value = value };
}

/* ---- the list of addresses ----------------------------------------------------------------------------------- */

/* "1.2.3.4", "1.2.3.4:80", "::1", "[::1]:80". */
static bool read_element(const char *text, size_t len, struct address *ret_addr)
{
	char copy[ADDRESS_TEXT_LEN];
	const char *end;

	while (len && (*text == ' ' || *text == '\t'))
		text++, len--;
	while (len && (text[len - 1] == ' ' || text[len - 1] == '\t'))
		len--;
	if (len && *text == '[') {
		end = memchr(text, ']', len);
		if (!end)
			return false;
		text++;
		len = (size_t)(end - text);
	} else if ((end = memchr(text, ':', len)) &&
		   !memchr(end + 1, ':', len - (size_t)(end + 1 - text))) {
		len = (size_t)(end - text); /* one colon: a port */
	}
	if (len == 0 || len >= sizeof(copy))
		return false;
	memcpy(copy, text, len);
	copy[len] = '\0';
	return address_parse(copy, ret_addr) == 0;
}

static bool is_proxy(const struct forwarded_input *in, const struct address *addr)
{
	for (size_t i = 0; i < in->n_proxies; i++)
		if (cidr_contains(&in->proxies[i], addr))
			return true;
	return false;
}

/* From the right: every proxy of ours says who came to it; the first that is none is the client. */
static struct address find_client(const struct forwarded_input *in, const char *list, size_t len)
{
	struct address client = in->peer, addr;

	while (len && is_proxy(in, &client)) {
		size_t at = len;

		while (at && list[at - 1] != ',')
			at--;
		if (!read_element(list + at, len - at, &addr))
			return client;
		client = addr;
		len = at ? at - 1 : 0;
	}
	return client;
}

/* All fields of that name as one list, with the peer behind; *ret_before: the length without it. */
static char *join_list(const struct forwarded_input *in, const char *peer, size_t *ret_before)
{
	static const char name[] = "x-forwarded-for";
	const struct http1_field *f = NULL;
	size_t len = 0, peer_len = strlen(peer);
	char *text, *at;

	while ((f = http1_field_find(in->head, in->bytes, name, f)))
		len += f->value_len + 2u;
	text = at = arena_alloc(in->arena, len + peer_len + 1);
	if (!text)
		return NULL;
	while ((f = http1_field_find(in->head, in->bytes, name, f))) {
		if (f->value_len == 0)
			continue;
		memcpy(at, in->bytes + f->value_at, f->value_len);
		memcpy(at + f->value_len, ", ", 2);
		at += f->value_len + 2;
	}
	*ret_before = at > text ? (size_t)(at - text) - 2 : 0;
	memcpy(at, peer, peer_len + 1);
	return text;
}

static int set_addresses(const struct forwarded_input *in, struct forwarded *out)
{
	char text[ADDRESS_TEXT_LEN];
	char *peer = arena_strdup(in->arena, address_format(&in->peer, text)), *list = peer;
	size_t before = 0;

	if (!peer)
		return -ENOMEM;
	out->client = in->peer;
	if (in->trusted && find(in, "x-forwarded-for")) {
		list = join_list(in, peer, &before);
		if (!list)
			return -ENOMEM;
		out->client = find_client(in, list, before);
		if (address_cmp(&out->client, &in->peer) != 0)
			peer = arena_strdup(in->arena, address_format(&out->client, text));
		if (!peer)
			return -ENOMEM;
	}
	set(out, "X-Real-IP", peer);
	set(out, "X-Forwarded-For", list);
	return 0;
}

/* ---- the rest -------------------------------------------------------------------------------------------------- */

static const char *copy(const struct forwarded_input *in, const struct http1_field *f)
{
	return arena_strndup(in->arena, in->bytes + f->value_at, f->value_len);
}

static const char *number(const struct forwarded_input *in, unsigned n)
{
	char text[12];
	size_t at = sizeof(text) - 1;

	text[at] = '\0';
	do
		text[--at] = (char)('0' + n % 10);
	while (n /= 10);
	return arena_memdup(in->arena, text + at, sizeof(text) - at);
}

static const char *host_with_port(const struct forwarded_input *in)
{
	const struct http1_slice host = in->head->host;
	const char *port = number(in, in->head->port);
	size_t port_len = port ? strlen(port) : 0;
	char *text = port ? arena_alloc(in->arena, host.len + port_len + 2) : NULL;

	if (!text)
		return NULL;
	memcpy(text, in->bytes + host.at, host.len);
	text[host.len] = ':';
	memcpy(text + host.len + 1, port, port_len + 1);
	return text;
}

/* What a trusted proxy said, or NULL. */
static const struct http1_field *said(const struct forwarded_input *in, const char *name)
{
	const struct http1_field *f = in->trusted ? find(in, name) : NULL;

	return f && f->value_len ? f : NULL;
}

static bool is_word(const struct forwarded_input *in, const struct http1_field *f, const char *word)
{
	return f->value_len == strlen(word) &&
	       strncasecmp(in->bytes + f->value_at, word, f->value_len) == 0;
}

static int set_target(const struct forwarded_input *in, struct forwarded *out)
{
	const struct http1_field *proto = said(in, "x-forwarded-proto");
	const struct http1_field *port = said(in, "x-forwarded-port");
	const struct http1_field *host = said(in, "x-forwarded-host");
	const struct http1_head *head = in->head;
	const char *port_text, *host_text;

	out->tls = proto && is_word(in, proto, "https")  ? true
		   : proto && is_word(in, proto, "http") ? false
							 : in->tls;
	port_text = port                  ? copy(in, port)
		    : out->tls != in->tls ? (out->tls ? "443" : "80")
					  : arena_printf(in->arena, "%u", in->port);
	if (host)
		host_text = copy(in, host);
	else if (head->port)
		host_text = host_with_port(in);
	else
		host_text = arena_strndup(in->arena, in->bytes + head->host.at, head->host.len);
	if (!port_text || !host_text)
		return -ENOMEM;
	set(out, "X-Forwarded-Host", host_text);
	set(out, "X-Forwarded-Port", port_text);
	set(out, "X-Forwarded-Proto", out->tls ? "https" : "http");
	set(out, "X-Forwarded-Scheme", out->tls ? "https" : "http");
	set(out, "X-Scheme", out->tls ? "https" : "http");
	if (!in->trusted && find(in, "forwarded"))
		set(out, "Forwarded", NULL);
	return 0;
}

static bool is_request_id(const char *text, size_t len)
{
	if (len == 0 || len > REQUEST_ID_MAX)
		return false;
	for (size_t i = 0; i < len; i++)
		if (!isalnum((unsigned char)text[i]) && !memchr("-_.:+/=@", text[i], 8))
			return false;
	return true;
}

static int set_request_id(const struct forwarded_input *in, struct forwarded *out)
{
	static const char digits[] = "0123456789abcdef";
	const struct http1_field *f = find(in, "x-request-id");
	char *id;

	if (f && is_request_id(in->bytes + f->value_at, f->value_len)) {
		out->request_id = copy(in, f);
	} else {
		id = arena_alloc(in->arena, 33);
		for (int i = 0; id && i < 32; i++)
			id[i] = digits[in->random[i / 16] >> (i % 16 * 4) & 15];
		out->request_id = id;
	}
	if (!out->request_id)
		return -ENOMEM;
	set(out, "X-Request-ID", out->request_id);
	return 0;
}

int forwarded_fill(const struct forwarded_input *in, struct forwarded *ret_forwarded)
{
	struct forwarded out = { 0 };

	if (set_addresses(in, &out) < 0 || set_target(in, &out) < 0 || set_request_id(in, &out) < 0)
		return -ENOMEM;
	*ret_forwarded = out;
	return 0;
}

/* version "-" 32 digits "-" 16 digits "-" 2 digits, lower case; later versions may say more behind. */
const char *forwarded_trace_id(const struct http1_head *head, const char *bytes)
{
	const struct http1_field *f = http1_field_find(head, bytes, "traceparent", NULL);
	const char *text;
	bool zero = true;

	if (!f || f->value_len < 55)
		return NULL;
	text = bytes + f->value_at;
	if (text[2] != '-' || text[35] != '-' || text[52] != '-')
		return NULL;
	for (int i = 3; i < 35; i++) {
		if (!memchr("0123456789abcdef", text[i], 16))
			return NULL;
		zero &= text[i] == '0';
	}
	return zero ? NULL : text + 3;
}
