// SPDX-License-Identifier: GPL-2.0-only
// JSON strings and Prometheus samples, with what object names may smuggle in.
/* link: user/base/json.c user/base/metrics_text.c user/base/buf.c */
#include "unit/test.h"

#include "base/json.h"
#include "base/metrics_text.h"

TEST(json_strings_are_escaped)
{
	struct buf buf = { 0 };

	json_string(&buf, "a\"b\\c\n\x01\xc3\xa4");
	assert_string_equal(buf_str(&buf), "\"a\\\"b\\\\c\\u000a\\u0001\xc3\xa4\"");
	buf_reset(&buf);
	json_key(&buf, "first", true);
	json_key(&buf, "next", false);
	assert_string_equal(buf_str(&buf), "\"first\":,\"next\":");
	buf_done(&buf);
}

TEST(samples_have_labels_that_cannot_break_out)
{
	struct buf buf = { 0 };

	metrics_single(&buf, "sluice_x", "gauge", "Help.", 18446744073709551615u);
	assert_string_equal(
		buf_str(&buf),
		"# HELP sluice_x Help.\n# TYPE sluice_x gauge\nsluice_x 18446744073709551615\n");
	buf_reset(&buf);
	metrics_sample(&buf, "sluice_y", 7, "a", "1", "b", "x\"} 1\n\\", NULL);
	assert_string_equal(buf_str(&buf), "sluice_y{a=\"1\",b=\"x\\\"} 1\\n\\\\\"} 7\n");
	buf_done(&buf);
}

RUN(cmocka_unit_test(json_strings_are_escaped),
    cmocka_unit_test(samples_have_labels_that_cannot_break_out))
