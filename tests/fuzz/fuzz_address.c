// SPDX-License-Identifier: GPL-2.0-only
// Any text as an address, a range and a place to listen at: what is taken reads the same once it was written.
/* link: user/core/address.c user/serve/listen_addr.c */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/address.h"
#include "serve/listen_addr.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int true_for_every_input)
{
	if (!true_for_every_input)
		abort();
}

static void as_address(const char *text)
{
	struct address addr, again;
	char out[ADDRESS_TEXT_LEN];

	if (address_parse(text, &addr) < 0)
		return;
	must(addr.family == 4 || addr.family == 6);
	must(address_parse(address_format(&addr, out), &again) == 0);
	must(address_cmp(&addr, &again) == 0);
	address_refusal(&addr);
}

static void as_cidr(const char *text)
{
	struct cidr cidr, again;
	char out[CIDR_TEXT_LEN];

	if (cidr_parse(text, &cidr) < 0)
		return;
	must(cidr.len <= (cidr.addr.family == 4 ? 32 : 128));
	must(cidr_contains(&cidr, &cidr.addr));
	must(cidr_parse(cidr_format(&cidr, out), &again) == 0);
	must(address_cmp(&cidr.addr, &again.addr) == 0 && cidr.len == again.len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct listen_addr listen;
	char *text = malloc(size + 1);

	must(text != NULL);
	memcpy(text, data, size);
	text[size] = 0;
	as_address(text);
	as_cidr(text);
	listen_addr_parse(text, &listen);
	free(text);
	return 0;
}
