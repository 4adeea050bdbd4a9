"""The demo: a whole lab on this machine, a sweep through it, and nothing left running."""
