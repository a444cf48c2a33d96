"""Who holds roles when: members by document, and whoever is on call."""

from __future__ import annotations

from collections.abc import Iterable

from watchkeeper.core.clock import MICROSECONDS, utc_text
from watchkeeper.decide.catalogue import CatalogueView
from watchkeeper.decide.people.directory import PeopleInForce
from watchkeeper.decide.people.rota import Rota
from watchkeeper.oncall.model import ANYONE, Holders
from watchkeeper.store.transaction import Transaction

_DAY = 86_400 * MICROSECONDS
_MOST_NAMED = 5


def words_on_call(rota: Rota, roles: Iterable[str], at: int) -> tuple[str, ...]:
    """Say of each role who holds it, and until when: `sre-oncall: ada until 18:00Z, bob`."""
    return tuple(f"{role}: {', '.join(_names(rota, role, at))}" for role in roles)


def _names(rota: Rota, role: str, at: int) -> list[str]:
    found: dict[str, int | None] = dict.fromkeys(sorted(rota.of_role(role).always))
    document = rota.roles.get(role)
    for schedule in document.schedules if document else ():
        for one in rota.ends(schedule, at):
            found.setdefault(one.person, one.until)
    names = [
        name + (f" until {_time(until, at)}" if until is not None else "")
        for name, until in found.items()
    ]
    more = [f"{len(names) - _MOST_NAMED} more"] if len(names) > _MOST_NAMED else []
    return [*names[:_MOST_NAMED], *more] or ["nobody is on call"]


def _time(until: int, at: int) -> str:
    text = utc_text(until)
    return f"{text[11:16]}Z" if until - at < _DAY else f"{text[:10]} {text[11:16]}Z"


class RolesInForce:
    """Coverage of the roles that are in force now."""

    def __init__(self, view: CatalogueView) -> None:
        self._view = view

    def holders(self, tx: Transaction, role: str, at: int) -> Holders:
        """Return who holds a role at a time; one that nobody defined is held by nobody.

        Nobody is asked who is locked.
        """
        catalogue = self._view.now
        held = catalogue.rota.now(tx).holders(role, at)
        people = PeopleInForce(tx, catalogue)
        there = (one for one in held - {ANYONE} if people.locked(one) is None)
        return Holders(tuple(sorted(there)), ANYONE in held)

    def next_change(self, tx: Transaction, at: int) -> int | None:
        """Return when somebody may next come on call; None: no schedule says."""
        return self._view.now.rota.now(tx).next_change(at)
