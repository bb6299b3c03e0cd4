/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SERVE_CONVERT_H
#define SERVE_CONVERT_H

/*
 * What was said by options that both daemons have, as values. `option` is its name, for the error: all return 0, or -EINVAL or
 * -ENOMEM with *err naming the option, the word and what it must be.
 */
#include <stddef.h>

#include "base/err.h"
#include "base/options.h"
#include "core/address.h"
#include "serve/listen_addr.h"

int convert_listen(const char *option, const char *text, struct listen_addr *ret_addr,
		   struct err *err);

/* Arrays for the caller to free; NULL for an empty list. */
int convert_addresses(const char *option, const struct option_list *list,
		      struct address **ret_addresses, size_t *ret_n, struct err *err);
int convert_cidrs(const char *option, const struct option_list *list, struct cidr **ret_cidrs,
		  size_t *ret_n, struct err *err);

/* --source: the folder of dir:PATH, which points into text; NULL for kube. */
int convert_source(const char *text, const char **ret_dir, struct err *err);

#endif
