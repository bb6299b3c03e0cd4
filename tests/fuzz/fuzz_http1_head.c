// SPDX-License-Identifier: GPL-2.0-only
// Any bytes as a head, cut anywhere: one verdict; and what is written from the parts of a head means the same when it is read.
/* link: user/ingress/http1.c user/ingress/http1_write.c user/base/buf.c */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "ingress/http1.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int true_for_every_input)
{
	if (!true_for_every_input)
		abort();
}

static void init(struct http1_head *head, enum http1_kind kind)
{
	http1_head_init(head, kind,
			kind == HTTP1_REQUEST    ? &http1_limits_request
			: kind == HTTP1_RESPONSE ? &http1_limits_response
						 : &http1_limits_trailer);
	if (kind == HTTP1_RESPONSE)
		http1_head_answers(head, false, true);
}

/* Pieces of `step` bytes, each prefix in a block of its own, so that a read beyond it is seen. */
static int read_pieces(struct http1_head *head, enum http1_kind kind, const uint8_t *data,
		       size_t size, size_t step)
{
	int rc = HTTP1_PARTIAL;

	init(head, kind);
	for (size_t n = 0; n < size && rc == HTTP1_PARTIAL;) {
		char *prefix;

		n = n + step < size ? n + step : size;
		prefix = malloc(n);
		must(prefix != NULL);
		memcpy(prefix, data, n);
		rc = http1_head_read(head, prefix, n);
		must(rc <= (int)n);
		free(prefix);
	}
	return rc;
}

static void check_slice(struct http1_slice s, int n)
{
	must(s.len == 0 || (s.at < (uint32_t)n && s.len <= (uint32_t)n - s.at));
}

static void check_parts(const struct http1_head *head, const char *bytes, int n)
{
	check_slice(head->method, n);
	check_slice(head->host, n);
	check_slice(head->path, n);
	check_slice(head->query, n);
	check_slice(head->reason, n);
	check_slice(head->upgrade, n);
	must(head->n_fields <= head->limits->fields);
	for (size_t i = 0; i < head->n_fields; i++) {
		const struct http1_field *f = &head->fields[i];

		check_slice((struct http1_slice){ f->name_at, f->name_len }, n);
		check_slice((struct http1_slice){ f->value_at, f->value_len }, n);
		must(f->name_len > 0 && !memchr(bytes + f->name_at, ' ', f->name_len));
		must(!memchr(bytes + f->value_at, '\r', f->value_len));
		must(!memchr(bytes + f->value_at, '\n', f->value_len));
		must(!memchr(bytes + f->value_at, '\0', f->value_len));
	}
}

static int same(const char *a, struct http1_slice s, const char *b, struct http1_slice t)
{
	return s.len == t.len && memcmp(a + s.at, b + t.at, s.len) == 0;
}

/* Written and read again: the same request, the same framing, and nothing of the old connection. */
static void write_again(const struct http1_head *head, const char *bytes)
{
	struct http1_out o = {
		.body = head->body, .body_len = head->body_len, .minor = 1, .upgrade = true
	};
	struct http1_limits wide = { 65535, 65535, 1 << 20, HTTP1_FIELDS_MAX };
	struct http1_head again;
	struct buf out = { 0 };
	int rc;

	if (head->kind == HTTP1_REQUEST && !head->host.len)
		return; /* HTTP/1.0 without Host: whoever routes it names one */
	o.close = head->body == HTTP1_UNTIL_CLOSE;
	rc = head->kind == HTTP1_REQUEST ? http1_write_request(&out, head, bytes, &o)
					 : http1_write_response(&out, head, bytes, &o);
	must(rc == 0);
	init(&again, head->kind);
	again.limits = &wide;
	rc = http1_head_read(&again, out.data, out.len);
	must(rc < 0 ? rc == -(int)HTTP1_MANY_FIELDS : (size_t)rc == out.len);
	if (rc > 0) {
		must(again.body == head->body && again.body_len == head->body_len);
		must(again.status == head->status && again.port == head->port);
		must(same(bytes, head->method, out.data, again.method));
		must(same(bytes, head->host, out.data, again.host));
		must(same(bytes, head->query, out.data, again.query));
		must(!head->path.len || same(bytes, head->path, out.data, again.path));
		must(again.n_fields <= head->n_fields + 4);
	}
	buf_done(&out);
}

static void run(enum http1_kind kind, const uint8_t *data, size_t size)
{
	static const size_t steps[] = { 1, 7, 64 };
	struct http1_head whole, head;
	int rc = read_pieces(&whole, kind, data, size, size ? size : 1);

	for (size_t i = size > 4096; i < sizeof(steps) / sizeof(steps[0]); i++) {
		must(read_pieces(&head, kind, data, size, steps[i]) == rc);
		must(head.n_fields == whole.n_fields && head.body == whole.body &&
		     head.body_len == whole.body_len);
	}
	if (rc <= 0)
		return;
	check_parts(&whole, (const char *)data, rc);
	if (kind != HTTP1_TRAILER)
		write_again(&whole, (const char *)data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size > 1 << 17)
		return 0;
	run(HTTP1_REQUEST, data, size);
	run(HTTP1_RESPONSE, data, size);
	run(HTTP1_TRAILER, data, size);
	return 0;
}
