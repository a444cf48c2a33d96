"""What the entries of the ledger tell of its keys and forks, and whether the store agrees."""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from watchkeeper.ledger.claims import Claims, What

TELLS = frozenset({"plane.started", "ledger.key_rotated", "ledger.forked", "ledger.fork_accepted"})
"""Types of the entries that tell of them."""


class Bad(Exception):
    """The ledger is not what was written."""

    def __init__(self, first_bad: int | None, what: What, detail: str) -> None:
        super().__init__(detail)
        self.found = (first_bad, what, detail)


@dataclass(slots=True)
class Fork:
    """A ledger that was put back to an earlier state, and went on under another key."""

    origin: str
    sequence: int
    lost: int
    reason: str
    accepted: str | None = None


class _Told(NamedTuple):
    """What an entry tells of a key, as the store's row of it has to be."""

    origin: str
    cause: str
    reason: str | None
    """None where it is personal data, to which the entry only commits."""
    made_at: int
    lost_size: int | None
    accepted_by: str | None = None
    accepted_at: int | None = None


class KeyHistory:
    """Hears the entries in order."""

    def __init__(self) -> None:
        self.forks: list[Fork] = []
        self._told: dict[str, _Told | None] = {}
        self._since: dict[str, int] = {}
        """The entry that first tells of a key."""

    def forked(self, origin: str) -> bool:
        """Tell whether the log of a name was left at a fork."""
        return any(fork.origin == origin for fork in self.forks)

    def hear(self, sequence: int, type_: str, at: int, actor: str, body: str) -> None:
        """Note what an entry tells of the log's keys."""
        told = json.loads(body)
        if type_ == "ledger.fork_accepted":
            for fork in self.forks:
                fork.accepted = fork.accepted or f"{actor}: {told.get('reason')}"
            self._told = {
                key: one._replace(accepted_by=actor, accepted_at=at)
                if one is not None and one.cause == "forked" and one.accepted_at is None
                else one
                for key, one in self._told.items()
            }
            return
        if isinstance(key := told.get("ledger_key" if type_ == "plane.started" else "key"), str):
            cause = type_.removeprefix("ledger.").removeprefix("key_")
            lost_size = told.get("lost_size")
            reason = None if told.get("personal") else told.get("reason")
            one = _Told(told.get("origin"), cause, reason, at, lost_size)
            self._told.setdefault(key, None if type_ == "plane.started" else one)
            self._since.setdefault(key, sequence)
        if type_ == "ledger.forked":
            lost = int(told.get("lost_size") or 0)
            origin, reason = str(told.get("was")), str(told.get("reason"))
            self.forks.append(Fork(origin, sequence, lost, reason))

    def check(self, claims: Claims) -> None:
        """Hold the keys in the store against what the entries tell of them; raise `Bad`."""
        for number, key in enumerate(claims.keys, 1):
            if key.text() not in self._told:
                raise Bad(None, "inserted", f"the ledger tells of no key {key.id.hex()}")
            row, told = claims.told[key.text()], self._told[key.text()]
            # of the first only the plane's start tells, which names it
            stored = None if number == 1 else _Told(*(getattr(row, one) for one in _Told._fields))
            if told is not None and told.reason is None:
                told = told._replace(reason=row.reason)
            if stored != told or (number == 1 and (row.cause, row.lost_size) != ("began", None)):
                raise Bad(None, "changed", f"what is said of key {number} was altered")
        if self._told.keys() - claims.told.keys():
            raise Bad(None, "missing", "a key that the ledger tells of is gone")
        for was, now in pairwise(claims.keys):
            since, size = self._since[now.text()], claims.reached.get(was.text(), 0)
            if was.name == now.name and size >= since:
                raise Bad(
                    None, "changed",
                    f"{size} entries were signed with key {was.id.hex()} alone, which was replaced "
                    f"at entry {since}: whoever had it forged a signature",
                )  # fmt: skip
