#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# Two other readers of HTTP/1 beside ours: see compare.py.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
mapfile -t readers < <("$here/readers")
exec python3 "$here/compare.py" "${BUILD:?}/test/differ/ours" "${readers[@]}"
