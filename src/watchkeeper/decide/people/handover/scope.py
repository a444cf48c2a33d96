"""Which watch is handed over: whose it is, since when, when it ends, who comes next."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass

from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.core.errors import Forbidden, Invalid, NotFound, TooLarge
from watchkeeper.decide.catalogue import Catalogue
from watchkeeper.decide.people.rota import Rota
from watchkeeper.oncall.handovers.service import last_given
from watchkeeper.oncall.model import ANYONE
from watchkeeper.oncall.schedules import Watch, next_handover, shifts
from watchkeeper.store.transaction import Transaction

USUAL_SECONDS = 12 * 3600
"""How far back a summary goes where no schedule says when the shift began."""
LONGEST_SECONDS = 14 * 86_400
GRACE_SECONDS = 900
"""How long the next person has to acknowledge where no schedule says when the shift ends."""


@dataclass(frozen=True, slots=True)
class Scope:
    """The watch of one role or one schedule, as who hands it over has it now."""

    role: str | None
    schedule: str | None
    roles: frozenset[str]
    """The roles that the watch answers for; empty: whatever is asked."""
    watch: Watch
    since: int
    due_at: int
    next: tuple[str, ...]
    agents: frozenset[str] | None = None
    """The agents that whoever hands over may read of; None: all."""

    @property
    def name(self) -> str:
        """The watch in words."""
        return self.role or f"schedule {self.schedule}"


def find_scope(
    tx: Transaction,
    catalogue: Catalogue,
    *,
    person: str,
    names: Set[str],
    owner: bool,
    role: str | None,
    schedule: str | None,
) -> Scope:
    """Return the watch that a person hands over; the only one they have, where none is named.

    `names` are all that roles and schedules may call the person by; the plane's owner may hand
    any watch over.
    Raises `Invalid` where several could be meant, `NotFound` for what there is not, and
    `Forbidden` (`handover_not_yours`) for a watch that the person has no part in.
    """
    rota = catalogue.rota.now(tx)
    if role is not None and schedule is not None:
        raise Invalid("name either a role or a schedule", where="role, schedule")
    if role is None and schedule is None:
        role, schedule = _only(rota, person, names, owner, tx.now)
    _check_known(rota, role, schedule)
    watch = rota.of_role(role) if role is not None else rota.of_schedule(schedule or "")
    if not owner and not takes_part(rota, names, role, schedule, tx.now):
        raise Forbidden(
            f"{person} has no part in the watch of {role or schedule}",
            code="handover_not_yours",
            rule="handover/giver",
            remedy="have whoever has the watch hand it over",
        )
    roles = frozenset({role}) if role else _roles_of(rota, schedule or "")
    began = _began(watch, names, tx.now)
    if began is None:
        began = last_given(tx, role, schedule) or tx.now - USUAL_SECONDS * MICROSECONDS
    due_at, following = _following(watch, names, tx.now)
    oldest = tx.now - LONGEST_SECONDS * MICROSECONDS
    return Scope(role, schedule, roles, watch, max(began, oldest), due_at, following)


def takes_part(
    rota: Rota, names: Set[str], role: str | None, schedule: str | None, at: int
) -> bool:
    """Whether somebody of these names has the watch now, or takes turns in it."""
    if role is not None:
        people = rota.people_of(role) | rota.holders(role, at)
        return ANYONE in people or not people.isdisjoint(names)
    known = rota.schedules.get(schedule or "")
    turns = known.people if known else frozenset()
    return not turns.isdisjoint(names) or schedule in rota.on_call_in(names, at)


def _only(
    rota: Rota, person: str, names: Set[str], owner: bool, at: int
) -> tuple[str | None, str | None]:
    schedules = rota.on_call_in(names, at)
    if len(schedules) == 1:
        return None, schedules[0]
    roles = [
        name for name in sorted(rota.roles) if owner or takes_part(rota, names, name, None, at)
    ]
    if not schedules and len(roles) == 1:
        return roles[0], None
    known = [*(f"schedule {name}" for name in schedules), *(f"role {name}" for name in roles)]
    raise Invalid(
        "say which watch is handed over" if known else f"{person} has no watch to hand over",
        where="role, schedule",
        remedy="yours: " + ", ".join(known)[:300] if known else "name a role or a schedule",
    )


def _check_known(rota: Rota, role: str | None, schedule: str | None) -> None:
    if role is not None and role not in rota.roles:
        raise NotFound(
            f"there is no role {role!r:.70}", remedy="known: " + ", ".join(sorted(rota.roles))[:300]
        )
    if schedule is not None and schedule not in rota.schedules:
        raise NotFound(
            f"there is no schedule {schedule!r:.70}",
            remedy="known: " + ", ".join(sorted(rota.schedules))[:300] if rota.schedules
            else "hand a role over: --role NAME",
        )  # fmt: skip


def _roles_of(rota: Rota, schedule: str) -> frozenset[str]:
    return frozenset(name for name, role in rota.roles.items() if schedule in role.schedules)


def _began(watch: Watch, names: Set[str], now: int) -> int | None:
    """Return when the person's turn began that lasts until now; None: no schedule says."""
    try:
        found = shifts(watch, now - LONGEST_SECONDS * MICROSECONDS, now)
    except TooLarge:
        return None
    began: int | None = None
    for shift in sorted(found, key=lambda one: one.end, reverse=True):
        if shift.person in names and shift.end >= (began if began is not None else now):
            began = shift.start
    return began


def _following(watch: Watch, names: Set[str], now: int) -> tuple[int, tuple[str, ...]]:
    """Return when the watch changes hands, and to whom."""
    soon = now + GRACE_SECONDS * MICROSECONDS
    on_duty = {one for one, _ in watch.at(now)[0]}
    others = tuple(sorted((watch.always | on_duty) - names - {ANYONE}))
    if names.isdisjoint(on_duty):
        return soon, others
    following = next_handover(watch, now)
    if following is None:
        return soon, others
    at, people = following
    return at, tuple(sorted(set(people) - names)) or others
