// SPDX-License-Identifier: GPL-2.0-only
/*
 * One question to the admin socket, one line of JSON back.
 * Must not know what is asked for, nor what becomes of the answer.
 */
#include "cli/agent.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"

#define ANSWER_MAX (64u << 20) /* "wanted" of a very large cluster */
#define TIMEOUT_S  5

static int connect_to(const char *path, struct err *err)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	const struct timeval timeout = { .tv_sec = TIMEOUT_S };
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return err_set(err, -errno, "no socket: %s", strerror(errno));
	if (strlen(path) >= sizeof(addr.sun_path))
		return err_set(err, -EINVAL, "--admin-socket %s: longer than %zu characters", path,
			       sizeof(addr.sun_path) - 1);
	memcpy(addr.sun_path, path, strlen(path) + 1);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
	if (connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) < 0)
		return err_set(err, -errno, "no agent answers at %s: %s", path, strerror(errno));
	return TAKE_FD(fd);
}

static int read_line(int fd, struct buf *line)
{
	char bytes[16384];

	for (;;) {
		ssize_t n = recv(fd, bytes, sizeof(bytes), 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? -ETIMEDOUT : -errno;
		if (n == 0 || line->len + (size_t)n > ANSWER_MAX)
			return -EPROTO;
		if (buf_put(line, bytes, (size_t)n) < 0)
			return -ENOMEM;
		if (memchr(bytes, '\n', (size_t)n))
			return 0;
	}
}

int agent_ask(const char *path, const char *what, struct err *err, struct cJSON **ret_answer)
{
	_cleanup_close_ int fd = connect_to(path, err);
	struct buf line = { 0 };
	char question[64];
	cJSON *answer;
	int len, rc;

	if (fd < 0)
		return fd;
	len = snprintf(question, sizeof(question), "{\"get\":\"%s\"}\n", what);
	rc = send(fd, question, (size_t)len, MSG_NOSIGNAL) == len ? read_line(fd, &line) : -errno;
	if (rc < 0) {
		buf_done(&line);
		return err_set(err, rc, "the agent at %s gave no answer to '%s': %s", path, what,
			       strerror(-rc));
	}
	answer = cJSON_Parse(buf_str(&line));
	buf_done(&line);
	if (!answer || cJSON_GetObjectItemCaseSensitive(answer, "error")) {
		rc = err_set(err, -EPROTO, "the agent at %s cannot answer '%s': %s", path, what,
			     answer ? agent_text(answer, "error") : "not JSON");
		cJSON_Delete(answer);
		return rc;
	}
	*ret_answer = answer;
	return 0;
}

const char *agent_text(const struct cJSON *object, const char *name)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);

	return cJSON_IsString(item) ? item->valuestring : "";
}

uint64_t agent_number(const struct cJSON *object, const char *name)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);

	return cJSON_IsNumber(item) && item->valuedouble > 0 ? (uint64_t)item->valuedouble : 0;
}
