"""Each bare-metal port does what the protocol and the architecture promise, on its emulated
chip."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from edgeprof.shared.errors import BoardFault, HostFault, ModelError, UsageError
from edgeprof.shared.models import ModelFile, quantized
from edgeprof.shared.models.catalogue import resolve
from edgeprof.shared.reference import Reference
from edgeprof.shared.settings import load_settings
from edgeprof.shared.types.model import KvType, Quantization
from edgeprof.shared.types.profile import Phase
from edgeprof.shared.types.result import LoadResult, MemoryUse
from edgeprof.workers.board.config import BoardConfig
from edgeprof.workers.board.description import describe
from edgeprof.workers.board.protocols import MemoryTest, ProfileReport, RunReport
from edgeprof.workers.emulated import protocol_qemu, protocol_rp2040js
from edgeprof.workers.link.device import LinkBoard, OpenOptions, open_board
from edgeprof.workers.link.hello import FEATURE_IDENTIFY
from edgeprof.workers.selftest.selftest import self_test
from tests.ports.emulated_ports import PORTS, SMALL, needs_rp2040js

pytestmark = pytest.mark.qemu

PROMPT = (30, 40, 41)
N_CTX = 64 + len(PROMPT)


#: Ports whose timer counts every instruction, or so few of them that no call is cut differently.
TICK_EXACT = {"stm32f405", "mps2-an500", "riscv32-virt"}


def load(
    board: LinkBoard, model: ModelFile, n_ctx: int = N_CTX
) -> tuple[LoadResult, tuple[MemoryUse, ...]]:
    return board.load(
        model.path, model.sha256, n_ctx=n_ctx, kv_type=KvType.F16, epoch=1,
        on_progress=lambda _done, _total: None, should_stop=lambda: False,
    )  # fmt: skip


def run(board: LinkBoard, n_gen: int = 64) -> RunReport:
    return board.run(
        PROMPT, n_gen, epoch=1, on_token=lambda _index, _token: None, should_stop=lambda: False
    )


def profile(board: LinkBoard, n_gen: int) -> ProfileReport:
    report = board.profile(
        PROMPT, n_gen, epoch=1, on_token=lambda _index, _token: None, should_stop=lambda: False
    )
    assert report is not None
    return report


@pytest.mark.parametrize("quantization", Quantization)
def test_greedy_tokens_equal_the_reference(
    open_port: Callable[..., LinkBoard],
    model_of: Callable[..., ModelFile],
    port: str,
    quantization: Quantization,
) -> None:
    """The greedy tokens of every type are the host reference's, on every port: 64 of them where the
    emulator is quick enough."""
    model, n_gen = model_of(port, quantization), PORTS[port].n_tokens
    board = open_port(port)
    load(board, model)

    tokens = run(board, n_gen).tokens

    assert list(tokens) == Reference(model).greedy(PROMPT, n_gen, N_CTX, KvType.F16)


def test_same_job_twice_gives_identical_times(
    open_port: Callable[..., LinkBoard], model_of: Callable[..., ModelFile], port: str
) -> None:
    """A time on the instruction clock repeats, within a boot and on another: to the microsecond
    where no instruction is divided by a tick, else to the next one."""
    model, n_gen = model_of(port, Quantization.Q4_0), min(16, PORTS[port].n_tokens)
    reports = []
    for uid in ("0a01", "0a02"):
        board = open_port(port, f"uid={uid}")
        load(board, model)
        reports += [run(board, n_gen), run(board, n_gen)]

    for times_us in zip(*((report.prefill_us, *report.step_us) for report in reports), strict=True):
        assert max(times_us) - min(times_us) <= (port not in TICK_EXACT)


def test_profile_is_exact(
    open_port: Callable[..., LinkBoard], model_of: Callable[..., ModelFile], port: str
) -> None:
    """A profiled run has the plain run's tokens; operators and the rest are its windows. On an
    instruction clock it repeats: to the tick, or to a tick a call where ticks are longer than
    instructions."""
    model, n_gen = model_of(port, Quantization.Q8_0), min(4, PORTS[port].n_tokens)
    board = open_port(port)
    load(board, model)
    plain = run(board, n_gen)

    first, second = profile(board, n_gen), profile(board, n_gen)

    assert first.run.tokens == plain.tokens
    for phase in Phase:
        assert 0 <= first.profile.unaccounted_ticks(phase) < first.profile.window_ticks(phase)
    if PORTS[port].apart_us == 0:
        for one, other in zip(first.profile.cells, second.profile.cells, strict=True):
            assert abs(one.ticks - other.ticks) <= (0 if port in TICK_EXACT else one.calls)


def test_hello_and_stats_are_sane(
    open_port: Callable[..., LinkBoard], model_of: Callable[..., ModelFile], port: str
) -> None:
    """Emulated and labelled so, with its own uid; memory, stack and clock add up."""
    board = open_port(port, "uid=0c0d0e")
    load(board, model_of(port, Quantization.Q4_0))
    run(board, min(8, PORTS[port].n_tokens))

    stats = board.stats()
    regions = {region.name: region for region in stats.regions}
    assert (board.hello.uid, board.hello.platform) == ("0c0d0e", port)
    assert board.hello.emulated
    assert stats.temperature_celsius is None
    assert 500 < regions["stack"].high_water_bytes < regions["stack"].total_bytes
    assert all(r.used_bytes <= r.high_water_bytes <= r.total_bytes for r in stats.regions)
    assert stats.uptime_us == stats.idle_us + stats.busy_us
    assert stats.link["rx_overruns"] == 0


def test_reset_gives_another_boot_id(open_port: Callable[..., LinkBoard], port: str) -> None:
    """RESET restarts the emulated chip, and the uid stays."""
    board = open_port(port, "uid=77&seed=5")
    before = board.hello

    board.reset()

    assert board.hello.boot_id != before.boot_id
    assert board.hello.uid == before.uid


def test_time_goes_on_while_asleep(
    open_port: Callable[..., LinkBoard], port: str, wait_until: Callable[..., None]
) -> None:
    """The board's clock runs while it waits, at about the host's rate."""
    board = open_port(port)
    first = board.clock()
    wait_until(lambda: board.stats().uptime_us > 1_500_000, "the board has been up for 1.5 s")
    second = board.clock()

    assert abs(second.offset_s - first.offset_s) < 0.5


def test_self_test_passes(
    open_port: Callable[..., LinkBoard],
    port: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Link, clock, memory and known answer, on every port."""
    monkeypatch.setenv("EDGEPROF_CACHE_DIR", str(tmp_path / "cache"))
    board = open_port(port)
    info = describe(board.hello, BoardConfig(url=f"{PORTS[port].scheme}://{port}"), load_settings())

    self_test(board, info, epoch=1, suspect=False)

    known = quantized(resolve("shakespeare-240k"), Quantization.Q4_0, tmp_path)
    result, _ = load(board, known)
    assert result.how == "cached"


def test_memory_is_tested_to_its_last_word(open_port: Callable[..., LinkBoard], port: str) -> None:
    """Given time, all RAM that HELLO offers; the board itself survives it."""
    board = open_port(port)
    offered = sum(r.available_bytes for r in board.hello.regions if r.kind == "ram")

    assert board.test_memory(1, budget_s=60) == MemoryTest(offered, offered, None)
    board.stats()


def test_board_without_an_led_says_so(open_port: Callable[..., LinkBoard], port: str) -> None:
    """Nobody sees an emulated LED: IDENTIFY is refused, by the host and by the board."""
    board = open_port(port)
    with pytest.raises(BoardFault, match="no LED") as caught:
        board.identify(1)
    assert caught.value.code == "unsupported"

    board.hello = board.hello.model_copy(update={"features": FEATURE_IDENTIFY})
    with pytest.raises(BoardFault, match="no LED") as caught:
        board.identify(1)
    assert caught.value.code == "unsupported"


def test_f32_model_fits_the_stm32_beside_its_firmware(
    open_port: Callable[..., LinkBoard], model_of: Callable[..., ModelFile]
) -> None:
    """The small model's F32 form runs from the STM32F405's own flash, its state in 128 KiB."""
    board = open_port("stm32f405")

    result, memory = load(board, model_of("stm32f405", Quantization.F32), n_ctx=128)

    assert result.how == "flash"
    assert {use.region for use in memory if use.category != "weights"} == {"sram"}
    load_again, _ = load(board, model_of("stm32f405", Quantization.F32))
    assert load_again.how == "cached"


def test_context_that_does_not_fit_is_refused(
    open_port: Callable[..., LinkBoard], model_of: Callable[..., ModelFile]
) -> None:
    """A KV cache beyond the SRAM is refused by the board with both numbers."""
    board = open_port("stm32f405")

    with pytest.raises(ModelError, match=r"\d+ bytes requested, \d+ available"):
        load(board, model_of("stm32f405", Quantization.Q8_0), n_ctx=256)


@pytest.mark.parametrize("port", ["riscv32-virt", "xtensa-lx60", "nrf52840"])
def test_upload_over_the_uart(
    open_port: Callable[..., LinkBoard], port: str, tmp_path: Path
) -> None:
    """Ports whose UART fills its FIFO, or interrupts for each byte, take models over the link, say
    how fast, and lose no byte."""
    board = open_port(port)
    model = ModelFile.open(SMALL[Quantization.Q4_0].write(tmp_path / "small.gguf"))

    result, _ = load(board, model)

    assert result.how == "ram"
    assert result.transfer_bytes_per_second is not None
    assert result.transfer_bytes_per_second > 0
    assert board.stats().link["rx_overruns"] == 0


@pytest.mark.skipif(shutil.which("clang-22") is None, reason="esp32s3 was not built: no clang-22")
def test_esp32s3_computes_what_the_reference_does(options: OpenOptions, tmp_path: Path) -> None:
    """One boot and two tokens on the S3's addresses: its emulator is the slowest of all."""
    model = ModelFile.open(SMALL[Quantization.Q4_0].write(tmp_path / "small.gguf"))
    board = open_board("labwired://esp32s3?uid=0c0d", options)
    try:
        assert (board.hello.uid, board.hello.emulated) == ("0c0d", True)
        load(board, model)
        wanted = Reference(model).greedy(PROMPT, 2, N_CTX, KvType.F16)
        assert list(run(board, 2).tokens) == wanted
        stats = board.stats()
        assert stats.uptime_us == stats.idle_us + stats.busy_us
        assert stats.link["rx_overruns"] == 0
    finally:
        board.close()


def test_unknown_port_lists_the_ports(options: OpenOptions) -> None:
    """A port that does not exist is a usage error that names those that do."""
    with pytest.raises(UsageError) as caught:
        open_board("qemu://esp32", options)
    assert "stm32f405" in str(caught.value.hint)


def test_unknown_option_lists_the_options(options: OpenOptions) -> None:
    """A misspelt URL option is refused, not ignored."""
    with pytest.raises(UsageError, match="uuid"):
        open_board("qemu://stm32f405?uuid=1", options)


def test_missing_firmware_says_how_to_build_it(
    options: OpenOptions, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The error for a missing image names the make target."""
    monkeypatch.setenv("EDGEPROF_FIRMWARE_DIR", str(tmp_path))

    with pytest.raises(HostFault) as caught:
        open_board("qemu://stm32f405", options)
    assert "make firmware" in str(caught.value.hint)


def test_qemu_without_the_machine_is_named(
    options: OpenOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A QEMU too old for a board is not a silent board, but a fault of the host with what would
    help."""
    monkeypatch.setattr(protocol_qemu, "_machines_of", lambda _program: frozenset({"virt"}))

    with pytest.raises(HostFault, match=r"no machine b-l475e-iot01a: QEMU 9\.1") as caught:
        open_board("qemu://stm32l475", options)
    assert caught.value.code == "other_qemu"


def test_missing_node_says_what_to_install(
    options: OpenOptions, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The RP2040's emulator needs Node.js and its package: the errors name how to get them."""
    monkeypatch.setattr(protocol_rp2040js, "BOARD_PROGRAM", tmp_path / "board.js")
    with pytest.raises(HostFault, match="rp2040js is not installed") as caught:
        open_board("rp2040js://rp2040", options)
    assert f"npm ci --prefix {tmp_path}" in str(caught.value.hint)

    monkeypatch.setattr(protocol_rp2040js, "find_spec", lambda _: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(HostFault, match=r"Node\.js is not installed") as caught:
        open_board("rp2040js://rp2040", options)
    assert "pip install" in str(caught.value.hint)


OPENER = """
import sys
from pathlib import Path
from edgeprof.workers.link.device import OpenOptions, open_board
folder = Path(sys.argv[1])
board = open_board(sys.argv[2], OpenOptions(lock_dir=folder / "l", slot_dir=folder / "s"))
print(board.connection.port._child.pid, flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize(
    "url",
    [
        "qemu://stm32f405?uid=31",
        pytest.param("rp2040js://rp2040?uid=31", marks=needs_rp2040js),
        "native://?uid=31",
    ],
)
def test_no_orphans_after_kill_9(tmp_path: Path, url: str, wait_until: Callable[..., None]) -> None:
    """A board's process dies with the process that opened it, even killed -9."""
    parent = subprocess.Popen(
        [sys.executable, "-c", OPENER, str(tmp_path), url],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert parent.stdout is not None
    child = int(parent.stdout.readline())

    os.kill(parent.pid, signal.SIGKILL)
    parent.communicate()

    def gone() -> bool:
        try:
            state = Path(f"/proc/{child}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        return state == "Z"  # dead, and left to whoever reaps here

    wait_until(gone, "the board's process has ended")
