// SPDX-License-Identifier: GPL-2.0-only
/* Field blocks of HTTP/2 as heads of HTTP/1.1: composes text that says just what the block said. */
/* Must not know sessions or frames, or decide what http1 decides. */
#include "ingress/http2_head.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

/* RFC 9110 5.6.2: what tokens are made of; 2: upper case, which HTTP/2 does not have. */
static const uint8_t tchars[256] = {
	['0' ... '9'] = 1, ['a' ... 'z'] = 1, ['A' ... 'Z'] = 2, ['!'] = 1, ['#'] = 1, ['$'] = 1,
	['%'] = 1,         ['&'] = 1,         ['\''] = 1,        ['*'] = 1, ['+'] = 1, ['-'] = 1,
	['.'] = 1,         ['^'] = 1,         ['_'] = 1,         ['`'] = 1, ['|'] = 1, ['~'] = 1,
};

static bool is_name(const char *name, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (tchars[(unsigned char)name[i]] != 1)
			return false;
	return len > 0;
}

static bool is_token(const char *text)
{
	size_t len = 0;

	while (tchars[(unsigned char)text[len]])
		len++;
	return len && !text[len];
}

static bool is(const char *text, size_t len, const char *lower)
{
	return strlen(lower) == len && memcmp(text, lower, len) == 0;
}

void http2_block_begin(struct http2_block *block, enum http1_kind kind,
		       const struct http1_limits *limits)
{
	struct buf text = block->text, pseudo = block->pseudo;

	buf_reset(&text);
	buf_reset(&pseudo);
	*block = (struct http2_block){ .kind = kind,
				       .text = text,
				       .pseudo = pseudo,
				       /* so that the parser sees that it is too long */
				       .room = limits->head + limits->first_line + limits->line };
}

void http2_block_done(struct http2_block *block)
{
	buf_done(&block->text);
	buf_done(&block->pseudo);
}

static void spoil(struct http2_block *block, enum http1_fault fault)
{
	if (!block->fault)
		block->fault = fault;
}

/* ---- pseudo-fields ------------------------------------------------------------------------------------------------ */

static struct http2_pseudo *pseudo_of(struct http2_block *block, const char *name, size_t len)
{
	if (block->kind == HTTP1_RESPONSE)
		return is(name, len, ":status") ? &block->status : NULL;
	if (block->kind != HTTP1_REQUEST)
		return NULL;
	return is(name, len, ":method")      ? &block->method
	       : is(name, len, ":path")      ? &block->path
	       : is(name, len, ":scheme")    ? &block->scheme
	       : is(name, len, ":authority") ? &block->authority
					     : NULL;
}

/* No byte that could end a word of the first line. */
static bool is_word(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)text[i] <= 0x20 || text[i] == 0x7f)
			return false;
	return true;
}

static void add_pseudo(struct http2_block *block, const char *name, size_t name_len,
		       const char *value, size_t value_len)
{
	struct http2_pseudo *p = pseudo_of(block, name, name_len);

	if (!p || p->is_there || block->regular) {
		spoil(block, p ? HTTP1_BAD_LINE : HTTP1_BAD_NAME);
		return;
	}
	if (!is_word(value, value_len)) {
		spoil(block, p == &block->path        ? HTTP1_BAD_TARGET
			     : p == &block->method    ? HTTP1_BAD_METHOD
			     : p == &block->authority ? HTTP1_BAD_HOST
						      : HTTP1_BAD_LINE);
		return;
	}
	*p = (struct http2_pseudo){ (uint32_t)block->pseudo.len, (uint32_t)value_len, true };
	buf_put(&block->pseudo, value, value_len);
}

/* ---- fields --------------------------------------------------------------------------------------------------------- */

static bool is_value(const char *value, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)value[i];

		if ((c < 0x20 && c != '\t') || c == 0x7f)
			return false;
	}
	return true;
}

/* Of a connection, which is another thing in HTTP/2. */
static bool is_of_connection(const char *name, size_t len)
{
	return is(name, len, "connection") || is(name, len, "keep-alive") ||
	       is(name, len, "proxy-connection") || is(name, len, "transfer-encoding") ||
	       is(name, len, "upgrade");
}

static void put_line(struct buf *text, const char *name, size_t name_len, const char *value,
		     size_t value_len)
{
	char *to;

	if (buf_reserve(text, name_len + value_len + 4) < 0)
		return;
	to = text->data + text->len;
	memcpy(to, name, name_len);
	memcpy(to + name_len, ": ", 2);
	memcpy(to + name_len + 2, value, value_len);
	memcpy(to + name_len + 2 + value_len, "\r\n", 3);
	text->len += name_len + value_len + 4;
}

/* A crumb of the cookie: behind the last one. */
static void put_cookie(struct http2_block *block, const char *value, size_t len)
{
	struct buf *text = &block->text;
	size_t tail;

	if (!block->cookie_end) {
		put_line(text, "cookie", 6, value, len);
		block->cookie_end = text->failed ? 0 : (uint32_t)text->len - 2;
		return;
	}
	if (buf_reserve(text, len + 2) < 0)
		return;
	tail = text->len - block->cookie_end;
	memmove(text->data + block->cookie_end + 2 + len, text->data + block->cookie_end, tail + 1);
	memcpy(text->data + block->cookie_end, "; ", 2);
	memcpy(text->data + block->cookie_end + 2, value, len);
	text->len += len + 2;
	block->cookie_end += (uint32_t)len + 2;
}

/* Host beside :authority must say the same; then once is enough. */
static bool is_said(struct http2_block *block, const char *value, size_t len)
{
	const struct http2_pseudo *a = &block->authority;

	if (!a->is_there)
		return false;
	if (a->len != len || strncasecmp(buf_str(&block->pseudo) + a->at, value, len) != 0)
		spoil(block, HTTP1_TWO_HOSTS);
	return true;
}

static void add_field(struct http2_block *block, const char *name, size_t name_len,
		      const char *value, size_t value_len)
{
	bool request = block->kind == HTTP1_REQUEST;

	if (!is_name(name, name_len)) {
		spoil(block, HTTP1_BAD_NAME);
	} else if (!is_value(value, value_len)) {
		spoil(block, HTTP1_BAD_BYTE);
	} else if (is_of_connection(name, name_len) ||
		   (is(name, name_len, "te") &&
		    (value_len != 8 || strncasecmp(value, "trailers", 8) != 0))) {
		spoil(block, HTTP1_BAD_CONNECTION);
	} else if (request && is(name, name_len, "cookie")) {
		put_cookie(block, value, value_len);
	} else if (!request || !is(name, name_len, "host") || !is_said(block, value, value_len)) {
		put_line(&block->text, name, name_len, value, value_len);
		block->has_length |= is(name, name_len, "content-length");
	}
}

int http2_block_add(struct http2_block *block, const char *name, size_t name_len, const char *value,
		    size_t value_len)
{
	size_t bytes = name_len + value_len + 32;

	if (bytes > HTTP2_BLOCK_MAX - block->bytes)
		return -E2BIG;
	block->bytes += (uint32_t)bytes;
	if (block->fault)
		return 0;
	if (block->text.len + block->pseudo.len + bytes > block->room) {
		spoil(block, name_len == 5 && is(name, name_len, ":path") ? HTTP1_TARGET_LONG
									  : HTTP1_HEAD_LONG);
		return 0;
	}
	if (name_len && name[0] == ':') {
		add_pseudo(block, name, name_len, value, value_len);
	} else {
		block->regular = true;
		add_field(block, name, name_len, value, value_len);
	}
	return block->text.failed || block->pseudo.failed ? -ENOMEM : 0;
}

/* ---- the whole ------------------------------------------------------------------------------------------------------ */

static const char *value_of(const struct http2_block *block, const struct http2_pseudo *p)
{
	return buf_str(&block->pseudo) + p->at;
}

static void put_pseudo(struct buf *to, const struct http2_block *block,
		       const struct http2_pseudo *p)
{
	buf_put(to, value_of(block, p), p->len);
}

static bool is_scheme(const struct http2_block *block)
{
	const char *text = value_of(block, &block->scheme);
	size_t len = block->scheme.len;

	return (len == 4 && strncasecmp(text, "http", 4) == 0) ||
	       (len == 5 && strncasecmp(text, "https", 5) == 0);
}

/* RFC 9113 8.3.1, and the forms of a target that there are. */
static enum http1_fault check_request(const struct http2_block *block)
{
	const struct http2_pseudo *path = &block->path;
	const char *target = value_of(block, path);

	if (!block->method.is_there || !block->method.len)
		return HTTP1_BAD_LINE;
	if (is(value_of(block, &block->method), block->method.len, "CONNECT"))
		return HTTP1_CONNECT;
	if (!block->scheme.is_there || !path->is_there)
		return HTTP1_BAD_LINE;
	if (!is_scheme(block) || !path->len || (target[0] != '/' && !is(target, path->len, "*")))
		return HTTP1_BAD_TARGET;
	if (block->authority.is_there && !block->authority.len)
		return HTTP1_BAD_HOST;
	return HTTP1_OK;
}

static enum http1_fault check_response(const struct http2_block *block)
{
	const char *text = value_of(block, &block->status);

	if (!block->status.is_there)
		return HTTP1_BAD_LINE;
	if (block->status.len != 3)
		return HTTP1_BAD_STATUS;
	for (int i = 0; i < 3; i++)
		if (text[i] < '0' || text[i] > '9')
			return HTTP1_BAD_STATUS;
	return HTTP1_OK;
}

/* In front of the fields: what pseudo-fields say, as a first line and Host. */
static void put_first(struct buf *to, const struct http2_block *block)
{
	if (block->kind == HTTP1_RESPONSE) {
		buf_puts(to, "HTTP/1.1 ");
		put_pseudo(to, block, &block->status);
		buf_puts(to, " \r\n");
	} else if (block->kind == HTTP1_REQUEST) {
		put_pseudo(to, block, &block->method);
		buf_putc(to, ' ');
		put_pseudo(to, block, &block->path);
		buf_puts(to, " HTTP/1.1\r\n");
		if (block->authority.is_there) {
			buf_puts(to, "host: ");
			put_pseudo(to, block, &block->authority);
			buf_puts(to, "\r\n");
		}
	}
}

/* The lines are there already: what is in front of them is written behind pseudo's values, then both are put together. */
static int compose(struct http2_block *block, bool chunked)
{
	struct buf *pseudo = &block->pseudo, *text = &block->text;
	size_t at = pseudo->len, first;

	/* put_first() reads what it appends to: no growth in between. */
	if (buf_reserve(pseudo, 2 * at + 64) < 0)
		return -ENOMEM;
	put_first(pseudo, block);
	first = pseudo->len - at;
	if (buf_reserve(text, first + 64) < 0)
		return -ENOMEM;
	memmove(text->data + first, text->data, text->len);
	memcpy(text->data, pseudo->data + at, first);
	text->len += first;
	if (chunked)
		buf_puts(text, "transfer-encoding: chunked\r\n");
	buf_puts(text, "\r\n");
	return text->failed || pseudo->failed ? -ENOMEM : 0;
}

/* Does a body follow of which nobody knows how long it is? */
static bool is_chunked(const struct http2_block *block, bool ended)
{
	if (ended || block->has_length || block->kind == HTTP1_TRAILER)
		return false;
	return block->kind == HTTP1_REQUEST || *value_of(block, &block->status) != '1';
}

/* What END_STREAM says goes before what framing of HTTP/1.1 would make of it. */
static enum http1_fault settle_body(struct http1_head *head, bool ended)
{
	if (!ended || head->kind == HTTP1_TRAILER)
		return HTTP1_OK;
	if (head->body == HTTP1_LENGTH)
		return HTTP1_BAD_LENGTH;
	if (head->body == HTTP1_UNTIL_CLOSE) {
		head->body = HTTP1_NO_BODY;
		head->has_length = true;
		head->length = 0;
	}
	return HTTP1_OK;
}

int http2_block_end(struct http2_block *block, bool ended, struct http1_head *head)
{
	enum http1_fault fault = block->fault;
	int n;

	if (!fault && block->kind == HTTP1_REQUEST)
		fault = check_request(block);
	else if (!fault && block->kind == HTTP1_RESPONSE)
		fault = check_response(block);
	if (fault)
		return -(int)fault;
	if (compose(block, is_chunked(block, ended)) < 0)
		return HTTP2_NO_MEMORY;
	n = http1_head_read(head, block->text.data, block->text.len);
	if (n == HTTP1_PARTIAL)
		return -(int)HTTP1_BAD_LINE;
	if (n < 0)
		return n;
	fault = settle_body(head, ended);
	return fault ? -(int)fault : n;
}

/* ---- sent --------------------------------------------------------------------------------------------------------------- */

/* In decimal, at the end of `to`; there are to + 20 minus the result of digits. */
static const char *number(uint64_t value, char to[static 20])
{
	char *p = to + 20;

	do
		*--p = (char)('0' + value % 10);
	while (value /= 10);
	return p;
}

static int put(struct http2_nv *nv, const char *name, size_t name_len, const char *value,
	       size_t value_len)
{
	if (nv->n == HTTP2_NV_MAX)
		return -EINVAL;
	nv->nv[nv->n++] = (nghttp2_nv){ .name = (uint8_t *)(uintptr_t)name,
					.namelen = name_len,
					.value = (uint8_t *)(uintptr_t)value,
					.valuelen = value_len,
					.flags = NGHTTP2_NV_FLAG_NONE };
	return 0;
}

static int put_slice(struct http2_nv *nv, const char *name, const char *bytes, struct http1_slice s)
{
	return put(nv, name, strlen(name), bytes + s.at, s.len);
}

static int put_field(struct http2_nv *nv, const struct http1_field *f, const char *bytes)
{
	return put(nv, bytes + f->name_at, f->name_len, bytes + f->value_at, f->value_len);
}

static bool is_set(const struct http1_out *out, const char *name, size_t len)
{
	for (size_t i = 0; i < out->n_set; i++)
		if (!out->set[i].add && strncasecmp(out->set[i].name, name, len) == 0 &&
		    !out->set[i].name[len])
			return true;
	return false;
}

/* Framing and what belongs to a connection are not for others to set. */
static bool is_settable(const struct http1_set *set)
{
	static const char *const ours[] = { "content-length", "transfer-encoding", "connection",
					    "keep-alive",     "proxy-connection",  "upgrade" };

	for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
		if (strcasecmp(set->name, ours[i]) == 0)
			return false;
	return is_token(set->name) && (!set->value || is_value(set->value, strlen(set->value)));
}

/* An answer of gRPC without a body needs no length: its end is in the same frame. */
static bool is_trailers_only(const struct http1_head *head, const char *bytes)
{
	return head->length == 0 && http1_field_find(head, bytes, "grpc-status", NULL);
}

static int put_length(struct http2_nv *nv, const struct http1_head *head, const char *bytes,
		      const struct http1_out *out)
{
	bool bodyless = head->status < 200 || head->status == 204;
	uint64_t length;
	const char *digits;

	if (out->body == HTTP1_LENGTH)
		length = out->body_len;
	else if (out->body == HTTP1_NO_BODY && head->has_length && !bodyless &&
		 !is_trailers_only(head, bytes))
		length = head->length;
	else
		return 0;
	digits = number(length, nv->length);
	return put(nv, "content-length", 14, digits, (size_t)(nv->length + 20 - digits));
}

int http2_nv_response(struct http2_nv *nv, const struct http1_head *head, const char *bytes,
		      const struct http1_out *out)
{
	int rc;

	nv->n = 0;
	nv->status[0] = (char)('0' + head->status / 100 % 10);
	nv->status[1] = (char)('0' + head->status / 10 % 10);
	nv->status[2] = (char)('0' + head->status % 10);
	rc = put(nv, ":status", 7, nv->status, 3);
	for (size_t i = 0; rc == 0 && i < head->n_fields; i++) {
		const struct http1_field *f = &head->fields[i];

		if (!f->connection && !is_set(out, bytes + f->name_at, f->name_len))
			rc = put_field(nv, f, bytes);
	}
	if (rc == 0)
		rc = put_length(nv, head, bytes, out);
	for (size_t i = 0; rc == 0 && i < out->n_set; i++) {
		const struct http1_set *set = &out->set[i];

		if (!is_settable(set))
			return -EINVAL;
		if (set->value)
			rc = put(nv, set->name, strlen(set->name), set->value, strlen(set->value));
	}
	return rc;
}

/* host[:port] as one piece: it stands in the Host field, or in a target that has it. */
static int put_authority(struct http2_nv *nv, const struct http1_head *head, const char *bytes)
{
	const struct http1_field *f = http1_field_find(head, bytes, "host", NULL);

	return f ? put(nv, ":authority", 10, bytes + f->value_at, f->value_len) : 0;
}

int http2_nv_request(struct http2_nv *nv, const struct http1_head *head, const char *bytes,
		     const char *scheme)
{
	const struct http1_field *te = http1_field_find(head, bytes, "te", NULL);
	int rc;

	nv->n = 0;
	rc = put_slice(nv, ":method", bytes, head->method);
	if (rc == 0)
		rc = put(nv, ":scheme", 7, scheme, strlen(scheme));
	if (rc == 0)
		rc = put_authority(nv, head, bytes);
	if (rc == 0)
		rc = put_slice(nv, ":path", bytes, head->target);
	for (size_t i = 0; rc == 0 && i < head->n_fields; i++) {
		const struct http1_field *f = &head->fields[i];

		if (!f->connection && f->name != HTTP1_HOST)
			rc = put_field(nv, f, bytes);
	}
	if (rc == 0 && head->has_length) {
		const char *digits = number(head->length, nv->length);

		rc = put(nv, "content-length", 14, digits, (size_t)(nv->length + 20 - digits));
	}
	if (rc == 0 && te)
		rc = put(nv, "te", 2, "trailers", 8);
	return rc;
}

int http2_nv_trailer(struct http2_nv *nv, const struct http1_head *trailer, const char *bytes)
{
	int rc = 0;

	nv->n = 0;
	for (size_t i = 0; rc == 0 && i < trailer->n_fields; i++)
		rc = put_field(nv, &trailer->fields[i], bytes);
	return rc;
}
