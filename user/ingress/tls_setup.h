/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef INGRESS_TLS_SETUP_H
#define INGRESS_TLS_SETUP_H

/* What TLS to clients and TLS to origins have in common. */
#include <openssl/ssl.h>
#include <stdbool.h>

/* Versions, ciphers (NULL: ours; else OpenSSL's words for TLS 1.2), modes. false: OpenSSL's queue says why. */
bool tls_setup(SSL_CTX *ctx, const char *ciphers);

#endif
