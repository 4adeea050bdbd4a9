"""One process at a time holds a board."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edgeprof.shared.errors import HostFault
from edgeprof.workers.board.locks import BoardLock


def test_claimed_board_is_refused_and_names_the_holder(tmp_path: Path) -> None:
    """Two claims of one name in one lock folder: the second is told whose it is."""
    with BoardLock(tmp_path) as first, BoardLock(tmp_path) as second:
        first.take("uid", "00aa")
        first.take("uid", "00aa")
        with pytest.raises(HostFault, match=f"process {os.getpid()}"):
            second.take("uid", "00aa")
        first.close()
        second.take("uid", "00aa")

        assert first.lock_domain == second.lock_domain


def test_lock_names_from_outside_never_become_paths(tmp_path: Path) -> None:
    """A uid that looks like a path stays one file in the folder."""
    with BoardLock(tmp_path / "locks") as claim:
        claim.take("uid", "../../escaped")

    assert [path.name for path in tmp_path.iterdir()] == ["locks"]
