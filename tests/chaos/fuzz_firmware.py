"""The fuzz targets of firmware/fuzz: built with Clang, run by libFuzzer, their figures read from
what it prints."""

from __future__ import annotations

import fcntl
import os
import re
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FIRMWARE = ROOT / "firmware"
BUILT = FIRMWARE / "build" / "fuzz" / "fuzz"
TARGETS = ("link", "payload", "gguf")
#: Longer than any seed: a model of one layer, or two kilobyte-long messages and a model.
MAX_BYTES = 9000
_STATUS = re.compile(r"#(\d+)\s+[A-Z]\w*\s+cov: (\d+) ft: (\d+) corp: (\d+)/")

#: Told of progress: inputs so far, and a few words.
Tell = Callable[[int, str], None]


@dataclass(frozen=True, slots=True)
class Figures:
    """What one campaign did."""

    target: str
    inputs: int
    seconds: float
    edges: int
    features: int
    corpus: int
    #: One text for each: where the input is, or what was raised.
    crashes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Budget:
    """How long a campaign goes on: until either is used up."""

    inputs: int
    seconds: int
    seed: int


def build() -> None:
    """Build the targets, once for however many test processes ask."""
    (FIRMWARE / "build").mkdir(exist_ok=True)
    with (FIRMWARE / "build" / "fuzz.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for command in (["cmake", "--preset", "fuzz"], ["cmake", "--build", "--preset", "fuzz"]):
            done = subprocess.run(
                command, cwd=FIRMWARE, capture_output=True, text=True, check=False
            )
            if done.returncode != 0:
                raise RuntimeError(f"{' '.join(command)}:\n{done.stdout}{done.stderr}")


def run(target: str, folder: Path, budget: Budget, tell: Tell) -> Figures:
    """Fuzz one target from its seeds and what `folder` holds of earlier campaigns; new finds go
    there too."""
    corpus = folder / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    command = [
        str(BUILT / f"fuzz_{target}"), str(corpus), str(FIRMWARE / "fuzz" / "corpus" / target),
        f"-runs={budget.inputs}", f"-max_total_time={budget.seconds}", f"-seed={budget.seed}",
        f"-max_len={MAX_BYTES}", "-timeout=10", "-rss_limit_mb=1024", "-print_final_stats=1",
        f"-artifact_prefix={folder}/",
    ]  # fmt: skip
    # Small inputs die young: a large quarantine of freed memory costs half of the speed and finds
    # nothing more.
    environment = {**os.environ, "ASAN_OPTIONS": "quarantine_size_mb=1:malloc_context_size=4"}
    inputs = edges = features = size = 0
    log = folder / "libfuzzer.log"
    started = time.monotonic()
    with log.open("w", buffering=1) as copy, subprocess.Popen(
        command, env=environment, stderr=subprocess.PIPE, text=True, errors="replace"
    ) as process:  # fmt: skip
        assert process.stderr is not None
        for line in process.stderr:
            copy.write(line)
            if found := _STATUS.match(line):
                inputs, edges, features, size = map(int, found.groups())
                tell(inputs, f"{edges} edges, {features} features")
    text = log.read_text()
    crashes = re.findall(r"Test unit written to (\S+)", text)
    if process.returncode != 0 and not crashes:
        crashes = [f"libFuzzer ended with {process.returncode}, see {log}"]
    ended = re.search(r"stat::number_of_executed_units: (\d+)", text)
    return Figures(
        target=target,
        inputs=int(ended[1]) if ended else inputs,
        seconds=time.monotonic() - started,
        edges=edges,
        features=features,
        corpus=size,
        crashes=tuple(crashes),
    )
