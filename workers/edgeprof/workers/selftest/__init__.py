"""Whether a board is sound: what is asked of it, what it must answer, and when it is asked.

Works on a board that the worker holds; never claims a job.
"""
