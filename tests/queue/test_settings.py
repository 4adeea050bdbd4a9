"""Settings: one that is wrong is named, and a child process gets all of them."""

from __future__ import annotations

import pytest

from edgeprof.shared.errors import UsageError
from edgeprof.shared.settings import Settings, load_settings


def test_bad_setting_names_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error of a bad setting names the variable that the user typed."""
    monkeypatch.setenv("EDGEPROF_LEASE_S", "soon")
    with pytest.raises(UsageError, match="EDGEPROF_LEASE_S"):
        load_settings()


def test_settings_reach_a_child_unchanged(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """as_environment() is read back as the same settings."""
    for name, value in settings.as_environment().items():
        monkeypatch.setenv(name, value)

    assert load_settings() == settings
