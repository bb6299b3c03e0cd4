/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The kernel's table of connections as /proc/net/nf_conntrack has it: connections to services that somebody else translates, as a
 * kube-proxy that was here before has left them. Reads text; must not know what follows from it.
 */
#ifndef CLI_LEFTOVERS_H
#define CLI_LEFTOVERS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/buf.h"
#include "core/view.h"

struct leftover {
	uint8_t proto;
	struct address vip; /* where the client sent it */
	uint16_t port;
	bool over; /* its end hurts nobody: TCP in TIME_WAIT, UDP */
};

struct leftovers {
	uint64_t over, open;
};

/* One line. True if its answers come from elsewhere than it was sent to: its destination was translated. */
bool leftovers_parse(const char *line, struct leftover *ret_leftover);
/* Of all lines of a file, those whose destination is a service port of the view. */
struct leftovers leftovers_count(FILE *file, const struct view *view);
/*
 * Appends the commands for a shell that take those off that are over, or all, whose destination is in one of the service ranges.
 * Without a range: those that are over, whatever translated them; for all of them there is no command that touches nothing else,
 * and nothing is appended.
 */
void leftovers_command(const struct cidr *ranges, size_t n_ranges, bool all, struct buf *ret_text);

#endif
