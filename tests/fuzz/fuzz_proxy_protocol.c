// SPDX-License-Identifier: GPL-2.0-only
// Any bytes as a PROXY header: no read beyond them, and the same verdict with fewer of them or it is not there yet.
/* link: user/ingress/proxy_protocol.c user/core/address.c */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "ingress/proxy_protocol.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int true_for_every_input)
{
	if (!true_for_every_input)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct proxy_protocol whole = { 0 }, part;
	char *bytes = calloc(1, size ? size : 1);
	char text[ADDRESS_TEXT_LEN];
	size_t end;
	int rc;

	must(bytes != NULL);
	if (size)
		memcpy(bytes, data, size);
	rc = proxy_protocol_read(bytes, size, &whole);
	must(rc == -EINVAL || (rc >= 0 && rc <= PROXY_PROTOCOL_MAX && (size_t)rc <= size));
	if (rc > 0 && !whole.local) {
		must(whole.source.family == whole.target.family);
		must(whole.source.family == 4 || whole.source.family == 6);
		address_format(&whole.source, text);
	}
	end = size < 300 ? size : 300;
	for (size_t n = 0; n < end; n++) {
		char *cut =
			calloc(1, n ? n : 1); /* of this size, so that a read beyond it is seen */
		int got;

		must(cut != NULL);
		if (n)
			memcpy(cut, data, n);
		got = proxy_protocol_read(cut, n, &part);
		must(rc > 0 ? (n < (size_t)rc ? got == 0 : got == rc) : got <= 0);
		must(rc != 0 || got == 0);
		free(cut);
	}
	free(bytes);
	return 0;
}
