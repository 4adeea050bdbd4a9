"""What runs on a host of the lab: its agent, a worker for each board, and the link to the boards.

The layers, of which each may import only those below it: `cli` and `testing`, `host`, `worker`,
`selftest`, `profiling`, `link`, `board`, `emulated`, `metrics`. All may import `edgeprof.shared`.
"""
