/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef INGRESS_ASK_H
#define INGRESS_ASK_H

/*
 * External authentication: before a request goes anywhere, another one is sent to the service that the Ingress names, and its
 * answer decides. It is an exchange as any other, whose client is this.
 */
struct ask;
struct exchange;

/* Asks for x, which was judged GATE_ASK; exchange_judged() follows, never from within. 0; -ENOENT: there is nobody to ask;
 * -ENOMEM. */
int ask_start(struct exchange *x);

/* Nobody wants to know any more. */
void ask_abandon(struct ask *ask);

#endif
