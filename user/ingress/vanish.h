/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef INGRESS_VANISH_H
#define INGRESS_VANISH_H

/*
 * Gives up peers that answer nothing any more, after --vanished-timeout: their node is gone, or the way to it.
 *
 * TCP_USER_TIMEOUT is not it: it also counts the time that a peer's window stays closed, though the peer acknowledges every
 * probe. So a connection on which nothing is outstanding is left to the kernel's keep-alive, and one to which bytes were written is
 * looked at now and then, until all of them are acknowledged. What counts is whether something was sent that nothing
 * came after: a peer that takes no more, but says so, is there, and how long it may do that is for other times to say.
 *
 * A window that has been closed for long is probed ever more rarely (the kernel doubles the time, up to two minutes), so a peer
 * that vanishes then is noticed that much later.
 */
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

struct sock;
struct tcp_info;

/* Embedded in a sock; all-zero: not looked at. */
struct vanish_watch {
	TAILQ_ENTRY(sock) link;
	uint64_t look_ns;  /* when next; 0: it is in no list */
	uint64_t doubt_ns; /* since when something is not answered; 0: everything is */
};

/* Those of a worker, in the order in which they are looked at. */
TAILQ_HEAD(vanish_list, sock);

/* Options of a connected or listening socket (what is accepted inherits them), whatever it had before. 0: as the kernel does. */
void vanish_set_options(int fd, uint64_t vanished_ns);

/* Bytes were written: is the peer still there? When it is not, the sock fails with -ETIMEDOUT and its fn is called. */
void vanish_watch(struct sock *sock);
void vanish_forget(struct sock *sock);

/* For tests. What the kernel says of a connection: is something outstanding, so that it is to be looked at again? */
bool vanish_is_outstanding(const struct tcp_info *info);
/* Is it in doubt, at now_ns, whether somebody is there? Sets *doubt_ns, as it was left by the look before. */
bool vanish_is_over(const struct tcp_info *info, uint64_t now_ns, uint64_t vanished_ns,
		    uint64_t *doubt_ns);

#endif
