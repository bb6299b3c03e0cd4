#!/bin/sh
# Hostile and malformed HTTP through the proxy.
exec python3 "$(dirname "$0")/abuse.py"
