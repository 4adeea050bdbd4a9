"""A model that does not fit is refused with what would help on that board."""

from __future__ import annotations

import pytest

from edgeprof.client.admission import why_not
from edgeprof.shared.models import catalogue
from edgeprof.shared.types.board import MemoryRegion
from edgeprof.shared.types.case import TestCase
from edgeprof.shared.types.job import JobSpec, Target
from tests.support.board_infos import board_with_ram

MODEL = catalogue.resolve("shakespeare-240k")
SLOT = MemoryRegion(name="flash", kind="flash", total_bytes=1 << 20, available_bytes=1 << 20)


@pytest.mark.parametrize(
    ("has_slot", "words"),
    [(True, 'name what writes there, a debug probe (flash_by = "probe:ID")'), (False, "smaller")],
)
def test_flash_that_nothing_writes_is_named(has_slot: bool, words: str) -> None:
    """Where the board's flash has room, it lacks a way to write it, and not a smaller model."""
    board = board_with_ram("b", "01", "p", 100_000)
    regions = (*board.regions, SLOT) if has_slot else board.regions
    spec = JobSpec(
        model=MODEL.ref,
        target=Target(device_id="b"),
        cases=(TestCase(prompt_tokens=(1, 2), n_gen=2),),
        n_ctx=4,
    )

    refusal = why_not(MODEL, spec, board.model_copy(update={"regions": regions}))

    assert refusal is not None
    assert words in str(refusal.hint)
