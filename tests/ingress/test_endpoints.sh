#!/bin/sh
# Which of several endpoints get requests: failing ones, new ones, near ones.
exec python3 "$(dirname "$0")/endpoints.py"
