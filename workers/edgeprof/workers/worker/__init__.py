"""The process of one board: notified of jobs, it claims them under a lease and writes their end.

`lifecycle.py` is the process from start to exit, `consumer.py` its Celery side, `attempt.py` one
try of a job. How a claimed job is carried out is the business of `profiling`; this package may
import that and everything below it.
"""
