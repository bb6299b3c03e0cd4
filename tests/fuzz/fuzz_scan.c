// SPDX-License-Identifier: GPL-2.0-only
// Any bytes as a list and as a stream: what comes out does not depend on how they were cut, and a whole object has its brackets.
/* link: user/source/kube/scan.c user/base/buf.c */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "source/kube/scan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int true_for_every_input)
{
	if (!true_for_every_input)
		abort();
}

static int on_part(void *ctx, enum scan_part part, const char *text, size_t len, bool spoilt)
{
	struct buf *out = ctx;

	must(len >= 2 && text[0] == '{' && text[len - 1] == '}' && strlen(text) == len);
	buf_printf(out, "%d%d%zu:%s;", part, spoilt, len, text);
	return 0;
}

/* Pieces of 1, 2, … step bytes and again. */
static void run(enum scan_kind kind, const uint8_t *data, size_t size, size_t step, struct buf *out)
{
	struct scan scan;
	size_t at, n, i = 0;

	scan_init(&scan, kind, on_part, out);
	for (at = 0; at < size; at += n) {
		char *piece;

		n = 1 + i++ % step;
		n = n < size - at ? n : size - at;
		piece = malloc(n); /* of this size, so that a read beyond it is seen */
		must(piece != NULL);
		memcpy(piece, data + at, n);
		scan_feed(&scan, piece, n);
		free(piece);
	}
	buf_printf(out, "%d%d", scan.code, scan_is_whole(&scan));
	scan_done(&scan);
}

static void compare(enum scan_kind kind, const uint8_t *data, size_t size)
{
	static const size_t steps[] = { 2, 7, 1 << 20 };
	struct buf one = { 0 }, other = { 0 };

	run(kind, data, size, 1, &one);
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		buf_reset(&other);
		run(kind, data, size, steps[i], &other);
		must(one.len == other.len && memcmp(buf_str(&one), buf_str(&other), one.len) == 0);
	}
	buf_done(&one);
	buf_done(&other);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	compare(SCAN_STREAM, data, size);
	compare(SCAN_LIST, data, size);
	return 0;
}
