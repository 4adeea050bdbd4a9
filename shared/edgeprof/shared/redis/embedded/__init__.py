"""The embedded redis-server: its files, their owner, its start, and the diagnosis of failures."""
