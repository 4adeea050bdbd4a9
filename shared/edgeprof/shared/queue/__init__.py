"""Celery on Redis: the app and its settings, queue names, and the doorbell message that names a job.

The job store knows what a job is; this package knows only how workers are told that there is one.
"""
