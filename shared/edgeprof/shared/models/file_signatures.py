"""Recognises files that are not GGUFs by their first bytes, with a hint for each kind."""

from __future__ import annotations

import re
import struct
from typing import Final

from edgeprof.shared.errors import ModelError

#: As many first bytes as explain() may need: TAR's mark is at 257.
HEAD_BYTES: Final = 1024

_ANEW = "convert the original model with llama.cpp's convert_hf_to_gguf.py"
_PYTORCH = f"{_ANEW}; a llama2.c checkpoint (.bin) can be imported: edgeprof models import"
_FOLDER = "import the folder it is in: edgeprof models import FOLDER -o MODEL.gguf"
_UNPACK = "unpack it, and give the .gguf that is in it"
_OLD = f"a llama.cpp of today cannot read it either: {_ANEW}"

#: (offset, bytes there, name, hint), compared in this order.
_SIGNS: Final = (
    (0, b"version https://git-lfs", "a Git LFS pointer, not the file itself", "git lfs pull"),
    (0, b"/annex/objects/", "a git-annex pointer, not the file itself", "git annex get"),
    (0, b"lmgg", "a model in the old format ggml", _OLD),
    (0, b"fmgg", "a model in the old format ggmf", _OLD),
    (0, b"tjgg", "a model in the old format ggjt", _OLD),
    (0, b"algg", "a LoRA adapter in the old format ggla", _OLD),
    (0, b"nsgg", "a saved session of llama.cpp", "give the model's own .gguf"),
    (0, b"qsgg", "a saved sequence of llama.cpp", "give the model's own .gguf"),
    (0, b"24ka", "a llama2.c checkpoint",
     "edgeprof models import FILE --tokenizer tokenizer.bin -o MODEL.gguf"),
    (12, b"<unk>", "a tokenizer of llama2.c",
     "edgeprof models import CHECKPOINT --tokenizer FILE -o MODEL.gguf"),
    (0, b"\x89HDF\r\n", "an HDF5 file (Keras)", _ANEW),
    (0, b"\x93NUMPY", "a NumPy array", _ANEW),
    (0, b"\x1f\x8b", "a gzip archive", _UNPACK),
    (0, b"\x28\xb5\x2f\xfd", "a Zstandard archive", _UNPACK),
    (0, b"\xfd7zXZ\0", "an xz archive", _UNPACK),
    (0, b"BZh", "a bzip2 archive", _UNPACK),
    (0, b"\x04\x22\x4d\x18", "an LZ4 archive", _UNPACK),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive", _UNPACK),
    (0, b"Rar!", "a RAR archive", _UNPACK),
    (257, b"ustar", "a TAR archive", _UNPACK),
    (4, b"TFL3", "a TensorFlow Lite model", _ANEW),
    (4, b"ET12", "an ExecuTorch program", _ANEW),
    (0, b"\xef\xbb\xbfGGUF", "a GGUF that a text editor has saved",
     "fetch or copy it again as a binary file"),
    (0, "\ufeffGGUF".encode("utf-16-le"), "a GGUF that was written as UTF-16 text",
     "fetch or copy it again as a binary file (in PowerShell not with >)"),
)  # fmt: skip


def explain(head: bytes, size: int) -> ModelError:
    """Return the refusal of a file that begins with `head` (HEAD_BYTES of it are enough)."""
    what, hint = _what(head, size)
    return ModelError(f"not a GGUF file but {what}", code="not_gguf", hint=hint)


def _what(head: bytes, size: int) -> tuple[str, str]:
    if not head:
        return "an empty file", "fetch or copy it again: the last try wrote nothing"
    if b"GGUF".startswith(head[:4]) and len(head) < 4:
        return f"the first {size} bytes of one", "fetch or copy it again"
    for at, mark, what, hint in _SIGNS:
        if head.startswith(mark, at):
            return what + _announced(head, what), hint
    return _archive(head) or _web(head) or _structured(head, size) or _unknown(head)


def _announced(head: bytes, what: str) -> str:
    """Return the size of the real file, which a Git LFS pointer gives."""
    size = re.search(rb"^size (\d{1,15})$", head, re.MULTILINE) if "LFS" in what else None
    return f" (of {int(size[1]):,} bytes)" if size else ""


def _archive(head: bytes) -> tuple[str, str] | None:
    if head.startswith(b"PK\x03\x04"):
        if b"data.pkl" in head[:256]:
            return "a PyTorch checkpoint (a ZIP with a pickle)", _PYTORCH
        if b".npy" in head[:256]:
            return "a NumPy archive", _ANEW
        return "a ZIP archive", _UNPACK
    if re.match(rb"\x80[\x02-\x05][\x8a\x8c\x95}(c\]]", head):
        return "a Python pickle (an old PyTorch checkpoint)", _PYTORCH
    return None


def _web(head: bytes) -> tuple[str, str] | None:
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if text.startswith((b"<!doctype html", b"<html", b"<head", b"<script")):
        return "an HTML page", (
            "the link leads to a page about the file: take the download link"
            " (on Hugging Face: /resolve/ instead of /blob/), and log in where it asks for that"
        )
    if text.startswith((b"<?xml", b"<error")):
        return "an XML document, as servers send for an error", "look into it, and fetch again"
    return None


def _structured(head: bytes, size: int) -> tuple[str, str] | None:
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if len(head) > 9 and head[8:9] == b"{" and int.from_bytes(head[:8], "little") < max(size, 10):
        return "weights in safetensors", _FOLDER
    if text.startswith((b"{", b"[")):
        return "JSON", f"a model's config.json or tokenizer.json? {_FOLDER}"
    # Protocol buffers have no magic: a SentencePiece model's first piece, ONNX's first two fields.
    if head.startswith(b"\n") and b"<unk>" in head[:16]:
        return "a SentencePiece tokenizer", _FOLDER
    if re.match(rb"\x08[\x01-\x1f][\x12\x1a\x22\x2a\x32\x3a\x42]", head):
        return "an ONNX model", _ANEW
    if _is_llama2c(head, size):
        return "a llama2.c checkpoint (version 0)", (
            "edgeprof models import FILE --tokenizer tokenizer.bin -o MODEL.gguf"
        )
    if re.match(rb"[\x01-\xff]..\0[\x01-\x40]\0\0\0(blk\.|output|token_embd)", head, re.DOTALL):
        return "an importance matrix of llama.cpp", "give the model's own .gguf"
    return None


def _is_llama2c(head: bytes, size: int) -> bool:
    """Whether seven plausible numbers explain the file's size as llama2.c does."""
    if len(head) < 28:
        return False
    dim, hidden, layers, heads, kv_heads, vocab, n_ctx = struct.unpack_from("<7i", head)
    tied, vocab = vocab > 0, abs(vocab)
    if not all(0 < n <= 1 << 20 for n in (dim, hidden, layers, heads, kv_heads, vocab, n_ctx)):
        return False
    if dim % heads or heads % kv_heads:
        return False
    kv_dim = dim // heads * kv_heads
    layer = 2 * dim + 2 * dim * dim + 2 * dim * kv_dim + 3 * dim * hidden
    weights = vocab * dim * (1 if tied else 2) + layers * layer + dim + n_ctx * (dim // heads)
    return bool(abs(28 + 4 * weights - size) <= 4 * n_ctx * dim)  # the RoPE tables may be left out


def _unknown(head: bytes) -> tuple[str, str]:
    again = "fetch or copy it again"
    if not head.strip(b"\0"):
        return "one that begins with zeros", f"an unfinished download? {again}"
    begin = head[:48]
    if head.isascii() and head.decode().split() and not re.search(rb"[\0-\x08\x0e-\x1f]", head):
        line = begin.decode().strip().splitlines()[0]
        return f"text that begins with {line!r}", f"an error message of the server? {again}"
    hint = "models in other formats: edgeprof models import --help"
    return f"one that begins with {begin[:8]!r}", hint
