"""Whether a model fits before anybody waits for a board: refused with the sum spelled out."""

from __future__ import annotations
