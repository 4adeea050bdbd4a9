"""A name never stands for content that it no longer has: files are looked at for each job."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgeprof.client.preparation import Batch, Preparer
from edgeprof.shared.errors import ModelError, UsageError
from edgeprof.shared.models import ModelFile
from edgeprof.shared.reference.synthetic import SyntheticLlama
from edgeprof.shared.types.model import Quantization


def write(path: Path, seed: int) -> str:
    """Write a model whose weights follow from the seed; returns its hash."""
    return ModelFile.open(SyntheticLlama(n_layers=1, seed=seed).write(path)).sha256


def in_place(path: Path, other: Path) -> None:
    """As a training loop that opens the same file again."""
    path.write_bytes(other.read_bytes())


def renamed_over(path: Path, other: Path) -> None:
    """As a careful writer, and as git checkout."""
    other.replace(path)


def with_the_old_time(path: Path, other: Path) -> None:
    """As `cp -p` and `rsync -t`: size and modification time are those of before."""
    before = path.stat()
    path.write_bytes(other.read_bytes())
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def by_a_link(path: Path, other: Path) -> None:
    """As a link "latest.gguf" that is set to the next file."""
    path.unlink()
    path.symlink_to(other)


def by_a_memory_map(path: Path, other: Path) -> None:
    """As numpy.memmap: what is written to a page that was written before may change no time of the
    file."""
    mapped = np.memmap(path, np.uint8, "r+")
    mapped[:] = mapped[:].copy()
    mapped[:] = np.frombuffer(other.read_bytes(), np.uint8)


@pytest.mark.parametrize(
    "change", [in_place, renamed_over, with_the_old_time, by_a_link, by_a_memory_map]
)
@pytest.mark.parametrize("to", [None, Quantization.Q8_0])
def test_a_file_that_was_written_anew_is_read_anew(
    tmp_path: Path, change: Callable[[Path, Path], None], to: Quantization | None
) -> None:
    """A model file that changed is read again in the same process, also when its size is the
    same."""
    path, other = tmp_path / "m.gguf", tmp_path / "other.gguf"
    write(path, seed=1)
    second = write(other, seed=2)
    preparer = Preparer(tmp_path / "cache")
    before = preparer.typed(preparer.source(path), to)
    same = preparer.typed(preparer.source(path), to)

    change(path, other)
    source = preparer.source(path)
    after = preparer.typed(source, to)

    assert same.sha256 == before.sha256
    assert source.sha256 == second
    assert after.sha256 != before.sha256
    assert after.source.sha256 == second


def test_a_file_is_worked_on_once_while_it_stays(tmp_path: Path) -> None:
    """A notebook that submits a thousand jobs checks and converts a model once."""
    path = tmp_path / "m.gguf"
    write(path, seed=1)
    preparer = Preparer(tmp_path / "cache")

    assert preparer.source(path) is preparer.source(path)


def test_a_sweep_reads_a_file_once(tmp_path: Path) -> None:
    """All its jobs are of one content, though the file is written meanwhile; the next reads it."""
    path, other = tmp_path / "m.gguf", tmp_path / "other.gguf"
    write(path, seed=1)
    second = write(other, seed=2)
    preparer, batch = Preparer(tmp_path / "cache"), Batch()
    first = preparer.source(path, batch)

    in_place(path, other)

    assert preparer.source(path, batch) is first
    assert preparer.source(path, Batch()).sha256 == second


def test_a_file_that_is_gone_is_named(tmp_path: Path) -> None:
    """A model file that is gone is named in the error; its old content is not used."""
    path = tmp_path / "m.gguf"
    write(path, seed=1)
    preparer = Preparer(tmp_path / "cache")
    preparer.source(path)
    path.unlink()

    with pytest.raises(UsageError, match=r"m\.gguf.*neither a bundled model nor a file"):
        preparer.source(path)


def test_a_file_that_is_being_written_is_not_half_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of the old weights and half of the new are no model; after some tries it says so."""
    path = tmp_path / "m.gguf"
    write(path, seed=1)
    whole = Path.read_bytes

    def read_while_written(self: Path) -> bytes:
        content = whole(self)
        with self.open("r+b") as file:
            file.write(b"GGUF")
        os.utime(self)
        return content

    monkeypatch.setattr(Path, "read_bytes", read_while_written)

    with pytest.raises(ModelError, match="is being written"):
        ModelFile.open(path)
