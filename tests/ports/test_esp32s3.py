"""The ESP32-S3's addresses, on labwired: one boot, because it is the slowest emulator of all."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from edgeprof.shared.models import ModelFile
from edgeprof.shared.reference import Reference
from edgeprof.shared.types.model import KvType, Quantization
from edgeprof.workers.link.device import OpenOptions, open_board
from tests.ports.emulated_ports import SMALL
from tests.ports.test_ports import N_CTX, PROMPT, load, run

pytestmark = pytest.mark.qemu
N_GEN = 2


@pytest.mark.skipif(shutil.which("clang-22") is None, reason="esp32s3 was not built: no clang-22")
def test_boots_loads_and_computes_what_the_reference_does(
    options: OpenOptions, tmp_path: Path
) -> None:
    """HELLO with its own uid and labelled as emulated; tokens of the reference; a sane clock."""
    model = ModelFile.open(SMALL[Quantization.Q4_0].write(tmp_path / "small.gguf"))
    board = open_board("labwired://esp32s3?uid=0c0d", options)
    try:
        assert (board.hello.uid, board.hello.emulated) == ("0c0d", True)
        load(board, model)
        assert list(run(board, N_GEN).tokens) == Reference(model).greedy(
            PROMPT, N_GEN, N_CTX, KvType.F16
        )
        stats = board.stats()
        assert stats.uptime_us == stats.idle_us + stats.busy_us
        assert stats.link["rx_overruns"] == 0
    finally:
        board.close()
