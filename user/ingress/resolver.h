/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef INGRESS_RESOLVER_H
#define INGRESS_RESOLVER_H

/*
 * Addresses of hosts that are no Services: authentication services outside of the cluster. A thread of its own asks the system's
 * resolver, at once and then now and then; a name that cannot be resolved for a while keeps the addresses it had.
 */
#include <stdint.h>

struct resolver;
struct upstream;

/* The thread begins with the first name that is wanted. 0 or -ENOMEM. */
int resolver_new(struct resolver **ret_resolver);
void resolver_free(
	struct resolver *
		resolver); /* at once: a question that is being asked is left behind; NULL is fine */

/*
 * The endpoints of host (a name, or an address without brackets) and port: counted, the same for the same, and followed as long
 * as anybody else has it. It may be empty at first; an address is there at once. NULL: no memory. Of one thread.
 */
struct upstream *resolver_want(struct resolver *resolver, const char *host, uint16_t port);

#endif
