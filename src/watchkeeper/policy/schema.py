"""The Cedar schema, made from the facts and the question that the registry and the path give.

An attribute is declared once, as a field: it is in the schema, in the entities and in the
context of every request from then on.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Any, get_args, get_type_hints

from watchkeeper.policy.facts import KIND_OF, AgentFacts, ModelFacts, StoreFacts, ToolFacts
from watchkeeper.policy.model import Question

_CEDAR: dict[object, str] = {
    str: "String",
    int: "Long",
    bool: "Bool",
    tuple[str, ...]: "Set<String>",
    frozenset[str]: "Set<String>",
}
_NAMED = frozenset({"agent", "action", "resource_kind", "resource"})
"""What a request names beside its context."""
ACTIONS: dict[str, type] = {
    "use_tool": ToolFacts,
    "call_model": ModelFacts,
    "read_memory": StoreFacts,
    "write_memory": StoreFacts,
}
ASKED = frozenset({"use_tool", "call_model"})
"""The actions that something asks about; the others are declared for what will."""
CONTEXT: tuple[str, ...] = (
    *(field.name for field in fields(Question) if field.name not in _NAMED),
    "est_tokens",
)
"""The attributes of the context; each is an attribute of `Question`."""


def attributes(facts: object) -> dict[str, Any]:
    """Return the attributes of an entity: its fields, without what nobody has said."""
    found: dict[str, Any] = {}
    for field in fields(facts):  # type: ignore[arg-type]
        value = getattr(facts, field.name)
        if value is not None:
            found[field.name] = list(value) if isinstance(value, tuple) else value
    return found


def _record(kind: type, names: tuple[str, ...]) -> str:
    hints = get_type_hints(kind)
    lines = []
    for name in names:
        hint = hints.get(name, int)
        options = [one for one in get_args(hint) if one is not type(None)]
        optional = len(options) < len(get_args(hint))
        cedar = _CEDAR[options[0] if optional else hint]
        lines.append(f"  {name}{'?' if optional else ''}: {cedar},")
    return "{\n" + "\n".join(lines) + "\n}"


def _declare() -> str:
    parts = ["entity Namespace;", "entity Team;"]
    for kind, name in KIND_OF.items():
        within = " in [Namespace, Team]" if kind is AgentFacts else ""
        names = tuple(field.name for field in fields(kind))
        parts.append(f"entity {name}{within} {_record(kind, names)};")
    parts.append(f"type Asked = {_record(Question, CONTEXT)};")
    parts += [
        f"action {action} appliesTo "
        f"{{ principal: [Agent], resource: [{KIND_OF[of]}], context: Asked }};"
        for action, of in ACTIONS.items()
    ]
    return "\n".join(parts) + "\n"


SCHEMA = _declare()
