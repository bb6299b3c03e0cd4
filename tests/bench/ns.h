/* SPDX-License-Identifier: GPL-2.0 */
/* Runs one program on generated packets and tells nanoseconds a packet: frames, generators, floors. */
#ifndef BENCH_NS_H
#define BENCH_NS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "bench/generate.h"

/* How packets are made, and from which side: IN goes to a service address, OUT comes from an endpoint. */
enum make { MAKE_IN, MAKE_OUT, MAKE_XDP };

/* What packets look like. */
struct traffic {
	int family;
	uint8_t proto;
	uint8_t tcp_flags; /* 0 = ACK */
	enum make make;
	uint32_t flows; /* a power of two */
	bool fresh; /* every packet is to be a new flow: there are many more flows than room for them */
	uint32_t services, endpoints;
	uint32_t far, far_service, far_endpoint; /* see struct generator */
	uint16_t far_port;
};

/* Names of floor programs in generate.bpf.c. */
#define FLOOR_EMPTY     "floor_empty"
#define FLOOR_XDP_EMPTY "floor_xdp_empty"

/* Loads generators and floors from the object file. */
int ns_init(const char *object, struct err *err);
void ns_done(void);
int ns_floor(const char *name); /* fd; -1: no such program */
/* Services and flows of the floors, as a rig's: IPv4, TCP and UDP. */
int ns_floor_fill(uint32_t services, uint32_t endpoints, uint32_t flows, struct err *err);

/*
 * Runs program `fd` on `repeat` packets after warming up on as many as there are flows; nanoseconds a packet with the
 * generator's. -errno.
 */
int ns_run(const struct traffic *traffic, int fd, uint32_t repeat);
/* The same for one bare program without generator, on a frame of this traffic. */
int ns_run_bare(const struct traffic *traffic, int fd, uint32_t repeat);
/* Instructions the verifier walked and those it left, of a loaded program. */
int ns_program_size(int fd, uint32_t *ret_verified, uint32_t *ret_translated);

#endif
