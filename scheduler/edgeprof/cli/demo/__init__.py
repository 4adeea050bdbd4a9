"""The demo: it starts a whole lab on this machine, runs a sweep, and stops everything."""
