"""One host of the lab: its agent finds boards, and starts a worker process for each of them.

Of `worker` this package may import only `process.py`, which both sides agree on: workers are
processes, and nothing else is shared with them. Only the command line imports this package.
"""
