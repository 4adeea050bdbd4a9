"""The way to Redis: its URL, the client and its errors in our words, and the server that we start ourselves.

What the lab keeps there is the business of the store package.
"""
