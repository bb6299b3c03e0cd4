/* SPDX-License-Identifier: GPL-2.0 */
/* The BPF objects as bytes, out of the generated skeletons. */
/* Must not know how they are loaded. */
#include "dp/objects.h"

#include "sluice_abi.h"

#include "sluice_sock.skel.h"
#include "sluice_tc.skel.h"
#include "sluice_tc_fast.skel.h"
#include "sluice_xdp.skel.h"

static const struct {
	const char *name;
	const void *(*bytes)(size_t *ret_len);
} objects[OBJECT_COUNT] = {
	[OBJECT_XDP] = { "sluice_xdp", sluice_xdp__elf_bytes },
	[OBJECT_TC] = { "sluice_tc", sluice_tc__elf_bytes },
	[OBJECT_TC_FAST] = { "sluice_tc_fast", sluice_tc_fast__elf_bytes },
	[OBJECT_SOCK] = { "sluice_sock", sluice_sock__elf_bytes },
};

const char *object_name(enum dp_object object)
{
	return objects[object].name;
}

const void *object_bytes(enum dp_object object, size_t *ret_len)
{
	return objects[object].bytes(ret_len);
}
