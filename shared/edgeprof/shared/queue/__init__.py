"""Celery on Redis: the app and its settings, and the doorbell message that names a job.

The job store has the jobs; this package only notifies workers that there is one.
"""
