"""Jobs of a fake worker: they take a set time a token, and fail when their tags say so."""

from __future__ import annotations

import time
from typing import Final

from edgeprof.shared.errors import BoardFault, FaultClass, HostFault, LinkFault
from edgeprof.shared.store.blobs import ModelCache
from edgeprof.shared.store.job_values import Claim
from edgeprof.shared.types.board import BoardInfo
from edgeprof.shared.types.job import JobSpec
from edgeprof.shared.types.result import CaseResult, Identity, JobResult, Samples
from edgeprof.workers.board.protocols import Cancelled, SelfTestBoard
from edgeprof.workers.board.worker_board import WorkerBoard
from edgeprof.workers.testing.fake_board import fake_load
from edgeprof.workers.worker.lease import Lease

#: The pace: slow enough for a test to meet a job while it runs.
TOKEN_S: Final = 0.02

_FAULTS: Final = {FaultClass.LINK: LinkFault, FaultClass.HOST: HostFault}


def carry_out(
    worker_board: WorkerBoard,
    claim: Claim,
    lease: Lease,
    models: ModelCache,  # noqa: ARG001 - as fetch_and_profile
) -> JobResult:
    """Take TOKEN_S a token.

    The tag "fault" makes the first `faults` attempts fail with that class of fault; with a tag
    "deaf" the job does not look whether it is to stop before it is done.
    """
    spec = claim.spec
    case = spec.cases[0]
    if claim.attempt <= int(spec.tags.get("faults", "0")):
        raise _FAULTS[FaultClass(spec.tags["fault"])]("asked for by the test", code="test")
    for index in range(case.n_gen):
        if lease.should_stop() and "deaf" not in spec.tags:
            raise Cancelled
        worker_board.board.stats()  # raises when the board is gone
        time.sleep(TOKEN_S)
        lease.progress(phase="run", percent=100 * index / case.n_gen)
    return fake_result(spec, worker_board.info)


def fake_result(spec: JobSpec, info: BoardInfo) -> JobResult:
    """Return a result whose every speed and time is 1."""
    case, one = spec.cases[0], Samples.of([1.0])
    return JobResult(
        model=spec.model,
        identity=Identity(
            device_id=info.device_id,
            platform=info.platform,
            host=info.host,
            board_uid=info.uid,
            **info.firmware_and_clock(),
            edgeprof_version="0",
        ),
        load=fake_load(spec.n_ctx, spec.kv_type),
        cases=(
            CaseResult(
                n_prompt=len(case.prompt_tokens),
                n_gen=case.n_gen,
                prefill_tokens_per_second=one,
                decode_tokens_per_second=one,
                ttft_s=one,
                ttft_host_s=one,
                inter_token_p50_s=None,
                inter_token_p95_s=None,
                inter_token_p99_s=None,
                position_latency_s=(),
                cpu_utilization=None,
                run_device_s=one,
                run_host_s=one,
                tokens=tuple(range(case.n_gen)),
                text=None,
                output_check=None,
            ),
        ),
        memory=(),
        regions=(),
    )


def self_test(
    board: SelfTestBoard,
    info: BoardInfo,  # noqa: ARG001 - as selftest.self_test
    *,
    epoch: int,
    suspect: bool,  # noqa: ARG001
) -> None:
    """Fail while the board is sick."""
    test = board.test_memory(epoch, budget_s=0)
    if test is not None and test.bad is not None:
        raise BoardFault("wrong answer", code="wrong_answer")
