"""``POST /hooks/TOOL``: a coding agent's hook, answered in that tool's own shape.

A hook that gets no answer lets the tool run, so this answers 200 with a denial wherever it can
answer at all. What stands between (the plane is down, the body too large) only the command
`watchkeeper hook` turns into a refusal: with `form=command` the answer says in
`watchkeeper-exit` with which code it is to end, and the body is what it prints.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from watchkeeper.core import ids
from watchkeeper.core.digest import canonical, parse
from watchkeeper.core.errors import Invalid, NotFound, WatchkeeperError
from watchkeeper.core.tracing import TRACEPARENT, read_traceparent
from watchkeeper.decide.catalogue import CatalogueView
from watchkeeper.decide.held.holding import decide_and_hold
from watchkeeper.decide.runs.prompts import prompt_key, record_prompt
from watchkeeper.decide.runs.sessions import call_key, under_way
from watchkeeper.decide.service import Decider, as_action
from watchkeeper.gateways.hooks.agents import AGENTS
from watchkeeper.gateways.hooks.model import CodingAgent, Event, Said
from watchkeeper.gateways.hooks.sessions import Session, Sessions
from watchkeeper.gateways.hooks.words import decided, refused
from watchkeeper.gateways.http import (
    CallerGone,
    CallerWatch,
    answer,
    bearer,
    is_own_origin,
    read_body,
    read_headers,
)
from watchkeeper.gateways.offers import Offers
from watchkeeper.gateways.recording import Recording
from watchkeeper.gateways.tracing import passed_on
from watchkeeper.identity.runs import facts_of
from watchkeeper.wire.decisions import Answer, Ask, Outcome

log = logging.getLogger(__name__)

LARGEST_BODY = 4 * 1024 * 1024
LONGEST_PATIENCE = 3600
_EXIT = b"watchkeeper-exit"
_NAME = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_AT_ONCE = 64 * 1024
"""Bytes that are parsed on the event loop; more are parsed beside it."""
_KNOWN = frozenset({"form", "patience", "gateway", "unattended", "session"})


class HookEndpoint:
    """The ASGI app of the hooks gateway."""

    def __init__(
        self, decider: Decider, view: CatalogueView, offers: Offers, recording: Recording
    ) -> None:
        self._decider = decider
        self._view = view
        self._sessions = Sessions(decider, view)
        self._offers = offers
        self._recording = recording

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one HTTP request."""
        headers = read_headers(scope)
        name = scope["path"].removeprefix("/hooks").strip("/")
        if scope["method"] != "POST" or not is_own_origin(headers):
            await answer(send, 405 if scope["method"] != "POST" else 403)
            return
        try:
            if name in AGENTS:
                await self._serve(AGENTS[name], scope, receive, send, headers)
            elif name == "token":
                await self._give_token(scope, send, headers)
            elif name == "resume":
                await self._tell(scope, send, headers)
            else:
                await answer(send, 404)
        except CallerGone:
            return
        except WatchkeeperError as error:
            await _print(send, 2, refused(error).text)

    async def _serve(
        self, agent: CodingAgent, scope: Any, receive: Any, send: Any, headers: dict[str, str]
    ) -> None:
        event: Event | None = None
        sent: Any = None
        try:
            options, token = _options(scope), bearer(headers)
            if self._decider.switched_off() is None:
                await self._sessions.admit(token)
            sent = await _parse(await read_body(receive, headers, LARGEST_BODY))
            if not isinstance(sent, dict):
                raise Invalid("a hook sends an object", where="body")
            event = agent.read(sent)
            opener = read_traceparent(headers.get(TRACEPARENT))
            where = f" in {event.place}" if event.place else ""
            session = self._sessions.session(
                token, f"{agent.name}:{event.session}", f"{agent.title} session{where}", opener
            )
            said = await self._say(agent, event, session, options, receive)
        except WatchkeeperError as error:
            said = refused(error)
        except CallerGone:
            raise
        except Exception:
            log.exception("a hook of %s failed", agent.name)
            said = Said("deny", "DENIED: the plane failed; its log says more.")
        name = event.name if event is not None else _name_of(sent)
        body = json.dumps(agent.write(name, said)).encode()
        if b"form=command" not in scope["query_string"]:
            await answer(send, 200, body)
        elif _ends_with_words(agent, event, said):
            await _print(send, 2, said.text)
        else:
            await answer(send, 200, body, [(_EXIT, b"0")])

    async def _say(
        self,
        agent: CodingAgent,
        event: Event,
        session: Session,
        options: Mapping[str, str],
        receive: Any,
    ) -> Said:
        if event.moment == "before":
            self._decider.check_switch()
            if self._is_governed_elsewhere(event, options.get("gateway")):
                seen = await self._sessions.within(session, self._look)
                return seen if seen.word == "stop" else Said("permit", "the MCP gateway decides")
            return await self._decide(agent, event, session, options, receive)
        if event.moment == "after":
            return await self._sessions.within(session, lambda run: self._settle(agent, event, run))
        if event.moment == "asked":
            return await self._sessions.within(session, lambda token: self._note(event, token))
        if event.moment == "start":
            return await self._sessions.within(session, self._look)
        await self._sessions.end(session)
        return Said("noted")

    async def _decide(
        self,
        agent: CodingAgent,
        event: Event,
        session: Session,
        options: Mapping[str, str],
        receive: Any,
    ) -> Said:
        # a key of its own where the tool names no call: none is taken for an earlier one
        key = _key(agent, event) or f"{agent.name}:{ids.secret('call')}"
        ask = Ask(name=event.action, arguments=dict(event.arguments), idempotency_key=key)
        watch = CallerWatch(receive)
        watch.start()
        try:
            found = await self._sessions.within(
                session, lambda token: self._hold(token, ask, event, options, watch.gone)
            )
        finally:
            await watch.stop()
        if found is None:
            raise CallerGone
        defers = agent.name == "claude" and "unattended" in options
        return decided(found, event, defers=defers)

    async def _hold(
        self,
        token: str,
        ask: Ask,
        event: Event,
        options: Mapping[str, str],
        gone: asyncio.Event,
    ) -> Answer | None:
        caller = await self._decider.identify(token)
        if event.turn is not None:
            asked = passed_on(caller, None, prompt_key(caller.run, event.turn))
            ask = ask.model_copy(update={"traceparent": asked})
        return await decide_and_hold(
            self._decider,
            token,
            ask,
            performer="agent",
            hold_seconds=min(_patience(options), self._offers.hold_seconds(caller.agent)),
            gone=gone,
            on_hold=lambda answer, waited: None,
        )

    async def _settle(self, agent: CodingAgent, event: Event, token: str) -> Said:
        caller = await self._decider.identify(token)
        key, digest = _key(agent, event), ""
        if key is None:
            ask = Ask(name=event.action, arguments=dict(event.arguments))
            digest = (await as_action(ask)).call_digest
        try:
            decision = await self._decider.store.read(
                lambda tx: under_way(tx, caller.run, key, digest)
            )
        except NotFound:
            return await self._look(token)  # of the gateway's own tools: it knows how they ended
        status = Outcome(status="failed" if event.failed else "succeeded")
        await self._decider.settle(decision, status, token=token)
        return await self._look(token)

    async def _note(self, event: Event, token: str) -> Said:
        """Put a prompt on record, with its words as far as the contract keeps them."""
        seen = await self._look(token)
        if seen.word == "stop":
            return seen
        said = await asyncio.to_thread(canonical, event.prompt)
        turn = event.turn or ids.secret("turn")
        caller = await self._decider.identify(token)
        await self._decider.store.write(lambda tx: record_prompt(tx, token, turn, said))
        key = prompt_key(caller.run, turn)
        self._recording.take(
            key, "input", run=caller.run, agent=caller.agent, data=said, model=True
        )
        return Said("noted")

    async def _look(self, token: str) -> Said:
        """Stop a session whose run was stopped meanwhile, or while everything is."""
        if (why := self._decider.switched_off()) is not None:
            return Said("stop", f"STOPPED: everything is stopped: {why}. Do not go on.")
        facts = await self._decider.store.read(lambda tx: facts_of(tx, token))
        if facts is not None and facts.state == "stopped":
            return Said("stop", f"STOPPED: run {facts.run} was stopped by a kill. Do not go on.")
        return Said("noted")

    def _is_governed_elsewhere(self, event: Event, gateway: str | None) -> bool:
        """Tell whether the MCP gateway decides of a tool, as the agent's settings say."""
        if gateway is None or event.server != gateway:
            return False
        tool = self._view.now.tools.get(self._offers.named(event.offered_as))
        return tool is not None and tool.contract.upstream is not None

    async def _give_token(self, scope: Any, send: Any, headers: dict[str, str]) -> None:
        """Give a token of a run: of the named session's, or of a new one."""
        name = _options(scope).get("session") or ids.secret("once")
        # a name that cannot be taken for a secret: those are kept of nobody
        session = self._sessions.session(bearer(headers), f"gateway:{name}", f"session {name:.60}")
        await _print(send, 0, (await self._sessions.fresh(session)).token)

    async def _tell(self, scope: Any, send: Any, headers: dict[str, str]) -> None:
        """Say what waits in a session, and how it goes on."""
        name = _options(scope).get("session", "")
        lines = []
        for agent in AGENTS.values():
            run = await self._sessions.find(bearer(headers), f"{agent.name}:{name}")
            for row in await self._sessions.waiting(run) if run else []:
                waits = "waits for a person" if row.state == "pending" else "is approved"
                lines.append(f"{row.request}: {row.tool} {waits}")
        if not lines:
            raise NotFound(f"nothing waits in session {name!r:.80}, and nothing is approved in it")
        how = f"Once it is approved: claude -p --resume {name}; elsewhere the same call again."
        await _print(send, 0, "\n".join([*lines, how]))


async def _parse(raw: bytes) -> Any:
    return parse(raw) if len(raw) <= _AT_ONCE else await asyncio.to_thread(parse, raw)


def _ends_with_words(agent: CodingAgent, event: Event | None, said: Said) -> bool:
    """Tell whether a command that answers so ends with 2 and words, not with an answer."""
    if event is None or event.moment != "before":
        return said.word == "deny"
    return agent.says_no_by_exit and said.word in ("deny", "stop")


def _key(agent: CodingAgent, event: Event) -> str | None:
    """Return what names a call among all that its agent ever makes, or None if nothing does."""
    if event.call is None:
        return None
    return call_key(agent.name, event.session, event.call)


def _options(scope: Any) -> dict[str, str]:
    given = scope["query_string"].decode("latin-1")
    try:
        options = dict(parse_qsl(given, strict_parsing=bool(given), max_num_fields=len(_KNOWN)))
    except ValueError:
        raise Invalid("the options cannot be read", where="query") from None
    if set(options) - _KNOWN or not all(_NAME.fullmatch(value) for value in options.values()):
        raise Invalid("unknown option", where="query", remedy=", ".join(sorted(_KNOWN)))
    return options


def _patience(options: Mapping[str, str]) -> int:
    given = options.get("patience", "0")
    if not (given.isascii() and given.isdigit() and len(given) < 6):
        raise Invalid("patience is a number of seconds", where="query: patience")
    return min(int(given), LONGEST_PATIENCE)


def _name_of(sent: object) -> str:
    """Return the event that a denial is about where nothing else was understood."""
    known = isinstance(sent, dict) and sent.get("hook_event_name")
    return known if isinstance(known, str) else "PreToolUse"


async def _print(send: Any, code: int, text: str) -> None:
    kind = b"text/plain; charset=utf-8"
    await answer(send, 200, f"{text}\n".encode(), [(_EXIT, str(code).encode())], kind=kind)
