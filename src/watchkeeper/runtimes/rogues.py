"""Telling of rogue runs: at once of the first, then together, however many a runtime has."""

from __future__ import annotations

from collections.abc import Sequence

from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.ledger.reading import read_events
from watchkeeper.registry.runtimes import Runtime
from watchkeeper.store.journal import Event
from watchkeeper.store.transaction import Transaction

DIGEST_SECONDS = 900
"""Between two events that tell people of the rogue runs of one runtime."""
FOUND, TOLD = "runtime.rogue_found", "runtime.rogues_told"
_MOST_COUNTED = 1000
_NAMED = 5


def untold(tx: Transaction, runtime: str) -> tuple[Event | None, list[Event]]:
    """Return what people were told last of a runtime's rogue runs, and what was found since.

    May read a lot; not for a unit of work that others wait for.
    """
    subject = f"runtime/{runtime}"
    told = read_events(tx, subject=subject, type=TOLD, newest_first=True, limit=1)
    last = told[0] if told else None
    after = last.sequence if last else None
    return last, read_events(tx, subject=subject, type=FOUND, after=after, limit=_MOST_COUNTED)


def is_time(last: Event | None, now: int) -> bool:
    """Return whether people may be told again."""
    return last is None or now - last.at >= DIGEST_SECONDS * MICROSECONDS


def tell(tx: Transaction, document: Runtime, found: Sequence[Event]) -> None:
    """Record that people are told of rogue runs that were found."""
    text = str(found[0].body["text"])
    if len(found) > 1:
        count = f"{len(found)}" if len(found) < _MOST_COUNTED else f"{_MOST_COUNTED} or more"
        named = ", ".join(str(one.body["id"]) for one in found[:_NAMED])
        more = ", …" if len(found) > _NAMED else ""
        text = f"{count} rogue runs in runtime {document.name}: {named}{more}"
    agents = {one.agent for one in found}
    tx.record(
        TOLD,
        actor="plane",
        subject=f"runtime/{document.name}",
        agent=found[0].agent if len(agents) == 1 else None,
        body={"owner": document.owner, "count": len(found), "text": text},
    )
