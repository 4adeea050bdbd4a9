"""What is done on a noisy line again and again: open, upload, ping, run, score; all of it held to
the clean line."""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from gguf import GGMLQuantizationType

from edgeprof.shared.errors import BoardFault, Fault, LinkFault
from edgeprof.shared.models import ModelFile
from edgeprof.shared.reference.synthetic import SyntheticLlama
from edgeprof.shared.types.model import KvType
from edgeprof.workers.board.protocols import RunReport
from edgeprof.workers.link.device import LinkBoard, OpenOptions, open_board
from tests.support.noisy_line import NoisyLine

N_CTX: Final = 256
N_GEN: Final = 120
PINGS: Final = 20
PROMPTS: Final = tuple(tuple((7 * i + 11 * j) % 128 for j in range(5 + i)) for i in range(4))


@dataclass(frozen=True)
class Truth:
    """A model, and what a clean line says of it."""

    path: Path
    sha256: str
    memory: object
    tokens: tuple[tuple[int, ...], ...]
    score: object


@dataclass
class Tally:
    """What happened; sums of laps."""

    laps: int = 0
    frames: int = 0
    damaged: int = 0
    rejected: int = 0
    retransmissions: int = 0
    checked: int = 0
    wrong: list[str] = field(default_factory=list)
    faults: Counter[str] = field(default_factory=Counter)
    #: Faults of a class that no noise explains.
    misplaced: list[str] = field(default_factory=list)
    uploads: int = 0
    upload_bytes: int = 0
    upload_s: float = 0.0
    runs: int = 0
    run_s: float = 0.0

    def add(self, other: Tally) -> None:
        """Take in what another one counted."""
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)


def make_models(folder: Path) -> list[Path]:
    """Two small models, so that each lap has one to upload."""
    kind = GGMLQuantizationType.Q4_0
    return [
        SyntheticLlama(n_ctx=N_CTX, matrix_type=kind, seed=seed).write(folder / f"m{seed}.gguf")
        for seed in (1, 2)
    ]


def learn(path: Path) -> Truth:
    """Ask a board on a clean line."""
    sha256 = ModelFile.open(path).sha256
    with tempfile.TemporaryDirectory() as folder, NoisyLine(f"truth-{sha256}", 0.0) as line:
        board = open_board(line.url, _options(folder))
        memory = _load(board, path, sha256)
        tokens = tuple(_run(board, prompt).tokens for prompt in PROMPTS)
        score = board.score(PROMPTS[-1], epoch=1, should_stop=lambda: False)
        board.close()
    return Truth(path, sha256, memory, tokens, (score.top1, score.log_likelihood_nats))


def laps(name: str, rate: float, n: int, truths: list[Truth], line_rate: int) -> Tally:
    """Do n laps on one noisy line. The same arguments give the same noise."""
    tally = Tally()
    options = ("--line-rate", str(line_rate))
    with tempfile.TemporaryDirectory() as folder, NoisyLine(name, rate, options) as line:
        for lap in range(n):
            with _judged(tally):
                board = open_board(line.url, _options(folder))
                try:
                    _lap(board, truths[lap % len(truths)], tally)
                finally:
                    link = board.connection.client.counters
                    tally.retransmissions += link["retransmits"]
                    tally.rejected += link["host_rx_errors"]
                    board.close()
            tally.laps += 1
        tally.frames = line.to_board.frames + line.to_host.frames
        tally.damaged = line.to_board.damaged_frames + line.to_host.damaged_frames
    return tally


@contextmanager
def _judged(tally: Tally) -> Iterator[None]:
    try:
        yield
    except (LinkFault, BoardFault) as fault:
        tally.faults[f"{fault.fault_class}/{fault.code}"] += 1
    except Fault as fault:
        tally.misplaced.append(f"{fault.fault_class}/{fault.code}: {fault}")


def _lap(board: LinkBoard, truth: Truth, tally: Tally) -> None:
    def check(what: str, got: object, expected: object) -> None:
        tally.checked += 1
        if got != expected:
            tally.wrong.append(f"{board.hello.uid} {what}: {got}, not {expected}")

    before = board.stats().link["rx_errors"]
    started = time.monotonic()
    try:
        memory = _load(board, truth.path, truth.sha256)
        tally.uploads += 1
        tally.upload_bytes += truth.path.stat().st_size
    finally:
        tally.upload_s += time.monotonic() - started
    check("memory", memory, truth.memory)
    for _ in range(PINGS // 5):
        board.clock()
    started = time.monotonic()
    try:
        for prompt, expected in zip(PROMPTS, truth.tokens, strict=True):
            report = _run(board, prompt)
            tally.runs += 1
            check("tokens", report.tokens, expected)
            check("times", _times_add_up(report), True)
    finally:
        tally.run_s += time.monotonic() - started
    score = board.score(PROMPTS[-1], epoch=1, should_stop=lambda: False)
    check("score", (score.top1, score.log_likelihood_nats), truth.score)
    tally.rejected += board.stats().link["rx_errors"] - before


def _times_add_up(report: RunReport) -> bool:
    """No window is longer than the run it was in; each is rounded to a microsecond."""
    windows = report.prefill_us + sum(report.step_us)
    return 0 < windows <= report.end_us - report.start_us + len(report.step_us) + 2


def _options(folder: str) -> OpenOptions:
    return OpenOptions(lock_dir=Path(folder), slot_dir=Path(folder))


def _load(board: LinkBoard, path: Path, sha256: str) -> object:
    _, memory = board.load(
        path, sha256, n_ctx=N_CTX, kv_type=KvType.F16, epoch=1,
        on_progress=lambda _done, _total: None, should_stop=lambda: False,
    )  # fmt: skip
    return memory


def _run(board: LinkBoard, prompt: tuple[int, ...]) -> RunReport:
    return board.run(
        prompt, N_GEN, epoch=1, on_token=lambda _index, _token: None, should_stop=lambda: False
    )
