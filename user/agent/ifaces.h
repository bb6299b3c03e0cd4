// SPDX-License-Identifier: GPL-2.0-only
/*
 * Keeps programs on the interfaces that are wanted: looks when the kernel says that something changed, after a lost
 * message, and every 30 seconds; tries again what failed.
 */
#ifndef AGENT_IFACES_H
#define AGENT_IFACES_H

#include <stddef.h>
#include <stdint.h>

#include "agent/options.h"
#include "base/err.h"
#include "dp/attach.h"
#include "dp/links.h"

struct ifaces;
struct loop;
struct problems;
struct sync;

/* dp, attach, sync and problems outlive it. */
int ifaces_new(struct loop *loop, struct dp *dp, struct attach *attach, struct sync *sync,
	       const struct config *config, struct problems *problems, struct err *err,
	       struct ifaces **ret_ifaces);
void ifaces_free(struct ifaces *ifaces);

/* Looks now. 0, or -EAGAIN where a hook failed (it is tried again). */
int ifaces_look(struct ifaces *ifaces);
/* Looks soon: the node's addresses may have changed. */
void ifaces_poke(struct ifaces *ifaces);

/* What is wanted at present. */
const struct attach_want *ifaces_wants(const struct ifaces *ifaces, size_t *ret_n);
uint64_t ifaces_scans(const struct ifaces *ifaces);

#endif
