"""What a caller is answered."""

from __future__ import annotations

from watchkeeper.decide.model import Progress, Ruling
from watchkeeper.store.statement import Row
from watchkeeper.wire.decisions import Answer, Narrowed


def as_replay(row: Row, narrowed: Narrowed | None) -> Answer:
    """Return the answer to a call that stands for an earlier one."""
    if row.settled_at is not None:
        reason = f"this call ran already: {row.outcome}"
    elif row.performer == "agent":
        reason = "this call was permitted already: carry it out only if you have not begun"
    else:
        reason = "this call is still running"
    return Answer(
        decision=row.decision,
        verdict="permit",
        rule=row.rule,
        reason=reason,
        digest=row.digest,
        request=row.request,
        replay={"status": row.outcome or "running", "result_digest": row.result_digest},
        narrowed=narrowed,
    )


def as_answer(decision: str, ruling: Ruling, progress: Progress, decide_by: int | None) -> Answer:
    """Return the answer to a call that was decided; `decide_by` is of its request."""
    reason = ruling.reason
    warnings: tuple[str, ...] = ()
    if progress.would:
        warnings = tuple(one.words() for one in progress.would if one.stage == "warn")
        reason = "; ".join((reason, *(f"warning: {one}" for one in warnings)))
    return Answer(
        decision=decision,
        verdict=ruling.verdict,
        rule=ruling.rule,
        reason=reason,
        allowed_instead=ruling.allowed_instead,
        digest=progress.digest,
        request=ruling.request,
        expires_at=decide_by,
        retry_after_seconds=ruling.retry_after_seconds,
        definition=progress.definition if ruling.verdict == "permit" else None,
        warnings=warnings,
        obligations=progress.obligations if ruling.verdict == "permit" else (),
        narrowed=ruling.narrowed,
        routed=progress.routed if ruling.verdict == "permit" else None,
    )
