"""One board, seen from its host: what it can do, who owns it, whether it is healthy.

Three modules have a board in their name, from the inside out:

    protocols.py          Board and its smaller protocols: what any driver of a board offers
    reopenable_board.py   ReopenableBoard: opens a Board on its port, and resets and reopens it
    worker_board.py       WorkerBoard: a ReopenableBoard that is owned by a worker and kept healthy

This package must not import `link`: it does not know how bytes travel.
"""
