/* SPDX-License-Identifier: GPL-2.0-only */
/* What the files of the harness share; tests do not include it. */
#ifndef PROG_HARNESS_INTERNAL_H
#define PROG_HARNESS_INTERNAL_H

#include "prog/harness.h"

#define HARNESS_MAPS 64

struct harness {
	bool loaded;
	struct harness_options options;
	struct bpf_object *objects[OBJECT_COUNT];
	int fast_error;    /* why sluice_tc_fast is not loaded; 0 = it is */
	enum dp_object tc; /* which of the two is under test */
	struct {
		char name[32];
		int fd;
	} maps[HARNESS_MAPS];
	int n_maps;
};
extern struct harness harness;

int harness_find_map(const char *name); /* -1: none */
const char *reason_name(unsigned int reason);
void counters_read(struct sl_counter ret[SL_REASON_COUNT]);
void control_reset(void);
void flows_reset(void);
/* A map of the family under test: map_of("rings") is sl4_rings or sl6_rings. */
int map_of(const char *name);
struct end end_of(const uint8_t *address, uint16_t port);

#endif
