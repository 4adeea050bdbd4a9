"""Upload rate of a paced native board. The line allows baud / 10 bytes per second (8N1)."""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks.harness import Result
from edgeprof.shared.models.catalogue import resolve
from edgeprof.shared.types.model import KvType
from edgeprof.workers.link.device import OpenOptions, open_board

NAME = "link"


def measure(*, quick: bool) -> Result:
    """Upload the small model at several line rates."""
    model = resolve("shakespeare-240k")
    rows = []
    for baud in (3_000_000,) if quick else (921_600, 3_000_000, 12_000_000):
        with tempfile.TemporaryDirectory() as folder:
            options = OpenOptions(lock_dir=Path(folder), slot_dir=Path(folder))
            board = open_board(f"native://?uid=be&line_rate={baud}", options)
            result, _ = board.load(
                model.path, model.sha256, n_ctx=64, kv_type=KvType.F16, epoch=1,
                on_progress=lambda _done, _total: None, should_stop=lambda: False,
            )  # fmt: skip
            retransmits = board.stats().link["retransmits"]
            board.close()
        achieved = result.transfer_bytes_per_second or 0.0
        rows.append(
            {
                "baud": baud,
                "ceiling bytes/s": baud // 10,
                "achieved bytes/s": round(achieved),
                "share": round(achieved / (baud / 10), 3),
                "retransmits": retransmits,
            }
        )
    return Result(NAME, f"Upload of {model.size_bytes} bytes against the line rate", rows)
