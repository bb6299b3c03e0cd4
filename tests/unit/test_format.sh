#!/usr/bin/env bash
# Every C file is as .clang-format says (100 columns, 120 in bpf/ and include/), includes stay within their layers, and shellcheck
# finds nothing in a script.
set -u
cd "$(dirname "$0")/../.." || exit 1
n=0

# try TARGET NAME PATTERN: one result; lines of what make said that hold PATTERN go into comments
try() {
	local said
	n=$((n + 1))
	if said=$(make -s "$1" 2>&1); then
		echo "ok $n - $2"
	else
		echo "not ok $n - $2 (make $1)"
		grep -E -- "$3" <<<"$said" | sort -u | head -n 20 | sed 's/^/# /'
	fi
}

echo 1..3
try format-check "every C file is formatted; make format does it" 'code should be clang-formatted'
try lint-layers "nothing is included across a layer" .
try lint-scripts "shellcheck has nothing to say" '^In |SC[0-9]+ '
