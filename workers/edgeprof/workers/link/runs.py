"""Running and scoring on a board: stage the prompt, follow progress, read the measurement back.

What is measured comes from RESULT, which can be asked again; TOKEN events are progress, and are only compared.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from typing import cast

from edgeprof.shared.errors import BoardFault, LinkFault
from edgeprof.workers.board.board import MAX_NATS, Cancelled, RunReport, ScoreReport
from edgeprof.workers.link.client import POLL_S, LinkSession, Message
from edgeprof.workers.link.hello import U32
from edgeprof.workers.link.messages import Event, Op, Payload, RunState, get_list, get_uint

#: Silence after which RESULT is asked for, waiting 1, 2 and 4 times as long for it: the link is served between
#: tokens, so this bounds how long one token may take (14 s), as much as how soon a hung board is found.
SILENCE_S = 2.0
SILENCE_TRIES = 3
RESULT_PAGE = 64
PROMPT_PAGE = 128


class Runs:
    """RUN and SCORE over one session."""

    def __init__(self, session: LinkSession, name: str) -> None:
        self._session = session
        self._name = name

    def run(
        self,
        prompt_tokens: Sequence[int],
        n_gen: int,
        *,
        epoch: int,
        on_token: Callable[[int, int], None],
        should_stop: Callable[[], bool],
    ) -> RunReport:
        """Prefill, decode greedily, and read the measurement back (see Board.run)."""
        self._stage(prompt_tokens)
        run_id = random.randint(1, U32)  # noqa: S311 - a name, not a secret
        sent = time.monotonic()
        first_token: list[float] = []
        streamed: dict[int, int] = {}

        def on_event(message: Message) -> None:
            payload = message.payload
            if payload.get(0) == Event.TOKEN and payload.get(1) == run_id:
                index = get_uint(payload, 2, "token index", n_gen - 1)
                token = get_uint(payload, 3, "token", U32)
                if not first_token:
                    first_token.append(time.monotonic())
                streamed[index] = token
                on_token(index, token)

        self._session.request(Op.RUN, {1: run_id, 2: n_gen, 3: epoch}, on_event=on_event)
        self._follow(run_id, on_event, should_stop)
        head, entries = self._read_entries(run_id, n_gen)
        done = time.monotonic()
        if not all(isinstance(us, int) and 0 <= us <= U32 for _, us in entries):
            raise LinkFault(f"{self._name}: malformed time of a token", code="bad_reply")
        tokens = tuple(token for token, _ in entries)
        if any(tokens[index] != token for index, token in streamed.items()):
            raise BoardFault(
                f"{self._name}: streamed tokens differ from the result", code="inconsistent"
            )
        return RunReport(
            tokens=tokens,
            prefill_us=get_uint(head, 5, "prefill time"),
            step_us=tuple(cast("int", us) for _, us in entries[1:]),
            idle_us=get_uint(head, 9, "idle time") if 9 in head else None,
            start_us=get_uint(head, 4, "start time"),
            end_us=get_uint(head, 7, "end time"),
            host_sent_s=sent,
            host_first_token_s=first_token[0] if first_token else None,
            host_done_s=done,
        )

    def score(
        self, tokens: Sequence[int], *, epoch: int, should_stop: Callable[[], bool]
    ) -> ScoreReport:
        """Teacher-forced log-likelihood and top-1 (see Board.score)."""
        self._stage(tokens)
        run_id = random.randint(1, U32)  # noqa: S311
        self._session.request(Op.SCORE, {1: run_id, 2: epoch})
        self._follow(run_id, lambda _: None, should_stop)
        head, entries = self._read_entries(run_id, len(tokens) - 1)
        # The host, which computes the same, has refused models with a mean below -MAX_NATS.
        least = -MAX_NATS * len(entries)
        if not all(least <= value <= MAX_NATS for _, value in entries):  # nor NaN
            raise LinkFault(f"{self._name}: malformed log-likelihood", code="bad_reply")
        return ScoreReport(
            top1=tuple(token for token, _ in entries),
            log_likelihood_nats=tuple(float(value) for _, value in entries),
            start_us=get_uint(head, 4, "start time"),
            end_us=get_uint(head, 7, "end time"),
        )

    def _stage(self, tokens: Sequence[int]) -> None:
        for offset in range(0, len(tokens), PROMPT_PAGE):
            page = list(tokens[offset : offset + PROMPT_PAGE])
            reply = self._session.request(Op.PROMPT, {1: offset, 2: page})
            if get_uint(reply, 1, "number of staged tokens", U32) != offset + len(page):
                raise BoardFault(f"{self._name}: the board lost prompt tokens", code="inconsistent")

    def _follow(
        self,
        run_id: int,
        on_event: Callable[[Message], None],
        should_stop: Callable[[], bool],
    ) -> None:
        """Watch a run until it is done; what is measured is read later, by RESULT."""
        heard, unanswered = time.monotonic(), 0
        while True:
            if should_stop():
                raise Cancelled  # LinkBoard ends the run
            message = self._session.receive(POLL_S)
            if message is not None:
                heard, unanswered = time.monotonic(), 0
                on_event(message)
                if message.payload.get(0) == Event.DONE and message.payload.get(1) == run_id:
                    return
            elif time.monotonic() - heard > SILENCE_S:
                try:
                    head = self._session.request(
                        Op.RESULT,
                        {1: run_id, 2: 0, 3: 0},
                        on_event=on_event,
                        tries=1,
                        timeout_s=SILENCE_S * 2**unanswered,
                    )
                except BoardFault as fault:
                    if fault.code != "no_run":
                        raise
                    raise BoardFault(
                        f"{self._name}: the board forgot the run: it rebooted", code="rebooted"
                    ) from fault
                except LinkFault as fault:
                    if fault.code != "silence":
                        raise
                    unanswered += 1
                    if unanswered >= SILENCE_TRIES:
                        raise BoardFault(
                            f"{self._name}: the board has been silent for"
                            f" {time.monotonic() - heard:.0f} s in the middle of a run",
                            code="hung",
                        ) from fault
                else:
                    self._session.check_boot(head, 3)
                    heard, unanswered = time.monotonic(), 0
                    if get_uint(head, 1, "run state", 3) != RunState.RUNNING:
                        return

    def _read_entries(
        self, run_id: int, expected: int
    ) -> tuple[Payload, list[tuple[int, int | float]]]:
        entries: list[tuple[int, int | float]] = []
        while True:
            head = self._session.request(
                Op.RESULT, {1: run_id, 2: len(entries), 3: min(RESULT_PAGE, expected)}
            )
            self._session.check_boot(head, 3)
            state = get_uint(head, 1, "run state", 3)
            if state != RunState.DONE:
                raise BoardFault(
                    f"{self._name}: the run ended as {RunState(state).name.lower()}",
                    code="run_failed",
                )
            page = get_list(head, 6, "result entries", RESULT_PAGE)
            for item in page:
                if not isinstance(item, list) or len(item) != 2:
                    raise LinkFault(f"{self._name}: malformed result entry", code="bad_reply")
                token, value = item
                if not isinstance(token, int) or not isinstance(value, int | float) or token < 0:
                    raise LinkFault(f"{self._name}: malformed result entry", code="bad_reply")
                entries.append((token, value))
            if len(entries) == expected:
                return head, entries
            if not page or len(entries) > expected:
                raise BoardFault(
                    f"{self._name}: {len(entries)} result entries, expected {expected}",
                    code="inconsistent",
                )
