"""Which breakers are over an agent, what they look at, and which are open."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from watchkeeper.breakers import service
from watchkeeper.breakers.model import Budget as Burned
from watchkeeper.breakers.model import Standing, breaker_id
from watchkeeper.decide.catalogue import Catalogue
from watchkeeper.decide.model import Progress, Ruling
from watchkeeper.registry.spending import Breaker, Budget
from watchkeeper.store.store import Store
from watchkeeper.store.transaction import Transaction

RULE = "breaker/"
"""How the rules begin that an open breaker refuses by; then comes its id."""
_SECONDS = {"hour": 3600, "day": 86_400, "week": 7 * 86_400, "month": 30 * 86_400}
"""Periods that a budget is used up over; a run's or a call's is none."""


class Open:
    """Which agents may have a breaker that is not closed, for sparing all others the question.

    A deciding transaction reads the breakers of an agent only where this says so, so this must
    never say less than what is committed. An agent is marked before the unit of work that opens
    its breaker is queued: a call that is decided in the same batch as that unit, after it, is
    asked too. It is unmarked once a unit of work that closed its last breaker is durable. One
    plane alone writes a store, so nothing else opens any.
    """

    def __init__(self) -> None:
        self._open: frozenset[str] = frozenset()
        self._opening: Counter[str] = Counter()

    def __contains__(self, agent: object) -> bool:
        return agent in self._open or agent in self._opening

    async def load(self, store: Store) -> None:
        """Read what is open; before the first call is decided."""
        found = await store.read(service.read_all)
        self._open = frozenset(one.agent for one in found.values() if one.state != "closed")

    def begin(self, agent: str) -> None:
        """Mark an agent whose breaker is about to be opened."""
        self._opening[agent] += 1

    def end(self, agent: str) -> None:
        """Say that the unit of work that was about to open it has ended."""
        self._opening[agent] -= 1
        self._opening += Counter()

    def changed(self, tx: Transaction, agent: str) -> None:
        """Look, within a unit of work that changed a breaker, what is open after it."""
        is_open = bool(service.not_closed(tx, agent))
        tx.after_commit(lambda: self._set(agent, is_open))

    def _set(self, agent: str, is_open: bool) -> None:
        self._open = self._open | {agent} if is_open else self._open - {agent}


def breakers_over(catalogue: Catalogue, agent: str) -> Iterator[Breaker]:
    """Yield the `breaker` documents whose scope covers an agent."""
    team = catalogue.team_of(agent)
    if agent in catalogue.agents:
        scopes = ("all", f"agent/{agent}", f"team/{team}")
        yield from (one for one in catalogue.breakers if one.scope in scopes)


def document_over(catalogue: Catalogue, name: str, agent: str) -> Breaker | None:
    """Return a document in force by its name, or None if it is not over the agent."""
    return next((one for one in breakers_over(catalogue, agent) if one.name == name), None)


def document_of(catalogue: Catalogue, standing: Standing) -> Breaker | None:
    """Return the document in force of a breaker, or None if it is over the agent no more."""
    return document_over(catalogue, standing.document, standing.agent)


def breakers_in_force(catalogue: Catalogue) -> Iterator[tuple[str, str, Breaker]]:
    """Yield every breaker there is: its id, its agent, its document."""
    for agent in catalogue.agents:
        for document in breakers_over(catalogue, agent):
            yield breaker_id(document.name, agent), agent, document


def close_outdated(tx: Transaction, catalogue: Catalogue) -> None:
    """Close what no document in force puts over its agent any more.

    Its agent stays marked in `Open`, which costs it one question a call and nothing else.
    """
    service.close_outdated(tx, lambda standing: document_of(catalogue, standing) is not None)


def burned_by(catalogue: Catalogue, agent: str) -> tuple[Burned, ...]:
    """Return the caps over an agent that it can use up before their period ends.

    The caps of its own budgets, its team's, its project's and the plane's. What others use of
    them is their own breakers' matter.
    """
    governed = catalogue.agents.get(agent)
    if governed is None:
        return ()
    contract = governed.contract
    kinds = {
        "agent": agent,
        "team": contract.owner,
        "project": contract.project,
        "version": f"{agent}@{governed.version}",
    }
    return tuple(
        Burned(budget.name, measure, cap, budget.period, seconds)
        for budget in catalogue.budgets
        if (seconds := _SECONDS.get(budget.period)) and _covers(budget.scope, kinds)
        for measure, cap in _caps(budget)
    )


def _covers(scope: str, names: dict[str, str | None]) -> bool:
    kind, _, name = scope.partition("/")
    if kind == "all":
        return True
    mine = names.get(kind)
    if mine is None:
        return False
    agent = mine.partition("@")[0]
    return name in (mine, "*", agent, f"{agent}@*", "*@*")


def _caps(budget: Budget) -> Iterator[tuple[str, int]]:
    limits = budget.limits
    named = {
        "spend": limits.spend_usd,
        "tokens": limits.tokens,
        "input_tokens": limits.input_tokens,
        "output_tokens": limits.output_tokens,
        "tool_calls": limits.tool_calls,
    }
    yield from ((measure, cap) for measure, cap in named.items() if cap)


def take_part(tx: Transaction, ruling: Ruling, progress: Progress, decision: str) -> None:
    """Let a permit be the probe of what is open, and count what an open breaker refused."""
    if ruling.verdict == "permit":
        for standing in progress.probes:
            service.claim_probe(tx, standing, decision)
    elif ruling.rule.startswith(RULE):
        service.count_refused(tx, ruling.rule.removeprefix(RULE))
