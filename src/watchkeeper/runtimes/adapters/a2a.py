"""Agents that speak A2A over JSON-RPC (specification 1.0; 0.3's names where a card says so).

One URL is one agent, and its tasks are its runs. A task names the run of ours in its metadata or
in that of a message; failing that, by its context's id. Only the declared URL is spoken to: of a
card's own URLs the path counts, not the place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from watchkeeper.core.clock import Clock
from watchkeeper.core.digest import digest
from watchkeeper.core.ids import is_id
from watchkeeper.registry.runtimes import Runtime
from watchkeeper.runtimes.adapters.bare import Bare
from watchkeeper.runtimes.adapters.reading import (
    id_in,
    object_in,
    rows_in,
    text_in,
    time_in,
    word_in,
)
from watchkeeper.runtimes.adapters.stopping import stop_and_look
from watchkeeper.runtimes.calling import RuntimeCalls
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
    Stopping,
)
from watchkeeper.tools.upstreams.model import UpstreamFailure
from watchkeeper.wire.runtimes import ENDED, AnswerResult, RunState, Verb

STATES: Mapping[str, RunState] = {
    "submitted": "pending",
    "working": "running",
    "input-required": "waiting",
    "auth-required": "waiting",
    "completed": "done",
    "failed": "failed",
    "rejected": "failed",
    "canceled": "stopped",
}
"""By 0.3's words; 1.0's are the same as `TASK_STATE_INPUT_REQUIRED`."""
_OPEN = ("SUBMITTED", "WORKING", "INPUT_REQUIRED", "AUTH_REQUIRED")
_OLD_NAMES = {
    "GetTask": "tasks/get",
    "CancelTask": "tasks/cancel",
    "ListTasks": "tasks/list",
    "SendMessage": "message/send",
}
_CARDS = ("/.well-known/agent-card.json", "/.well-known/agent.json")
_PAGE, _MOST_PAGES, _HISTORY = 100, 10, 10
_NOT_FOUND, _NOT_CANCELABLE = -32001, -32002
_NO_METHOD = frozenset({-32601, -32003, -32004})


@dataclass(frozen=True, slots=True)
class _Card:
    """What counts of an agent's card."""

    name: str
    version: str | None
    path: str
    old: bool


class _RpcError(Exception):
    """The agent answered with a JSON-RPC error."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class A2A(Bare):
    """One agent."""

    called = "this A2A agent"

    def __init__(
        self, document: Runtime, calls: RuntimeCalls, clock: Clock, directory: Path
    ) -> None:
        super().__init__(document, calls, clock, directory)
        self.can: frozenset[Verb] = frozenset({"list", "inspect", "stop", "answer"})
        self._card: _Card | None = None

    async def information(self) -> Information:
        """Read its card anew, and return its version."""
        self._card = None
        for path in _CARDS:
            answer = await self.calls.ask("GET", path)
            if answer.status in (401, 403):
                return Information(authorised=False)
            if answer.well and isinstance(answer.value, dict):
                self._card = _card_of(answer.value, self.document.url or "")
                return Information(version=self._card.version)
        raise UpstreamFailure("it has no agent card where one belongs", reached=True)

    async def discover(self) -> Sequence[Offered]:
        """Return the one agent that it is."""
        name = (await self._read_card()).name
        return [Offered(name, name)]

    async def list_runs(self) -> Listing:
        """Return the tasks that have not ended; an agent of 0.3 does not list any."""
        tasks, complete = await self._tasks()
        return Listing(tuple(run for run, _ in tasks), complete=complete)

    async def inspect(self, run: RemoteRun) -> RemoteRun | None:
        """Return how a task stands."""
        task = await self._get(run.id)
        return None if task is None else _run(task)

    async def waiting(self) -> Sequence[Interrupt]:
        """Return the tasks that want input, or to be authorised."""
        tasks, _ = await self._tasks()
        found = (_interrupt(task) for _, task in tasks)
        return [interrupt for interrupt in found if interrupt is not None]

    async def answer(self, interrupt: Interrupt, reply: Reply) -> AnswerResult:
        """Send a message to a task that still wants this input; a task that is refused is ended."""
        if reply.choice not in interrupt.choices:
            return "not supported"
        task = await self._get(interrupt.run.id)
        now = _interrupt(task) if task is not None else None
        if task is None or _run_state(task) in ENDED:
            return "gone"
        if now is None or now.id != interrupt.id:
            return "already answered"
        if reply.choice == "reject":
            result = (await self.stop(interrupt.run, now=True)).result
            if result == "done":
                return "applied"
            return "gone" if result == "already done" else "failed"
        try:
            await self._call("SendMessage", _message(interrupt, reply, await self._read_card()))
        except _RpcError as error:
            return "gone" if error.code in (_NOT_FOUND, _NOT_CANCELABLE) else "failed"
        return "applied"

    async def stop(self, run: RemoteRun, *, now: bool) -> Stopping:
        """Cancel a task; an agent may decline."""
        unsupported = False

        async def tell() -> bool:
            nonlocal unsupported
            try:
                await self._call("CancelTask", {"id": run.id})
            except _RpcError as error:
                unsupported = error.code in _NO_METHOD
                return False
            return True

        stopped = await stop_and_look(tell, lambda: self.inspect(run))
        return (
            self.lacks("stop a task")
            if unsupported and stopped.result == "unconfirmed"
            else stopped
        )

    async def _tasks(self) -> tuple[list[tuple[RemoteRun, dict[str, Any]]], bool]:
        """Return the tasks that have not ended, each also as it came, and whether these are all."""
        found: dict[str, tuple[RemoteRun, dict[str, Any]]] = {}
        complete = True
        try:
            for state in _OPEN:
                complete &= await self._list(f"TASK_STATE_{state}", found)
        except _RpcError as error:
            if error.code not in _NO_METHOD:
                raise UpstreamFailure(f"it does not list: {error.message}", reached=True) from None
            self.can -= {"list"}
            return [], False
        return list(found.values()), complete

    async def _list(self, state: str, found: dict[str, tuple[RemoteRun, dict[str, Any]]]) -> bool:
        """Add the tasks in one state, page by page; return whether these are all."""
        params: dict[str, Any] = {"status": state, "pageSize": _PAGE, "historyLength": _HISTORY}
        usable = True
        for _ in range(_MOST_PAGES):
            result = await self._call("ListTasks", params)
            if not isinstance(result, dict) or not isinstance(result.get("tasks", []), list):
                raise UpstreamFailure("it lists its tasks in no form that is known", reached=True)
            for task in rows_in(result, "tasks"):
                run = _run(task)
                if run is None or len(found) >= MOST_RUNS:
                    usable = False
                elif run.state not in ENDED:
                    found[run.id] = (run, task)
            token = result.get("nextPageToken")
            if not isinstance(token, str) or not token:
                return usable
            params["pageToken"] = token[:_LONGEST_TOKEN]
        return False

    async def _get(self, id: str) -> dict[str, Any] | None:
        try:
            task = await self._call("GetTask", {"id": id, "historyLength": _HISTORY})
        except _RpcError as error:
            if error.code == _NOT_FOUND:
                return None
            raise UpstreamFailure(
                f"it does not tell of a task: {error.message}", reached=True
            ) from None
        if id_in(task, "id") != id:
            raise UpstreamFailure("it tells of another task than was asked for", reached=True)
        return task if isinstance(task, dict) else None

    async def _read_card(self) -> _Card:
        if self._card is None:
            await self.information()
        if self._card is None:
            raise UpstreamFailure("it does not show its card to these credentials", reached=True)
        return self._card

    async def _call(self, method: str, params: dict[str, Any]) -> Any:
        """Return the result of a method; raise `_RpcError` where it answers with an error."""
        card = await self._read_card()
        body = {
            "jsonrpc": "2.0",
            "id": 1,
            "method": _OLD_NAMES[method] if card.old else method,
            "params": params,
        }
        headers = {} if card.old else {"a2a-version": "1.0"}
        answer = await self.calls.ask("POST", card.path, body=body, headers=headers)
        error = object_in(answer.value, "error")
        if error:
            code = error.get("code")
            message = text_in(error, "message", 200) or "it gives no reason"
            raise _RpcError(code if isinstance(code, int) else 0, message)
        if not answer.well or not isinstance(answer.value, dict) or "result" not in answer.value:
            raise UpstreamFailure(f"it answered {answer.status} to {method}", reached=True)
        return answer.value["result"]


_LONGEST_TOKEN = 2_000


def _card_of(card: dict[str, Any], base: str) -> _Card:
    spoken = [
        one
        for one in rows_in(card, "supportedInterfaces")
        if word_in(one, "protocolBinding").upper() == "JSONRPC"
    ]
    new = [one for one in spoken if word_in(one, "protocolVersion").startswith("1")]
    url = (new or spoken or [card])[0].get("url")
    versions = (word_in(one, "protocolVersion") for one in (*spoken, card))
    return _Card(
        name=id_in(card, "name") or "agent",
        version=text_in(card, "version", 100),
        path=_path_under(base, url) if isinstance(url, str) else "",
        old=not new and any(version.startswith("0.") for version in versions),
    )


def _path_under(base: str, url: str) -> str:
    """Return the path of a card's URL beneath the declared one, quoted segment by segment."""
    try:
        path, under = urlsplit(url[:500]).path, urlsplit(base).path.rstrip("/")
    except ValueError:
        return ""
    if f"{path}/".startswith(f"{under}/"):
        path = path.removeprefix(under)
    segments = [unquote(segment) for segment in path.split("/")]
    if any(segment in {".", ".."} or not segment.isprintable() for segment in segments):
        return ""
    return "/".join(quote(segment, safe="") for segment in segments).rstrip("/")


def _run_state(task: Any) -> RunState:
    said = word_in(task, "status.state")
    return STATES.get(said.removeprefix("TASK_STATE_").lower().replace("_", "-"), "unknown")


def _run(task: Any) -> RemoteRun | None:
    id = id_in(task, "id")
    if id is None:
        return None
    return RemoteRun(
        id=id,
        state=_run_state(task),
        said=word_in(task, "status.state"),
        thread=id_in(task, "contextId"),
        our_run=_our_run(task),
        updated_at=time_in(task, "status.timestamp"),
    )


def _our_run(task: Any) -> str | None:
    named = [id_in(object_in(task, "metadata"), OUR_RUN)]
    named += [
        id_in(object_in(message, "metadata"), OUR_RUN) for message in rows_in(task, "history")
    ]
    context = id_in(task, "contextId")
    named.append(context if context and context.startswith("run_") and is_id(context) else None)
    return next(filter(None, named), None)


def _interrupt(task: dict[str, Any]) -> Interrupt | None:
    """Return what a task waits for; its id changes with each question that it puts."""
    run = _run(task)
    if run is None or run.state != "waiting":
        return None
    message = object_in(task, "status.message")
    id = id_in(message, "messageId") or f"{run.said}:{run.updated_at}"
    # whoever authorises does so elsewhere: this task can only be given up from here
    authorise = "auth" in run.said.lower()
    choices: tuple[Choice, ...] = ("reject",) if authorise else ("respond", "reject")
    words = [text for part in rows_in(message, "parts") if (text := text_in(part, "text"))]
    return Interrupt(
        run=run,
        id=id,
        tool=None,
        arguments={},
        text="\n".join(words[:5]) or ("to be authorised" if authorise else "input"),
        choices=choices,
    )


def _message(interrupt: Interrupt, reply: Reply, card: _Card) -> dict[str, Any]:
    """Return a message to a task; said twice, it is the same message by its id."""
    text = reply.message or reply.choice
    part = {"kind": "text", "text": text} if card.old else {"text": text}
    seed = [interrupt.run.id, interrupt.id]
    message: dict[str, Any] = {
        "messageId": f"watchkeeper-{digest('a2a-answer', seed)[-32:]}",
        "role": "user" if card.old else "ROLE_USER",
        "taskId": interrupt.run.id,
        "parts": [part],
    }
    if interrupt.run.thread:
        message["contextId"] = interrupt.run.thread
    if card.old:
        return {"message": {**message, "kind": "message"}, "configuration": {"blocking": False}}
    return {"message": message, "configuration": {"returnImmediately": True}}
