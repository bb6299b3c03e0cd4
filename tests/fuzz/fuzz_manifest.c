// SPDX-License-Identifier: GPL-2.0-only
// Manifest text to trees to objects, as YAML and as JSON, as a manifest and as the API's; everything is freed.
/* link: user/source/decode.c user/source/decode_read.c user/source/decode_service.c user/source/decode_slice.c user/source/decode_node.c user/source/decode_ingress.c user/source/decode_secret.c user/source/field.c user/source/object.c user/source/value.c user/source/manifest.c user/source/manifest_tree.c user/source/manifest_scalar.c user/core/model.c user/core/model_ingress.c user/core/address.c user/base/arena.c user/base/buf.c user/base/options_value.c */
/* libs: yaml */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "source/decode.h"
#include "source/manifest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What a caller relies on must hold for every input. */
static void must(int true_for_every_input)
{
	if (!true_for_every_input)
		abort();
}

static void check_text(const char *text)
{
	for (; *text; text++)
		must((unsigned char)*text >= ' ');
}

static int on_object(void *ctx, struct value v, const struct decode_input *input)
{
	struct decode_report *report = ctx;
	struct object object;
	int rc = decode_object(v, input, report, &object);

	check_text(buf_str(&report->notes.text));
	must(rc == DECODE_OBJECT || rc == DECODE_OTHER || report->notes.n);
	if (rc == DECODE_OBJECT) {
		must(report->named && object.kind == report->kind && *object.meta.name);
		must(object_equal(&object, &object));
		object_done(&object);
	}
	return 0;
}

static int on_document(void *ctx, struct value root)
{
	struct decode_input input = { .file = "x.yaml", .from_api = *(bool *)ctx };
	struct decode_report report = { 0 };
	struct notes notes = { 0 };

	must(value_type(root) == VALUE_MAP && value_line(root) > 0);
	decode_each(root, &input, &notes, on_object, &report);
	check_text(buf_str(&notes.text));
	decode_report_done(&report);
	notes_done(&notes);
	return 0;
}

static int on_broken(void *ctx, unsigned line, const char *reason)
{
	(void)ctx;
	must(line > 0 && *reason);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	bool from_api = size % 2;
	const struct manifest_handler handler = { &from_api, on_document, on_broken };
	char *text = malloc(size ? size : 1); /* of this size, so that a read beyond it is seen */

	must(text != NULL);
	memcpy(text, data, size);
	must(manifest_read(text, size, size && data[0] == '{', &handler) == 0);
	free(text);
	return 0;
}
