/* SPDX-License-Identifier: GPL-2.0 */
/* How long flow entries live. Pure. */
/* Must not know the kernel: no map is opened here. */
#include <netinet/in.h>

#include "base/clock.h"
#include "dp/flows.h"

uint64_t dp_flow_idle_ns(uint8_t proto, enum sl_flow_state state)
{
	uint64_t idle_s;

	if (proto == IPPROTO_TCP)
		idle_s = state == SL_STATE_CONFIRMED     ? SL_IDLE_TCP_S
			 : state == SL_STATE_HALF_CLOSED ? SL_IDLE_TCP_HALF_S
			 : state == SL_STATE_CLOSING     ? SL_IDLE_TCP_CLOSING_S
							 : SL_IDLE_TCP_NEW_S;
	else if (state != SL_STATE_CONFIRMED)
		idle_s = SL_IDLE_UDP_NEW_S;
	else
		idle_s = proto == IPPROTO_SCTP ? SL_IDLE_SCTP_S : SL_IDLE_UDP_S;
	return idle_s * CLOCK_NS_PER_S;
}

uint64_t dp_flow_quiet_ns(uint32_t seen, uint64_t now_ns)
{
	uint32_t quiet = sl_quiet(sl_tick(now_ns), seen);

	return quiet < SL_TICK_AHEAD ? 0 : (uint64_t)(quiet - SL_TICK_AHEAD) << SL_TICK_SHIFT;
}
