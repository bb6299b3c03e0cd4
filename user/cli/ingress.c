// SPDX-License-Identifier: GPL-2.0-only
/*
 * sluicectl ingress: what the proxy of this node does not serve as it was asked to, why, and what to do.
 * Must not know how the proxy finds that out: it is asked for its page /configz.
 */
#include <cjson/cJSON.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "cli/agent.h"
#include "cli/cli.h"

#define ANSWER_MAX (64u << 20)
#define TIMEOUT_S  5

/* ADDRESS:PORT or [ADDRESS]:PORT, numbers only. */
static int connect_to(const char *where, struct err *err)
{
	const struct addrinfo hints = { .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
					.ai_socktype = SOCK_STREAM };
	const struct timeval timeout = { .tv_sec = TIMEOUT_S };
	const char *colon = strrchr(where, ':');
	size_t len = colon ? (size_t)(colon - where) : 0;
	struct addrinfo *found = NULL;
	_cleanup_close_ int fd = -1;
	char host[64], *name = host;
	int rc;

	if (!len || len >= sizeof(host))
		return err_set(err, -EINVAL, "--proxy-addr %s: must be ADDRESS:PORT", where);
	memcpy(host, where, len);
	host[len] = 0;
	if (len > 1 && host[0] == '[' && host[len - 1] == ']') {
		host[len - 1] = 0;
		name++;
	}
	if (getaddrinfo(name, colon + 1, &hints, &found) != 0)
		return err_set(err, -EINVAL, "--proxy-addr %s: must be ADDRESS:PORT", where);
	fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0) {
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
		setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
	}
	rc = fd < 0 || connect(fd, found->ai_addr, found->ai_addrlen) < 0 ? -errno : 0;
	freeaddrinfo(found);
	if (rc < 0)
		return err_set(err, rc, "no proxy answers at %s: %s; another address: --proxy-addr",
			       where, strerror(-rc));
	return TAKE_FD(fd);
}

static int read_all(int fd, struct buf *out)
{
	char bytes[16384];
	ssize_t n;

	while ((n = recv(fd, bytes, sizeof(bytes), 0)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? -ETIMEDOUT : -errno;
		if (out->len + (size_t)n > ANSWER_MAX)
			return -EPROTO;
		if (buf_put(out, bytes, (size_t)n) < 0)
			return -ENOMEM;
	}
	return 0;
}

/* HTTP/1.0: the body ends with the connection. */
static int ask(const char *where, struct err *err, cJSON **ret_answer)
{
	static const char question[] = "GET /configz HTTP/1.0\r\n\r\n";
	_cleanup_close_ int fd = connect_to(where, err);
	struct buf answer = { 0 };
	const char *body = NULL;
	cJSON *json = NULL;
	int rc;

	if (fd < 0)
		return fd;
	rc = send(fd, question, sizeof(question) - 1, MSG_NOSIGNAL) < 0 ? -errno
									: read_all(fd, &answer);
	if (rc == 0 && strncmp(buf_str(&answer), "HTTP/1.", 7) == 0)
		body = strstr(buf_str(&answer), "\r\n\r\n");
	if (body)
		json = cJSON_Parse(body + 4);
	buf_done(&answer);
	if (rc == 0 && !cJSON_IsObject(json)) {
		cJSON_Delete(json);
		rc = -EPROTO;
	}
	if (rc < 0)
		return err_set(err, rc, "what answers at %s is no sluice-proxy: %s", where,
			       strerror(-rc));
	*ret_answer = json;
	return 0;
}

static const struct out_column columns[] = {
	{ "object", "OBJECT", false },
	{ "concern", "CONCERN", false },
	{ "reason", "REASON", false },
};

static void print_problems(struct out *out, const cJSON *configz, const char *namespace)
{
	const cJSON *problems = cJSON_GetObjectItemCaseSensitive(configz, "problems"), *p;
	char prefix[300] = "";

	if (namespace)
		snprintf(prefix, sizeof(prefix), "Ingress %s/", namespace);
	out_field_number(out, "ingresses", "ingresses", agent_number(configz, "ingresses"), NULL);
	out_field_number(out, "generation", "generation", agent_number(configz, "generation"),
			 NULL);
	out_rows(out, "items", NULL, columns, sizeof(columns) / sizeof(columns[0]));
	cJSON_ArrayForEach(p, problems)
	{
		if (strncmp(agent_text(p, "object"), prefix, strlen(prefix)) != 0)
			continue;
		out_row(out);
		out_text(out, agent_text(p, "object"));
		out_text(out, agent_text(p, "concern"));
		out_tone(out, agent_text(p, "reason"), OUT_WARN);
	}
	out_rows_end(out);
}

int cli_ingress(struct cli *cli)
{
	const char *namespace = cli->values.namespace;
	struct err err = { 0 };
	cJSON *answer = NULL;
	bool ready;
	size_t n;
	int rc = ask(cli->values.proxy_addr, &err, &answer);

	if (rc == -EINVAL) {
		cli_complain("%s", err.what);
		return CLI_USAGE;
	}
	if (rc < 0) {
		cli_complain("%s", err.what);
		return CLI_UNREACHABLE;
	}
	ready = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(answer, "ready"));
	out_begin(&cli->out, "IngressProblemList");
	print_problems(&cli->out, answer, namespace);
	n = cli->out.n_rows;
	if (!ready)
		out_note(&cli->out, OUT_WARN, "the proxy has no configuration yet");
	else if (!n)
		out_note(&cli->out, OUT_GOOD, "everything is served as it was asked for");
	out_end(&cli->out);
	cJSON_Delete(answer);
	return ready && !n ? CLI_OK : CLI_PROBLEMS;
}
