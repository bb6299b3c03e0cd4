#!/bin/sh
# The bytes that origins get, held to two strict parsers.
exec python3 "$(dirname "$0")/strict.py"
