"""Builds of the firmware's compute core for the host, and the models they run."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np
import numpy.typing as npt
import pytest

FIRMWARE = Path(__file__).resolve().parents[2] / "firmware"
#: With batches, which hosts else do not have.
_SANITIZED = [
    "-DTLEP_BATCH=4",
    "-g",
    "-O1",
    "-fsanitize=address,undefined",
    "-fno-sanitize-recover=all",
]


def _load_bench() -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "bench_compute", FIRMWARE / "bench" / "bench_compute.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["bench_compute"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@dataclass(frozen=True)
class Tool:
    """`firmware/bench/compute_tool.c`, built one way."""

    path: Path
    launcher: tuple[str, ...] = ()

    def run(self, *arguments: object, stdin: bytes = b"") -> bytes:
        """Run it; a sanitizer's report or a crash fails the test with its text."""
        done = subprocess.run(
            [*self.launcher, self.path, *map(str, arguments)],
            input=stdin,
            capture_output=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, (done.stdout[:500], done.stderr.decode()[:4000])
        return done.stdout

    def open_codes(self, files: list[Path]) -> list[int]:
        """Error codes of opening (and, where that succeeds, running) each file."""
        return [int(line.split(b"\t")[0]) for line in self.run("open", *files).splitlines()]

    def logits(self, model: Path, kv_is_half: bool, tokens: list[int]) -> npt.NDArray[np.float32]:
        """Logits after each token, (len(tokens), n_vocab)."""
        out = self.run("logits", model, 0, int(kv_is_half), *tokens)
        return np.frombuffer(out, np.float32).reshape(len(tokens), -1)

    def map(self, function: str, words: npt.NDArray[np.generic]) -> npt.NDArray[np.uint32]:
        """Each 32-bit word through one of the firmware's functions."""
        return np.frombuffer(self.run("map", function, stdin=words.tobytes()), np.uint32)


def _build(bench: ModuleType, folder: Path, compiler: list[str]) -> Tool:
    """Compile once for all pytest-xdist workers: whoever finishes first puts the binary in
    place."""
    command = [
        *compiler,
        *(f for f in bench.FLAGS if f != "-O3"),
        *map(str, bench.SOURCES),
        str(FIRMWARE / "bench" / "compute_tool.c"),
    ]
    target = folder / f"compute_tool-{hashlib.sha256(' '.join(command).encode()).hexdigest()[:12]}"
    if not target.exists():
        mine = target.with_suffix(f".{os.getpid()}")
        subprocess.run([*command, "-o", mine], check=True)
        mine.rename(target)
    return Tool(target)


@pytest.fixture(scope="session")
def bench() -> ModuleType:
    """The module `firmware/bench/bench_compute.py`: targets, flags, sources."""
    return _load_bench()


@pytest.fixture(scope="session")
def build_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder all workers of this run share."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base


@pytest.fixture(scope="session")
def sanitized(bench: ModuleType, build_folder: Path) -> Tool:
    """Built by Clang with AddressSanitizer and UndefinedBehaviorSanitizer."""
    return _build(bench, build_folder, ["clang", *_SANITIZED])


@pytest.fixture(scope="session")
def optimized(bench: ModuleType, build_folder: Path) -> Tool:
    """Built by GCC at -O3, vectorised."""
    return _build(bench, build_folder, ["gcc", "-O3"])


@pytest.fixture(scope="session", params=["host-narrow", "x86-64-old", "aarch64", "aarch64-dotprod"])
def other_host(request: pytest.FixtureRequest, bench: ModuleType, build_folder: Path) -> Tool:
    """Kernels that this host would not choose: those without AVX2, and 64-bit Arm's."""
    target = bench.TARGETS[request.param]
    missing = [p for p in (target.compiler[0], *target.launcher[:1]) if not shutil.which(p)]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    built = _build(bench, build_folder, [*target.compiler, "-O3"])
    return Tool(built.path, tuple(target.launcher))


@pytest.fixture(params=["sanitized", "optimized"])
def tool(request: pytest.FixtureRequest) -> Tool:
    """Each of the two host builds."""
    built: Tool = request.getfixturevalue(request.param)
    return built


@pytest.fixture(scope="session")
def fnv1a() -> Callable[[bytes], str]:
    """The digest bench_compute.c prints."""

    def digest(data: bytes) -> str:
        value = 2166136261
        for byte in data:
            value = (value ^ byte) * 16777619 & 0xFFFFFFFF
        return f"{value:08x}"

    return digest
