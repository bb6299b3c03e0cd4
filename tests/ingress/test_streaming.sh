#!/bin/sh
# Streams through the proxy: nothing is held back, nothing piles up.
exec python3 "$(dirname "$0")/streaming.py"
