"""Turns records into tables, JSON and live bars. Nothing here asks for a command line's options."""
