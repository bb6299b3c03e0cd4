/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Words for people: endpoints, ages, amounts, and the names of everything the ABI numbers. Pure.
 *
 * Functions that take a buffer return it, so that they can stand in an argument list. Names are never NULL: a value that is
 * not known is "?".
 */
#ifndef CORE_FORMAT_H
#define CORE_FORMAT_H

#include <stddef.h>
#include <stdint.h>

#include "core/address.h"
#include "sluice_abi.h"

#define FORMAT_ENDPOINT_LEN (ADDRESS_TEXT_LEN + 8) /* brackets, colon, five digits, NUL */
#define FORMAT_SHORT_LEN    24
#define FORMAT_FLAGS_LEN    96

/* "10.0.0.1:80", "[fd00::1]:80"; port 0 is left out, with the brackets. */
const char *format_endpoint(const struct address *addr, uint16_t port,
			    char buf[FORMAT_ENDPOINT_LEN]);

/*
 * "10.0.0.1", "10.0.0.1:80", "fd00::1", "[fd00::1]", "[fd00::1]:80". *ret_port is 0 where the text has none. 0, or -EINVAL with
 * both untouched.
 */
int format_parse_endpoint(const char *text, struct address *ret_addr, uint16_t *ret_port);

/* "tcp", "UDP", "sctp", "icmp", or a number to 255. 0 or -EINVAL. */
int format_parse_proto(const char *text, uint8_t *ret_proto);

/* "850ms", "12s", "3m20s", "2h5m", "4d3h", as kubectl does. */
const char *format_age(uint64_t ns, char buf[FORMAT_SHORT_LEN]);

/* "512", "1.5Ki", "12Mi": powers of 1024, at most three digits of value. */
const char *format_bytes(uint64_t bytes, char buf[FORMAT_SHORT_LEN]);

/* "TCP"; protocols without a name as "proto-47" need the buffer. */
const char *format_proto(uint8_t proto, char buf[FORMAT_SHORT_LEN]);

const char *format_flow_kind(enum sl_flow_kind kind);    /* "request", "reply", "snat", "unsnat" */
const char *format_flow_state(enum sl_flow_state state); /* "new", … "closing" */
const char *format_hook(enum sl_hook hook);              /* "xdp", "ingress", "egress", "socket" */
const char *format_verdict(enum sl_verdict verdict);     /* "pass", "forward", "reject", "drop" */

const char *format_reason_name(enum sl_reason reason); /* "NO_ENDPOINT" */
const char *format_reason_text(enum sl_reason reason);
const char *format_reason_advice(enum sl_reason reason); /* "" where nothing is to be done */
enum sl_verdict format_reason_verdict(enum sl_reason reason);

/* SL_BACKEND_ flags: "cluster,local,serving,here"; "-" for none. */
const char *format_backend_flags(uint16_t flags, char buf[FORMAT_FLAGS_LEN]);
/* SL_FLOW_ flags: "local-list,fin-request,hairpin"; "-" for none. */
const char *format_flow_flags(uint16_t flags, char buf[FORMAT_FLAGS_LEN]);

#endif
