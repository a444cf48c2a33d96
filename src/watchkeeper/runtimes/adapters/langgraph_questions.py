"""What graphs ask people, and how each shape of question is answered. All of it is untrusted.

Known are the value of LangChain's `HumanInTheLoopMiddleware` (several actions in one, or one
call each) and the agent inbox's older `HumanInterrupt`. Any other value is shown as it is, and
answered with true, false or a text.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from watchkeeper.runtimes.adapters.reading import id_in
from watchkeeper.runtimes.model import Choice, Interrupt, RemoteRun, Reply

CANNOT = object()
"""The question cannot be answered so."""
_MOST_ACTIONS = 50
_CHOICES: tuple[Choice, ...] = ("approve", "edit", "reject", "respond")


def read(run: RemoteRun, asked: Mapping[str, Any]) -> Interrupt | None:
    """Return an interrupt of a thread as a question; None where it has no id to answer by."""
    id, value = id_in(asked, "id"), asked.get("value")
    if id is None:
        return None
    actions = _actions(value)
    text = _text_of(value)
    if len(actions) == 1:
        (tool, arguments) = actions[0]
        return Interrupt(run, id, tool, arguments, text, _choices(value, len(actions)), value)
    shown: dict[str, Any] = {"value": value}
    if actions:
        shown = {"actions": [{"tool": tool, "arguments": one} for tool, one in actions]}
    return Interrupt(
        run, id, None, shown, text, _choices(value, len(actions)), value, also=tuple(actions)
    )


def write(interrupt: Interrupt, reply: Reply) -> Any:
    """Return the value that answers an interrupt; `CANNOT` where its shape has none for it."""
    value, kind = interrupt.raw, _kind(interrupt.raw)
    actions = _actions(value)
    if reply.choice not in interrupt.choices:
        return CANNOT
    if reply.choice == "edit" and (len(actions) != 1 or reply.arguments is None):
        return CANNOT
    match kind:
        case "batched":
            return {"decisions": [_decision(reply, tool) for tool, _ in actions]}
        case "call":
            return _decision(reply, actions[0][0])
        case "inbox":
            return [_response(reply, actions[0][0])]
    match reply.choice:
        case "approve":
            return True
        case "reject":
            return False
    return reply.message or ""


def _decision(reply: Reply, tool: str) -> dict[str, Any]:
    match reply.choice:
        case "edit":
            return {"type": "edit", "edited_action": {"name": tool, "args": reply.arguments}}
        case "approve":
            return {"type": "approve"}
    return {"type": reply.choice, "message": reply.message or ""}


def _response(reply: Reply, tool: str) -> dict[str, Any]:
    match reply.choice:
        case "approve":
            return {"type": "accept", "args": None}
        case "edit":
            return {"type": "edit", "args": {"action": tool, "args": reply.arguments}}
        case "respond":
            return {"type": "response", "args": reply.message or ""}
    return {"type": "ignore", "args": None}


def _kind(value: Any) -> str:
    if isinstance(value, dict):
        if isinstance(value.get("action_requests"), list) and _actions(value):
            return "batched"
        if value.get("type") == "tool_approval" and _actions(value):
            return "call"
    return "inbox" if isinstance(value, list) and _actions(value) else "other"


def _actions(value: Any) -> list[tuple[str, Mapping[str, Any]]]:
    """Return the tools that a question is about, with their arguments; none if it is not."""
    if isinstance(value, dict):
        if isinstance(value.get("action_requests"), list):
            rows, name, arguments = value["action_requests"], "name", "args"
        elif value.get("type") == "tool_approval":
            rows, name, arguments = [value], "name", "args"
        else:
            return []
    elif isinstance(value, list) and len(value) == 1 and isinstance(value[0], dict):
        rows, name, arguments = [value[0].get("action_request")], "action", "args"
    else:
        return []
    found: list[tuple[str, Mapping[str, Any]]] = []
    for row in rows[: _MOST_ACTIONS + 1]:
        if not isinstance(row, dict) or not isinstance(row.get(name), str):
            return []  # one that can't be read makes none of them known
        given = row.get(arguments)
        found.append((row[name], given if isinstance(given, dict) else {"value": given}))
    return found if len(found) <= _MOST_ACTIONS else []


def _choices(value: Any, actions: int) -> tuple[Choice, ...]:
    """Return the answers that a question allows."""
    kind = _kind(value)
    if kind == "other":
        return ("approve", "reject", "respond")
    allowed = set(_CHOICES)
    if kind == "batched":
        configs = value.get("review_configs")
        for one in configs if isinstance(configs, list) else ():
            said = one.get("allowed_decisions") if isinstance(one, dict) else None
            if isinstance(said, list):
                allowed &= {choice for choice in said if isinstance(choice, str)}
    elif kind == "inbox":
        config = value[0].get("config")
        config = config if isinstance(config, dict) else {}
        names = {"allow_accept": "approve", "allow_edit": "edit", "allow_respond": "respond"}
        allowed = {"reject", *(c for key, c in names.items() if config.get(key) is True)}  # type: ignore[arg-type]
    if actions > 1:
        allowed.discard("edit")
    return tuple(choice for choice in _CHOICES if choice in allowed)


def _text_of(value: Any) -> str:
    """Return the words of a question."""
    if isinstance(value, str):
        return value[:4000]
    rows: list[Any] = value if isinstance(value, list) else [value]
    if isinstance(value, dict) and isinstance(value.get("action_requests"), list):
        rows = value["action_requests"]
    said = [
        one["description"]
        for one in rows[:_MOST_ACTIONS]
        if isinstance(one, dict) and isinstance(one.get("description"), str)
    ]
    if said:
        return "; ".join(said)[:4000]
    try:
        return json.dumps(value, ensure_ascii=False)[:4000]
    except (TypeError, ValueError, RecursionError):
        return "a question that cannot be shown"
