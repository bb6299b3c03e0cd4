#!/bin/sh
# What goes wrong on either side of the proxy, and what the other side sees of it.
exec python3 "$(dirname "$0")/failures.py" "$@"
