// SPDX-License-Identifier: GPL-2.0-only
/* Makes HTTP/1.1 heads from the parts of read ones: one framing, nothing of the old connection. */
/* Must not know how the parts were read, or decide what is forwarded. */
#include "ingress/http1.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

static bool is_visible(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)text[i] <= 0x20 || (unsigned char)text[i] >= 0x7f)
			return false;
	return len > 0;
}

/* No byte that ends a line, for any reader. */
static bool is_value(const char *text)
{
	for (; *text; text++)
		if (((unsigned char)*text < 0x20 && *text != '\t') || *text == 0x7f)
			return false;
	return true;
}

/* A token of RFC 9110 5.6.2. */
static bool is_name(const char *text)
{
	static const bool token[256] = {
		['0' ... '9'] = true,  ['A' ... 'Z'] = true, ['a' ... 'z'] = true, ['!'] = true,
		['#' ... '\''] = true, ['*'] = true,         ['+'] = true,         ['-'] = true,
		['.'] = true,          ['^' ... '`'] = true, ['|'] = true,         ['~'] = true,
	};

	if (!*text)
		return false;
	while (token[(unsigned char)*text])
		text++;
	return !*text;
}

static bool is(const char *name, size_t len, const char *what)
{
	return strlen(what) == len && strncasecmp(name, what, len) == 0;
}

/* Framing and Connection are ours to write, from what http1_out says. */
static bool is_ours(const char *name)
{
	size_t len = strlen(name);

	return is(name, len, "content-length") || is(name, len, "transfer-encoding") ||
	       is(name, len, "connection") || is(name, len, "host");
}

static bool is_sound(const struct http1_out *o)
{
	if (o->target && (!is_visible(o->target, o->target_len) || o->target[0] != '/'))
		return false;
	if (o->host && !is_visible(o->host, strlen(o->host)))
		return false;
	for (size_t i = 0; i < o->n_set; i++)
		if (!is_name(o->set[i].name) || is_ours(o->set[i].name) ||
		    (o->set[i].value && !is_value(o->set[i].value)))
			return false;
	return true;
}

static bool is_set(const struct http1_out *o, const char *name, size_t len)
{
	for (size_t i = 0; i < o->n_set; i++)
		if (!o->set[i].add && is(name, len, o->set[i].name))
			return true;
	return false;
}

static void put_field(struct buf *out, const char *name, size_t name_len, const char *value,
		      size_t value_len)
{
	char *at;

	if (buf_reserve(out, name_len + value_len + 4) < 0)
		return;
	at = mempcpy(out->data + out->len, name, name_len);
	at = mempcpy(at, ": ", 2);
	at = mempcpy(at, value, value_len);
	at = mempcpy(at, "\r\n", 3); /* with its NUL */
	out->len = (size_t)(at - out->data) - 1;
}

static void put_number(struct buf *out, uint64_t number)
{
	char digits[20], *at = digits + sizeof(digits);

	do
		*--at = (char)('0' + number % 10);
	while (number /= 10);
	buf_put(out, at, (size_t)(digits + sizeof(digits) - at));
}

static void put_length(struct buf *out, uint64_t length)
{
	buf_puts(out, "Content-Length: ");
	put_number(out, length);
	buf_put(out, "\r\n", 2);
}

/* Host is written by itself: first, and from what was understood. */
static void put_received(struct buf *out, const struct http1_head *head, const char *bytes,
			 const struct http1_out *o)
{
	for (size_t i = 0; i < head->n_fields; i++) {
		const struct http1_field *f = &head->fields[i];
		const char *name = bytes + f->name_at;

		if (f->connection || (head->kind == HTTP1_REQUEST && f->name == HTTP1_HOST) ||
		    is_set(o, name, f->name_len))
			continue;
		put_field(out, name, f->name_len, bytes + f->value_at, f->value_len);
	}
}

static void put_set(struct buf *out, const struct http1_out *o)
{
	for (size_t i = 0; i < o->n_set; i++)
		if (o->set[i].value)
			put_field(out, o->set[i].name, strlen(o->set[i].name), o->set[i].value,
				  strlen(o->set[i].value));
}

/* gRPC and the like ask for trailers by TE; nothing else of it is for the next hop. */
static bool wants_trailers(const struct http1_head *head, const char *bytes)
{
	const struct http1_field *f = NULL;

	while ((f = http1_field_find(head, bytes, "te", f)))
		if (f->value_len == 8 && strncasecmp(bytes + f->value_at, "trailers", 8) == 0)
			return true;
	return false;
}

static void put_framing(struct buf *out, const struct http1_head *head, const struct http1_out *o)
{
	bool bodyless = head->kind == HTTP1_RESPONSE && (head->status < 200 || head->status == 204);

	if (o->body == HTTP1_CHUNKED)
		buf_puts(out, "Transfer-Encoding: chunked\r\n");
	else if (o->body == HTTP1_LENGTH)
		put_length(out, o->body_len);
	else if (o->body == HTTP1_NO_BODY && head->has_length && !bodyless)
		put_length(out, head->length); /* 0, or of a body not sent (HEAD) */
}

static void put_connection(struct buf *out, const struct http1_head *head, const char *bytes,
			   const struct http1_out *o, bool te)
{
	bool upgrade = o->upgrade && head->upgrade.len;

	if (upgrade)
		put_field(out, "Upgrade", 7, bytes + head->upgrade.at, head->upgrade.len);
	if (te)
		buf_puts(out, "TE: trailers\r\n");
	if (o->close || upgrade || te)
		buf_printf(out, "Connection: %s%s%s%s%s\r\n", upgrade ? "upgrade" : "",
			   upgrade && te ? ", " : "", te ? "TE" : "",
			   (upgrade || te) && o->close ? ", " : "", o->close ? "close" : "");
	else if (head->kind == HTTP1_RESPONSE && o->minor == 0)
		buf_puts(out, "Connection: keep-alive\r\n");
}

static int finish(struct buf *out, size_t before)
{
	buf_put(out, "\r\n", 2);
	if (!out->failed)
		return 0;
	if (out->len > before)
		out->len = before;
	return -ENOMEM;
}

static void put_target(struct buf *out, const struct http1_head *head, const char *bytes,
		       const struct http1_out *o)
{
	if (o->target) {
		buf_put(out, o->target, o->target_len);
		return;
	}
	if (head->path.len)
		buf_put(out, bytes + head->path.at, head->path.len);
	else
		buf_putc(out, '/');
	if (head->has_query) {
		buf_putc(out, '?');
		buf_put(out, bytes + head->query.at, head->query.len);
	}
}

static void put_host(struct buf *out, const struct http1_head *head, const char *bytes,
		     const struct http1_out *o)
{
	if (o->host) {
		put_field(out, "Host", 4, o->host, strlen(o->host));
		return;
	}
	buf_puts(out, "Host: ");
	buf_put(out, bytes + head->host.at, head->host.len);
	if (head->port) {
		buf_putc(out, ':');
		put_number(out, head->port);
	}
	buf_put(out, "\r\n", 2);
}

int http1_write_request(struct buf *out, const struct http1_head *head, const char *bytes,
			const struct http1_out *o)
{
	size_t before = out->len;

	if (!is_sound(o) || o->body == HTTP1_UNTIL_CLOSE || o->body == HTTP1_TUNNEL)
		return -EINVAL;
	buf_put(out, bytes + head->method.at, head->method.len);
	buf_putc(out, ' ');
	put_target(out, head, bytes, o);
	buf_puts(out, " HTTP/1.1\r\n");
	put_host(out, head, bytes, o);
	put_received(out, head, bytes, o);
	put_framing(out, head, o);
	put_connection(out, head, bytes, o, wants_trailers(head, bytes));
	put_set(out, o);
	return finish(out, before);
}

int http1_write_response(struct buf *out, const struct http1_head *head, const char *bytes,
			 const struct http1_out *o)
{
	size_t before = out->len;

	if (!is_sound(o) || o->minor > 1 || (o->body == HTTP1_UNTIL_CLOSE && !o->close) ||
	    (o->body == HTTP1_CHUNKED && o->minor == 0))
		return -EINVAL;
	buf_puts(out, "HTTP/1.1 "); /* our own version, whatever the client's (RFC 9110 2.5) */
	put_number(out, head->status);
	buf_putc(out, ' ');
	buf_put(out, bytes + head->reason.at, head->reason.len);
	buf_put(out, "\r\n", 2);
	put_received(out, head, bytes, o);
	put_framing(out, head, o);
	put_connection(out, head, bytes, o, false);
	put_set(out, o);
	return finish(out, before);
}

int http1_write_last_chunk(struct buf *out, const struct http1_head *trailer, const char *bytes)
{
	size_t before = out->len;

	buf_put(out, "0\r\n", 3);
	for (size_t i = 0; trailer && i < trailer->n_fields; i++) {
		const struct http1_field *f = &trailer->fields[i];

		put_field(out, bytes + f->name_at, f->name_len, bytes + f->value_at, f->value_len);
	}
	return finish(out, before);
}
