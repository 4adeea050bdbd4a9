"""No text of a job or a board is a path or a command: names that try it, at every place that could
take them."""

from __future__ import annotations

import ast
import hashlib
from pathlib import Path

import pytest

from edgeprof.shared.errors import HostFault
from edgeprof.shared.models.source import name_of
from edgeprof.shared.store.lab import LabStore
from edgeprof.workers.board import flash
from edgeprof.workers.board.config import BoardConfig, ResetCommand
from edgeprof.workers.board.reset import reset
from edgeprof.workers.worker.outbox import Outbox

ROOT = Path(__file__).parents[2]
CONTENT = b"GGUF, or so it says"
SHA256 = hashlib.sha256(CONTENT).hexdigest()
#: To be seen if any shell saw it.
EVIL = "$(touch owned); touch owned `touch owned` | tee owned"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def model(here: Path) -> Path:
    path = here / "model.gguf"
    path.write_bytes(CONTENT)
    return path


def tool(folder: Path) -> str:
    """A program that writes down its arguments, one a line."""
    path = folder / "tool"
    path.write_text('#!/bin/sh\nprintf "%s\\n" "$@" > arguments\n')
    path.chmod(0o755)
    return str(path)


def test_the_flash_tool_gets_words(here: Path) -> None:
    """The flash tool gets the words of boards.toml with slot and port filled in, and no shell
    between."""
    command = (tool(here), "write", "{slot}", "--port={port}", EVIL)
    flash.run_flash_tool(command, EVIL, Path(EVIL))

    assert (here / "arguments").read_text().splitlines() == ["write", EVIL, f"--port={EVIL}", EVIL]
    assert not (here / "owned").exists()


def test_the_reset_command_gets_words(here: Path) -> None:
    """The reset command gets the words of boards.toml with the port filled in."""
    reset(BoardConfig(url=EVIL, reset=ResetCommand(command=(tool(here), "{port}", EVIL))))

    assert (here / "arguments").read_text().splitlines() == [EVIL, EVIL]
    assert not (here / "owned").exists()


def test_a_flash_tool_that_fails_says_so_in_a_line(here: Path) -> None:
    """A failed flash tool is one line, whatever it printed."""
    path = Path(tool(here))
    path.write_text("#!/bin/sh\nprintf '\\033[2Ja\\nb%09999d' 0 >&2\nexit 3\n")

    with pytest.raises(HostFault) as failed:
        flash.run_flash_tool((str(path),), "/dev/ttyX", Path("slot"))

    assert str(failed.value).isprintable()
    assert len(str(failed.value)) < 700


def test_a_slot_is_what_its_name_says(here: Path, model: Path) -> None:
    """One that has rotted is written again; a model that is another is never put into flash."""
    slot = flash.write_slot(model, SHA256, here / "slots")
    good = slot.read_bytes()
    slot.write_bytes(good[:-1] + b"!")

    assert flash.write_slot(model, SHA256, here / "slots").read_bytes() == good
    with pytest.raises(HostFault) as refused:
        flash.write_slot(model, "0" * 64, here / "slots")
    assert refused.value.code == "cache_damaged"


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "a/b", EVIL, "\x1b[2J", "-rf", "..", "", "\udcff", "x" * 1000]
)
def test_a_models_name_is_a_name(name: str) -> None:
    """A model's name, from its file, is fit for a metric's label and a table's word."""
    from edgeprof.shared.types.wire import is_name

    assert is_name(name_of(Path(name)))


@pytest.mark.parametrize("name", ["a/../../x", "../x", "/x", "x\n", "", "a" * 65, "a\0"])
def test_what_is_no_name(name: str) -> None:
    """Nothing that climbs, hides or breaks a line."""
    from edgeprof.shared.types.wire import is_name

    assert not is_name(name)


def test_the_outbox_writes_nowhere_else(here: Path, store: LabStore) -> None:
    """A file there that names another place is no result, and moves nothing."""
    folder = here / "box"
    folder.mkdir()
    (folder / "x.json").write_text('{"job_id": "../../x", "epoch": 1, "result": {}}')

    Outbox(folder).deliver(store.jobs)

    assert [path.name for path in folder.iterdir()] == ["x.json"]


def test_no_shell_no_pickle_no_eval() -> None:
    """The product calls nothing that makes a command or code of text."""
    guilty = []
    for root in ("shared", "workers", "scheduler"):
        for path in (ROOT / root).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                match node:
                    case ast.Call(keywords=keywords) if any(
                        word.arg == "shell" for word in keywords
                    ):
                        guilty.append(f"{path}: shell=")
                    case ast.Call(
                        func=ast.Name(id="eval" | "exec") | ast.Attribute(attr="system" | "popen")
                    ):
                        guilty.append(f"{path}: {ast.unparse(node)}")
                    case ast.Import(names=names) if any(
                        name.name in {"pickle", "marshal", "shelve", "dill"} for name in names
                    ):
                        guilty.append(f"{path}: {ast.unparse(node)}")
    assert guilty == []
