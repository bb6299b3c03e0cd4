#!/bin/sh
# Pages, upgrades, and many changes with many streams.
exec python3 "$(dirname "$0")/operate.py" "$@"
