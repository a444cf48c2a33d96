"""What recorded actions are told apart by: agent, model, team …"""

from __future__ import annotations

from sqlalchemy import ColumnElement, Text, and_, case, cast, func, literal, literal_column

from watchkeeper.core.errors import Invalid
from watchkeeper.decide.tables import answering, decisions, is_model, is_tool
from watchkeeper.wire.spending import NOTHING, SpendingBy

_d = decisions.c
_NONE: ColumnElement[str] = literal_column("''", Text)

DIMENSIONS: dict[SpendingBy, ColumnElement[str]] = {
    "agent": _d.agent,
    "version": _d.agent + literal("@") + cast(_d.version, Text),
    "model": case((is_model, answering), else_=_NONE),
    "provider": func.coalesce(_d.provider, _NONE),
    "tool": case((is_tool, _d.name), else_=_NONE),
    "team": func.coalesce(_d.team, _NONE),
    "project": func.coalesce(_d.project, _NONE),
    "person": func.coalesce(_d.person, _NONE),
    "object": func.coalesce(_d.object, _NONE),
    "run": _d.run,
}
"""Each as a column of text; empty for what has none."""


def is_named(by: SpendingBy, name: str) -> ColumnElement[bool]:
    """Select the actions of one agent, model, team …; `-`: those that have none.

    Raises `Invalid` for a version that is not written `agent@3`.
    """
    if name == NOTHING:
        return DIMENSIONS[by] == _NONE
    if by == "version":
        agent, _, version = name.rpartition("@")
        if not agent or not (version.isascii() and version.isdigit() and len(version) < 10):
            raise Invalid(f"{name!r:.80} is no version", remedy="write it as agent@3")
        return and_(_d.agent == agent, _d.version == int(version))
    if by == "tool":
        return and_(is_tool, _d.name == name)
    if by == "model":
        return and_(is_model, answering == name)
    return _d[by] == name
