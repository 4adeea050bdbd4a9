"""A claimed job carried out on an open board: load, warm up, run, check, summarise.

`profile_job.py` is the way through. A job goes in, a result comes out, or a Fault is raised: this
package knows neither store nor Celery, and must not import `worker`.
"""
