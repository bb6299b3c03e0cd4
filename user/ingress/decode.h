/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef INGRESS_DECODE_H
#define INGRESS_DECODE_H

/* Values to Ingress and IngressClass; notes as in source/field.h. */
#include "ingress/model.h"
#include "source/field.h"

/*
 * From a document. 0, -EINVAL (refused: notes->text says why), -ENOMEM. There may be notes all the same. The kind is the
 * caller's to look at. notes->from_api says who wrote it; it is reset otherwise.
 */
int ingress_decode(struct value v, struct notes *notes, struct ingress *ret_ingress);
int ingress_class_decode(struct value v, struct notes *notes, struct ingress_class *ret_class);

#endif
