#!/bin/sh
# Each option of --help is in the program's manual page with the same default, and the reverse; each command of sluicectl too; and
# make install puts the pages where man(1) looks.
cd "$(dirname "$0")/../.." && exec python3 tests/unit/man.py "${BUILD:-build}"
