"""Overrides: who may change who is on call, and every view of it at once."""

from __future__ import annotations

from watchkeeper.core.errors import Forbidden, Invalid, NotFound
from watchkeeper.decide.catalogue import Catalogue, CatalogueView
from watchkeeper.decide.refreshing import Refreshing
from watchkeeper.oncall import service as overrides
from watchkeeper.oncall.model import OWNER
from watchkeeper.oncall.schedules import Override
from watchkeeper.store.statement import Row
from watchkeeper.store.store import Store
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.oncall import AddOverride


class Overriding:
    """Makes and ends overrides; the deciding view knows of each once it is durable."""

    def __init__(self, store: Store, view: CatalogueView) -> None:
        self._store = store
        self._view = view
        self._version = 0
        self._refreshing = Refreshing("overrides", self.load)

    async def load(self) -> None:
        """Take over what is in the store; raise `Unavailable` if that can't be read."""
        while True:
            version = self._version
            found = await self._store.read(lambda tx: overrides.standing(tx, tx.now))
            if version == self._version:
                self._view.override(found)
                return

    def follow(self) -> None:
        """Read the store again: another plane may have changed something."""
        self._refreshing.begin()

    async def stop(self) -> None:
        """Let go of what is still being read."""
        await self._refreshing.stop()

    async def add(self, new: AddOverride, *, actor: str, names: frozenset[str], may: bool) -> Row:
        """Make an override; return its row.

        `names` are the caller's in documents. Unless they `may` change everything, they may
        only have another person of the schedule stand in for themselves, from a time at which
        they are on call. Raises `NotFound`, `Forbidden`, and as `oncall.service.add`.
        """

        def unit(tx: Transaction) -> Row:
            catalogue = self._view.now
            if new.schedule not in catalogue.schedules:
                raise NotFound(
                    f"there is no schedule {new.schedule!r:.80}",
                    where="schedule",
                    remedy="see `watchkeeper oncall show`",
                )
            _check_people(catalogue, new)
            if not may:
                _check_own(tx, catalogue, new, names)
            row = overrides.add(
                tx,
                new.schedule,
                new.kind,
                add=new.add,
                remove=new.remove,
                start=new.start,
                end=new.end,
                reason=new.reason,
                by=actor,
                own_only=not may,
            )
            self._take(tx)
            return row

        return await self._store.write(unit)

    async def end(self, override: str, *, reason: str, actor: str, may: bool) -> Row:
        """End an override; without `may` only one that the caller made for themselves.

        Raises `NotFound`, `Forbidden`, `Conflict`.
        """

        def unit(tx: Transaction) -> Row:
            row = overrides.find(tx, override)
            if not may and row.created_by != actor:
                raise Forbidden(
                    f"{row.created_by.removeprefix('person/')} made this override",
                    rule="permission/oncall",
                    remedy="ask them, or somebody who may change who is on call",
                )
            row = overrides.end(tx, override, reason=reason, by=actor)
            self._take(tx)
            return row

        return await self._store.write(unit)

    def _take(self, tx: Transaction) -> None:
        known = overrides.standing(tx, tx.now)
        tx.after_commit(lambda: self._put(known))

    def _put(self, known: tuple[Override, ...]) -> None:
        self._version += 1
        self._view.override(known)


def _check_people(catalogue: Catalogue, new: AddOverride) -> None:
    """Refuse a name that nobody has: who is misspelled would leave nobody on call."""
    rota = catalogue.rota
    standing = [one for one in rota.standing if one.schedule == new.schedule]
    taking_turns = rota.schedules[new.schedule].people
    known = taking_turns | {one.add for one in standing if one.add}
    if new.remove is not None and new.remove not in known:
        raise Invalid(
            f"{new.remove} takes no turns in {new.schedule}",
            where="remove",
            remedy=f"there are: {', '.join(sorted(known)) or 'none'}",
        )
    if new.add is None or new.add in known or new.add == OWNER or new.add in catalogue.people:
        return
    if not any(new.add in role.members for role in catalogue.roles.values()):
        raise Invalid(
            f"nobody here is called {new.add}: no person, role or schedule names them",
            where="add",
            remedy="check the spelling, or apply a `person` document",
        )


def _check_own(
    tx: Transaction, catalogue: Catalogue, new: AddOverride, names: frozenset[str]
) -> None:
    """Refuse all but handing one's own shift to somebody else who takes turns in it."""
    rota = catalogue.rota.now(tx)
    start = tx.now if new.start is None else max(new.start, tx.now)
    others = rota.schedules[new.schedule].people - names
    there = {person for person, _ in rota.of_schedule(new.schedule).at(start)[0]}
    own = new.kind == "replace" and new.remove in names and new.remove in there
    if own and new.add in others:
        return
    raise Forbidden(
        "without the permission `oncall` you may only hand a shift of your own, that you are on "
        f"call for at its start, to somebody else who takes turns in {new.schedule}",
        rule="permission/oncall",
        remedy="ask somebody who may change who is on call",
    )
