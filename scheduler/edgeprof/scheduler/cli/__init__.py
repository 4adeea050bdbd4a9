"""The command line: `edgeprof`. One module a command; this one only decides how it ends."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence

from edgeprof.scheduler.cli import exits
from edgeprof.shared.errors import EdgeprofError

log = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and exit. The only place where an error becomes text and an exit code."""
    from edgeprof.scheduler.cli.app import app  # noqa: PLC0415 - `import main` stays cheap

    logging.basicConfig(level=logging.WARNING, format="warning: %(message)s", stream=sys.stderr)
    try:
        app(args=arguments, prog_name="edgeprof")
    except EdgeprofError as error:
        sys.exit(exits.report(error))
    except KeyboardInterrupt:
        sys.exit(exits.INTERRUPTED)
    except Exception as error:  # noqa: BLE001 - a user gets a line, never a traceback
        sys.exit(exits.report_bug(error))
