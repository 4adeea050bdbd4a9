"""A host agent whose boards are imaginary: `python null_agent.py null://?uid=01 …`."""

from __future__ import annotations

import sys

from edgeprof.shared.settings import load_settings
from edgeprof.shared.telemetry import logs
from edgeprof.workers.board.config import load_boards
from edgeprof.workers.host.agent import Agent

NULL_WORKER = (sys.executable, "-m", "edgeprof.workers.testing")

if __name__ == "__main__":
    settings = load_settings()
    logs.configure(settings, "edgeprof-agent")
    Agent(load_boards(None, sys.argv[1:]), settings, NULL_WORKER).run()
