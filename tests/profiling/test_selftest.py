"""The self-test against real firmware: what is well passes, and each fault is told by its own
code."""

from __future__ import annotations

import contextlib
import random
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from edgeprof.shared.errors import BoardFault, LinkFault
from edgeprof.shared.settings import load_settings
from edgeprof.shared.types.board import BoardInfo
from edgeprof.workers.board.config import BoardConfig
from edgeprof.workers.board.description import describe
from edgeprof.workers.link.device import LinkBoard, OpenOptions, open_board
from edgeprof.workers.selftest import selftest
from edgeprof.workers.selftest.known_answer import check_answer
from edgeprof.workers.testing.fake_board import FakeBoard, fake_hello

CRYSTAL, RC_OSCILLATOR, WRONG_CRYSTAL = 1e-4, 1e-2, 25 / 8 - 1


@pytest.fixture
def native_board(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., LinkBoard]]:
    """`native_board("fault=9:64")` opens a native board with that query."""
    monkeypatch.setenv("EDGEPROF_CACHE_DIR", str(tmp_path / "cache"))
    options = OpenOptions(lock_dir=tmp_path / "locks", slot_dir=tmp_path / "slots")
    boards = []

    def make(query: str = "") -> LinkBoard:
        boards.append(open_board(f"native://?uid=01&{query}".rstrip("&"), options))
        return boards[-1]

    yield make
    for board in boards:
        board.close()


def self_test(board: LinkBoard) -> None:
    selftest.self_test(board, info_of(board), epoch=1, suspect=False)


def answer(board: LinkBoard, epoch: int, *, suspect: bool = False) -> None:
    check_answer(board, info_of(board), epoch=epoch, suspect=suspect)


def info_of(board: LinkBoard) -> BoardInfo:
    return describe(board.hello, BoardConfig(url="native://?uid=01"), load_settings())


def test_healthy_board_passes_within_seconds(native_board: Callable[..., LinkBoard]) -> None:
    """All of it, on a board that has nothing."""
    started = time.monotonic()
    self_test(native_board())

    assert time.monotonic() - started < 10


@pytest.mark.parametrize(
    ("fault", "code", "words"),
    [
        ("9:4097", "memory_pattern", "ram at offset 0x1000.*wrong bits: 0x00000001"),
        ("9:4096", "memory_pattern", "ram at offset 0x1000"),
        ("10:1500", "timer_drift", r"\+(49|50)\.[0-9]% off"),
        ("10:500", "timer_drift", r"-(49|50)\.[0-9]% off"),
        ("7:3", "wrong_output", "generated token 3"),
        ("2:300", "link_loss", "3 of [0-9]+ PINGs"),
    ],
    ids=["stuck at 1", "stuck at 0", "fast clock", "slow clock", "wrong answer", "lost bytes"],
)
def test_each_fault_has_its_code(
    native_board: Callable[..., LinkBoard],
    monkeypatch: pytest.MonkeyPatch,
    fault: str,
    code: str,
    words: str,
) -> None:
    """A code for machines, numbers for people."""
    monkeypatch.setattr(selftest, "_MEMORY_BUDGET_S", 20.0)  # a busy host tests less in its time
    board = native_board()
    board.inject_fault(*map(int, fault.split(":")))
    if code == "link_loss":  # what the line does to counting is not the question
        monkeypatch.setattr(selftest, "_PING_TIMEOUT_S", 0.1)
        monkeypatch.setattr(selftest, "_damaged_frames", lambda _: 0)

    with pytest.raises((BoardFault, LinkFault), match=words) as caught:
        self_test(board)
    assert caught.value.code == code


def test_damaged_frames_count_when_every_ping_is_answered(
    native_board: Callable[..., LinkBoard], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Noise between frames harms no PING, but it will harm an upload."""
    board = native_board()
    answers, noise = board.answers, b"\0\x05noise\0"

    def noisy(timeout_s: float) -> bool:
        board.connection.client.send(noise)
        return answers(timeout_s)

    monkeypatch.setattr(board, "answers", noisy)
    with pytest.raises(LinkFault, match=r"0 of 50 PINGs .* 50 frames arrived damaged") as caught:
        selftest.check_link(board)
    assert caught.value.code == "link_loss"


def test_board_without_the_operations_passes(native_board: Callable[..., LinkBoard]) -> None:
    """Firmware of before protocol 1.1: what it cannot do is not asked of it."""
    board = native_board()
    board.hello = board.hello.model_copy(update={"protocol": (1, 0), "features": 3})

    self_test(board)


def test_board_too_small_for_the_model_passes(native_board: Callable[..., LinkBoard]) -> None:
    """A board too small for the known answer's model passes: that says nothing about its health."""
    self_test(native_board("ram=65536"))


def test_board_without_the_kernel_is_not_asked(native_board: Callable[..., LinkBoard]) -> None:
    """A board without the kernel is not asked for the known answer."""
    board = native_board("fault=7:3")
    board.hello = board.hello.model_copy(update={"kernels": ()})

    answer(board, 1)


@pytest.mark.parametrize("quarantined", [False, True])
def test_model_in_real_flash_is_replaced_under_suspicion_only(
    native_board: Callable[..., LinkBoard], monkeypatch: pytest.MonkeyPatch, quarantined: bool
) -> None:
    """Flash wears, and the next job wants its model there."""
    placed: list[int] = []
    into_flash = SimpleNamespace(how="flash", transfers=False, bring=lambda *_: placed.append(1))
    board = native_board("fault=7:3")
    board.hello = board.hello.model_copy(
        update={"emulated": False, "flash_model_sha256": "ab" * 32}
    )
    monkeypatch.setattr(board.loading, "loader_for", lambda _: into_flash)
    with contextlib.suppress(BoardFault):  # nothing is flashed here, so LOAD fails
        answer(board, 1, suspect=quarantined)

    assert bool(placed) is quarantined


def ticking(drift: float, trip_s: float, *, emulated: bool = False) -> FakeBoard:
    """A board whose clock runs `drift` too fast, seen over a line with round trips of up to
    `trip_s`."""
    chance = random.Random(1)
    hello = fake_hello().model_copy(update={"emulated": emulated})
    return FakeBoard(hello, drift=drift, clock_error_s=lambda: chance.uniform(0, trip_s / 2))


@pytest.mark.parametrize("drift", [0, CRYSTAL, -CRYSTAL, RC_OSCILLATOR, -RC_OSCILLATOR])
@pytest.mark.parametrize("trip_s", [0.0001, 0.016, 0.2])
def test_healthy_clock_passes_over_any_line(
    monkeypatch: pytest.MonkeyPatch, drift: float, trip_s: float
) -> None:
    """A healthy clock passes over any line: an error that the host cannot resolve counts as
    none."""
    monkeypatch.setattr(selftest, "_CLOCK_INTERVAL_S", 0.05)

    for _ in range(3):
        selftest.check_clock(ticking(drift, trip_s))


@pytest.mark.parametrize("drift", [0.04, -0.04, WRONG_CRYSTAL, -1])
def test_sick_clock_is_found_over_a_usual_line(
    monkeypatch: pytest.MonkeyPatch, drift: float
) -> None:
    """Twice the limit, a crystal of another frequency, a clock that stands still."""
    monkeypatch.setattr(selftest, "_CLOCK_INTERVAL_S", 0.1)

    with pytest.raises(BoardFault) as caught:
        selftest.check_clock(ticking(drift, 0.001))
    assert caught.value.code == "timer_drift"


def test_emulated_clock_may_lag(monkeypatch: pytest.MonkeyPatch) -> None:
    """An emulated clock may lag, as QEMU's does on a busy host; a crystal may not."""
    monkeypatch.setattr(selftest, "_CLOCK_INTERVAL_S", 0.05)
    selftest.check_clock(ticking(-0.1, 0, emulated=True))

    with pytest.raises(BoardFault):
        selftest.check_clock(ticking(-0.1, 0))


def test_known_answer_outlives_an_emptied_cache(
    native_board: Callable[..., LinkBoard], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The model it needs is made again: a cache that is cleared must not keep a host from work for
    good."""
    monkeypatch.setenv("EDGEPROF_CACHE_DIR", str(tmp_path / "cache"))
    board = native_board()
    answer(board, 1)
    shutil.rmtree(tmp_path / "cache")

    answer(board, 2)
