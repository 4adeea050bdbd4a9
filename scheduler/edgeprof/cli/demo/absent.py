"""Finds out which of the demo's platforms this machine has neither emulator nor firmware for."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from typing import Final

from edgeprof.cli.demo.boards import DemoPlatform, urls_of
from edgeprof.cli.demo.children import environment_of
from edgeprof.shared.settings import Settings

#: It imports one package, on a machine that may be busy.
_LIMIT_S: Final = 60.0


def absent(platforms: Mapping[str, DemoPlatform], settings: Settings) -> dict[str, str]:
    """Return what is missing, by platform.

    A process of its own looks, because the command line imports nothing of the workers. If it
    fails, nothing is called missing: the agent will fail in the same way, and say why.
    """
    urls = urls_of(platforms.values())
    look = [sys.executable, "-m", "edgeprof.workers.emulated", *urls.values()]
    done = subprocess.run(
        look,
        env=environment_of(settings),
        capture_output=True,
        text=True,
        timeout=_LIMIT_S,
        check=False,
    )
    missing = json.loads(done.stdout) if done.returncode == 0 else {}
    return {
        name: missing[url]
        for name, platform in platforms.items()
        for url in platform.boards.values()
        if url in missing
    }
