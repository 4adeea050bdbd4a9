"""What rp2040js/translate.js makes of the firmware does what rp2040js's own interpreter does."""

from __future__ import annotations

import random
import subprocess
from pathlib import Path

import pytest

from edgeprof.workers.emulated.child import firmware_image
from edgeprof.workers.emulated.protocol_rp2040js import BOARD_PROGRAM, node
from tests.ports.emulated_ports import needs_rp2040js

pytestmark = [pytest.mark.qemu, needs_rp2040js]

LOCKSTEP = Path(__file__).parent / "rp2040_lockstep.js"


def test_translated_code_equals_the_interpreter(tmp_path: Path) -> None:
    """Registers and cycles after each stretch, and all of SRAM at the end: start-up, SHA-256."""
    model = random.Random(1).randbytes(8000)
    slot = tmp_path / "model.slot"
    header = b"TLEPMDL1" + len(model).to_bytes(4, "little")
    slot.write_bytes(header.ljust(64, b"\0") + model)
    elf = firmware_image("tlep-rp2040.elf", "rp2040")

    done = subprocess.run(
        [node(), LOCKSTEP, BOARD_PROGRAM.parent, elf, slot, "1000000"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout + done.stderr
    assert "SRAM equal" in done.stdout
    assert int(done.stdout.split()[2]) > 500_000
