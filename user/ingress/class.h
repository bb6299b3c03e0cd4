/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef INGRESS_CLASS_H
#define INGRESS_CLASS_H

/* Which Ingresses are ours. Pure. */
#include "ingress/routes.h"

/* Notes why not, where the user may have meant otherwise. */
bool class_is_ours(const struct routes_input *in, const struct ingress *ingress);

#endif
