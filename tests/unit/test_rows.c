// SPDX-License-Identifier: GPL-2.0-only
// Rows: both families to bytes and back, zero padding, the tables' sizes, the filter's bits as the
// programs compute them.
/* link: user/core/rows.c user/core/address.c */
#include "unit/test.h"

#include <string.h>

#include "core/rows.h"

static struct address addr(const char *text)
{
	struct address a;

	assert_int_equal(address_parse(text, &a), 0);
	return a;
}

TEST(tables)
{
	assert_string_equal(row_tables[ROW_CONFIG].map, "sl_config");
	assert_string_equal(row_tables[ROW6_SERVICES].map, "sl6_services");
	assert_int_equal(row_tables[ROW4_SERVICES].key_len, 8);
	assert_int_equal(row_tables[ROW6_SERVICES].key_len, 24);
	assert_int_equal(row_tables[ROW4_RECORDS].value_len, 64);
	assert_int_equal(row_tables[ROW6_RECORDS].value_len, 64);
	assert_int_equal(row_tables[ROW4_RINGS].value_len, 64);
	assert_false(row_tables[ROW4_NAMES].array || row_tables[ROW6_SERVICES].array);
	assert_true(row_tables[ROW4_BACKENDS].array && row_tables[ROW_CONFIG].array);
	for (int t = ROW4_NAMES; t < ROW_TABLE_COUNT; t += 2) {
		assert_int_equal(row_table_of((enum row_table)t, 4), t);
		assert_int_equal(row_table_of((enum row_table)t, 6), t + 1);
		assert_memory_equal(row_tables[t].map + 3, row_tables[t + 1].map + 3,
				    strlen(row_tables[t].map) - 2);
		assert_true(row_tables[t].key_len <= ROW_KEY_MAX &&
			    row_tables[t].value_len <= ROW_VALUE_MAX);
	}
}

static void check_family(int family, const char *vip, const char *endpoint)
{
	struct row_service_key key = { addr(vip), 443, 17 }, key_back;
	struct row_service s = { .key = key,
				 .kind = SL_KIND_LOAD_BALANCER,
				 .gen = 1,
				 .service = 2,
				 .cluster_line = 3,
				 .cluster_len = 4,
				 .cluster_backends = 5,
				 .local_line = 6,
				 .local_len = 7,
				 .local_backends = 8,
				 .affinity_s = 9,
				 .flags = 10,
				 .algorithm = SL_ALGORITHM_MAGLEV },
			   s_back;
	struct row_backend b = { addr(endpoint), 8080, 11, 12, 13 }, b_back;
	unsigned char bytes[ROW_VALUE_MAX], again[ROW_VALUE_MAX];
	size_t len = row_tables[row_table_of(ROW4_RECORDS, family)].value_len;

	memset(bytes, 0xff, sizeof(bytes));
	row_encode_key(family, &key, bytes);
	row_decode_key(family, bytes, &key_back);
	assert_int_equal(address_cmp(&key.vip, &key_back.vip), 0);
	assert_int_equal(key_back.port, 443);
	assert_int_equal(key_back.proto, 17);

	memset(bytes, 0xff, sizeof(bytes));
	row_encode_service(family, &s, bytes);
	memset(again, 0xff, len);
	row_decode_service(family, bytes, &s_back);
	row_encode_service(family, &s_back, again);
	assert_memory_equal(bytes, again, len); /* padding included */
	assert_int_equal(bytes[len - 1], 0);
	assert_int_equal(address_cmp(&s_back.key.vip, &key.vip), 0);
	assert_true(s_back.kind == s.kind && s_back.gen == 1 && s_back.service == 2 &&
		    s_back.cluster_line == 3 && s_back.cluster_len == 4 &&
		    s_back.cluster_backends == 5 && s_back.local_line == 6 &&
		    s_back.local_len == 7 && s_back.local_backends == 8 && s_back.affinity_s == 9 &&
		    s_back.flags == 10 && s_back.algorithm == SL_ALGORITHM_MAGLEV &&
		    s_back.key.port == 443 && s_back.key.proto == 17);

	row_encode_backend(family, &b, bytes);
	row_decode_backend(family, bytes, &b_back);
	assert_int_equal(address_cmp(&b_back.addr, &b.addr), 0);
	assert_true(b_back.port == 8080 && b_back.flags == 11 && b_back.gen == 12 &&
		    b_back.service == 13);
}

TEST(there_and_back)
{
	check_family(4, "10.96.0.1", "10.0.0.1");
	check_family(6, "fd00::1", "fd01:2:3:4:5:6:7:8");
}

TEST(bytes_are_the_abi)
{
	struct row_service_key key = { addr("10.96.0.1"), 443, 17 };
	struct sl4_service_key k4;
	struct sl6_service_key k6;

	row_encode_key(4, &key, &k4);
	assert_memory_equal(k4.vip, "\x0a\x60\x00\x01", 4);
	assert_int_equal(k4.port, 443);
	key.vip = addr("fd00::1");
	row_encode_key(6, &key, &k6);
	assert_int_equal(k6.vip[0], 0xfd);
	assert_int_equal(k6.vip[15], 1);
	assert_int_equal(k6.proto, 17);
}

/* The programs load the address from the packet as 32-bit words, little end first. */
TEST(filter_bits)
{
	struct address a = addr("10.96.0.1"), b = addr("1:203:405:607:809:a0b:c0d:e0f");

	assert_int_equal(row_filter_bit(&a), sl_filter_bit(0x0100600au));
	assert_int_equal(row_filter_bit(&b), sl_filter_bit(sl_fold6(0x03020100u, 0x07060504u,
								    0x0b0a0908u, 0x0f0e0d0cu)));
	assert_true(row_filter_bit(&a) < 1u << SL_FILTER_BITS);
}

TEST(ring_lines_needed)
{
	assert_int_equal(row_ring_lines(0), 0);
	assert_int_equal(row_ring_lines(1), 1);
	assert_int_equal(row_ring_lines(16), 1);
	assert_int_equal(row_ring_lines(17), 2);
}

RUN(cmocka_unit_test(tables), cmocka_unit_test(there_and_back), cmocka_unit_test(bytes_are_the_abi),
    cmocka_unit_test(filter_bits), cmocka_unit_test(ring_lines_needed))
