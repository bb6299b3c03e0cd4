// SPDX-License-Identifier: GPL-2.0-only
// Any fields as a block of HTTP/2: the head that is made of it says what they said, no more and nothing else.
/* link: user/ingress/http2_head.c user/ingress/http1.c user/ingress/http1_write.c user/base/buf.c */
/* libs: nghttp2 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "ingress/http2_head.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int true_for_every_input)
{
	if (!true_for_every_input)
		abort();
}

/*
 * The input: a byte of flags, then fields. A field is a byte that chooses a name (0: one of its own, with its length and text), a
 * length, and a value.
 */
static const char *const names[] = {
	"",           ":method",     ":path",  ":scheme",
	":authority", ":status",     "host",   "content-length",
	"cookie",     "te",          "expect", "connection",
	"accept",     "grpc-status", "x_y",    "transfer-encoding",
};

#define FIELDS 200

struct field {
	const char *name, *value;
	size_t name_len, value_len;
};

static struct field fields[FIELDS];
static size_t n_fields;

static void read_fields(const uint8_t *data, size_t size)
{
	size_t at = 0;

	for (n_fields = 0; n_fields < FIELDS && at < size; n_fields++) {
		struct field *f = &fields[n_fields];
		uint8_t which = data[at++] % (sizeof(names) / sizeof(names[0]));

		f->name = names[which];
		f->name_len = strlen(f->name);
		if (which == 0 && at < size) {
			f->name_len = data[at++];
			if (f->name_len > size - at)
				f->name_len = size - at;
			f->name = (const char *)data + at;
			at += f->name_len;
		}
		f->value_len = at < size ? data[at++] : 0;
		if (f->value_len > size - at)
			f->value_len = size - at;
		f->value = (const char *)data + at;
		at += f->value_len;
	}
}

static const struct field *find(const char *name, size_t len)
{
	for (size_t i = 0; i < n_fields; i++)
		if (fields[i].name_len == len && memcmp(fields[i].name, name, len) == 0)
			return &fields[i];
	return NULL;
}

static bool says(const struct field *f, const char *text, size_t len)
{
	const char *value = f->value;
	size_t n = f->value_len;

	while (n && (value[0] == ' ' || value[0] == '\t')) {
		value++;
		n--;
	}
	while (n && (value[n - 1] == ' ' || value[n - 1] == '\t'))
		n--;
	return n == len && memcmp(value, text, len) == 0;
}

/* A field of the head was one of the block; joined cookies are made of its crumbs. */
static void check_field(const struct http1_head *head, const char *bytes,
			const struct http1_field *h, bool ended)
{
	const char *name = bytes + h->name_at, *value = bytes + h->value_at;
	size_t crumbs = 0, len = 0;

	if (h->name == HTTP1_HOST && head->kind == HTTP1_REQUEST && find(":authority", 10)) {
		must(says(find(":authority", 10), value, h->value_len));
		return;
	}
	if (h->name == HTTP1_TRANSFER_ENCODING) {
		must(!ended && !find("content-length", 14));
		must(h->value_len == 7 && memcmp(value, "chunked", 7) == 0);
		return;
	}
	for (size_t i = 0; i < n_fields; i++) {
		const struct field *f = &fields[i];

		if (f->name_len != h->name_len || memcmp(f->name, name, f->name_len) != 0)
			continue;
		if (says(f, value, h->value_len))
			return;
		crumbs++;
		len += f->value_len + 2;
	}
	must(head->kind == HTTP1_REQUEST && crumbs > 1 && h->name_len == 6 &&
	     memcmp(name, "cookie", 6) == 0 && h->value_len <= len - 2);
}

static void check_request(const struct http1_head *head, const char *bytes)
{
	const struct field *method = find(":method", 7), *path = find(":path", 5);

	must(method && path);
	must(says(method, bytes + head->method.at, head->method.len));
	must(says(path, bytes + head->target.at, head->target.len));
}

/* Written for an origin and read there: the same request. */
static void check_again(const struct http1_head *head, const char *bytes)
{
	static const struct http1_limits wide = { 65536, 65536, 131072, HTTP1_FIELDS_MAX };
	struct http1_out out = { .body = head->body, .body_len = head->body_len };
	static struct http1_head again;
	static struct http2_nv nv;
	struct buf text = { 0 };

	must(http1_write_request(&text, head, bytes, &out) == 0 || head->path.len == 1);
	if (text.len) {
		http1_head_init(&again, HTTP1_REQUEST, &wide);
		must(http1_head_read(&again, text.data, text.len) == (int)text.len);
		must(again.method.len == head->method.len && again.host.len == head->host.len);
		must(again.body == head->body && again.body_len == head->body_len);
		must(memcmp(text.data + again.host.at, bytes + head->host.at, head->host.len) == 0);
		must(http2_nv_request(&nv, &again, text.data, "http") == 0);
	}
	buf_done(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct http1_head head;
	struct http2_block block = { 0 };
	const struct http1_limits *limits;
	enum http1_kind kind;
	bool ended;
	int n = 0;

	if (size < 1)
		return 0;
	kind = data[0] % 3 == 0 ? HTTP1_REQUEST : data[0] % 3 == 1 ? HTTP1_RESPONSE : HTTP1_TRAILER;
	limits = kind == HTTP1_REQUEST    ? &http1_limits_request
		 : kind == HTTP1_RESPONSE ? &http1_limits_response
					  : &http1_limits_trailer;
	ended = data[0] & 0x80;
	read_fields(data + 1, size - 1);
	http2_block_begin(&block, kind, limits);
	http1_head_init(&head, kind, limits);
	if (kind == HTTP1_RESPONSE)
		http1_head_answers(&head, data[0] & 0x40, false);
	for (size_t i = 0; i < n_fields && n == 0; i++)
		n = http2_block_add(&block, fields[i].name, fields[i].name_len, fields[i].value,
				    fields[i].value_len);
	if (n == 0)
		n = http2_block_end(&block, ended, &head);
	if (n > 0) {
		must((size_t)n == block.text.len);
		for (size_t i = 0; i < head.n_fields; i++)
			check_field(&head, block.text.data, &head.fields[i], ended);
		if (ended)
			must(head.body == HTTP1_NO_BODY);
		if (kind == HTTP1_REQUEST) {
			check_request(&head, block.text.data);
			check_again(&head, block.text.data);
		}
	}
	http2_block_done(&block);
	return 0;
}
