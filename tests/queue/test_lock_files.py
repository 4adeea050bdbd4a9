"""Board locks in a folder that all users of a machine write: they work across users, and nothing
planted harms.

It is long because it is a list of what can be left or planted in that folder.
"""

from __future__ import annotations

import os
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edgeprof.shared.errors import HostFault
from edgeprof.shared.types.board import BoardState
from edgeprof.workers.board import lock_files
from edgeprof.workers.board.locks import BoardLock
from tests.support.null_lab import Rig

NOBODY = 65534
#: Imports first, as the checkout may be closed to others; then becomes another user, if root may.
BECOME = f"""
import os, sys
from pathlib import Path
from edgeprof.shared.errors import HostFault
from edgeprof.workers.board.locks import BoardLock
if os.geteuid() == 0:
    os.setgroups([]); os.setresgid({NOBODY}, {NOBODY}, {NOBODY})
    os.setresuid({NOBODY}, {NOBODY}, {NOBODY})
folder = Path(sys.argv[1])
"""
TAKE = """
os.umask(0o077)
try:
    claim = BoardLock(folder)
    claim.take("uid", "01")
    print("taken", flush=True)
    sys.stdin.read()
except HostFault as fault:
    print(fault.code, fault, fault.hint)
"""
ROOT = os.geteuid() == 0


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that everybody can go into: those of pytest are one user's."""
    made = Path(tempfile.mkdtemp(prefix="edgeprof-test-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


def by_another(code: str, folder: Path) -> str:
    """Return what the code prints, run by another user (when root runs the tests; else by this
    one)."""
    done = subprocess.run(
        [sys.executable, "-c", BECOME + code, str(folder)],
        check=True,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    assert done.stderr == ""
    return done.stdout.strip()


def lock_file(folder: Path) -> Path:
    """Return where the lock of uid 01 is; the file is removed."""
    with BoardLock(folder) as claim:
        claim.take("uid", "01")
    (path,) = folder.iterdir()
    path.unlink()
    return path


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_a_file_that_is_left_shuts_nobody_out(open_folder: Path, umask: int) -> None:
    """Tried by hand as root, installed as a service then: whatever the umask was, both can lock."""
    folder = open_folder / "locks"
    before = os.umask(umask)
    try:
        with BoardLock(folder) as claim:
            claim.take("uid", "01")
            held = by_another(TAKE, folder)
    finally:
        os.umask(before)

    (path,) = folder.iterdir()
    assert (mode(folder), mode(path)) == (0o1777, 0o666)
    assert held.startswith(f"board_claimed uid 01 is already driven by process {os.getpid()} on")
    assert by_another(TAKE, folder) == "taken"
    with BoardLock(folder) as claim:
        claim.take("uid", "01")


def test_a_lock_of_another_user_holds(open_folder: Path) -> None:
    """A lock holds between users, and root, too, is told which process has it."""
    folder = open_folder / "locks"
    BoardLock(folder)
    with subprocess.Popen(
        [sys.executable, "-c", BECOME + TAKE, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "taken\n"
        with BoardLock(folder) as claim, pytest.raises(HostFault, match=f"process {other.pid} "):
            claim.take("uid", "01")
        other.communicate("")
    with BoardLock(folder) as claim:
        claim.take("uid", "01")


@pytest.mark.parametrize("left", [0o644, 0o444])
def test_files_of_older_versions_do(open_folder: Path, left: int) -> None:
    """A lock file of an older version, 0644 and another user's, can be locked; its owner opens it
    for all."""
    folder = open_folder / "locks"
    path = lock_file(folder)
    path.write_text("123")
    path.chmod(left)

    assert by_another(TAKE, folder) == "taken"
    with BoardLock(folder) as claim:
        claim.take("uid", "01")
    assert mode(path) == 0o666


def test_what_cannot_be_opened_is_told(open_folder: Path) -> None:
    """A file closed to others: which file, whose, and what to do; no traceback."""
    folder = open_folder / "locks"
    path = lock_file(folder)
    path.touch(mode=0o600)
    told = by_another(TAKE, folder)

    assert told == "taken" if not ROOT else told.startswith("lock_file")
    if ROOT:
        assert str(path) in told
        assert "of user 0, mode 600" in told
        assert "remove it" in told


@pytest.mark.parametrize("permissions", [0o700, 0o755, 0o1755])
def test_a_private_folder_stays_as_it_is(open_folder: Path, permissions: int) -> None:
    """A folder that is there is not opened to everybody, whoever owns it; others are told."""
    folder = open_folder / "mine"
    folder.mkdir()
    folder.chmod(permissions)
    with BoardLock(folder) as claim:
        claim.take("port", "a")
    told = by_another(TAKE, folder)

    assert mode(folder) == permissions
    if ROOT:
        assert told.startswith(("lock_dir", "lock_file"))
        assert str(folder) in told
        assert "EDGEPROF_LOCK_DIR" in told


@pytest.mark.skipif(not ROOT, reason="only root can give a folder away")
def test_a_folder_of_somebody_else_stays_as_it_is(open_folder: Path) -> None:
    """Root could open it to everybody, and does not."""
    folder = open_folder / "theirs"
    folder.mkdir()
    folder.chmod(0o700)
    os.chown(folder, NOBODY, NOBODY)
    BoardLock(folder)

    assert mode(folder) == 0o700


def test_a_folder_behind_a_link_is_not_touched(tmp_path: Path) -> None:
    """A folder behind a link is neither made, opened nor locked in; the error names the link and
    what to do."""
    target = tmp_path / "target"
    target.mkdir(mode=0o700)
    link = tmp_path / "link"
    for points_to in (target, tmp_path / "nowhere", link):
        link.unlink(missing_ok=True)
        link.symlink_to(points_to)
        with pytest.raises(HostFault, match=f"{link}: it is a link") as fault:
            BoardLock(link)
        assert "EDGEPROF_LOCK_DIR" in str(fault.value.hint)

    assert mode(target) == 0o700
    assert list(target.iterdir()) == []
    assert not (tmp_path / "nowhere").exists()


def test_what_is_no_folder_is_told(tmp_path: Path) -> None:
    """A file in its place, or above it, and a place where none can be made."""
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "locks", Path("/proc/locks/here")):
        with pytest.raises(HostFault, match=f"no folder for board locks at {path}"):
            BoardLock(path)


def a_link(path: Path, victim: Path) -> None:
    path.symlink_to(victim)


def a_dangling_link(path: Path, victim: Path) -> None:
    path.symlink_to(victim.with_name("made-by-the-lock"))


def a_hard_link(path: Path, victim: Path) -> None:
    path.hardlink_to(victim)


def a_pipe(path: Path, _victim: Path) -> None:
    os.mkfifo(path)


def a_folder(path: Path, _victim: Path) -> None:
    path.mkdir()


def a_socket(path: Path, _victim: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))


def a_device(path: Path, _victim: Path) -> None:
    if ROOT:
        os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 3))
    else:
        a_pipe(path, _victim)


@pytest.mark.parametrize(
    "plant", [a_link, a_dangling_link, a_hard_link, a_pipe, a_folder, a_socket, a_device]
)
@pytest.mark.timeout(30)
def test_what_is_planted_is_refused(
    tmp_path: Path, plant: Callable[[Path, Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under a lock's name: never waited for, followed, written or opened to others; the path is
    told."""
    monkeypatch.chdir(tmp_path)  # the name of a socket may not be long
    path = lock_file(Path("locks"))
    victim = tmp_path / "victim"
    victim.write_text("a key")
    victim.chmod(0o600)
    plant(path, victim)

    with BoardLock(Path("locks")) as claim, pytest.raises(HostFault, match=str(path)) as fault:
        claim.take("uid", "01")

    assert fault.value.code == "lock_file"
    assert (victim.read_text(), mode(victim)) == ("a key", 0o600)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["locks", "victim"]


@pytest.mark.parametrize(
    "said",
    [b"", b"0; \x1b[31mred", b"1\n2", b"9" * 4000, "١٢".encode(), b"\xff\x00", b"-1",
     b"x" * 10_000_000],
    ids=range(8),
)  # fmt: skip
def test_what_the_holder_says_is_not_believed(tmp_path: Path, said: bytes) -> None:
    """Everybody can write there: what is no number is left out, and no more than one is read."""
    with BoardLock(tmp_path) as first, BoardLock(tmp_path) as second:
        first.take("uid", "01")
        (path,) = tmp_path.iterdir()
        path.write_bytes(said)
        with pytest.raises(HostFault) as fault:
            second.take("uid", "01")

    assert str(fault.value) == "uid 01 is already driven by process unknown on this host"


def test_a_file_that_is_replaced_is_no_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Removed between opening and locking: the lock is taken on the file that others will open."""
    path = lock_file(tmp_path)
    lock = lock_files._lock
    removed: list[Path] = []

    def remove_first(descriptor: int) -> None:
        if not removed:
            removed.append(path)
            path.unlink()
        lock(descriptor)

    monkeypatch.setattr(lock_files, "_lock", remove_first)
    with BoardLock(tmp_path) as claim, BoardLock(tmp_path) as second:
        claim.take("uid", "01")
        with pytest.raises(HostFault, match="already driven"):
            second.take("uid", "01")


def test_a_worker_waits_and_says_why(rig: Rig, tmp_path: Path) -> None:
    """A folder that cannot be used: one line, no traceback, no end; the board comes when it is
    mended."""
    folder = tmp_path / "link"
    folder.symlink_to(tmp_path)
    output = tmp_path / "output.txt"
    with output.open("wb") as out:
        worker = rig.start_worker("01", output=out, lock_dir=folder)
        rig.wait_until(
            lambda: "it is a link" in output.read_text(), "the worker says what is wrong"
        )
        assert "Traceback" not in output.read_text()
        folder.unlink()
        rig.until_board("null-01", BoardState.ONLINE)
    assert worker.poll() is None
