/* SPDX-License-Identifier: GPL-2.0-only */
/* Beginnings that many tests share: a client's device on this node, packets through it in their order. */
#ifndef PROG_LIFE_H
#define PROG_LIFE_H

#include "prog/harness.h"

/* Handshake of a pod's connection: SYN in, SYN-ACK out, ACK in. Confirmed afterwards. */
void tcp_opens(struct end client, struct end vip, struct end backend);
/* One datagram each way: answered, not confirmed. */
void udp_asks(struct end client, struct end vip, struct end backend);
/* And one more from the client: confirmed. */
void udp_opens(struct end client, struct end vip, struct end backend);
/* Data both ways over an open connection. */
void tcp_talks(struct end client, struct end vip, struct end backend);

/* Is when (an entry's seen_ns) within the last five seconds? */
bool is_now(uint64_t when_ns);

#endif
