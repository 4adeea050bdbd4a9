"""One host of the lab: the agent finds boards, starts a worker process for each, and tells the lab of them.

Nothing else imports it. It starts workers as processes, and shares with them only how they end and what they are told.
"""
