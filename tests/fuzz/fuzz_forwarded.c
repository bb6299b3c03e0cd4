// SPDX-License-Identifier: GPL-2.0-only
// Any head of a request, from a peer that is trusted and from one that is not: what is set can be written, and nobody's word
// about itself reaches the origin.
/* link: user/ingress/forwarded.c user/ingress/http1.c user/ingress/http1_write.c user/core/address.c user/base/arena.c user/base/buf.c */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "ingress/forwarded.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int true_for_every_input)
{
	if (!true_for_every_input)
		abort();
}

static unsigned count(const struct http1_head *head, const char *bytes, const char *name)
{
	const struct http1_field *f = NULL;
	unsigned n = 0;

	while ((f = http1_field_find(head, bytes, name, f)))
		n++;
	return n;
}

static void check_written(const struct http1_head *head, const char *bytes,
			  const struct forwarded *f, bool trusted)
{
	static const char *const names[] = { "x-forwarded-for",   "x-real-ip",
					     "x-forwarded-host",  "x-forwarded-port",
					     "x-forwarded-proto", "x-request-id",
					     "x-scheme" };
	struct http1_out out = { .set = f->set, .n_set = f->n_set };
	struct http1_limits wide = { 70000, 65535, 1 << 20, HTTP1_FIELDS_MAX };
	struct http1_head again;
	struct buf text = { 0 };
	const struct http1_field *real;
	char peer[] = "192.0.2.1";

	must(http1_write_request(&text, head, bytes, &out) == 0);
	http1_head_init(&again, HTTP1_REQUEST, &wide);
	if (http1_head_read(&again, text.data, text.len) != (int)text.len) {
		must(head->n_fields + f->n_set > HTTP1_FIELDS_MAX || head->host.len == 0);
		buf_done(&text);
		return;
	}
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		must(count(&again, text.data, names[i]) == 1);
	real = http1_field_find(&again, text.data, "x-real-ip", NULL);
	if (!trusted) {
		must(real->value_len == strlen(peer) &&
		     memcmp(text.data + real->value_at, peer, strlen(peer)) == 0);
		must(count(&again, text.data, "forwarded") == 0);
	}
	buf_done(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct cidr proxies[] = { { .addr = { .family = 4, .b = { 10 } }, .len = 8 } };
	struct http1_head head;
	struct arena arena = { 0 };
	int n;

	http1_head_init(&head, HTTP1_REQUEST, &http1_limits_request);
	n = http1_head_read(&head, (const char *)data, size);
	for (int trusted = 0; n > 0 && trusted < 2; trusted++) {
		struct forwarded f;
		struct forwarded_input in = {
			.head = &head,
			.bytes = (const char *)data,
			.peer = { .family = 4, .b = { 192, 0, 2, 1 } },
			.trusted = trusted,
			.proxies = proxies,
			.n_proxies = 1,
			.port = 80,
			.random = { 1, 2 },
			.arena = &arena,
		};

		if (trusted)
			in.peer = (struct address){ .family = 4, .b = { 10, 0, 0, 1 } };
		must(forwarded_fill(&in, &f) == 0);
		must(f.n_set <= FORWARDED_SET && f.client.family);
		check_written(&head, (const char *)data, &f, trusted);
		forwarded_trace_id(&head, (const char *)data);
	}
	arena_done(&arena);
	return 0;
}
