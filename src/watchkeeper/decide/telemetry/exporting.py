"""Exports the plane's spans over OTLP, behind everything else: from what is stored, in
batches, from where it stopped. What cannot be sent now waits in the ledger.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from importlib import import_module
from typing import Any
from urllib.parse import unquote

from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.core.errors import Conflict, Unavailable, WatchkeeperError
from watchkeeper.core.text import make_safe
from watchkeeper.decide.notices.webhooks import read_retry_after
from watchkeeper.decide.telemetry import sent
from watchkeeper.decide.telemetry.carrying import ANSWER_SECONDS, Target, carry
from watchkeeper.decide.telemetry.sent import Counts, Next
from watchkeeper.store.store import Store
from watchkeeper.tools.upstreams.egress import Egress
from watchkeeper.tools.upstreams.model import UpstreamFailure
from watchkeeper.traces.model import Span

EVENTS_AT_ONCE = 128
BATCHES_AT_ONCE = 20
"""Before whoever else is due has a turn."""
LONGEST_PAUSE_SECONDS = 300
_SPANS_AT_ONCE = 16
_PAUSE_SECONDS = 0.01
_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}")
_OURS = frozenset({"host", "content-length", "content-type", "content-encoding", "connection",
                   "transfer-encoding", "te", "upgrade"})  # fmt: skip
_MESSAGES = "watchkeeper.traces.exporting"


class Exporter:
    """Sends in one plane; of several, one does."""

    def __init__(
        self,
        store: Store,
        egress: Egress,
        read_secret: Callable[[str], Awaitable[str]],
        target: Target | None,
        resource: Mapping[str, str],
        name: str,
    ) -> None:
        """`name` is of this plane alone, among those that share a store."""
        self._store = store
        self._egress = egress
        self._read_secret = read_secret
        self.target = target
        self._resource = resource
        self._name = name
        self.failures = 0
        """In a row."""
        self.problem = ""
        """Why the last batch was not taken, or not all of it."""
        self.failing_since: int | None = None
        self._again_at = 0
        self._messages: Any = None
        self._working = asyncio.Lock()

    async def start(self) -> None:
        """Export what happens from now on, or go on where it stopped."""
        if self.target is not None:
            head = self._store.head
            await self._store.write(lambda tx: sent.begin(tx, head))

    async def run_due(self) -> None:
        """Send what there is, unless the receiver is to be left alone for now."""
        if self.target is None or self._store.clock.now() < self._again_at:
            return
        async with self._working:
            after, told = await self._store.read(sent.how_far)
            if after >= told or not await self._store.write(lambda tx: sent.hold(tx, self._name)):
                return
            if told - after > sent.MOST_BEHIND:
                await self._store.write(sent.pass_over)
            for _ in range(BATCHES_AT_ONCE):
                ahead = await self._store.read(lambda tx: sent.look_ahead(tx, EVENTS_AT_ONCE))
                if not ahead.events or not await self._pass(ahead):
                    return
                await asyncio.sleep(_PAUSE_SECONDS)

    async def _pass(self, ahead: Next) -> bool:
        """Send what ended with some events; tell whether to go on."""
        # the messages are loaded with the first batch
        self._messages = self._messages or await asyncio.to_thread(import_module, _MESSAGES)
        spans = self._messages.ended_in(ahead.events, ahead.spans)
        counts = await self._send(spans) if spans else Counts()
        if counts is None:
            return False
        to = ahead.events[-1].sequence
        try:
            await self._store.write(lambda tx: sent.move(tx, ahead.after, to, counts))
        except Conflict as error:
            if error.code != "followed_elsewhere":
                raise
            return False
        return True

    async def _send(self, spans: Sequence[Span]) -> Counts | None:
        """Send a batch; None: it is to be sent again."""
        assert self.target is not None, "nothing is sent without a target"
        request = await self._encoded(spans)
        try:
            answer = await carry(self._egress, self.target, request, await self._headers())
        except (UpstreamFailure, WatchkeeperError) as failure:
            self._failed(failure.message)
            return None
        except TimeoutError:
            self._failed(f"no answer in {ANSWER_SECONDS:g} s")
            return None
        if answer.never:
            self._taken(f"it refuses a batch for good: {answer.status}")
            return Counts(lost=len(spans))
        if not answer.taken:
            self._failed(f"it answers {answer.status}", answer.after)
            return None
        refused, why = self._messages.read_answer(answer.body)
        refused = max(0, min(refused, len(spans)))
        self._taken(f"it did not take {refused} spans: {why}" if refused else "")
        return Counts(sent=len(spans) - refused, refused=refused)

    async def _encoded(self, spans: Sequence[Span]) -> bytes:
        request, scope = self._messages.request_of(self._resource)
        for place in range(0, len(spans), _SPANS_AT_ONCE):
            some = spans[place : place + _SPANS_AT_ONCE]
            scope.spans.extend(self._messages.message_of(span) for span in some)
            await asyncio.sleep(0)
        return bytes(request.SerializeToString())

    async def _headers(self) -> dict[str, str]:
        assert self.target is not None, "nothing is sent without a target"
        if not self.target.headers:
            return {}
        return read_headers(await self._read_secret(self.target.headers))

    def _taken(self, problem: str) -> None:
        self.failures, self.failing_since = 0, None
        self.problem = make_safe(problem, limit=300)

    def _failed(self, problem: str, after: str | None = None) -> None:
        now = self._store.clock.now()
        self.failures += 1
        self.failing_since = self.failing_since or now
        self.problem = make_safe(problem, limit=300)
        pause = min(2 ** min(self.failures, 9), LONGEST_PAUSE_SECONDS) * MICROSECONDS
        asked = min(read_retry_after(after, now) or 0, LONGEST_PAUSE_SECONDS)
        self._again_at = now + max(pause, asked * MICROSECONDS)


def read_headers(text: str) -> dict[str, str]:
    """Read headers as `OTEL_EXPORTER_OTLP_HEADERS` has them: `NAME=VALUE,…`, values escaped.

    Raises `Unavailable`, with nothing of the text in it.
    """
    found = {}
    for part in text.split(","):
        name, equals, value = part.partition("=")
        name, value = name.strip().lower(), unquote(value.strip())
        fit = _NAME.fullmatch(name) and name not in _OURS and value.isprintable()
        if not equals or not fit or not value.isascii():
            raise Unavailable(
                "the secret with its headers is not of the form NAME=VALUE,…",
                code="credential_missing",
                remedy="put it as for OTEL_EXPORTER_OTLP_HEADERS, e.g. `x-api-key=…`",
            )
        found[name] = value
    return found
