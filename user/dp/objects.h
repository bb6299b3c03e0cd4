/* SPDX-License-Identifier: GPL-2.0 */
/* The BPF objects that are built into the binary. */
#ifndef DP_OBJECTS_H
#define DP_OBJECTS_H

#include <stddef.h>

enum dp_object {
	OBJECT_XDP,
	OBJECT_TC,
	OBJECT_TC_FAST, /* the programs of OBJECT_TC, for kernels ≥ 6.2 */
	OBJECT_SOCK,
	OBJECT_COUNT,
};

const char *object_name(enum dp_object object);
/* The ELF file, in memory for good. */
const void *object_bytes(enum dp_object object, size_t *ret_len);

#endif
