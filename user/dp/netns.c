/* SPDX-License-Identifier: GPL-2.0 */
/* Asks the kernel for the cookie of our network namespace: by the socket option, or by a program that sees one call of ours. */
/* Must not know what the cookie is compared with. */
#include "dp/netns.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "base/cleanup.h"

/* Numbers of <asm/socket.h> that the headers of older distributions do not have. */
#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

#define INSN(opcode, dst, src, offset, immediate)                                      \
	{                                                                              \
		.code = (opcode), .dst_reg = (dst), .src_reg = (src), .off = (offset), \
		.imm = (immediate)                                                     \
	}
#define MOV_REG(dst, src)               INSN(BPF_ALU64 | BPF_MOV | BPF_X, dst, src, 0, 0)
#define MOV_IMM(dst, value)             INSN(BPF_ALU64 | BPF_MOV | BPF_K, dst, 0, 0, value)
#define ADD_IMM(dst, value)             INSN(BPF_ALU64 | BPF_ADD | BPF_K, dst, 0, 0, value)
#define STORE_IMM_W(dst, offset, value) INSN(BPF_ST | BPF_MEM | BPF_W, dst, 0, offset, value)
#define LOAD_DW(dst, src, offset)       INSN(BPF_LDX | BPF_MEM | BPF_DW, dst, src, offset, 0)
#define STORE_DW(dst, offset, src)      INSN(BPF_STX | BPF_MEM | BPF_DW, dst, src, offset, 0)
#define JUMP_EQ(dst, value, skip)       INSN(BPF_JMP | BPF_JEQ | BPF_K, dst, 0, skip, value)
#define JUMP_NE_REG(dst, src, skip)     INSN(BPF_JMP | BPF_JNE | BPF_X, dst, src, skip, 0)
#define CALL(helper)                    INSN(BPF_JMP | BPF_CALL, 0, 0, 0, helper)
#define MAP_FD(dst, fd) \
	INSN(BPF_LD | BPF_DW | BPF_IMM, dst, BPF_PSEUDO_MAP_FD, 0, fd), INSN(0, 0, 0, 0, 0)
#define EXIT() INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)

/* What agent and program share: whose call is meant, and what was seen of it. */
struct question {
	__u64 socket;
	__u64 netns; /* 0: not seen */
};

/* connect(): if (bpf_get_socket_cookie(ctx) == question->socket) question->netns = bpf_get_netns_cookie(ctx); */
static int load_witness(int map_fd)
{
	const struct bpf_insn insns[] = {
		MOV_REG(BPF_REG_6, BPF_REG_1),
		CALL(BPF_FUNC_get_socket_cookie),
		MOV_REG(BPF_REG_7, BPF_REG_0),
		MOV_REG(BPF_REG_1, BPF_REG_6),
		CALL(BPF_FUNC_get_netns_cookie),
		MOV_REG(BPF_REG_8, BPF_REG_0),
		STORE_IMM_W(BPF_REG_10, -4, 0),
		MOV_REG(BPF_REG_2, BPF_REG_10),
		ADD_IMM(BPF_REG_2, -4),
		MAP_FD(BPF_REG_1, map_fd),
		CALL(BPF_FUNC_map_lookup_elem),
		JUMP_EQ(BPF_REG_0, 0, 3),
		LOAD_DW(BPF_REG_1, BPF_REG_0, 0),
		JUMP_NE_REG(BPF_REG_1, BPF_REG_7, 1),
		STORE_DW(BPF_REG_0, 8, BPF_REG_8),
		MOV_IMM(BPF_REG_0, 1),
		EXIT(),
	};
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = BPF_CGROUP_INET4_CONNECT);
	int fd = bpf_prog_load(BPF_PROG_TYPE_CGROUP_SOCK_ADDR, "sl_netns", "GPL", insns,
			       sizeof(insns) / sizeof(insns[0]), &opts);

	return fd < 0 ? -errno : fd;
}

/* One call of ours while the witness is attached, by a link that ends with us. The address needs no route: the program runs first. */
static int witness_call(int witness_fd, const char *cgroup, int socket_fd)
{
	const struct sockaddr_in discard = {
		.sin_family = AF_INET,
		.sin_port = htons(9),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	_cleanup_close_ int cgroup_fd = open(cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_close_ int link_fd = -1;

	if (cgroup_fd < 0)
		return -errno;
	link_fd = bpf_link_create(witness_fd, cgroup_fd, BPF_CGROUP_INET4_CONNECT, NULL);
	if (link_fd < 0)
		return -errno;
	connect(socket_fd, (const struct sockaddr *)&discard, sizeof(discard));
	return 0;
}

int netns_cookie_by_program(const char *cgroup, int socket_fd, uint64_t *ret_cookie)
{
	_cleanup_close_ int map_fd = -1, witness_fd = -1;
	struct question question = { 0 };
	socklen_t len = sizeof(question.socket);
	__u32 zero = 0;
	int rc;

	if (getsockopt(socket_fd, SOL_SOCKET, SO_COOKIE, &question.socket, &len) < 0)
		return -errno;
	map_fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "sl_netns", sizeof(zero), sizeof(question), 1,
				NULL);
	if (map_fd < 0 || bpf_map_update_elem(map_fd, &zero, &question, BPF_ANY) < 0)
		return -errno;
	witness_fd = load_witness(map_fd);
	if (witness_fd < 0)
		return witness_fd;
	rc = witness_call(witness_fd, cgroup, socket_fd);
	if (rc < 0)
		return rc;
	if (bpf_map_lookup_elem(map_fd, &zero, &question) < 0)
		return -errno;
	if (!question.netns)
		return -ESRCH;
	*ret_cookie = question.netns;
	return 0;
}

int netns_cookie(const char *cgroup, uint64_t *ret_cookie)
{
	_cleanup_close_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	uint64_t cookie;
	socklen_t len = sizeof(cookie);

	if (fd < 0)
		return -errno;
	if (getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &len) < 0)
		return errno == ENOPROTOOPT ? netns_cookie_by_program(cgroup, fd, ret_cookie)
					    : -errno;
	*ret_cookie = cookie;
	return 0;
}
