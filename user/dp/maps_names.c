/* SPDX-License-Identifier: GPL-2.0 */
/* Maps by number, name, family and table. Pure. */
/* Must not know the kernel: no map is opened here. */
#include "dp/maps.h"

#include <string.h>

static const char *const map_names[DP_MAPS] = {
#define MAP_NAME(name, writer) [DP_##name] = #name,
	SL_MAPS(MAP_NAME)
#undef MAP_NAME
};

const char *dp_map_name(enum dp_map map)
{
	return map_names[map];
}

enum dp_map dp_map_by_name(const char *name)
{
	for (int i = 0; i < DP_MAPS; i++)
		if (strcmp(map_names[i], name) == 0)
			return i;
	return DP_MAPS;
}

enum dp_map dp_map_of(int family, enum dp_map sl4_map)
{
	if (family == 6 && sl4_map >= DP_sl4_services && sl4_map < DP_sl6_services)
		return sl4_map + (DP_sl6_services - DP_sl4_services);
	return sl4_map;
}

_Static_assert(DP_sl6_be_stats - DP_sl6_services == DP_sl4_be_stats - DP_sl4_services,
	       "both families have the same maps in the same order");

bool dp_map_is_flows(enum dp_map map)
{
	return (map >= DP_sl4_flows_tcp && map <= DP_sl4_flows_udp) ||
	       (map >= DP_sl6_flows_tcp && map <= DP_sl6_flows_udp);
}

bool dp_map_is_buckets(enum dp_map map)
{
	return dp_map_is_flows(map) || map == DP_sl4_sockets || map == DP_sl6_sockets;
}

enum dp_map dp_flow_map(int family, enum dp_flow_table table)
{
	return dp_map_of(family, DP_sl4_flows_tcp) + table;
}

enum dp_map dp_map_of_row(enum row_table table)
{
	static const enum dp_map maps[ROW_TABLE_COUNT] = {
#define ROW_MAP(id, map, key, value, array) [id] = DP_##map,
		ROW_TABLES(ROW_MAP)
#undef ROW_MAP
	};

	return maps[table];
}
