"""Jobs, boards and results as they travel between processes. Data only: nothing here does I/O.

Anything may import it; of this project it imports only errors.
"""
