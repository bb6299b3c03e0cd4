#!/usr/bin/env bash
# Every C file is as .clang-format says: 100 columns, 120 in bpf/ and include/.
set -u
cd "$(dirname "$0")/../.." || exit 1
echo 1..1
if said=$(make -s format-check 2>&1); then
	echo "ok 1 - every C file is formatted"
else
	echo "not ok 1 - every C file is formatted (run: make format)"
	grep -F 'code should be clang-formatted' <<<"$said" | sed 's/:.*//' | sort -u | sed 's/^/# /'
fi
