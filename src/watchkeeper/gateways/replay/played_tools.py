"""Tool calls of an agent that plays a run: answered from the recording, never performed."""

from __future__ import annotations

from typing import Any

from watchkeeper.core.digest import parse
from watchkeeper.decide.catalogue import CatalogueView
from watchkeeper.decide.service import as_action
from watchkeeper.gateways.mcp.calls import answered, read_ask, unnamed
from watchkeeper.gateways.mcp.envelope import Rejected, Request
from watchkeeper.gateways.mcp.exchange import Exchange
from watchkeeper.gateways.mcp.results import (
    as_result,
    failed,
    failure,
    forwarded,
    own_result,
    pending,
    read_result,
    refusal,
)
from watchkeeper.gateways.offers import Offers
from watchkeeper.gateways.replay.playback import Asked, Found
from watchkeeper.gateways.replay.playbacks import Playbacks
from watchkeeper.gateways.replay.tape import keys_of
from watchkeeper.identity.model import Caller
from watchkeeper.store.statement import Row
from watchkeeper.tools.upstreams.model import Result
from watchkeeper.tools.upstreams.protocol import INVALID_PARAMS
from watchkeeper.wire.decisions import Answer, Ask, Narrowed

Shown = dict[str, Any]


class PlayedTools:
    """Answers tool calls as they were answered then."""

    def __init__(self, playbacks: Playbacks, view: CatalogueView, offers: Offers) -> None:
        self._playbacks = playbacks
        self._view = view
        self._offers = offers

    async def call(
        self, token: str, caller: Caller, request: Request, exchange: Exchange
    ) -> Shown | None:
        """Return the recorded result of a call; raise `Rejected` for one that is malformed."""
        ask = read_ask(request, self._offers.named)
        return await answered(self._play(token, caller, ask, request), request)

    async def follow(self, token: str, caller: Caller, request: Request) -> Shown:
        """Nothing waits in a replay, so there are no tasks."""
        raise Rejected(INVALID_PARAMS, "there is no such task: in a replay nothing waits")

    async def _play(self, token: str, caller: Caller, ask: Ask | str, request: Request) -> Shown:
        playback = self._playbacks.of(token)
        if isinstance(ask, str):
            return unnamed(ask, request)
        action = await as_action(ask)
        text = action.contents.kept(self._view.now.redaction_of(caller.agent))
        asked = Asked(
            action,
            keys_of(action.call_digest, f"{action.name} {text}"),
            parse(text),
            ask.idempotency_key,
        )
        found = await playback.find(asked)
        if found.row is None or found.how == "refused":
            return own_result(_not_recorded(ask.name, found), modern=request.modern)
        answer = _answer(found.row, found.narrowed)
        if found.how == "changed":
            result = as_result(dict(playback.result))
        elif answer.verdict == "permit":
            result = _result(found.row, found)
        else:
            said = pending(answer) if answer.verdict == "hold" else refusal(answer)
            return own_result(said, modern=request.modern)
        return forwarded(result, answer, modern=request.modern)


def _answer(row: Row, narrowed: Narrowed | None) -> Answer:
    return Answer(
        decision=row.decision,
        verdict=row.verdict,
        rule=row.rule,
        reason=row.reason,
        digest=row.digest,
        request=row.request,
        narrowed=narrowed,
    )


def _result(row: Row, found: Found) -> Result:
    if found.output is not None and found.output.text is not None:
        return read_result(found.output.text.encode())
    return as_result(
        failed(row.name, row.error or "", row.decision, reached=row.outcome == "unknown")
    )


def _not_recorded(tool: str, found: Found) -> Shown:
    text = (
        f"NOT RECORDED: this is a replay, and the recording holds no answer to this call of {tool}"
        f" ({found.why}). Nothing has been done, and nothing will be. Do not send it again."
    )
    return failure(text, None, status="refused", retryable=False, code="not_recorded")
