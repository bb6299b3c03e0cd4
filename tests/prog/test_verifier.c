/* SPDX-License-Identifier: GPL-2.0-only */
/* Every program in every configuration through the verifier; what each costs there is printed. */
/* Must not know what programs do. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>

#include "prog/harness.h"

#define LOG_SIZE   (1 << 20)
#define BUDGET     50000
#define FRAME      400 /* bytes; the kernel gives 512 to a chain of calls */
#define LOG_STATS  4   /* BPF_LOG_STATS: a summary, even where all is well */
#define LOG_STEPS  1   /* every step */
#define STEPS_SIZE (1 << 24)

struct configuration {
	const char *name;
	struct harness_options options;
};

#define BUCKETS(tcp, udp)                                                    \
	.buckets4_tcp = (tcp), .buckets4_udp = (udp), .buckets6_tcp = (tcp), \
	.buckets6_udp = (udp), .buckets4_sockets = (udp), .buckets6_sockets = (udp)

static const struct configuration configurations[] = {
	{ "plain", { .consts = { BUCKETS(1, 1) } } },
	{ "coarse clock", { .consts = { BUCKETS(1, 1), .coarse_clock = 1 } } },
	{ "set_retval", { .consts = { BUCKETS(37450, 18725), .set_retval = 1 } } },
	{ "bypass", { .consts = { BUCKETS(37450, 18725), .coarse_clock = 1, .bypass = 1 } } },
	{ "all",
	  { .consts = { BUCKETS(37450, 18725), .set_retval = 1, .coarse_clock = 1,
			.bypass = 1 } } },
};
#define CONFIGURATIONS (sizeof(configurations) / sizeof(configurations[0]))

static char logs[32][LOG_SIZE];

/* Is there a kernel function that programs may call? (≥ 6.2 for the one that is asked about.) */
static bool has_kfunc(const char *name)
{
	struct btf *btf = btf__load_vmlinux_btf();
	bool found = btf && btf__find_by_name_kind(btf, name, BTF_KIND_FUNC) > 0;

	btf__free(btf);
	return found;
}

/* What this kernel lacks for a configuration or an object; NULL = nothing. */
static const char *missing(enum dp_object object, const struct configuration *c)
{
	if (c->options.consts.coarse_clock &&
	    libbpf_probe_bpf_helper(BPF_PROG_TYPE_SCHED_CLS, BPF_FUNC_ktime_get_coarse_ns, NULL) !=
		    1)
		return "bpf_ktime_get_coarse_ns";
	if (c->options.consts.set_retval && object == OBJECT_SOCK &&
	    libbpf_probe_bpf_helper(BPF_PROG_TYPE_CGROUP_SOCK_ADDR, BPF_FUNC_set_retval, NULL) != 1)
		return "bpf_set_retval";
	if (object == OBJECT_TC_FAST && !has_kfunc("bpf_cast_to_kern_ctx"))
		return "bpf_cast_to_kern_ctx";
	return NULL;
}

/*
 * The largest frame of one program's functions; UINT_MAX: not said. "stack depth 144+64+…"; since Linux 7 a line for each function:
 * "subprog 2 (sl4_open) global insns_self 1834 insns_total 1834 stack 120".
 */
static unsigned int read_frame(const char *log)
{
	const char *stack = strstr(log, "stack depth "), *subprog = strstr(log, "subprog ");
	unsigned int largest = 0;

	if (!stack)
		return UINT_MAX;
	for (char *at = (char *)stack + 11; !subprog && (*at == ' ' || *at == '+');) {
		unsigned int frame = (unsigned int)strtoul(at + 1, &at, 10);

		largest = frame > largest ? frame : largest;
	}
	for (; subprog; subprog = strstr(subprog + 1, "\nsubprog ")) {
		const char *at = strstr(subprog + 1, " stack "), *end = strchr(subprog + 1, '\n');
		unsigned int frame = at && (!end || at < end)
					     ? (unsigned int)strtoul(at + 7, NULL, 10)
					     : UINT_MAX;

		largest = frame > largest ? frame : largest;
	}
	return largest;
}

/* "processed 1234 insns …" */
static unsigned int read_insns(const char *log)
{
	const char *processed = strstr(log, "processed ");

	return processed ? (unsigned int)strtoul(processed + 10, NULL, 10) : 0;
}

/* Why it was refused: loads once more with every step in the log, and prints the last ones. */
static void print_refusal(enum dp_object which, const struct configuration *c, const char *name)
{
	struct bpf_object *object = harness_open_with(which, &c->options);
	char *log = calloc(1, STEPS_SIZE);
	struct bpf_program *program;
	size_t len;

	assert_non_null(log);
	bpf_object__for_each_program(program, object)
	{
		if (strcmp(bpf_program__name(program), name) == 0) {
			bpf_program__set_log_buf(program, log, STEPS_SIZE);
			bpf_program__set_log_level(program, LOG_STEPS);
		}
	}
	bpf_object__load(object);
	bpf_object__close(object);
	len = strlen(log);
	print_error("%s is refused:\n%s\n", name, len > 6000 ? log + len - 6000 : log);
	free(log);
}

static void load_object(enum dp_object which, const struct configuration *c)
{
	const char *lack = missing(which, c);
	struct bpf_object *object;
	struct bpf_program *program;
	int n = 0, rc;

	if (lack) {
		print_message("# %s, %s: not loaded, this kernel has no %s\n", object_name(which),
			      c->name, lack);
		return;
	}
	object = harness_open_with(which, &c->options);
	bpf_object__for_each_program(program, object)
	{
		assert_true(n < 32);
		logs[n][0] = '\0';
		bpf_program__set_log_buf(program, logs[n++], LOG_SIZE);
		bpf_program__set_log_level(program, LOG_STATS);
	}
	rc = bpf_object__load(object);
	n = 0;
	bpf_object__for_each_program(program, object)
	{
		unsigned int insns = read_insns(logs[n]), stack = read_frame(logs[n]);

		if (rc < 0 && bpf_program__fd(program) < 0 && logs[n][0])
			print_refusal(which, c, bpf_program__name(program));
		else
			print_message(
				"# %-16s %-14s %-16s %6u instructions verified, largest frame %u bytes\n",
				object_name(which), c->name, bpf_program__name(program), insns,
				stack);
		if (rc == 0 && (!insns || insns > BUDGET))
			fail_msg("%s takes %u instructions to verify, budget is %u",
				 bpf_program__name(program), insns, BUDGET);
		if (rc == 0 &&
		    (!stack || stack > FRAME)) /* every one of them has something on its stack */
			fail_msg("%s has a frame of %u bytes, budget is %u",
				 bpf_program__name(program), stack, FRAME);
		n++;
	}
	bpf_object__close(object);
	if (rc < 0)
		fail_msg("%s, %s: %s", object_name(which), c->name, strerror(-rc));
	assert_true(n > 0);
}

static void load_all(enum dp_object which)
{
	for (size_t i = 0; i < CONFIGURATIONS; i++)
		load_object(which, &configurations[i]);
}

static void xdp(void **state)
{
	(void)state;
	load_all(OBJECT_XDP);
}

static void tc(void **state)
{
	(void)state;
	load_all(OBJECT_TC);
}

static void skip_without(enum dp_object object)
{
	const char *lack = missing(object, &configurations[0]);

	if (!lack)
		return;
	print_message("# skip: this kernel has no %s\n", lack);
	skip();
}

static void tc_fast(void **state)
{
	(void)state;
	skip_without(OBJECT_TC_FAST);
	load_all(OBJECT_TC_FAST);
}

static void sock(void **state)
{
	(void)state;
	load_all(OBJECT_SOCK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(xdp),
		cmocka_unit_test(tc),
		cmocka_unit_test(tc_fast),
		cmocka_unit_test(sock),
	};

	return run_group("verifier", tests);
}
