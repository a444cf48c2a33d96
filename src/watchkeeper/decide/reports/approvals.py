"""Approvals: who decided what and how long that took, and where people went round the rules."""

from __future__ import annotations

from collections import Counter

from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.decide.reports.model import (
    Asked,
    Body,
    Say,
    Told,
    at,
    counted_rows,
    median,
    said,
    who,
)
from watchkeeper.ledger.reading import Pick
from watchkeeper.store.journal import Event
from watchkeeper.wire.reports import ReportSection

OVERRIDES = (
    "request.break_glass", "request.reviewed", "request.revoked", "standing.approved",
    "standing.ended", "delegation.made", "delegation.ended", "oncall.override_added",
    "oncall.override_removed", "budget.topped_up", "budget.cap_changed", "breaker.reset",
    "outcome.reconciled",
)  # fmt: skip
"""What people do that changes what the rules alone would have come to."""
_DECIDED = ("request.approved", "request.denied")
_ENDED = (*_DECIDED, "request.expired")


class Approvals(Told):
    """Counts requests, votes, and overrides."""

    title = "Approvals and overrides"
    counted = (
        "requests and what became of them, votes, calls that a standing approval let through, and "
        "what people did that changes what the rules alone would have come to"
    )
    missing = (
        "requests of before the period are in it with what became of them only; how long they "
        "waited is not counted",
        "what approvers read before they voted: the plane knows what it showed and how long",
    )
    picks = (
        Pick(("request.", "vote.cast", *OVERRIDES)),
        Pick(("decision.permitted",), containing='"standing":'),
    )

    def __init__(self, asked: Asked, say: Say) -> None:
        super().__init__(asked, say)
        self._requests: Counter[str] = Counter()
        self._created: dict[str | None, int] = {}
        self._waited: list[float] = []
        self._votes: dict[str, Counter[str]] = {}
        self._looked: dict[str, list[float]] = {}
        self._standing: Counter[tuple[str, str, str]] = Counter()
        self._overridden: Counter[str] = Counter()
        self._decided, self._cast, self._overrides = self.rows(), self.rows(), self.rows()

    def hear(self, event: Event, body: Body) -> None:
        """Take an entry of a request, a vote, a call under a standing approval or an override."""
        type_ = event.type
        if type_ == "decision.permitted":
            given = said(body, "approved_by")
            self._standing[said(body, "standing"), event.agent or "", who(given)] += 1
            return
        if type_ == "vote.cast":
            self._vote(event, body)
        if type_.startswith("request."):
            self._requests[type_.removeprefix("request.").replace("_", " ")] += 1
        if type_ == "request.created":
            self._created[event.request] = event.at
        if type_ in _ENDED:
            self._end(event, body)
        if type_ in OVERRIDES and event.actor.startswith("person/"):
            self._overridden[type_] += 1
            self._overrides.add(
                at(event), event.sequence, type_, who(event.actor), event.subject, event.agent,
                said(body, "reason"), self.say(event),
            )  # fmt: skip

    def _vote(self, event: Event, body: Body) -> None:
        person, verdict = who(event.actor), said(body, "verdict")
        counts = self._votes.setdefault(person, Counter())
        counts[verdict] += 1
        counts["signed"] += bool(body.get("key"))
        looked = body.get("view_ms")
        if looked is not None:
            self._looked.setdefault(person, []).append(looked / 1000)
        self._cast.add(
            at(event), event.sequence, person, verdict, said(body, "roles"),
            who(said(body, "acting_for")), "yes" if body.get("key") else "no",
            "" if looked is None else f"{looked / 1000:.1f}", event.agent, said(body, "tool"),
            said(body, "reason"), event.request,
        )  # fmt: skip

    def _end(self, event: Event, body: Body) -> None:
        began = self._created.pop(event.request, None)
        waited = ""
        if began is not None:
            waited = f"{(event.at - began) / MICROSECONDS:.1f}"
            if event.type in _DECIDED:
                self._waited.append((event.at - began) / MICROSECONDS)
        self._decided.add(
            at(event), event.sequence, event.type.removeprefix("request."), who(body.get("by")),
            event.agent, said(body, "tool"), waited, said(body, "text"), event.request,
        )  # fmt: skip

    def sections(self) -> tuple[ReportSection, ...]:
        """Return figures, votes by person, and each decision, vote and override."""
        limit = self.asked.rows
        middle = median(self._waited)
        waited = "" if middle is None else f" Half of the decided ones waited up to {middle:.1f} s."
        people = self.rows()
        for person, votes in sorted(self._votes.items()):
            seconds = median(self._looked.get(person, ()))
            people.add(
                person, votes["approve"], votes["reject"], votes["changes"], votes["signed"],
                "" if seconds is None else f"{seconds:.1f}",
            )  # fmt: skip
        return (
            counted_rows(self._requests, limit).section(
                "Requests", f"What happened to requests.{waited}", "what", "times"),
            people.section("People", "Votes by person.", "person", "approved", "rejected",
                           "asked for changes", "signed", "median seconds shown"),
            counted_rows(self._overridden, limit).section(
                "Kinds of override", "What people did beside the rules.", "what", "times"),
            self._overrides.section("Overrides", "Each, oldest first.", "at", "entry", "what",
                                    "who", "about", "agent", "reason", "in words"),
            counted_rows(self._standing, limit).section(
                "Standing approvals", "Calls that one let through.", "standing approval", "agent",
                "approved by", "calls"),
            self._decided.section("Decisions", "Each, oldest first; waited in seconds.", "at",
                                  "entry", "decided", "by", "agent", "tool", "waited", "in words",
                                  "request"),
            self._cast.section("Votes", "Each, oldest first; shown in seconds.", "at", "entry",
                               "person", "vote", "roles", "for", "signed", "shown", "agent",
                               "tool", "reason", "request"),
        )  # fmt: skip
