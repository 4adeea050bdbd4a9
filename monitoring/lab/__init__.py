"""`make lab`: the whole lab and its monitoring as processes of this machine, without Docker."""
