"""`python -m tests.chaos.sick_hosts`: one host of three falls sick, and no job fails for its
reasons.

Real agents with native boards, each host with folders of its own. The sick one loses its cache, its
disk's space, its lock folder or its flash tool while it works. Jobs for any board run on the two
others; a job for the sick host's own board waits, and runs once the host is mended, without
anybody's help. Exit code 1 when that was not so.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.progress import Progress

from edgeprof.client import Lab
from edgeprof.scheduler.service import run_scheduler
from edgeprof.shared.settings import Settings
from edgeprof.shared.types.board import BoardState
from edgeprof.shared.types.job import JobState
from tests.chaos import report
from tests.chaos.board_lab import until
from tests.support.lab_settings import make_settings
from tests.support.redis_process import RedisProcess

#: Host -> uid of its board.
HOSTS = {"well-1": "0a01", "well-2": "0a02", "sick": "0a03"}
AGENT = "import typer; from edgeprof.workers.cli import worker; typer.run(worker)"


@dataclass
class Host:
    """A machine of the lab: its settings and the agent that runs on it."""

    name: str
    settings: Settings
    flash_tool: Path
    agent: subprocess.Popen[bytes]

    @property
    def board(self) -> str:
        """The name of its board."""
        return f"native-{HOSTS[self.name]}"


def lose_cache(host: Host) -> Callable[[], None]:
    """Put a file where the folder of models was."""
    models = host.settings.cache_dir / "models"
    while True:
        shutil.rmtree(models)
        try:
            models.touch()
        except IsADirectoryError:
            continue  # the host's worker, which made a model just then, was quicker
        return models.unlink


def lose_space(host: Host) -> Callable[[], None]:
    """Mount a full disk over the folder of models. Needs root."""
    models = host.settings.cache_dir / "models"
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "full", models], check=True)

    def unmount() -> None:
        subprocess.run(["umount", "-l", models], check=True)

    return unmount


def lose_locks(host: Host) -> Callable[[], None]:
    """Put a file where the folder of board locks was, and have the worker start afresh."""
    locks = host.settings.lock_dir
    shutil.rmtree(locks)
    locks.touch()
    for fork_server in _children(host.agent.pid):
        for worker in _children(fork_server):
            os.kill(worker, signal.SIGKILL)
    return locks.unlink


def _children(pid: int) -> list[int]:
    return [int(n) for n in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def lose_flash_tool(host: Host) -> Callable[[], None]:
    """Uninstall the program that boards.toml names."""
    host.flash_tool.unlink()
    return lambda: _install(host.flash_tool)


#: Sickness -> how it comes about; it returns the cure.
SICKNESSES: dict[str, Callable[[Host], Callable[[], None]]] = {
    "no cache": lose_cache,
    "no space": lose_space,
    "no lock folder": lose_locks,
    "no flash tool": lose_flash_tool,
}


@dataclass(frozen=True)
class Outcome:
    """What became of the jobs of one sickness."""

    sickness: str
    states: dict[str, int]
    #: Attempts that ended on the sick host for its reasons.
    hit: int
    #: What `edgeprof boards` said of the sick host's board.
    said: str
    #: How the job for the sick host's own board ended, after the cure.
    own: JobState

    @property
    def kept(self) -> bool:
        """Whether no job failed, and the host was shown as sick until it was cured."""
        return (
            self.states.keys() == {JobState.SUCCEEDED}
            and self.own is JobState.SUCCEEDED
            and bool(self.said)
        )


def fall_sick(sickness: str, jobs: int) -> Outcome:
    """Run jobs while one host of three falls sick."""
    with _lab() as (lab, hosts), ExitStack() as cures:
        sick = hosts["sick"]
        submitted = [_submit(lab, n) for n in range(jobs // 3)]
        cure = SICKNESSES[sickness](sick)
        cures.callback(cure)
        submitted += [_submit(lab, n) for n in range(jobs // 3, jobs)]
        own = lab.submit("shakespeare-240k", board=sick.board, quantization="Q4_0", n_gen=4)
        views = [job.wait(timeout=300) for job in submitted]
        until(lambda: _note(lab, sick) != "", "the lab says that the host is sick", 120)
        said = _note(lab, sick)
        cures.pop_all()
        cure()
        ended = own.wait(timeout=300)
        until(lambda: _note(lab, sick) == "", "the host is back by itself", 120)
        attempts = [a for view in (*views, ended) for a in view.attempts]
        states: dict[str, int] = {}
        for view in views:
            states[view.state] = states.get(view.state, 0) + 1
        return Outcome(
            sickness,
            states,
            sum(a.host == sick.name and a.fault_class is not None for a in attempts),
            said,
            ended.state,
        )


def _submit(lab: Lab, number: int) -> Any:
    """Submit a job of any board; the types differ, so that files are fetched."""
    quantization = ("Q8_0", "Q4_0", "F16", "F32")[number % 4]
    return lab.submit(
        "shakespeare-240k", platform="native", quantization=quantization, n_gen=16, n_prompt=8
    )


def _note(lab: Lab, host: Host) -> str:
    """Return why the host's board gets no jobs, or ""."""
    (board,) = [board for board in lab.boards() if board.device_id == host.board]
    return "" if board.state in {BoardState.ONLINE, BoardState.BUSY} else board.reason


@contextmanager
def _lab() -> Iterator[tuple[Lab, dict[str, Host]]]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="edgeprof-sick-")))
        (folder / "redis").mkdir()
        redis = RedisProcess(folder / "redis")
        redis.start()
        stack.callback(redis.stop)
        client = make_settings(folder, redis.url)
        stop = threading.Event()
        scheduler = threading.Thread(target=run_scheduler, args=(client, None, stop))
        scheduler.start()
        stack.callback(scheduler.join)
        stack.callback(stop.set)
        hosts = {name: _start(name, folder, redis.url, stack) for name in HOSTS}
        lab = stack.enter_context(Lab(settings=client))
        until(
            lambda: sum(b.state is BoardState.ONLINE for b in lab.boards()) == len(hosts),
            "all boards are online",
            120,
        )
        yield lab, hosts


def _start(name: str, folder: Path, redis_url: str, stack: ExitStack) -> Host:
    root = folder / name
    root.mkdir()
    settings = make_settings(root, redis_url).model_copy(
        update={
            "host": name,
            "selftest_quarantine_interval_s": 1.0,
            # what no job needs is found out by a self-test only
            "selftest_routine_interval_s": 3.0,
            "lease_s": 5.0,
        }
    )
    tool = root / "flash-tool"
    _install(tool)
    boards = root / "boards.toml"
    boards.write_text(
        f'[[board]]\nurl = "native://?uid={HOSTS[name]}"\nflash = ["{tool}", "{{slot}}"]\n'
    )
    with (root / "agent.out").open("wb") as out:
        agent = subprocess.Popen(
            [sys.executable, "-c", AGENT, "--boards", str(boards)],
            env={**os.environ, **settings.as_environment()},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
        )
    stack.callback(agent.wait)
    stack.callback(agent.terminate)
    return Host(name, settings, tool, agent)


def _install(tool: Path) -> None:
    tool.write_text("#!/bin/sh\n")
    tool.chmod(0o755)


def possible() -> Sequence[str]:
    """Return the sicknesses that can be brought about here: a full disk is mounted by root only."""
    return [name for name in SICKNESSES if name != "no space" or os.geteuid() == 0]


def main() -> int:
    """Run the campaign; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.sick_hosts", description=__doc__)
    parser.add_argument("--jobs", type=int, default=60, help="a sickness")
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    with Progress() as bar:
        outcomes = [
            fall_sick(sickness, options.jobs)
            for sickness in bar.track(possible(), description="sicknesses")
        ]
    figures: dict[str, Any] = {}
    for each in outcomes:
        figures[each.sickness] = {**each.states, "attempts hit": each.hit}
        figures[f"{each.sickness}: said"] = each.said
    promises = {
        f"{each.sickness}: 0 jobs failed, taken back once cured": each.kept for each in outcomes
    }
    if missing := set(SICKNESSES) - set(possible()):
        report.not_run("Sick hosts: " + ", ".join(missing), "they need root")
    return report.show("Sick hosts", figures, promises, options.json)


if __name__ == "__main__":
    sys.exit(main())
