"""Lets flash programs use a pty: it has no reset lines (ENOTTY) and no parity (EINVAL)."""

from typing import Any

import serial


def _nothing(_port: Any) -> None:
    """Do nothing."""


def _no_parity(port: Any, _parity: str) -> None:
    """Take any parity for none."""
    port._parity = "N"


_serial: Any = serial.Serial
_serial._update_rts_state = _nothing
_serial._update_dtr_state = _nothing
_serial.parity = property(lambda _port: "N", _no_parity)
