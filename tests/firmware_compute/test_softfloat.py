"""Our float addition and multiplication for cores without an FPU round as libgcc's do."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import ModuleType

import pytest

pytestmark = pytest.mark.qemu


def test_bits_are_those_of_libgcc(bench: ModuleType, tmp_path: Path) -> None:
    """Special values, and hundreds of thousands of random pairs."""
    target = dataclasses.replace(bench.TARGETS["rv32imc"], main="softfloat_check.c")

    lines = target.run(target.build(tmp_path))

    assert lines[-1][0] == "pairs"
    assert lines[-1][2:] == ["wrong", "0"], lines
    assert int(lines[-1][1]) > 500_000
