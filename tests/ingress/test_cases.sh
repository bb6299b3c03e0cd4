#!/bin/sh
# Ingresses and requests: which Service is reached, and in which form.
exec python3 "$(dirname "$0")/cases.py"
