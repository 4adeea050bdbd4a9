"""llama2.c checkpoints become GGUFs of the same network."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from edgeprof.shared.errors import ModelError, UsageError
from edgeprof.shared.jobs import Quantization
from edgeprof.shared.models.llama2c import import_checkpoint
from edgeprof.shared.models.quantize import dequantized, quantize
from edgeprof.shared.models.tokenizer import tokenizer_of
from edgeprof.shared.reference.exact import exact_logits

DIM, HIDDEN, LAYERS, HEADS, KV_HEADS, VOCAB, N_CTX = 32, 44, 2, 4, 2, 262, 16


@dataclass(frozen=True)
class Files:
    checkpoint: Path
    tokenizer: Path
    embedding: np.ndarray[tuple[int, ...], np.dtype[np.float32]]


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """A random checkpoint with an awkward hidden width, and a tokenizer of bytes and three pieces."""
    return write(tmp_path, tied=True)


def write(folder: Path, *, tied: bool) -> Files:
    rng = np.random.default_rng(7)
    kv_dim = DIM // HEADS * KV_HEADS
    shapes = [(VOCAB, DIM), (LAYERS, DIM), (LAYERS, DIM, DIM), (LAYERS, kv_dim, DIM)]
    shapes += [(LAYERS, kv_dim, DIM), (LAYERS, DIM, DIM), (LAYERS, DIM), (LAYERS, HIDDEN, DIM)]
    shapes += [(LAYERS, DIM, HIDDEN), (LAYERS, HIDDEN, DIM), (DIM,)]
    shapes += [(N_CTX, DIM // HEADS // 2)] * 2 + ([] if tied else [(VOCAB, DIM)])
    tensors = [rng.normal(0, 0.3, shape).astype("<f4") for shape in shapes]
    vocab = VOCAB if tied else -VOCAB
    header = struct.pack("<7i", DIM, HIDDEN, LAYERS, HEADS, KV_HEADS, vocab, N_CTX)
    checkpoint, tokenizer = folder / "m.bin", folder / "tok.bin"
    checkpoint.write_bytes(header + b"".join(tensor.tobytes() for tensor in tensors))
    pieces = [b"<unk>", b"\n<s>\n", b"\n</s>\n", *(b"<0x%02X>" % byte for byte in range(256))]
    pieces += [b" a", b"b", b" "]
    entries = [struct.pack("<fi", -float(i), len(p)) + p for i, p in enumerate(pieces)]
    tokenizer.write_bytes(struct.pack("<i", 8) + b"".join(entries))
    return Files(checkpoint, tokenizer, tensors[0])


def test_import_keeps_the_true_shape(files: Files, tmp_path: Path) -> None:
    """A hidden width that no block divides stays as it was; types with blocks pad it themselves."""
    imported = import_checkpoint(files.checkpoint, files.tokenizer, tmp_path / "m.gguf", "tiny")
    model = imported.model

    assert imported.notes == ()
    assert (model.shape.hidden, model.shape.tied_output, model.name) == (HIDDEN, True, "m")
    embedding = dequantized(model, model.header.tensors["token_embd.weight"])
    np.testing.assert_array_equal(embedding, files.embedding)
    made = quantize(model, Quantization.Q4_0, tmp_path / "q.gguf")
    assert (made.quantization, made.shape.hidden) == (Quantization.Q4_0, 64)


def test_network_runs_and_tokenizer_spells(files: Files, tmp_path: Path) -> None:
    """The import computes finite logits, and its tokenizer round-trips text with BOS first."""
    model = import_checkpoint(files.checkpoint, files.tokenizer, tmp_path / "m.gguf", "t").model
    tokenizer = tokenizer_of(model)

    ids = tokenizer.encode("ab aé\n")

    assert ids[:3] == [1, 259, 260]
    assert tokenizer.decode(ids) == "ab aé\n"
    assert np.isfinite(exact_logits(model, ids)).all()


def test_separate_output_head_is_kept(tmp_path: Path) -> None:
    """A negative vocabulary means the head follows; it becomes output.weight."""
    files = write(tmp_path, tied=False)

    imported = import_checkpoint(files.checkpoint, files.tokenizer, tmp_path / "m.gguf", "t")

    assert not imported.model.shape.tied_output


@pytest.mark.parametrize("keep", [0, 10, 28, 5000])
def test_truncated_checkpoint_is_refused(files: Files, tmp_path: Path, keep: int) -> None:
    """A short checkpoint is one ModelError naming it, and leaves no file behind."""
    files.checkpoint.write_bytes(files.checkpoint.read_bytes()[:keep])

    with pytest.raises(ModelError, match=r"m\.bin"):
        import_checkpoint(files.checkpoint, files.tokenizer, tmp_path / "m.gguf", "t")

    assert not (tmp_path / "m.gguf").exists()


def test_other_file_and_short_tokenizer_are_refused(files: Files, tmp_path: Path) -> None:
    """Each file is named when it is the one that is wrong."""
    with pytest.raises(ModelError, match=r"tok\.bin.*makes no sense"):
        import_checkpoint(files.tokenizer, files.tokenizer, tmp_path / "m.gguf", "t")
    files.tokenizer.write_bytes(files.tokenizer.read_bytes()[:500])
    with pytest.raises(ModelError, match=r"tok\.bin: not a llama2\.c tokenizer"):
        import_checkpoint(files.checkpoint, files.tokenizer, tmp_path / "m.gguf", "t")


@pytest.mark.parametrize("name", ["m.bin", "tok.bin"])
def test_import_never_replaces_what_it_reads(files: Files, name: str) -> None:
    """Neither checkpoint nor tokenizer is taken as the file to write."""
    source = files.checkpoint.with_name(name)
    before = source.read_bytes()

    with pytest.raises(UsageError, match="never replaced"):
        import_checkpoint(files.checkpoint, files.tokenizer, source, "t")

    assert source.read_bytes() == before
