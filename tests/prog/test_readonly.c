/* SPDX-License-Identifier: GPL-2.0-only */
/* One writer per map: programs cannot write what the agent writes. */
/* Must not know what programs do: the verifier reads them. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>

#include "prog/harness.h"

static const struct harness_options usual;

static bool is_ring(const char *name)
{
	return !strcmp(name, "sl4_rings") || !strcmp(name, "sl6_rings");
}

/* A map like the rings, but closed to programs (which then cannot be memory-mapped, so it is no use to the agent). */
static int closed_ring(void)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_RDONLY_PROG);
	int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "closed_ring", 4, sizeof(struct sl_ring_line),
				HARNESS_LINES, &opts);

	assert_true(fd >= 0);
	return fd;
}

/* The negative control: a program that looks up a line and writes into it. 0 or -errno. */
static int load_writer(int map)
{
	const struct bpf_insn insns[] = {
		{ .code = BPF_ST | BPF_MEM | BPF_W, .dst_reg = BPF_REG_10, .off = -4, .imm = 0 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_X,
		  .dst_reg = BPF_REG_2,
		  .src_reg = BPF_REG_10 },
		{ .code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = BPF_REG_2, .imm = -4 },
		{ .code = BPF_LD | BPF_DW | BPF_IMM,
		  .dst_reg = BPF_REG_1,
		  .src_reg = BPF_PSEUDO_MAP_FD,
		  .imm = map },
		{ 0 },
		{ .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_map_lookup_elem },
		{ .code = BPF_JMP | BPF_JEQ | BPF_K, .dst_reg = BPF_REG_0, .off = 1, .imm = 0 },
		{ .code = BPF_ST | BPF_MEM | BPF_W, .dst_reg = BPF_REG_0, .imm = 1 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	int fd = bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "ring_writer", "GPL", insns,
			       sizeof(insns) / sizeof(insns[0]), NULL);

	if (fd < 0)
		return -errno;
	close(fd);
	return 0;
}

static void the_check_can_fail(void **state)
{
	int open_ring, fd = closed_ring();

	(void)state;
	open_ring = bpf_map_create(BPF_MAP_TYPE_ARRAY, "open_ring", 4, sizeof(struct sl_ring_line),
				   1, NULL);
	assert_int_equal(load_writer(open_ring), 0);
	assert_int_equal(load_writer(fd), -EACCES);
	close(fd);
	close(open_ring);
}

static void load_with_closed_rings(enum dp_object which)
{
	struct bpf_object *object = harness_open_with(which, &usual);
	int fd = closed_ring(), rc, rings = 0;
	struct bpf_map *map;

	bpf_object__for_each_map(map, object)
	{
		if (!is_ring(bpf_map__name(map)))
			continue;
		assert_int_equal(bpf_map__reuse_fd(map, fd), 0);
		rings++;
	}
	assert_int_equal(rings, 2);
	rc = bpf_object__load(object);
	bpf_object__close(object);
	close(fd);
	if (rc < 0)
		fail_msg(
			"%s does not load over rings that programs may not write: %s (V=1 shows the verifier)",
			object_name(which), strerror(-rc));
}

static void no_program_writes_the_rings(void **state)
{
	(void)state;
	for (enum dp_object o = 0; o < OBJECT_COUNT; o++) {
		if (o == OBJECT_TC_FAST) {
			/* kernels that refuse it refuse it over any rings: what tc does, its fast form does too */
			struct bpf_object *object = harness_open_with(o, &usual);
			int rc = bpf_object__load(object);

			bpf_object__close(object);
			if (rc < 0)
				continue;
		}
		load_with_closed_rings(o);
	}
}

/* Everything the agent writes is closed to programs, the memory-mapped rings alone are not. */
static void agent_maps_are_closed(void **state)
{
	static const struct {
		const char *name;
		bool agent;
	} maps[] = {
#define WRITER_agent          true
#define WRITER_program        false
#define MAP_ROW(name, writer) { #name, WRITER_##writer },
		SL_MAPS(MAP_ROW)
#undef MAP_ROW
	};
	struct bpf_object *object = harness_open_with(OBJECT_TC, &usual);

	(void)state;
	for (size_t i = 0; i < sizeof(maps) / sizeof(maps[0]); i++) {
		struct bpf_map *map = bpf_object__find_map_by_name(object, maps[i].name);
		bool closed;

		assert_non_null(map);
		closed = bpf_map__map_flags(map) & BPF_F_RDONLY_PROG;
		if (is_ring(maps[i].name))
			assert_true(bpf_map__map_flags(map) & BPF_F_MMAPABLE);
		else if (closed != maps[i].agent)
			fail_msg("%s is written by %s, but is %s to programs", maps[i].name,
				 maps[i].agent ? "the agent" : "programs",
				 closed ? "closed" : "open");
	}
	bpf_object__close(object);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_check_can_fail),
		cmocka_unit_test(no_program_writes_the_rings),
		cmocka_unit_test(agent_maps_are_closed),
	};

	return run_group("readonly", tests);
}
