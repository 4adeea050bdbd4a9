"""Merges adjacent symbols by priority, for both kinds of tokenizer."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable


def merged(symbols: Iterable[str], rank: Callable[[str, str], float | None]) -> list[str]:
    """Merge the adjacent pair of the lowest rank, the leftmost on a tie, until no pair has a rank.

    A queue finds it in n log n; looking at all pairs each time takes seconds for 8000 letters.
    """
    parts = list(symbols)
    following = [*range(1, len(parts)), -1]
    previous = list(range(-1, len(parts) - 1))
    queue: list[tuple[float, int, int, str]] = []

    def offer(left: int, right: int) -> None:
        if left >= 0 and right >= 0:
            found = rank(parts[left], parts[right])
            if found is not None:
                heapq.heappush(queue, (found, left, right, parts[left] + parts[right]))

    for i in range(len(parts) - 1):
        offer(i, i + 1)
    while queue:
        _, left, right, text = heapq.heappop(queue)
        # an entry is stale when either side has been merged with something else since
        if following[left] != right or parts[left] + parts[right] != text:
            continue
        parts[left], parts[right] = text, ""
        following[left], following[right] = following[right], -1
        if following[left] >= 0:
            previous[following[left]] = left
        offer(previous[left], left)
        offer(left, following[left])
    return [part for part in parts if part]
