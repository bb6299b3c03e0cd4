#!/bin/sh
# Annotations against the running proxy: each does what its documentation says.
exec python3 "$(dirname "$0")/annotations.py"
