"""What needs a person now, ranked by harm and time left: pure rules over wire rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from watchkeeper.approvals.auditing import Audit
from watchkeeper.approvals.coverage import Uncovered
from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.core.text import make_safe
from watchkeeper.core.words import count
from watchkeeper.decide.notices.webhooks import Undelivered
from watchkeeper.decide.people.rota import Rota
from watchkeeper.decide.people.vacancies import Vacancy
from watchkeeper.decide.policies.warnings import Warned
from watchkeeper.decide.runs.ailing import Ailing
from watchkeeper.tools.pins.model import Pin
from watchkeeper.tools.pins.rules import reason_of
from watchkeeper.tools.secrets.model import Trouble
from watchkeeper.wire.agents import AgentRow
from watchkeeper.wire.budgets import BudgetRow
from watchkeeper.wire.health import UnsettledRow
from watchkeeper.wire.plane import Need, UpstreamRow
from watchkeeper.wire.requests import RequestRow

_HARM = {"low": 10, "medium": 30, "high": 100, "critical": 300}
_HOUR = 3600 * MICROSECONDS
_LARGE_MICROS = 1_000 * 1_000_000
_NOT_MINE = 4
"""What another role must do ranks at a quarter."""
_HAPPENED = {"changed": "was changed", "new": "is new", "look-alike": "looks like another"}
_LOST = "look whether it runs; if not, end it with `watchkeeper kill`"
_STUCK = "look what it waits for or repeats; pause or kill it if it does harm"


def rank(needs: Iterable[Need]) -> tuple[Need, ...]:
    """Order by the harm, the gravest first, by score, then by what is due or waited longest."""
    return tuple(
        sorted(
            needs,
            key=lambda need: (-_HARM[need.risk], -need.score, need.due_at or need.since),
        )
    )


def from_request(row: RequestRow, now: int) -> Need:
    """A request waits for a decision: harm by risk and amount, urgency by time left."""
    left = row.decide_by - now
    harm = _HARM[row.risk] * (2 if (row.amount_micros or 0) >= _LARGE_MICROS else 1)
    escalated = f", level {row.level} of {row.levels}" if row.level > 1 else ""
    if row.acknowledged_by is not None:
        escalated += f", {row.acknowledged_by.removeprefix('person/')} is on it"
    return Need(
        need=f"request/{row.request}",
        kind="request",
        subject=row.request,
        score=weigh(harm * _urgency(left, row.decide_by - row.created_at), row.mine),
        risk=row.risk,
        # the deed first: where there is little room, the end is what is lost
        text=f"{row.asks} · {row.agent}{escalated}",
        todo="approve or reject" if row.mine else (row.why_not or f"{row.role} decides"),
        due_at=row.decide_by,
        since=row.created_at,
        agent=row.agent,
        mine=row.mine,
    )


def from_review(row: RequestRow, now: int, *, mine: bool) -> Need:
    """One person approved it alone, and another has to say whether that was right."""
    due_at = row.review_due_at or now
    late = due_at <= now
    by = (row.alone_by or row.decided_by or "").removeprefix("person/")
    return Need(
        need=f"review/{row.request}",
        kind="request",
        subject=row.request,
        score=weigh(_HARM[row.risk] * (3 if late else 1), mine),
        risk=row.risk,
        text=f"{by} broke the glass: {row.asks} · {row.agent}{', not reviewed yet' * late}",
        todo="review it" if mine else f"somebody else of {row.role} reviews it",
        due_at=due_at,
        since=row.decided_at or row.created_at,
        agent=row.agent,
        mine=mine,
    )


def from_budget(row: BudgetRow, now: int, *, mine: bool) -> Need | None:
    """A budget refuses actions, or will soon."""
    if row.state == "exhausted" and row.refused:
        plural = "" if row.refused == 1 else "s"
        text = f"budget {row.budget} is exhausted and refused {row.refused} action{plural}"
        score, risk = 90, "high"
    elif row.exhausts_at is not None and 0 <= row.exhausts_at - now < _HOUR:
        minutes = max(1, (row.exhausts_at - now) // (60 * MICROSECONDS))
        text = f"budget {row.budget} runs out in about {minutes} min at this rate"
        score, risk = 40, "medium"
    else:
        return None
    return Need(
        need=f"budget/{row.budget}",
        kind="budget",
        subject=row.budget,
        score=weigh(score, mine),
        risk="high" if risk == "high" else "medium",
        text=text,
        todo="top it up, or let it stop what draws on it",
        due_at=row.exhausts_at if row.state != "exhausted" else row.resets_at,
        since=now,
        agent=row.scope.removeprefix("agent/") if row.scope.startswith("agent/") else None,
        mine=mine,
    )


def from_agent(row: AgentRow, now: int) -> Need | None:
    """An agent has fallen silent with runs open or work expected, or is refused again and again."""
    if row.state == "silent" and row.health == "lost":
        text, todo = f"{row.name} is lost with {count(row.open_runs, 'open run')}", _LOST
        score = 75
    elif row.state == "silent":
        text, todo, score = (
            f"{row.name} is silent with {count(row.open_runs, 'open run')}",
            "look",
            50,
        )
        if row.why and not row.ailing_runs:
            text = f"{row.name} is silent: {row.why}"
    elif row.denied_hour >= 20 and row.denied_hour * 2 > row.calls_hour:
        text = f"{row.name}: {row.denied_hour} of {row.calls_hour} calls denied this hour"
        todo, score = "see which rule denies, pause it if it loops", 70
    else:
        return None
    return Need(
        need=f"agent/{row.name}",
        kind="agent",
        subject=row.name,
        score=score,
        risk="medium",
        text=text,
        todo=todo,
        since=row.last_seen_at or now,
        agent=row.name,
    )


def from_ailing(row: AgentRow, found: Sequence[Ailing]) -> list[Need]:
    """Runs of an agent ail: one need for each ailment, or the agent's own where all are silent."""
    needs = []
    for health, score, todo in (("stuck", 80, _STUCK), ("lost", 75, _LOST), ("silent", 50, "look")):
        some = [one for one in found if one.health == health]
        if not some or (row.state == "silent" and health != "stuck"):
            continue
        first = some[0]
        which = f"run {first.run}" if len(some) == 1 else f"{len(some)} runs"
        verb = "is" if len(some) == 1 else "are"
        needs.append(
            Need(
                need=f"runs/{row.name}/{health}",
                kind="run",
                subject=first.run,
                score=score,
                risk="medium",
                text=f"{which} of {row.name} {verb} {health}: {first.why}",
                todo=todo,
                since=min(one.since for one in some),
                agent=row.name,
            )
        )
    return needs


def from_unsettled(row: UnsettledRow, *, mine: bool) -> Need | None:
    """Nobody knows how an action ended that changes something outside."""
    if row.risk == "low" or row.reconciled is not None:
        return None
    about = f" on {row.object}" if row.object else ""
    owner = f", {row.owner}" if row.owner else ""
    return Need(
        need=f"outcome/{row.decision}",
        kind="outcome",
        subject=row.decision,
        score=weigh(_HARM[row.risk] + 5, mine),
        risk=row.risk,
        text=f"nobody knows how {row.name}{about} of {row.agent}{owner} ended: "
        f"{make_safe(row.why, limit=200)}",
        todo=f"find out, then `watchkeeper unsettled reconcile {row.decision}`",
        since=row.since,
        agent=row.agent,
        mine=mine,
    )


def from_upstream(row: UpstreamRow, now: int) -> Need | None:
    """An upstream or provider does not answer."""
    if row.state != "down":
        return None
    detail = f": {row.detail}" if row.detail else ""
    return Need(
        need=f"{'provider' if row.kind == 'model' else 'upstream'}/{row.name}",
        kind="upstream",
        subject=row.name,
        score=110,
        risk="high",
        text=f"{row.name} does not answer{detail}",
        todo="check the server; calls to it fail until it answers",
        since=row.since or now,
    )


def from_quarantine(
    pin: Pin, names: Sequence[str], *, mine: bool, by_contract: bool = False
) -> Need:
    """A tool under contract, or one that looks like it, is offered under another definition.

    `by_contract`: a contract pins another, so that a person's word is not enough.
    """
    shown = f"{pin.upstream}/{make_safe(pin.tool, limit=80)}"
    stops = f", which stops {', '.join(names)}" if names else ""
    happened = _HAPPENED.get(pin.state, "is gone")
    return Need(
        need=f"tool/{shown}",
        kind="tool",
        subject=names[0] if names else f"{pin.upstream}/{pin.tool}",
        score=weigh(130 if names else 90, mine),
        risk="high",
        text=f"{shown} {happened}{stops}: {reason_of(pin)}",
        todo="look at the difference, then "
        + ("change its contract's pin or reject it" if by_contract else "accept or reject it"),
        since=pin.since,
        mine=mine,
    )


def from_uncovered(upstream: str, pins: Sequence[Pin], *, mine: bool) -> Need:
    """An upstream offers tools that nobody has a contract for: nothing calls them."""
    count = len(pins)
    offers = "a tool that is" if count == 1 else f"{count} tools that are"
    how = "new or changed" if any(pin.state == "changed" for pin in pins) else "new"
    return Need(
        need=f"tools/{upstream}",
        kind="tool",
        subject=f"{upstream}/{pins[0].tool}",
        score=weigh(15, mine),
        risk="low",
        text=f"{upstream} offers {offers} {how} and without a contract",
        todo="write a contract, or reject it",
        since=min(pin.since for pin in pins),
        mine=mine,
    )


def from_warned(warned: Warned, *, mine: bool) -> Need:
    """A policy set that only warns would have decided otherwise: enforce it, or correct it."""
    times = "an action" if warned.count == 1 else f"{warned.count:,} actions"
    return Need(
        need=f"policy/{warned.set}",
        kind="policy",
        subject=warned.set,
        score=weigh(35, mine),
        risk="medium",
        text=f"policy set {warned.set} warns: it would have decided {times} of this hour "
        f"otherwise, the last by {warned.policy}: {warned.message}",
        todo="look at them, then enforce the set or correct it",
        since=warned.first_at,
        mine=mine,
    )


def from_vacancy(one: Vacancy, rota: Rota, now: int, *, mine: bool) -> Need:
    """Nobody is on call for a role now, or will be: the sooner, the more pressing."""
    ahead = one.start - now
    score = 115 if ahead <= 0 else 60 if ahead < 24 * _HOUR else 15
    return Need(
        need=f"oncall/{one.role}",
        kind="oncall",
        subject=one.role,
        score=weigh(score, mine),
        risk="high" if ahead <= 0 else "medium",
        text=one.words(rota),
        todo="put somebody on call: `watchkeeper oncall override`, or correct the schedule",
        due_at=one.start if ahead > 0 else None,
        since=now,
        mine=mine,
    )


def from_credential(trouble: Trouble, now: int) -> Need:
    """A credential that documents refer to cannot be had: what needs it is refused."""
    return Need(
        need=f"credential/{trouble.source}"[:200],
        kind="plane",
        subject=trouble.source,
        score=115,
        risk="high",
        text=f"no credential for {', '.join(trouble.users)}: {trouble.message}",
        todo=trouble.remedy,
        since=now,
    )


def from_undelivered(found: Undelivered, *, mine: bool) -> Need:
    """Others were not told, or perhaps not: a person sends it again or gives it up."""
    counts = (
        (found.dead, "given up"),
        (found.unknown, "of which nobody knows whether they arrived"),
    )
    said = [f"{count:,} {words}" for count, words in counts if count]
    if found.off:
        said.insert(0, f"told nothing more since {found.off}")
    what = "callbacks to" if found.kind == "webhook" else "notices by"
    why = f": {make_safe(found.error, limit=200)}" if found.error else ""
    return Need(
        need=f"{found.kind}/{found.target}",
        kind="plane",
        subject=found.target,
        score=weigh(60, mine),
        risk="medium",
        text=f"{what} {found.target}: {', '.join(said)}{why}",
        todo=f"`watchkeeper deliveries list --target {found.target}`; send them again or discard",
        since=found.since,
        mine=mine,
    )


def from_audit(at: int, audit: Audit) -> Need:
    """Something that waits for a person had no timer, or its step is late."""
    return Need(
        need="plane/audit",
        kind="plane",
        subject="audit",
        score=140,
        risk="high",
        text=f"the auditor found that {audit.words()}",
        todo="see `watchkeeper audit` and the plane's log, and look at what waits",
        since=at,
    )


def from_no_coverage(found: Sequence[Uncovered], *, mine: bool) -> Need | None:
    """Requests wait, and nobody is on call who may decide them."""
    if not found:
        return None
    roles = list(dict.fromkeys(role for one in found for role in one.roles))
    count = len(found)
    plural = "a request waits" if count == 1 else f"{count} requests wait"
    return Need(
        need="oncall/uncovered",
        kind="request",
        subject=found[0].request,
        score=weigh(200, mine),
        risk="high",
        text=f"TOO FEW or NOBODY is on call for {', '.join(roles[:5])}: {plural}",
        todo="put somebody on call, or take the shift",
        due_at=min(one.decide_by for one in found),
        since=min(one.created_at for one in found),
        mine=mine,
    )


def _urgency(left: int, whole: int) -> int:
    """Return 1 (fresh) to 10 (due now), rising as the time runs out."""
    if left <= 0 or whole <= 0:
        return 10
    used = 1 - left / whole
    return max(1, min(10, round(1 + 9 * used * used) + (2 if left < 120 * MICROSECONDS else 0)))


def weigh(score: int, mine: bool) -> int:
    """Return what a need weighs for somebody who may do something about it, or may not."""
    return score if mine else score // _NOT_MINE
