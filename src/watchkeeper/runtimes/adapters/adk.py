"""Google ADK's API server (google-adk 2.13): sessions, and tools that want confirmation.

The server does not tell what runs, nor has it a way to stop it. What waits in a session can be
found and answered, if it is known whose sessions to look at: an agent's id in the document is
`app/user`. Found are those that wait; so the list is never whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from watchkeeper.core.clock import Clock
from watchkeeper.registry.runtimes import Runtime
from watchkeeper.runtimes.adapters.bare import Bare
from watchkeeper.runtimes.adapters.reading import (
    arguments_in,
    at,
    id_in,
    object_in,
    rows_in,
    text_in,
    time_in,
)
from watchkeeper.runtimes.calling import RuntimeCalls, path_of
from watchkeeper.runtimes.model import (
    MOST_RUNS,
    OUR_RUN,
    Choice,
    Information,
    Interrupt,
    Listing,
    Offered,
    RemoteRun,
    Reply,
)
from watchkeeper.tools.upstreams.model import UpstreamFailure
from watchkeeper.wire.runtimes import AnswerResult, RunState, Verb

CONFIRM = "adk_request_confirmation"
MOST_SESSIONS = 100
"""Of one user that are looked at: those that changed last."""
_NOT_FOUND = 404


class ADK(Bare):
    """One API server."""

    can: frozenset[Verb] = frozenset({"list", "inspect", "answer"})
    called = "Google ADK's server"

    def __init__(
        self, document: Runtime, calls: RuntimeCalls, clock: Clock, directory: Path
    ) -> None:
        super().__init__(document, calls, clock, directory)
        self._seen: dict[tuple[str, str], tuple[int, list[Interrupt]]] = {}
        """What waits in each session, as of when it changed last."""

    async def information(self) -> Information:
        """Return its version."""
        answer = await self.calls.ask("GET", "/version")
        if answer.status in (401, 403):
            return Information(authorised=False)
        if not answer.well:
            raise UpstreamFailure(f"it answered {answer.status} to GET /version", reached=True)
        return Information(version=text_in(answer.value, "version", 100))

    async def discover(self) -> Sequence[Offered]:
        """Return its apps, and whose sessions the document names."""
        answer = await self.calls.expect("GET", "/list-apps")
        names = answer.value if isinstance(answer.value, list) else []
        apps = [name for one in names[:MOST_RUNS] if (name := id_in({"name": one}, "name"))]
        named = [one.id for one in self.document.agents if one.id not in apps]
        return [Offered(name, name) for name in (*apps, *named)]

    async def list_runs(self) -> Listing:
        """Return the sessions that wait for a person."""
        runs = [interrupt.run for interrupt in await self.waiting()]
        return Listing(tuple({run.id: run for run in runs}.values()), complete=False)

    async def inspect(self, run: RemoteRun) -> RemoteRun | None:
        """Return how a session stands, as far as its events tell."""
        session = await self._session(run)
        return None if session is None else _run(session, run.offered)

    async def waiting(self) -> Sequence[Interrupt]:
        """Return the tools that want confirmation, in the sessions of the document's users."""
        seen: dict[tuple[str, str], tuple[int, list[Interrupt]]] = {}
        for agent in self.document.agents:
            app, _, user = agent.id.partition("/")
            if not user:
                continue
            answer = await self.calls.expect("GET", path_of("apps", app, "users", user, "sessions"))
            if not isinstance(answer.value, list):
                raise UpstreamFailure("it lists sessions in no form that is known", reached=True)
            rows = [row for row in answer.value[: MOST_RUNS * 10] if id_in(row, "id")]
            rows.sort(key=lambda row: time_in(row, "lastUpdateTime") or 0, reverse=True)
            for row in rows[:MOST_SESSIONS]:
                key = (agent.id, str(id_in(row, "id")))
                changed = time_in(row, "lastUpdateTime")
                before = self._seen.get(key)
                if before is not None and before[0] == changed:
                    seen[key] = before
                    continue
                session = await self._session(RemoteRun(key[1], "unknown", offered=agent.id))
                if session is not None:
                    # as of the list: what has changed since is read again the next time
                    seen[key] = (changed or 0, _interrupts(session, agent.id))
        self._seen = seen
        return [one for _, waits in seen.values() for one in waits][:MOST_RUNS]

    async def answer(self, interrupt: Interrupt, reply: Reply) -> AnswerResult:
        """Say whether a tool may go on, if it still waits; read back from the session."""
        if reply.choice not in interrupt.choices:
            return "not supported"
        run = interrupt.run
        session = await self._session(run)
        if session is None:
            return "gone"
        if interrupt.id not in {one.id for one in _interrupts(session, run.offered)}:
            return "already answered"
        response = {"confirmed": reply.choice == "approve"}
        part = {"id": interrupt.id, "name": CONFIRM, "response": response}
        app, user = _place_of(run)
        body = {
            "appName": app,
            "userId": user,
            "sessionId": run.id,
            "newMessage": {"role": "user", "parts": [{"functionResponse": part}]},
        }
        try:
            # it answers when the agent's whole turn is over, which may take long
            answer = await self.calls.ask("POST", "/run", body=body)
            if answer.well:
                return "applied"
        except UpstreamFailure as failure:
            if not failure.reached:
                raise
        session = await self._session(run)
        left = {one.id for one in _interrupts(session, run.offered)} if session else set()
        return "failed" if interrupt.id in left else "applied"

    async def _session(self, run: RemoteRun) -> dict[str, Any] | None:
        app, user = _place_of(run)
        answer = await self.calls.ask(
            "GET", path_of("apps", app, "users", user, "sessions", run.id)
        )
        if answer.status == _NOT_FOUND:
            return None
        if not answer.well or id_in(answer.value, "id") != run.id:
            raise UpstreamFailure(f"it answered {answer.status} for a session", reached=True)
        return answer.value if isinstance(answer.value, dict) else None


def _place_of(run: RemoteRun) -> tuple[str, str]:
    """Return the app and the user whose session a run is."""
    app, _, user = (run.offered or "").partition("/")
    if not user:
        raise UpstreamFailure("it is not known whose session that is", reached=False)
    return app, user


def _run(session: dict[str, Any], offered: str | None) -> RemoteRun:
    events = rows_in(session, "events")
    state: RunState = "unknown"
    said = "it does not tell whether it runs"
    if _open_calls(events):
        state, said = "waiting", "a tool wants confirmation"
    elif events and _is_last_word(events[-1]):
        state, said = "done", "the agent has answered"
    return RemoteRun(
        id=str(id_in(session, "id")),
        state=state,
        said=said,
        offered=offered,
        our_run=id_in(object_in(session, "state"), OUR_RUN),
        started_at=time_in(events[0], "timestamp") if events else None,
        updated_at=time_in(session, "lastUpdateTime"),
    )


def _is_last_word(event: dict[str, Any]) -> bool:
    """Whether an event is an agent's whole answer, with nothing called or awaited."""
    parts = rows_in(event, "content.parts")
    calls = any("functionCall" in part or "functionResponse" in part for part in parts)
    awaits = bool(event.get("longRunningToolIds")) or event.get("partial") is True
    return event.get("author") not in (None, "user") and bool(parts) and not calls and not awaits


def _open_calls(events: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the wishes for confirmation that nobody has answered, by id."""
    found: dict[str, dict[str, Any]] = {}
    for event in events:
        for part in rows_in(event, "content.parts"):
            call, response = object_in(part, "functionCall"), object_in(part, "functionResponse")
            if call.get("name") == CONFIRM and (id := id_in(call, "id")):
                found[id] = call
            elif response.get("name") == CONFIRM and (id := id_in(response, "id")):
                found.pop(id, None)
    return found


def _interrupts(session: dict[str, Any], offered: str | None) -> list[Interrupt]:
    run = _run(session, offered)
    found = []
    for id, call in _open_calls(rows_in(session, "events")).items():
        arguments = arguments_in(at(call, "args.originalFunctionCall.args"))
        choices: tuple[Choice, ...] = ("approve", "reject")
        if arguments is None:
            arguments, choices = {}, ("reject",)
        tool = id_in(object_in(call, "args"), "originalFunctionCall.name")
        hint = text_in(call, "args.toolConfirmation.hint")
        text = hint or f"{tool or 'a tool'} wants confirmation"
        found.append(Interrupt(run, id, tool, arguments, text, choices))
    return found[:MOST_SESSIONS]
