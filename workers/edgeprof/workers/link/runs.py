"""Running and scoring on a board: stage the prompt, follow progress, read the measurement back.

The measurement comes from RESULT, which can be asked for again. TOKEN events show the progress, and
are only compared with it.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import cast

from edgeprof.shared.errors import BoardFault, LinkFault, ModelError
from edgeprof.workers.board.protocols import (
    MAX_NATS,
    Cancelled,
    ProfileReport,
    RunReport,
    ScoreReport,
)
from edgeprof.workers.link.client import POLL_S, LinkClient, Received
from edgeprof.workers.link.messages.operations import RunState
from edgeprof.workers.link.messages.profile import ProfileRequest
from edgeprof.workers.link.messages.runs import (
    DoneEvent,
    Entry,
    PromptRequest,
    ResultReply,
    ResultRequest,
    RunRequest,
    ScoreRequest,
    TokenEvent,
)
from edgeprof.workers.link.messages.wire_types import U32_MAX, malformed
from edgeprof.workers.link.profiles import read_profile

#: After so much silence RESULT is asked for, with 1, 2 and 4 times as long to wait for it. A board
#: serves the link between tokens, so this bounds how long one token may take (14 s), and how soon a
#: hung board is found.
SILENCE_S = 2.0
SILENCE_TRIES = 3
RESULT_PAGE = 64
#: PROMPT's bytes beside the tokens, and the most that a token takes.
_PROMPT_HEAD_BYTES, _TOKEN_BYTES = 13, 5


def _new_id() -> int:
    return random.randint(1, U32_MAX)  # noqa: S311 - a name, not a secret


class Runs:
    """RUN and SCORE over one open link."""

    def __init__(self, client: LinkClient, name: str) -> None:
        self._client = client
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
        run_id = _new_id()
        request = RunRequest(run_id=run_id, n_gen=n_gen, epoch=epoch)
        self._stage(prompt_tokens)
        return self._follow_run(
            run_id,
            n_gen,
            lambda on_event: self._client.request(request, on_event=on_event),
            on_token,
            should_stop,
        )

    def profile(
        self,
        prompt_tokens: Sequence[int],
        n_gen: int,
        *,
        epoch: int,
        on_token: Callable[[int, int], None],
        should_stop: Callable[[], bool],
    ) -> ProfileReport:
        """Run with the timer read between operators (see Board.profile).

        A board without room for the layers counts by operator alone.
        """
        run_id = _new_id()
        by_layer = True

        def start(on_event: Callable[[Received], None]) -> None:
            nonlocal by_layer
            request = ProfileRequest(run_id=run_id, n_gen=n_gen, epoch=epoch, by_layer=True)
            try:
                self._client.request(request, on_event=on_event)
            except ModelError as error:
                if error.code != "no_memory":
                    raise
                by_layer = False
                self._client.request(replace(request, by_layer=False), on_event=on_event)

        self._stage(prompt_tokens)
        run = self._follow_run(run_id, n_gen, start, on_token, should_stop)
        return ProfileReport(run, read_profile(self._client, run_id, by_layer=by_layer))

    def _follow_run(
        self,
        run_id: int,
        n_gen: int,
        start: Callable[[Callable[[Received], None]], object],
        on_token: Callable[[int, int], None],
        should_stop: Callable[[], bool],
    ) -> RunReport:
        """Start a run, follow it to its end, and read back what was measured."""
        sent = time.monotonic()
        first_token: list[float] = []
        streamed: dict[int, int] = {}

        def on_event(received: Received) -> None:
            event = received.event(TokenEvent)
            if event is not None and event.run_id == run_id:
                if event.index >= n_gen:
                    raise malformed("token-event.index", f"is out of range: {event.index}")
                if not first_token:
                    first_token.append(time.monotonic())
                streamed[event.index] = event.token
                on_token(event.index, event.token)

        start(on_event)
        self._follow(run_id, on_event, should_stop)
        head, entries = self._read_entries(run_id, n_gen)
        done = time.monotonic()
        if not all(isinstance(us, int) for _, us in entries):
            raise LinkFault(f"{self._name}: malformed time of a token", code="bad_reply")
        tokens = tuple(token for token, _ in entries)
        if any(tokens[index] != token for index, token in streamed.items()):
            raise BoardFault(
                f"{self._name}: streamed tokens differ from the result", code="inconsistent"
            )
        return RunReport(
            tokens=tokens,
            prefill_us=head.prefill_us,
            step_us=tuple(cast("int", us) for _, us in entries[1:]),
            idle_us=head.idle_us,
            start_us=head.start_us,
            end_us=head.end_us,
            host_sent_s=sent,
            host_first_token_s=first_token[0] if first_token else None,
            host_done_s=done,
        )

    def score(
        self, tokens: Sequence[int], *, epoch: int, should_stop: Callable[[], bool]
    ) -> ScoreReport:
        """Teacher-forced log-likelihood and top-1 (see Board.score)."""
        self._stage(tokens)
        run_id = _new_id()
        self._client.request(ScoreRequest(run_id=run_id, epoch=epoch))
        self._follow(run_id, lambda _: None, should_stop)
        head, entries = self._read_entries(run_id, len(tokens) - 1)
        # The host, which computes the same, has refused models with a mean below -MAX_NATS.
        least = -MAX_NATS * len(entries)
        if not all(least <= value <= MAX_NATS for _, value in entries):  # nor NaN
            raise LinkFault(f"{self._name}: malformed log-likelihood", code="bad_reply")
        return ScoreReport(
            top1=tuple(token for token, _ in entries),
            log_likelihood_nats=tuple(float(value) for _, value in entries),
            start_us=head.start_us,
            end_us=head.end_us,
        )

    def _stage(self, tokens: Sequence[int]) -> None:
        most = (self._client.max_payload_bytes - _PROMPT_HEAD_BYTES) // _TOKEN_BYTES
        for offset in range(0, len(tokens), most):
            page = tuple(tokens[offset : offset + most])
            reply = self._client.request(PromptRequest(offset=offset, tokens=page))
            if reply.n_staged != offset + len(page):
                raise BoardFault(f"{self._name}: the board lost prompt tokens", code="inconsistent")

    def _follow(
        self,
        run_id: int,
        on_event: Callable[[Received], None],
        should_stop: Callable[[], bool],
    ) -> None:
        """Watch a run until it is done; what is measured is read later, by RESULT."""
        heard, unanswered = time.monotonic(), 0
        while True:
            if should_stop():
                raise Cancelled  # LinkBoard ends the run
            received = self._client.receive(POLL_S)
            if received is not None:
                heard, unanswered = time.monotonic(), 0
                on_event(received)
                done = received.event(DoneEvent)
                if done is not None and done.run_id == run_id:
                    return
            elif time.monotonic() - heard > SILENCE_S:
                reply = self._ask_how_far(run_id, on_event, SILENCE_S * 2**unanswered)
                if reply is not None:
                    heard, unanswered = time.monotonic(), 0
                    if reply.state != RunState.RUNNING:
                        return
                    continue
                unanswered += 1
                if unanswered >= SILENCE_TRIES:
                    raise BoardFault(
                        f"{self._name}: the board has been silent for"
                        f" {time.monotonic() - heard:.0f} s in the middle of a run",
                        code="hung",
                    )

    def _ask_how_far(
        self, run_id: int, on_event: Callable[[Received], None], timeout_s: float
    ) -> ResultReply | None:
        """Ask once for the state of the run; None when the board does not answer."""
        request = ResultRequest(run_id=run_id, first=0, count=0)
        try:
            reply = self._client.request(request, on_event=on_event, tries=1, timeout_s=timeout_s)
        except BoardFault as fault:
            if fault.code != "no_run":
                raise
            raise BoardFault(
                f"{self._name}: the board forgot the run: it rebooted", code="rebooted"
            ) from fault
        except LinkFault as fault:
            if fault.code != "silence":
                raise
            return None
        self._client.check_boot(reply.boot_id)
        self._known_state(reply)
        return reply

    def _known_state(self, reply: ResultReply) -> RunState:
        try:
            return RunState(reply.state)
        except ValueError:
            raise malformed("result-reply.state", f"is out of range: {reply.state}") from None

    def _read_entries(self, run_id: int, expected: int) -> tuple[ResultReply, list[Entry]]:
        entries: list[Entry] = []
        while True:
            page_size = min(RESULT_PAGE, expected)
            reply = self._client.request(
                ResultRequest(run_id=run_id, first=len(entries), count=page_size)
            )
            self._client.check_boot(reply.boot_id)
            state = self._known_state(reply)
            if state is not RunState.DONE:
                raise BoardFault(
                    f"{self._name}: the run ended as {state.name.lower()}", code="run_failed"
                )
            entries += reply.entries
            if len(entries) == expected:
                return reply, entries
            if not reply.entries or len(entries) > expected:
                raise BoardFault(
                    f"{self._name}: {len(entries)} result entries, expected {expected}",
                    code="inconsistent",
                )
