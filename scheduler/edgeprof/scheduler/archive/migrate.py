"""Brings an archive's tables up to date with alembic, when it is opened.

There is no alembic.ini: the migrations travel in the package, and a user never has to run a tool.
"""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Engine, text

from edgeprof.shared.errors import InfrastructureError

#: An advisory lock's number, which other programs on the PostgreSQL server are unlikely to use.
_ADVISORY_LOCK = 0x7E1E9


def to_latest(engine: Engine) -> None:
    """Upgrade to the newest schema. Processes that start together take turns."""
    from alembic import command  # noqa: PLC0415 - slow to import, and not every command needs it
    from alembic.config import Config  # noqa: PLC0415
    from alembic.util import CommandError  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:id)"), {"id": _ADVISORY_LOCK})
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            raise InfrastructureError(
                f"the results archive has a schema this version does not know: {error}",
                hint="a newer edgeprof has used it; upgrade this one, or set EDGEPROF_ARCHIVE_URL",
            ) from None
