/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef INGRESS_CERTS_PARSE_H
#define INGRESS_CERTS_PARSE_H

/* What certs needs of OpenSSL's PEM and X.509; cert_parse() and certs_parse_store() are in ingress/certs.h. */
#include "ingress/certs.h"

/* A certificate for nobody, signed by itself, valid for a year from now_s: so that there is always one. 0 or -ENOMEM. */
int cert_make(int64_t now_s, struct cert **ret_cert);

#endif
