// SPDX-License-Identifier: GPL-2.0-only
/* Takes chunked bodies apart, strictly: hexadecimal size, CRLF, data, CRLF; extensions are bounded and dropped. */
/* Must not know heads or where the data goes. */
#include "ingress/http1.h"

#include "base/digit.h"

enum {
	SIZE,      /* digits of a size */
	EXTENSION, /* behind ';', up to CR */
	SIZE_LF,
	DATA,
	DATA_CR,
	DATA_LF,
	LAST,
};

static enum http1_fault take_digit(struct http1_chunks *c, int digit)
{
	if (c->digits == 16 || c->left >> 59)
		return HTTP1_BAD_CHUNK; /* more than 63 bits */
	c->left = c->left << 4 | (unsigned)digit;
	c->digits++;
	return HTTP1_OK;
}

/* One byte of what is not data. */
static enum http1_fault take(struct http1_chunks *c, char byte)
{
	switch (c->state) {
	case SIZE:
		if (digit_hex(byte) >= 0)
			return take_digit(c, digit_hex(byte));
		if (c->digits == 0 || (byte != ';' && byte != '\r'))
			return HTTP1_BAD_CHUNK;
		c->state = byte == ';' ? EXTENSION : SIZE_LF;
		return HTTP1_OK;
	case EXTENSION:
		if (byte == '\r') {
			c->state = SIZE_LF;
			return HTTP1_OK;
		}
		if (((unsigned char)byte < 0x20 && byte != '\t') || byte == 0x7f)
			return HTTP1_BAD_CHUNK;
		return ++c->line > HTTP1_EXTENSION_MAX || ++c->extensions > HTTP1_EXTENSIONS_MAX
			       ? HTTP1_CHUNK_LONG
			       : HTTP1_OK;
	case SIZE_LF:
		c->state = c->left ? DATA : LAST;
		return byte == '\n' ? HTTP1_OK : HTTP1_BAD_CHUNK;
	case DATA_CR:
		c->state = DATA_LF;
		return byte == '\r' ? HTTP1_OK : HTTP1_BAD_CHUNK;
	default: /* DATA_LF */
		c->state = SIZE;
		c->digits = 0;
		c->line = 0;
		return byte == '\n' ? HTTP1_OK : HTTP1_BAD_CHUNK;
	}
}

int http1_chunks_read(struct http1_chunks *c, const char *bytes, size_t len, size_t *ret_used,
		      const char **ret_data, size_t *ret_len)
{
	size_t at = 0;

	while (at < len && c->state != DATA && c->state != LAST) {
		enum http1_fault fault = take(c, bytes[at]);

		if (fault)
			return -(int)fault;
		at++;
	}
	*ret_used = at;
	if (c->state == LAST)
		return HTTP1_CHUNK_LAST;
	if (c->state != DATA || at == len)
		return HTTP1_CHUNK_MORE;
	*ret_data = bytes + at;
	*ret_len = c->left < len - at ? (size_t)c->left : len - at;
	*ret_used = at + *ret_len;
	c->left -= *ret_len;
	if (c->left == 0)
		c->state = DATA_CR;
	return HTTP1_CHUNK_DATA;
}
