"""What comes of a call that finds no room in a budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from watchkeeper.approvals.model import OPEN
from watchkeeper.approvals.topping import AskedTopUp
from watchkeeper.budgets.filling import Level
from watchkeeper.budgets.model import Refused, written
from watchkeeper.budgets.responses import STOP, Response, when_full
from watchkeeper.budgets.terms import terms_of
from watchkeeper.core.clock import utc_text
from watchkeeper.decide.catalogue import Catalogue
from watchkeeper.decide.facts import Facts
from watchkeeper.decide.gates.requirement import require_top_up
from watchkeeper.decide.model import Pause, Ruling, deny
from watchkeeper.wire.budgets import Measure

_ORDER = ("stop", "pause", "ask")
"""Where several budgets have no room: more of one is not asked for while another refuses."""


def without_room(
    levels: Sequence[Level], asked: Mapping[Measure, int], facts: Facts
) -> Ruling | None:
    """Return what a call is answered that finds no room under some of the caps over it.

    None where all of them have room by now.
    """
    found = [
        (level, _response(facts.catalogue, level))
        for level in levels
        if not level.has_room(asked[level.cap.measure])
    ]
    if not found:
        return None
    level, response = min(found, key=lambda one: _ORDER.index(one[1].do))
    refused = level.refusal(asked[level.cap.measure], facts.now)
    facts.refuse(refused)
    rule = f"budget/{refused.budget_id}"
    if response.do == "ask":
        return _ask(refused, response, level, facts)
    ruling = deny(rule, refused.sentence, refused.remedy)
    if response.do == "pause":
        return Ruling(
            "deny",
            rule,
            f"{refused.sentence}; who spends it is paused until a person resumes",
            refused.remedy,
            pause=Pause(level, response.at),
        )
    return ruling


def _response(catalogue: Catalogue, level: Level) -> Response:
    known = catalogue.responding.get(level.cap.document)
    if known is None or level.cap.period == "invocation":
        return STOP
    return when_full(known.responses)


def _ask(refused: Refused, response: Response, level: Level, facts: Facts) -> Ruling:
    """Hold a call until a person tops the budget up; one request for each budget and period.

    A person's no, or nobody's answer, holds until the cap or what it was topped up by changes.
    """
    rule = f"budget/{refused.budget_id}"
    before = facts.asked_top_up(refused.budget_id, refused.period_key)
    if before is not None and before.state in OPEN:
        return Ruling(
            "hold",
            rule,
            f"{refused.sentence}; {before.request} asks for more since before",
            "wait for the decision, then send the same call again",
            request=before.request,
        )
    if before is not None and _is_settled(before, refused):
        return deny(rule, f"{refused.sentence}; {_said(before)}", refused.remedy)
    agent = facts.run.agent
    most = facts.catalogue.agents[agent].contract.approvals.max_pending
    if facts.waiting() >= most:
        return deny(
            f"contract/{agent}/max_pending",
            f"{refused.sentence}; {most} of its requests wait for a person already",
            "wait until some are decided",
        )
    terms = terms_of(refused, response, per_hour=level.per_hour, agent=agent, now=facts.now)
    more = written(refused.measure, terms.amount)
    requirement = require_top_up(
        facts,
        rule=rule,
        text=f"{refused.sentence}; the budget says that people are asked for {more} more",
        role=response.role,
        escalation=response.escalation,
        sla_seconds=response.sla_seconds,
    )
    return Ruling(
        "hold",
        rule,
        f"held for {requirement.words} to top it up by {more}: {refused.sentence}",
        "wait for the decision, then send the same call again",
        requirement,
        top_up=terms,
    )


def _is_settled(before: AskedTopUp, refused: Refused) -> bool:
    """Tell whether what people said of a budget as full as this holds still."""
    return before.state in ("denied", "expired") and before.limit == refused.cap


def _said(before: AskedTopUp) -> str:
    why = f": {before.reason}" if before.reason else ""
    if before.state == "denied":
        return f"{before.decided_by} refused to top it up ({before.request}){why}"
    return f"nobody decided to top it up by {utc_text(before.decide_by)} ({before.request})"
