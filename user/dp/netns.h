/* SPDX-License-Identifier: GPL-2.0 */
/* The number by which programs tell network namespaces apart. */
#ifndef DP_NETNS_H
#define DP_NETNS_H

#include <stdint.h>

/*
 * The cookie of the calling process's own network namespace: what bpf_get_netns_cookie() says of its sockets. Kernels from
 * 5.14 on are asked (SO_NETNS_COOKIE), older ones as below. 0, or -errno with *ret_cookie untouched.
 */
int netns_cookie(const char *cgroup, uint64_t *ret_cookie);

/*
 * The same by a program: it is attached to `cgroup`, a cgroup2 directory, while `socket_fd`, an IPv4 UDP socket, is connected to the
 * loopback address (which sends nothing). Other processes' calls pass it unchanged. -ESRCH: this process is not below `cgroup`.
 */
int netns_cookie_by_program(const char *cgroup, int socket_fd, uint64_t *ret_cookie);

#endif
