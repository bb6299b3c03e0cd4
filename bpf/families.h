/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The steps, once for each family. V(name) is sl4_name, then sl6_name; an entry includes this file and has both.
 * Order is dependency order: a step uses those above it.
 */
#ifndef BPF_FAMILIES_H
#define BPF_FAMILIES_H

#include "maps.h"
#include "count.h"
#include "slots.h"

#define SL_PASTE_(family, name) sl##family##_##name
#define SL_PASTE(family, name)  SL_PASTE_(family, name)
#define V(name)                 SL_PASTE(FAMILY, name)

#define FAMILY 4
#include "steps.h"
#undef FAMILY
#define FAMILY 6
#include "steps.h"
#undef FAMILY

#endif
