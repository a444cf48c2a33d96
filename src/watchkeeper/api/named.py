"""Query parameters that pick actions by agent, model, team …"""

from __future__ import annotations

from typing import get_args

from watchkeeper.api.table import Call
from watchkeeper.core.errors import Invalid
from watchkeeper.wire.spending import SpendingBy

NAMED: tuple[SpendingBy, ...] = get_args(SpendingBy)
_LONGEST = 300


def named_in(call: Call) -> dict[SpendingBy, str]:
    """Return the names that a call asks for; `-` stands for what has none."""
    found = {by: name for by in NAMED if (name := call.text(by)) is not None}
    for by, name in found.items():
        if len(name) > _LONGEST:
            raise Invalid(f"{by}: at most {_LONGEST} characters", where=f"query: {by}")
    return found
