/* SPDX-License-Identifier: GPL-2.0 */
/* Addresses and CIDRs as text and bytes. Pure. */
#ifndef CORE_ADDRESS_H
#define CORE_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct address {
	uint8_t family; /* 4 or 6; 0 = none */
	uint8_t b[16];  /* network order; IPv4 uses the first four, the rest is zero */
};

struct cidr {
	struct address addr; /* host bits are zero */
	uint8_t len;         /* prefix length */
};

#define ADDRESS_TEXT_LEN 46 /* longest text with NUL, as INET6_ADDRSTRLEN */
#define CIDR_TEXT_LEN    50

/*
 * Text to address. Lenient as kube-proxy: leading zeros are decimal ("172.30.0.041" is .41).
 * IPv4-mapped IPv6 text ("::ffff:1.2.3.4") is IPv4. 0 or -EINVAL.
 */
int address_parse(const char *text, struct address *ret_addr);
/* "10.0.0.0/8", also with leading zeros in the length; host bits are cleared. 0 or -EINVAL. */
int cidr_parse(const char *text, struct cidr *ret_cidr);
/* Canonical text (RFC 5952); returns buf. */
const char *address_format(const struct address *addr, char buf[ADDRESS_TEXT_LEN]);
const char *cidr_format(const struct cidr *cidr, char buf[CIDR_TEXT_LEN]);
/* Total order: family, then bytes. */
int address_cmp(const struct address *a, const struct address *b);
bool address_is_zero(const struct address *a);
/* An IPv4-mapped IPv6 address becomes the IPv4 address that it means; any other stays what it is. */
void address_unmap(struct address *addr);
bool cidr_contains(const struct cidr *cidr, const struct address *addr);
/*
 * Why an endpoint may not have this address (unspecified, loopback, link-local, multicast,
 * reserved, broadcast, and the IPv4-mapped forms of those), or NULL if it may. CVE-2021-25737.
 */
const char *address_refusal(const struct address *addr);

#endif
