"""Fixtures: the shipped models, and a small random one to damage."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeprof.shared.models import ModelFile, catalogue
from edgeprof.shared.reference.synthetic import SyntheticLlama

TINY = SyntheticLlama(dim=32, hidden=64, n_layers=1, n_heads=4, n_heads_kv=2, n_vocab=8, n_ctx=16)


@pytest.fixture(scope="session")
def small() -> ModelFile:
    """shakespeare-240k, as shipped (F32)."""
    return catalogue.resolve("shakespeare-240k")


@pytest.fixture(scope="session")
def ternary() -> ModelFile:
    """shakespeare-1m, as shipped (TQ2_0)."""
    return catalogue.resolve("shakespeare-1m")


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A whole, valid file of a few kilobytes: one layer, one head pair, eight tokens."""
    return TINY.write(tmp_path_factory.mktemp("tiny") / "tiny.gguf").read_bytes()


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """A path for a model file of this test's own."""
    return tmp_path / "model.gguf"
