/* SPDX-License-Identifier: GPL-2.0 */
/* Makes the maps that are missing and takes over those that are pinned. Used by load.c alone. */
#ifndef DP_MAPS_MAKE_H
#define DP_MAPS_MAKE_H

#include <stdbool.h>

#include <bpf/libbpf.h>

#include "base/err.h"
#include "dp/maps.h"
#include "dp/sizes.h"

/*
 * object: an opened object that declares every map. It is loaded without programs. A pinned map whose layout or
 * size does not fit is refused (-EPROTO, -EEXIST), and nothing is changed then.
 */
int maps_make(struct dp *dp, struct bpf_object *object, const struct dp_sizes *sizes,
	      struct err *err, bool *ret_made);
/* Gives an object our maps instead of its own. 0 or -errno. */
int maps_share(const struct dp *dp, struct bpf_object *object);
/* Pins a map that an object brought along. */
int maps_keep(struct dp *dp, struct bpf_object *object, struct err *err);

#endif
