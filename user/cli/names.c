// SPDX-License-Identifier: GPL-2.0-only
/*
 * How services are called, in tables and on the command line.
 * Must not know where names come from.
 */
#include "cli/cli.h"

#include <stdio.h>
#include <string.h>

const struct sl_name *cli_names_find(const struct cli_names *names, uint32_t service)
{
	return service < names->n && names->names[service].namespace[0] ? &names->names[service]
									: NULL;
}

const char *cli_service_text(const char *name, const char *port_name, uint16_t port,
			     char buf[CLI_NAME_LEN])
{
	if (port_name && *port_name)
		snprintf(buf, CLI_NAME_LEN, "%s:%s", name, port_name);
	else
		snprintf(buf, CLI_NAME_LEN, "%s:%u", name, port);
	return buf;
}

bool cli_service_matches(const char *wanted, const char *namespace, const char *name,
			 const char *port_name, uint16_t port)
{
	const char *slash, *colon;
	char number[8];

	if (!wanted)
		return true;
	slash = strchr(wanted, '/');
	if (slash) {
		if (strlen(namespace) != (size_t)(slash - wanted) ||
		    strncmp(wanted, namespace, (size_t)(slash - wanted)) != 0)
			return false;
		wanted = slash + 1;
	}
	colon = strchr(wanted, ':');
	if (!colon)
		return !strcmp(wanted, name);
	if (strlen(name) != (size_t)(colon - wanted) ||
	    strncmp(wanted, name, (size_t)(colon - wanted)) != 0)
		return false;
	snprintf(number, sizeof(number), "%u", port);
	return !strcmp(colon + 1, number) ||
	       (port_name && *port_name && !strcmp(colon + 1, port_name));
}
