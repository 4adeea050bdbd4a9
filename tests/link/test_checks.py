"""What a self-test asks of the link: PINGs that count, memory patterns, and a board that makes
itself known."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from edgeprof.shared.errors import BoardFault, JobError, LinkFault
from edgeprof.workers.board.protocols import BadWord, MemoryTest
from edgeprof.workers.link.device import LinkBoard, OpenOptions, open_board
from edgeprof.workers.selftest import selftest
from tests.link.conftest import Line

RAM_BYTES = 200_000  # no multiple of a piece


def test_all_memory_is_tested(open_native: Callable[..., LinkBoard]) -> None:
    """A memory test reaches the last word when the time allows."""
    board = open_native(f"uid=01&ram={RAM_BYTES + 3}")

    assert board.test_memory(1, budget_s=10) == MemoryTest(RAM_BYTES, RAM_BYTES, None)


def test_time_for_the_memory_test_is_bounded(open_native: Callable[..., LinkBoard]) -> None:
    """A memory test with no time at all tests one piece, through all passes."""
    board = open_native()
    test = board.test_memory(1, budget_s=0)

    assert test == MemoryTest(65536, 16 << 20, None)


@pytest.mark.parametrize("offset", [0, 65536, RAM_BYTES - 4])
def test_bad_word_is_named(open_native: Callable[..., LinkBoard], offset: int) -> None:
    """A bad word is reported with its region, its offset, and what it made of what was written."""
    board = open_native(f"uid=01&ram={RAM_BYTES}&fault=9:{offset}")
    tested = board.test_memory(1, budget_s=10)

    assert tested is not None
    bad = tested.bad
    assert bad is not None
    assert bad == BadWord("ram", offset, bad.expected, bad.expected & ~1)


def test_memory_test_of_an_older_lease_is_refused(open_native: Callable[..., LinkBoard]) -> None:
    """An older lease cannot start a memory test, which would overwrite the newer one's model."""
    board = open_native()
    board.test_memory(7, budget_s=0)

    with pytest.raises(BoardFault) as caught:
        board.test_memory(6, budget_s=0)
    assert caught.value.code == "stale_epoch"


def test_board_of_an_older_protocol_is_not_asked(open_native: Callable[..., LinkBoard]) -> None:
    """A board without the feature is sent no request that it would not know."""
    board = open_native()
    board.hello = board.hello.model_copy(update={"protocol": (1, 0), "features": 3})
    sent = board.stats().link["rx_frames"]

    assert board.test_memory(1, budget_s=1) is None
    with pytest.raises(BoardFault, match=r"before link protocol 1\.1") as caught:
        board.identify(1)
    assert caught.value.code == "unsupported"
    assert board.stats().link["rx_frames"] == sent + 1


def test_board_makes_itself_known(
    open_native: Callable[..., LinkBoard],
    capfd: pytest.CaptureFixture[str],
    wait_until: Callable[..., None],
) -> None:
    """The native board's LED is its operator's terminal; it stops when told."""
    board = open_native("uid=c0ffee")
    board.identify(60)
    board.identify(0)
    said = ""

    def lines() -> bool:
        nonlocal said
        said += capfd.readouterr().err
        return said.count("\n") == 2

    wait_until(lines, "it has said two lines")
    assert said == "tlep-native c0ffee: LED on\ntlep-native c0ffee: LED off\n"


def test_board_does_not_blink_for_ever(open_native: Callable[..., LinkBoard]) -> None:
    """A board refuses to blink for more than a minute."""
    with pytest.raises(JobError) as caught:
        open_native().identify(61)
    assert caught.value.code == "bad_argument"


def test_good_line_loses_nothing(line: Line, options: OpenOptions) -> None:
    """Through the line of the noise tests, undisturbed."""
    board = open_board(line.url, options)

    selftest.check_link(board)
    assert board.stats().link["retransmits"] == 0
    board.close()


@pytest.mark.parametrize("kind", ["drop", "flip"])
def test_noisy_line_fails_its_test(
    line: Line, options: OpenOptions, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """A line that loses or damages every third frame is told with the numbers."""
    monkeypatch.setattr(selftest, "_PING_TIMEOUT_S", 0.1)
    board = open_board(line.url, options)
    setattr(line, kind, 0.3)

    with pytest.raises(LinkFault, match=r"of [0-9]+ PINGs .* damaged \(limit: 2 of 50\)") as caught:
        selftest.check_link(board)
    assert caught.value.code == "link_loss"
    board.close()
