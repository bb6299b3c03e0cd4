/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SOURCE_DECODE_READ_H
#define SOURCE_DECODE_READ_H

/* Inside of the decoder: one function for each kind, and the readers they share. Notes as in source/field.h. */
#include "source/field.h"
#include "source/object.h"

/* Fills the object (kind and metadata are there). What it allocated is freed with the object, refused or not. */
typedef void decode_kind_fn(struct notes *n, const struct field *root, struct object *object);
decode_kind_fn decode_service, decode_slice, decode_node, decode_service_cidr;
decode_kind_fn decode_ingress, decode_ingress_class, decode_secret;

/* A label or annotation (map "labels", "annotations") by name; its map goes to *ret_map, which must outlive it. */
struct field decode_tag(struct notes *n, const struct field *metadata, const char *map,
			const char *key, struct field *ret_map);
/* The label's value, to be freed; NULL if there is none. */
char *decode_label(struct notes *n, const struct field *root, const char *key);

extern const char *const decode_family_words[]; /* IPv4, IPv6 */
extern const char *const decode_proto_words[];
extern const uint8_t decode_protos[]; /* IPPROTO_ of the word at the same place */

/* 1 to 65535; true if it is there and right. */
bool field_port(struct notes *n, const struct field *f, uint16_t *ret_port);
/* 0 to 65535; 0 if absent. */
uint16_t field_optional_port(struct notes *n, const struct field *f);
/* The address in `text`, which is the field's; if it is none, that is noted. */
bool field_address_text(struct notes *n, const struct field *f, const char *text,
			struct address *ret_addr);
/* Lists; elements that are no address (no CIDR) are noted and left out. Absent lists leave the outputs alone. */
void field_addresses(struct notes *n, const struct field *list, struct address **ret_addrs,
		     size_t *ret_n);
void field_cidrs(struct notes *n, const struct field *list, struct cidr **ret_cidrs, size_t *ret_n);
/* The `name` members of a list of maps. */
void field_names(struct notes *n, const struct field *list, char ***ret_names, size_t *ret_n);
/* RFC 3339 to nanoseconds since 1970; 0 if absent or wrong, which is noted. */
int64_t field_time(struct notes *n, const struct field *f);

#endif
