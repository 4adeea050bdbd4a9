"""llama2.c checkpoints of every version become GGUFs of the same network and tokenizer."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from edgeprof.client.preparation import Preparer
from edgeprof.shared.errors import ModelError, UsageError
from edgeprof.shared.models import ModelFile
from edgeprof.shared.models.importing import import_model
from edgeprof.shared.models.llama2c import import_checkpoint
from edgeprof.shared.models.quantize import dequantized
from edgeprof.shared.models.tokenizer import tokenizer_of
from edgeprof.shared.reference.exact import exact_logits

DIM, HIDDEN, LAYERS, HEADS, KV_HEADS, VOCAB, N_CTX, GROUP = 32, 44, 2, 4, 2, 262, 16, 16
KV_DIM = DIM // HEADS * KV_HEADS
PER_LAYER = {
    "attn_norm": (DIM,), "attn_q": (DIM, DIM), "attn_k": (KV_DIM, DIM), "attn_v": (KV_DIM, DIM),
    "attn_output": (DIM, DIM), "ffn_norm": (DIM,), "ffn_gate": (HIDDEN, DIM),
    "ffn_down": (DIM, HIDDEN), "ffn_up": (HIDDEN, DIM),
}  # fmt: skip
#: In run.c's order; w1 is the gate, w2 goes down, w3 up.
MATRICES = ["attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_down", "ffn_up"]
BYTES = [b"<0x%02X>" % byte for byte in range(256)]
PIECES = [b"<unk>", b"\n<s>\n", b"\n</s>\n", *BYTES, b" a", b"b", b" "]
Weights = dict[str, npt.NDArray[np.float32]]


@dataclass(frozen=True)
class Files:
    checkpoint: Path
    tokenizer: Path
    weights: Weights


def network(*, tied: bool) -> Weights:
    """Random weights, each tensor for all layers under its GGUF name."""
    rng = np.random.default_rng(7)
    shapes: dict[str, tuple[int, ...]] = {"token_embd": (VOCAB, DIM), "output_norm": (DIM,)}
    shapes |= {name: (LAYERS, *shape) for name, shape in PER_LAYER.items()}
    shapes |= {} if tied else {"output": (VOCAB, DIM)}
    return {name: rng.normal(0, 0.3, shape).astype("<f4") for name, shape in shapes.items()}


def write(folder: Path, *, version: int = 0, tied: bool = True, tables: bool = True) -> Files:
    """Write a checkpoint as export.py of llama2.c does, and Karpathy's kind of tokenizer."""
    weights = network(tied=tied)
    numbers = [DIM, HIDDEN, LAYERS, HEADS, KV_HEADS, VOCAB, N_CTX]
    head = [] if tied else ["output"]
    if version == 0:
        numbers[5] *= 1 if tied else -1
        data = struct.pack("<7i", *numbers)
        order = ["token_embd", "attn_norm", *MATRICES[:4], "ffn_norm", *MATRICES[4:], "output_norm"]
        data += b"".join(weights[name].tobytes() for name in order)
        data += bytes(2 * N_CTX * DIM // HEADS // 2 * 4 if tables else 0)
        data += b"".join(weights[name].tobytes() for name in head)
    else:
        group = struct.pack("<i", GROUP) if version == 2 else b""
        data = struct.pack("<4si7iB", b"24ka", version, *numbers, tied) + group
        data = data.ljust(256, b"\0")
        norms = ["attn_norm", "ffn_norm", "output_norm"]
        data += b"".join(weights[name].tobytes() for name in norms)
        for name in ["token_embd", *MATRICES, *head]:
            layered = weights[name] if name in PER_LAYER else weights[name][None]
            for tensor in layered:
                data += tensor.tobytes() if version == 1 else grouped(tensor)
    checkpoint = folder / "m.bin"
    checkpoint.write_bytes(data)
    return Files(checkpoint, write_tokenizer(folder / "tok.bin", PIECES), weights)


def grouped(tensor: npt.NDArray[np.float32]) -> bytes:
    """Quantise in place as version 2 does (int8, then scales): the weights stay comparable."""
    groups = tensor.reshape(-1, GROUP)
    scales = (np.abs(groups).max(axis=1) / 127).astype("<f4")
    q = np.round(groups / scales[:, None]).astype(np.int8)
    groups[:] = q * scales[:, None]
    return bytes(q.tobytes() + scales.tobytes())


def write_tokenizer(path: Path, pieces: Sequence[bytes], longest: int | None = None) -> Path:
    entries = [struct.pack("<fi", -float(i), len(p)) + p for i, p in enumerate(pieces)]
    actual = max(map(len, pieces), default=0)
    path.write_bytes(struct.pack("<i", actual if longest is None else longest) + b"".join(entries))
    return path


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """A random version 0 checkpoint with an awkward hidden width, and its tokenizer."""
    return write(tmp_path)


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize(
    ("version", "tables"),
    [(0, True), (0, False), (1, False), (2, False)],
    ids=["0", "0bare", "1", "2"],
)
def test_every_version_keeps_every_weight(
    tmp_path: Path, version: int, tables: bool, tied: bool
) -> None:
    """Each tensor of the GGUF is the checkpoint's, in its true shape: nothing is padded."""
    files = write(tmp_path, version=version, tied=tied, tables=tables)

    imported = import_model(files.checkpoint, files.tokenizer, tmp_path / "m.gguf")

    model = imported.model
    assert (model.shape.hidden, model.shape.tied_output, model.name) == (HIDDEN, tied, "m")
    for name, values in files.weights.items():
        for i, want in enumerate(values if name in PER_LAYER else values[None]):
            full = f"blk.{i}.{name}.weight" if name in PER_LAYER else f"{name}.weight"
            got = dequantized(model, model.header.tensors[full])
            np.testing.assert_array_equal(got.reshape(want.shape), want, err_msg=full)
    words = {0: "" if tables else "no RoPE tables", 1: "", 2: "groups of 16"}[version]
    assert words in " ".join(imported.notes)
    assert bool(words) == bool(imported.notes)


def weights_of(model: ModelFile) -> dict[str, bytes]:
    """The bytes of each tensor: all of a model but the metadata, which names the file it came
    from."""
    tensors = ((name, model.raw_tensor(name)) for name in model.header.tensors)
    return {name: raw[1].tobytes() for name, raw in tensors if raw is not None}


def test_version_0_behind_a_version_1_header_is_told_by_its_length(tmp_path: Path) -> None:
    """Some exporters only put the new header before the old body; the lengths differ."""
    old = write(tmp_path)
    want = import_model(old.checkpoint, old.tokenizer, tmp_path / "old.gguf", "m").model
    body = old.checkpoint.read_bytes()[28:]
    new = write(tmp_path, version=1)
    new.checkpoint.write_bytes(new.checkpoint.read_bytes()[:256] + body)

    imported = import_model(new.checkpoint, new.tokenizer, tmp_path / "new.gguf", "m")

    assert weights_of(imported.model) == weights_of(want)
    assert "read as version 0" in imported.notes[0]


@pytest.mark.parametrize("version", [0, 1, 2])
@pytest.mark.parametrize("change", [-300, -1, 1, 4096])
def test_another_length_is_refused_with_both(tmp_path: Path, version: int, change: int) -> None:
    """Missing and trailing bytes are one ModelError with both lengths; nothing is written."""
    files = write(tmp_path, version=version)
    data = files.checkpoint.read_bytes()
    files.checkpoint.write_bytes(data[:change] if change < 0 else data + bytes(change))

    with pytest.raises(
        ModelError, match=f"has {len(data)} bytes, this file has {len(data) + change}"
    ):
        import_checkpoint(files.checkpoint, files.tokenizer, tmp_path / "m.gguf", "t")

    assert not (tmp_path / "m.gguf").exists()


@pytest.mark.parametrize(
    ("at", "value", "words"),
    [(4, 7, "version 7 is not known"), (4, -1, "version -1"), (36, 9, "shared classifier is 9"),
     (37, 7, "groups of 7"), (37, 0, "groups of 0"), (12, -5, "makes no sense")],
)  # fmt: skip
def test_a_header_that_cannot_be_is_named(tmp_path: Path, at: int, value: int, words: str) -> None:
    """An unknown version, flag, group or dimension is said, before anything is read by it."""
    files = write(tmp_path, version=2)
    data = bytearray(files.checkpoint.read_bytes())
    data[at : at + (1 if at == 36 else 4)] = struct.pack("<b" if at == 36 else "<i", value)
    files.checkpoint.write_bytes(data)

    with pytest.raises(ModelError, match=words):
        import_checkpoint(files.checkpoint, files.tokenizer, tmp_path / "m.gguf", "t")


def test_network_runs_and_tokenizer_spells(files: Files, tmp_path: Path) -> None:
    """The import computes finite logits, and its tokenizer round-trips text with BOS first."""
    model = import_checkpoint(files.checkpoint, files.tokenizer, tmp_path / "m.gguf", "t").model
    tokenizer = tokenizer_of(model)

    ids = tokenizer.encode("ab aé\n")

    assert ids[:3] == [1, 259, 260]
    assert tokenizer.decode(ids) == "ab aé\n"
    assert np.isfinite(exact_logits(model, ids)).all()


def test_pieces_of_characters_stay_what_they_are(files: Files, tmp_path: Path) -> None:
    """A vocabulary of characters has no byte tokens: its ids 3 to 258 are its characters."""
    letters = [chr(0x4E00 + i).encode() for i in range(VOCAB - 4)]
    write_tokenizer(files.tokenizer, [b"<unk>", b"<s>", b"</s>", b"\n", *letters])

    imported = import_model(files.checkpoint, files.tokenizer, tmp_path / "m.gguf")
    tokenizer = tokenizer_of(imported.model)

    assert tokenizer.encode("\u4e00\u4e02\n\u4e01") == [1, 4, 6, 3, 5]
    assert tokenizer.decode([1, 4, 6, 3, 5, 2]) == "\u4e00\u4e02\n\u4e01"
    assert "0 of 256 byte tokens" in imported.notes[0]
    with pytest.raises(ModelError, match="cannot spell 'x'"):
        tokenizer.encode("\u4e00x")


def test_no_token_is_put_first_that_is_no_special_one(files: Files, tmp_path: Path) -> None:
    """A text begins with its own first token in a model whose id 1 is a letter."""
    letters = [chr(0x4E00 + i).encode() for i in range(VOCAB - 1)]
    write_tokenizer(files.tokenizer, [*letters, b" "])

    model = import_model(files.checkpoint, files.tokenizer, tmp_path / "m.gguf").model

    assert tokenizer_of(model).encode("\u4e01") == [VOCAB - 1, 1]


@pytest.mark.parametrize("n", [1, 100, VOCAB - 1, VOCAB + 1, 512])
def test_tokenizer_of_another_vocabulary_is_refused(files: Files, tmp_path: Path, n: int) -> None:
    """Too few and too many entries are refused with both numbers."""
    pieces = [*PIECES, *(b"p%d" % i for i in range(300))][:n]
    write_tokenizer(files.tokenizer, pieces)

    with pytest.raises(ModelError, match=rf"tok\.bin.* {n} entries, the checkpoint m\.bin {VOCAB}"):
        import_checkpoint(files.checkpoint, files.tokenizer, tmp_path / "m.gguf", "t")


@pytest.mark.parametrize("longest", [0, 5, -1, 2**31 - 1])
def test_the_length_of_the_longest_piece_is_checked(
    files: Files, tmp_path: Path, longest: int
) -> None:
    """run.c sizes its buffer by this field: a file that belies it is none of its tokenizers."""
    write_tokenizer(files.tokenizer, PIECES, longest)

    with pytest.raises(ModelError, match=f"longest piece is 6 bytes, its header says {longest}"):
        import_checkpoint(files.checkpoint, files.tokenizer, tmp_path / "m.gguf", "t")


def test_other_files_are_refused_by_name(files: Files, tmp_path: Path) -> None:
    """Each file is named when it is the one that is wrong."""
    out = tmp_path / "m.gguf"
    with pytest.raises(ModelError, match=r"tok\.bin.*makes no sense"):
        import_model(files.tokenizer, files.tokenizer, out)
    with pytest.raises(ModelError, match=r"m\.bin: not a llama2\.c tokenizer"):
        import_model(files.checkpoint, files.checkpoint, out)
    with pytest.raises(ModelError, match=r"m\.bin.*no tokenizer") as caught:
        import_model(files.checkpoint, None, out)
    assert "--tokenizer" in str(caught.value.hint)
    for data in (b"", b"\0" * 4, files.tokenizer.read_bytes()[:500]):
        files.tokenizer.write_bytes(data)
        with pytest.raises(ModelError, match=r"tok\.bin: not a llama2\.c tokenizer"):
            import_model(files.checkpoint, files.tokenizer, out)


def test_sources_are_not_written_over(files: Files, tmp_path: Path) -> None:
    """A file that is read is never the one that is written, under whatever name."""
    (tmp_path / "link.gguf").symlink_to(files.tokenizer)
    for out in (files.checkpoint, files.tokenizer, tmp_path / "link.gguf"):
        before = out.read_bytes()
        with pytest.raises(UsageError, match="one of the files"):
            import_model(files.checkpoint, files.tokenizer, out)
        assert out.read_bytes() == before


def test_what_never_ends_is_not_read(files: Files, tmp_path: Path) -> None:
    """A device or a pipe is no model file."""
    for path, tokenizer in (
        (Path("/dev/zero"), files.tokenizer),
        (files.checkpoint, Path("/dev/zero")),
    ):
        with pytest.raises(ModelError, match="/dev/zero: not a regular file"):
            import_model(path, tokenizer, tmp_path / "m.gguf")


def test_a_model_that_cannot_spell_the_standard_prompt_is_measured_all_the_same(
    files: Files, tmp_path: Path
) -> None:
    """Any ids serve as prompt where the user gave none; a user's text must be spelled."""
    letters = [chr(0x4E00 + i).encode() for i in range(VOCAB - 3)]
    write_tokenizer(files.tokenizer, [b"<unk>", b"<s>", b"</s>", *letters])
    model = import_model(files.checkpoint, files.tokenizer, tmp_path / "m.gguf").model
    preparer = Preparer(tmp_path)

    standard = preparer.prompt(model, None, None, 9)
    assert (len(standard.tokens), standard.text) == (9, "<unk>\u4e00\u4e01\u4e02\u4e03\u4e04\u4e05")
    assert preparer.prompt(model, "\u4e00", None, 9).tokens == (1, 3)
    with pytest.raises(ModelError, match="cannot spell 'h'"):
        preparer.prompt(model, "hi", None, 9)
