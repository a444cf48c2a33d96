"""Applying a directory: plan, show, and put in force as one change."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from watchkeeper.core.errors import Conflict, NotFound, Unavailable
from watchkeeper.decide.budgets.breakers import close_outdated
from watchkeeper.decide.catalogue import Catalogue, CatalogueView, build_catalogue
from watchkeeper.decide.held.standing import end_changed
from watchkeeper.decide.models.price_search import PriceSearch, Search, known_of, warn_unpriced
from watchkeeper.decide.people.rota import Rota
from watchkeeper.decide.people.vacancies import find_vacancies
from watchkeeper.decide.policies.gaps import find_policy_gaps
from watchkeeper.decide.replay.cases import check_cases
from watchkeeper.identity.persons import revoke_tokens_of
from watchkeeper.models.price_book import Kept, Model, as_kept, keep, next_change, read_book
from watchkeeper.policy import stages
from watchkeeper.registry import service as registry
from watchkeeper.registry.cases import is_cases, read_cases
from watchkeeper.registry.providers import Provider
from watchkeeper.registry.rules import Change, InForce, Key, find_gaps, plan, plan_digest
from watchkeeper.registry.source import Sourced, read_file
from watchkeeper.store.store import Store
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.policy import Stage


@dataclass(frozen=True, slots=True)
class Planned:
    """What applying would change, or has changed."""

    changes: tuple[Change, ...]
    digest: str
    applied: bool
    gaps: tuple[str, ...]


class Applying:
    """Plans and applies directories of documents."""

    def __init__(
        self, store: Store, catalogue: CatalogueView, search: PriceSearch | None = None
    ) -> None:
        self._store = store
        self._catalogue = catalogue
        self.price_search = search or PriceSearch()
        self._book: Mapping[Model, Kept] = {}
        """The prices kept, as they were when the catalogue was compiled."""

    async def load(self) -> None:
        """Put what the store holds in force in this plane."""
        self._put(*await self._store.read(_in_force))

    async def reprice(self) -> None:
        """Look up prices that are missing or were found in older data; follow what has begun."""
        now, providers = self._store.clock.now(), self._catalogue.now.providers.values()
        search = await self.price_search.find(providers, self._book, now)
        if search.trouble:
            raise Unavailable(search.trouble, code="price_data_unreadable")
        begun = next_change(self._book)
        if not search.found and (begun is None or begun > now):
            return

        def unit(tx: Transaction) -> None:
            keep(tx, search.found, self.price_search.source, actor="plane")
            self._follow(tx)

        await self._store.write(unit)
        self.price_search.note(search)

    def _follow(self, tx: Transaction) -> Catalogue:
        """Compile what a transaction leaves in force, to hold once it is committed."""
        catalogue, book = _in_force(tx)
        tx.after_commit(lambda: self._put(catalogue, book))
        return catalogue

    def _put(self, catalogue: Catalogue, book: Mapping[Model, Kept]) -> None:
        self._catalogue.replace(catalogue)
        self._book = book

    async def plan(self, files: Sequence[tuple[str, str]], *, prune: bool) -> Planned:
        """Return what applying (path, text) pairs would change; nothing is changed.

        Raises `Invalid` that points at file, line and field, or at a case that would fail.
        """
        wanted, cases = await asyncio.to_thread(lambda: (read_files(files), read_cases(files)))
        search = await self._look_up(wanted)

        def query(tx: Transaction) -> Planned:
            standing = registry.read_standing(tx)
            changes = plan(wanted, standing, prune=prune)
            after = after_plan(standing, changes)
            book = as_kept(read_book(tx), search.found, self.price_search.source)
            catalogue = build_catalogue(after, known=known_of(providers_of(after), book))
            check_cases(catalogue, cases, tx.now)
            rota = catalogue.rota.now(tx)
            warnings = (
                *gaps_of(after),
                *_priceless(catalogue, search),
                *vacancies_of(rota, tx.now),
            )
            return Planned(tuple(changes), plan_digest(changes), False, warnings)

        # a thousand policies and their cases take a while: away from the loop
        return await self._store.scan(query)

    async def apply(
        self,
        files: Sequence[tuple[str, str]],
        *,
        prune: bool,
        actor: str,
        seen_plan: str | None = None,
        check: Callable[[Sequence[Change]], None] | None = None,
    ) -> Planned:
        """Apply (path, text) pairs: all of them, or on any mistake none.

        `check` is asked whether these changes may be made, and raises what forbids them. The
        tokens of a person whose document goes end with it.

        Raises `Invalid` that points at file, line and field or at a case that fails, and
        `Conflict` if the plan is no longer the one seen.
        """
        wanted = await asyncio.to_thread(read_files, files)
        if any(is_cases(path) for path, _ in files):
            rehearsed = await self.plan(files, prune=prune)
            seen_plan = seen_plan or rehearsed.digest
        search = await self._look_up(wanted)

        def unit(tx: Transaction) -> Planned:
            changes = registry.apply(tx, wanted, actor=actor, prune=prune, seen_plan=seen_plan)
            if check is not None:
                check([one for one in changes if one.change != "unchanged"])
            for one in changes:
                if one.kind == "person" and one.change == "delete":
                    revoke_tokens_of(tx, one.name, actor=actor)
                if one.kind == "policy" and one.change == "delete":
                    stages.forget_stage(tx, one.name)
            if search.found:
                keep(tx, search.found, self.price_search.source, actor=actor)
            standing = registry.read_standing(tx)
            catalogue = self._follow(tx)
            end_changed(tx, catalogue)
            close_outdated(tx, catalogue)
            gaps = (*gaps_of(standing), *_priceless(catalogue, search))
            return Planned(tuple(changes), plan_digest(changes), True, gaps)

        applied = await self._store.write(unit)
        self.price_search.note(search)
        # four weeks of shifts are looked through away from the writer
        rota, now = self._catalogue.now.rota, self._store.clock.now()
        vacancies = await asyncio.to_thread(vacancies_of, rota, now)
        return replace(applied, gaps=(*applied.gaps, *vacancies))

    async def roll_back(
        self, kind: str, name: str, *, to: int | None, seen: int, actor: str, reason: str
    ) -> Planned:
        """Put an earlier version of a document in force again, as its newest version.

        `to` is the version before the one in force when None. Raises `NotFound`; `Conflict`
        if `seen` is not the version in force any more, or says nothing else; `Invalid` if the
        old text can't be used any more beside what is in force.
        """

        def unit(tx: Transaction) -> Planned:
            sourced, version = registry.find_version(tx, kind, name, to=to, seen=seen)
            changes = registry.apply(tx, [sourced], actor=actor)
            standing = registry.read_standing(tx)
            catalogue = self._follow(tx)
            tx.record(
                f"{kind}.rolled_back",
                actor=actor,
                subject=f"{kind}/{name}",
                body={
                    "from": seen,
                    "to": version,
                    "version": standing[(kind, name)].version,
                    "reason": reason,
                },
            )
            end_changed(tx, catalogue)
            close_outdated(tx, catalogue)
            gaps = (*gaps_of(standing), *warn_unpriced(catalogue.models))
            return Planned(tuple(changes), plan_digest(changes), True, gaps)

        return await self._store.write(unit)

    async def stage(
        self, name: str, stage: Stage, *, version: int, seen: Stage, actor: str, reason: str
    ) -> None:
        """Move a policy set to a stage; raise `Conflict` if it is not as it was seen."""

        def unit(tx: Transaction) -> None:
            standing = registry.read_standing(tx)
            current = standing.get(("policy", name))
            if current is None:
                raise NotFound(f"there is no policy set {name!r:.80} in force")
            if current.version != version:
                raise Conflict(
                    f"version {current.version} is in force, not {version}",
                    code="version_changed",
                    remedy="look at it again before you move it",
                )
            stages.set_stage(tx, name, stage, seen=seen, actor=actor, reason=reason)
            self._follow(tx)

        await self._store.write(unit)

    async def _look_up(self, wanted: Sequence[Sourced]) -> Search:
        """Find what models cost whose documents, about to be applied, do not say."""
        providers = (one.document for one in wanted if isinstance(one.document, Provider))
        return await self.price_search.find(providers, self._book, self._store.clock.now())


def _in_force(tx: Transaction) -> tuple[Catalogue, Mapping[Model, Kept]]:
    """Compile what the store holds in force, each policy set in its stage; with the prices."""
    standing, book = registry.read_standing(tx), read_book(tx)
    staged = {name: one.stage for name, one in stages.read_stages(tx).items()}
    return build_catalogue(standing, staged, known_of(providers_of(standing), book)), book


def providers_of(standing: Mapping[Key, InForce]) -> list[Provider]:
    """Return every provider in force."""
    return [old.document for old in standing.values() if isinstance(old.document, Provider)]


def _priceless(catalogue: Catalogue, search: Search) -> Iterable[str]:
    """Say what nobody knows the price of, and why it could not be looked up."""
    if search.trouble:
        yield search.trouble
    yield from warn_unpriced(catalogue.models)


def read_files(files: Sequence[tuple[str, str]]) -> list[Sourced]:
    """Read every file but the cases; raise `Invalid` for the first that is not right."""
    return [
        document for path, text in files if not is_cases(path) for document in read_file(path, text)
    ]


def gaps_of(standing: Mapping[Key, InForce]) -> tuple[str, ...]:
    """Return, in words, every reference among documents that leads nowhere."""
    documents = {key: old.document for key, old in standing.items()}
    return (*find_gaps(documents), *find_policy_gaps(documents))


def vacancies_of(rota: Rota, now: int) -> tuple[str, ...]:
    """Return, in words, when nobody is on call for a role within four weeks."""
    return tuple(one.words(rota) for one in find_vacancies(rota, now))


def after_plan(standing: Mapping[Key, InForce], changes: Sequence[Change]) -> dict[Key, InForce]:
    """Return what would be in force once changes were made."""
    after = dict(standing)
    for change in changes:
        key = (change.kind, change.name)
        if change.wanted is None:
            after.pop(key, None)
        else:
            old = standing.get(key)
            after[key] = InForce(
                change.kind,
                change.name,
                old.version if old else 0,
                change.digest,
                change.path,
                change.wanted.text,
                change.wanted.document,
            )
    return after
