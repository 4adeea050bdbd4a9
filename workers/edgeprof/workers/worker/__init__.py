"""The process of one board: it hears of jobs, claims them under a lease, and writes how they ended.

How a claimed job is carried out is the business of the profiling package.
"""
