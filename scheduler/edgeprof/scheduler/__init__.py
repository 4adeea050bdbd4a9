"""The service of a lab: it requeues, expires and archives jobs, and serves metrics and pages.

Two may run, and one acts. Clients do not need it to queue a job, nor workers to run one.
"""
