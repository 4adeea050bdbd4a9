"""The order of measured jobs in a table."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from math import inf

from edgeprof.shared.types.result import JobView


class Order(StrEnum):
    """By what jobs are ordered; a job without that number comes last."""

    TIME = "time"
    DECODE = "decode"
    PREFILL = "prefill"
    TTFT = "ttft"
    PERPLEXITY = "perplexity"
    SIZE = "size"


def ordered(views: Sequence[JobView], order: Order) -> list[JobView]:
    """Return jobs in this order; they come newest first, and stay so where all else is equal."""
    if order is Order.TIME:
        return list(views)
    return sorted(views, key=lambda view: _rank(view, order))


def _rank(view: JobView, order: Order) -> float:
    if order is Order.SIZE:
        return view.model.size_bytes
    if view.result is None:
        return inf
    case = view.result.cases[0]
    if order is Order.PREFILL:
        return -case.prefill_tokens_per_second.mean
    if order is Order.TTFT:
        return case.ttft_s.mean
    if order is Order.PERPLEXITY:
        return inf if case.score is None else case.score.perplexity
    decode = case.decode_tokens_per_second
    return inf if decode is None else -decode.mean
