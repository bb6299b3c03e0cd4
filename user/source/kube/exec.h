/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SOURCE_KUBE_EXEC_H
#define SOURCE_KUBE_EXEC_H

/*
 * Runs a credential plugin: a program that prints an ExecCredential (client.authentication.k8s.io). No shell; its output is
 * read from the loop, at most EXEC_OUTPUT_MAX of it and for at most EXEC_NS; then it is killed, with what it started.
 */
#include <stddef.h>
#include <stdint.h>

struct loop;
struct exec;

#define EXEC_OUTPUT_MAX ((size_t)64 << 10)
#define EXEC_NS         UINT64_C(30000000000)

/* output: NUL-terminated, valid during the call; NULL: it failed, `why` says how. The exec is gone then. */
typedef void exec_fn(void *ctx, const char *output, const char *why);

/* argv[0] is looked for in PATH unless it holds a slash. env replaces ours. 0 or a negative errno: fn is not called. */
int exec_start(struct loop *loop, char *const argv[], char *const env[], exec_fn *fn, void *ctx,
	       struct exec **ret_exec);
/* Kills it; fn is not called. NULL is fine. */
void exec_cancel(struct exec *exec);

#endif
