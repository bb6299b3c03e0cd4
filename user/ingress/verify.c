// SPDX-License-Identifier: GPL-2.0-only
/* Runs what a gate wants to be run elsewhere, and tells the worker. */
/* Must not know what it is. */
#include "ingress/verify.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/queue.h>

#include "ingress/exchange_state.h"
#include "ingress/gate.h"

struct verify_wait {
	STAILQ_ENTRY(verify_wait) link;
	struct worker *worker;
	struct exchange *x;   /* NULL: abandoned. Of the worker's thread alone */
	struct gate_job *job; /* counted */
};

struct verifier {
	pthread_t thread;
	pthread_mutex_t lock; /* of all below */
	pthread_cond_t more;
	STAILQ_HEAD(, verify_wait) waiting;
	unsigned n;
	bool over;
};

static void wait_free(struct verify_wait *wait)
{
	gate_job_drop(wait->job);
	free(wait);
}

static void tell(struct worker *worker, void *arg)
{
	struct verify_wait *wait = arg;
	struct exchange *x = wait->x;

	(void)worker;
	if (x) {
		x->verify = NULL;
		exchange_verified(x, true);
	}
	wait_free(wait);
}

static struct verify_wait *take(struct verifier *v)
{
	struct verify_wait *wait = NULL;

	pthread_mutex_lock(&v->lock);
	while (!v->over && !(wait = STAILQ_FIRST(&v->waiting)))
		pthread_cond_wait(&v->more, &v->lock);
	if (wait && v->over)
		wait = NULL;
	if (wait) {
		STAILQ_REMOVE_HEAD(&v->waiting, link);
		v->n--;
	}
	pthread_mutex_unlock(&v->lock);
	return wait;
}

static void *run(void *arg)
{
	struct verify_wait *wait;

	while ((wait = take(arg))) {
		gate_job_run(wait->job);
		/* Without memory for the letter the client waits until it is tired of it, and that is all. */
		(void)worker_post(wait->worker, tell, wait);
	}
	return NULL;
}

struct verifier *verifier_new(void)
{
	struct verifier *v = calloc(1, sizeof(*v));

	if (!v)
		return NULL;
	STAILQ_INIT(&v->waiting);
	pthread_mutex_init(&v->lock, NULL);
	pthread_cond_init(&v->more, NULL);
	if (pthread_create(&v->thread, NULL, run, v) == 0)
		return v;
	pthread_cond_destroy(&v->more);
	pthread_mutex_destroy(&v->lock);
	free(v);
	return NULL;
}

void verifier_free(struct verifier *v)
{
	struct verify_wait *wait;

	if (!v)
		return;
	pthread_mutex_lock(&v->lock);
	v->over = true;
	pthread_cond_signal(&v->more);
	pthread_mutex_unlock(&v->lock);
	pthread_join(v->thread, NULL);
	while ((wait = STAILQ_FIRST(&v->waiting))) {
		STAILQ_REMOVE_HEAD(&v->waiting, link);
		if (wait->x)
			wait->x->verify = NULL;
		wait_free(wait);
	}
	pthread_cond_destroy(&v->more);
	pthread_mutex_destroy(&v->lock);
	free(v);
}

bool verify_start(struct exchange *x)
{
	struct verifier *v = x->worker->verifier;
	struct verify_wait *wait = v ? calloc(1, sizeof(*wait)) : NULL;
	bool room;

	if (!wait)
		return false;
	*wait = (struct verify_wait){ .worker = x->worker,
				      .x = x,
				      .job = gate_job_hold(x->judged->gate.job) };
	pthread_mutex_lock(&v->lock);
	room = v->n < VERIFY_MAX;
	if (room) {
		STAILQ_INSERT_TAIL(&v->waiting, wait, link);
		v->n++;
		pthread_cond_signal(&v->more);
	}
	pthread_mutex_unlock(&v->lock);
	if (room)
		x->verify = wait;
	else
		wait_free(wait);
	return room;
}

void verify_abandon(struct verify_wait *wait)
{
	wait->x = NULL;
}
