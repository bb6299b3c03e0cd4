/* SPDX-License-Identifier: GPL-2.0 */
/* Nanoseconds a packet by BPF_PROG_TEST_RUN: frames, generators, floors. */
/* Must not know sluice's programs: it is given file descriptors. */
#include "bench/ns.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "bench/rig.h"

#define FRAME_PAYLOAD 12 /* 66 bytes of IPv4 TCP */
#define BATCH         1024
#define TCP_FLAG_ACK  0x10

static struct bpf_object *object;
static volatile struct generator *generator;

/* ---- loading -------------------------------------------------------------------------------------------------------- */

/* The only variable of the object, in memory shared with the kernel. */
static int map_generator(struct err *err)
{
	struct bpf_map *map;
	void *bss = MAP_FAILED;

	bpf_object__for_each_map(map, object) if (strstr(bpf_map__name(map), ".bss")) bss = mmap(
		NULL, sizeof(*generator), PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(map), 0);
	if (bss == MAP_FAILED)
		return err_set(err, -ENOENT, "the generators' variables cannot be mapped: %s",
			       strerror(errno));
	generator = bss;
	return 0;
}

int ns_init(const char *path, struct err *err)
{
	object = bpf_object__open_file(path, NULL);
	if (!object)
		return err_set(err, -errno, "cannot open %s: %s", path, strerror(errno));
	if (bpf_object__load(object) < 0)
		return err_set(err, -errno, "cannot load %s: %s", path, strerror(errno));
	return map_generator(err);
}

void ns_done(void)
{
	if (generator)
		munmap((void *)generator, sizeof(*generator));
	generator = NULL;
	bpf_object__close(object);
	object = NULL;
}

static int program_fd(const char *name)
{
	struct bpf_program *p = bpf_object__find_program_by_name(object, name);

	return p ? bpf_program__fd(p) : -1;
}

int ns_floor(const char *name)
{
	return program_fd(name);
}

int ns_program_size(int fd, uint32_t *ret_verified, uint32_t *ret_translated)
{
	struct bpf_prog_info info = { 0 };
	__u32 len = sizeof(info);

	if (bpf_obj_get_info_by_fd(fd, &info, &len) < 0)
		return -errno;
	*ret_verified = info.verified_insns;
	*ret_translated = info.xlated_prog_len / 8;
	return 0;
}

/* ---- floors --------------------------------------------------------------------------------------------------------- */

static int fill_services(int fd, uint32_t services)
{
	for (uint32_t s = 0; s < services; s++) {
		struct floor_service_key key = { .vip = htonl(RIG_VIP + s),
						 .port = htons(RIG_PORT) };
		struct floor_service value = { .id = s + 1 };

		for (int udp = 0; udp < 2; udp++) {
			key.proto = udp ? IPPROTO_UDP : IPPROTO_TCP;
			if (bpf_map_update_elem(fd, &key, &value, BPF_ANY) < 0)
				return -errno;
		}
	}
	return 0;
}

static void make_flow(uint32_t id, uint32_t services, uint32_t endpoints,
		      struct floor_flow_key *ret_key, struct floor_flow *ret_flow)
{
	uint32_t s = id % services, e = id / services % endpoints;

	*ret_key = (struct floor_flow_key){
		.saddr = htonl(RIG_CLIENT + (id >> 16)),
		.daddr = htonl(RIG_VIP + s),
		.sport = htons((uint16_t)(id + BENCH_CLIENT_PORT)),
		.dport = htons(RIG_PORT),
		.proto = IPPROTO_TCP,
	};
	*ret_flow = (struct floor_flow){
		.addr = htonl(RIG_ENDPOINT + s * RIG_ENDPOINT_STEP + e),
		.port = htons(RIG_TARGET_PORT),
	};
}

int ns_floor_fill(uint32_t services, uint32_t endpoints, uint32_t flows, struct err *err)
{
	static struct floor_flow_key keys[BATCH];
	static struct floor_flow values[BATCH];
	int fd = bpf_object__find_map_fd_by_name(object, "floor_flows");
	int rc = fill_services(bpf_object__find_map_fd_by_name(object, "floor_services"), services);

	for (uint32_t id = 0, n = 0; rc == 0 && id < flows; id++) {
		LIBBPF_OPTS(bpf_map_batch_opts, opts);

		make_flow(id, services, endpoints, &keys[n], &values[n]);
		if (++n < BATCH && id + 1 < flows)
			continue;
		rc = bpf_map_update_batch(fd, keys, values, &n, &opts) < 0 ? -errno : 0;
		n = 0;
	}
	return rc < 0 ? err_set(err, rc, "cannot fill the floors' maps: %s", strerror(-rc)) : 0;
}

/* ---- frames --------------------------------------------------------------------------------------------------------- */

static size_t put_transport(const struct traffic *t, uint8_t *at)
{
	uint16_t near = htons(BENCH_CLIENT_PORT), far = htons(t->far_port);
	bool out = t->make == MAKE_OUT;
	size_t len = t->proto == IPPROTO_TCP ? 20 : 8;

	memcpy(at, out ? &far : &near, 2);
	memcpy(at + 2, out ? &near : &far, 2);
	if (t->proto == IPPROTO_TCP) {
		at[12] = 5 << 4;
		at[13] = t->tcp_flags ? t->tcp_flags : TCP_FLAG_ACK;
		at[16] = 0x12; /* checksums are adjusted, never verified, by what is measured */
	} else {
		at[5] = (uint8_t)(len + FRAME_PAYLOAD + 12);
		at[6] = 0x12;
		len += 12; /* as long as TCP */
	}
	return len + FRAME_PAYLOAD;
}

/* Addresses are the generator's to write. Returns the length. */
static size_t make_frame(const struct traffic *t, uint8_t *frame)
{
	size_t l3 = t->family == 4 ? 20 : 40, len;
	uint32_t prefix = htonl(RIG_PREFIX6);
	uint8_t *ip = frame + ETH_HLEN;

	memset(frame, 0, 128);
	memcpy(frame, "\2\0\0\0\0\1\2\0\0\0\0\2", 12);
	frame[12] = t->family == 4 ? 0x08 : 0x86;
	frame[13] = t->family == 4 ? 0x00 : 0xdd;
	len = put_transport(t, ip + l3);
	if (t->family == 4) {
		ip[0] = 0x45;
		ip[3] = (uint8_t)(l3 + len);
		ip[8] = 64;
		ip[9] = t->proto;
	} else {
		ip[0] = 0x60;
		ip[5] = (uint8_t)len;
		ip[6] = t->proto;
		ip[7] = 64;
		memcpy(ip + 8, &prefix, 4);
		memcpy(ip + 24, &prefix, 4);
	}
	return ETH_HLEN + l3 + len;
}

static size_t set_generator(const struct traffic *t)
{
	struct generator g = {
		.flow_mask = t->flows - 1,
		.services = t->services,
		.endpoints = t->endpoints,
		.client = RIG_CLIENT,
		.far = t->far,
		.far_service = t->far_service,
		.far_endpoint = t->far_endpoint,
		.counter = generator->counter,
	};
	size_t len = make_frame(t, g.frame);

	memcpy((void *)generator, &g, sizeof(g));
	return len;
}

/* ---- running -------------------------------------------------------------------------------------------------------- */

static int test_run(int fd, const uint8_t *frame, size_t len, uint32_t repeat)
{
	uint8_t out[256];
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame, .data_size_in = (__u32)len,
		    .data_out = out, .data_size_out = sizeof(out), .repeat = (int)repeat);

	return bpf_prog_test_run_opts(fd, &opts) < 0 ? -errno : (int)opts.duration;
}

static int generator_fd(const struct traffic *t)
{
	static const char *const names[2][3] = {
		{ "make_tc4_in", "make_tc4_out", "make_xdp4" },
		{ "make_tc6_in", "make_tc6_out", "make_xdp6" },
	};

	return program_fd(names[t->family == 6][t->make]);
}

int ns_run(const struct traffic *t, int fd, uint32_t repeat)
{
	const char *jump = t->make == MAKE_XDP ? "target_xdp" : "target_tc";
	size_t len = set_generator(t);
	uint32_t warm = t->flows > repeat / 10 && !t->fresh ? t->flows : repeat / 10;
	uint8_t frame[128];
	__u32 zero = 0;
	int rc;

	memcpy(frame, (const void *)generator->frame, sizeof(frame));
	if (bpf_map_update_elem(bpf_object__find_map_fd_by_name(object, jump), &zero, &fd,
				BPF_ANY) < 0)
		return -errno;
	rc = test_run(generator_fd(t), frame, len, warm);
	return rc < 0 ? rc : test_run(generator_fd(t), frame, len, repeat);
}

int ns_run_bare(const struct traffic *t, int fd, uint32_t repeat)
{
	uint8_t frame[128];
	size_t len = make_frame(t, frame);

	return test_run(fd, frame, len, repeat);
}
