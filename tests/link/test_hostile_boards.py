"""Boards that say anything, and say it for ever: an answer or a Fault, in bounded time."""

from __future__ import annotations

import io
from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeprof.shared.errors import LinkFault
from edgeprof.workers.link.client import LinkClient
from edgeprof.workers.link.framing import Kind, encode
from edgeprof.workers.link.hello import parse_hello, read_hello
from edgeprof.workers.link.messages.board import PingRequest
from edgeprof.workers.link.messages.operations import Event, Op
from tests.support.hostile_board import FLOWS, N_GEN, PROMPT, exchange
from tests.support.hostile_board_seeds import BOOT_ID, HELLO, done, reply, result, run_id, seeds

STATS = {1: 3, 2: 1, 3: 2, 4: BOOT_ID, 5: [], 6: dict.fromkeys(range(1, 6), 0), 9: 0}

OPENED = reply(Op.HELLO, HELLO)
STAGED = reply(Op.PROMPT, {1: len(PROMPT)})


def flow(name: str, *answers: bytes) -> bytes:
    return bytes([list(FLOWS).index(name)]) + OPENED + b"".join(answers)


def test_sound_boards_are_understood() -> None:
    """Each flow's sound conversation ends in its answer: what the campaign starts from reaches the
    end."""
    sound = [exchange(data) for data in seeds()[: len(FLOWS)]]

    assert sound == [f"{name}: answered" for name in FLOWS]


@given(st.binary(max_size=2000))
def test_any_bytes_end_in_an_answer_or_a_fault(data: bytes) -> None:
    """No bytes raise anything but a Fault."""
    exchange(data)


def test_a_time_is_a_whole_number() -> None:
    """A board whose token took NaN microseconds is a bad link, not a result."""
    run = flow("run", STAGED, reply(Op.RUN, {1: run_id()}, more=True), done(run_id()))

    assert exchange(run + result([[5, 0]] + [[2, float("nan")]] * (N_GEN - 1))) == (
        "run: LinkFault bad_reply malformed time of a token"
    )


def test_a_temperature_no_float_holds() -> None:
    """A bignum is not of the protocol: it is never divided, and no OverflowError ends the
    session."""
    assert exchange(flow("stats", reply(Op.STATS, {**STATS, 7: [["die", 5000]]}))) == (
        "stats: answered"
    )
    assert "Fault" in exchange(flow("stats", reply(Op.STATS, {**STATS, 7: [["die", 2**2000]]})))


def test_a_port_that_comes_back_and_is_gone_again() -> None:
    """RESET ends in time though the port can be opened each time, and each time is gone at once."""
    assert exchange(flow("reset", reply(Op.RESET, {}))) == "reset: LinkFault port_gone "


@pytest.mark.parametrize("name", ["\x1b[2J", "die\nERROR", "\x9b", "x" * 17, "\u202edie", 5])
def test_a_sensors_name_is_plain_text(name: Any) -> None:
    """A sensor's name, which becomes a metric's label, is short printable text."""
    answer = exchange(flow("stats", reply(Op.STATS, {**STATS, 7: [[name, 5000]]})))

    assert answer.startswith("stats: LinkFault bad_reply")


@pytest.mark.parametrize("platform", ["../../etc", "a b", "", "x" * 33, "$(reboot)", "a\n"])
def test_a_platform_is_a_name(platform: str) -> None:
    """A platform, which becomes a queue's name, is a name."""
    hello = reply(Op.HELLO, {**HELLO, 3: platform})

    with pytest.raises(LinkFault) as refused:
        parse_hello(read_hello(cbor2.loads(hello[3:])), can_flash=False)

    assert refused.value.code == "bad_reply"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), -1e30, 1e30])
def test_a_log_likelihood_is_a_number(value: float) -> None:
    """NaN would make a result that nobody can read back, and its perplexity no number."""
    run = flow("score", STAGED, reply(Op.SCORE, {1: run_id()}, more=True), done(run_id()))

    assert exchange(run + result([[5, value]] + [[5, -1.0]] * (len(PROMPT) - 2))) == (
        "score: LinkFault bad_reply malformed log#likelihood"
    )


class Babbler:
    """A port whose other end never stops sending sound frames, none of which is an answer."""

    timeout: float = 0.0
    in_waiting = 300

    def fileno(self) -> int:
        raise io.UnsupportedOperation

    def write(self, frame: bytes) -> None:
        """Take no notice."""

    def read(self, n: int) -> bytes:
        event = encode(Kind.EVT, 1, cbor2.dumps({0: int(Event.PREFILL)}))
        return (event * 3)[:n] if n > 1 else b"\0"


def test_a_board_that_never_falls_silent() -> None:
    """A stream of events is not an answer: the request ends when its time is up."""
    client = LinkClient(Babbler(), "babbler")  # type: ignore[arg-type]

    with pytest.raises(LinkFault) as ended:
        client.request(PingRequest(echo=1), timeout_s=0.05, tries=2)

    assert ended.value.code == "silence"
