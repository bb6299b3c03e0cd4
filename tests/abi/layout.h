/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The layout of ABI version 1, byte by byte: what a running data path and its pinned maps have. A row
 * that no longer holds is another layout, and that is another SL_ABI_VERSION with another pin directory.
 */
#ifndef ABI_LAYOUT_H
#define ABI_LAYOUT_H

#define LAYOUT_VERSION 1

/* clang-format off: one field a line */

/* STRUCT(name, bytes), then its FIELD(struct, field, offset, bytes) in order. */
#define LAYOUT(STRUCT, FIELD)                        \
	STRUCT(sl_slot_ref, 8)                       \
	FIELD(sl_slot_ref, slot, 0, 4)               \
	FIELD(sl_slot_ref, gen, 4, 4)                \
	STRUCT(sl_ring_line, 64)                     \
	FIELD(sl_ring_line, backend, 0, 64)          \
	STRUCT(sl_name, 196)                         \
	FIELD(sl_name, namespace, 0, 64)             \
	FIELD(sl_name, name, 64, 64)                 \
	FIELD(sl_name, port_name, 128, 64)           \
	FIELD(sl_name, port, 192, 2)                 \
	FIELD(sl_name, proto, 194, 1)                \
	FIELD(sl_name, pad, 195, 1)                  \
	STRUCT(sl_hook_counter, 16)                  \
	FIELD(sl_hook_counter, packets, 0, 8)        \
	FIELD(sl_hook_counter, bytes, 8, 8)          \
	STRUCT(sl_counter, 64)                       \
	FIELD(sl_counter, xdp, 0, 16)                \
	FIELD(sl_counter, ingress, 16, 16)           \
	FIELD(sl_counter, egress, 32, 16)            \
	FIELD(sl_counter, socket, 48, 16)            \
	STRUCT(sl_service_stats, 16)                 \
	FIELD(sl_service_stats, new_flows, 0, 8)     \
	FIELD(sl_service_stats, refused, 8, 8)       \
	STRUCT(sl_backend_stats, 40)                 \
	FIELD(sl_backend_stats, packets_to, 0, 8)    \
	FIELD(sl_backend_stats, bytes_to, 8, 8)      \
	FIELD(sl_backend_stats, packets_from, 16, 8) \
	FIELD(sl_backend_stats, bytes_from, 24, 8)   \
	FIELD(sl_backend_stats, new_flows, 32, 8)    \
	STRUCT(sl_event, 64)                         \
	FIELD(sl_event, now_ns, 0, 8)                \
	FIELD(sl_event, reason, 8, 1)                \
	FIELD(sl_event, hook, 9, 1)                  \
	FIELD(sl_event, family, 10, 1)               \
	FIELD(sl_event, proto, 11, 1)                \
	FIELD(sl_event, sport, 12, 2)                \
	FIELD(sl_event, dport, 14, 2)                \
	FIELD(sl_event, saddr, 16, 16)               \
	FIELD(sl_event, daddr, 32, 16)               \
	FIELD(sl_event, ifindex, 48, 4)              \
	FIELD(sl_event, service, 52, 4)              \
	FIELD(sl_event, len, 56, 4)                  \
	FIELD(sl_event, pad, 60, 4)                  \
	STRUCT(sl_meta, 304)                         \
	FIELD(sl_meta, abi, 0, 4)                    \
	FIELD(sl_meta, agent_pid, 4, 4)              \
	FIELD(sl_meta, started_ns, 8, 8)             \
	FIELD(sl_meta, synced_ns, 16, 8)             \
	FIELD(sl_meta, programs, 24, 8)              \
	FIELD(sl_meta, max_services, 32, 4)          \
	FIELD(sl_meta, max_backends, 36, 4)          \
	FIELD(sl_meta, max_flows, 40, 4)             \
	FIELD(sl_meta, seed, 44, 4)                  \
	FIELD(sl_meta, node_name, 48, 256)           \
	STRUCT(sl4_service_key, 8)                   \
	FIELD(sl4_service_key, vip, 0, 4)            \
	FIELD(sl4_service_key, port, 4, 2)           \
	FIELD(sl4_service_key, proto, 6, 1)          \
	FIELD(sl4_service_key, pad, 7, 1)            \
	STRUCT(sl4_service, 64)                      \
	FIELD(sl4_service, vip, 0, 4)                \
	FIELD(sl4_service, port, 4, 2)               \
	FIELD(sl4_service, proto, 6, 1)              \
	FIELD(sl4_service, kind, 7, 1)               \
	FIELD(sl4_service, gen, 8, 4)                \
	FIELD(sl4_service, service, 12, 4)           \
	FIELD(sl4_service, cluster_line, 16, 4)      \
	FIELD(sl4_service, cluster_len, 20, 4)       \
	FIELD(sl4_service, local_line, 24, 4)        \
	FIELD(sl4_service, local_len, 28, 4)         \
	FIELD(sl4_service, cluster_backends, 32, 4)  \
	FIELD(sl4_service, local_backends, 36, 4)    \
	FIELD(sl4_service, affinity_s, 40, 4)        \
	FIELD(sl4_service, flags, 44, 2)             \
	FIELD(sl4_service, algorithm, 46, 1)         \
	FIELD(sl4_service, pad, 47, 17)              \
	STRUCT(sl4_backend, 16)                      \
	FIELD(sl4_backend, addr, 0, 4)               \
	FIELD(sl4_backend, port, 4, 2)               \
	FIELD(sl4_backend, flags, 6, 2)              \
	FIELD(sl4_backend, gen, 8, 4)                \
	FIELD(sl4_backend, service, 12, 4)           \
	STRUCT(sl4_flow_key, 16)                     \
	FIELD(sl4_flow_key, saddr, 0, 4)             \
	FIELD(sl4_flow_key, daddr, 4, 4)             \
	FIELD(sl4_flow_key, sport, 8, 2)             \
	FIELD(sl4_flow_key, dport, 10, 2)            \
	FIELD(sl4_flow_key, proto, 12, 1)            \
	FIELD(sl4_flow_key, kind, 13, 1)             \
	FIELD(sl4_flow_key, pad, 14, 2)              \
	STRUCT(sl4_flow, 48)                         \
	FIELD(sl4_flow, saddr, 0, 4)                 \
	FIELD(sl4_flow, daddr, 4, 4)                 \
	FIELD(sl4_flow, sport, 8, 2)                 \
	FIELD(sl4_flow, dport, 10, 2)                \
	FIELD(sl4_flow, flags, 12, 2)                \
	FIELD(sl4_flow, state, 14, 1)                \
	FIELD(sl4_flow, twin, 15, 1)                 \
	FIELD(sl4_flow, backend, 16, 4)              \
	FIELD(sl4_flow, backend_gen, 20, 4)          \
	FIELD(sl4_flow, service, 24, 4)              \
	FIELD(sl4_flow, seen, 28, 4)                 \
	FIELD(sl4_flow, bytes, 32, 8)                \
	FIELD(sl4_flow, packets, 40, 4)              \
	FIELD(sl4_flow, untold, 44, 4)               \
	STRUCT(sl4_flow_slot, 64)                    \
	FIELD(sl4_flow_slot, key, 0, 16)             \
	FIELD(sl4_flow_slot, flow, 16, 48)           \
	STRUCT(sl4_flow_bucket, 1024)                \
	FIELD(sl4_flow_bucket, lock, 0, 4)           \
	FIELD(sl4_flow_bucket, tags, 4, 60)          \
	FIELD(sl4_flow_bucket, slots, 64, 960)       \
	STRUCT(sl4_affinity_key, 8)                  \
	FIELD(sl4_affinity_key, client, 0, 4)        \
	FIELD(sl4_affinity_key, service, 4, 4)       \
	STRUCT(sl4_socket_key, 16)                   \
	FIELD(sl4_socket_key, cookie, 0, 8)          \
	FIELD(sl4_socket_key, addr, 8, 4)            \
	FIELD(sl4_socket_key, port, 12, 2)           \
	FIELD(sl4_socket_key, proto, 14, 1)          \
	FIELD(sl4_socket_key, kind, 15, 1)           \
	STRUCT(sl4_socket, 24)                       \
	FIELD(sl4_socket, addr, 0, 4)                \
	FIELD(sl4_socket, port, 4, 2)                \
	FIELD(sl4_socket, pad, 6, 2)                 \
	FIELD(sl4_socket, service, 8, 4)             \
	FIELD(sl4_socket, backend, 12, 4)            \
	FIELD(sl4_socket, backend_gen, 16, 4)        \
	FIELD(sl4_socket, seen, 20, 4)               \
	STRUCT(sl4_socket_slot, 40)                  \
	FIELD(sl4_socket_slot, key, 0, 16)           \
	FIELD(sl4_socket_slot, socket, 16, 24)       \
	STRUCT(sl4_socket_bucket, 664)               \
	FIELD(sl4_socket_bucket, lock, 0, 4)         \
	FIELD(sl4_socket_bucket, tags, 4, 60)        \
	FIELD(sl4_socket_bucket, slots, 64, 600)     \
	STRUCT(sl4_frag_key, 16)                     \
	FIELD(sl4_frag_key, saddr, 0, 4)             \
	FIELD(sl4_frag_key, daddr, 4, 4)             \
	FIELD(sl4_frag_key, id, 8, 4)                \
	FIELD(sl4_frag_key, proto, 12, 1)            \
	FIELD(sl4_frag_key, hook, 13, 1)             \
	FIELD(sl4_frag_key, pad, 14, 2)              \
	STRUCT(sl4_cidr, 8)                          \
	FIELD(sl4_cidr, addr, 0, 4)                  \
	FIELD(sl4_cidr, mask, 4, 4)                  \
	STRUCT(sl6_service_key, 24)                  \
	FIELD(sl6_service_key, vip, 0, 16)           \
	FIELD(sl6_service_key, port, 16, 2)          \
	FIELD(sl6_service_key, proto, 18, 1)         \
	FIELD(sl6_service_key, pad, 19, 5)           \
	STRUCT(sl6_service, 64)                      \
	FIELD(sl6_service, vip, 0, 16)               \
	FIELD(sl6_service, port, 16, 2)              \
	FIELD(sl6_service, proto, 18, 1)             \
	FIELD(sl6_service, kind, 19, 1)              \
	FIELD(sl6_service, gen, 20, 4)               \
	FIELD(sl6_service, service, 24, 4)           \
	FIELD(sl6_service, cluster_line, 28, 4)      \
	FIELD(sl6_service, cluster_len, 32, 4)       \
	FIELD(sl6_service, local_line, 36, 4)        \
	FIELD(sl6_service, local_len, 40, 4)         \
	FIELD(sl6_service, cluster_backends, 44, 4)  \
	FIELD(sl6_service, local_backends, 48, 4)    \
	FIELD(sl6_service, affinity_s, 52, 4)        \
	FIELD(sl6_service, flags, 56, 2)             \
	FIELD(sl6_service, algorithm, 58, 1)         \
	FIELD(sl6_service, pad, 59, 5)               \
	STRUCT(sl6_backend, 32)                      \
	FIELD(sl6_backend, addr, 0, 16)              \
	FIELD(sl6_backend, port, 16, 2)              \
	FIELD(sl6_backend, flags, 18, 2)             \
	FIELD(sl6_backend, gen, 20, 4)               \
	FIELD(sl6_backend, service, 24, 4)           \
	FIELD(sl6_backend, pad, 28, 4)               \
	STRUCT(sl6_flow_key, 40)                     \
	FIELD(sl6_flow_key, saddr, 0, 16)            \
	FIELD(sl6_flow_key, daddr, 16, 16)           \
	FIELD(sl6_flow_key, sport, 32, 2)            \
	FIELD(sl6_flow_key, dport, 34, 2)            \
	FIELD(sl6_flow_key, proto, 36, 1)            \
	FIELD(sl6_flow_key, kind, 37, 1)             \
	FIELD(sl6_flow_key, pad, 38, 2)              \
	STRUCT(sl6_flow, 72)                         \
	FIELD(sl6_flow, saddr, 0, 16)                \
	FIELD(sl6_flow, daddr, 16, 16)               \
	FIELD(sl6_flow, sport, 32, 2)                \
	FIELD(sl6_flow, dport, 34, 2)                \
	FIELD(sl6_flow, flags, 36, 2)                \
	FIELD(sl6_flow, state, 38, 1)                \
	FIELD(sl6_flow, twin, 39, 1)                 \
	FIELD(sl6_flow, backend, 40, 4)              \
	FIELD(sl6_flow, backend_gen, 44, 4)          \
	FIELD(sl6_flow, service, 48, 4)              \
	FIELD(sl6_flow, seen, 52, 4)                 \
	FIELD(sl6_flow, bytes, 56, 8)                \
	FIELD(sl6_flow, packets, 64, 4)              \
	FIELD(sl6_flow, untold, 68, 4)               \
	STRUCT(sl6_flow_slot, 112)                   \
	FIELD(sl6_flow_slot, key, 0, 40)             \
	FIELD(sl6_flow_slot, flow, 40, 72)           \
	STRUCT(sl6_flow_bucket, 1744)                \
	FIELD(sl6_flow_bucket, lock, 0, 4)           \
	FIELD(sl6_flow_bucket, tags, 4, 60)          \
	FIELD(sl6_flow_bucket, slots, 64, 1680)      \
	STRUCT(sl6_affinity_key, 24)                 \
	FIELD(sl6_affinity_key, client, 0, 16)       \
	FIELD(sl6_affinity_key, service, 16, 4)      \
	FIELD(sl6_affinity_key, pad, 20, 4)          \
	STRUCT(sl6_socket_key, 32)                   \
	FIELD(sl6_socket_key, cookie, 0, 8)          \
	FIELD(sl6_socket_key, addr, 8, 16)           \
	FIELD(sl6_socket_key, port, 24, 2)           \
	FIELD(sl6_socket_key, proto, 26, 1)          \
	FIELD(sl6_socket_key, kind, 27, 1)           \
	FIELD(sl6_socket_key, pad, 28, 4)            \
	STRUCT(sl6_socket, 40)                       \
	FIELD(sl6_socket, addr, 0, 16)               \
	FIELD(sl6_socket, port, 16, 2)               \
	FIELD(sl6_socket, pad, 18, 2)                \
	FIELD(sl6_socket, service, 20, 4)            \
	FIELD(sl6_socket, backend, 24, 4)            \
	FIELD(sl6_socket, backend_gen, 28, 4)        \
	FIELD(sl6_socket, seen, 32, 4)               \
	FIELD(sl6_socket, pad2, 36, 4)               \
	STRUCT(sl6_socket_slot, 72)                  \
	FIELD(sl6_socket_slot, key, 0, 32)           \
	FIELD(sl6_socket_slot, socket, 32, 40)       \
	STRUCT(sl6_socket_bucket, 1144)              \
	FIELD(sl6_socket_bucket, lock, 0, 4)         \
	FIELD(sl6_socket_bucket, tags, 4, 60)        \
	FIELD(sl6_socket_bucket, slots, 64, 1080)    \
	STRUCT(sl6_frag_key, 40)                     \
	FIELD(sl6_frag_key, saddr, 0, 16)            \
	FIELD(sl6_frag_key, daddr, 16, 16)           \
	FIELD(sl6_frag_key, id, 32, 4)               \
	FIELD(sl6_frag_key, proto, 36, 1)            \
	FIELD(sl6_frag_key, hook, 37, 1)             \
	FIELD(sl6_frag_key, pad, 38, 2)              \
	STRUCT(sl6_cidr, 32)                         \
	FIELD(sl6_cidr, addr, 0, 16)                 \
	FIELD(sl6_cidr, mask, 16, 16)                \
	STRUCT(sl_affinity, 16)                      \
	FIELD(sl_affinity, backend, 0, 4)            \
	FIELD(sl_affinity, backend_gen, 4, 4)        \
	FIELD(sl_affinity, seen_ns, 8, 8)            \
	STRUCT(sl_frag, 16)                          \
	FIELD(sl_frag, sport, 0, 2)                  \
	FIELD(sl_frag, dport, 2, 2)                  \
	FIELD(sl_frag, tag, 4, 4)                    \
	FIELD(sl_frag, seen_ns, 8, 8)                \
	STRUCT(sl_config, 360)                       \
	FIELD(sl_config, host_netns, 0, 8)           \
	FIELD(sl_config, flags, 8, 4)                \
	FIELD(sl_config, snat_low, 12, 2)            \
	FIELD(sl_config, snat_high, 14, 2)           \
	FIELD(sl_config, node4, 16, 4)               \
	FIELD(sl_config, pad, 20, 4)                 \
	FIELD(sl_config, node6, 24, 16)              \
	FIELD(sl_config, cidrs4, 40, 64)             \
	FIELD(sl_config, cidrs6, 104, 256)           \
	STRUCT(sl_device, 8)                         \
	FIELD(sl_device, flags, 0, 4)                \
	FIELD(sl_device, pad, 4, 4)                  \
	STRUCT(sl_consts, 44)                        \
	FIELD(sl_consts, buckets4_tcp, 0, 4)         \
	FIELD(sl_consts, buckets4_udp, 4, 4)         \
	FIELD(sl_consts, buckets6_tcp, 8, 4)         \
	FIELD(sl_consts, buckets6_udp, 12, 4)        \
	FIELD(sl_consts, buckets4_sockets, 16, 4)    \
	FIELD(sl_consts, buckets6_sockets, 20, 4)    \
	FIELD(sl_consts, records, 24, 4)             \
	FIELD(sl_consts, backends, 28, 4)            \
	FIELD(sl_consts, lines, 32, 4)               \
	FIELD(sl_consts, seed, 36, 4)                \
	FIELD(sl_consts, coarse_clock, 40, 1)        \
	FIELD(sl_consts, set_retval, 41, 1)          \
	FIELD(sl_consts, bypass, 42, 1)              \
	FIELD(sl_consts, pad, 43, 1)

/* Numbers that lie in maps. New ones are appended. */
#define LAYOUT_VALUES(VALUE)                   \
	VALUE(SL_KIND_NONE, 0)                 \
	VALUE(SL_KIND_CLUSTER_IP, 1)           \
	VALUE(SL_KIND_EXTERNAL_IP, 2)          \
	VALUE(SL_KIND_LOAD_BALANCER, 3)        \
	VALUE(SL_KIND_NODE_PORT, 4)            \
	VALUE(SL_KIND_ADDRESS, 5)              \
	VALUE(SL_ALGORITHM_RANDOM, 0)          \
	VALUE(SL_ALGORITHM_MAGLEV, 1)          \
	VALUE(SL_ALGORITHM_LEAST_CONN, 2)      \
	VALUE(SL_FLOW_NONE, 0)                 \
	VALUE(SL_FLOW_REQUEST, 1)              \
	VALUE(SL_FLOW_REPLY, 2)                \
	VALUE(SL_FLOW_SNAT, 3)                 \
	VALUE(SL_FLOW_UNSNAT, 4)               \
	VALUE(SL_STATE_NONE, 0)                \
	VALUE(SL_STATE_NEW, 1)                 \
	VALUE(SL_STATE_REPLIED, 2)             \
	VALUE(SL_STATE_CONFIRMED, 3)           \
	VALUE(SL_STATE_HALF_CLOSED, 4)         \
	VALUE(SL_STATE_CLOSING, 5)             \
	VALUE(SL_HOOK_XDP, 0)                  \
	VALUE(SL_HOOK_INGRESS, 1)              \
	VALUE(SL_HOOK_EGRESS, 2)               \
	VALUE(SL_HOOK_SOCKET, 3)               \
	VALUE(SL_HOOK_COUNT, 4)                \
	VALUE(SL_SERVICE_INTERNAL_LOCAL, 1)    \
	VALUE(SL_SERVICE_EXTERNAL_LOCAL, 2)    \
	VALUE(SL_SERVICE_ANY_ENDPOINT, 4)      \
	VALUE(SL_SERVICE_SCTP_PORT, 8)         \
	VALUE(SL_SERVICE_SOURCE_RANGES, 16)    \
	VALUE(SL_BACKEND_IN_CLUSTER, 1)        \
	VALUE(SL_BACKEND_IN_LOCAL, 2)          \
	VALUE(SL_BACKEND_SERVING, 4)           \
	VALUE(SL_BACKEND_LOCAL, 8)             \
	VALUE(SL_BACKEND_TERMINATING, 16)      \
	VALUE(SL_FLOW_LOCAL_LIST, 1)           \
	VALUE(SL_FLOW_FIN_REQUEST, 2)          \
	VALUE(SL_FLOW_FIN_REPLY, 4)            \
	VALUE(SL_FLOW_HAIRPIN, 8)              \
	VALUE(SL_FLOW_PORT, 16)                \
	VALUE(SL_FLOW_SNAT_BOTH, 32)           \
	VALUE(SL_FLOW_COUNTED, 64)             \
	VALUE(SL_FLOW_CONFIRMED, 128)          \
	VALUE(SL_FLOW_BYPASS, 256)             \
	VALUE(SL_CONFIG_SOCKET_PODS, 1)        \
	VALUE(SL_CONFIG_EVENTS, 2)             \
	VALUE(SL_REASON_NOT_SERVICE, 0)        \
	VALUE(SL_REASON_FLOW, 1)               \
	VALUE(SL_REASON_NEW_FLOW, 2)           \
	VALUE(SL_REASON_REPLY, 3)              \
	VALUE(SL_REASON_ICMP_ERROR, 4)         \
	VALUE(SL_REASON_SOCKET, 5)             \
	VALUE(SL_REASON_HAIRPIN, 6)            \
	VALUE(SL_REASON_NO_ENDPOINT, 7)        \
	VALUE(SL_REASON_UNKNOWN_PORT, 8)       \
	VALUE(SL_REASON_UNKNOWN_TCP_FLOW, 9)   \
	VALUE(SL_REASON_NO_LOCAL_ENDPOINT, 10) \
	VALUE(SL_REASON_UNALLOCATED, 11)       \
	VALUE(SL_REASON_SCTP_PORT, 12)         \
	VALUE(SL_REASON_FRAGMENT, 13)          \
	VALUE(SL_REASON_MALFORMED, 14)         \
	VALUE(SL_REASON_SPOOFED_VIP, 15)       \
	VALUE(SL_REASON_ICMP_NO_FLOW, 16)      \
	VALUE(SL_REASON_FLOW_INSERT, 17)       \
	VALUE(SL_REASON_PORT_COLLISION, 18)    \
	VALUE(SL_REASON_TORN, 19)              \
	VALUE(SL_REASON_NO_NODE_ADDRESS, 20)   \
	VALUE(SL_REASON_REWRITE, 21)           \
	VALUE(SL_REASON_SOURCE_RANGE, 22)      \
	VALUE(SL_REASON_SNAT_PORTS, 23)        \
	VALUE(SL_REASON_TTL, 24)               \
	VALUE(SL_REASON_LEFT_TO_TC, 25)        \
	VALUE(SL_RING_LINE_IDS, 16)            \
	VALUE(SL_CIDRS, 8)                     \
	VALUE(SL_FILTER_BITS, 20)              \
	VALUE(SL_BUCKET_SLOTS, 15)             \
	VALUE(SL_BUCKET_KEEP, 13)              \
	VALUE(SL_NAMESPACE_LEN, 64)            \
	VALUE(SL_NAME_LEN, 64)                 \
	VALUE(SL_PORT_NAME_LEN, 64)            \
	VALUE(SL_NODE_NAME_LEN, 256)           \
	VALUE(SL_TICK_SHIFT, 24)

/* clang-format on */

#endif
