// SPDX-License-Identifier: GPL-2.0-only
/* Word to the service manager (systemd's sd_notify protocol: a datagram to $NOTIFY_SOCKET). */
#ifndef BASE_NOTIFY_H
#define BASE_NOTIFY_H

/* Sends lines such as "READY=1\nSTATUS=…". Without a service manager nothing happens. */
void notify_send(const char *lines);

#endif
