"""What everybody passes: help and version cost no more than they need, and say what commands
say."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from importlib.metadata import entry_points

import pytest

from edgeprof.cli.commands import COMMANDS, GROUP

#: Each takes longer to import than all that help needs.
HEAVY = ("celery", "kombu", "numpy", "opentelemetry", "pydantic", "redis", "rich", "sqlalchemy")


@pytest.mark.parametrize("option", ["--version", "--help"])
def test_help_and_version_import_nothing_heavy(option: str) -> None:
    """--help and --version start fast: they load no heavy module."""
    program = (
        "import sys\nfrom edgeprof.cli import main\n"
        "try:\n    main([sys.argv[1]])\nexcept SystemExit:\n    pass\n"
        f"print(*({HEAVY!r} & sys.modules.keys()))"
    ).replace(repr(HEAVY), repr(set(HEAVY)))
    done = subprocess.run(
        [sys.executable, "-c", program, option], capture_output=True, text=True, check=True
    )

    assert done.stdout.splitlines()[-1] == ""


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_of_commands_says_what_each_says(name: str) -> None:
    """The list of commands has the first sentence of each command's help, which it does not
    import."""
    where, says = COMMANDS[name]
    if where:
        module, _, attribute = where.partition(":")
        made = getattr(import_module(f"edgeprof.cli.{module}"), attribute)
    else:
        (point,) = entry_points(group=GROUP, name=name)
        made = point.load()
    text = made.__doc__ if callable(made) and made.__doc__ and where[-4:] != ":app" else None
    help_text = text or made.info.help

    assert help_text.split("\n\n")[0].strip().replace("\n    ", " ").startswith(says)
