/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef BASE_LOOP_H
#define BASE_LOOP_H

/*
 * One thread's event loop on epoll: descriptors, timers (CLOCK_MONOTONIC), signals, and work put off to the end of
 * the turn. A turn is: wait, run what is due of timers, descriptors and signals, then the deferred work.
 *
 * Every registration is a struct loop_event that the loop owns. loop_remove() may be called at any time, also
 * from its own callback or from that of another event of the same turn: no callback of it runs afterwards.
 * Remove a descriptor's event before closing the descriptor. Functions return 0 or -errno.
 */
#include <stdint.h>
#include <sys/epoll.h>

struct loop;
struct loop_event;

typedef void loop_fd_fn(void *arg, int fd,
			uint32_t events); /* events: EPOLLIN … as epoll reports them */
typedef void loop_fn(void *arg);
typedef void loop_signal_fn(void *arg, int signo);

int loop_new(struct loop **ret_loop);
void loop_free(struct loop *loop); /* frees every event left; NULL is fine */

/* Watches fd (level-triggered unless events says EPOLLET). The fd stays the caller's. */
int loop_add_fd(struct loop *loop, int fd, uint32_t events, loop_fd_fn *fn, void *arg,
		struct loop_event **ret_event);
int loop_set_fd_events(struct loop_event *event, uint32_t events);

/* A timer, not yet armed. loop_arm() sets or moves it: first after delay_ns, then each period_ns (0: once).
 * A period that was missed is not made up for. loop_disarm() may be called when it is not armed. */
int loop_add_timer(struct loop *loop, loop_fn *fn, void *arg, struct loop_event **ret_event);
int loop_arm(struct loop_event *timer, uint64_t delay_ns, uint64_t period_ns);
void loop_disarm(struct loop_event *timer);
int loop_is_armed(const struct loop_event *timer);

/* Work put off: loop_post() makes fn run once at the end of this turn, however often it was posted. Posted from
 * within deferred work, it runs in the next turn, which then does not wait. */
int loop_add_deferred(struct loop *loop, loop_fn *fn, void *arg, struct loop_event **ret_event);
void loop_post(struct loop_event *deferred);

/* Blocks signo for this thread (start other threads later) and calls fn from the loop when it arrives. */
int loop_add_signal(struct loop *loop, int signo, loop_signal_fn *fn, void *arg,
		    struct loop_event **ret_event);

/* Ends a registration of any kind; NULL is fine. */
void loop_remove(struct loop_event *event);

/* Runs turns until loop_stop(); returns the status given there, or -errno. */
int loop_run(struct loop *loop);
void loop_stop(struct loop *loop, int status);

/* One turn: waits at most timeout_ns (UINT64_MAX: without end). How many callbacks ran, or -errno. */
int loop_turn(struct loop *loop, uint64_t timeout_ns);

/* Monotonic time at which this turn began: cheap, the same for all callbacks of a turn. */
uint64_t loop_now_ns(const struct loop *loop);

#endif
