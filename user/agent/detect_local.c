// SPDX-License-Identifier: GPL-2.0-only
/*
 * What may be said with --detect-local.
 * Must not know what it is used for.
 */
#include "agent/detect_local.h"

#include <errno.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "core/address.h"

static bool is_interface(const char *text)
{
	return *text && strlen(text) < IF_NAMESIZE && !strpbrk(text, "/ ");
}

static int check_cidrs(const char *list, struct err *err)
{
	char item[ADDRESS_TEXT_LEN + 4]; /* and "/128" */
	struct cidr cidr;

	do {
		size_t len = strcspn(list, ",");

		snprintf(item, sizeof(item), "%.*s", (int)len, list);
		if (len >= sizeof(item) || cidr_parse(item, &cidr) < 0)
			return err_set(err, -EINVAL,
				       "--detect-local cidr:%.*s: not a CIDR such as 10.244.0.0/16",
				       (int)len, list);
		list += len;
	} while (*list++);
	return 0;
}

int detect_local_check(const char *text, struct err *err)
{
	if (strcmp(text, "none") == 0 || strcmp(text, "node-cidr") == 0)
		return 0;
	if (strncmp(text, "cidr:", 5) == 0)
		return check_cidrs(text + 5, err);
	if (strncmp(text, "bridge:", 7) == 0 && is_interface(text + 7))
		return 0;
	if (strncmp(text, "prefix:", 7) == 0 && is_interface(text + 7))
		return 0;
	return err_set(
		err, -EINVAL,
		"--detect-local %s: must be cidr:CIDR[,CIDR], node-cidr, bridge:IF, prefix:IFPREFIX or none",
		text);
}
