"""The default timeout of an attempt: a usual time, and the expected time of the upload."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from edgeprof.shared.models import ModelFile
from edgeprof.shared.types.board import BoardInfo

#: For an attempt without the upload of its model.
USUAL_S: Final = 600.0
#: A UART of 115200 baud takes 11 kB/s, and no link is slower.
SLOWEST_BYTES_PER_S: Final = 10_000.0
#: A link may be slower than when it was measured.
_MARGIN: Final = 1.5
_LONGEST_S: Final = 86400.0


def foreseen_s(model: ModelFile, boards: Sequence[BoardInfo]) -> float:
    """Return a timeout that allows for the upload of a model to the slowest of these boards.

    A board without a measured speed counts as slow: a timeout has to end a job that hangs, so one
    that comes too late costs less than one that comes too early.
    """
    speeds = [
        board.upload_bytes_per_s or SLOWEST_BYTES_PER_S
        for board in boards
        if board.can_upload or not board.can_flash
    ]
    if boards and not speeds:
        return USUAL_S  # no board is sent the model over its link
    upload_s = _MARGIN * model.size_bytes / min(speeds, default=SLOWEST_BYTES_PER_S)
    return min(USUAL_S + round(upload_s), _LONGEST_S)
