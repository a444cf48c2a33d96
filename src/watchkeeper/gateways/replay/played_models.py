"""Model calls of an agent that plays a run: answered from the recording, or live where asked."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from watchkeeper.core.digest import parse
from watchkeeper.core.errors import Invalid
from watchkeeper.decide.catalogue import CatalogueView
from watchkeeper.decide.service import as_action
from watchkeeper.gateways.http import answer, header_value
from watchkeeper.gateways.model.calls import AskedCall, ModelCalls
from watchkeeper.gateways.model.errors import (
    DECISION_HEADER,
    ModelError,
    bad_request,
    decision_headers,
    refused,
)
from watchkeeper.gateways.recording import kept_body
from watchkeeper.gateways.replay.playback import Asked, Found, Playback
from watchkeeper.gateways.replay.playbacks import Playbacks
from watchkeeper.gateways.replay.streams import recorded_answer
from watchkeeper.gateways.replay.tape import Keys, keys_of, known_by
from watchkeeper.store.statement import Row
from watchkeeper.tools.inspection.model import TooLarge
from watchkeeper.tools.inspection.rules import Classes, unrecorded
from watchkeeper.wire.decisions import Answer

REPLAY_HEADER = b"x-watchkeeper-replay"
_OK = 200
_UNKEPT = {"cache-control": "no-store"}
"""No answer of before is given for a live call, and none is kept for others."""


class PlayedModels:
    """Answers model calls as they were answered then."""

    def __init__(self, playbacks: Playbacks, view: CatalogueView, live: ModelCalls) -> None:
        self._playbacks = playbacks
        self._view = view
        self._live = live

    async def serve(self, asked: AskedCall) -> None:
        """Answer one call; raise `ModelError` or `WatchkeeperError` where nothing was sent."""
        playback = self._playbacks.of(asked.token)
        action = await as_action(await self._live.ask(asked))
        unwanted = unrecorded(self._view.now.redaction_of(asked.caller.agent))
        keys, said = await asyncio.to_thread(_read, action.call_digest, asked.body, unwanted)
        hosted = bool(asked.call.hosted_tools)
        found = await playback.find(Asked(action, keys, said, hosted=hosted))
        if found.how == "live":
            await self._send_on(asked, playback, found.number)
            return
        row = found.row
        if row is None or found.how == "refused":
            raise _not_recorded(action.name, found.why)
        if row.verdict != "permit":
            raise _refused(row)
        if found.output is None or found.output.text is None or row.outcome == "failed":
            raise _failed(row)
        counts = _wants_counts(said)
        body, kind = recorded_answer(asked.dialect, row, found.output, counts=counts)
        headers = [*decision_headers(row.decision), _marked(found)]
        await answer(asked.send, _OK, body, headers, kind)

    async def _send_on(self, asked: AskedCall, playback: Playback, number: int) -> None:
        """Have a call go the way of any other, in the replay's run."""

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                named = dict(message["headers"]).get(DECISION_HEADER)
                if named is not None:
                    playback.went_live(number, named.decode("latin-1"))
            await asked.send(message)

        headers = {**asked.headers, **_UNKEPT}
        live = replace(asked, token=playback.token, headers=headers, send=send)
        await self._live.serve(live)


def _read(call: str, body: bytes, unwanted: Classes) -> tuple[Keys, Any]:
    """Return what a call is known by, and what would be kept of it."""
    try:
        text = kept_body(body, unwanted)
    except (Invalid, TooLarge, ValueError, RecursionError):
        return Keys(call, None), None
    kept, told = known_by(text)
    return keys_of(call, kept, told), parse(text)


def _wants_counts(said: Any) -> bool:
    options = said.get("stream_options") if isinstance(said, Mapping) else None
    return isinstance(options, Mapping) and options.get("include_usage") is True


def _marked(found: Found) -> tuple[bytes, bytes]:
    return REPLAY_HEADER, header_value(found.how)


def _refused(row: Row) -> ModelError:
    return refused(
        Answer(
            decision=row.decision,
            verdict=row.verdict,
            rule=row.rule,
            reason=row.reason,
            digest=row.digest,
            request=row.request,
        )
    )


def _failed(row: Row) -> ModelError:
    why = row.error or "nobody knows how it ended"
    return ModelError(502, "watchkeeper_provider", "provider_unavailable", why)


def _not_recorded(model: str, why: str | None) -> ModelError:
    return bad_request(
        404,
        "not_recorded",
        f"NOT RECORDED: this is a replay, and the recording holds no answer to this call of "
        f"{model} ({why}). Nothing was sent.",
    )
