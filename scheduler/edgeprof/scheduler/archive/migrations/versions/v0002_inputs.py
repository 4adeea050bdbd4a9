"""Adds columns for job inputs and perplexity. Fills them for older jobs from their documents."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_COLUMNS: tuple[sa.Column[Any], ...] = (
    sa.Column("schema_version", sa.Integer(), nullable=False, server_default="1"),
    sa.Column("repetitions", sa.Integer()),
    sa.Column("warmup", sa.Integer()),
    sa.Column("n_ctx", sa.Integer()),
    sa.Column("kv_type", sa.String(16)),
    sa.Column("prompt_text", sa.String()),
    sa.Column("prompt_tokens", sa.JSON()),
    sa.Column("tags", sa.JSON()),
    sa.Column("source", sa.String(64)),
    sa.Column("perplexity", sa.Double()),
    sa.Column("perplexity_stderr", sa.Double()),
)
#: How many jobs are read into memory at once. The document of a job has a few kilobytes.
_PAGE = 500


def upgrade() -> None:
    """Add the columns, and fill in what old documents hold."""
    with op.batch_alter_table("jobs") as jobs:
        for column in _COLUMNS:
            jobs.add_column(column)
    table = sa.table(
        "jobs",
        sa.column("id", sa.String),
        sa.column("document", sa.JSON),
        *(sa.column(column.name, column.type) for column in _COLUMNS),
    )
    connection, last = op.get_bind(), ""
    while True:
        page = connection.execute(
            sa.select(table.c.id, table.c.document)
            .where(table.c.id > last)
            .order_by(table.c.id)
            .limit(_PAGE)
        ).all()
        if not page:
            return
        last = page[-1].id
        for job_id, document in page:
            try:
                told = _known(document)
            except (AttributeError, IndexError, TypeError):  # no document of ours
                continue
            known = {name: value for name, value in told.items() if value is not None}
            if known:
                connection.execute(sa.update(table).where(table.c.id == job_id).values(known))


def _known(document: object) -> dict[str, object]:
    """Return values for the new columns from a schema-1 document, which has no `inputs`."""
    result = document.get("result") if isinstance(document, dict) else None
    if not isinstance(result, dict):
        return {}
    load = result.get("load") or {}
    case = (result.get("cases") or [{}])[0]
    score = case.get("score") or {}
    samples = (case.get("prefill_tokens_per_second") or {}).get("samples")
    return {
        "repetitions": len(samples) if samples else None,
        "n_ctx": load.get("n_ctx"),
        "kv_type": load.get("kv_type"),
        "perplexity": score.get("perplexity"),
    }
