"""A board worker whose board is imaginary: the real process, store, leases and Celery around it.

Its pace is a token in 20 ms, so that a test can meet a job while it runs.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from edgeprof.shared.errors import BoardFault, FaultClass, HostFault, LinkFault
from edgeprof.shared.settings import Settings, load_settings
from edgeprof.shared.store.blobs import ModelCache
from edgeprof.shared.store.jobs import Claim
from edgeprof.shared.types.board import MemoryRegion
from edgeprof.shared.types.model import Quantization
from edgeprof.shared.types.result import CaseResult, Identity, JobResult, LoadResult, Samples
from edgeprof.workers.board.board import BoardStats, Cancelled, Hello
from edgeprof.workers.board.config import BoardConfig
from edgeprof.workers.board.managed_board import Bench
from edgeprof.workers.metrics.telemetry import Sender
from edgeprof.workers.worker.board_worker import serve
from edgeprof.workers.worker.lease import Lease

TOKEN_S = 0.02


class NullBoard:
    """null://?uid=01&platform=null&present=FILE&sick=FILE: there as long as the one file is (or always);
    fails its self-test as long as the other one is."""

    def __init__(self, url: str) -> None:
        query = parse_qs(urlsplit(url).query)
        self._present = query.get("present", [""])[0]
        self.sick = query.get("sick", [""])[0]
        self.hello = Hello(
            uid=query["uid"][0],
            platform=query.get("platform", ["null"])[0],
            firmware_version="0",
            firmware_git_hash="0",
            toolchain="none",
            protocol=(1, 0),
            clock_hz=1,
            timer_name="none",
            timer_resolution_ns=1,
            emulated=True,
            boot_id=1,
            regions=(
                MemoryRegion(name="sram", kind="ram", total_bytes=1 << 24, available_bytes=1 << 24),
            ),
            kernels=tuple(Quantization),
            bauds=(),
            flash_model_sha256=None,
            ram_model_sha256=None,
            features=0,
            n_ctx_max=4096,
            can_upload=True,
            can_flash=False,
        )
        self.check()

    def check(self) -> None:
        if self._present and not Path(self._present).exists():
            raise LinkFault("nobody answers", code="silence")

    def stats(self) -> BoardStats:
        self.check()
        return BoardStats(0, 0, 0, 1, (), {}, None, False)

    def plugged_in(self) -> bool:
        return True

    def close(self) -> None:
        pass


def open_board(
    config: BoardConfig, settings: Settings, should_stop: Callable[[], bool] = lambda: False
) -> Any:
    return NullBoard(config.port)


def profile(bench: Bench, claim: Claim, lease: Lease, models: ModelCache) -> JobResult:
    """Take TOKEN_S a token; the tag "fault" makes the first `faults` attempts fail that way, and a "deaf" one
    looks up only when it is done."""
    spec, board = claim.spec, bench.board
    case = spec.cases[0]
    if claim.attempt <= int(spec.tags.get("faults", "0")):
        fault = {FaultClass.LINK: LinkFault, FaultClass.HOST: HostFault}[
            FaultClass(spec.tags["fault"])
        ]
        raise fault("asked for by the test", code="test")
    for index in range(case.n_gen):
        if lease.should_stop() and "deaf" not in spec.tags:
            raise Cancelled
        board.check()  # type: ignore[attr-defined]
        time.sleep(TOKEN_S)
        lease.progress(phase="run", percent=100 * index / case.n_gen)
    one = Samples.of([1.0])
    return JobResult(
        model=spec.model,
        identity=Identity(
            device_id=bench.info.device_id,
            board_uid=bench.info.uid,
            edgeprof_version="0",
            **{
                name: getattr(bench.info, name)
                for name in Identity.model_fields
                if name not in {"device_id", "board_uid", "edgeprof_version"}
            },
        ),
        load=LoadResult(
            how="ram",
            region="sram",
            load_device_s=0.0,
            transfer_s=None,
            transfer_bytes=0,
            transfer_bytes_per_second=None,
            n_ctx=spec.n_ctx,
            kv_type=spec.kv_type,
        ),
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


def self_test(bench: Bench) -> None:
    """Fail while the board is sick."""
    if Path(bench.board.sick).is_file():  # type: ignore[attr-defined]
        raise BoardFault("wrong answer", code="wrong_answer")


if __name__ == "__main__":
    settings = load_settings()
    config = BoardConfig.model_validate_json(sys.argv[1])
    bench = Bench(config, settings, open_board, Sender.inherited())
    sys.exit(serve(config, bench, profile, settings, self_test))
