"""Finished jobs, and their tests in llama-bench's terms."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create both tables."""
    op.create_table(
        "jobs",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("model", sa.String(64), nullable=False),
        sa.Column("model_sha256", sa.String(64), nullable=False),
        sa.Column("quantization", sa.String(16), nullable=False),
        sa.Column("target", sa.String(64), nullable=False),
        sa.Column("user", sa.String(64), nullable=False),
        sa.Column("sweep_id", sa.String(64), index=True),
        sa.Column("trace_id", sa.String(32)),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("created_s", sa.Double(), nullable=False),
        sa.Column("started_s", sa.Double()),
        sa.Column("finished_s", sa.Double(), index=True),
        sa.Column("platform", sa.String(64), index=True),
        sa.Column("device_id", sa.String(64)),
        sa.Column("board_uid", sa.String(64)),
        sa.Column("host", sa.String(64)),
        sa.Column("emulated", sa.Boolean()),
        sa.Column("document", sa.JSON(), nullable=False),
    )
    op.create_index("ix_jobs_model_quantization", "jobs", ["model", "quantization"])
    op.create_table(
        "tests",
        sa.Column(
            "job_id", sa.String(64), sa.ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True
        ),
        sa.Column("position", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("test", sa.String(16), nullable=False),
        sa.Column("n_prompt", sa.Integer(), nullable=False),
        sa.Column("n_gen", sa.Integer(), nullable=False),
        sa.Column("n_depth", sa.Integer(), nullable=False),
        sa.Column("avg_ts", sa.Double(), nullable=False),
        sa.Column("stddev_ts", sa.Double(), nullable=False),
        sa.Column("samples_ts", sa.JSON(), nullable=False),
    )
