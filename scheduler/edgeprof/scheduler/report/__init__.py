"""Measured jobs as HTML: the report in one file, and what the scheduler's pages share with it."""
