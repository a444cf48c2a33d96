"""What people did: every entry that a person is the actor of."""

from __future__ import annotations

from collections import Counter

from watchkeeper.core.clock import utc_text
from watchkeeper.decide.reports.model import Asked, Body, Say, Told, at, counted_rows, who
from watchkeeper.ledger.reading import Pick
from watchkeeper.store.journal import Event
from watchkeeper.wire.reports import ReportSection

_CAME_OF_IT = frozenset({"request.approved", "request.denied"})
"""What votes came to: they are entries of their own, the votes are what people did."""


class Operators(Told):
    """Counts by person and by what they did."""

    title = "Actions of operators"
    counted = "entries whose actor is a person, or somebody who logged in or was refused it"
    missing = (
        "what people only looked at: reading leaves no entry, but for reports and evidence that "
        "were taken away",
        "what was done on this plane's machine past the plane",
    )
    picks = (Pick(by="person/"), Pick(("person.",)))

    def __init__(self, asked: Asked, say: Say) -> None:
        super().__init__(asked, say)
        self._done: Counter[tuple[str, str]] = Counter()
        self._people: dict[str, list[int]] = {}
        self._listed = self.rows()

    def hear(self, event: Event, body: Body) -> None:
        """Take an action."""
        if event.type in _CAME_OF_IT:
            return
        person = who(event.actor)
        self._done[person, event.type] += 1
        seen = self._people.setdefault(person, [0, event.at, event.at])
        seen[0] += 1
        seen[2] = event.at
        self._listed.add(at(event), event.sequence, person, event.type, event.subject, event.agent,
                         self.say(event))  # fmt: skip

    def sections(self) -> tuple[ReportSection, ...]:
        """Return people, what each did, and each action."""
        people = self.rows()
        for person, (times, first, last) in sorted(self._people.items()):
            people.add(person, times, utc_text(first), utc_text(last))
        return (
            people.section("People", "Who did something.", "who", "actions", "first", "last"),
            counted_rows(self._done, self.asked.rows).section(
                "What they did", "By person and kind of action.", "who", "what", "times"),
            self._listed.section("Actions", "Each, oldest first.", "at", "entry", "who", "what",
                                 "about", "agent", "in words"),
        )  # fmt: skip
