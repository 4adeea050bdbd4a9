"""The embedded redis-server: who owns its files, how it is started, what it answers."""
