"""Keeping pins: what listings change, and what a person accepts or rejects."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from sqlalchemy import bindparam, delete, select

from watchkeeper.core.errors import Conflict, NotFound
from watchkeeper.core.text import make_safe
from watchkeeper.store.statement import Row, Statement, insert
from watchkeeper.store.transaction import Transaction
from watchkeeper.tools.pins.differences import compare
from watchkeeper.tools.pins.model import Pin, Pins
from watchkeeper.tools.pins.rules import PINNED_ELSE, Listing, Step, acceptable
from watchkeeper.tools.pins.tables import listed_upstreams, tool_pins
from watchkeeper.tools.upstreams.definitions import restore
from watchkeeper.tools.upstreams.model import ToolDefinition

EVENTS = frozenset(
    {"tool.pinned", "tool.quarantined", "tool.restored", "tool.gone", "tool.rejected",
     "upstream.first_listed"}
)  # fmt: skip
"""What every plane's view of the pins follows."""
_DIFF_IN_EVENT = 40
_LINE_IN_EVENT = 200
_NAMES_IN_EVENT = 200

_COLUMNS = [column.name for column in tool_pins.columns if not column.primary_key]
_ALL = Statement(select(tool_pins).order_by(tool_pins.c.upstream, tool_pins.c.tool))
_SEEN = Statement(select(listed_upstreams.c.upstream))
_FIND = Statement(
    select(tool_pins).where(
        tool_pins.c.upstream == bindparam("upstream_is"), tool_pins.c.tool == bindparam("tool_is")
    )
)
_put = insert(tool_pins)
_PUT = Statement(
    _put.values({name: bindparam(name) for name in ("upstream", "tool", *_COLUMNS)})
    .on_conflict_do_update(
        index_elements=["upstream", "tool"],
        set_={name: _put.excluded[name] for name in _COLUMNS},
    )
)  # fmt: skip
_DROP = Statement(
    delete(tool_pins).where(
        tool_pins.c.upstream == bindparam("upstream_is"), tool_pins.c.tool == bindparam("tool_is")
    )
)
_SEE = Statement(
    insert(listed_upstreams)
    .values(upstream=bindparam("upstream"), first_at=bindparam("first_at"))
    .on_conflict_do_nothing(index_elements=["upstream"])
)

Names = Callable[[str], Sequence[str]]
"""The contracts that are over what the upstream calls a tool."""


def read_pins(tx: Transaction) -> Pins:
    """Return everything on record."""
    found = [_pin(row) for row in _ALL.all(tx)]
    seen = frozenset(row[0] for row in _SEEN.all(tx))
    return Pins({pin.key: pin for pin in found}, seen)


def record_first(tx: Transaction, upstream: str, listing: Listing, pinned: int) -> bool:
    """Keep that an upstream was listed for the first time; False where it was before."""
    if not _SEE.run(tx, upstream=upstream, first_at=tx.now):
        tx.silent("it was listed before")
        return False
    names = [str(make_safe(name, limit=80)) for name in sorted(listing)[:_NAMES_IN_EVENT]]
    tx.record(
        "upstream.first_listed",
        actor="plane",
        subject=f"upstream/{upstream}",
        body={
            "tools": len(listing),
            "pinned": pinned,
            "names": names,
            "text": f"{upstream} was listed for the first time: {len(listing)} tools, "
            f"{pinned} of them pinned as they stand",
        },
    )
    return True


def take_steps(tx: Transaction, steps: Sequence[Step], names: Names) -> list[Step]:
    """Keep what a listing changed, each with its event; return the steps that were taken.

    A step that starts from another state than is on record is left out: another plane or a
    person was first, and the next listing is compared with what stands then.
    """
    taken = []
    for step in steps:
        upstream, tool = _key(step)
        row = _FIND.first(tx, upstream_is=upstream, tool_is=tool)
        now = _pin(row) if row is not None else None
        if (now is None) != (step.before is None) or (now and not now.stands_as(step.before)):
            continue
        _keep(tx, step, upstream, tool)
        if step.event != "tool.pinned" or step.before is not None or names(tool):
            _tell(tx, step, names(tool))
        taken.append(step)
    tx.silent(
        "of a first sight one event for the whole upstream tells what no contract names; "
        "a step from a state that has moved on changes nothing"
    )
    return taken


def accept(
    tx: Transaction,
    upstream: str,
    tool: str,
    *,
    digest: str,
    pins: frozenset[str],
    names: Sequence[str],
    person: str,
    reason: str,
) -> Pin:
    """Pin the definition that is offered, if it is still the one a person looked at.

    Raises `NotFound` for a tool that nothing is known of, `Conflict` where it may not be
    accepted or another is offered meanwhile.
    """
    pin = _find(tx, upstream, tool)
    barrier = acceptable(pin, digest, pins)
    if barrier is not None:
        raise _conflict(upstream, tool, barrier, pin=digest if barrier == PINNED_ELSE else None)
    after = replace(
        pin,
        state="pinned",
        pinned=pin.observed,
        since=tx.now,
        like=None,
        pinned_by=person,
        pinned_how="accepted",
        pinned_at=tx.now,
        rejected=None,
        rejected_by=None,
        rejected_why=None,
    )
    step = Step(pin, after, "tool.pinned", reason)
    _keep(tx, step, upstream, tool)
    _tell(tx, step, names, actor=person)
    return after


def reject(
    tx: Transaction,
    upstream: str,
    tool: str,
    *,
    digest: str,
    names: Sequence[str],
    person: str,
    reason: str,
) -> Pin:
    """Keep that a person does not want the definition that is offered; raises as `accept`."""
    pin = _find(tx, upstream, tool)
    if pin.quarantine is None or pin.observed is None:
        raise _conflict(upstream, tool, f"it is {pin.state}, so there is nothing to reject")
    if pin.observed.digest != digest:
        raise _conflict(upstream, tool, "the upstream offers another definition meanwhile")
    after = replace(pin, rejected=digest, rejected_by=person, rejected_why=reason)
    step = Step(pin, after, "tool.rejected", reason)
    _keep(tx, step, upstream, tool)
    _tell(tx, step, names, actor=person)
    return after


def _find(tx: Transaction, upstream: str, tool: str) -> Pin:
    row = _FIND.first(tx, upstream_is=upstream, tool_is=tool)
    if row is None:
        raise NotFound(
            f"nothing is known of a tool {make_safe(tool, limit=80)!s} of upstream {upstream}",
            remedy="see `watchkeeper tools quarantine`",
        )
    return _pin(row)


def _conflict(upstream: str, tool: str, why: str, *, pin: str | None = None) -> Conflict:
    return Conflict(
        f"{upstream}/{make_safe(tool, limit=80)}: {why}",
        code="definition_moved_on" if "meanwhile" in why else "not_acceptable",
        remedy=f"set `pin: {pin}` in the contract, then `watchkeeper apply`"
        if pin
        else "look again with `watchkeeper tools quarantine`",
    )


def _key(step: Step) -> tuple[str, str]:
    pin = step.after or step.before
    assert pin is not None
    return pin.key


def _keep(tx: Transaction, step: Step, upstream: str, tool: str) -> None:
    pin = step.after
    if pin is None:
        _DROP.run(tx, upstream_is=upstream, tool_is=tool)
        return
    pinned, observed = pin.pinned, pin.observed
    same = pinned is not None and observed is not None and pinned.digest == observed.digest
    _PUT.run(
        tx,
        upstream=upstream,
        tool=tool,
        state=pin.state,
        since=pin.since,
        similar_to=pin.like,
        pinned_digest=pinned.digest if pinned else None,
        pinned_text=pinned.text if pinned else None,
        pinned_by=pin.pinned_by,
        pinned_how=pin.pinned_how,
        pinned_at=pin.pinned_at,
        observed_digest=observed.digest if observed else None,
        observed_text=observed.text if observed and not same else None,
        observed_problem=observed.problem if observed else None,
        rejected=pin.rejected,
        rejected_by=pin.rejected_by,
        rejected_why=pin.rejected_why,
    )


def _tell(tx: Transaction, step: Step, names: Sequence[str], actor: str = "plane") -> None:
    upstream, tool = _key(step)
    pin = step.after or step.before
    assert pin is not None
    shown = f"{upstream}/{make_safe(tool, limit=80)}"
    body: dict[str, object] = {
        "upstream": upstream,
        "tool": tool,
        "names": list(names),
        "state": step.after.state if step.after else "gone",
        "digest": pin.observed.digest if pin.observed else None,
        "pinned": pin.pinned.digest if pin.pinned else None,
        "reason": step.reason,
        "text": f"{shown} {_VERBS[step.event]}: {step.reason}",
    }
    if step.event == "tool.quarantined" or (step.before and step.event == "tool.pinned"):
        before = step.before.pinned if step.before else None
        lines = compare(before, pin.observed)[:_DIFF_IN_EVENT]
        body["diff"] = [line[:_LINE_IN_EVENT] for line in lines]
    tx.record(
        step.event,
        actor=actor,
        subject=f"tool/{names[0]}" if names else f"upstream/{upstream}",
        body=body,
    )


_VERBS: Mapping[str, str] = {
    "tool.pinned": "is pinned",
    "tool.quarantined": "is quarantined",
    "tool.restored": "leaves quarantine",
    "tool.gone": "is gone",
    "tool.rejected": "stays refused",
}


def _pin(row: Row) -> Pin:
    pinned = restore(row.pinned_text, row.pinned_digest) if row.pinned_digest else None
    observed = None
    if row.observed_digest is not None:
        if pinned is not None and pinned.digest == row.observed_digest:
            observed = pinned
        elif row.observed_problem is not None:
            observed = ToolDefinition(
                row.tool, digest=row.observed_digest, problem=row.observed_problem
            )
        else:
            observed = restore(row.observed_text, row.observed_digest)
    return Pin(
        upstream=row.upstream,
        tool=row.tool,
        state=row.state,
        pinned=pinned,
        observed=observed,
        since=row.since,
        like=row.similar_to,
        pinned_by=row.pinned_by,
        pinned_how=row.pinned_how,
        pinned_at=row.pinned_at,
        rejected=row.rejected,
        rejected_by=row.rejected_by,
        rejected_why=row.rejected_why,
    )
