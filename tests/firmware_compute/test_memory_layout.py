"""Where the state of a model goes, and what is said when it does not fit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from gguf import GGMLQuantizationType as Type

from edgeprof.shared.models.file import ModelFile
from edgeprof.shared.models.fit import BATCH, activation_bytes, has_room_for_batches
from edgeprof.shared.reference.synthetic import SyntheticLlama
from edgeprof.shared.types.model import KvType

if TYPE_CHECKING:
    from tests.firmware_compute.conftest import Tool

Place = Callable[..., tuple[list[int], list[list[str]], list[int]]]

SHAPE = SyntheticLlama(n_ctx=64)
HALF_KV = SHAPE.n_layers * 64 * 32 * 2  # layers, positions, kv_dim, bytes of F16


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose KV cache has two halves of 8 KiB."""
    return SHAPE.write(tmp_path_factory.mktemp("layout") / "m.gguf")


@pytest.fixture
def place(sanitized: Tool, model: Path) -> Place:
    """Lay the state out in regions of given sizes: (code, requested, available), placements, bytes
    used."""

    def run(*sizes: int) -> tuple[list[int], list[list[str]], list[int]]:
        first, *placements, used = (
            sanitized.run("place", model, 64, 1, *sizes).decode().splitlines()
        )
        return (
            [int(n) for n in first.split()],
            [p.split() for p in placements],
            [int(n) for n in used.split()],
        )

    return run


@pytest.fixture
def activations(place: Place) -> int:
    """Bytes of the third placement."""
    return int(place(1 << 20)[1][2][2])


def test_each_part_goes_to_the_first_region_with_room(place: Place, activations: int) -> None:
    """Keys fill the first region; values no longer fit there and go on; activations fill the
    gap."""
    error, placements, used = place(HALF_KV + activations, HALF_KV)

    assert error == [0, 0, 0]
    assert [p[1] for p in placements] == ["0", "1", "0"]
    assert used == [HALF_KV + activations, HALF_KV]


def test_one_byte_too_few_is_refused_with_the_sum(place: Place, activations: int) -> None:
    """NO_MEMORY names all that is needed and all that is free, and takes nothing."""
    needed = 2 * HALF_KV + activations

    error, placements, used = place(needed - 1)

    assert error == [306, needed, needed - 1]
    assert placements == []
    assert used == [0]


def test_a_part_that_fits_no_single_region_is_named(place: Place) -> None:
    """Enough in all but nowhere whole: the part's size and the largest room left; nothing stays
    taken."""
    error, _, used = place(HALF_KV, HALF_KV - 16, HALF_KV // 2)

    assert error == [306, HALF_KV, HALF_KV - 16]
    assert used == [0, 0, 0]


def test_batches_are_where_there_is_room_for_a_profile_besides(
    sanitized: Tool, tmp_path: Path
) -> None:
    """Quantised weights are unpacked for four positions at once, if 16 KiB stay free; a byte less,
    and the state is that of one position. The host knows both sizes."""
    model = replace(SHAPE, matrix_type=Type.Q8_0).write(tmp_path / "m.gguf")
    shape = ModelFile.open(model).shape
    one, four = (activation_bytes(shape, 64, batch) for batch in (1, BATCH))
    enough = 2 * HALF_KV + four + (16 << 10)

    def used(size: int) -> int:
        return int(sanitized.run("place", model, 64, 1, size).split()[-1])

    assert used(enough) == 2 * HALF_KV + four
    assert used(enough - 1) == 2 * HALF_KV + one
    for size in (enough, enough - 1):
        batches = has_room_for_batches(shape, 64, KvType.F16, {"sram": size})
        assert batches == (size == enough)
    assert used(2 * HALF_KV + one) == 2 * HALF_KV + one
