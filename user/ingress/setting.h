/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef INGRESS_SETTING_H
#define INGRESS_SETTING_H

/* Annotations by their name without prefix: what "sluice.dev/" says goes before what "nginx.ingress.kubernetes.io/" says. Pure. */
#include "core/model_ingress.h"

/* The value, or NULL. */
const char *setting_get(const struct ingress *ingress, const char *name);
bool setting_is_true(const struct ingress *ingress, const char *name);

/* The name without a prefix of ours; NULL: it has none. */
const char *setting_name(const char *annotation);

/* The next item of a comma-separated list, without white space around it; empty ones are left out. NULL: no more. *list moves on;
 * start with the value. */
const char *setting_next(const char **list, size_t *ret_len);

#endif
