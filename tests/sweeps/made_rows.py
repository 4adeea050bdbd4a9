"""Rows of a sweep, made by hand."""

from __future__ import annotations

from typing import Any

from edgeprof.client.sweep_rows import SweepRow
from edgeprof.shared.types.result import Samples


def row(name: str, *speeds: float, **others: Any) -> SweepRow:
    """Return a row; its type's name is `name`."""
    test, platform = others.pop("test", "pp16 tg16"), others.get("platform", "esp32s3")
    base: dict[str, Any] = {
        "job_id": f"{name} {platform} {test}",
        "model": "tiny",
        "model_sha256": name,
        "made_as": name,
        "platform": platform,
        "device_id": f"{platform}-1",
        "emulated": False,
        "test": test,
        "test_key": (test,),
        "choice": (name, platform, "F16", None),
        "n_prompt": 16,
        "n_gen": 16,
        "n_ctx": 31,
        "kv_type": "F16",
        "speed": Samples.of(speeds),
        "ttft_s": 0.5,
        "perplexity": None,
        "perplexity_stderr": None,
        "perplexity_increase": None,
        "top1_change": None,
        "scored_over": None,
        "ram_bytes": 40_000,
        "flash_bytes": 300_000,
        "energy_per_token_mj": None,
    }
    return SweepRow(**base | others)


def scored(name: str, speed: float, perplexity: float, **others: Any) -> SweepRow:
    """Return a row with a perplexity; the least of its sweep is 20."""
    quality = {"perplexity": perplexity, "perplexity_increase": perplexity / 20 - 1}
    return row(name, speed, **quality | others)
