"""A claimed job carried out on an open board: load, warm up, run, check, summarise.

Knows no store and no Celery: a job goes in, a result comes out, or a Fault is raised.
"""
