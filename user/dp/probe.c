/* SPDX-License-Identifier: GPL-2.0 */
/* Features of the kernel, each probed by loading a tiny program or by asking; and our rights. */
/* Must not know the programs of sluice. */
#include "dp/probe.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "base/cleanup.h"

/* Numbers of linux/bpf.h that the headers of older distributions do not have. */
#define HELPER_KTIME_GET_COARSE_NS 160
#define HELPER_SET_RETVAL          187
#define ATTACH_TYPE_TCX_INGRESS    46

#define INSN(opcode, dst, src, offset, immediate)                                      \
	{                                                                              \
		.code = (opcode), .dst_reg = (dst), .src_reg = (src), .off = (offset), \
		.imm = (immediate)                                                     \
	}
#define MOV_IMM(reg, value) INSN(BPF_ALU64 | BPF_MOV | BPF_K, reg, 0, 0, value)
#define CALL(helper)        INSN(BPF_JMP | BPF_CALL, 0, 0, 0, helper)
#define EXIT()              INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)

static bool loads(enum bpf_prog_type type, enum bpf_attach_type attach,
		  const struct bpf_insn *insns, size_t n)
{
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = attach);
	int fd = bpf_prog_load(type, "sl_probe", "GPL", insns, n, &opts);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

bool probe_coarse_clock(void)
{
	const struct bpf_insn insns[] = { CALL(HELPER_KTIME_GET_COARSE_NS), MOV_IMM(BPF_REG_0, 0),
					  EXIT() };

	return loads(BPF_PROG_TYPE_SCHED_CLS, 0, insns, sizeof(insns) / sizeof(insns[0]));
}

bool probe_set_retval(void)
{
	const struct bpf_insn insns[] = { MOV_IMM(BPF_REG_1, -ECONNREFUSED),
					  CALL(HELPER_SET_RETVAL), MOV_IMM(BPF_REG_0, 0), EXIT() };

	return loads(BPF_PROG_TYPE_CGROUP_SOCK_ADDR, BPF_CGROUP_INET4_CONNECT, insns,
		     sizeof(insns) / sizeof(insns[0]));
}

bool probe_tcx(void)
{
	__u32 flags = 0, n = 0;

	/* every network namespace has its loopback device at index 1; kernels without TCX say EINVAL to the type */
	return bpf_prog_query(1, ATTACH_TYPE_TCX_INGRESS, 0, &flags, NULL, &n) == 0 ||
	       errno == ENOENT;
}

bool probe_kernel_at_least(unsigned int major, unsigned int minor)
{
	unsigned int have_major, have_minor;
	struct utsname name;

	if (uname(&name) < 0 || sscanf(name.release, "%u.%u", &have_major, &have_minor) != 2)
		return true;
	return have_major > major || (have_major == major && have_minor >= minor);
}

static uint64_t effective_capabilities(void)
{
	_cleanup_fclose_ FILE *f = fopen("/proc/self/status", "re");
	uint64_t caps = UINT64_MAX; /* unknown: let the kernel judge */
	char line[256];

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "CapEff: %" SCNx64, &caps) == 1)
			break;
	return caps;
}

int probe_capabilities(struct err *err)
{
	static const struct {
		unsigned int number;
		bool implied; /* by CAP_SYS_ADMIN */
		const char *name;
	} needed[] = {
		{ CAP_NET_ADMIN, false, "CAP_NET_ADMIN" },
		{ CAP_BPF, true, "CAP_BPF" },
		{ CAP_PERFMON, true, "CAP_PERFMON" },
	};
	uint64_t caps = effective_capabilities();
	char names[128] = "";

	for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++) {
		if (caps >> needed[i].number & 1 ||
		    (needed[i].implied && caps >> CAP_SYS_ADMIN & 1))
			continue;
		snprintf(names + strlen(names), sizeof(names) - strlen(names), "%s%s",
			 names[0] ? ", " : "", needed[i].name);
	}
	if (!names[0])
		return 0;
	return err_set(
		err, -EPERM,
		"missing capability: %s; run as root, or grant them (systemd: AmbientCapabilities=, "
		"Kubernetes: securityContext.capabilities.add)",
		names);
}

int probe_raise_memlock(struct err *err)
{
	const struct rlimit unlimited = { RLIM_INFINITY, RLIM_INFINITY };

	if (probe_kernel_at_least(5, 11) || setrlimit(RLIMIT_MEMLOCK, &unlimited) == 0)
		return 0;
	return err_set(
		err, -EPERM,
		"missing capability: CAP_SYS_RESOURCE; kernels before 5.11 count maps as locked memory, "
		"and the limit could not be raised: %s",
		strerror(errno));
}
