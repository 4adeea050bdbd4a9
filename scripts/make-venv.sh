#!/bin/sh
# Make .venv with the first Python that is new enough (3.11), pip included, or with $PYTHON.
# Usage: make-venv.sh FOLDER
set -eu

folder=$1
for python in ${PYTHON:-python3.13 python3.12 python3.11 python3}; do
    # A Python on PATH is run, because it may be a version manager's shim for a missing one.
    if "$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        echo "set-up: $folder with $("$python" --version)"
        "$python" -m venv --clear "$folder"
        exit 0
    fi
done
echo "set-up: no ${PYTHON:-Python >= 3.11} with the venv module (Debian: apt-get install python3 python3-venv)" >&2
exit 1
