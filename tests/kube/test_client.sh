#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# The client against a scripted API server: see client.py.
exec python3 "$(dirname "$0")/client.py" "$@"
