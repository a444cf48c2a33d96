"""Policy sets as people see them: stage, version, what each policy did; and going back."""

from __future__ import annotations

import difflib
import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import case, func, or_, select

from watchkeeper.core import ids
from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.core.errors import NotFound
from watchkeeper.decide.catalogue import Catalogue, GovernedPolicy
from watchkeeper.decide.explaining import effect_of
from watchkeeper.decide.recorded import as_row
from watchkeeper.decide.tables import decisions
from watchkeeper.policy.stages import Staged, read_stages
from watchkeeper.registry.tables import documents
from watchkeeper.store.statement import Row
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.decisions import DecisionRow
from watchkeeper.wire.policy import PolicyRow, PolicySetDetail, PolicySetRow, PolicyVersionRow

DAY_US = 86_400 * MICROSECONDS
MOST_WOULD = 50_000
"""Decisions of a day that are counted for sets which are not enforced."""


@dataclass(frozen=True, slots=True)
class Fired:
    """What one policy did in a day."""

    denials: int = 0
    holds: int = 0
    last_at: int | None = None


def list_sets(tx: Transaction, catalogue: Catalogue) -> list[PolicySetRow]:
    """Return every policy set in force, by name."""
    fired, current, stages = _count_fired(tx), _current(tx), read_stages(tx)
    would = _count_would(tx)
    return [
        _row(name, governed, current[name], fired, stages.get(name), would.get(name, 0))
        for name, governed in sorted(catalogue.policies.items())
        if name in current
    ]


def read_set(tx: Transaction, catalogue: Catalogue, name: str) -> PolicySetDetail:
    """Return one policy set with its text; raise `NotFound`."""
    governed = catalogue.policies.get(name)
    row = _current(tx).get(name)
    if governed is None or row is None:
        raise NotFound(
            f"there is no policy set {name!r:.80} in force", remedy="see `watchkeeper policy list`"
        )
    fired = _count_fired(tx)
    return PolicySetDetail(
        **_row(
            name, governed, row, fired, read_stages(tx).get(name), _count_would(tx).get(name, 0)
        ).model_dump(),
        text=governed.file.text,
        digest=governed.digest,
        rules=tuple(
            PolicyRow(
                policy=rule.annotated.policy,
                effect=effect_of(rule),
                message=rule.annotated.message,
                line=rule.line or 1,
                annotations=dict(rule.annotations),
                denials_day=found.denials,
                holds_day=found.holds,
                last_fired_at=found.last_at,
            )
            for rule in governed.file.rules
            for found in (fired.get(rule.annotated.policy, Fired()),)
        ),
    )


def list_versions(
    tx: Transaction, name: str, *, after: str | None, limit: int
) -> tuple[list[PolicyVersionRow], str | None]:
    """Return a page of a set's versions, newest first; raise `NotFound` for an unknown set."""
    query = (
        select(documents)
        .where(documents.c.kind == "policy", documents.c.name == name)
        .order_by(documents.c.version.desc())
        .limit(limit + 1)
    )
    if after is not None and after.isdigit():
        query = query.where(documents.c.version < int(after))
    rows = list(tx.connection.execute(query))
    if not rows and after is None:
        raise NotFound(f"there is no policy set {name!r:.80}")
    page = rows[:limit]
    earlier: Sequence[Row | None] = [*rows[1:], *([None] * (len(page) - len(rows) + 1))]
    shown = [_version(row, old) for row, old in zip(page, earlier, strict=False)]
    return shown, str(page[-1].version) if len(rows) > limit else None


def list_set_decisions(
    tx: Transaction,
    catalogue: Catalogue,
    name: str,
    *,
    agents: Collection[str] | None,
    after: str | None,
    limit: int,
) -> tuple[list[DecisionRow], str | None]:
    """Return a page of the decisions that a set's policies denied or held, newest first."""
    governed = catalogue.policies.get(name)
    if governed is None:
        raise NotFound(f"there is no policy set {name!r:.80} in force")
    rules = [f"policy/{rule.annotated.policy}" for rule in governed.file.rules]
    query = (
        select(decisions)
        .where(decisions.c.rule.in_(rules), decisions.c.verdict != "permit")
        .order_by(decisions.c.decision.desc())
        .limit(limit + 1)
    )
    if agents is not None:
        query = query.where(decisions.c.agent.in_(sorted(agents)))
    if after is not None:
        query = query.where(decisions.c.decision < after)
    rows = list(tx.connection.execute(query))
    page = rows[:limit]
    return [as_row(row) for row in page], page[-1].decision if len(rows) > limit else None


def _row(
    name: str,
    governed: GovernedPolicy,
    row: Row,
    fired: Mapping[str, Fired],
    staged: Staged | None,
    would: int,
) -> PolicySetRow:
    names = tuple(rule.annotated.policy for rule in governed.file.rules)
    found = [fired[policy] for policy in names if policy in fired]
    return PolicySetRow(
        name=name,
        stage=staged.stage if staged else "enforce",
        version=row.version,
        active_since=max(row.applied_at, staged.since if staged else 0),
        by=staged.by if staged and staged.since > row.applied_at else row.applied_by,
        path=row.path,
        policies=names,
        last_fired_at=max((one.last_at for one in found if one.last_at), default=None),
        denials_day=sum(one.denials for one in found),
        holds_day=sum(one.holds for one in found),
        would_day=would,
    )


def _current(tx: Transaction) -> dict[str, Row]:
    query = select(documents).where(documents.c.kind == "policy", documents.c.current == 1)
    return {row.name: row for row in tx.connection.execute(query)}


def _count_fired(tx: Transaction) -> dict[str, Fired]:
    """Count what every policy denied and held in the last day: one look along the newest."""
    query = (
        select(
            decisions.c.rule,
            func.sum(case((decisions.c.verdict == "deny", 1), else_=0)).label("denials"),
            func.sum(case((decisions.c.verdict == "hold", 1), else_=0)).label("holds"),
            func.max(decisions.c.at).label("last_at"),
        )
        .where(
            decisions.c.decision >= ids.first_at("dec", tx.now - DAY_US),
            or_(decisions.c.verdict == "deny", decisions.c.verdict == "hold"),
            decisions.c.rule.startswith("policy/"),
        )
        .group_by(decisions.c.rule)
    )
    return {
        row.rule.removeprefix("policy/"): Fired(int(row.denials), int(row.holds), row.last_at)
        for row in tx.connection.execute(query)
    }


def _count_would(tx: Transaction) -> Counter[str]:
    """Count, by set, the actions of the last day that it would have decided otherwise."""
    query = (
        select(decisions.c.would)
        .where(
            decisions.c.decision >= ids.first_at("dec", tx.now - DAY_US),
            decisions.c.would.is_not(None),
        )
        .order_by(decisions.c.decision.desc())
        .limit(MOST_WOULD)
    )
    return Counter(
        name
        for row in tx.connection.execute(query)
        for name in {str(one.get("set")) for one in json.loads(row.would)}
    )


def _version(row: Row, old: Row | None) -> PolicyVersionRow:
    before = old.text if old is not None else ""
    diff = difflib.unified_diff(
        before.splitlines(),
        row.text.splitlines(),
        f"version {old.version}" if old is not None else "nothing",
        f"version {row.version}",
        lineterm="",
        n=2,
    )
    return PolicyVersionRow(
        name=row.name,
        version=row.version,
        digest=row.digest,
        applied_at=row.applied_at,
        by=row.applied_by,
        path=row.path,
        in_force=bool(row.current),
        diff="\n".join(diff),
    )
