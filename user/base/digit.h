/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef BASE_DIGIT_H
#define BASE_DIGIT_H

/* What a character counts for; -1: it is no digit. No locale has a say. */

/* 0 to 15, in either case. */
static inline int digit_hex(unsigned char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The six bits of a character of base64 (RFC 4648, section 4). */
static inline int digit_base64(unsigned char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

#endif
