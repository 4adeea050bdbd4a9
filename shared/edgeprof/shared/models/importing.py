"""Imports models in other formats: recognises the format, and converts to GGUF."""

from __future__ import annotations

from pathlib import Path

from edgeprof.shared.errors import UsageError
from edgeprof.shared.models.gguf_header import MAGIC
from edgeprof.shared.models.hugging_face.folder import import_folder
from edgeprof.shared.models.llama2c import import_checkpoint
from edgeprof.shared.models.llama_writing import Imported, read_file, refused

#: A zip, which torch.save writes, and the pickles that it wrote before.
_PICKLES = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")


def import_model(
    path: Path, tokenizer: Path | None, out: Path, name: str | None = None
) -> Imported:
    """Convert a llama2.c checkpoint or a Hugging Face folder.

    Raises ModelError that names the format of `path`, or the missing or unsupported part of it, and
    UsageError when `out` is one of the files that are read.
    """
    _check_apart(out, path, tokenizer)
    name = name or (path.resolve().name if path.is_dir() else path.stem)
    if path.is_dir():
        return import_folder(path, tokenizer, out, name)
    head = read_file(path)[:4]
    if head == MAGIC:
        raise refused(
            path, "this is a GGUF already", code="not_importable",
            hint="use it as it is; other weight types: edgeprof models quantize",
        )  # fmt: skip
    if path.suffix == ".safetensors":
        raise refused(
            path, "this is only the weights", code="not_importable",
            hint="give the folder, which holds config.json and the tokenizer too",
        )  # fmt: skip
    if head.startswith(_PICKLES) or path.suffix in {".pt", ".pth", ".ckpt"}:
        raise refused(
            path, "this is a PyTorch checkpoint: a pickle, which is code and is not opened",
            code="not_importable",
            hint="write it in a plain form: llama2.c's export.py (--checkpoint, version 0 to 2),"
            " or save_pretrained(FOLDER) of transformers; then import that",
        )  # fmt: skip
    if tokenizer is None:
        raise refused(
            path, "a llama2.c checkpoint holds no tokenizer", code="missing",
            hint="give the one it was trained with: --tokenizer tokenizer.bin",
        )  # fmt: skip
    return import_checkpoint(path, tokenizer, out, name)


def _check_apart(out: Path, path: Path, tokenizer: Path | None) -> None:
    """Refuse to overwrite a file that is read, but not an earlier import inside the folder."""
    if not out.is_file():
        return
    inputs = [p for p in path.iterdir() if p.suffix != ".gguf"] if path.is_dir() else [path]
    if any(p.exists() and out.samefile(p) for p in (*inputs, *([tokenizer] if tokenizer else []))):
        raise UsageError(
            f"{out} is one of the files that are imported", hint="give another file to write: -o"
        )
