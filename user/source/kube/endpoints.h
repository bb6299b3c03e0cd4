/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SOURCE_KUBE_ENDPOINTS_H
#define SOURCE_KUBE_ENDPOINTS_H

/*
 * Where the API servers themselves are, as the Service default/kubernetes says: a node's proxy must not reach its API server
 * through the address that it translates itself. Kept in a file, for the next start.
 */
#include <stdbool.h>

#include "core/model.h"
#include "source/kube/http.h"

struct api_endpoints {
	struct kube_server *servers; /* in no order that means anything; never emptied */
	size_t n;
};

void api_endpoints_done(struct api_endpoints *e);

/* Reads the file: one "ADDRESS PORT" a line. A file that is missing, or lines that are not so, give nothing. */
void api_endpoints_load(struct api_endpoints *e, const char *path);
/* Replaces the file as a whole. 0 or -errno. */
int api_endpoints_save(const struct api_endpoints *e, const char *path);

/* Is it a slice of default/kubernetes, of a family that we read? */
bool api_endpoints_are_in(const struct endpoint_slice *slice);
/*
 * Takes the slice's endpoints, in place of those of its family. 1: they are others than before; 0; -ENOMEM. A slice without
 * one that is ready leaves them as they are: an API server that tells us so is there.
 */
int api_endpoints_take(struct api_endpoints *e, const struct endpoint_slice *slice);

#endif
