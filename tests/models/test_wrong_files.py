"""Whatever is given for a model is named for what it is, with what to do about it."""

from __future__ import annotations

import gzip
import io
import json
import lzma
import pickle
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import gguf
import numpy as np
import pytest

from edgeprof.shared.errors import ModelError, UsageError
from edgeprof.shared.models import ConvertibleModel, catalogue
from edgeprof.shared.reference.synthetic import SyntheticLlama

Rewrite = Callable[..., ConvertibleModel]


def refusal(path: Path, data: bytes) -> ModelError:
    path.write_bytes(data)
    with pytest.raises(ModelError) as caught:
        ConvertibleModel.open(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert caught.value.hint
    return caught.value


def zipped(name: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(name, b"x")
    return out.getvalue()


def tarred() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("model.gguf"))
    return out.getvalue()


def safetensors() -> bytes:
    header = json.dumps({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    return struct.pack("<Q", len(header)) + header + bytes(4)


def checkpoint() -> bytes:
    dim, hidden, layers, heads, vocab, n_ctx = 8, 16, 1, 2, 300, 16
    floats = vocab * dim + 2 * dim + 4 * dim * dim + 3 * dim * hidden + dim + n_ctx * 4
    return struct.pack("<7i", dim, hidden, layers, heads, heads, vocab, n_ctx) + bytes(4 * floats)


LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 1131104\n"

#: What it is -> (bytes, words of the error, words of the hint).
FILES: dict[str, tuple[bytes, str, str]] = {
    "Git LFS": (LFS, "a Git LFS pointer, not the file itself (of 1,131,104 bytes)", "git lfs pull"),
    "git-annex": (b"/annex/objects/MD5E-s12--ab.gguf\n", "git-annex pointer", "git annex get"),
    "HTML": (b"\n<!DOCTYPE html><html></html>", "an HTML page", "/resolve/"),
    "HTML without doctype": (b"<HTML><body>", "an HTML page", "/resolve/"),
    "XML error": (b'<?xml version="1.0"?><Error>', "an XML document", "fetch again"),
    "empty": (b"", "an empty file", "fetch"),
    "two bytes": (b"GG", "the first 2 bytes of one", "fetch"),
    "zeros": (bytes(5000), "begins with zeros", "unfinished download"),
    "text": (b"Entry not found\n", "text that begins with 'Entry not found'", "fetch"),
    "noise": (bytes(range(128, 160)), "begins with b'\\x80", "models import"),
    "ZIP": (zipped("model.gguf"), "a ZIP archive", "unpack"),
    "PyTorch": (zipped("archive/data.pkl"), "a PyTorch checkpoint", "convert_hf_to_gguf"),
    "npz": (zipped("a.npy"), "a NumPy archive", "convert_hf_to_gguf"),
    "pickle": (pickle.dumps({"model": 1}, protocol=2), "a Python pickle", "convert_hf_to_gguf"),
    "pickle 4": (pickle.dumps({"model": 1}, protocol=4), "a Python pickle", "convert_hf_to_gguf"),
    "old torch": (pickle.dumps(0x1950A86A20F9469CFC6C, protocol=2), "a Python pickle", "convert"),
    "safetensors": (safetensors(), "weights in safetensors", "models import"),
    "ONNX": (b"\x08\x07\x12\x07pytorch", "an ONNX model", "convert_hf_to_gguf"),
    "TFLite": (b"\x1c\0\0\0TFL3" + bytes(20), "a TensorFlow Lite model", "convert_hf_to_gguf"),
    "ggml": (struct.pack("<I", 0x67676D6C) + bytes(40), "the old format ggml", "convert_hf"),
    "ggmf": (struct.pack("<I", 0x67676D66) + bytes(40), "the old format ggmf", "convert_hf"),
    "ggjt": (struct.pack("<II", 0x67676A74, 3) + bytes(40), "the old format ggjt", "convert_hf"),
    "ggla": (struct.pack("<II", 0x67676C61, 1) + bytes(40), "LoRA adapter in the old", "convert"),
    "gzip": (gzip.compress(b"GGUF"), "a gzip archive", "unpack"),
    "zstd": (b"\x28\xb5\x2f\xfd" + bytes(20), "a Zstandard archive", "unpack"),
    "xz": (lzma.compress(b"GGUF"), "an xz archive", "unpack"),
    "tar": (tarred(), "a TAR archive", "unpack"),
    "JSON": (b'{"architectures": ["LlamaForCausalLM"]}', "JSON", "models import"),
    "llama2.c v0": (checkpoint(), "a llama2.c checkpoint (version 0)", "models import"),
    "llama2.c v1": (b"24ka" + bytes(252), "a llama2.c checkpoint", "models import"),
    "llama2.c tokens": (
        struct.pack("<ifi", 5, 0.0, 5) + b"<unk>", "a tokenizer of llama2.c", "models import"
    ),
    "SentencePiece": (b"\n\x0e\n\x05<unk>\x15\0\0\0\0\x18\x02", "SentencePiece", "models import"),
    "old imatrix": (
        struct.pack("<ii", 2, 19) + b"blk.0.attn_q.weight", "importance matrix", "model itself"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_other_files_are_named(tmp_path: Path, name: str) -> None:
    """Each format that people take for a model is named, with a way on in the hint."""
    data, what, way = FILES[name]

    error = refusal(tmp_path / "m.gguf", data)

    assert error.code == "not_gguf"
    assert what in str(error)
    assert way in (error.hint or "").replace("the model's own", "the model itself")


def written(path: Path, arch: str, fill: Callable[[gguf.GGUFWriter], None]) -> bytes:
    writer = gguf.GGUFWriter(path, arch)
    fill(writer)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path.read_bytes()


def a_tensor(writer: gguf.GGUFWriter) -> None:
    writer.add_tensor("w", np.zeros(32, np.float32))


def of_type(kind: str) -> Callable[[gguf.GGUFWriter], None]:
    def fill(writer: gguf.GGUFWriter) -> None:
        writer.add_type(kind)
        a_tensor(writer)

    return fill


KINDS: dict[str, tuple[str, Callable[[gguf.GGUFWriter], None], str, str]] = {
    "LoRA": ("llama", of_type("adapter"), "a LoRA adapter", "merge it"),
    "mmproj": ("clip", of_type("mmproj"), "(mmproj)", "the model itself"),
    "imatrix": ("llama", of_type("imatrix"), "an importance matrix", "the model itself"),
    "control vector": ("controlvector", a_tensor, "a control vector", "the model itself"),
    "clip": ("clip", a_tensor, "(mmproj)", "the model itself"),
    "gpt2": ("gpt2", a_tensor, "architecture 'gpt2' is not supported", "llama"),
    "vocabulary": (
        "llama", lambda w: w.add_tokenizer_model("llama"), "a vocabulary", "the model itself"
    ),
    "vocabulary of another": (
        "qwen2", lambda w: w.add_tokenizer_model("gpt2"), "a vocabulary", "the model itself"
    ),
    "nothing": ("llama", lambda w: w.add_name("x"), "without weights", "the model itself"),
}  # fmt: skip


@pytest.mark.parametrize("name", KINDS)
def test_ggufs_that_are_no_model_are_named(tmp_path: Path, name: str) -> None:
    """GGUF holds more than models; each kind has its name."""
    arch, fill, what, way = KINDS[name]
    path = tmp_path / "m.gguf"

    error = refusal(path, written(path, arch, fill))

    assert what in str(error)
    assert way in (error.hint or "")


def shard(path: Path, number: int, count: int) -> bytes:
    """As llama-gguf-split writes: only the first part has the metadata."""

    def fill(writer: gguf.GGUFWriter) -> None:
        writer.add_uint16("split.no", number)
        writer.add_uint16("split.count", count)
        a_tensor(writer)

    data = written(path, "llama", fill)
    return data if number == 0 else data.replace(b"general.architecture", b"general.xrchitecture")


def test_part_of_a_split_model_names_all_parts(tmp_path: Path) -> None:
    """Any part, the second without an architecture too: which it is, of which files."""
    for number in (0, 1):
        path = tmp_path / f"m-0000{number + 1}-of-00003.gguf"
        error = refusal(path, shard(path, number, 3))
        assert f"part {number + 1} of 3" in str(error)
        assert "m-00001-of-00003.gguf, m-00002-of-00003.gguf, m-00003-of-00003.gguf" in str(error)
        assert f"--merge {tmp_path / 'm-00001-of-00003.gguf'}" in (error.hint or "")
    assert str(error).endswith("not beside it: m-00003-of-00003.gguf")
    error = refusal(tmp_path / "renamed.gguf", shard(tmp_path / "renamed.gguf", 1, 60_000))
    assert "part 2 of 60000" in str(error)


def test_a_split_into_one_part_is_whole(tmp_path: Path, rewrite: Rewrite) -> None:
    """split.count 1 changes nothing, so it is no reason to refuse."""
    model = ConvertibleModel.open(SyntheticLlama(n_layers=1).write(tmp_path / "m.gguf"))

    part = rewrite(model, tmp_path / "m-00001-of-00001.gguf", {"split.no": 0, "split.count": 1})

    assert part.runnable().header.metadata["split.count"].value == 1


def test_a_part_that_looks_whole_is_refused(tmp_path: Path, rewrite: Rewrite) -> None:
    """A part of a split model is refused even if it looks whole: its output head may be in another
    part."""
    model = ConvertibleModel.open(SyntheticLlama(n_layers=1).write(tmp_path / "m.gguf"))

    with pytest.raises(ModelError, match="part 1 of 2 of a split model"):
        rewrite(model, tmp_path / "part.gguf", {"split.no": 0, "split.count": 2})


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A model of 130 kB; its tokens and weights hold every byte."""
    return SyntheticLlama(n_layers=1).write(tmp_path_factory.mktemp("m") / "m.gguf").read_bytes()


MANGLERS: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "LF to CRLF": (lambda d: d.replace(b"\n", b"\r\n"), "CR LF"),
    "UTF-8 with replacements": (lambda d: d.decode(errors="replace").encode(), "U+FFFD"),
    "Latin-1 to UTF-8": (lambda d: d.decode("latin-1").encode(), "two bytes"),
    "BOM": (lambda d: b"\xef\xbb\xbf" + d, "text editor"),
    "UTF-16": (lambda d: d.decode("latin-1").encode("utf-16"), "UTF-16"),
}


@pytest.mark.parametrize("name", MANGLERS)
def test_text_mangled_files_are_named(tmp_path: Path, sound: bytes, name: str) -> None:
    """A binary file that was taken for text is lost; the error says so."""
    mangle, what = MANGLERS[name]

    error = refusal(tmp_path / "m.gguf", mangle(sound))

    assert what in str(error)
    assert "binary" in (error.hint or "")


def test_line_ends_added_among_the_weights_are_noticed(tmp_path: Path, sound: bytes) -> None:
    """A file whose line ends were converted among the weights is refused, though it is
    well-formed."""
    start = min(t.offset for t in _opened(tmp_path, sound).header.tensors.values())
    assert b"\n" not in sound[:start]
    mangled = sound[:start] + sound[start:].replace(b"\n", b"\r\n")

    assert refusal(tmp_path / "m.gguf", mangled).code == "mangled"


def _opened(tmp_path: Path, data: bytes) -> ConvertibleModel:
    path = tmp_path / "sound.gguf"
    path.write_bytes(data)
    return ConvertibleModel.open(path)


def test_truncated_download_says_how_much_is_missing(tmp_path: Path, sound: bytes) -> None:
    """The number of bytes that are not there, of all tensors and not of the first that is cut."""
    end = max(t.offset + t.n_bytes for t in _opened(tmp_path, sound).header.tensors.values())

    error = refusal(tmp_path / "m.gguf", sound[:70_000])

    assert error.code == "truncated"
    assert f"{end - 70_000:,} bytes of {end:,} are missing; the file has 70,000" in str(error)


@pytest.mark.parametrize(
    ("version", "what", "way"),
    [
        (struct.pack(">I", 3), "big-endian", "gguf-convert-endian"),
        (struct.pack("<I", 1), "version 1, of August 2023", "convert_hf_to_gguf"),
        (struct.pack("<I", 4), "version 4 is not known", "update"),
    ],
)
def test_other_versions_are_refused_with_words(
    tmp_path: Path, sound: bytes, version: bytes, what: str, way: str
) -> None:
    """A version is a number that a person can look up, and a byte order is not a version."""
    error = refusal(tmp_path / "m.gguf", sound[:4] + version + sound[8:])

    assert what in str(error)
    assert way in (error.hint or "")


def test_version_2_is_read_as_version_3(tmp_path: Path, sound: bytes) -> None:
    """The two differ in nothing that we read."""
    old = _opened(tmp_path, sound[:4] + struct.pack("<I", 2) + sound[8:])

    assert old.header.version == 2
    assert old.shape == _opened(tmp_path, sound).shape


def test_a_folder_says_what_is_in_it(tmp_path: Path) -> None:
    """A folder is a UsageError that names its models, or the command that imports it."""
    with pytest.raises(UsageError, match="is a folder") as caught:
        catalogue.resolve(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UsageError) as caught:
        catalogue.resolve(tmp_path)
    assert f"models import {tmp_path}" in (caught.value.hint or "")
    (tmp_path / "x.gguf").write_bytes(b"")
    with pytest.raises(UsageError) as caught:
        catalogue.resolve(tmp_path)
    assert "x.gguf" in (caught.value.hint or "")
