"""The lab host's side: host agent, board workers, the board link and serial URL handlers."""
