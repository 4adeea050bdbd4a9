"""Bad input: one clear line, a hint, the right exit code, and never a traceback."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest

from edgeprof.cli import exits
from edgeprof.shared.store.boards import Owner
from edgeprof.shared.store.lab import LabStore
from edgeprof.shared.types.board import BoardInfo, BoardState, MemoryRegion
from edgeprof.shared.types.model import Quantization

Edgeprof = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def board(store: LabStore) -> BoardInfo:
    """A board of the lab, announced and alive for the length of a test."""
    info = BoardInfo(
        device_id="native-1",
        platform="native",
        host="testhost",
        url="native://",
        uid="d001",
        state=BoardState.ONLINE,
        emulated=True,
        firmware_version="0.1.0",
        firmware_git_hash="abc",
        toolchain="gcc",
        protocol=(1, 0),
        clock_hz=1_000_000,
        timer_name="host",
        timer_resolution_ns=1000,
        regions=(
            MemoryRegion(name="ram", kind="ram", total_bytes=400_000, available_bytes=400_000),
        ),
        kernels=tuple(Quantization),
        n_ctx_max=256,
        can_flash=False,
        can_upload=True,
    )
    store.boards.announce(Owner(host="testhost", lock_domain="d", uid="d001"), info, 300)
    return info


def assert_refused(done: subprocess.CompletedProcess[str], code: int, *words: str) -> None:
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    for word in words:
        assert word in done.stderr


def submit(edgeprof: Edgeprof, *arguments: str) -> subprocess.CompletedProcess[str]:
    return edgeprof("submit", "-m", "shakespeare-240k", "--no-wait", *arguments)


def test_redis_down(edgeprof: Edgeprof) -> None:
    """A lab whose Redis does not answer is infrastructure: 3, with the address."""
    done = edgeprof("boards", EDGEPROF_REDIS_URL="redis://127.0.0.1:1/0")

    assert_refused(done, exits.INFRASTRUCTURE, "error: Redis at redis://127.0.0.1:1/0", "hint: ")


def test_password_is_never_printed(edgeprof: Edgeprof) -> None:
    """The address in an error carries no password."""
    done = edgeprof("boards", EDGEPROF_REDIS_URL="redis://me:secret@127.0.0.1:1/0")

    assert_refused(done, exits.INFRASTRUCTURE, "me:***@")
    assert "secret" not in done.stderr


def test_wrong_url(edgeprof: Edgeprof) -> None:
    """A URL that is none is the caller's error: 2."""
    assert_refused(edgeprof("jobs", EDGEPROF_REDIS_URL="lab"), exits.USAGE, "not a Redis URL")


def test_bad_setting(edgeprof: Edgeprof) -> None:
    """A setting that does not parse is named by its variable."""
    assert_refused(edgeprof("jobs", EDGEPROF_LEASE_S="soon"), exits.USAGE, "EDGEPROF_LEASE_S")


def test_unknown_job(edgeprof: Edgeprof) -> None:
    """A job that neither store nor archive knows is said to be unknown."""
    assert_refused(edgeprof("job", "nobody"), exits.USAGE, "no job 'nobody'", "hint: ")


@pytest.mark.usefixtures("board")
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--platform", "stm32"), ("no platform 'stm32'", "native")),
        (("--board", "native-9"), ("no board 'native-9'", "did you mean 'native-1'")),
        ((), ("name either a platform or a board",)),
        (("--platform", "native", "--prompt-tokens", ""), ("prompt is empty",)),
        (("--platform", "native", "--n-prompt", "0"), ("n_prompt must be at least 1",)),
        (("--platform", "native", "--n-gen", "-1"), ("n_gen must be at least 0",)),
        (("--platform", "native", "-r", "0"), ("repetitions must be at least 1",)),
        (("--platform", "native", "--n-prompt", "4000"), ("4000", "256")),
        (("--platform", "native", "--prompt-tokens", "1,x"), ("not token ids",)),
        (("--platform", "native", "--prompt-tokens", "1,99999"), ("99999", "vocabulary")),
        (("--platform", "native", "--priority", "11"), ("priority",)),
        (("--platform", "native", "-q", "TQ2_0"), ("TQ2_0 does not apply",)),
        (("--platform", "native", "-q", "F32"), ("does not fit", "weights", "NO ROOM")),
    ],
)
def test_submit_refuses(
    edgeprof: Edgeprof, arguments: tuple[str, ...], words: tuple[str, ...]
) -> None:
    """A wrong request is refused before it is queued: 2, with what would be right."""
    assert_refused(submit(edgeprof, *arguments), exits.USAGE, *words)
    assert json.loads(edgeprof("jobs", "--json").stdout) == []


@pytest.mark.usefixtures("board")
@pytest.mark.parametrize(
    ("content", "word"), [(b"not a model", "GGUF"), (b"GGUF\x03\0\0\0", "truncated"), (None, "no ")]
)
def test_not_a_model(edgeprof: Edgeprof, tmp_path: Path, content: bytes | None, word: str) -> None:
    """A file that is no GGUF, or half of one, or not there, is said to be that."""
    path = tmp_path / "model.gguf"
    if content is not None:
        path.write_bytes(content)
    done = edgeprof("submit", "-m", str(path), "--platform", "native", "--no-wait")

    assert_refused(done, exits.USAGE, "model.gguf", word)


def test_wait_for_board_accepts_an_unknown_platform(edgeprof: Edgeprof) -> None:
    """A job with --wait-for-board may wait for a board that nobody has announced yet."""
    done = submit(edgeprof, "--platform", "esp32s3", "--wait-for-board")

    assert done.returncode == exits.OK, done.stderr
    (job,) = json.loads(edgeprof("jobs", "--json").stdout)
    assert (job["id"], job["state"], job["target"]) == (done.stdout.strip(), "queued", "esp32s3")


@pytest.mark.usefixtures("board")
def test_sweep_submits_what_fits(edgeprof: Edgeprof) -> None:
    """A sweep queues what can run, tells of the rest on stderr, and is not called a success."""
    done = submit(edgeprof, "--platform", "native", "-q", "F32", "-q", "Q8_0", "-q", "Q4_0")

    assert done.returncode == exits.JOB_FAILED
    assert len(done.stdout.split()) == 2
    assert "refused: shakespeare-240k F32 does not fit" in done.stderr


def test_missing_option_is_usage(edgeprof: Edgeprof) -> None:
    """Typer's own errors have the same exit code as ours."""
    assert edgeprof("submit").returncode == exits.USAGE


def test_missing_extra_is_named(edgeprof: Edgeprof, tmp_path: Path) -> None:
    """`edgeprof worker` without the worker extra says how to get it."""
    (tmp_path / "serial.py").write_text("raise ImportError(\"No module named 'serial'\")\n")

    done = edgeprof("worker", "--board", "native://", PYTHONPATH=str(tmp_path))

    assert_refused(done, exits.INFRASTRUCTURE, "pip install 'tiny-llm-edge-profiler[worker]'")


def test_boards_of_another_version_are_told(edgeprof: Edgeprof, board: BoardInfo) -> None:
    """A person whose job stays queued is told that the boards' agents may be too old."""
    done = edgeprof("boards")

    assert done.returncode == 0, done.stderr
    assert f"an unknown version, this is {version('tiny-llm-edge-profiler')}" in done.stderr
    assert board.device_id in done.stderr
