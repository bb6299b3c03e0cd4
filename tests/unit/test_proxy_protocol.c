// SPDX-License-Identifier: GPL-2.0-only
// The PROXY header, both versions: what is taken, what is not, and the same at every cut.
/* link: user/ingress/proxy_protocol.c user/core/address.c */
#include "unit/test.h"

#include <errno.h>
#include <string.h>

#include "ingress/proxy_protocol.h"

static void expect(const char *bytes, size_t len, const char *source, unsigned source_port,
		   unsigned target_port)
{
	struct proxy_protocol header;
	char text[ADDRESS_TEXT_LEN];

	for (size_t n = 0; n < len; n++)
		assert_int_equal(proxy_protocol_read(bytes, n, &header), 0);
	assert_int_equal(proxy_protocol_read(bytes, len, &header), len);
	assert_int_equal(header.local, source == NULL);
	if (!source)
		return;
	assert_string_equal(address_format(&header.source, text), source);
	assert_int_equal(header.source_port, source_port);
	assert_int_equal(header.target_port, target_port);
}

static void refuse(const char *bytes, size_t len)
{
	struct proxy_protocol header;

	assert_int_equal(proxy_protocol_read(bytes, len, &header), -EINVAL);
}

#define EXPECT(text, ...) expect(text, sizeof(text) - 1, __VA_ARGS__)
#define REFUSE(text)      refuse(text, sizeof(text) - 1)
#define SIGNATURE         "\r\n\r\n\0\r\nQUIT\n"

TEST(version_1)
{
	EXPECT("PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n", "192.0.2.1", 56324, 443);
	EXPECT("PROXY TCP6 2001:db8::1 2001:db8::2 1 65535\r\n", "2001:db8::1", 1, 65535);
	EXPECT("PROXY UNKNOWN\r\n", NULL, 0, 0);
	EXPECT("PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n", NULL, 0, 0);
}

TEST(version_1_is_strict)
{
	REFUSE("GET / HTTP/1.1\r\n");
	REFUSE("PROXX");
	REFUSE("PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\n");
	REFUSE("PROXY TCP4 192.0.2.1 198.51.100.2 56324\r\n");
	REFUSE("PROXY TCP4 192.0.2.1 198.51.100.2 56324 443 1\r\n");
	REFUSE("PROXY TCP4 192.0.2.1 198.51.100.2 56324 443 \r\n");
	REFUSE("PROXY TCP4 192.0.2.1 198.51.100.2 56324 65536\r\n");
	REFUSE("PROXY TCP4 192.0.2.1 198.51.100.2 056 443\r\n");
	REFUSE("PROXY TCP4 192.0.2.1  198.51.100.2 56324 443\r\n");
	REFUSE("PROXY TCP4 2001:db8::1 2001:db8::2 1 2\r\n");
	REFUSE("PROXY TCP6 192.0.2.1 198.51.100.2 1 2\r\n");
	REFUSE("PROXY TCP4 192.0.2 198.51.100.2 1 2\r\n");
	REFUSE("PROXY UDP4 192.0.2.1 198.51.100.2 1 2\r\n");
	REFUSE("PROXY TCP4 192.0.2.1\0 198.51.100.2 1 2\r\n");
	REFUSE("PROXY \r\n");
	REFUSE("PROXY UNKNOWN xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
	       "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx");
}

TEST(version_2)
{
	EXPECT(SIGNATURE "\x21\x11\0\x0c\xc0\0\2\1\xc6\x33\x64\2\xdc\4\1\xbb", "192.0.2.1", 56324,
	       443);
	EXPECT(SIGNATURE
	       "\x21\x21\0\x24\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1\x20\1\x0d\xb8\0\0\0\0\0\0\0\0"
	       "\0\0\0\2\0\1\xff\xff",
	       "2001:db8::1", 1, 65535);
	/* Extensions are passed over. */
	EXPECT(SIGNATURE "\x21\x11\0\x10\xc0\0\2\1\xc6\x33\x64\2\xdc\4\1\xbb\4\0\1x", "192.0.2.1",
	       56324, 443);
	/* A health check of the balancer's own; a kind without addresses. */
	EXPECT(SIGNATURE "\x20\0\0\0", NULL, 0, 0);
	EXPECT(SIGNATURE "\x20\x11\0\x0c\xc0\0\2\1\xc6\x33\x64\2\xdc\4\1\xbb", NULL, 0, 0);
	EXPECT(SIGNATURE "\x21\x31\0\4abcd", NULL, 0, 0);
}

TEST(version_2_is_strict)
{
	REFUSE(SIGNATURE "\x11\x11\0\x0c\xc0\0\2\1\xc6\x33\x64\2\xdc\4\1\xbb");
	REFUSE(SIGNATURE "\x22\x11\0\x0c\xc0\0\2\1\xc6\x33\x64\2\xdc\4\1\xbb");
	REFUSE(SIGNATURE "\x21\x11\0\x0b\xc0\0\2\1\xc6\x33\x64\2\xdc\4\1");
	REFUSE(SIGNATURE "\x21\x11\xff\xff");
	REFUSE("\r\n\r\n\0\r\nQUIX");
}

RUN(cmocka_unit_test(version_1), cmocka_unit_test(version_1_is_strict), cmocka_unit_test(version_2),
    cmocka_unit_test(version_2_is_strict))
