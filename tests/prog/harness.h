/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The data path on a table: real programs, real maps, no interface. Packets are run through one program after another
 * with BPF_PROG_TEST_RUN, and what comes out is compared to what bpf/README.md says.
 *
 *	start(state);                                                    family and programs of this test, maps empty
 *	service(AT(VIP, 80), IPPROTO_TCP, READY(AT(BACKEND1, 8080)));
 *	forwards(POD_IN, TCP(family, C, V, SYN), NEW_FLOW, TCP(family, C, B1, SYN));
 *	expect_flow(REQUEST, IPPROTO_TCP, C, V, IN_NEW, NEW, C, B1);
 *
 * Every run is checked for what must always hold: exactly one reason is counted, once, at the hook of the program, with
 * the bytes of the frame; the packet mark stays. A failed expectation names file, line, packet and program.
 */
#ifndef PROG_HARNESS_H
#define PROG_HARNESS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "dp/objects.h"
#include "prog/packet.h"
#include "sluice_abi.h"

/* ---- loading -------------------------------------------------------------------------------------------------------- */

enum program { POD_IN, POD_OUT, UP_IN, UP_OUT, L3_IN, L3_OUT, XDP, PROGRAMS };

/* What a flow entry is: confirmed once, in the table for TCP or in the other; or not, in either. */
enum table { IN_TCP, IN_UDP, IN_NEW, TABLES };

#define HARNESS_RECORDS  1024
#define HARNESS_BACKENDS 1024
#define HARNESS_LINES    8192
#define HARNESS_BUCKETS  512 /* of each flow table */

/* What to load; zero = the usual. */
struct harness_options {
	struct sl_consts consts; /* buckets 0: HARNESS_BUCKETS */
};

/* Every test of a group: family and tc object. */
struct variant {
	int family;
	enum dp_object tc;
	const char *name;
};
extern const struct variant variants[];
#define VARIANTS 4

/* A test per variant: "name v4", "name v4 fast", … A variant the kernel does not take is skipped. */
/* clang-format off */
#define ON(i_, name_, test_) \
	(struct CMUnitTest) { #test_ " " name_, test_, NULL, NULL, (void *)(uintptr_t)&variants[i_] }
/* clang-format on */
#define FOR_V4(test_)  ON(0, "v4", test_), ON(2, "v4 fast", test_)
#define FOR_V6(test_)  ON(1, "v6", test_), ON(3, "v6 fast", test_)
#define FOR_ALL(test_) FOR_V4(test_), FOR_V6(test_)

/* What this test runs with. */
extern int family;
/* The device that packets come by; 1, the loopback device, unless a test has others in a network namespace of its own. */
extern uint32_t harness_ifindex;

/* First line of each test: programs of the variant (loaded once a process), empty maps, default configuration. */
void start(void **state);
/*
 * Loads sluice_tc, sluice_xdp and, if the kernel takes it, sluice_tc_fast over one set of maps; replaces what was loaded. 0, or
 * -errno with a sentence in *ret_why. start() loads with the usual options if nothing is loaded.
 */
int harness_load(const struct harness_options *options, const char **ret_why);
void harness_unload(void);
int harness_map(const char *name); /* fd; fails the test where there is none */
/* Looks up in a map of the family under test: harness_lookup("be_stats", …). 0 or a negative number. */
int harness_lookup(const char *name, const void *key, void *ret_value);
int harness_program(enum program program);
uint64_t harness_now_ns(void); /* CLOCK_MONOTONIC */
/* Opens an object and gives it the maps that are loaded, if any, and the constants. Caller loads and closes. */
struct bpf_object *harness_open(enum dp_object object);
/* The same with other constants; maps that are not loaded get small sizes. */
struct bpf_object *harness_open_with(enum dp_object object, const struct harness_options *options);

/* ---- control maps --------------------------------------------------------------------------------------------------- */

#define SERVICE_BACKENDS 16

struct backend_spec {
	struct end at;
	uint16_t flags; /* SL_BACKEND_; 0 = a ready endpoint of another node */
};
#define LOCAL_ENDPOINT \
	(SL_BACKEND_IN_CLUSTER | SL_BACKEND_IN_LOCAL | SL_BACKEND_SERVING | SL_BACKEND_LOCAL)
#define TERMINATING_ENDPOINT (SL_BACKEND_SERVING | SL_BACKEND_TERMINATING)

struct service_spec {
	struct end at;
	uint8_t proto;
	enum sl_kind kind; /* 0 = SL_KIND_CLUSTER_IP */
	enum sl_algorithm algorithm;
	uint32_t affinity_s;
	uint16_t flags;                                 /* SL_SERVICE_ */
	struct backend_spec backends[SERVICE_BACKENDS]; /* up to the first NOBODY */
};

/*
 * Publishes a service, or what became of it: a new record, a new ring; service and backend ids stay where port and endpoint
 * stay, and endpoints that are no longer named have left (flags 0). A cluster IP also gets its address record.
 */
void service_publish(const struct service_spec *spec);
void service_delete(struct end at, uint8_t proto);
/* Lets at's entry refer to the record of other's; if they are the same, with a generation that is over. */
void service_cross(struct end at, struct end other, uint8_t proto);
/* The address record: after the last port of a cluster IP. */
void address_delete(enum host vip);
/* A ready endpoint of another node, for service(). Others are { AT(BACKEND2, 8080), LOCAL_ENDPOINT }. */
#define READY(at_)     \
	{              \
		at_, 0 \
	}
/* service(at, proto, READY(AT(BACKEND1, 8080)), …) and the same with fields of service_spec. */
#define service(at_, proto_, ...)               \
	service_publish(&(struct service_spec){ \
		.at = at_, .proto = (proto_), .backends = { __VA_ARGS__ } })
#define service_with(at_, proto_, ...) \
	service_publish(&(struct service_spec){ .at = at_, .proto = (proto_), ##__VA_ARGS__ })
/* Ids as published; 0 = none. */
uint32_t service_id(struct end at, uint8_t proto);
uint32_t backend_id(struct end vip, uint8_t proto, struct end backend);
/* The id gets a new owner: another generation, other content. */
void backend_recycle(uint32_t id, struct end new_owner, uint32_t new_service);
/* Sets the bit of an address in the half for service addresses, as another address would that shares it. */
void filter_like_a_vip(enum host host);
struct sl_config *config_edit(void);
void config_publish(void);

/* ---- running -------------------------------------------------------------------------------------------------------- */

struct outcome {
	int verdict;           /* as the program returned it */
	enum sl_reason reason; /* what was counted */
	struct frame out;
};

/* Runs and checks what always holds. where: for messages. */
struct outcome harness_run(enum program program, const struct packet *in, const char *file,
			   int line);
struct outcome harness_run_frame(enum program program, const struct frame *in, const char *file,
				 int line);
/* The bare call, unchecked: for threads. out may be in. */
int harness_run_raw(int fd, const void *in, size_t len, void *out, size_t *len_out);

void harness_forwards(enum program program, struct packet in, enum sl_reason reason,
		      struct packet out, const char *file, int line);
uint16_t harness_forwards_new_port(enum program program, struct packet in, enum sl_reason reason,
				   struct packet out, const char *file, int line);
void harness_passes(enum program program, struct packet in, enum sl_reason reason, const char *file,
		    int line);
void harness_drops(enum program program, struct packet in, enum sl_reason reason, const char *file,
		   int line);
void harness_refuses(enum program program, struct packet in, enum sl_reason reason,
		     const char *file, int line);
void harness_resets(enum program program, struct packet in, const char *file, int line);
/* The backend that a packet was sent to: index into candidates; fails if it is none of them. */
int harness_picks(enum program program, struct packet in, enum sl_reason reason,
		  const struct end *candidates, int n, const char *file, int line);

/* Goes on, changed into exactly out. */
#define forwards(program, in, reason, out) \
	harness_forwards(program, in, SL_REASON_##reason, out, __FILE__, __LINE__)
/* The same where the source port may be any other one; it is returned. */
#define forwards_new_port(program, in, reason, out) \
	harness_forwards_new_port(program, in, SL_REASON_##reason, out, __FILE__, __LINE__)
/* Goes on as it came, to the byte. */
#define passes(program, in, reason) \
	harness_passes(program, in, SL_REASON_##reason, __FILE__, __LINE__)
#define drops(program, in, reason) \
	harness_drops(program, in, SL_REASON_##reason, __FILE__, __LINE__)
/* Comes back as an ICMP port unreachable from the address it was sent to, with every byte of it right. */
#define refuses(program, in, reason) \
	harness_refuses(program, in, SL_REASON_##reason, __FILE__, __LINE__)
/* Comes back as the RST of RFC 9293 3.10.7.1. */
#define resets(program, in) harness_resets(program, in, __FILE__, __LINE__)
#define picks(program, in, reason, candidates, n) \
	harness_picks(program, in, SL_REASON_##reason, candidates, n, __FILE__, __LINE__)

/* Any reason that means "translated and sent on". */
#define SL_REASON_ANY_FORWARD SL_REASON_COUNT

/* sl_counters summed over hooks and CPUs. */
uint64_t counted(enum sl_reason reason);
uint64_t counted_all(void);

/* ---- flow entries --------------------------------------------------------------------------------------------------- */

/* Both families in one shape. */
struct flow_seen {
	int copies; /* how many slots of its bucket have the key */
	enum table table;
	uint32_t word;         /* its tag and SL_TAG_KEEP */
	struct end from, to;   /* after translation; host HOST_COUNT: not of the plan */
	struct sl6_flow value; /* addresses: first bytes; other fields as they are */
	uint64_t seen_ns;      /* value.seen as time */
};

struct flow_seen flow_find(enum sl_flow_kind kind, uint8_t proto, struct end from, struct end to);
/* Writes into an entry that is there. */
enum flow_field { SEEN_NS, TWIN_NS, STATE, TAG, BACKEND_GEN };
void flow_write(enum sl_flow_kind kind, uint8_t proto, struct end from, struct end to,
		enum flow_field field, uint64_t value);
/* Moves an entry's last packet into the past (and with it the touch of its twin). */
void flow_age(enum sl_flow_kind kind, uint8_t proto, struct end from, struct end to,
	      uint32_t age_s);
void flow_remove(enum sl_flow_kind kind, uint8_t proto, struct end from, struct end to);
size_t flow_count(enum table table);
/* The bare entry of a struct sl{4,6}_flow_key of the family under test: writes it into its bucket, which must have room. */
void flow_put(const void *key, const void *value, bool keep);
bool flow_get(const void *key, void *ret_value);
/* Empties the flow tables of the family under test. */
void flows_clear(void);
/* Seconds of silence after which a packet touches the other direction's entry. */
#define TWIN_AGE_S 27
/* Moves what is known of fragmented datagrams into the past. */
void fragments_age(uint32_t age_s);

void harness_expect_flow(enum sl_flow_kind kind, uint8_t proto, struct end from, struct end to,
			 enum table table, enum sl_flow_state state, struct end new_from,
			 struct end new_to, const char *file, int line);
void harness_expect_no_flow(enum sl_flow_kind kind, uint8_t proto, struct end from, struct end to,
			    const char *file, int line);
#define expect_flow(kind, proto, from, to, table, state, new_from, new_to)                      \
	harness_expect_flow(SL_FLOW_##kind, proto, from, to, table, SL_STATE_##state, new_from, \
			    new_to, __FILE__, __LINE__)
#define expect_no_flow(kind, proto, from, to) \
	harness_expect_no_flow(SL_FLOW_##kind, proto, from, to, __FILE__, __LINE__)

/* Runs a cmocka group and unloads. */
#define run_group(name_, tests_) \
	(cmocka_run_group_tests_name(name_, tests_, NULL, harness_teardown))
int harness_teardown(void **state);

#endif
