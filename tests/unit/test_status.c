// SPDX-License-Identifier: GPL-2.0-only
/* Which addresses are published, from what the API says of pods and Services. */
/* link: user/ingress/status_list.c user/base/json.c user/base/buf.c user/core/address.c */
/* libs: cjson */
#include "unit/test.h"

#include <errno.h>
#include <string.h>

#include "ingress/status.h"

static void expect(int (*fn)(const char *json, struct status_list *ret_list), const char *json,
		   const char *patch)
{
	struct status_list list;
	struct buf out = { 0 };

	assert_int_equal(fn(json, &list), 0);
	status_write_patch(&list, &out);
	assert_string_equal(buf_str(&out), patch);
	assert_true(status_is(&list, list.text, list.n));
	assert_false(status_is(&list, list.text, list.n + 1));
	status_list_done(&list);
	buf_done(&out);
}

#define PATCH(items) "{\"status\":{\"loadBalancer\":{\"ingress\":[" items "]}}}"
#define POD(ready, more, ip)                                                                    \
	"{\"metadata\":{" more "},\"status\":{\"hostIP\":\"" ip "\",\"hostIPs\":[{\"ip\":\"" ip \
	"\"}],\"conditions\":[{\"type\":\"Initialized\",\"status\":\"True\"},"                  \
	"{\"type\":\"Ready\",\"status\":\"" ready "\"}]}}"

TEST(addresses_of_nodes_whose_pod_is_ready_sorted_and_each_once)
{
	expect(status_of_pods,
	       "{\"items\":[" POD("True", "", "192.0.2.12") "," POD("True", "", "192.0.2.11") "," POD(
		       "True", "",
		       "192.0.2.11") "," POD("False", "",
					     "192.0.2.13") "," POD("True",
								   "\"deletionTimestamp\":\"2026-01-01T00:00:00Z\"",
								   "192.0.2.14") ",{},"
										 "{\"status\":{\"hostIP\":\"192.0.2.15\"}}]}",
	       PATCH("{\"ip\":\"192.0.2.11\"},{\"ip\":\"192.0.2.12\"}"));
	expect(status_of_pods, "{\"items\":[]}", PATCH(""));
}

TEST(addresses_of_a_service)
{
	expect(status_of_service,
	       "{\"spec\":{\"clusterIP\":\"10.96.0.1\"},\"status\":{\"loadBalancer\":{\"ingress\":["
	       "{\"hostname\":\"lb.example\"},{\"ip\":\"198.51.100.7\"}]}}}",
	       PATCH("{\"ip\":\"198.51.100.7\"},{\"hostname\":\"lb.example\"}"));
	expect(status_of_service,
	       "{\"spec\":{\"clusterIP\":\"10.96.0.1\",\"externalIPs\":[\"198.51.100.8\"]}}",
	       PATCH("{\"ip\":\"198.51.100.8\"}"));
	expect(status_of_service, "{\"spec\":{\"clusterIP\":\"10.96.0.1\"}}",
	       PATCH("{\"ip\":\"10.96.0.1\"}"));
	expect(status_of_service, "{\"spec\":{\"clusterIP\":\"None\"}}", PATCH(""));
}

TEST(what_is_no_answer_changes_nothing)
{
	static const char *const texts[] = { "",  "nonsense",      "[]",
					     "{", "{\"items\":3}", "{\"kind\":\"Status\"}" };
	struct status_list list;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_int_equal(status_of_pods(texts[i], &list), -EINVAL);
	assert_int_equal(status_of_pods(NULL, &list), -EINVAL);
	assert_int_equal(status_of_service("3", &list), -EINVAL);
}

RUN(cmocka_unit_test(addresses_of_nodes_whose_pod_is_ready_sorted_and_each_once),
    cmocka_unit_test(addresses_of_a_service), cmocka_unit_test(what_is_no_answer_changes_nothing))
