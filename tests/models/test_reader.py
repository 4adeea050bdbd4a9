"""A GGUF is read without being believed: whatever is in it, the answer is a model or one ModelError
line."""

from __future__ import annotations

import struct
from contextlib import suppress
from pathlib import Path

import gguf
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgeprof.shared.errors import ModelError
from edgeprof.shared.models import ModelFile
from edgeprof.shared.models.gguf_header import parse
from edgeprof.shared.reference.synthetic import SyntheticLlama
from edgeprof.shared.types.model import Quantization

FIXTURES = [HealthCheck.function_scoped_fixture]


def key_at(data: bytes, key: str) -> int:
    """Where the value type of a metadata key is."""
    name = key.encode()
    return data.index(struct.pack("<Q", len(name)) + name) + 8 + len(name)


def info_at(data: bytes, name: str) -> int:
    """Where a tensor's description goes on after its name."""
    return key_at(data, name)


def patched(data: bytes, at: int, code: str, value: float) -> bytes:
    out = bytearray(data)
    struct.pack_into(code, out, at, value)
    return bytes(out)


def refusal(path: Path, data: bytes) -> ModelError:
    """Open `data` as a file; it must be refused, in one line that names the file."""
    path.write_bytes(data)
    with pytest.raises(ModelError) as caught:
        ModelFile.open(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    assert len(message) < len(str(path)) + 250
    return caught.value


def test_shipped_shape_is_what_the_decision_says(small: ModelFile) -> None:
    """shakespeare-240k has the hyperparameters of docs/decisions/0002."""
    s = small.shape
    assert (s.dim, s.hidden, s.n_layers, s.n_heads, s.n_heads_kv) == (64, 192, 4, 8, 4)
    assert (s.n_vocab, s.n_ctx, s.head_dim, s.rope_dim, s.tied_output) == (640, 256, 8, 8, True)
    assert small.quantization is Quantization.F32
    assert small.n_params == 238_144


def test_tensors_are_those_the_gguf_package_reads(small: ModelFile, ternary: ModelFile) -> None:
    """Our parser and the gguf package agree on every byte of every tensor of a sound file."""
    for model in (small, ternary):
        reader = gguf.GGUFReader(model.path)
        assert len(reader.tensors) == len(model.header.tensors)
        for theirs in reader.tensors:
            ours = model.raw_tensor(theirs.name)
            assert ours is not None
            assert ours[0] == theirs.tensor_type
            assert ours[1].tobytes() == theirs.data.tobytes()


@settings(max_examples=150, suppress_health_check=FIXTURES)
@given(keep=st.floats(0, 1, exclude_max=True))
def test_every_truncation_is_refused(tiny: bytes, work: Path, keep: float) -> None:
    """A file cut anywhere is refused."""
    refusal(work, tiny[: int(len(tiny) * keep)])


@settings(max_examples=400)
@given(data=st.data())
def test_mutations_never_raise_anything_else(tiny: bytes, data: st.DataObject) -> None:
    """Overwriting header bytes gives a model or a ModelError, never another exception."""
    # the header is what is interpreted; the weights are any bytes at all
    header = min(info.offset for info in parse(memoryview(tiny)).tensors.values())
    mutated = bytearray(tiny)
    edits = st.lists(
        st.tuples(st.integers(0, header - 1), st.sampled_from([0, 1, 7, 8, 9, 127, 128, 255])),
        min_size=1,
        max_size=6,
    )
    for at, byte in data.draw(edits):
        mutated[at] = byte
    with suppress(ModelError):
        parse(memoryview(bytes(mutated)))


@settings(max_examples=200)
@given(st.binary(max_size=200))
def test_noise_never_raises_anything_else(noise: bytes) -> None:
    """Random bytes, with or without the magic, are a ModelError."""
    with pytest.raises(ModelError):
        parse(memoryview(noise))
    with suppress(ModelError):
        parse(memoryview(b"GGUF\x03\0\0\0" + noise))


def test_not_a_gguf_says_what_it_begins_with(work: Path) -> None:
    """A file of no kind that we know is shown by its first bytes."""
    error = refusal(work, b"XY\x03\x04" + bytes(100))
    assert error.code == "not_gguf"
    assert "XY" in str(error)


def test_missing_file_is_one_line(tmp_path: Path) -> None:
    """A path that is not there is a ModelError, not an OSError."""
    with pytest.raises(ModelError, match="cannot read"):
        ModelFile.open(tmp_path / "absent.gguf")


def test_other_architecture_is_named(tiny: bytes, work: Path) -> None:
    """The architecture found and the one supported are both said."""
    at = key_at(tiny, "general.architecture") + 4 + 8
    error = refusal(work, tiny[:at] + b"mamba" + tiny[at + 5 :])
    assert "'mamba'" in str(error)
    assert "llama" in (error.hint or "")


def test_unsupported_tensor_type_is_named(tiny: bytes, work: Path) -> None:
    """The tensor and its type are said, also of a type that cannot even be converted."""
    at = info_at(tiny, "blk.0.ffn_up.weight") + 4 + 16
    error = refusal(work, patched(tiny, at, "<I", gguf.GGMLQuantizationType.I16))
    assert error.code == "tensor_type"
    assert "blk.0.ffn_up.weight" in str(error)
    assert "I16" in str(error)
    assert "Q8_0" in (error.hint or "")


@pytest.mark.parametrize(
    ("key", "code", "value", "says"),
    [
        ("llama.embedding_length", "<I", 0, "embedding_length is 0"),
        ("llama.embedding_length", "<I", 64, "hyperparameters say"),
        ("llama.block_count", "<I", 2, "'blk.1.attn_norm.weight' is missing"),
        ("llama.block_count", "<I", 2**31, "block_count"),
        ("llama.vocab_size", "<I", 9, "'token_embd.weight' has shape"),
        ("llama.attention.head_count", "<I", 5, "do not divide"),
        ("llama.attention.head_count_kv", "<I", 3, "do not divide"),
        ("llama.rope.dimension_count", "<I", 3, "not an even number"),
        ("llama.attention.layer_norm_rms_epsilon", "<f", float("nan"), "not a number above 0"),
        ("llama.feed_forward_length", "<I", 96, "hyperparameters say"),
    ],
)
def test_hyperparameters_that_lie(
    tiny: bytes, work: Path, key: str, code: str, value: float, says: str
) -> None:
    """A hyperparameter that the tensors contradict, or that makes no sense, is named."""
    assert says in str(refusal(work, patched(tiny, key_at(tiny, key) + 4, code, value)))


def test_counts_that_lie_cost_no_memory(tiny: bytes, work: Path) -> None:
    """2^63 tensors, keys or array elements are refused by their number, not tried."""
    for at in (8, 16):
        assert "more than" in str(refusal(work, patched(tiny, at, "<Q", 2**63)))
    array = key_at(tiny, "tokenizer.ggml.tokens") + 4 + 4
    assert "more than" in str(refusal(work, patched(tiny, array, "<Q", 2**40)))


def test_offsets_that_lie(tiny: bytes, work: Path) -> None:
    """Offsets beyond the file, between alignments, or onto another tensor are refused."""
    at = info_at(tiny, "blk.0.attn_q.weight") + 4 + 16 + 4
    assert "truncated" in str(refusal(work, patched(tiny, at, "<Q", 1 << 40)))
    assert "not a multiple of 32" in str(refusal(work, patched(tiny, at, "<Q", 33)))
    assert "overlap" in str(refusal(work, patched(tiny, at, "<Q", 0)))


def test_tensor_twice_is_refused(tiny: bytes, work: Path) -> None:
    """Two tensors of one name are refused: boards and hosts could pick different ones."""
    doubled = tiny.replace(b"blk.0.attn_k.weight", b"blk.0.attn_v.weight", 1)
    assert "occurs twice" in str(refusal(work, doubled))


def test_tensor_the_forward_pass_ignores_is_refused(work: Path) -> None:
    """A tensor that no plain llama has would silently change nothing on a board; it is refused."""
    SyntheticLlama(n_layers=1).write(work)
    renamed = work.read_bytes().replace(b"blk.0.attn_k.weight", b"blk.0.attn_z.weight", 1)
    assert "attn_k" in str(refusal(work, renamed))


def test_rope_scaling_is_refused(work: Path) -> None:
    """A key that changes the arithmetic, and that no board implements, is refused."""
    writer = gguf.GGUFWriter(work, "llama")
    for key in ("embedding_length", "attention.head_count", "rope.dimension_count"):
        writer.add_uint32(f"llama.{key}", 4 if key.startswith("embedding") else 2)
    writer.add_string("llama.rope.scaling.type", "yarn")
    writer.add_tensor("token_embd.weight", np.zeros((4, 4), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    assert "rope.scaling" in str(refusal(work, work.read_bytes()))


def test_arrays_have_a_limit_together(work: Path) -> None:
    """Each item costs the host eight times its byte in the file: five arrays at their limit are too
    many."""
    data = bytearray(b"GGUF" + struct.pack("<IQQ", 3, 0, 5))
    for index in range(5):
        data += struct.pack("<Q", 1) + b"%d" % index + struct.pack("<IIQ", 9, 0, 1 << 20)
        data += bytes(1 << 20)

    error = refusal(work, bytes(data))

    assert "more than 4194304 items" in str(error)
