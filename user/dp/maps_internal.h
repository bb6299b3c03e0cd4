/* SPDX-License-Identifier: GPL-2.0 */
/* What load.c needs of maps.c to build a handle, and nobody else. */
#ifndef DP_MAPS_INTERNAL_H
#define DP_MAPS_INTERNAL_H

#include "dp/maps.h"

/* An empty handle: no map is open. NULL without memory. */
struct dp *dp_alloc(const struct pin_dir *pins);
/* Opens by pin what is not open yet. */
int dp_open_maps(struct dp *dp, struct err *err);
int dp_map_info_read(int fd, struct dp_map_info *ret_info);
/* Sizes of key and value against the ABI. 0 or -EPROTO. */
int dp_map_check(enum dp_map map, const struct dp_map_info *info, const char *dir, struct err *err);

#endif
