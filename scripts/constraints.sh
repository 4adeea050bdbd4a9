#!/bin/sh
# Print what is installed as pins: no hosts, no paths, not this project itself.
# Usage: constraints.sh PYTHON
set -eu

echo "# Versions that were tested together; written by \`make constraints\`. Used as pip install -c."
"$1" -m pip freeze --exclude-editable --exclude tiny-llm-edge-profiler | LC_ALL=C grep -E '^[A-Za-z0-9._-]+==' | LC_ALL=C sort -f
