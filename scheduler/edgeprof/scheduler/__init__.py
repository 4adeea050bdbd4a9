"""The user's side: Lab (the Python API), CLI, custodian, results archive."""
