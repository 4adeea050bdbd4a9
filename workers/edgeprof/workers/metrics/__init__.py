"""The metrics of a host, under the customer's names, and how workers send them to the agent.

The agent serves the metrics of all its boards from its own ports, so a worker that is killed leaves
no port behind. This package is below all others of `workers`, and imports none of them.
"""
