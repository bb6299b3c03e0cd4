// SPDX-License-Identifier: GPL-2.0-only
/*
 * Lines of /proc/net/nf_conntrack: "ipv4 2 tcp 6 59 TIME_WAIT src=… dst=… sport=… dport=… src=… dst=… sport=… dport=… mark=0 …",
 * the first four of the way there, the others of the way back.
 */
#include "cli/leftovers.h"

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

	if (sscanf(line, "%*s %*u %*s %u", &proto) != 1 || proto > 255 ||
	    !get_address(line, "dst", 0, &to) || !get_address(line, "src", 1, &from) ||
	    !get_port(line, "dport", 0, &to_port) || !get_port(line, "sport", 1, &from_port))
		return false;
	if (to_port == from_port && address_cmp(&to, &from) == 0)
		return false;
	*ret_leftover = (struct leftover){ (uint8_t)proto, to, to_port };
	return true;
}

uint64_t leftovers_count(FILE *file, const struct view *view)
{
	_cleanup_free_ char *line = NULL;
	struct leftover found;
	size_t room = 0;
	uint64_t n = 0;

	while (getline(&line, &room, file) >= 0)
		n += leftovers_parse(line, &found) &&
		     view_find(view, &found.vip, found.port, found.proto);
	return n;
}
