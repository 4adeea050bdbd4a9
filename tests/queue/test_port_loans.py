"""A board's port is lent to a program, and comes back whatever becomes of that."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import ExitStack

import pytest

from edgeprof.shared.errors import BoardNotFound, HostFault
from edgeprof.shared.store.boards import Owner
from edgeprof.shared.store.lab import LabStore
from edgeprof.shared.store.port_loans import borrowed
from edgeprof.shared.types.board import BoardState
from tests.support.board_infos import null_board


@pytest.fixture(autouse=True)
def announced(store: LabStore) -> None:
    """A board whose worker has announced it."""
    store.boards.announce(Owner("h", "domain", "b"), null_board(), 60)


def lend(store: LabStore, who: str = "ann", lease_s: float = 60) -> ExitStack:
    """Lend the port until the stack is closed."""
    stack = ExitStack()
    stack.enter_context(borrowed(store, "b", f"user:{who}", f"{who} has it", lease_s, lambda: None))
    return stack


def test_lent_board_gets_no_jobs_and_its_own_cordon_holds_again_afterwards(store: LabStore) -> None:
    """While a port is lent its board is drained and says who has it. Afterwards a quarantined board
    is quarantined as before."""
    store.boards.cordon("b", BoardState.QUARANTINED, "store", "3 faults")
    with lend(store):
        cordons = store.boards.cordons("b")
        assert cordons.lent
        assert cordons.release_port
        assert not cordons.takes_own_jobs
        (board,) = store.boards.all()
        assert (board.state, board.reason) == (BoardState.DRAINING, "ann has it")
    (board,) = store.boards.all()
    assert (board.state, board.reason) == (BoardState.QUARANTINED, "3 faults")
    assert not store.boards.port_wanted("b")


def test_second_borrower_is_told_who_has_the_port(store: LabStore) -> None:
    """A port is lent to one program at a time; an unknown board is not lent."""
    with lend(store), pytest.raises(HostFault, match="ann has it"):
        lend(store, "bob")
    with lend(store, "bob"):
        pass
    with pytest.raises(BoardNotFound, match="did you mean 'b'"), borrowed(
        store, "bb", "user:ann", "", 60, lambda: None
    ):  # fmt: skip
        pass


def test_loan_of_a_silent_borrower_ends_when_its_worker_looks(
    store: LabStore, wait_until: Callable[..., None]
) -> None:
    """A borrower that was killed gives no sign, and its board is back; whoever only lists boards
    sees so at once."""
    store.script.call("lend", "b", "token", "user:ann", "ann has it", 0.05)
    wait_until(lambda: store.boards.all()[0].state is BoardState.ONLINE, "the loan is over")
    assert not store.boards.cordons("b").lent
    assert "who had it is gone" in store.boards.history("b")[-1].reason
    assert store.script.call("keep", "b", "token", 60) == 0


def test_resume_takes_a_port_back_and_the_borrower_hears_of_it(
    store: LabStore, wait_until: Callable[..., None]
) -> None:
    """Who resumes a board ends the loan; the program that has the port learns so in time to close
    it, and ends nothing of what others do later."""
    lost = threading.Event()
    with borrowed(store, "b", "user:ann", "ann has it", 0.3, lost.set):
        store.boards.resume("b", "user:bob", "mine")
        assert lost.wait(30)
        store.script.call("lend", "b", "other", "user:bob", "bob has it", 60)
    assert store.boards.cordons("b").lent
