"""Adds baselines: jobs that were saved under a name."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the two tables."""
    op.create_table(
        "baselines",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("selection", sa.String(), nullable=False),
        sa.Column("user", sa.String(64), nullable=False),
        sa.Column("saved_s", sa.Double(), nullable=False),
    )
    op.create_table(
        "baseline_jobs",
        sa.Column(
            "baseline",
            sa.String(64),
            sa.ForeignKey("baselines.name", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column(
            "job_id",
            sa.String(64),
            sa.ForeignKey("jobs.id", ondelete="CASCADE"),
            primary_key=True,
        ),
    )
    op.create_index("ix_baseline_jobs_job_id", "baseline_jobs", ["job_id"])
