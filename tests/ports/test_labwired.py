"""labwired:// boards: what can be wrong with one is said before its process starts."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from edgeprof.shared.errors import HostFault, UsageError
from edgeprof.workers.link.device import OpenOptions, open_board

pytestmark = pytest.mark.qemu


def test_unknown_chip_lists_the_ports(options: OpenOptions) -> None:
    """A near miss is guessed."""
    with pytest.raises(UsageError, match="did you mean 'esp32c3'") as caught:
        open_board("labwired://esp32c2", options)
    assert "esp32c3" in str(caught.value.hint)


def test_missing_labwired_names_the_extra(
    options: OpenOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The package is optional."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(HostFault, match="labwired is not installed") as caught:
        open_board("labwired://esp32c3", options)
    assert "[emulators]" in str(caught.value.hint)


def test_missing_slot_is_named(options: OpenOptions, tmp_path: Path) -> None:
    """A slot file that is not there is not taken for an empty flash."""
    with pytest.raises(HostFault, match="no slot image at") as caught:
        open_board(f"labwired://esp32c3?slot={tmp_path}/none", options)
    assert caught.value.code == "no_slot"
