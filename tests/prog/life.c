/* SPDX-License-Identifier: GPL-2.0-only */
/* How connections of a pod on this node begin. */
/* Must not know maps. */
#include "prog/life.h"

void tcp_opens(struct end client, struct end vip, struct end backend)
{
	forwards(POD_IN, TCP(family, client, vip, SYN, .seq = 100), NEW_FLOW,
		 TCP(family, client, backend, SYN, .seq = 100));
	forwards(POD_OUT, TCP(family, backend, client, SYN | ACK, .seq = 900, .ack = 101), REPLY,
		 TCP(family, vip, client, SYN | ACK, .seq = 900, .ack = 101));
	forwards(POD_IN, TCP(family, client, vip, ACK, .seq = 101, .ack = 901), FLOW,
		 TCP(family, client, backend, ACK, .seq = 101, .ack = 901));
}

void tcp_talks(struct end client, struct end vip, struct end backend)
{
	forwards(POD_IN,
		 TCP(family, client, vip, ACK | PSH, .seq = 101, .ack = 901, .payload = 333), FLOW,
		 TCP(family, client, backend, ACK | PSH, .seq = 101, .ack = 901, .payload = 333));
	forwards(POD_OUT,
		 TCP(family, backend, client, ACK, .seq = 901, .ack = 434, .payload = 1000), REPLY,
		 TCP(family, vip, client, ACK, .seq = 901, .ack = 434, .payload = 1000));
}

void udp_asks(struct end client, struct end vip, struct end backend)
{
	forwards(POD_IN, UDP(family, client, vip), NEW_FLOW, UDP(family, client, backend));
	forwards(POD_OUT, UDP(family, backend, client, .payload = 77), REPLY,
		 UDP(family, vip, client, .payload = 77));
}

void udp_opens(struct end client, struct end vip, struct end backend)
{
	udp_asks(client, vip, backend);
	forwards(POD_IN, UDP(family, client, vip), FLOW, UDP(family, client, backend));
}

bool is_now(uint64_t when_ns)
{
	uint64_t now_ns = harness_now_ns();

	return when_ns <= now_ns + 100000000 && when_ns + 5000000000u > now_ns;
}
