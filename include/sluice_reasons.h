/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Every outcome a packet or a socket call can have, once: name, verdict class, text, advice.
 *
 * The enum value is the key of the map sl_counters, so new reasons are appended, never inserted.
 * Class says what happened to the packet:
 *   PASS     left as it was, next program or stack
 *   FORWARD  translated and sent on
 *   REJECT   refused with an answer (ICMP port unreachable, RST, or an error from a socket call)
 *   DROP     refused silently
 */
#ifndef SLUICE_REASONS_H
#define SLUICE_REASONS_H

/* clang-format off */
/*        name                 class    text                                          advice */
#define SL_REASONS(X)                                                                                                  \
	X(NOT_SERVICE,         PASS,    "not service traffic",                            "")                          \
	X(FLOW,                FORWARD, "established flow",                               "")                          \
	X(NEW_FLOW,            FORWARD, "new flow",                                       "")                          \
	X(REPLY,               FORWARD, "reply of a flow",                                "")                          \
	X(ICMP_ERROR,          FORWARD, "ICMP error of a flow",                           "")                          \
	X(SOCKET,              FORWARD, "translated at the socket",                       "")                          \
	X(HAIRPIN,             FORWARD, "pod reaches itself through a service",           "")                          \
	X(NO_ENDPOINT,         REJECT,  "service port has no usable endpoint",                                         \
	  "see whether the pods are ready: kubectl get endpointslices -l kubernetes.io/service-name=NAME")             \
	X(UNKNOWN_PORT,        REJECT,  "address of a service, but no such port or protocol",                          \
	  "compare the port with: sluicectl services")                                                                 \
	X(UNKNOWN_TCP_FLOW,    REJECT,  "TCP packet of no known flow to a service",                                    \
	  "the flow was idle too long, or began before sluice; the client must connect again")                         \
	X(NO_LOCAL_ENDPOINT,   DROP,    "traffic policy Local and no endpoint on this node",                           \
	  "set the traffic policy to Cluster, or run a pod of the service on this node")                               \
	X(UNALLOCATED,         DROP,    "address of the service range that no service has",                            \
	  "the client uses a stale address; look its name up again")                                                   \
	X(SCTP_PORT,           DROP,    "SCTP with another target port is not translated (its CRC covers the ports)",  \
	  "give the SCTP service a targetPort equal to its port")                                                      \
	X(FRAGMENT,            DROP,    "later fragment whose first fragment was not seen",                            \
	  "lower the sender's datagram size below the path MTU")                                                       \
	X(MALFORMED,           DROP,    "packet to a service that cannot be parsed",                                   \
	  "see the headers with: tcpdump -v")                                                                          \
	X(SPOOFED_VIP,         DROP,    "packet from a pod whose source is a service address",                         \
	  "find the pod by its interface in: sluicectl drops")                                                         \
	X(ICMP_NO_FLOW,        DROP,    "ICMP to a service address about no known flow",  "")                          \
	X(FLOW_INSERT,         DROP,    "flow table did not take the new flow",                                        \
	  "raise --max-flows")                                                                                         \
	X(PORT_COLLISION,      DROP,    "no free source port for a second flow to the same endpoint",                  \
	  "the client reuses its source ports faster than they can be freed")                                          \
	X(TORN,                DROP,    "control records changed twice while one packet read them",                    \
	  "rare by design; if this number grows, report it with: sluicectl diff")                                      \
	X(NO_NODE_ADDRESS,     DROP,    "a pod reaches itself, and the node's own address is unknown",                 \
	  "set --node-ip")                                                                                             \
	X(REWRITE,             DROP,    "packet could not be changed (no memory, or headers out of reach)",            \
	  "see the node's memory")                                                                                     \
	X(SOURCE_RANGE,        DROP,    "source is not in loadBalancerSourceRanges",                                   \
	  "add the client's network to spec.loadBalancerSourceRanges")                                                 \
	X(SNAT_PORTS,          DROP,    "no free source port of the node",                                             \
	  "widen --snat-ports")                                                                                        \
	X(TTL,                 DROP,    "time to live ran out at this node",              "")                          \
	X(LEFT_TO_TC,          PASS,    "service traffic that XDP leaves to tc",          "")
/* clang-format on */

enum sl_reason {
#define SL_REASON_ENUM(name, class, text, advice) SL_REASON_##name,
	SL_REASONS(SL_REASON_ENUM)
#undef SL_REASON_ENUM
		SL_REASON_COUNT,
} __attribute__((packed));

enum sl_verdict {
	SL_VERDICT_PASS,
	SL_VERDICT_FORWARD,
	SL_VERDICT_REJECT,
	SL_VERDICT_DROP,
} __attribute__((packed));

#endif
