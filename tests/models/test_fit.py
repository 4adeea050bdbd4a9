"""What fits: the sum, and the placement rule, of docs/arithmetic.md section 7."""

from __future__ import annotations

import pytest

from edgeprof.shared.models import ModelFile
from edgeprof.shared.models.fit import FitReport, activation_bytes, fit, kv_bytes
from edgeprof.shared.types.board import MemoryRegion
from edgeprof.shared.types.model import KvType

KIB = 1024


def region(name: str, kind: str, n_bytes: int) -> MemoryRegion:
    return MemoryRegion.model_validate(
        {"name": name, "kind": kind, "total_bytes": n_bytes, "available_bytes": n_bytes}
    )


def on_board(model: ModelFile, *regions: MemoryRegion, flash: bool = True) -> FitReport:
    return fit(
        model.shape, model.size_bytes, 128, KvType.F16, regions, can_flash=flash, can_upload=True
    )


def test_sums_of_the_shipped_model(small: ModelFile) -> None:
    """KV and activations of shakespeare-240k at 128 positions, added up by hand."""
    assert kv_bytes(small.shape, 128, KvType.F16) == 2 * 4 * 128 * 32 * 2
    assert kv_bytes(small.shape, 128, KvType.F32) == 2 * 4 * 128 * 32 * 4
    layers, residual, kv, ffn = 288, 3 * 256, 2 * 128, 2 * 768
    scores, rope, logits, quantised = 1024, 16 + 32, 2560, 384 + 2 * 32
    assert activation_bytes(small.shape, 128) == (
        layers + residual + kv + ffn + scores + rope + logits + quantised
    )


@pytest.mark.parametrize("name", ["small", "ternary"])
def test_shipped_models_fit_an_stm32f405(name: str, request: pytest.FixtureRequest) -> None:
    """Weights in 1 MiB of flash less 64 KiB of firmware; 128 positions of F16 KV in 96 KiB of
    SRAM."""
    model: ModelFile = request.getfixturevalue(name)

    report = on_board(model, region("sram", "ram", 96 * KIB), region("flash", "flash", 960 * KIB))

    assert report.fits, report.explain()
    assert [p.region for p in report.placements] == ["flash", "sram", "sram", "sram"]


def test_without_flash_the_weights_go_to_ram(small: ModelFile) -> None:
    """One region with room for all takes all."""
    report = on_board(small, region("psram", "ram", 2048 * KIB))

    assert [p.region for p in report.placements] == ["psram"] * 4


def test_each_block_goes_whole_into_the_first_region_with_room(small: ModelFile) -> None:
    """Keys fill the first region, values go on to the second, activations return to the gap
    left."""
    half = kv_bytes(small.shape, 128, KvType.F16) // 2
    activations = activation_bytes(small.shape, 128)

    report = on_board(
        small,
        region("a", "ram", half + activations),
        region("b", "ram", half),
        region("flash", "flash", 960 * KIB),
    )

    assert [p.region for p in report.placements] == ["flash", "a", "b", "a"]


def test_one_byte_too_few_is_a_refusal(small: ModelFile) -> None:
    """The limit is exact, and the sum names every block, the total and what there is."""
    flash = region("flash", "flash", 960 * KIB)
    need = kv_bytes(small.shape, 128, KvType.F16) + activation_bytes(small.shape, 128)

    assert on_board(small, region("sram", "ram", need), flash).fits
    report = on_board(small, region("sram", "ram", need - 1), flash, region("stack", "stack", 8192))

    assert not report.fits
    text = report.explain()
    for part in (
        f"weights {small.size_bytes} B (flash)",
        "keys 32768 B (sram)",
        "activations",
        "NO ROOM",
        f"= {small.size_bytes + need} B",
        f"sram {need - 1} of {need - 1} B",
        "stack 8192 B",
    ):
        assert part in text


def test_flash_that_nobody_can_write_is_not_counted(small: ModelFile) -> None:
    """An upload goes to RAM where no tool places models in flash."""
    regions = (region("sram", "ram", 96 * KIB), region("flash", "flash", 960 * KIB))

    assert not on_board(small, *regions, flash=False).fits
