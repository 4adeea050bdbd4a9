"""What travels between processes: jobs, boards, results. Data only: nothing here reads or writes anything.

Anything may import it; it imports errors and nothing else of ours.
"""
