#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# Two other readers of HTTP/1 beside ours: see compare.py.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
: "${BUILD:?}"
go=$("$here/../kube/go")
(cd "$here" && CGO_ENABLED=0 GO111MODULE=off "$go" build -o "$BUILD/test/differ/go-origin" origin.go)
exec python3 "$here/compare.py" "$BUILD/test/differ/ours" "$BUILD/test/differ/go-origin" "$here/llhttp.js"
