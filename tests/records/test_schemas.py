"""A lab in the middle of an upgrade: records of both schemas, read by whoever can."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from edgeprof.shared.store.job_values import Claim, NewJob
from edgeprof.shared.store.lab import LabStore
from edgeprof.shared.types.job import JobSpec, JobState
from edgeprof.shared.types.result import CaseResult, JobView, ScoreResult
from tests.support.jobs import make_spec

BOARD: dict[str, Any] = {
    "device_id": "b", "platform": "null", "host": "h", "lock_domain": "d", "lease_s": 60,
}  # fmt: skip
#: As edgeprof wrote it before there was schema 2, with every field it had.
OLD_RECORD: dict[str, Any] = {
    "schema_version": 1,
    "model": {
        "name": "nothing", "sha256": "0" * 64, "size_bytes": 1, "quantization": "F32",
        "architecture": "llama", "n_params": 1, "n_ctx_train": 4096, "n_vocab": 16, "url": None,
    },
    "target": {"platform": "null", "device_id": None},
    "cases": [{"prompt_tokens": [1, 2, 3], "n_gen": 4, "unquantized_top1": [1, 2]}],
    "repetitions": 2, "warmup": 1, "n_ctx": 64, "kv_type": "F16", "check_output": True,
    "score": True, "priority": 5, "timeout_s": 600.0, "queue_timeout_s": 86400.0,
    "max_attempts": 3, "user": "ada", "sweep_id": None, "tags": {"shelf": "2"},
}  # fmt: skip


def old_claim(store: LabStore, job_id: str, owner: str = "old") -> list[Any]:
    """Claim as a worker of schema 1 does."""
    reply: list[Any] = store.script.call("claim", job_id, owner, "b", "null", "h", "d", 60, 1, "")
    return reply


def test_a_record_of_the_older_schema_is_carried_out(store: LabStore) -> None:
    """Queued before the upgrade, it is claimed and shown after it, with the inputs it has."""
    job = NewJob(JobSpec.read(json.dumps(OLD_RECORD)))
    store.jobs.submit([job], "test")

    assert store.script.redis.hget(f"edgeprof:job:{job.id}", "schema") == b"1"
    claim = store.jobs.claim(job.id, "w", **BOARD)
    assert isinstance(claim, Claim)
    assert claim.spec == JobSpec.model_validate(OLD_RECORD)
    inputs = store.jobs.view(job.id).inputs
    assert inputs is not None
    assert (inputs.schema_version, inputs.tags, inputs.source) == (1, {"shelf": "2"}, "")
    (case,) = inputs.cases
    assert (case.prompt_tokens, case.prompt_text, case.prompt_source) == ((1, 2, 3), None, None)


def test_an_old_worker_leaves_a_new_record_to_a_new_one(store: LabStore) -> None:
    """An old worker refuses a new record in words: it stays queued, holds up no old job, and is not
    lost."""
    new = NewJob(make_spec(priority=9, source="python 2"))
    old = NewJob(JobSpec.read(json.dumps(OLD_RECORD)))
    store.jobs.submit([new, old], "test")

    assert old_claim(store, new.id)[:2] == ["granted", old.id]
    store.script.call("fail", old.id, _epoch(store, old.id), "job", "x", "x", "0", 0, 3, "")
    assert old_claim(store, new.id, "again") == ["needs a newer agent"]
    assert store.jobs.state(new.id) is JobState.QUEUED
    claim = store.jobs.claim(new.id, "w", **BOARD)
    assert isinstance(claim, Claim)
    assert claim.spec == new.spec


def _epoch(store: LabStore, job_id: str) -> str:
    epoch = store.script.redis.hget(f"edgeprof:job:{job_id}", "epoch")
    assert isinstance(epoch, bytes)
    return epoch.decode()


@pytest.mark.parametrize(
    "changes",
    [
        {"source": "python"},
        {"tensor_bytes": 7},
        {
            "model": {
                **OLD_RECORD["model"],
                "source": {"file": "m.gguf", "sha256": "0" * 64, "chain": ["F32"]},
            }
        },
        {"cases": [{"prompt_tokens": [1], "n_gen": 0}]},
        {"cases": [{"prompt_tokens": [1], "n_gen": 1, "prompt_text": ""}]},
        {"cases": [{"prompt_tokens": [1], "n_gen": 1, "prompt_source": "text"}]},
    ],
)
def test_an_old_record_holds_nothing_new(changes: dict[str, Any]) -> None:
    """A worker of schema 1 would take it, and fail it as malformed."""
    with pytest.raises(ValidationError, match="schema_version is 1"):
        JobSpec.model_validate(OLD_RECORD | changes)


def test_what_an_older_version_wrote_of_results_is_read() -> None:
    """Documents in archives and results in Redis that have none of the new fields."""
    old_score = {"n_tokens": 3, "nll_nats": 1.0, "perplexity": 2.7, "top1_agreement": 1.0}

    score = ScoreResult.model_validate(old_score)

    assert (score.text, score.perplexity_stderr) == ("prompt", None)
    new = {"schema_version", "inputs"}
    assert new <= {name for name, field in JobView.model_fields.items() if not field.is_required()}
    assert not CaseResult.model_fields["ended_at_token"].is_required()
