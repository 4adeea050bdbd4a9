"""Settings with short times, and every folder below one folder."""

from __future__ import annotations

from pathlib import Path

from edgeprof.shared.settings import Settings


def make_settings(tmp_path: Path, redis_url: str | None) -> Settings:
    return Settings(
        redis_url=redis_url,
        data_dir=tmp_path / "data",
        cache_dir=tmp_path / "cache",
        lock_dir=tmp_path / "locks",
        log_dir=tmp_path / "logs",
        metrics_port=0,
        device_metrics_port=0,
        scheduler_port=0,
        host="testhost",
        lease_s=2,
        custodian_interval_s=0.2,
        doorbell_grace_s=0.5,
        board_ttl_s=3,
        probe_interval_s=0.5,
        stop_grace_s=0.5,
        retry_backoff_s=0.1,
        store_patience_s=10,
        selftest_clock_s=1,
    )
