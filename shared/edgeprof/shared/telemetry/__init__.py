"""Logs, traces, and the HTTP endpoint that serves metrics.

The metrics themselves are defined beside the code that counts: in workers/ and scheduler/.
"""
