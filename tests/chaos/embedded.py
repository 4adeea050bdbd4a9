"""`python -m tests.chaos.embedded`: an embedded Redis is harmed in every way while clients submit
to it.

Its disk is full, it is stopped (SIGSTOP), killed (-9), starts late, loads slowly, is told to stop;
its server.json is damaged; and many commands come at once. Every job whose id was told must be in
the one store at the end, and no two servers may ever work on its files. Exit code 1 when that was
not so.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from rich.progress import Progress

from edgeprof.client.lab import Lab
from edgeprof.client.request import Request
from edgeprof.shared.errors import InfrastructureError
from edgeprof.shared.redis import server as redis_server
from edgeprof.shared.store.lab import LabStore
from tests.chaos import report
from tests.chaos.embedded_lab import EmbeddedLab

EDGEPROF = [sys.executable, "-m", "edgeprof.cli"]
REQUEST = Request(
    model="shakespeare-240k", platform="native", wait_for_board=True, n_gen=1, n_prompt=2
)
SUBMIT = ["submit", "-m", str(REQUEST.model), "--platform", "native"]
SUBMIT += ["--wait-for-board", "--no-wait", "-n", "1", "-p", "2"]

#: What a refusal is counted as: the first words of ours that are in it.
REASONS = {
    "disk": "its disk is full",
    "No space left": "its disk is full",
    "SIGSTOP": "it is stopped",
    "does not answer": "it does not answer",
    "not promised": "not written in time",
    "loading": "still loading",
    "starting or stopping": "still starting",
    "cannot be reached": "connection lost",
    "did not start": "did not start",
    "has been starting or stopping": "start lock held",
}


@dataclass
class Told:
    """What clients were told, from all their threads and processes."""

    ids: list[str] = field(default_factory=list)
    refusals: Counter[str] = field(default_factory=Counter)
    longest: tuple[float, str] = (0.0, "none")
    commands: Counter[int] = field(default_factory=Counter)

    def timed(self, what: str, call: Callable[[], Any]) -> Any:
        """Make a client's call and remember how long it took, whatever comes of it."""
        began_s = time.monotonic()
        try:
            return call()
        finally:
            self.longest = max(self.longest, (round(time.monotonic() - began_s, 1), what))


@dataclass(frozen=True)
class Outcome:
    """Figures of a campaign."""

    told: Told
    lost: int
    stored: int
    servers: int
    doubles: int
    faults: Counter[str]
    disk: str

    @property
    def kept(self) -> bool:
        """Whether no id was told in vain, and no second server ran."""
        return self.lost == self.doubles == 0

    def figures(self) -> dict[str, Any]:
        """Return what a table or JSON shows."""
        return {
            "faults": dict(sorted(self.faults.items())),
            "disk": self.disk,
            "servers_one_after_the_other": self.servers,
            "looks_with_two_servers": self.doubles,
            "ids_told": len(self.told.ids),
            "jobs_in_the_store": self.stored,
            "lost": self.lost,
            "refusals": dict(self.told.refusals.most_common()),
            "exit_codes_of_commands": {str(k): v for k, v in sorted(self.told.commands.items())},
            "longest_call": "{} s, {}".format(*self.told.longest),
        }


def run(
    *, seconds: float, clients: int, seed: int, pace: float = 1.0, bar: Progress | None = None
) -> Outcome:
    """Harm the server for `seconds`, one fault after the other, each kind equally often.

    pace: how long a fault lasts, as a part of its usual length.
    """
    dice = random.Random(seed)
    told, faults, ended = Told(), Counter[str](), threading.Event()
    task = bar.add_task("seconds", total=seconds) if bar else None
    with EmbeddedLab(pace) as lab:
        threads = [
            threading.Thread(target=_client, args=(lab, random.Random(f"{seed}/{n}"), told, ended))
            for n in range(clients)
        ]
        for thread in threads:
            thread.start()
        began_s = time.monotonic()
        bag: list[str] = []
        try:
            while (spent_s := time.monotonic() - began_s) < seconds:
                bag = bag or dice.sample(list(FAULTS), len(FAULTS))
                name = bag.pop()
                FAULTS[name](lab, dice, told)
                faults[name] += 1
                lab.heal()
                time.sleep(lab.pace * dice.uniform(0.1, 0.6))
                if bar and task is not None:
                    bar.update(task, completed=spent_s)
        finally:
            lab.heal()
            ended.set()
            for thread in threads:
                thread.join()
        return _count(lab, told, faults)


def _count(lab: EmbeddedLab, told: Told, faults: Counter[str]) -> Outcome:
    lab.kill()  # what was only in a memory does not count
    with LabStore.open(lab.settings) as store:
        stored: set[str] = set()
        while more := store.jobs.ids(None, 1000, len(stored)):
            stored.update(more)
    return Outcome(
        told=told,
        lost=len(set(told.ids) - stored),
        stored=len(stored),
        servers=len(lab.servers),
        doubles=lab.doubles,
        faults=faults,
        disk="a tmpfs, filled" if lab.real_disk else "a file size limit",
    )


def _client(lab: EmbeddedLab, dice: random.Random, told: Told, ended: threading.Event) -> None:
    """Submit all the time, as a notebook does: now and then with a new connection."""
    while not ended.is_set():
        try:
            with told.timed("connecting", lambda: Lab(settings=lab.settings)) as client:
                for _ in range(dice.randint(1, 10)):
                    submit = partial(client.submit_many, [REQUEST] * dice.randint(1, 3))
                    told.ids += [job.id for job in told.timed("submitting", submit)]
                    ended.wait(dice.uniform(0, 0.5))
        except InfrastructureError as error:
            words = (name for sign, name in REASONS.items() if sign in str(error))
            told.refusals[next(words, str(error))] += 1
            ended.wait(0.1)


# --- what is done to it


def _full(lab: EmbeddedLab, dice: random.Random, _told: Told) -> None:
    lab.fill()
    time.sleep(lab.pace * dice.uniform(0.5, 3))


def _full_and_killed(lab: EmbeddedLab, dice: random.Random, told: Told) -> None:
    _full(lab, dice, told)
    lab.kill()
    time.sleep(lab.pace * dice.uniform(0, 1))


def _stopped(lab: EmbeddedLab, dice: random.Random, _told: Told) -> None:
    lab.signal(signal.SIGSTOP)
    time.sleep(lab.pace * dice.uniform(0.5, 5))


def _stopped_and_killed(lab: EmbeddedLab, dice: random.Random, _told: Told) -> None:
    lab.signal(signal.SIGSTOP)
    time.sleep(lab.pace * dice.uniform(0.1, 1))
    lab.kill()


def _killed(lab: EmbeddedLab, dice: random.Random, _told: Told) -> None:
    for _ in range(dice.randint(1, 3)):
        lab.kill()
        time.sleep(lab.pace * dice.uniform(0, 0.3))


def _slow_start(lab: EmbeddedLab, dice: random.Random, _told: Told) -> None:
    lab.slow_down(delay_s=round(lab.pace * dice.uniform(0.5, 5), 1))
    _killed(lab, dice, _told)
    time.sleep(lab.pace * dice.uniform(0.5, 5))


def _slow_load(lab: EmbeddedLab, dice: random.Random, _told: Told) -> None:
    naps = lab.pace * dice.uniform(500, 5000)  # each of 0.1 to 1 ms, as busy as the machine is
    lab.slow_down(commands_a_nap=1 + int(lab.commands() / naps))
    _killed(lab, dice, _told)
    time.sleep(lab.pace * dice.uniform(0.5, 3))


def _told_to_stop(lab: EmbeddedLab, dice: random.Random, told: Told) -> None:
    if dice.random() < 0.5:
        lab.signal(signal.SIGSTOP)
    with contextlib.suppress(InfrastructureError):
        told.timed("stopping", lambda: redis_server.stop(lab.settings))


def _forgotten(lab: EmbeddedLab, dice: random.Random, _told: Told) -> None:
    file = lab.folder / dice.choice(["server.json", "redis.conf", "redis.pid"])
    if dice.random() < 0.5:
        file.unlink(missing_ok=True)
    elif file.exists():
        file.write_text("damaged")


def _rush(lab: EmbeddedLab, dice: random.Random, told: Told) -> None:
    """Let several real commands come at once, to a server that is not there yet."""
    lab.slow_down(delay_s=dice.choice([0, 1]))
    lab.kill()
    commands = [SUBMIT] * dice.randint(1, 2) + [["jobs"]] * dice.randint(1, 2)
    running = [
        subprocess.Popen(
            [*EDGEPROF, *command],
            env=lab.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        for command in commands
    ]
    if dice.random() < 0.5:
        time.sleep(lab.pace * dice.uniform(0.5, 2))  # while they look for it
        lab.kill()
    for command, process in zip(commands, running, strict=True):
        output = told.timed(f"edgeprof {command[0]}", process.communicate)[0]
        told.commands[process.returncode] += 1
        if command is SUBMIT and process.returncode == 0:
            told.ids += output.split()


FAULTS: dict[str, Callable[[EmbeddedLab, random.Random, Told], None]] = {
    "full": _full,
    "full and killed": _full_and_killed,
    "stopped": _stopped,
    "stopped and killed": _stopped_and_killed,
    "killed": _killed,
    "slow start": _slow_start,
    "slow load": _slow_load,
    "told to stop": _told_to_stop,
    "files damaged": _forgotten,
    "rush": _rush,
}


def main() -> int:
    """Run the campaign; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.embedded", description=__doc__)
    parser.add_argument("--seconds", type=float, default=240)
    parser.add_argument("--clients", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    with Progress() as bar:
        outcome = run(seconds=options.seconds, clients=options.clients, seed=options.seed, bar=bar)
    promises = {
        "0 lost: every id that was told is in the store": outcome.lost == 0,
        "never two servers on the files": outcome.doubles == 0,
        "every command ends with 0 or 3": set(outcome.told.commands) <= {0, 3},
        "every call ends within 40 s": outcome.told.longest[0] < 40,
    }
    return report.show("Embedded Redis", outcome.figures(), promises, options.json)


if __name__ == "__main__":
    sys.exit(main())
