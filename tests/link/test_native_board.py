"""The driver on the real firmware: what a board answers, and how it refuses."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from edgeprof.shared.errors import BoardFault, HostFault, JobError, LinkFault, ModelError
from edgeprof.shared.models import ModelFile, quantized
from edgeprof.shared.models.catalogue import resolve
from edgeprof.shared.models.fit import activation_bytes, kv_bytes
from edgeprof.shared.reference import Reference
from edgeprof.shared.types.model import KvType, Quantization
from edgeprof.shared.types.result import LoadResult, MemoryUse
from edgeprof.workers.board.protocols import Cancelled, RunReport
from edgeprof.workers.link.device import LinkBoard, OpenOptions, open_board

PROMPT = (1, 400, 401, 402)


def load(
    board: LinkBoard,
    model: ModelFile,
    *,
    n_ctx: int = 128,
    kv_type: KvType = KvType.F16,
    epoch: int = 1,
    on_progress: Callable[[int, int], None] | None = None,
    stop: Callable[[], bool] | None = None,
) -> tuple[LoadResult, tuple[MemoryUse, ...]]:
    return board.load(
        model.path,
        model.sha256,
        n_ctx=n_ctx,
        kv_type=kv_type,
        epoch=epoch,
        on_progress=on_progress or (lambda _done, _total: None),
        should_stop=stop or (lambda: False),
    )


def run(
    board: LinkBoard,
    n_gen: int = 16,
    *,
    prompt: tuple[int, ...] = PROMPT,
    epoch: int = 1,
    on_token: Callable[[int, int], None] | None = None,
    stop: Callable[[], bool] | None = None,
) -> RunReport:
    return board.run(
        prompt,
        n_gen,
        epoch=epoch,
        on_token=on_token or (lambda _index, _token: None),
        should_stop=stop or (lambda: False),
    )


def test_hello_is_complete(open_native: Callable[..., LinkBoard]) -> None:
    """A board describes itself: identity, clock, memory, kernels."""
    hello = open_native("uid=0a0b&ram=4194304").hello

    assert hello.uid == "0a0b"
    assert hello.platform == "native"
    assert hello.emulated
    assert hello.regions[0].available_bytes == 4194304
    assert set(hello.kernels) == set(Quantization)


@pytest.mark.parametrize(
    ("name", "quantization"),
    [
        *(("shakespeare-240k", q) for q in Quantization if q is not Quantization.TQ2_0),
        *(("shakespeare-1m", q) for q in Quantization),
    ],
)
def test_greedy_tokens_equal_the_reference(
    open_native: Callable[..., LinkBoard], tmp_path: Path, name: str, quantization: Quantization
) -> None:
    """64 greedy tokens of every type are the host reference's, all of them."""
    model = quantized(resolve(name), quantization, tmp_path)
    board = open_native()

    load(board, model)
    report = run(board, 64)

    assert list(report.tokens) == Reference(model).greedy(PROMPT, 64, 128, KvType.F16)
    assert report.prefill_us > 0
    assert len(report.step_us) == 63


def test_score_equals_the_reference(
    open_native: Callable[..., LinkBoard], model: ModelFile
) -> None:
    """Log-likelihoods and top-1 of SCORE are the reference's bits."""
    board = open_native()
    load(board, model)

    report = board.score(range(300, 340), epoch=1, should_stop=lambda: False)

    likelihoods, top1 = Reference(model).score(range(300, 340), KvType.F16)
    assert list(report.log_likelihood_nats) == likelihoods
    assert list(report.top1) == top1


def test_memory_is_what_the_fit_check_says(
    open_native: Callable[..., LinkBoard], model: ModelFile
) -> None:
    """The board lays out the very bytes that the host's fit check adds up."""
    result, memory = load(open_native(), model, n_ctx=200, kv_type=KvType.F32)

    used = dict.fromkeys(("weights", "kv", "activations"), 0)
    for use in memory:
        used[use.category] += use.used_bytes
    assert used["weights"] == model.size_bytes
    assert used["kv"] == kv_bytes(model.shape, 200, KvType.F32)
    assert used["activations"] == activation_bytes(model.shape, 200)
    assert result.transfer_bytes == model.size_bytes


def test_model_is_sent_once(open_native: Callable[..., LinkBoard], small_model: ModelFile) -> None:
    """A board that holds the model already is not sent it again."""
    board = open_native()

    first, _ = load(board, small_model)
    second, _ = load(board, small_model, n_ctx=64)

    assert (first.how, second.how) == ("ram", "cached")
    assert second.transfer_s is None


def test_model_goes_to_flash_when_ram_is_small(
    open_native: Callable[..., LinkBoard],
    small_model: ModelFile,
    options: OpenOptions,
    tmp_path: Path,
) -> None:
    """A model that RAM cannot hold is put into flash, and the board finds it there by its hash."""
    slot = tmp_path / "big.slot"
    slot.write_bytes(bytes(1 << 20))
    board = open_native(f"uid=07&ram=120000&slot={slot}")

    result, _ = load(board, small_model)

    assert result.how == "flash"
    assert board.hello.flash_model_sha256 == small_model.sha256
    assert len(run(board).tokens) == 16


def test_too_big_is_refused_with_the_sum(
    open_native: Callable[..., LinkBoard], model: ModelFile
) -> None:
    """A board, too, refuses a model that does not fit, with both numbers."""
    board = open_native("uid=01&ram=500000")

    with pytest.raises(ModelError, match=r"969024 bytes requested, 5000\d\d available") as caught:
        load(board, model)
    assert caught.value.code == "no_memory"


def test_prompt_longer_than_the_context(
    open_native: Callable[..., LinkBoard], small_model: ModelFile
) -> None:
    """Prompt and generated tokens beyond the context are the job's fault."""
    board = open_native()
    load(board, small_model, n_ctx=16)

    with pytest.raises(JobError) as caught:
        run(board, 14)
    assert caught.value.code == "context"


def test_token_outside_the_vocabulary(
    open_native: Callable[..., LinkBoard], small_model: ModelFile
) -> None:
    """A token id the model does not have is the job's fault, and names it."""
    board = open_native()
    load(board, small_model)

    with pytest.raises(JobError, match="9999, limit 640"):
        run(board, prompt=(1, 9999))


def test_stale_epoch_is_fenced(
    open_native: Callable[..., LinkBoard], small_model: ModelFile
) -> None:
    """A host with an older lease cannot disturb a board that a newer one has spoken to."""
    board = open_native()
    load(board, small_model, epoch=7)

    with pytest.raises(BoardFault) as caught:
        run(board, epoch=6)
    assert caught.value.code == "stale_epoch"


def test_cancel_takes_effect_within_a_token_or_so(
    open_native: Callable[..., LinkBoard], small_model: ModelFile
) -> None:
    """A stop asked for in the middle ends the run and leaves the board ready for the next."""
    board = open_native()
    load(board, small_model, n_ctx=256)
    seen: list[int] = []

    with pytest.raises(Cancelled):
        run(board, 250, on_token=lambda index, _: seen.append(index), stop=lambda: len(seen) > 3)

    assert len(run(board, 8).tokens) == 8


def test_reset_restarts_the_board(
    open_native: Callable[..., LinkBoard], small_model: ModelFile
) -> None:
    """RESET gives a new boot id, and what was loaded is gone."""
    board = open_native()
    load(board, small_model)
    before = board.hello.boot_id

    board.reset()

    assert board.hello.boot_id != before
    assert board.hello.ram_model_sha256 is None


def test_busy_port_names_its_holder(
    open_native: Callable[..., LinkBoard], options: OpenOptions
) -> None:
    """A second process that wants the same board is told who has it."""
    open_native("uid=55")

    with pytest.raises(HostFault, match="already driven by process") as caught:
        open_board("native://?uid=55", options)
    assert caught.value.code == "board_claimed"


def test_absent_port(options: OpenOptions) -> None:
    """A port that does not exist is one clear line with what to do."""
    with pytest.raises(HostFault, match="no such port") as caught:
        open_board("/dev/serial/by-id/usb-nothing", options)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("babble", "words"),
    [
        (b"", "not one byte"),
        (b"login: \r\n", 'it says "login:"'),
        (b"ESP-ROM:esp32s3-20210327\r\nBuild:Mar 27 2021\r\n", "of an ESP32 without our firmware"),
        (b"\xf8\x80\x00\xf8\x99\xfe" * 4, "bytes came, none of them a HELLO: no text"),
    ],
)
def test_port_that_is_not_ours(options: OpenOptions, babble: bytes, words: str) -> None:
    """Silence, or another program's text, is no board: after the timeout it says what was heard."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"socket://127.0.0.1:{server.getsockname()[1]}"
        quick = type(options)(
            lock_dir=options.lock_dir, slot_dir=options.slot_dir, open_timeout_s=1.5
        )

        def answer() -> None:
            server.settimeout(5)
            connection, _ = server.accept()
            with connection:
                # after a read, since pyserial throws away what came before the port was open
                while connection.recv(4096):
                    connection.sendall(babble)

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(LinkFault, match=words) as caught:
            open_board(url, quick)
        thread.join()
    assert caught.value.code == "no_hello"
