// SPDX-License-Identifier: GPL-2.0-only
/* Reads the PROXY header of a connection, strictly. */
/* Must not know sockets, or whom to believe. */
#include "ingress/proxy_protocol.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#define V1_MAX 107 /* with CRLF */
#define V2_LEN 16  /* before the addresses */

static const char v2_signature[12] = "\r\n\r\n\0\r\nQUIT\n";

/* ---- version 1 ------------------------------------------------------------------------------------------------- */

/* The next word, up to a space or the line's end, into out; false if it is empty or too long. */
static bool take_word(const char **text, const char *end, char *out, size_t size)
{
	const char *stop = memchr(*text, ' ', (size_t)(end - *text));
	size_t len;

	stop = stop ? stop : end;
	len = (size_t)(stop - *text);
	if (len == 0 || len >= size)
		return false;
	memcpy(out, *text, len);
	out[len] = '\0';
	*text = stop < end ? stop + 1 : end;
	return memchr(out, '\0', len) == NULL;
}

static bool take_address(const char **text, const char *end, int family, struct address *ret_addr)
{
	char word[INET6_ADDRSTRLEN];

	if (!take_word(text, end, word, sizeof(word)) || inet_pton(family, word, ret_addr->b) != 1)
		return false;
	ret_addr->family = family == AF_INET ? 4 : 6;
	return true;
}

static bool take_port(const char **text, const char *end, uint16_t *ret_port)
{
	char word[6];
	uint32_t port = 0;

	if (!take_word(text, end, word, sizeof(word)) || (word[0] == '0' && word[1]))
		return false;
	for (const char *c = word; *c; c++) {
		if (*c < '0' || *c > '9')
			return false;
		port = port * 10 + (uint32_t)(*c - '0');
	}
	*ret_port = (uint16_t)port;
	return port <= 65535;
}

static bool read_line(const char *text, const char *end, struct proxy_protocol *header)
{
	char kind[8];
	int family;

	if (!take_word(&text, end, kind, sizeof(kind)))
		return false;
	if (strcmp(kind, "UNKNOWN") == 0) { /* whatever follows is to be passed over */
		header->local = true;
		return true;
	}
	if (strcmp(kind, "TCP4") != 0 && strcmp(kind, "TCP6") != 0)
		return false;
	family = kind[3] == '4' ? AF_INET : AF_INET6;
	return take_address(&text, end, family, &header->source) &&
	       take_address(&text, end, family, &header->target) &&
	       take_port(&text, end, &header->source_port) && end[-1] != ' ' &&
	       take_port(&text, end, &header->target_port) && text == end;
}

static int read_v1(const char *bytes, size_t len, struct proxy_protocol *header)
{
	size_t most = len < V1_MAX ? len : V1_MAX;
	const char *lf = memchr(bytes, '\n', most);

	if (!lf)
		return len < V1_MAX ? 0 : -EINVAL;
	if (lf - bytes < 7 || lf[-1] != '\r')
		return -EINVAL;
	return read_line(bytes + 6, lf - 1, header) ? (int)(lf + 1 - bytes) : -EINVAL;
}

/* ---- version 2 ------------------------------------------------------------------------------------------------- */

static uint16_t be16(const unsigned char *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

static bool read_addresses(const unsigned char *at, size_t len, unsigned kind,
			   struct proxy_protocol *header)
{
	size_t n = kind == 0x11 ? 4 : 16;

	if (len < 2 * n + 4)
		return false;
	header->source.family = header->target.family = n == 4 ? 4 : 6;
	memcpy(header->source.b, at, n);
	memcpy(header->target.b, at + n, n);
	header->source_port = be16(at + 2 * n);
	header->target_port = be16(at + 2 * n + 2);
	return true;
}

static int read_v2(const char *bytes, size_t len, struct proxy_protocol *header)
{
	const unsigned char *at = (const unsigned char *)bytes;
	size_t rest;

	if (len < V2_LEN)
		return 0;
	rest = be16(at + 14);
	if (at[12] >> 4 != 2 || (at[12] & 15) > 1 || V2_LEN + rest > PROXY_PROTOCOL_MAX)
		return -EINVAL;
	if (len < V2_LEN + rest)
		return 0;
	if ((at[12] & 15) == 0 || (at[13] != 0x11 && at[13] != 0x21)) /* LOCAL, or no TCP */
		header->local = true;
	else if (!read_addresses(at + V2_LEN, rest, at[13], header))
		return -EINVAL;
	return (int)(V2_LEN + rest);
}

int proxy_protocol_read(const char *bytes, size_t len, struct proxy_protocol *ret_header)
{
	struct proxy_protocol header = { 0 };
	size_t v1 = len < 6 ? len : 6, v2 = len < 12 ? len : 12;
	int rc;

	if (len == 0)
		return 0;
	if (memcmp(bytes, "PROXY ", v1) == 0)
		rc = len < 6 ? 0 : read_v1(bytes, len, &header);
	else if (memcmp(bytes, v2_signature, v2) == 0)
		rc = len < 12 ? 0 : read_v2(bytes, len, &header);
	else
		rc = -EINVAL;
	if (rc <= 0)
		return rc;
	/* As one that listens for both families says it; ranges of IPv4 are to be compared with what it means. */
	address_unmap(&header.source);
	address_unmap(&header.target);
	*ret_header = header;
	return rc;
}
