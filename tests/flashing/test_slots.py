"""Models get into the flash of boards without a command in boards.toml, and never twice."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import serial

from edgeprof.shared.errors import BoardFault
from edgeprof.shared.models import ModelFile, quantized
from edgeprof.shared.models.catalogue import resolve
from edgeprof.shared.settings import Settings
from edgeprof.shared.types.model import KvType, Quantization
from edgeprof.workers.board.config import BoardConfig
from edgeprof.workers.board.flash import EmulatorRestart, FlashTool, write_slot
from edgeprof.workers.board.protocols import Board, Cancelled
from edgeprof.workers.flashing import program, slots
from edgeprof.workers.flashing.chips import CHIPS, Chip
from edgeprof.workers.flashing.program import CheckStop, OnLine
from edgeprof.workers.flashing.slots import ChipWriter, find_placer
from edgeprof.workers.flashing.writers import Esptool, Probe
from edgeprof.workers.worker.open_board import open_board
from tests.flashing.conftest import SHIM
from tests.support.esp32_bootloader import Esp, read_flash
from tests.support.pty_board import PtyBoard

PORTS = Path(__file__).parents[2] / "firmware" / "ports"
SECTOR_BYTES = 4096
SLOT_BYTES = 2**19
#: Too little RAM for the model, so that it has to go into flash.
RAM_BYTES = 2**17


@pytest.fixture(autouse=True)
def no_modem_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(SHIM))


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[ModelFile]:
    """The small reference model in two types: 150 and 270 KB."""
    model, folder = resolve("shakespeare-240k"), tmp_path_factory.mktemp("models")
    return [quantized(model, type_, folder) for type_ in (Quantization.Q4_0, Quantization.Q8_0)]


def slot_of(model: ModelFile, folder: Path) -> Path:
    return write_slot(model.path, model.sha256, folder)


def placer(platform: str, url: str = "/dev/ttyX", **config: object) -> object:
    """What the worker of a board would put models into its flash with."""
    return find_placer(BoardConfig(url=url, **config))(url, platform)


def test_which_boards_need_no_command() -> None:
    """An ESP32 on a port of this host, any chip on a probe; what boards.toml names goes first."""
    match placer("esp32s3-idf"), placer("stm32f405", flash_by="probe:0669"):
        case ChipWriter(writer=Esptool() as serial), ChipWriter(writer=Probe() as probe):
            assert (serial.where, probe.where) == ("/dev/ttyX", "0669")
        case others:
            pytest.fail(str(others))
    assert isinstance(placer("esp32c3", flash=("st-flash",)), FlashTool)
    assert isinstance(placer("esp32c3", "native://?uid=01"), EmulatorRestart)
    for needs_a_person in ("stm32f405", "rp2040"):
        assert placer(needs_a_person) is None
    assert placer("esp32c3", "rfc2217://server:4001") is None  # no resets in time over a network
    assert placer("native") is None


def test_board_whose_flash_tool_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes no models into flash, and gets no jobs that need it."""
    monkeypatch.setattr(program, "is_installed", lambda _module: False)

    assert placer("esp32c3") is None


def declared(chip: Chip) -> int:
    """Where the chip's own port says that its slot begins."""
    if chip.esp_idf:
        table = (PORTS / "esp-idf" / "partitions.csv").read_text()
        return int(re.findall(r"^slot,.*(0x\w+),", table, re.MULTILINE)[0], 16)
    port = chip.platform[: len("stm32xx")] if chip.stm32_family else chip.platform
    source = (PORTS / port / "hal.c").read_text()
    if found := re.search(r"SLOT_BASE (0x\w+)U", source):
        return int(found[1], 16)
    kilobytes = re.findall(r"SLOT_OFFSET = (\d+) \* 1024,", source)
    return int(kilobytes[0]) * 1024


@pytest.mark.parametrize("chip", CHIPS.values(), ids=list(CHIPS))
def test_slot_is_where_the_firmware_looks(chip: Chip) -> None:
    """The host's figure is the port's."""
    assert chip.slot_address == declared(chip)


@pytest.mark.qemu
def test_nothing_but_the_slot_is_written(esp: Esp, models: list[ModelFile], tmp_path: Path) -> None:
    """The slot's bytes are at its address; the firmware before it and the rest after it stay."""
    port, slot = esp("esp32c3"), slot_of(models[0], tmp_path)
    everything = tmp_path / "before"
    written = ChipWriter("url", Esptool(CHIPS["esp32c3"], port), 2 * SECTOR_BYTES)
    slot_end = written.address + slot.stat().st_size
    end = -(-slot_end // SECTOR_BYTES) * SECTOR_BYTES
    everything.write_bytes(os.urandom(end + 2 * SECTOR_BYTES))
    written.writer.write_at(0, everything, lambda _line: None, lambda: None)

    assert written.place(slot, lambda: None) == "url"

    before, after = everything.read_bytes(), read_flash(port, 0, end + 2 * SECTOR_BYTES)
    assert after[: written.address] == before[: written.address]
    assert after[written.address : slot_end] == slot.read_bytes()
    assert after[end:] == before[end:]


@pytest.mark.qemu
def test_port_that_a_program_looks_at(esp: Esp, tmp_path: Path) -> None:
    """ModemManager opens every new port for some seconds: nothing is lost by it."""
    port, file = esp("esp32c3"), tmp_path / "data"
    file.write_bytes(os.urandom(SECTOR_BYTES))
    looked_at = serial.Serial(port, exclusive=True)

    def let_go(line: str) -> None:
        if "exclusively lock" in line:
            looked_at.close()

    Esptool(CHIPS["esp32c3"], port).write_at(0, file, let_go, lambda: None)

    assert not looked_at.is_open
    assert read_flash(port, 0, SECTOR_BYTES) == file.read_bytes()


@pytest.mark.qemu
def test_line_that_breaks_while_a_model_is_written(esp: Esp, tmp_path: Path) -> None:
    """What is lost is said, and that nobody has to flash the firmware again."""
    port, slot = esp("esp32c3"), tmp_path / "slot"
    slot.write_bytes(os.urandom(SLOT_BYTES))

    class Pulled(Esptool):
        def write_at(self, address: int, file: Path, _on_line: OnLine, stop: CheckStop, /) -> None:
            def pull(line: str) -> None:
                if line.startswith("Writing at"):
                    esp.pull_all()

            super().write_at(address, file, pull, stop)

    with pytest.raises(BoardFault, match="writing broke off") as caught:
        ChipWriter("url", Pulled(CHIPS["esp32c3"], port), 0x100000).place(slot, lambda: None)

    assert "its firmware is whole" in str(caught.value.hint)
    assert "press RESET" in str(caught.value.hint)


@pytest.mark.qemu
def test_port_without_the_lines_of_a_reset(silent_port: str, tmp_path: Path) -> None:
    """A board that does not come into its bootloader: the other way is named."""
    slot = tmp_path / "slot"
    slot.write_bytes(bytes(64))
    chip = CHIPS["esp32c3"]

    with pytest.raises(BoardFault, match="does not answer") as caught:
        ChipWriter("url", Esptool(chip, silent_port), 0).place(slot, lambda: None)

    assert "flash = [...]" in str(caught.value.hint)


def test_job_that_stops_ends_the_program(silent_port: str, tmp_path: Path) -> None:
    """Nobody waits for a flash program that nobody wants."""

    def stop() -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        ChipWriter("url", Esptool(CHIPS["esp32c3"], silent_port), 0).place(tmp_path, stop)


def test_probe_that_is_not_there(tmp_path: Path) -> None:
    """pyOCD itself ends at once, and the user reads what to look at."""
    slot = tmp_path / "model.slot"
    slot.write_bytes(bytes(64))

    with pytest.raises(BoardFault, match="pyOCD could not write") as caught:
        ChipWriter("url", Probe(CHIPS["rp2040"], "0123456789ab"), 0x10040000).place(
            slot, lambda: None
        )

    assert "SWDIO" in str(caught.value.hint)


class Lab:
    """A board of the native firmware, whose flash is that of a chip in its ROM bootloader.

    Where a chip's reset lines change between the two, here its name does.
    """

    def __init__(self, folder: Path, esp: Esp, monkeypatch: pytest.MonkeyPatch) -> None:
        self.writes = 0
        #: Whether a bit of the flash takes no other value any more.
        self.worn = False
        self._settings = Settings(cache_dir=folder / "cache", lock_dir=folder / "locks")
        flash = folder / "flash"
        flash.write_bytes(b"\xff" * SLOT_BYTES)
        options = ("--ram", str(RAM_BYTES), "--slot", str(flash))
        self.native = native = PtyBoard(folder, "51a7", 0, *options)
        chip = replace(CHIPS["esp32c3"], image="native")
        rom = esp("esp32c3")
        assert chip.slot_address is not None
        lab = self

        class FromThere(Esptool):
            """Writes into the mock, and has the native firmware run with what is in it then."""

            def write_at(
                self, address: int, file: Path, on_line: OnLine, check_stop: CheckStop, /
            ) -> None:
                lab.writes += 1
                native.pull()
                if lab.worn:
                    *held, last = file.read_bytes()
                    content = bytes([*held, last ^ 1])
                else:
                    Esptool(chip, rom).write_at(address, file, on_line, check_stop)
                    content = read_flash(rom, address, file.stat().st_size)
                flash.write_bytes(content.ljust(SLOT_BYTES, b"\xff"))
                native.plug_in()

        monkeypatch.setattr(slots, "CHIPS", {"native": chip})
        monkeypatch.setattr(slots, "Esptool", FromThere)

    def open(self) -> Board:
        """Open the board as a new worker does."""
        return open_board(BoardConfig(url=str(self.native.path)), self._settings)

    @staticmethod
    def load(board: Board, model: ModelFile) -> str:
        """Load the model; returns how it came there."""
        result, _ = board.load(
            model.path, model.sha256, n_ctx=16, kv_type=KvType.F16, epoch=1,
            on_progress=lambda _done, _total: None, should_stop=lambda: False,
        )  # fmt: skip
        return result.how


@pytest.fixture
def lab(tmp_path: Path, esp: Esp, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    made = Lab(tmp_path, esp, monkeypatch)
    with made.native:
        yield made


@pytest.mark.qemu
def test_model_is_never_written_twice(lab: Lab, models: list[ModelFile]) -> None:
    """What the board has is used, after a restart of its worker and of the board, too."""
    board = lab.open()
    assert board.hello.can_flash
    assert lab.load(board, models[0]) == "flash"
    assert lab.load(board, models[0]) == "cached"
    board.close()

    board = lab.open()
    assert lab.load(board, models[0]) == "cached"
    board.close()

    lab.native.pull()
    lab.native.plug_in()
    board = lab.open()
    assert lab.load(board, models[0]) == "cached"
    assert lab.writes == 1

    assert lab.load(board, models[1]) == "flash"
    assert lab.writes == 2
    board.close()


@pytest.mark.qemu
def test_model_that_a_worn_flash_does_not_hold(
    lab: Lab, models: list[ModelFile], tmp_path: Path
) -> None:
    """It is written once more, and then not until the day after, whoever asks."""
    lab.worn = True
    for _ in range(4):
        board = lab.open()
        with pytest.raises(BoardFault) as caught:
            lab.load(board, models[0])
        assert caught.value.code == "flash_verify"
        board.close()
    assert lab.writes == 2
    assert "it is not written again" in str(caught.value)

    lab.worn = False
    (note,) = (tmp_path / "cache" / "slots").glob("*.unverified")
    os.utime(note, (0, 0))
    board = lab.open()
    assert lab.load(board, models[0]) == "flash"
    assert not note.exists()
    board.close()
