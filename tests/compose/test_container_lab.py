"""docker-compose.yml on a real Docker Engine, with three worker containers."""

from __future__ import annotations

import base64
import urllib.error
import urllib.request
from typing import Any

import pytest

from tests.compose.lab import FLOWER_LOGIN, ContainerLab

pytestmark = [pytest.mark.compose, pytest.mark.timeout(1200)]

BOARDS = {"native-1", "native-2", "native-3", "native-4"}
EMULATED = {"stm32f405-1", "stm32f405-2", "stm32f405-3"}
JOB = ("submit", "-m", "shakespeare-240k", "-q", "Q8_0")


def assert_exact(jobs: list[dict[str, Any]], n_gen: int) -> None:
    """All of them measured, and each token the one that the reference gives."""
    assert [job["state"] for job in jobs] == ["succeeded"] * len(jobs)
    checks = [case["output_check"] for job in jobs for case in job["result"]["cases"]]
    assert {(check["matched"], check["of"]) for check in checks} == {(n_gen, n_gen)}


def test_jobs_are_exact_on_the_boards_of_three_machines(lab: ContainerLab) -> None:
    """A job for each board, native and emulated: all tokens equal the reference."""
    boards = sorted(BOARDS | EMULATED)
    named = [f"--board={board}" for board in boards]

    jobs = lab.asked(*JOB, "-n", "16", "--wait-for-board", *named)

    assert sorted(job["target"] for job in jobs) == boards
    assert {job["attempts"][0]["host"] for job in jobs} == {"worker", "worker-2", "worker-3"}
    assert_exact(jobs, 16)


def test_machines_that_vanish_in_the_middle_lose_no_job(lab: ContainerLab) -> None:
    """One is cut off and one killed while they measure: each job ends once, and the boards come
    back."""
    lab.until(lambda: lab.online() >= EMULATED, "the emulated boards are online")
    long = (*JOB, "-n", "64", "-r", "150", "--no-wait", "--platform=stm32f405")
    submitted = [lab.edgeprof(*long).strip() for _ in range(4)]

    def at_work() -> set[str]:
        return {board["device_id"] for board in lab.asked("boards") if board["job_id"] in submitted}

    lab.until(lambda: at_work() == EMULATED, "all three machines measure")
    lab.cut_off("worker-2")
    lab.compose("kill", "worker-3")

    def ended() -> list[dict[str, Any]]:
        ours = [job for job in lab.asked("jobs") if job["id"] in submitted]
        return [job for job in ours if job["state"] not in {"queued", "running"}]

    lab.until(lambda: len(ended()) == len(submitted), "all jobs ended", 600)
    lab.plug_in("worker-2")
    lab.compose("start", "worker-3")
    lab.until(lambda: lab.online() == BOARDS | EMULATED, "all boards are back")
    assert_exact(ended(), 64)


def test_flower_is_behind_its_login(lab: ContainerLab) -> None:
    """Flower shows nothing without the login, and the workers with it."""
    url = f"http://{lab.address('flower', 5555)}/api/workers?refresh=1"
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(url, timeout=10)
    login = base64.b64encode(":".join(FLOWER_LOGIN).encode()).decode()
    request = urllib.request.Request(url, headers={"Authorization": f"Basic {login}"})

    def shown() -> str:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return str(answer.read().decode())

    assert refused.value.code == 401
    refused.value.close()
    lab.until(lambda: all(board in shown() for board in BOARDS | EMULATED), "every worker is shown")


def test_volumes_outlive_the_containers(lab: ContainerLab) -> None:
    """Down and up again: a queued job still waits, a result is still there, and jobs run."""
    (done,) = lab.asked(*JOB, "-n", "4", "--board=native-1")
    lab.edgeprof("boards", "drain", "native-2")
    (waiting,) = lab.edgeprof(*JOB, "-n", "4", "--no-wait", "--board=native-2").split()

    lab.down()
    lab.up()

    states = {job["id"]: job["state"] for job in lab.asked("jobs")}
    assert states[done["id"]] == "succeeded"
    assert states[waiting] == "queued"
    lab.edgeprof("boards", "resume", "native-2")
    lab.until(
        lambda: {j["id"]: j["state"] for j in lab.asked("jobs")}[waiting] == "succeeded",
        "the job that waited runs",
    )
