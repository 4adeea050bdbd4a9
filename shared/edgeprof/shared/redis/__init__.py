"""The way to Redis: its URL, the client, its errors in our words, and the embedded server.

The data that the lab keeps there belongs to the store package.
"""
