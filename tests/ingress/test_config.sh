#!/bin/sh
# Configuration that changes while requests run: nothing is cut, nothing is emptied, and what is wrong is said.
exec python3 "$(dirname "$0")/config.py" "$@"
