"""The short form of the campaign against the embedded Redis: the same code, some seconds."""

from __future__ import annotations

import pytest

from tests.chaos import embedded


@pytest.mark.e2e
def test_every_fault_in_random_order() -> None:
    """No id that was told is lost, and there is one server at a time."""
    # Of this seed's order the first are: slow start, full, stopped, killed, full and killed.
    outcome = embedded.run(seconds=11, clients=2, seed=19006, pace=0.3)

    assert outcome.kept, outcome.figures()
    assert outcome.told.ids
    assert set(outcome.told.commands) <= {0, 3}, outcome.figures()
