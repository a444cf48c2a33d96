"""Who is who among people: names, aliases, and what they hold, as documents say now."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from watchkeeper.approvals.people import person_key
from watchkeeper.core.errors import Invalid
from watchkeeper.decide.people.rota import PERSON_ROLE
from watchkeeper.kill.model import Covered, LockInForce
from watchkeeper.kill.rules import covering
from watchkeeper.kill.service import locks_in_force
from watchkeeper.oncall.model import ANYONE, OWNER
from watchkeeper.oncall.service import standing
from watchkeeper.registry.people import Person
from watchkeeper.store.transaction import Transaction

if TYPE_CHECKING:
    from watchkeeper.decide.catalogue import Catalogue


@dataclass(frozen=True, slots=True)
class Names:
    """Every name that a person document gives, as keys: whose it is, and what else they are."""

    owners: Mapping[str, str]
    """Key of any name → key of the person's own."""
    all: Mapping[str, frozenset[str]]
    """Key of a person's own name → keys of all."""

    def key(self, name: str) -> str:
        """Return the one key of whoever is called so."""
        key = person_key(name)
        return self.owners.get(key, key)

    def names(self, name: str) -> frozenset[str]:
        """Return the keys of every name that whoever is called so has."""
        key = person_key(name)
        return self.all.get(self.owners.get(key, key), frozenset()) | {key}


def gather_names(people: Iterable[Person]) -> Names:
    """Gather the names of people; raise `Invalid` where two of them claim one, or one `owner`.

    Accounts and subjects at issuers are names too where nobody else has them.
    """
    known = list(people)
    owners = {OWNER: OWNER} | {person_key(one.name): person_key(one.name) for one in known}
    for one in known:
        for alias in one.aliases:
            taken = owners.setdefault(person_key(alias), person_key(one.name))
            if taken != person_key(one.name):
                raise Invalid(
                    f"person {one.name!r}: alias {alias!r:.80} is a name of {taken!r}",
                    rule="person/aliases",
                    remedy="give each name to one person; nothing was changed",
                )
    loose: dict[str, set[str]] = {}
    for one in known:
        for name in (*one.accounts, *(at.subject for at in one.oidc)):
            loose.setdefault(person_key(name), set()).add(person_key(one.name))
    for key, claimed in loose.items():
        if len(claimed) == 1 and key not in owners:
            owners[key] = next(iter(claimed))
    groups: dict[str, set[str]] = {}
    for key, owner in owners.items():
        groups.setdefault(owner, set()).add(key)
    return Names(owners, {owner: frozenset(keys) for owner, keys in groups.items()})


def lock_on_person(locks: Iterable[LockInForce], names: frozenset[str]) -> LockInForce | None:
    """Return the lock on somebody, by the keys of all their names, or None.

    Under one that only refuses new runs on their behalf they do as before.
    """
    of_people = [lock for lock in locks if lock.target.kind == "person"]
    return covering(of_people, Covered("", "", "", persons=names)) if of_people else None


class PeopleInForce:
    """People as a transaction sees them (`approvals.people.People`)."""

    def __init__(
        self,
        tx: Transaction,
        catalogue: Catalogue,
        locks: Sequence[LockInForce] | None = None,
    ) -> None:
        """`locks`: those in force, where they are known already."""
        self._tx = tx
        self._catalogue = catalogue
        self._locks = locks

    def key(self, name: str) -> str:
        """Return the one key of whoever is called so."""
        return self._catalogue.names.key(name)

    def names(self, name: str) -> frozenset[str]:
        """Return the keys of every name that whoever is called so has."""
        return self._catalogue.names.names(name)

    def roles(self, person: str) -> frozenset[str]:
        """Return the roles that a person holds now; nobody is taken for the plane's owner."""
        rota = self._catalogue.rota.now(self._tx)
        return rota.roles_of(self.key(person), owner=False, at=self._tx.now)

    def locked(self, person: str) -> str | None:
        """Return the lock on somebody, whose votes do not count under it, or None."""
        if self._locks is None:
            self._locks = locks_in_force(self._tx)
        lock = lock_on_person(self._locks, self.names(person))
        return lock.lock if lock is not None else None

    def documented(self, person: str) -> bool:
        """Tell whether a person document is in force for somebody."""
        return self.key(person) in self._catalogue.people

    def known(self, person: str) -> bool:
        """Tell whether a document names somebody: their own, a role's or a schedule's."""
        key = self.key(person)
        rota = self._catalogue.rota
        return self.documented(person) or any(key in rota.people_of(role) for role in rota.roles)

    def belongs(self, person: str, role: str, at: int) -> bool:
        """Tell whether a person is one of a role's people, or held it at a time."""
        key = self.key(person)
        if role.startswith(PERSON_ROLE):
            return key == role.removeprefix(PERSON_ROLE)
        rota = self._catalogue.rota
        named = rota.people_of(role)
        if key in named or ANYONE in named:
            return True
        return key in rota.overridden(standing(self._tx, at)).holders(role, at)
