"""`python -m edgeprof.scheduler.cli`: the same as `edgeprof`, for children of the demo."""

from edgeprof.scheduler.cli import main

main()
