"""`python -m edgeprof.cli`: the same as `edgeprof`, for children of the demo."""

from edgeprof.cli import main

main()
