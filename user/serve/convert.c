// SPDX-License-Identifier: GPL-2.0-only
/*
 * Words of options to addresses, ranges and places.
 * Must not know which daemon asks, or what for.
 */
#include "serve/convert.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int convert_listen(const char *option, const char *text, struct listen_addr *ret_addr,
		   struct err *err)
{
	if (listen_addr_parse(text, ret_addr) == 0)
		return 0;
	return err_set(err, -EINVAL, "--%s %s: must be ADDRESS:PORT, [ADDRESS]:PORT, :PORT or off",
		       option, text);
}

int convert_addresses(const char *option, const struct option_list *list,
		      struct address **ret_addresses, size_t *ret_n, struct err *err)
{
	struct address *out = list->len ? calloc(list->len, sizeof(*out)) : NULL;

	if (list->len && !out)
		return err_set(err, -ENOMEM, "no memory");
	for (size_t i = 0; i < list->len; i++) {
		if (address_parse(list->item[i], &out[i]) == 0)
			continue;
		free(out);
		return err_set(err, -EINVAL, "--%s %s: not an IPv4 or IPv6 address", option,
			       list->item[i]);
	}
	*ret_addresses = out;
	*ret_n = list->len;
	return 0;
}

int convert_cidrs(const char *option, const struct option_list *list, struct cidr **ret_cidrs,
		  size_t *ret_n, struct err *err)
{
	struct cidr *out = list->len ? calloc(list->len, sizeof(*out)) : NULL;

	if (list->len && !out)
		return err_set(err, -ENOMEM, "no memory");
	for (size_t i = 0; i < list->len; i++) {
		if (cidr_parse(list->item[i], &out[i]) == 0)
			continue;
		free(out);
		return err_set(err, -EINVAL, "--%s %s: not a CIDR such as 10.96.0.0/12", option,
			       list->item[i]);
	}
	*ret_cidrs = out;
	*ret_n = list->len;
	return 0;
}

int convert_source(const char *text, const char **ret_dir, struct err *err)
{
	bool is_dir = strncmp(text, "dir:", 4) == 0 && text[4];

	if (!is_dir && strcmp(text, "kube") != 0)
		return err_set(err, -EINVAL, "--source %s: must be kube or dir:PATH", text);
	*ret_dir = is_dir ? text + 4 : NULL;
	return 0;
}
