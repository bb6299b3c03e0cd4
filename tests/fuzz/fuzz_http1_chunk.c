// SPDX-License-Identifier: GPL-2.0-only
// Any bytes as a chunked body, cut anywhere: the same body and the same verdict.
/* link: user/ingress/http1.c user/ingress/http1_chunk.c user/base/buf.c */
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

struct outcome {
	struct buf body;
	int rc;      /* a fault, HTTP1_CHUNK_LAST, or HTTP1_CHUNK_MORE */
	size_t used; /* of the input; only told apart without a fault */
};

static int feed(struct http1_chunks *chunks, const uint8_t *data, size_t n, struct outcome *o)
{
	char *piece = malloc(n); /* of this size, so that a read beyond it is seen */
	size_t at = 0, used, len;
	const char *body;
	int rc = HTTP1_CHUNK_MORE;

	must(piece != NULL);
	memcpy(piece, data, n);
	while (at < n) {
		used = 0;
		rc = http1_chunks_read(chunks, piece + at, n - at, &used, &body, &len);
		if (rc < 0)
			break;
		must(used <= n - at && (used > 0 || rc == HTTP1_CHUNK_LAST));
		if (rc == HTTP1_CHUNK_DATA) {
			must(len > 0 && body >= piece && body + len <= piece + n);
			buf_put(&o->body, body, len);
		}
		at += used;
		o->used += used;
		if (rc == HTTP1_CHUNK_LAST)
			break;
		rc = HTTP1_CHUNK_MORE;
	}
	free(piece);
	return rc;
}

static void run(const uint8_t *data, size_t size, size_t step, struct outcome *o)
{
	struct http1_chunks chunks = { 0 };

	o->rc = HTTP1_CHUNK_MORE;
	o->used = 0;
	buf_reset(&o->body);
	for (size_t at = 0; at < size && o->rc == HTTP1_CHUNK_MORE; at += step)
		o->rc = feed(&chunks, data + at, step < size - at ? step : size - at, o);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const size_t steps[] = { 1, 2, 7, 4096 };
	struct outcome whole = { 0 }, cut = { 0 };

	run(data, size, size ? size : 1, &whole);
	must(whole.body.len <= size);
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		run(data, size, steps[i], &cut);
		must(cut.rc == whole.rc && cut.body.len == whole.body.len);
		must(cut.rc < 0 || cut.used == whole.used);
		must(memcmp(buf_str(&cut.body), buf_str(&whole.body), whole.body.len) == 0);
	}
	buf_done(&whole.body);
	buf_done(&cut.body);
	return 0;
}
