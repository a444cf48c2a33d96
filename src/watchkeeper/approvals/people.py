"""Who is who: one person under several names, and who may vote for whom."""

from __future__ import annotations

import unicodedata
from collections.abc import Set
from dataclasses import dataclass
from typing import Protocol


def person_key(principal: str) -> str:
    """Return the form in which two spellings of one name are equal.

    `spiffe://…/person/Ada`, `person/ada` and `ada` are the same, and so are an address and its
    `mailto:` (RFC 6068) or `acct:` (RFC 7565); agents keep their kind.
    """
    name = unicodedata.normalize("NFKC", principal).strip().casefold()
    if name.startswith("spiffe://"):
        name = name.removeprefix("spiffe://").partition("/")[2]
    for scheme in ("mailto:", "acct:"):
        name = name.removeprefix(scheme)
    return name.removeprefix("person/")


class People(Protocol):
    """What is known of people at one moment; this room has no register of its own."""

    def key(self, name: str) -> str:
        """Return the one key of whoever is called so."""
        ...

    def names(self, name: str) -> frozenset[str]:
        """Return the keys of every name that whoever is called so has."""
        ...

    def roles(self, person: str) -> Set[str]:
        """Return the roles that a person holds now."""
        ...

    def documented(self, person: str) -> bool:
        """Tell whether somebody has a document of their own."""
        ...

    def known(self, person: str) -> bool:
        """Tell whether any document names somebody."""
        ...

    def locked(self, person: str) -> str | None:
        """Return the lock on somebody, whose votes do not count under it, or None."""
        ...

    def belongs(self, person: str, role: str, at: int) -> bool:
        """Tell whether a person is one of a role's people, or held it at a time.

        That a shift ended changes nothing; that somebody was taken off the role does.
        """
        ...


class Strangers:
    """Nobody is known: every name is a person of its own, and what was held is held."""

    def key(self, name: str) -> str:
        """Return the name itself."""
        return person_key(name)

    def names(self, name: str) -> frozenset[str]:
        """Return the name itself."""
        return frozenset({person_key(name)})

    def roles(self, person: str) -> Set[str]:
        """Nobody holds anything."""
        return frozenset()

    def documented(self, person: str) -> bool:
        """Nobody has a document."""
        return False

    def known(self, person: str) -> bool:
        """Everybody may be somebody."""
        return True

    def locked(self, person: str) -> str | None:
        """Nobody is locked."""
        return None

    def belongs(self, person: str, role: str, at: int) -> bool:
        """Nothing is known of roles: what somebody holds, no document says."""
        return False


STRANGERS = Strangers()


@dataclass(frozen=True, slots=True)
class Voter:
    """Somebody who votes at one moment: under which names, in which roles, for whom."""

    person: str
    """As events name them."""
    keys: frozenset[str]
    """The keys of all their names."""
    roles: Set[str]
    """What they vote in; of somebody who votes for another, what that one delegated."""
    linked: frozenset[str] = frozenset()
    """The keys of everybody who delegates to them or to whom they delegate, now."""
    acting_for: Voter | None = None
    """Whose vote it is, where it is another's; only names and links of that one count."""

    @property
    def both(self) -> frozenset[str]:
        """The keys of all who vote once this vote is cast."""
        return self.keys if self.acting_for is None else self.keys | self.acting_for.keys

    @property
    def name(self) -> str:
        """The person as sentences name them."""
        return self.person.removeprefix("person/")
