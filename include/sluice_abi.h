/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The contract between the BPF programs, the agent and the tools: keys, values, limits, map names.
 *
 * Rules (tests/abi holds them):
 * - addresses are byte arrays in network order, so that a plain `bpftool map dump` reads [10,96,0,10];
 * - ports, lengths and ids are in host order;
 * - there are no holes: padding is explicit and zero, so keys and values compare with memcmp;
 * - units stand last in a name: _ns, _s;
 * - sl4_ is IPv4, sl6_ is IPv6: the same fields in maps of their own;
 * - a changed layout is a new SL_ABI_VERSION, and so another pin directory.
 *
 * Who writes: "agent" maps are written by sluiced alone (BPF_F_RDONLY_PROG where the kernel allows it),
 * "program" maps by the BPF programs; there the agent may only delete.
 */
#ifndef SLUICE_ABI_H
#define SLUICE_ABI_H

#ifdef __bpf__
#include "vmlinux.h"
#else
#include <linux/types.h>
#endif

#include "sluice_reasons.h"

#define SL_ABI_VERSION 1

/* Pins: <bpffs>/sluice/v<SL_ABI_VERSION>/{maps,progs,links}/ , mode 0700. */
#define SL_PIN_DIR "sluice"

#define SL_ALIGNED(n) __attribute__((aligned(n)))

/* A lock that programs hold while they change what lies beside it. To the other side it is a number. */
#ifdef __bpf__
#define SL_LOCK struct bpf_spin_lock
#else
#define SL_LOCK __u32
#endif

/* ---- limits ---------------------------------------------------------------------------------------------------- */

#define SL_RING_LINE_IDS 16 /* backend ids in one ring line: one cache line */
#define SL_CIDRS         8  /* service CIDRs a family */
#define SL_FILTER_BITS   20 /* address filter: 2^20 bits a kind, 128 KiB */
#define SL_FILTER_WORDS  (1u << (SL_FILTER_BITS - 6))
#define SL_BUCKET_SLOTS  15 /* entries in one bucket of flows or sockets; its lock and their tags are one cache line */
#define SL_BUCKET_KEEP   13 /* so many at most are kept for established flows: the others can always be had */
#define SL_NAMESPACE_LEN 64 /* 63 characters (RFC 1123 label) and NUL */
#define SL_NAME_LEN      64
#define SL_PORT_NAME_LEN 64
#define SL_NODE_NAME_LEN 256 /* 253 characters (RFC 1123 subdomain) and NUL */

/* ---- idle times of flows (seconds); an entry whose time is over counts as absent, wherever it is met ------------- */

#define SL_IDLE_TCP_NEW_S     60    /* handshake not finished */
#define SL_IDLE_TCP_S         86400 /* as kube-proxy sets nf_conntrack_tcp_timeout_established */
#define SL_IDLE_TCP_HALF_S    3600  /* one FIN seen; as kube-proxy sets ..._close_wait */
#define SL_IDLE_TCP_CLOSING_S 30    /* both FINs, or RST */
#define SL_IDLE_UDP_NEW_S     30    /* no second packet after a reply */
#define SL_IDLE_UDP_S         120
#define SL_IDLE_SCTP_S        210
#define SL_IDLE_FRAG_S        30         /* RFC 791 reassembly: 15 s; RFC 8200: 60 s; Linux: 30 s */
#define SL_TICK_SHIFT         24         /* flows count time in ticks of 2^24 ns, 16.8 ms (modulo 2^32: 2.3 years) */
#define SL_TICK_AHEAD         (1u << 18) /* 73 minutes: another CPU's clock may be ahead; what looks newer than that is old */
#define SL_TWIN_SHIFT         9 /* 2^9 ticks, 8.6 s: the clock by which the other direction's entry is touched */
#define SL_TWIN_REFRESH       3 /* that clock has moved on so often: every 17 to 26 s */

/*
 * A flow's packets go into its backend's counters at once while they are few, later SL_TELL_PACKETS at a time: with many flows
 * the counter's cache line is a miss of its own. What begins or ends a flow tells everything.
 */
#define SL_TELL_AT_ONCE 32 /* first packets of each direction */
#define SL_TELL_PACKETS 16
#define SL_UNTOLD_SHIFT 4 /* sl4_flow.untold is bytes << 4 | packets */

/* ---- enumerations (one byte; they print by name in bpftool) ------------------------------------------------------- */

/* Where a service record comes from, which decides the policy that holds for it. */
enum sl_kind {
	SL_KIND_NONE,
	SL_KIND_CLUSTER_IP,
	SL_KIND_EXTERNAL_IP,
	SL_KIND_LOAD_BALANCER,
	SL_KIND_NODE_PORT, /* keyed with address 0 */
	SL_KIND_ADDRESS,   /* keyed with port 0, protocol 0: the address is a cluster IP, all its other ports reject */
} __attribute__((packed));

/* How a backend is chosen for a new flow. */
enum sl_algorithm {
	SL_ALGORITHM_RANDOM,
	SL_ALGORITHM_MAGLEV,     /* the ring is a Maglev table indexed by the hash of the tuple */
	SL_ALGORITHM_LEAST_CONN, /* the less loaded of two random ones */
} __attribute__((packed));

/*
 * Which translation an entry holds. Ingress programs write destinations, egress programs write sources
 * (the stack drops packets whose source is one of the node's own addresses).
 */
enum sl_flow_kind {
	SL_FLOW_NONE,
	SL_FLOW_REQUEST, /* ingress: client → VIP becomes client → backend */
	SL_FLOW_REPLY,   /* egress at the client's device: backend → client becomes VIP → client */
	SL_FLOW_SNAT,    /* egress: client → backend becomes node → backend */
	SL_FLOW_UNSNAT,  /* ingress: backend → node becomes backend → client */
} __attribute__((packed));

enum sl_flow_state {
	SL_STATE_NONE,
	SL_STATE_NEW,         /* only the client was heard */
	SL_STATE_REPLIED,     /* the backend answered (TCP: SYN-ACK) */
	SL_STATE_CONFIRMED,   /* the client answered that: a real peer, not a flood */
	SL_STATE_HALF_CLOSED, /* TCP: one FIN */
	SL_STATE_CLOSING,     /* TCP: both FINs, or RST */
} __attribute__((packed));

enum sl_hook {
	SL_HOOK_XDP,
	SL_HOOK_INGRESS,
	SL_HOOK_EGRESS,
	SL_HOOK_SOCKET,
	SL_HOOK_COUNT,
} __attribute__((packed));

/* flags of a service record */
enum {
	SL_SERVICE_INTERNAL_LOCAL = 1 << 0, /* internalTrafficPolicy: Local */
	SL_SERVICE_EXTERNAL_LOCAL = 1 << 1, /* externalTrafficPolicy: Local */
	SL_SERVICE_ANY_ENDPOINT = 1 << 2,   /* a usable endpoint exists somewhere: an empty local list drops */
	SL_SERVICE_SCTP_PORT = 1 << 3,      /* SCTP and port != targetPort: refused by name */
	SL_SERVICE_SOURCE_RANGES = 1 << 4,  /* filtered by sl4_ranges */
};

/* flags of a backend */
enum {
	SL_BACKEND_IN_CLUSTER = 1 << 0, /* in the cluster list: new flows may take it */
	SL_BACKEND_IN_LOCAL = 1 << 1,   /* in the local list */
	SL_BACKEND_SERVING = 1 << 2,    /* keeps its running UDP flows (ready, or terminating and serving) */
	SL_BACKEND_LOCAL = 1 << 3,      /* runs on this node */
	SL_BACKEND_TERMINATING = 1 << 4,
};

/* flags of a flow entry */
enum {
	SL_FLOW_LOCAL_LIST = 1 << 0, /* chosen from the local list */
	SL_FLOW_FIN_REQUEST = 1 << 1,
	SL_FLOW_FIN_REPLY = 1 << 2,
	SL_FLOW_HAIRPIN = 1 << 3,   /* client and backend are one: four entries, source is the node's address */
	SL_FLOW_PORT = 1 << 4,      /* the client's source port was changed: two VIPs, one client tuple, one backend */
	SL_FLOW_SNAT_BOTH = 1 << 5, /* source becomes the node's address */
	SL_FLOW_COUNTED = 1 << 6,   /* counted in the backend's open flows */
	SL_FLOW_CONFIRMED = 1 << 7, /* was confirmed once: what became of it since is its state */
	SL_FLOW_BYPASS = 1 << 8,    /* from pod to pod past the node's stack, both ways (--forwarding fast) */
};

/* flags of the configuration */
enum {
	SL_CONFIG_SOCKET_PODS = 1 << 0, /* connect() in pods is translated too (--socket-lb on) */
	SL_CONFIG_EVENTS = 1 << 1,      /* refusals are written to sl_events */
};

/* ---- shared by both families ------------------------------------------------------------------------------------- */

/* Value of sl4_services: which record is in force. One aligned u64, so it is read and replaced whole. */
struct sl_slot_ref {
	__u32 slot; /* index into sl4_records */
	__u32 gen;  /* must equal the record's */
} SL_ALIGNED(8);

/* sl4_rings: backend ids, a cache line at a time. A list starts at a line and fills it before the next. */
struct sl_ring_line {
	__u32 backend[SL_RING_LINE_IDS];
};

/* sl4_names: who a service id belongs to, for people and for a restarted agent. NUL-terminated. */
struct sl_name {
	char namespace[SL_NAMESPACE_LEN];
	char name[SL_NAME_LEN];
	char port_name[SL_PORT_NAME_LEN]; /* empty for an unnamed port */
	__u16 port;
	__u8 proto; /* IPPROTO_ */
	__u8 pad;
};

struct sl_hook_counter {
	__u64 packets;
	__u64 bytes;
};

/* sl_counters: by reason, a pair for each hook. */
struct sl_counter {
	struct sl_hook_counter xdp;
	struct sl_hook_counter ingress;
	struct sl_hook_counter egress;
	struct sl_hook_counter socket; /* calls; bytes stay 0 */
};

/* sl4_svc_stats, by service id. Traffic of a service is the sum over its backends. */
struct sl_service_stats {
	__u64 new_flows;
	__u64 refused;
};

/*
 * sl4_be_stats, by backend id. Zeroed by the agent when the id gets a new owner. Fewer than SL_TELL_PACKETS packets of each
 * direction of each long flow are not in it yet.
 */
struct sl_backend_stats {
	__u64 packets_to;
	__u64 bytes_to;
	__u64 packets_from;
	__u64 bytes_from;
	__u64 new_flows;
};

/* sl_events: one refusal. IPv4 addresses fill the first four bytes. */
struct sl_event {
	__u64 now_ns; /* CLOCK_MONOTONIC */
	enum sl_reason reason;
	enum sl_hook hook;
	__u8 family; /* 4 or 6 */
	__u8 proto;
	__u16 sport;
	__u16 dport;
	__u8 saddr[16];
	__u8 daddr[16];
	__u32 ifindex; /* 0 for socket calls */
	__u32 service; /* service id, 0 if none */
	__u32 len;
	__u32 pad;
};

/* sl_meta, one element: what a tool needs to know when no agent runs. */
struct sl_meta {
	__u32 abi;        /* SL_ABI_VERSION */
	__u32 agent_pid;  /* 0 after a clean stop */
	__u64 started_ns; /* CLOCK_MONOTONIC */
	__u64 synced_ns;  /* last time the maps were made equal to the source */
	__u64 programs;   /* hash over the loaded objects and their constants: equal means nothing to reload */
	__u32 max_services;
	__u32 max_backends;
	__u32 max_flows;
	__u32 seed; /* sl_consts.seed: where flows lie depends on it */
	char node_name[SL_NODE_NAME_LEN];
};

/* ---- IPv4 -------------------------------------------------------------------------------------------------------- */

struct sl4_service_key {
	__u8 vip[4] SL_ALIGNED(4);
	__u16 port;
	__u8 proto; /* IPPROTO_TCP, _UDP, _SCTP */
	__u8 pad;
};

/* sl4_records: immutable while published; a change is a new slot. */
struct sl4_service {
	__u8 vip[4] SL_ALIGNED(4); /* vip, port, proto, gen repeat the key: readers check them after copying */
	__u16 port;
	__u8 proto;
	enum sl_kind kind;
	__u32 gen;
	__u32 service;      /* id of the service port, from 1; key of sl4_names, sl4_svc_stats, affinity */
	__u32 cluster_line; /* first line of the cluster list in sl4_rings */
	__u32 cluster_len;  /* ids in it (Maglev: table size); 0 = empty */
	__u32 local_line;
	__u32 local_len;
	__u32 cluster_backends; /* distinct backends in the list */
	__u32 local_backends;
	__u32 affinity_s; /* session affinity by client address; 0 = none */
	__u16 flags;      /* SL_SERVICE_ */
	enum sl_algorithm algorithm;
	__u8 pad[17];
};

/* sl4_backends, by backend id: one endpoint of one service port. Id 0 is never used. */
struct sl4_backend {
	__u8 addr[4] SL_ALIGNED(4);
	__u16 port;
	__u16 flags;   /* SL_BACKEND_; 0 = not in use */
	__u32 gen;     /* of this id: a flow with another generation means a former owner */
	__u32 service; /* id of the service port */
};

struct sl4_flow_key {
	__u8 saddr[4] SL_ALIGNED(8); /* as the packet has them where the entry is looked up */
	__u8 daddr[4];
	__u16 sport;
	__u16 dport;
	__u8 proto;
	enum sl_flow_kind kind;
	__u8 pad[2];
};

/*
 * One direction of one flow, self-sufficient. The addresses are the packet's after translation, so the entry of the
 * other direction is this one turned round: its key is this value's tuple reversed, its value's tuple is this key
 * reversed.
 */
struct sl4_flow {
	__u8 saddr[4] SL_ALIGNED(8);
	__u8 daddr[4];
	__u16 sport;
	__u16 dport;
	__u16 flags; /* SL_FLOW_ */
	enum sl_flow_state state;
	__u8 twin;     /* when the other direction's entry was last touched from here: seen >> SL_TWIN_SHIFT */
	__u32 backend; /* id */
	__u32 backend_gen;
	__u32 service; /* id of the service port */
	__u32 seen;    /* last packet of this direction, sl_tick(CLOCK_MONOTONIC) */
	__u64 bytes;   /* of whole frames */
	__u32 packets; /* modulo 2^32 */
	__u32 untold;  /* what is not in sl4_be_stats yet: bytes << SL_UNTOLD_SHIFT | packets */
};

/* With its key one cache line. */
struct sl4_flow_slot {
	struct sl4_flow_key key;
	struct sl4_flow flow;
};

/*
 * sl4_flows_tcp, sl4_flows_udp: arrays of buckets. The hash of a key names its bucket, its tag, and the slot where it is
 * looked for first. Who changes tags or keys holds the lock; readers do not: they believe what they copied if the tag is
 * still the same afterwards (it is 0 while a slot is written).
 */
struct sl4_flow_bucket {
	SL_LOCK lock;
	__u32 tags[SL_BUCKET_SLOTS]; /* 0: free. SL_TAG_KEEP: of an established flow, new ones do not take it */
	struct sl4_flow_slot slots[SL_BUCKET_SLOTS];
};

struct sl4_affinity_key {
	__u8 client[4] SL_ALIGNED(4); /* 0.0.0.0: processes of the node itself */
	__u32 service;
};

/* sl4_sockets: what a socket call was told. REQUEST: VIP → backend (UDP), REPLY: backend → VIP. */
struct sl4_socket_key {
	__u64 cookie; /* bpf_get_socket_cookie() */
	__u8 addr[4] SL_ALIGNED(4);
	__u16 port;
	__u8 proto;
	enum sl_flow_kind kind;
};

struct sl4_socket {
	__u8 addr[4] SL_ALIGNED(4);
	__u16 port;
	__u8 pad[2];
	__u32 service;
	__u32 backend;
	__u32 backend_gen;
	__u32 seen; /* sl_tick: of the last call or answer that needed it */
};

struct sl4_socket_slot {
	struct sl4_socket_key key;
	struct sl4_socket socket;
};

/* As sl4_flow_bucket; none is kept: the oldest goes where all slots are taken. */
struct sl4_socket_bucket {
	SL_LOCK lock;
	__u32 tags[SL_BUCKET_SLOTS];
	struct sl4_socket_slot slots[SL_BUCKET_SLOTS];
};

/* sl4_frags: ports of a fragmented datagram, by the first fragment. */
struct sl4_frag_key {
	__u8 saddr[4] SL_ALIGNED(4);
	__u8 daddr[4];
	__u32 id;
	__u8 proto;
	enum sl_hook hook;
	__u8 pad[2];
};

struct sl4_cidr {
	__u8 addr[4] SL_ALIGNED(4);
	__u8 mask[4];
};

/* ---- IPv6: the same fields ---------------------------------------------------------------------------------------- */

struct sl6_service_key {
	__u8 vip[16] SL_ALIGNED(8);
	__u16 port;
	__u8 proto;
	__u8 pad[5];
};

struct sl6_service {
	__u8 vip[16] SL_ALIGNED(8);
	__u16 port;
	__u8 proto;
	enum sl_kind kind;
	__u32 gen;
	__u32 service;
	__u32 cluster_line;
	__u32 cluster_len;
	__u32 local_line;
	__u32 local_len;
	__u32 cluster_backends;
	__u32 local_backends;
	__u32 affinity_s;
	__u16 flags;
	enum sl_algorithm algorithm;
	__u8 pad[5];
};

struct sl6_backend {
	__u8 addr[16] SL_ALIGNED(8);
	__u16 port;
	__u16 flags;
	__u32 gen;
	__u32 service;
	__u32 pad;
};

struct sl6_flow_key {
	__u8 saddr[16] SL_ALIGNED(8);
	__u8 daddr[16];
	__u16 sport;
	__u16 dport;
	__u8 proto;
	enum sl_flow_kind kind;
	__u8 pad[2];
};

struct sl6_flow {
	__u8 saddr[16] SL_ALIGNED(8);
	__u8 daddr[16];
	__u16 sport;
	__u16 dport;
	__u16 flags;
	enum sl_flow_state state;
	__u8 twin;
	__u32 backend;
	__u32 backend_gen;
	__u32 service;
	__u32 seen;
	__u64 bytes;
	__u32 packets;
	__u32 untold;
};

struct sl6_flow_slot {
	struct sl6_flow_key key;
	struct sl6_flow flow;
};

struct sl6_flow_bucket {
	SL_LOCK lock;
	__u32 tags[SL_BUCKET_SLOTS];
	struct sl6_flow_slot slots[SL_BUCKET_SLOTS];
};

struct sl6_affinity_key {
	__u8 client[16] SL_ALIGNED(8);
	__u32 service;
	__u32 pad;
};

struct sl6_socket_key {
	__u64 cookie;
	__u8 addr[16] SL_ALIGNED(8);
	__u16 port;
	__u8 proto;
	enum sl_flow_kind kind;
	__u8 pad[4];
};

struct sl6_socket {
	__u8 addr[16] SL_ALIGNED(8);
	__u16 port;
	__u8 pad[2];
	__u32 service;
	__u32 backend;
	__u32 backend_gen;
	__u32 seen;
	__u32 pad2;
};

struct sl6_socket_slot {
	struct sl6_socket_key key;
	struct sl6_socket socket;
};

struct sl6_socket_bucket {
	SL_LOCK lock;
	__u32 tags[SL_BUCKET_SLOTS];
	struct sl6_socket_slot slots[SL_BUCKET_SLOTS];
};

struct sl6_frag_key {
	__u8 saddr[16] SL_ALIGNED(8);
	__u8 daddr[16];
	__u32 id;
	__u8 proto;
	enum sl_hook hook;
	__u8 pad[2];
};

struct sl6_cidr {
	__u8 addr[16] SL_ALIGNED(8);
	__u8 mask[16];
};

/* ---- values that both families share ------------------------------------------------------------------------------ */

/* Value of sl4_affinity and sl6_affinity. Refreshed by new flows only. */
struct sl_affinity {
	__u32 backend;
	__u32 backend_gen;
	__u64 seen_ns;
};

/* Value of sl4_frags and sl6_frags. */
struct sl_frag {
	__u16 sport;
	__u16 dport;
	__u32 tag; /* low bits of the datagram's id and protocol: elements are recycled under readers */
	__u64 seen_ns;
};

/*
 * sl_config, one element: what changes while programs run. A CIDR slot with mask 0 in its first byte is off; the agent
 * switches a slot off, waits for readers, writes it and switches it on, so none is ever read half-written.
 */
struct sl_config {
	__u64 host_netns; /* netns cookie of the node's own namespace (SO_NETNS_COOKIE); 0 = the initial one */
	__u32 flags;      /* SL_CONFIG_ */
	__u16 snat_low;   /* source ports for SNAT, inclusive */
	__u16 snat_high;
	__u8 node4[4] SL_ALIGNED(4); /* the node's own addresses; all zero = none */
	__u32 pad;
	__u8 node6[16] SL_ALIGNED(8);
	struct sl4_cidr cidrs4[SL_CIDRS]; /* service CIDRs */
	struct sl6_cidr cidrs6[SL_CIDRS];
};

/*
 * Value of sl_devices, keyed by interface index: the host side of a pod's device, with programs on both hooks and its other end in
 * another network namespace, so that packets may be handed to the pod directly.
 */
struct sl_device {
	__u32 flags; /* none yet */
	__u32 pad;
};

/*
 * What the loader tells programs before they are loaded (`sl_consts` in .rodata of every object): sizes and what this
 * kernel can do. Branches on these are dead code to the verifier, so a helper that is missing is never looked at.
 */
struct sl_consts {
	__u32 buckets4_tcp; /* elements of sl4_flows_tcp … */
	__u32 buckets4_udp;
	__u32 buckets6_tcp;
	__u32 buckets6_udp;
	__u32 buckets4_sockets;
	__u32 buckets6_sockets;
	__u32 records; /* elements of sl4_records, sl4_backends, sl4_rings (and of sl6_): bounds that never change */
	__u32 backends;
	__u32 lines;
	__u32 seed;        /* of the flow hash; random, kept in sl_meta as long as the flow maps live */
	__u8 coarse_clock; /* bpf_ktime_get_coarse_ns (5.11) */
	__u8 set_retval;   /* bpf_set_retval in connect and sendmsg hooks (5.18) */
	__u8 bypass;       /* flows between pods of this node go past its stack (--forwarding fast) */
	__u8 pad[1];
};

/* ---- map names (≤ 15 characters), for both sides ------------------------------------------------------------------- */

/*
 * X(name, writer): every pinned map. Families are written out so that one grep finds a map.
 */
#define SL_MAPS(X)                \
	X(sl_meta, agent)         \
	X(sl_config, agent)       \
	X(sl_counters, program)   \
	X(sl_events, program)     \
	X(sl_devices, agent)      \
	X(sl4_services, agent)    \
	X(sl4_records, agent)     \
	X(sl4_backends, agent)    \
	X(sl4_rings, agent)       \
	X(sl4_filter, agent)      \
	X(sl4_names, agent)       \
	X(sl4_flows_tcp, program) \
	X(sl4_flows_udp, program) \
	X(sl4_affinity, program)  \
	X(sl4_sockets, program)   \
	X(sl4_frags, program)     \
	X(sl4_svc_stats, program) \
	X(sl4_be_stats, program)  \
	X(sl6_services, agent)    \
	X(sl6_records, agent)     \
	X(sl6_backends, agent)    \
	X(sl6_rings, agent)       \
	X(sl6_filter, agent)      \
	X(sl6_names, agent)       \
	X(sl6_flows_tcp, program) \
	X(sl6_flows_udp, program) \
	X(sl6_affinity, program)  \
	X(sl6_sockets, program)   \
	X(sl6_frags, program)     \
	X(sl6_svc_stats, program) \
	X(sl6_be_stats, program)

/*
 * The address filter (sl4_filter, sl6_filter): an array of u64 words; the first SL_FILTER_WORDS hold one bit for each
 * service address, the next SL_FILTER_WORDS one for each backend address. A clear bit proves that an address is not
 * ours, for the price of one load; a set bit means "look". The bit of an IPv4 address is the upper SL_FILTER_BITS of
 * (address as loaded from the packet, little end first) * SL_FILTER_MULT; an IPv6 address is folded first: the xor of
 * its four 32-bit words rotated left by 0, 7, 13 and 21. The agent sets bits before it publishes what needs them and
 * clears them only when no flow can need them.
 */
#define SL_FILTER_MULT 0x9E3779B1u

static inline __u32 sl_rotl(__u32 x, __u32 n)
{
	return n ? (x << n) | (x >> (32 - n)) : x;
}

static inline __u32 sl_filter_bit(__u32 word)
{
	return (word * SL_FILTER_MULT) >> (32 - SL_FILTER_BITS);
}

static inline __u32 sl_fold6(__u32 w0, __u32 w1, __u32 w2, __u32 w3)
{
	return w0 ^ sl_rotl(w1, 7) ^ sl_rotl(w2, 13) ^ sl_rotl(w3, 21);
}

/*
 * Hash of a flow key. With the seed of sl_consts its mixed words say where the entry lies (below); with seed 0 and kind
 * REQUEST the hash is the same on every node and indexes Maglev rings (hash * length >> 32). Multipliers are odd 64-bit
 * constants of the golden ratio and of xxHash.
 */
static inline __u64 sl_mix(__u64 h, __u64 word)
{
	h = (h ^ word) * 0x9E3779B97F4A7C15ull;
	return h ^ (h >> 32);
}

static inline __u32 sl_hash_end(__u64 h)
{
	h *= 0xC2B2AE3D27D4EB4Full;
	return (__u32)(h >> 32);
}

/* Keys are read as words whatever they are declared as. */
typedef __u64 sl_word __attribute__((may_alias));

static inline __u64 sl4_flow_mix(const struct sl4_flow_key *key, __u32 seed)
{
	const sl_word *w = (const sl_word *)(const void *)key;

	return sl_mix(sl_mix(seed, w[0]), w[1]);
}

static inline __u64 sl6_flow_mix(const struct sl6_flow_key *key, __u32 seed)
{
	const sl_word *w = (const sl_word *)(const void *)key;

	return sl_mix(sl_mix(sl_mix(sl_mix(sl_mix(seed, w[0]), w[1]), w[2]), w[3]), w[4]);
}

static inline __u64 sl4_socket_mix(const struct sl4_socket_key *key, __u32 seed)
{
	const sl_word *w = (const sl_word *)(const void *)key;

	return sl_mix(sl_mix(seed, w[0]), w[1]);
}

static inline __u64 sl6_socket_mix(const struct sl6_socket_key *key, __u32 seed)
{
	const sl_word *w = (const sl_word *)(const void *)key;

	return sl_mix(sl_mix(sl_mix(sl_mix(seed, w[0]), w[1]), w[2]), w[3]);
}

static inline __u32 sl4_flow_hash(const struct sl4_flow_key *key, __u32 seed)
{
	return sl_hash_end(sl4_flow_mix(key, seed));
}

static inline __u32 sl6_flow_hash(const struct sl6_flow_key *key, __u32 seed)
{
	return sl_hash_end(sl6_flow_mix(key, seed));
}

/* ---- where a flow or a socket lies ---------------------------------------------------------------------------------------------- */

#define SL_TAG_KEEP 0x80000000u
#define SL_TAG_MASK 0x7fffffffu

/* Which of n buckets. */
static inline __u32 sl_bucket(__u64 mix, __u32 n)
{
	return (__u64)(__u32)mix * n >> 32;
}

/* What the slot is marked with; never 0. */
static inline __u32 sl_tag(__u64 mix)
{
	return (sl_hash_end(mix) & SL_TAG_MASK) | 1;
}

/* The slot where it is put if that is free, and so looked for first. */
static inline __u32 sl_home(__u32 tag)
{
	return (__u64)(tag & SL_TAG_MASK) * SL_BUCKET_SLOTS >> 31;
}

static inline __u32 sl_tick(__u64 now_ns)
{
	return now_ns >> SL_TICK_SHIFT;
}

/*
 * Ticks since `seen`, and SL_TICK_AHEAD; by less than that, `seen` may be in the future. An entry that nobody wanted for 2.3 years looks
 * young again, for as long as it could have been idle; with a signed difference it would after half of that, for the other half.
 */
static inline __u32 sl_quiet(__u32 now, __u32 seen)
{
	return now - seen + SL_TICK_AHEAD;
}

#endif
