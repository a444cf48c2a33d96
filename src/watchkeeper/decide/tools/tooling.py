"""Tools as people see them: contracts, pins, quarantine, and what was decided of each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sqlalchemy import bindparam, func, select

from watchkeeper.core import ids
from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.core.errors import NotFound
from watchkeeper.core.text import has_hidden
from watchkeeper.decide.catalogue import Catalogue, GovernedTool
from watchkeeper.decide.tables import decisions, is_tool
from watchkeeper.decide.tools.sightings import names_of, wanted_of
from watchkeeper.kill.model import LockInForce
from watchkeeper.kill.service import locks_in_force
from watchkeeper.registry.words import tool_clauses
from watchkeeper.store.statement import Statement
from watchkeeper.store.transaction import Transaction
from watchkeeper.tools.pins.differences import compare
from watchkeeper.tools.pins.drafts import draft
from watchkeeper.tools.pins.model import Distrusted, Pin
from watchkeeper.tools.pins.rules import acceptable, quarantined, reason_of
from watchkeeper.tools.upstreams.model import ToolDefinition
from watchkeeper.wire.tools import (
    COUNTED,
    Clause,
    Definition,
    Draft,
    QuarantineRow,
    RuleCount,
    ToolDetail,
    ToolRow,
    ToolState,
)

_DAY = 86_400 * MICROSECONDS
_newest = (
    select(decisions.c.verdict)
    .where(
        is_tool,
        decisions.c.name == bindparam("name_is"),
        decisions.c.decision > bindparam("since"),
    )
    .order_by(decisions.c.decision.desc())
    .limit(COUNTED)
    .subquery()
)
_COUNT = Statement(select(_newest.c.verdict, func.count().label("n")).group_by(_newest.c.verdict))
_newest_rules = (
    select(decisions.c.verdict, decisions.c.rule)
    .where(
        is_tool,
        decisions.c.name == bindparam("name_is"),
        decisions.c.decision > bindparam("since"),
    )
    .order_by(decisions.c.decision.desc())
    .limit(COUNTED)
    .subquery()
)
_RULES = Statement(
    select(_newest_rules.c.verdict, _newest_rules.c.rule, func.count().label("n"))
    .group_by(_newest_rules.c.verdict, _newest_rules.c.rule)
    .order_by(func.count().desc(), _newest_rules.c.rule)
    .limit(50)
)


def list_tools(
    tx: Transaction, catalogue: Catalogue, *, after: str | None, limit: int, text: str = ""
) -> tuple[list[ToolRow], str | None, int]:
    """Return a page of tools by name, the key to continue after, and how many match.

    Tools that an upstream offers without a contract come too, as `UPSTREAM/TOOL`.
    """
    wanted = text.lower()
    names = sorted(
        name
        for name, about in _all_names(catalogue)
        if not wanted or wanted in f"{name} {about}".lower()
    )
    rest = [name for name in names if after is None or name > after]
    page = rest[:limit]
    locks = locks_in_force(tx)
    rows = [_row(tx, catalogue, name, locks) for name in page]
    return rows, page[-1] if len(rest) > limit else None, len(names)


def read_tool(tx: Transaction, catalogue: Catalogue, name: str) -> ToolDetail:
    """Return one tool in full; raise `NotFound` for a name that nothing bears."""
    governed, pin = _find(catalogue, name)
    shown = _row(tx, catalogue, name, locks_in_force(tx)).model_dump()
    rules = _RULES.all(tx, name_is=name, since=_since(tx)) if governed else ()
    observed = _offered(catalogue, pin) if pin else None
    differs = observed is not None and (
        pin is None or pin.pinned is None or pin.pinned.digest != observed.digest
    )
    return ToolDetail(
        **shown,
        clauses=tuple(
            Clause(about=about, text=said) for about, said in tool_clauses(governed.contract)
        )
        if governed
        else (),
        contract_yaml=governed.text if governed else "",
        contract_digest=governed.digest if governed else None,
        pinned=_shown(pin.pinned) if pin and pin.pinned else None,
        pinned_by=pin.pinned_by if pin else None,
        pinned_how=pin.pinned_how if pin else None,
        pinned_at=pin.pinned_at if pin else None,
        observed=_shown(observed) if observed and differs else None,
        observed_at=pin.since if pin and differs else None,
        diff=compare(pin.pinned if pin else None, observed) if differs else (),
        like=pin.like if pin else None,
        rejected_by=pin.rejected_by if pin and pin.is_rejected else None,
        used_by=tuple(_users(catalogue, name)),
        rules=tuple(RuleCount(verdict=r.verdict, rule=r.rule, count=r.n) for r in rules),
    )


def list_quarantine(catalogue: Catalogue, limit: int) -> tuple[list[QuarantineRow], int]:
    """Return the definitions that wait for a person, and how many there are.

    What contracts are over comes first, then what nobody has rejected, then the oldest.
    """
    waiting = waiting_pins(catalogue)
    return [describe_quarantined(catalogue, pin) for pin in waiting[:limit]], len(waiting)


def waiting_pins(catalogue: Catalogue) -> list[Pin]:
    """Return every pin in quarantine, in the order of `list_quarantine`."""
    upstreams = {upstream for upstream, _ in catalogue.pins.by_tool}
    over = {upstream: names_of(catalogue, upstream) for upstream in upstreams}
    return sorted(
        quarantined(catalogue.pins),
        key=lambda pin: (pin.tool not in over[pin.upstream], pin.is_rejected),
    )


def draft_contracts(catalogue: Catalogue, upstream: str) -> Draft:
    """Draft contracts for what an upstream offers without one; raise `NotFound`."""
    if upstream not in catalogue.upstreams:
        raise NotFound(
            f"there is no upstream {upstream!r:.80}", remedy="apply an upstream document for it"
        )
    pins = catalogue.pins
    listing = pins.heard.get(upstream)
    if listing is None:
        listing = {pin.tool: pin.observed for pin in pins.of(upstream).values() if pin.observed}
    if not listing and upstream not in pins.seen:
        raise NotFound(
            f"upstream {upstream} has not been listed yet",
            code="not_listed",
            remedy="see `watchkeeper status` on how it does",
        )
    covered = wanted_of(catalogue, upstream)
    made = draft(upstream, listing, covered)
    return Draft(
        upstream=upstream,
        yaml=made.yaml,
        drafted=made.count,
        covered=sum(tool in covered for tool in listing),
        left_out=made.left_out,
    )


def _all_names(catalogue: Catalogue) -> Iterator[tuple[str, str]]:
    over = set()
    for name, governed in catalogue.tools.items():
        contract = governed.contract
        if contract.upstream is not None:
            over.add((contract.upstream, contract.offered_as))
        yield name, f"{contract.upstream or ''} {contract.does}"
    for key in catalogue.pins.by_tool:
        if key not in over:
            yield "/".join(key), ""


def _find(catalogue: Catalogue, name: str) -> tuple[GovernedTool | None, Pin | None]:
    governed = catalogue.tools.get(name)
    if governed is not None:
        contract = governed.contract
        key = (contract.upstream or "", contract.offered_as)
        return governed, catalogue.pins.by_tool.get(key)
    upstream, _, tool = name.partition("/")
    pin = catalogue.pins.by_tool.get((upstream, tool))
    if pin is None:
        raise NotFound(f"there is no tool {name!r:.80}", remedy="see `watchkeeper tools list`")
    return None, pin


def _row(tx: Transaction, catalogue: Catalogue, name: str, locks: Sequence[LockInForce]) -> ToolRow:
    governed, pin = _find(catalogue, name)
    state, why = _state(catalogue, governed, pin)
    if governed is None:
        assert pin is not None
        words = pin.pinned or pin.observed
        return ToolRow(
            name=name,
            covered=False,
            upstream=pin.upstream,
            upstream_tool=pin.tool,
            does=(words.description or words.title or "")[:2000] if words else "",
            state=state,
            why=why,
        )
    contract = governed.contract
    counts = {row.verdict: row.n for row in _COUNT.all(tx, name_is=name, since=_since(tx))}
    return ToolRow(
        name=name,
        covered=True,
        upstream=contract.upstream,
        upstream_tool=contract.offered_as if contract.upstream else None,
        access=contract.access,
        risk=contract.risk,
        does=contract.does,
        state=state,
        why=why,
        agents=len(_users(catalogue, name)),
        calls_day=sum(counts.values()),
        denied_day=counts.get("deny", 0),
        locks=tuple(
            lock.lock for lock in locks if lock.target.kind == "tool" and lock.target.name == name
        ),
    )


def _state(
    catalogue: Catalogue, governed: GovernedTool | None, pin: Pin | None
) -> tuple[ToolState, str | None]:
    """Return how a tool stands for the decision path now, which may be ahead of the record."""
    if governed is None:
        return (pin.state if pin else "unseen"), "no contract is in force for it"
    if governed.contract.upstream is None:
        return "own", None
    trusted = catalogue.trust(governed.contract)
    if isinstance(trusted, Distrusted):
        if trusted.rule == "gone":
            return "gone", trusted.reason
        waits = pin.quarantine if pin else None
        return waits or "changed", trusted.reason
    return ("pinned" if pin is not None and pin.observed is not None else "unseen"), None


def _users(catalogue: Catalogue, name: str) -> Sequence[str]:
    return sorted(agent for agent, one in catalogue.agents.items() if name in one.tools)


def _offered(catalogue: Catalogue, pin: Pin) -> ToolDefinition | None:
    return catalogue.pins.listed(pin.upstream, pin.tool)


def describe_quarantined(catalogue: Catalogue, pin: Pin) -> QuarantineRow:
    """Return what a person needs to judge a definition that waits."""
    assert pin.observed is not None
    assert pin.quarantine is not None
    wanted = wanted_of(catalogue, pin.upstream).get(pin.tool, frozenset())
    barrier = acceptable(pin, pin.observed.digest, wanted)
    return QuarantineRow(
        upstream=pin.upstream,
        tool=pin.tool,
        names=names_of(catalogue, pin.upstream).get(pin.tool, ()),
        state=pin.quarantine,
        why="; ".join(dict.fromkeys(filter(None, (barrier, reason_of(pin))))),
        digest=pin.observed.digest,
        pinned=pin.pinned.digest if pin.pinned else None,
        acceptable=barrier is None,
        like=pin.like,
        diff=compare(pin.pinned, pin.observed),
        since=pin.since,
        rejected_by=pin.rejected_by if pin.is_rejected else None,
        rejected_why=pin.rejected_why if pin.is_rejected else None,
    )


def _shown(definition: ToolDefinition) -> Definition:
    return Definition(
        digest=definition.digest,
        title=definition.title,
        description=definition.description,
        input_schema=definition.input_schema,
        output_schema=definition.output_schema,
        annotations=definition.annotations,
        hidden=has_hidden(definition.text) or has_hidden(definition.name),
        problem=definition.problem,
    )


def _since(tx: Transaction) -> str:
    return ids.new_at("dec", max(0, tx.now - _DAY))
