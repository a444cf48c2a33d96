"""Is there nothing in the arguments that the tool may not be given?"""

from __future__ import annotations

from collections.abc import Collection

from watchkeeper.decide.model import Action, Ruling, deny
from watchkeeper.tools.inspection.rules import UNREADABLE, in_order, refused_in
from watchkeeper.tools.inspection.values import where
from watchkeeper.wire.data import DataClass

_MOST_NAMED = 3


def check_data(action: Action, taken: Collection[DataClass] | None) -> Ruling | None:
    """No class of data goes to a tool whose contract does not let it in.

    What is too large to inspect goes only to a tool that may be given everything. The reason
    names class and place, never the value.
    """
    inspection = action.contents.inspection
    found = inspection.classes & refused_in(taken)
    if not found:
        return None
    rule = f"tool/{action.name}/data-in"
    if inspection is UNREADABLE:
        return deny(rule, "the arguments are too large to inspect", "send less at once")
    places = [
        f"{where(action.arguments, inspection, one, 'arguments')} holds data of class {one}"
        for one in in_order(found)
    ]
    return deny(
        rule,
        f"{'; '.join(places[:_MOST_NAMED])}, which this tool may not be given",
        f"the same call without it; classes it takes: {_listed(taken)}",
    )


def _listed(taken: Collection[DataClass] | None) -> str:
    if taken is None:
        return "all but secret"
    return ", ".join(in_order(taken)) or "none"
