"""The metrics of a host: sessions and devices, under the customer's names, and how workers send them to the agent.

The agent serves them all from one port, so that a worker that was killed leaves no port behind.
"""
