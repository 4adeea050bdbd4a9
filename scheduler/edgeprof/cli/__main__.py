"""`python -m edgeprof.cli` runs `edgeprof`; the demo starts its processes so."""

from edgeprof.cli import main

main()
