"""Kills and drills: what was stopped, how fast each party confirmed it, and what was rehearsed."""

from __future__ import annotations

from dataclasses import dataclass, field

from watchkeeper.core.clock import utc_text
from watchkeeper.decide.reports.model import Asked, Body, Say, Told, at, body_of, name_in, said, who
from watchkeeper.ledger.reading import Pick
from watchkeeper.store.journal import Event
from watchkeeper.wire.reports import ReportSection


@dataclass(slots=True)
class _Lock:
    event: Event
    body: Body
    lifted: tuple[str, ...] = ("", "", "")
    states: dict[tuple[str, str], str] = field(default_factory=dict)
    """Receipts by effect and party."""
    slowest: int = 0
    alarms: int = 0
    runs: int = 0


class Kills(Told):
    """Follows each lock from when it was put to when it was lifted."""

    title = "Kills and drills"
    counted = (
        "locks with their receipts and the runs that they stopped, drills, incidents, and breakers "
        "that opened or closed"
    )
    missing = (
        "locks of before the period are in it only where they were lifted within it",
        "what runtimes did after they confirmed: a receipt is their word, or what was seen there",
    )
    picks = (Pick(("lock.", "receipt.recorded", "run.stopped", "drill.held", "incident.",
                   "breaker.")),)  # fmt: skip

    def __init__(self, asked: Asked, say: Say) -> None:
        super().__init__(asked, say)
        self._locks: dict[str, _Lock] = {}
        self._earlier, self._drills = self.rows(), self.rows()
        self._incidents, self._breakers = self.rows(), self.rows()

    def take(self, read: list[Event]) -> int:
        """Hear those that the asker may see, and what is about locks among them."""
        agents, heard = self.asked.agents, 0
        for event in read:
            # receipts name their lock alone
            if agents is None or event.agent in agents or name_in(event.subject) in self._locks:
                heard += 1
                self.hear(event, body_of(event.body_text))
        return heard

    def hear(self, event: Event, body: Body) -> None:
        """Take an entry."""
        type_, name = event.type, name_in(event.subject)
        if type_ == "lock.created":
            self._locks[name] = _Lock(event, body)
        elif type_ == "lock.lifted":
            self._lift(event, body, self._locks.get(name))
        elif type_ == "lock.unconfirmed":
            if name in self._locks:
                self._locks[name].alarms += 1
        elif type_ == "receipt.recorded":
            self._receive(event, body, self._locks.get(name))
        elif type_ == "run.stopped":
            lock = self._locks.get(str(body.get("lock", "")))
            if lock is not None:
                lock.runs += 1
        elif type_ == "drill.held":
            self._drills.add(
                at(event), event.sequence, said(body, "target"), said(body, "mode"),
                who(event.actor), body.get("runs"), body.get("checked"), body.get("refused"),
                body.get("findings"), said(body, "reason"),
            )  # fmt: skip
        elif type_.startswith("incident."):
            self._incidents.add(
                at(event), event.sequence, type_.removeprefix("incident."), name,
                said(body, "severity"), who(event.actor), said(body, "text"),
            )  # fmt: skip
        elif type_.startswith("breaker."):
            self._breakers.add(at(event), event.sequence, type_.removeprefix("breaker."),
                               event.agent, who(event.actor), self.say(event))  # fmt: skip

    def _lift(self, event: Event, body: Body, lock: _Lock | None) -> None:
        lifted = (at(event), who(event.actor), said(body, "reason"))
        if lock is not None:
            lock.lifted = lifted
        else:
            self._earlier.add(*lifted[:1], event.sequence, said(body, "target"), *lifted[1:],
                              name_in(event.subject))  # fmt: skip

    @staticmethod
    def _receive(event: Event, body: Body, lock: _Lock | None) -> None:
        if lock is None:
            return
        for one in body.get("receipts", ()):
            key = (str(one.get("effect")), str(one.get("party")))
            lock.states[key] = str(one.get("state"))
            if one.get("state") == "acknowledged":
                lock.slowest = max(lock.slowest, event.at - lock.event.at)

    def sections(self) -> tuple[ReportSection, ...]:
        """Return locks, drills, incidents and breakers."""
        locks, open_ = self.rows(), self.rows()
        for name, one in self._locks.items():
            done = sum(state == "acknowledged" for state in one.states.values())
            locks.add(
                utc_text(one.event.at), one.event.sequence, said(one.body, "target"),
                said(one.body, "mode"), who(one.event.actor), said(one.body, "reason"), one.runs,
                f"{done} of {len(one.states)}", f"{one.slowest / 1000:,.1f}", one.alarms,
                *one.lifted, name,
            )  # fmt: skip
            for (effect, party), state in one.states.items():
                if state != "acknowledged":
                    open_.add(name, effect, party, state)
        return (
            locks.section(
                "Locks", "Each, with who confirmed it; the slowest confirmation in milliseconds "
                "after it was put. Alarms: how often a receipt stayed unconfirmed.", "at", "entry",
                "target", "mode", "by", "reason", "runs stopped", "confirmed", "slowest", "alarms",
                "lifted", "lifted by", "lifted why", "lock",
            ),
            open_.section("Receipts that are not confirmed", "As last recorded in the period.",
                          "lock", "effect", "party", "state"),
            self._earlier.section("Lifted, of before the period", "Each, oldest first.", "at",
                                  "entry", "target", "by", "reason", "lock"),
            self._drills.section("Drills", "Each, oldest first.", "at", "entry", "target", "mode",
                                 "by", "runs", "checked", "refused", "findings", "reason"),
            self._incidents.section("Incidents", "What happened to them, oldest first.", "at",
                                    "entry", "what", "incident", "severity", "by", "in words"),
            self._breakers.section("Breakers", "What they did, oldest first.", "at", "entry",
                                   "what", "agent", "by", "in words"),
        )  # fmt: skip
