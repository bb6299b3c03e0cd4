/* SPDX-License-Identifier: GPL-2.0 */
/* Included once a family by families.h; no guard on purpose. An entry takes the steps it needs. */
#include "address.h"
#include "service.h"
#include "select.h"
#ifdef SL_STEPS_FLOW
#include "flow.h"
#endif
#ifdef SL_STEPS_SOCKET
#include "socket.h"
#endif
#ifdef SL_STEPS_PARSE
#include "parse.h"
#endif
#ifdef SL_STEPS_PACKET
#include "work.h"
#include "bucket.h"
#include "track.h"
#include "rewrite.h"
#include "bypass.h"
#include "open.h"
#include "frag.h"
#include "icmp.h"
#include "refuse.h"
#include "walk.h"
#endif
