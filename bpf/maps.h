/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Every map, and nothing else. Sizes are set by the loader (user/dp/load.c); the numbers here are the smallest that
 * load. All objects include this file, so that they share the maps the loader made once.
 *
 * RDONLY_PROG: the verifier refuses a program that writes it. The rings cannot carry it, as the agent maps them into
 * its memory; tests/prog shows that no program writes them.
 */
#ifndef BPF_MAPS_H
#define BPF_MAPS_H

#include "sluice_abi.h"
#include <bpf/bpf_helpers.h>

#define MAP(map, map_type, key_type, value_type, entries, flags) \
	struct {                                                 \
		__uint(type, BPF_MAP_TYPE_##map_type);           \
		__type(key, key_type);                           \
		__type(value, value_type);                       \
		__uint(max_entries, entries);                    \
		__uint(map_flags, flags);                        \
	} map SEC(".maps")

#define FILTER_ENTRIES (2 * SL_FILTER_WORDS)

MAP(sl_meta, ARRAY, __u32, struct sl_meta, 1, BPF_F_RDONLY_PROG);
MAP(sl_config, ARRAY, __u32, struct sl_config, 1, BPF_F_RDONLY_PROG);
MAP(sl_counters, PERCPU_ARRAY, __u32, struct sl_counter, SL_REASON_COUNT, 0);
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 18);
} sl_events SEC(".maps");
MAP(sl_devices, HASH, __u32, struct sl_device, 1, BPF_F_RDONLY_PROG);

MAP(sl4_services, HASH, struct sl4_service_key, struct sl_slot_ref, 1, BPF_F_RDONLY_PROG);
MAP(sl4_records, ARRAY, __u32, struct sl4_service, 1, BPF_F_RDONLY_PROG);
MAP(sl4_backends, ARRAY, __u32, struct sl4_backend, 1, BPF_F_RDONLY_PROG);
MAP(sl4_rings, ARRAY, __u32, struct sl_ring_line, 1, BPF_F_MMAPABLE);
MAP(sl4_filter, ARRAY, __u32, __u64, FILTER_ENTRIES, BPF_F_RDONLY_PROG);
MAP(sl4_names, HASH, __u32, struct sl_name, 1, BPF_F_RDONLY_PROG | BPF_F_NO_PREALLOC);
MAP(sl4_flows_tcp, ARRAY, __u32, struct sl4_flow_bucket, 1, BPF_F_MMAPABLE); /* begins at a page, so slots at lines */
MAP(sl4_flows_udp, ARRAY, __u32, struct sl4_flow_bucket, 1, BPF_F_MMAPABLE);
MAP(sl4_affinity, LRU_HASH, struct sl4_affinity_key, struct sl_affinity, 1, 0);
MAP(sl4_sockets, ARRAY, __u32, struct sl4_socket_bucket, 1, BPF_F_MMAPABLE);
MAP(sl4_frags, LRU_HASH, struct sl4_frag_key, struct sl_frag, 1, 0);
MAP(sl4_svc_stats, PERCPU_ARRAY, __u32, struct sl_service_stats, 1, 0);
MAP(sl4_be_stats, PERCPU_ARRAY, __u32, struct sl_backend_stats, 1, 0);

MAP(sl6_services, HASH, struct sl6_service_key, struct sl_slot_ref, 1, BPF_F_RDONLY_PROG);
MAP(sl6_records, ARRAY, __u32, struct sl6_service, 1, BPF_F_RDONLY_PROG);
MAP(sl6_backends, ARRAY, __u32, struct sl6_backend, 1, BPF_F_RDONLY_PROG);
MAP(sl6_rings, ARRAY, __u32, struct sl_ring_line, 1, BPF_F_MMAPABLE);
MAP(sl6_filter, ARRAY, __u32, __u64, FILTER_ENTRIES, BPF_F_RDONLY_PROG);
MAP(sl6_names, HASH, __u32, struct sl_name, 1, BPF_F_RDONLY_PROG | BPF_F_NO_PREALLOC);
MAP(sl6_flows_tcp, ARRAY, __u32, struct sl6_flow_bucket, 1, BPF_F_MMAPABLE); /* begins at a page, so slots at lines */
MAP(sl6_flows_udp, ARRAY, __u32, struct sl6_flow_bucket, 1, BPF_F_MMAPABLE);
MAP(sl6_affinity, LRU_HASH, struct sl6_affinity_key, struct sl_affinity, 1, 0);
MAP(sl6_sockets, ARRAY, __u32, struct sl6_socket_bucket, 1, BPF_F_MMAPABLE);
MAP(sl6_frags, LRU_HASH, struct sl6_frag_key, struct sl_frag, 1, 0);
MAP(sl6_svc_stats, PERCPU_ARRAY, __u32, struct sl_service_stats, 1, 0);
MAP(sl6_be_stats, PERCPU_ARRAY, __u32, struct sl_backend_stats, 1, 0);

/* What the loader knows and programs need as constants. */
const volatile struct sl_consts sl_consts = {};

#endif
