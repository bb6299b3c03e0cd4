/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Why something in the data path failed, in words for people. dp/ never logs: the caller prints the text.
 * The kind decides the exit code (0 ok, 1 problem, 4 capability missing, 5 kernel feature missing).
 */
#ifndef DP_FAULT_H
#define DP_FAULT_H

enum dp_fault_kind {
	DP_FAULT_NONE,
	DP_FAULT_OTHER,
	DP_FAULT_CAPABILITY, /* the text names the capability */
	DP_FAULT_KERNEL,     /* the text names what the kernel lacks */
};

struct dp_fault {
	enum dp_fault_kind kind;
	char text[768];
};

/* Sets the text (object, field, remedy) and returns err, so that `return dp_fault_set(…, -EPERM, …)` reads well. */
int dp_fault_set(struct dp_fault *fault, enum dp_fault_kind kind, int err, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
/* The process exit code for a kind. */
int dp_fault_exit_code(const struct dp_fault *fault);

#endif
