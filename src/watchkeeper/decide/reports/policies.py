"""Changes of what is allowed: policies, contracts, other documents, tools' definitions, keys."""

from __future__ import annotations

from collections import Counter

from watchkeeper.decide.reports.model import Asked, Body, Say, Told, at, counted_rows, said, who
from watchkeeper.ledger.reading import Pick
from watchkeeper.store.journal import Event
from watchkeeper.wire.reports import ReportSection

_DEFINITIONS = ("tool.pinned", "tool.quarantined", "tool.rejected", "tool.restored", "tool.gone")
_OTHER = (
    "plane.key_rotated", "ledger.key_rotated", "ledger.forked", "ledger.fork_accepted",
    "secret.sealed", "secret.removed", "secret.key_rotated", "budget.cap_changed",
)  # fmt: skip


class Policies(Told):
    """Counts what was applied, removed or staged, and by whom."""

    title = "Changes of policies and contracts"
    counted = (
        "documents that were applied or removed, policy sets whose stage changed, definitions of "
        "tools that were judged, and keys, secrets and caps that were changed"
    )
    missing = (
        "who reviewed a document before it was applied: that is where the documents are kept; "
        "the plane knows who applied it, and its digest",
    )
    picks = (Pick((".applied", ".removed", "policy.staged", *_DEFINITIONS, *_OTHER)),)

    def __init__(self, asked: Asked, say: Say) -> None:
        super().__init__(asked, say)
        self._by: Counter[tuple[str, str]] = Counter()
        self._documents, self._staged = self.rows(), self.rows()
        self._tools, self._others = self.rows(), self.rows()

    def hear(self, event: Event, body: Body) -> None:
        """Take a change."""
        kind, _, what = event.type.rpartition(".")
        person = who(event.actor)
        self._by[person, event.type] += 1
        if event.type in _DEFINITIONS:
            self._tools.add(at(event), event.sequence, what, event.subject, person,
                            self.say(event))  # fmt: skip
        elif event.type == "policy.staged":
            self._staged.add(at(event), event.sequence, event.subject, said(body, "from"),
                             said(body, "to"), person, said(body, "reason"))  # fmt: skip
        elif "change" in body and "digest" in body:
            self._documents.add(
                at(event), event.sequence, kind, event.subject.partition("/")[2],
                said(body, "change"), body.get("version"), person, said(body, "digest"),
                said(body, "replaces"),
            )  # fmt: skip
        else:
            self._others.add(at(event), event.sequence, event.type, event.subject, person,
                             self.say(event))  # fmt: skip

    def sections(self) -> tuple[ReportSection, ...]:
        """Return who changed what, and each change."""
        return (
            counted_rows(self._by, self.asked.rows).section(
                "People", "Changes by who made them.", "who", "what", "times"),
            self._documents.section("Documents", "Each change, oldest first.", "at", "entry",
                                    "kind", "name", "change", "version", "by", "digest",
                                    "digest before"),
            self._staged.section("Stages of policy sets", "Each change, oldest first.", "at",
                                 "entry", "set", "from", "to", "by", "reason"),
            self._tools.section("Definitions of tools", "What was found and judged, oldest first.",
                                "at", "entry", "what", "tool", "by", "in words"),
            self._others.section("Keys, secrets, caps", "Each change, oldest first.", "at",
                                 "entry", "what", "about", "by", "in words"),
        )  # fmt: skip
