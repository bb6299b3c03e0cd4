/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef INGRESS_PROXY_PROTOCOL_H
#define INGRESS_PROXY_PROTOCOL_H

/*
 * The PROXY header, versions 1 (text) and 2 (binary), that a load balancer puts before a client's bytes. Pure.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/address.h"

#define PROXY_PROTOCOL_MAX 2048 /* bytes; a longer header is refused */

struct proxy_protocol {
	bool local; /* the balancer's own connection, or an unknown kind: the addresses are those of the socket */
	struct address source, target;
	uint16_t source_port, target_port;
};

/*
 * bytes[0, len) is all there is so far. Length of the header (> 0), 0: more is needed, or -EINVAL: that is none. Extensions of
 * version 2 are passed over.
 */
int proxy_protocol_read(const char *bytes, size_t len, struct proxy_protocol *ret_header);

#endif
