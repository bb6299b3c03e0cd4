// SPDX-License-Identifier: GPL-2.0-only
/*
 * Lines of /proc/net/nf_conntrack: "ipv4 2 tcp 6 59 TIME_WAIT src=… dst=… sport=… dport=… src=… dst=… sport=… dport=… mark=0 …",
 * the first four of the way there, the others of the way back.
 */
#include "cli/leftovers.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

/* The n-th "NAME=VALUE" of that name, from 0; its value, or NULL. */
static const char *value_of(const char *line, const char *name, int n)
{
	size_t len = strlen(name);

	for (const char *at = line; (at = strchr(at, ' '));) {
		at++;
		if (strncmp(at, name, len) == 0 && at[len] == '=' && n-- == 0)
			return at + len + 1;
	}
	return NULL;
}

static bool get_address(const char *line, const char *name, int n, struct address *ret_addr)
{
	const char *value = value_of(line, name, n);
	char text[ADDRESS_TEXT_LEN];
	size_t len = value ? strcspn(value, " \n") : 0;

	if (!len || len >= sizeof(text))
		return false;
	memcpy(text, value, len);
	text[len] = 0;
	return address_parse(text, ret_addr) == 0;
}

static bool get_port(const char *line, const char *name, int n, uint16_t *ret_port)
{
	const char *value = value_of(line, name, n);

	if (value)
		*ret_port = (uint16_t)strtoul(value, NULL, 10);
	return value != NULL;
}

bool leftovers_parse(const char *line, struct leftover *ret_leftover)
{
	struct address to, from;
	uint16_t to_port, from_port;
	unsigned int proto;
	char state[16] = "";

	if (sscanf(line, "%*s %*u %*s %u %*u %15s", &proto, state) < 1 || proto > 255 ||
	    !get_address(line, "dst", 0, &to) || !get_address(line, "src", 1, &from) ||
	    !get_port(line, "dport", 0, &to_port) || !get_port(line, "sport", 1, &from_port))
		return false;
	if (to_port == from_port && address_cmp(&to, &from) == 0)
		return false;
	*ret_leftover = (struct leftover){
		.proto = (uint8_t)proto,
		.vip = to,
		.port = to_port,
		.over = proto == IPPROTO_UDP || strcmp(state, "TIME_WAIT") == 0,
	};
	return true;
}

struct leftovers leftovers_count(FILE *file, const struct view *view)
{
	_cleanup_free_ char *line = NULL;
	struct leftovers n = { 0 };
	struct leftover found;
	size_t room = 0;

	while (getline(&line, &room, file) >= 0) {
		if (!leftovers_parse(line, &found) ||
		    !view_find(view, &found.vip, found.port, found.proto))
			continue;
		n.over += found.over;
		n.open += !found.over;
	}
	return n;
}

static void put_command(const char *what, const char *which, struct buf *text)
{
	buf_printf(text, "%sconntrack -D %s%s", text->len ? "; " : "", what, which);
}

void leftovers_command(const struct cidr *ranges, size_t n_ranges, bool all, struct buf *ret_text)
{
	/* named, since older ones of these tools look at IPv4 alone otherwise */
	static const char *const anywhere[] = { "-f ipv4 --dst-nat", "-f ipv6 --dst-nat" };
	char which[CIDR_TEXT_LEN + 4], text[CIDR_TEXT_LEN];

	if (!n_ranges && all)
		return;
	for (size_t i = 0; i < (n_ranges ? n_ranges : 2); i++) {
		if (n_ranges)
			snprintf(which, sizeof(which), "-d %s", cidr_format(&ranges[i], text));
		if (all) {
			put_command("", which, ret_text);
			continue;
		}
		put_command("-p tcp --state TIME_WAIT ", n_ranges ? which : anywhere[i], ret_text);
		put_command("-p udp ", n_ranges ? which : anywhere[i], ret_text);
	}
}
