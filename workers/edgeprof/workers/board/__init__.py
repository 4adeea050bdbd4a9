"""One board, seen from its host: what it can do, who owns it, whether it is healthy.

`board.py` holds the protocols that a driver implements, `managed_board.py` what a worker does with
an open board. This package must not import `link`: how bytes travel is not its business.
"""
