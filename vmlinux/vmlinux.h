/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The kernel's types that the BPF programs use, and no more. Packet headers and program contexts come from the kernel's
 * user interface headers, whose layout is fixed. Kernel structures carry preserve_access_index: their fields are found
 * in the running kernel's BTF when a program is loaded, so nothing of the building machine's kernel is needed.
 * `make vmlinux` writes a full header of the running kernel into the build folder, for reading.
 */
#ifndef VMLINUX_H
#define VMLINUX_H

#include <linux/types.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/pkt_cls.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <stdbool.h>

#ifndef NULL
#define NULL ((void *)0)
#endif

#define AF_INET 2
#define AF_INET6 10

/* <linux/icmp.h> brings the C library's headers along; these are RFC 792's and RFC 4443's numbers. */
#define ICMP_DEST_UNREACH 3
#define ICMP_PORT_UNREACH 3
#define ICMP_TIME_EXCEEDED 11
#define ICMP_PARAMETERPROB 12
#define ICMPV6_DEST_UNREACH 1
#define ICMPV6_PORT_UNREACH 4

struct sk_buff {
	__u8 ip_summed : 2;
} __attribute__((preserve_access_index));

/* values of sk_buff.ip_summed */
#define CHECKSUM_COMPLETE 2
#define CHECKSUM_PARTIAL 3

#endif
