"""Drills that were held, each kept with its report."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import bindparam, func, select

from watchkeeper.core.errors import NotFound
from watchkeeper.kill.tables import drills
from watchkeeper.store.statement import Row, Statement
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.drills import DrillReport

_ADD = Statement(drills.insert())
_FIND = Statement(select(drills).where(drills.c.drill == bindparam("drill_is")))


def keep(tx: Transaction, report: DrillReport, text: str, digest: str, *, team: str) -> str:
    """Keep a drill of what belongs to a team (empty: to none, or several), with the canonical text
    of its report and that text's digest; return its id.
    """
    drill, target = tx.new_id("drl"), report.target
    found = len(report.findings)
    sequence = tx.record(
        "drill.held",
        actor=report.by,
        subject=f"drill/{drill}",
        body={
            "drill": drill,
            "target": f"{target.kind}/{target.name}",
            "mode": report.mode,
            "reason": report.reason,
            "digest": digest,
            "as_of": report.sequence,
            "runs": report.runs,
            "checked": report.checked,
            "refused": report.refused,
            "findings": found,
            "text": f"drill of a {report.mode} of {target.words}: {report.refused:,} of "
            f"{report.checked:,} calls refused, findings: {found}",
        },
    )
    _ADD.run(
        tx,
        drill=drill,
        target_kind=target.kind,
        target_name=target.name,
        mode=report.mode,
        by=report.by,
        at=tx.now,
        reason=report.reason,
        runs=report.runs,
        checked=report.checked,
        refused=report.refused,
        findings=found,
        lock_us=round(report.lock_ms * 1000),
        decide_us=round(report.decide_ms_longest * 1000),
        digest=digest,
        sequence=sequence,
        report=text,
        team=team,
    )
    return drill


def find(tx: Transaction, drill: str) -> Row:
    """Return a drill's row with its report; raise `NotFound` if there is none."""
    row = _FIND.first(tx, drill_is=drill)
    if row is None:
        raise NotFound(f"there is no drill {drill!r:.80}", remedy="see `watchkeeper drills list`")
    return row


def list_drills(
    tx: Transaction,
    *,
    teams: Collection[str] | None = None,
    after: str | None = None,
    limit: int = 100,
) -> tuple[list[Row], int]:
    """Return drills without their reports, newest first, and how many there are; `teams`: only
    those of these.
    """
    columns = [column for column in drills.c if column.name != "report"]
    mine = [drills.c.team.in_(sorted(teams))] if teams is not None else []
    query = select(*columns).where(*mine).order_by(drills.c.drill.desc()).limit(limit)
    if after is not None:
        query = query.where(drills.c.drill < after)
    counted = select(func.count()).select_from(drills).where(*mine)
    total = tx.connection.execute(counted).scalar_one()
    return list(tx.connection.execute(query)), int(total)
