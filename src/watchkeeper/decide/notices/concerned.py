"""Whom an event concerns, and by which channels they are told of it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict

from sqlalchemy import bindparam, select

from watchkeeper.approvals.coverage import Coverage
from watchkeeper.approvals.people import person_key
from watchkeeper.approvals.rows import ballot_of, excluded_of, find_or_none, groups_of
from watchkeeper.approvals.signing import deciding_of
from watchkeeper.approvals.tables import delegations, votes
from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.decide.catalogue import OWNER_ROLE, Catalogue
from watchkeeper.decide.notices.routing import Route
from watchkeeper.notices.model import Notice, Why
from watchkeeper.oncall.model import OWNER, Holders
from watchkeeper.outbox.model import NewDelivery
from watchkeeper.registry.people import Contact
from watchkeeper.store.journal import Event, events
from watchkeeper.store.statement import Row, Statement
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.quorum import quorum_words, size

EVENTS: dict[str, Why] = {
    "request.created": "created",
    "request.escalated": "escalated",
    "request.reminded": "reminded",
    "request.repeated": "reminded",
    "request.resumed": "reminded",
    "request.rerouted": "rerouted",
    "request.no_coverage": "no_coverage",
    "request.break_glass": "break_glass",
    "request.expired": "expired",
    "lock.created": "lock",
    "lock.unconfirmed": "lock",
    "lock.confirmed": "lock",
    "handover.given": "handover",
    "handover.late": "handover",
    "budget.warned": "budget",
    "budget.exhausted": "budget",
    "budget.paused": "budget",
    "breaker.opened": "breaker",
    "breaker.probing": "breaker",
    "breaker.closed": "breaker",
    "breaker.reset": "breaker",
    "run.silent": "health",
    "run.lost": "health",
    "run.stuck": "health",
    "agent.silent": "health",
    "runtime.rogues_told": "rogue",
    "telemetry.bypassed": "telemetry",
    "telemetry.agent_unknown": "telemetry",
    "telemetry.unmetered": "telemetry",
}
"""The events of which people are told."""
_ONCE: frozenset[Why] = frozenset(
    {
        "no_coverage",
        "break_glass",
        "expired",
        "lock",
        "handover",
        "budget",
        "breaker",
        "health",
        "rogue",
        "telemetry",
    }
)
"""What nobody can decide any more, or not this person: one contact of each is enough."""
_MOST_PEOPLE = 200
_MOST_TOLD_AGAIN = 20
_LONGEST = 1000

_TOLD = Statement(
    select(events.c.body)
    .where(events.c.request == bindparam("request_is"), events.c.type == "request.created")
    .order_by(events.c.sequence)
    .limit(1)
)
_DELEGATED = Statement(
    select(delegations.c.taker, delegations.c.giver_key, delegations.c.roles)
    .where(
        delegations.c.ended_at.is_(None),
        delegations.c.starts_at <= bindparam("now"),
        delegations.c.ends_at > bindparam("now"),
    )
    .limit(500)
)
_VOTERS = Statement(select(votes.c.person).where(votes.c.request == bindparam("request_is")))


class Notices:
    """Plans who is told what: people by their contacts, and channels that a level names.

    `owner` is the name of the account that runs the plane.
    """

    def __init__(self, coverage: Coverage, owner: str) -> None:
        self._coverage = coverage
        self._owner = owner
        self.route = Route(frozenset(EVENTS), self.plan)

    def plan(self, tx: Transaction, event: Event, catalogue: Catalogue) -> Sequence[NewDelivery]:
        """Return what an event leads to; nothing where no channel is in force."""
        if not catalogue.channels:
            return ()
        why, body = EVENTS[event.type], event.body
        if why == "lock":
            return self._of_lock(tx, event, catalogue)
        if why == "handover":
            taking = {self._owner_of(catalogue) if one == OWNER else one for one in body["next"]}
            people = {catalogue.names.key(one) for one in taking} - {_name(event.actor)}
            notice = Notice(why, str(body["text"])[:_LONGEST])
            return tuple(_deliveries(event, notice, people, (), catalogue))
        if why in ("budget", "breaker", "health", "rogue", "telemetry"):
            roles = set(_owners_of(event, catalogue))
            if why == "rogue":  # whoever answers for the runtime, whosever agent it is
                roles = {catalogue.known_role(str(body.get("owner") or OWNER_ROLE))}
            if why in ("budget", "breaker"):  # all else is the concern of a team alone
                roles.add(OWNER_ROLE)
            people = self._people(tx, catalogue, sorted(roles), event.at)
            people.discard(_name(event.actor))
            notice = Notice(why, str(body["text"])[:_LONGEST])
            return tuple(_deliveries(event, notice, people, (), catalogue))
        row = find_or_none(tx, event.request) if event.request else None
        if row is None or (row.state != "pending" and why not in ("break_glass", "expired")):
            return ()
        notice = _notice(tx, row, why, body.get("role") or row.role)
        if why == "rerouted":
            people = {str(one) for one in body.get("people", ())}
        else:
            people = self._people(tx, catalogue, _roles(row, why, notice.role), event.at)
        done = excluded_of(row) | {person_key(event.actor)}
        if notice.waits:
            done |= through_with(tx, row)
        people = {one for one in people if not done & catalogue.names.names(one)}
        channels = [str(one) for one in body.get("channels", ())]
        return tuple(_deliveries(event, notice, people, channels, catalogue))

    def people_of(self, tx: Transaction, catalogue: Catalogue, role: str) -> set[str]:
        """Return the names of who holds a role now, or may vote for one who does."""
        return self._people(tx, catalogue, [role], tx.now)

    def person_of(self, catalogue: Catalogue, actor: str) -> str:
        """Return the name of the person that an actor is, as roles are held by it."""
        name = _name(actor)
        return catalogue.names.key(self._owner_of(catalogue) if name == self._owner else name)

    def tell_again(
        self, tx: Transaction, catalogue: Catalogue, event: Event, people: Iterable[str],
        before: Sequence[Row],
    ) -> list[NewDelivery]:  # fmt: skip
        """Return what tells people of a lock once more: by contacts that were not tried, of those
        to whom nothing is on its way. `before`: what was told of it so far.
        """
        told: dict[str, set[str]] = {}
        for row in before:
            told.setdefault(catalogue.names.key(row.recipient or ""), set()).add(row.target)
        going = {
            catalogue.names.key(row.recipient or "")
            for row in before
            if row.state in ("pending", "sending")
        }
        payload = _payload(_lock_notice(event))
        found: list[NewDelivery] = []
        for name in sorted(set(people) - going)[:_MOST_TOLD_AGAIN]:
            contacts = sorted(contacts_of(name, catalogue), key=lambda one: one.after_seconds)
            fresh = [one for one in contacts if one.channel not in told.get(name, ())]
            if fresh:
                found.append(_delivery(event, None, payload, fresh[0].channel, name, tx.now))
        return found

    def _of_lock(
        self, tx: Transaction, event: Event, catalogue: Catalogue
    ) -> Sequence[NewDelivery]:
        """Tell the owners of a lock, each once; of one that is not confirmed the plane's owners."""
        body = event.body
        roles = {OWNER_ROLE}
        if event.type == "lock.created":
            roles |= {catalogue.known_role(str(one)) for one in body.get("told", ())}
        elif event.type == "lock.confirmed" and not body.get("alarmed"):
            return ()
        people = self._people(tx, catalogue, sorted(roles), event.at)
        people.discard(self.person_of(catalogue, event.actor))
        return tuple(_deliveries(event, _lock_notice(event), people, (), catalogue))

    def unreachable(self, tx: Transaction, catalogue: Catalogue) -> list[str]:
        """Return the roles that somebody holds now of whom nobody has a contact in force."""
        found = []
        for role in sorted(catalogue.roles):
            people = self._people(tx, catalogue, [role], tx.now)
            if people and not any(contacts_of(one, catalogue) for one in people):
                found.append(role)
        return found

    def _people(
        self, tx: Transaction, catalogue: Catalogue, roles: Iterable[str], at: int
    ) -> set[str]:
        """Return the names of who holds any of some roles, or may vote for one who does.

        At most so many.
        """
        found: set[str] = set()
        delegated = _DELEGATED.all(tx, now=tx.now)
        for role in roles:
            held = self._coverage.holders(tx, role, at)
            if not held and role not in catalogue.roles:
                held = Holders((OWNER,))  # a role that nobody defined falls to the plane's owner
            named = set(held.people) | (set(catalogue.people) if held.anyone else set())
            if OWNER in named:
                named = (named - {OWNER}) | {self._owner_of(catalogue)}
            holders = {catalogue.names.key(one) for one in named}
            found |= holders
            found |= {
                catalogue.names.key(one.taker)
                for one in delegated
                if one.giver_key in holders and (not one.roles or role in json.loads(one.roles))
            }
        return set(sorted(found)[:_MOST_PEOPLE])

    def _owner_of(self, catalogue: Catalogue) -> str:
        """Return the person that the account is which runs the plane."""
        for name, person in catalogue.people.items():
            if self._owner in person.accounts:
                return name
        return self._owner


def through_with(tx: Transaction, row: Row) -> frozenset[str]:
    """Return the keys of who has voted on a request or is on it: they are not told again."""
    found = {person_key(vote.person) for vote in _VOTERS.all(tx, request_is=row.request)}
    return frozenset(found | ({person_key(row.acknowledged_by)} if row.acknowledged_by else set()))


def contacts_of(name: str, catalogue: Catalogue) -> tuple[Contact, ...]:
    """Return a person's contacts whose channel is in force."""
    person = catalogue.people.get(name)
    found = person.contacts if person else ()
    return tuple(one for one in found if one.channel in catalogue.channels)


def read_notice(payload: str) -> Notice:
    """Return what a delivery tells."""
    return Notice(**json.loads(payload))


def _notice(tx: Transaction, row: Row, why: Why, role: str) -> Notice:
    told = _TOLD.scalar(tx, request_is=row.request)
    if told is not None:
        (told,) = tx.vault.reveal(tx, (told,))
    ballot = ballot_of(row)
    levels, groups = len(ballot.levels), groups_of(row)
    last = levels > 1 and row.level == levels
    return Notice(
        why,
        # as the ledger has it, which leaves out what may not be said
        str(json.loads(told).get("asks", row.tool) if told else row.tool)[:_LONGEST],
        urgent=row.risk == "critical" or why in ("no_coverage", "break_glass") or last,
        request=row.request,
        agent=row.agent,
        risk=row.risk,
        role=role,
        level=row.level,
        levels=levels,
        decide_by=row.decide_by,
        quorum=quorum_words(groups) if size(groups) > 1 else "",
        reason=deciding_of(row).reason,
    )


def _roles(row: Row, why: Why, role: str) -> Iterable[str]:
    ballot = ballot_of(row)
    if why == "no_coverage":
        return [OWNER_ROLE]
    if why == "break_glass":
        return [*ballot.asked, *(level.role for level in ballot.levels if level.role)]
    if why in ("created", "expired"):
        return ballot.asked
    return [role]


def _lock_notice(event: Event) -> Notice:
    body = event.body
    if event.type != "lock.created":
        text = f"{body['target']}: {body['text']}"
        return Notice("lock", text[:_LONGEST], urgent=event.type == "lock.unconfirmed")
    text = f"{body['mode']} on {body['target']} by {event.actor}: {body['reason']}"
    return Notice("lock", text[:_LONGEST], urgent=body["mode"] == "stop")


def _payload(notice: Notice) -> str:
    return json.dumps(asdict(notice), separators=(",", ":"))


def _deliveries(
    event: Event, notice: Notice, people: Iterable[str], channels: Iterable[str],
    catalogue: Catalogue,
) -> Iterator[NewDelivery]:  # fmt: skip
    payload = _payload(notice)
    for channel in dict.fromkeys(channels):
        if channel in catalogue.channels:
            yield _delivery(event, notice.request, payload, channel, None, event.at)
    for name in sorted(people):
        contacts: Sequence[Contact] = contacts_of(name, catalogue)
        if notice.why in _ONCE:
            contacts = sorted(contacts, key=lambda one: one.after_seconds)[:1]
        for contact in contacts:
            after = 0 if notice.why in _ONCE else contact.after_seconds
            at = event.at + after * MICROSECONDS
            yield _delivery(event, notice.request, payload, contact.channel, name, at)


def _delivery(
    event: Event, request: str | None, payload: str, channel: str, recipient: str | None, at: int
) -> NewDelivery:
    return NewDelivery(
        kind="notice",
        target=channel,
        recipient=recipient,
        payload=payload,
        request=request,
        agent=event.agent,
        run=event.run,
        event=event.sequence,
        not_before=at,
    )


def _owners_of(event: Event, catalogue: Catalogue) -> Iterator[str]:
    """Yield the roles that own what an event is about: the agent's, and of a team's budget its."""
    if event.agent:
        yield catalogue.known_role(catalogue.team_of(event.agent) or OWNER_ROLE)
    kind, _, rest = str(event.body.get("budget", "")).partition("/")
    if kind == "team":
        yield catalogue.known_role(rest.partition("/")[0])


def _name(principal: str) -> str:
    return principal.removeprefix("person/")
