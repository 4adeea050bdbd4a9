"""PROFILE and the ceilings, rule by rule of docs/link-protocol.md, under the sanitizers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from edgeprof.shared.models import quantized
from edgeprof.shared.models.catalogue import resolve
from edgeprof.shared.types.model import Quantization
from tests.firmware_link.conftest import Chip
from tests.firmware_link.talk import ERR, EVT, PROMPT, RESULT, RSP, RUN, STATS, ready

PROFILE, PROFILE_RESULT, READ_SPEED, KERNEL_SPEED = range(16, 20)
STALE_EPOCH, NO_RUN, NO_MEMORY, BAD_ARGUMENT = 201, 204, 306, 400
DONE = 3
N_PROMPT, N_GEN = 5, 6


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("models")
    return quantized(resolve("shakespeare-240k"), Quantization.Q8_0, folder).data


def finish(board: Chip) -> None:
    """Wait for the DONE event of the run in progress."""
    assert any(kind == EVT and message[0] == DONE for kind, _, message in board.frames())


def carry_out(board: Chip, op: int, run_id: int, *extra: Any) -> list[list[int]]:
    """Run or profile; returns the entries of RESULT."""
    board.request({0: PROMPT, 1: 0, 2: [300, 301, 302, 303, 304]})
    kind, reply = board.request({0: op, 1: run_id, 2: N_GEN, 3: 1, **dict(enumerate(extra, 4))})
    assert (kind, reply) == (RSP, {0: op, 1: run_id})
    finish(board)
    entries: list[list[int]] = board.request({0: RESULT, 1: run_id, 2: 0, 3: 64})[1][6]
    return entries


def read(board: Chip, run_id: int) -> tuple[list[list[Any]], list[int], list[int]]:
    """Return cells, ticks by position, and the windows' ticks."""
    cells: list[list[Any]] = []
    by_position: list[int] = []
    first = 0
    while True:
        kind, reply = board.request({0: PROFILE_RESULT, 1: run_id, 2: first})
        assert kind == RSP, reply
        cells += reply[6]
        by_position += reply[7]
        if 5 not in reply:
            return cells, by_position, reply[3]
        first = reply[5]


@pytest.mark.parametrize("by_layer", [True, False])
def test_cells_are_inside_their_windows(
    chip: Callable[..., Chip], model: bytes, by_layer: bool
) -> None:
    """Tokens are a plain run's, every tick of a cell is also in a bucket, and no window is shorter
    than its cells."""
    board = chip()
    ready(board, model)
    plain = carry_out(board, RUN, 1)

    profiled = carry_out(board, PROFILE, 2, by_layer)

    cells, by_position, windows = read(board, 2)
    assert [token for token, _ in profiled] == [token for token, _ in plain]
    assert sum(cell[4] for cell in cells) == sum(by_position)
    for phase, window in enumerate(windows):
        assert 0 < sum(cell[4] for cell in cells if cell[0] == phase) <= window
    assert {cell[2] for cell in cells} == ({0, 1, 2, 3, None} if by_layer else {None})


def test_profile_without_room_names_the_sum(chip: Callable[..., Chip], model: bytes) -> None:
    """Where the layers find no room the board says what they need; operators alone fit."""
    board = chip()
    ready(board, model)
    used = board.request({0: STATS})[1][5][0][4]
    spare = 2048

    board = chip("--ram", str(used + spare))
    ready(board, model)
    board.request({0: PROMPT, 1: 0, 2: [300, 301]})
    kind, reply = board.request({0: PROFILE, 1: 7, 2: 2, 3: 1, 4: True})

    assert kind == ERR
    assert reply[1] == NO_MEMORY
    assert reply[3] == 2 * 5 * 19 * 16 + 8 * 19 * 8
    assert reply[4] <= spare
    carry_out(board, PROFILE, 8, False)


def test_profile_is_forgotten_with_its_run(chip: Callable[..., Chip], model: bytes) -> None:
    """The next RUN gives the profile's memory back, and LOAD forgets the run."""
    board = chip()
    ready(board, model)
    used = board.request({0: STATS})[1][5][0][4]
    carry_out(board, PROFILE, 2, True)
    assert board.request({0: STATS})[1][5][0][4] > used

    carry_out(board, RUN, 3)

    assert board.request({0: STATS})[1][5][0][4] == used
    assert board.request({0: PROFILE_RESULT, 1: 3, 2: 0})[1][1] == NO_RUN
    carry_out(board, PROFILE, 4, True)
    ready(board, model)
    assert board.request({0: PROFILE_RESULT, 1: 4, 2: 0})[1][1] == NO_RUN
    assert board.request({0: STATS})[1][5][0][4] == used


def test_ceilings_leave_the_model_as_it_was(chip: Callable[..., Chip], model: bytes) -> None:
    """READ_SPEED and KERNEL_SPEED may come between two runs: the tokens stay the same."""
    board = chip()
    ready(board, model)
    before = carry_out(board, RUN, 1)

    for kind_of_weights in (0, 1, 2, 8, 35):
        kind, reply = board.request({0: KERNEL_SPEED, 1: kind_of_weights, 2: 1})
        assert kind == RSP, reply
        assert reply[1] > 0
        assert reply[2] % (512 * reply[6]) == 0
    kind, reply = board.request({0: READ_SPEED, 1: 0, 2: 4096, 3: 1})
    assert kind == RSP, reply

    after = carry_out(board, RUN, 2)
    assert [token for token, _ in after] == [token for token, _ in before]


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        ({0: PROFILE, 1: 7, 2: 0, 3: 1, 4: True}, BAD_ARGUMENT),
        ({0: PROFILE, 1: 7, 2: 4, 3: 0, 4: True}, STALE_EPOCH),
        ({0: PROFILE_RESULT, 1: 99, 2: 0}, NO_RUN),
        ({0: READ_SPEED, 1: 99, 2: 4096, 3: 1}, BAD_ARGUMENT),
        ({0: READ_SPEED, 1: 0, 2: 33, 3: 1}, BAD_ARGUMENT),
        ({0: READ_SPEED, 1: 0, 2: 1 << 31, 3: 1}, BAD_ARGUMENT),
        ({0: KERNEL_SPEED, 1: 99, 2: 1}, BAD_ARGUMENT),
    ],
)
def test_bad_requests_are_refused(
    chip: Callable[..., Chip], model: bytes, request_: dict[int, Any], code: int
) -> None:
    """What is out of range, late or unknown has its code, and the board goes on."""
    board = chip()
    ready(board, model)
    board.request({0: PROMPT, 1: 0, 2: [300, 301]})

    kind, reply = board.request(request_)

    assert (kind, reply[1]) == (ERR, code)
    board.alive()
