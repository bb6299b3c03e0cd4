// SPDX-License-Identifier: GPL-2.0-only
/* Basic authentication of one request, and the passwords that were right of late. */
/* Must not know how hashes are made. */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/table.h"
#include "ingress/auth.h"
#include "ingress/gate_parts.h"

#define KEPT      1024 /* passwords remembered */
#define KEPT_NS   (300 * CLOCK_NS_PER_S)
#define FIELD_MAX 1024 /* bytes of Authorization that are looked at */

/* Two keyed hashes of list, name, hash and password: nothing that could be tried against. */
struct proof {
	uint64_t one, two;
};

struct passwords {
	uint64_t seed;
	pthread_mutex_t lock;
	struct {
		struct proof proof;
		uint64_t until_ns;
	} right[KEPT];
};

struct gate_job {
	_Atomic unsigned refs;
	struct passwords *passwords;
	struct proof proof;
	bool right;
	uint64_t now_ns;
	char *hash;     /* NULL: there is no such user */
	char *password; /* overwritten at the end */
};

int passwords_new(uint64_t seed, struct passwords **ret_passwords)
{
	struct passwords *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	p->seed = seed;
	pthread_mutex_init(&p->lock, NULL);
	*ret_passwords = p;
	return 0;
}

void passwords_free(struct passwords *p)
{
	if (!p)
		return;
	pthread_mutex_destroy(&p->lock);
	free(p);
}

static bool is_known(struct passwords *p, struct proof proof, uint64_t now_ns)
{
	size_t i = proof.one % KEPT;
	bool known;

	pthread_mutex_lock(&p->lock);
	known = p->right[i].until_ns > now_ns && p->right[i].proof.one == proof.one &&
		p->right[i].proof.two == proof.two;
	pthread_mutex_unlock(&p->lock);
	return known;
}

static void keep(struct passwords *p, struct proof proof, uint64_t now_ns)
{
	size_t i = proof.one % KEPT;

	pthread_mutex_lock(&p->lock);
	p->right[i].proof = proof;
	p->right[i].until_ns = now_ns + KEPT_NS;
	pthread_mutex_unlock(&p->lock);
}

static int prove(const struct passwords *p, uint64_t id, const char *hash, const char *name,
		 const char *password, struct proof *ret_proof)
{
	struct buf text = { 0 };
	int rc = -ENOMEM;

	buf_put(&text, &id, sizeof(id));
	buf_put(&text, name, strlen(name) + 1);
	buf_put(&text, hash, strlen(hash) + 1);
	buf_puts(&text, password);
	if (!text.failed) {
		ret_proof->one = table_hash(p->seed, text.data, text.len);
		ret_proof->two = table_hash(~p->seed * 3, text.data, text.len);
		explicit_bzero(text.data, text.len);
		rc = 0;
	}
	buf_done(&text);
	return rc;
}

/* ---- jobs -------------------------------------------------------------------------------------------------------- */

struct gate_job *gate_job_hold(struct gate_job *job)
{
	atomic_fetch_add_explicit(&job->refs, 1, memory_order_relaxed);
	return job;
}

void gate_job_drop(struct gate_job *job)
{
	if (!job || atomic_fetch_sub(&job->refs, 1) != 1)
		return;
	if (job->password)
		explicit_bzero(job->password, strlen(job->password));
	free(job->password);
	free(job->hash);
	free(job);
}

void gate_job_run(struct gate_job *job)
{
	job->right = auth_check(job->hash, job->password);
	if (job->right)
		keep(job->passwords, job->proof, job->now_ns);
}

static struct gate_job *new_job(const struct step *s, const char *hash, const char *password,
				struct proof proof)
{
	struct gate_job *job = calloc(1, sizeof(*job));

	if (!job)
		return NULL;
	job->refs = 1;
	job->passwords = s->q->gate->passwords;
	job->proof = proof;
	job->now_ns = s->q->now_ns;
	job->password = strdup(password);
	job->hash = hash ? strdup(hash) : NULL;
	if (!job->password || (hash && !job->hash)) {
		gate_job_drop(job);
		return NULL;
	}
	return job;
}

/* ---- the step ------------------------------------------------------------------------------------------------------ */

static enum gate_verdict ask_for_it(struct step *s, const char *reason)
{
	const char *challenge = gate_printf(s, "Basic realm=\"%s\"", s->policy->auth.realm);

	gate_set(s, &s->result->answer_set, "WWW-Authenticate", challenge);
	return gate_answer(s, 401, reason);
}

/* Whoever is behind it does not need to know the password. */
static enum gate_verdict welcome(struct step *s)
{
	gate_set(s, &s->result->request_set, "Authorization", NULL);
	return GATE_PASS;
}

enum gate_verdict gate_basic_done(struct step *s, bool run)
{
	if (!run)
		return gate_answer(s, 503, "too many passwords are being checked");
	if (!s->result->job->right)
		return ask_for_it(s, "the name or the password is wrong");
	return welcome(s);
}

enum gate_verdict gate_basic(struct step *s)
{
	struct gate_slice field = gate_field(s->q, "authorization", false);
	const struct auth_users *users = s->policy->auth.users;
	const char *name, *password, *hash;
	char text[FIELD_MAX + 1];
	struct proof proof = { 0 };
	enum gate_verdict verdict = GATE_VERIFY;

	if (!field.at)
		return ask_for_it(s, "a name and a password are needed");
	if (!users || field.len > FIELD_MAX ||
	    !auth_parse_basic(field.at, field.len, text, &name, &password))
		return ask_for_it(s, "the Authorization field is not one of basic authentication");
	hash = auth_users_find(users, name, strlen(name));
	if (prove(s->q->gate->passwords, auth_users_id(users), hash ? hash : "", name, password,
		  &proof) < 0)
		s->no_memory = true;
	else if (hash && is_known(s->q->gate->passwords, proof, s->q->now_ns))
		verdict = welcome(s);
	else
		s->no_memory |= !(s->result->job = new_job(s, hash, password, proof));
	explicit_bzero(text, sizeof(text));
	if (verdict == GATE_VERIFY && !s->no_memory && !s->q->can_wait) {
		gate_job_run(s->result->job);
		verdict = gate_basic_done(s, true);
		gate_job_drop(s->result->job);
		s->result->job = NULL;
	}
	return verdict;
}
