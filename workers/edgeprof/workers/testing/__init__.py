"""Fakes for tests of workers: a board without silicon, its jobs, and a worker process around both.

`python -m edgeprof.workers.testing '{"url": "null://?uid=01"}'` is that process. The product must
not import this package; it may import everything of `workers`.
"""
