"""What policy sets that warn would have stopped lately: what their owners should look at."""

from __future__ import annotations

import json
from dataclasses import dataclass

from sqlalchemy import select

from watchkeeper.core import ids
from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.decide.catalogue import Catalogue
from watchkeeper.decide.tables import decisions
from watchkeeper.store.transaction import Transaction

LATELY_US = 3600 * MICROSECONDS
_MOST = 1000
"""How many decisions are looked at, newest first."""


@dataclass(frozen=True, slots=True)
class Warned:
    """How often a set would have decided otherwise in the last hour; `count` stops at 1,000."""

    set: str
    policy: str
    """The policy that spoke last."""
    message: str
    count: int
    first_at: int


def find_warned(tx: Transaction, catalogue: Catalogue) -> list[Warned]:
    """Return the sets in stage warn that spoke in the last hour, by name."""
    names = {shadow.name for shadow in catalogue.shadows if shadow.stage == "warn"}
    if not names:
        return []
    query = (
        select(decisions.c.at, decisions.c.would)
        .where(
            decisions.c.would.is_not(None),
            decisions.c.decision >= ids.first_at("dec", tx.now - LATELY_US),
        )
        .order_by(decisions.c.decision.desc())
        .limit(_MOST)
    )
    found: dict[str, Warned] = {}
    for row in tx.connection.execute(query):
        for one in json.loads(row.would):
            name = one["set"]
            if name in names and one["stage"] == "warn":
                newest = found.get(name) or Warned(name, one["policy"], one["message"], 0, row.at)
                found[name] = Warned(name, newest.policy, newest.message, newest.count + 1, row.at)
    return [found[name] for name in sorted(found)]
