"""The campaign against the host's end of the link: mutate, keep what ended in a new way, count."""

from __future__ import annotations

import random
import sys
import time
import traceback
from pathlib import Path
from types import FrameType
from typing import Any

from edgeprof.workers import link
from tests.chaos.fuzz_firmware import Budget, Figures, Tell
from tests.chaos.fuzz_mutate import mutated
from tests.support.hostile_board import exchange
from tests.support.hostile_board_seeds import seeds

TELL_EVERY = 1000
_LINK = str(Path(link.__path__[0]))


def _lines_run(inputs: list[bytes]) -> int:
    """Lines of the link's code that these inputs run: what coverage a fuzzer without compiled-in
    counters has."""
    lines: set[tuple[str, int]] = set()

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        if not frame.f_code.co_filename.startswith(_LINK):
            return None
        if event == "line":
            lines.add((frame.f_code.co_filename, frame.f_lineno))
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        for data in inputs:
            exchange(data)
    finally:
        sys.settrace(before)
    return len(lines)


def run(folder: Path, budget: Budget, tell: Tell) -> Figures:
    """Fuzz the host; inputs that end in anything but an answer or a Fault are kept in `folder`."""
    rng = random.Random(budget.seed)
    sound = seeds()
    corpus = list(sound)
    seen = {exchange(data) for data in sound}
    crashes: dict[str, str] = {}
    started = time.monotonic()
    done = 0
    while done < budget.inputs and time.monotonic() - started < budget.seconds:
        # Half of them from sound conversations: what broke early never gets far again.
        data = mutated(rng, rng.choice(sound if done % 2 else corpus), rng.choice(corpus))
        done += 1
        try:
            ended = exchange(data)
        except Exception as error:  # noqa: BLE001 - this is what we look for
            where = traceback.extract_tb(error.__traceback__)[-1]
            name = f"{type(error).__name__}-{Path(where.filename).stem}-{where.lineno}"
            if name not in crashes:
                folder.mkdir(parents=True, exist_ok=True)
                (folder / name).write_bytes(data)
                crashes[name] = f"{folder / name}: {error!r}"
            continue
        if ended not in seen:
            seen.add(ended)
            corpus.append(data)
        if done % TELL_EVERY == 0:
            tell(done, f"{len(seen)} outcomes")
    seconds = time.monotonic() - started
    edges = _lines_run(corpus)
    return Figures("host", done, seconds, edges, len(seen), len(corpus), tuple(crashes.values()))
