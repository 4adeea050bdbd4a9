"""Fixtures: the shipped models, and a small random one to damage."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import gguf
import pytest

from edgeprof.shared.models import ConvertibleModel, ModelFile, catalogue
from edgeprof.shared.models.quantize import dequantized
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


@pytest.fixture
def rewrite() -> Callable[..., ConvertibleModel]:
    """`rewrite(model, out, {"split.count": 1}, types={"output.weight": BF16})`: a changed copy."""

    def run(
        model: ConvertibleModel,
        out: Path,
        keys: Mapping[str, int] | None = None,
        types: Mapping[str, gguf.GGMLQuantizationType] | None = None,
    ) -> ConvertibleModel:
        writer = gguf.GGUFWriter(out, "llama")
        for key, item in model.header.metadata.items():
            if key.startswith("llama."):
                writer.add_key_value(key, item.value, gguf.GGUFValueType(item.type))
        for key, number in (keys or {}).items():
            writer.add_uint32(key, number)
        for name, info in model.header.tensors.items():
            kind = (types or {}).get(name, gguf.GGMLQuantizationType.F32)
            weights = dequantized(model, info).reshape(info.ne[::-1])
            writer.add_tensor(name, gguf.quants.quantize(weights, kind), raw_dtype=kind)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return ConvertibleModel.open(out)

    return run
