/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef INGRESS_PATH_H
#define INGRESS_PATH_H

/* Request paths between the form on the wire and the form that is matched (RFC 3986). Pure. */
#include <stddef.h>

#include "base/buf.h"

/*
 * The matched form: percent-decoded once, slashes merged, "." and ".." resolved; %2F counts as a slash. `out` has room
 * for len + 1 bytes and may be raw itself. The empty path is "/". A NUL is written behind, not counted.
 * 0, or -EINVAL: a broken escape, NUL (plain or %00), ".." above the root, or no '/' in front.
 */
int path_normalise(const char *raw, size_t len, char *out, size_t *ret_len);

/* Appends decoded bytes in a form that is safe in a request line's path: what would end it (space, '?', '#', '%',
 * control, above 0x7e) becomes %XX. 0 or -ENOMEM. */
int path_encode(struct buf *out, const char *path, size_t len);

/* The same for a value among arguments: '&', '+', '=' and ';' too. */
int path_encode_argument(struct buf *out, const char *text, size_t len);

/* Resolves "." and ".." (also written %2e) and merges slashes of an encoded path in place; never climbs above the root. */
void path_resolve(char *path, size_t *len);

#endif
