"""A job's row in the archive, made from its record."""

from __future__ import annotations

from edgeprof.client.llama_bench import bench_rows
from edgeprof.scheduler.archive.tables import Job, Test
from edgeprof.shared.types.result import JobView


def row_of(view: JobView) -> Job:
    """Return the row, with those of its tests."""
    identity = view.result.identity if view.result else None
    asked = view.inputs
    score = view.result.cases[0].score if view.result else None
    return Job(
        id=view.id,
        state=view.state,
        reason=view.reason,
        model=view.model.name,
        model_sha256=view.model.sha256,
        quantization=view.model.quantization,
        target=view.target,
        user=view.user,
        sweep_id=view.sweep_id,
        trace_id=view.trace_id,
        attempts=len(view.attempts),
        created_s=view.created_s,
        started_s=view.started_s,
        finished_s=view.finished_s,
        platform=identity and identity.platform,
        device_id=identity and identity.device_id,
        board_uid=identity and identity.board_uid,
        host=identity and identity.host,
        emulated=identity and identity.emulated,
        schema_version=view.schema_version,
        repetitions=asked and asked.repetitions,
        warmup=asked.warmup if asked else None,
        n_ctx=asked and asked.n_ctx,
        kv_type=asked and asked.kv_type,
        prompt_text=asked.cases[0].prompt_text if asked else None,
        prompt_tokens=list(asked.cases[0].prompt_tokens) if asked else None,
        tags=asked.tags if asked else None,
        source=asked.source if asked else None,
        perplexity=score.perplexity if score else None,
        perplexity_stderr=score.perplexity_stderr if score else None,
        document=view.model_dump(mode="json"),
        tests=[
            Test(
                position=position,
                test=row.test,
                n_prompt=row.n_prompt,
                n_gen=row.n_gen,
                n_depth=row.n_depth,
                avg_ts=row.avg_ts,
                stddev_ts=row.stddev_ts,
                samples_ts=list(row.samples_ts),
            )
            for position, row in enumerate(bench_rows(view))
        ],
    )
