"""Kills and pauses: what they would stop, what they stopped, and where they stand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from watchkeeper.console.blocks import Blank, Block, Fact, Line, Prose, Title
from watchkeeper.console.moment import Moment
from watchkeeper.console.painting import Span, span
from watchkeeper.console.views.aligned import aligned
from watchkeeper.console.views.models import ModelLine
from watchkeeper.console.views.runtimes import RuntimeLine
from watchkeeper.console.words import (
    LOCK_MODES,
    RECEIPTS,
    brief_text,
    moment_text,
    money_text,
    person_text,
    plural,
    say,
    target_text,
)
from watchkeeper.wire.agents import AgentRow, RunRow
from watchkeeper.wire.budgets import BudgetRow
from watchkeeper.wire.locks import EFFECTS, ENDS, OPEN, BlastRadius, LockRow, Mode, Receipt, Target
from watchkeeper.wire.plane import EventRow, Need
from watchkeeper.wire.requests import RequestRow
from watchkeeper.wire.tools import ToolRow
from watchkeeper.wire.traces import SpanRow

NAMED_AGENTS = 6


def cells(row: LockRow, moment: Moment) -> Mapping[str, Span]:
    """Return the cells of a lock."""
    in_force = row.lifted_at is None
    return {
        "since": moment.age(row.created_at),
        "state": state_span(row),
        "target": span(brief_text(target_text(row.target.kind, row.target.name)), "strong"),
        "by": span(person_text(row.by)),
        "receipts": receipts_cell(row),
        "reason": span(row.reason, "text" if in_force else "quiet"),
    }


def target_of(row: object) -> Target:
    """Return what a kill on this row would stop, as narrow as the row allows.

    A row that stands for nothing that runs has everything as its target.
    """
    if isinstance(row, RequestRow | RunRow):
        return Target(kind="run", name=row.run)
    if isinstance(row, SpanRow) and row.run:
        return Target(kind="run", name=row.run)
    if isinstance(row, AgentRow):
        return Target(kind="agent", name=row.name)
    if isinstance(row, ToolRow):
        return Target(kind="tool", name=row.name)
    if isinstance(row, LockRow) and isinstance(row.target, Target):
        return row.target
    if isinstance(row, BudgetRow):
        kind, _, name = row.scope.partition("/")
        if kind in ("run", "agent", "version", "team", "model", "person") and name:
            return Target.model_validate({"kind": kind, "name": name})
    if isinstance(row, ModelLine) and row.kind == "model":
        return Target(kind="model", name=row.name)
    if isinstance(row, ModelLine) and row.kind == "provider":
        return Target(kind="provider", name=row.name)
    if isinstance(row, RuntimeLine):
        if row.run is not None and (row.run.run or row.run.agent):
            kind = "run" if row.run.run else "agent"
            return Target.model_validate({"kind": kind, "name": row.run.run or row.run.agent})
        return Target(kind="runtime", name=row.runtime.runtime)
    if isinstance(row, EventRow) and row.run:
        return Target(kind="run", name=row.run)
    if isinstance(row, EventRow | Need) and row.agent:
        return Target(kind="agent", name=row.agent)
    return Target(kind="everything", name="*")


def state_span(row: LockRow) -> Span:
    """Say whether it is in force."""
    if row.lifted_at is not None:
        return span("○ lifted", "quiet")
    return say(LOCK_MODES, row.mode).span


def receipts_cell(row: LockRow) -> Span:
    """Count what was acknowledged, and what was not."""
    if not row.receipts:
        return span("none yet", "warning")
    open_ones = sum(receipt.state in OPEN for receipt in row.receipts)
    done = sum(receipt.state == "acknowledged" for receipt in row.receipts)
    if open_ones:
        return span(f"{done} done, {open_ones} open", "warning")
    return span(f"{done} done", "good" if done else "quiet")


DOES: Mapping[Mode, tuple[str, str, str]] = {
    "stop": ("stops", "cuts", "revokes"),
    "drain": ("stops", "waits for", "revokes"),
    "deny-new": ("leaves", "leaves", "leaves"),
    "pause": ("refuses", "lets end", "leaves"),
}
"""What each way of locking does to open runs, calls in flight and requests that wait."""


def radius_blocks(radius: BlastRadius, mode: Mode = "stop") -> list[Block]:
    """Write what a lock would do, counted now."""
    agents = ", ".join(radius.agents[:NAMED_AGENTS])
    if len(radius.agents) > NAMED_AGENTS:
        agents += f" and {len(radius.agents) - NAMED_AGENTS} more"
    counts: list[tuple[int, str]] = [
        (radius.open_runs, _runs_text(radius)),
        (radius.in_flight, f"{plural(radius.in_flight, 'call')} in flight"),
        (radius.pending_requests, plural(radius.pending_requests, "pending approval")),
    ]
    held: list[Block] = [
        Fact("agents", agents or "none", "strong" if agents else "quiet"),
    ]
    for label, (count, text) in zip(DOES[mode], counts, strict=True):
        mild = label in {"leaves", "lets end"}
        held.append(Fact(label, text, "critical" if count and not mild else "quiet"))
    money = radius.live_holds_micros
    if mode in ENDS:
        held.append(
            Fact("releases", f"{money_text(money)} held", "text" if money else "quiet"),
        )
    told = ", ".join(radius.told) or "nobody is named to be told"
    if radius.runtimes and mode in ENDS:
        held.append(Fact("stops in", ", ".join(radius.runtimes)))
    held.append(Fact("tells", told, "text" if radius.told else "warning"))
    return held


def _runs_text(radius: BlastRadius) -> str:
    text = plural(radius.open_runs, "open run")
    return f"{text}, {radius.child_runs:,} opened by others" if radius.child_runs else text


def receipt_blocks(row: LockRow, moment: Moment) -> list[Block]:
    """Write a lock with its eight receipts; those that have not come are waited for."""
    held: list[Block] = [
        Line(
            [
                state_span(row),
                span("  "),
                span(target_text(row.target.kind, row.target.name), "strong"),
            ]
        ),
        Fact("reason", row.reason),
        Fact(
            "locked by",
            f"{person_text(row.by)}, {moment_text(row.created_at, moment.now)}",
        ),
    ]
    if row.lifted_at is not None:
        by = person_text(row.lifted_by) or "the plane"
        held.append(Fact("lifted", f"by {by}, {moment_text(row.lifted_at, moment.now)}"))
    held += [Title("Receipts"), *aligned(_receipt_rows(row.receipts), right=(2,))]
    unconfirmed = [receipt for receipt in row.receipts if receipt.state == "unconfirmed"]
    if unconfirmed:
        held += [
            Blank(),
            Prose("Unconfirmed means that nobody has proved it: check it by hand.", "warning"),
        ]
    return [*held, Fact("lock", f"{row.lock}, epoch {row.epoch}", "quiet")]


def _receipt_rows(receipts: Sequence[Receipt]) -> list[tuple[Span, ...]]:
    rows: list[tuple[Span, ...]] = []
    for effect in EFFECTS:
        came = [receipt for receipt in receipts if receipt.effect == effect]
        if not came:
            rows.append((span(effect), span("… waiting", "quiet"), span(""), span("")))
        for place, receipt in enumerate(came):
            said = say(RECEIPTS, receipt.state)
            party = "" if receipt.party == "plane" else f"{receipt.party}: "
            rows.append(
                (
                    span(effect if place == 0 else ""),
                    said.span,
                    span(milliseconds_text(receipt.after_ms), "quiet"),
                    span(f"{party}{receipt.detail}", "quiet"),
                )
            )
    return rows


def milliseconds_text(milliseconds: float) -> str:
    """Write a short duration: ``0.8 ms``, ``12 ms``, ``1,204 ms``."""
    if milliseconds < 10:
        return f"{milliseconds:.1f} ms"
    return f"{milliseconds:,.0f} ms"
