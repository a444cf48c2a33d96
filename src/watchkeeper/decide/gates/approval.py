"""Has a person approved exactly this, where one must?"""

from __future__ import annotations

from watchkeeper.approvals.model import Standing
from watchkeeper.decide.facts import Facts
from watchkeeper.decide.gates.requirement import require_by_contract, require_by_tool, strictest
from watchkeeper.decide.model import Action, Progress, Ruling, deny


def approval_gate(action: Action, facts: Facts, progress: Progress) -> Ruling | None:
    """What needs a person has been approved, exactly as it stands; otherwise it is held.

    A critical tool needs approval whatever contract and policies say.
    """
    asked = strictest(progress.requirement, require_by_tool(action, facts))
    requirement = asked or require_by_contract(action, facts)
    if requirement is None:
        return None
    grant = facts.approved(progress.digest)
    if grant is None:
        standing = facts.standing(progress.digest)
        refused = _refused_before(standing) or _refuse_a_flood(standing, facts)
        if refused is not None:
            return refused
        return Ruling(
            "hold",
            requirement.rule,
            f"held for {requirement.role}: {requirement.rule_text}",
            "wait for the decision, then send exactly the same call again",
            requirement,
        )
    progress.grant = grant
    progress.permit_rule = f"approval/{grant.request}"
    progress.permit_reason = f"approved by {', '.join(grant.by)}"
    return None


def _refuse_a_flood(standing: Standing | None, facts: Facts) -> Ruling | None:
    """An agent can't bury its approvers: only so many of its requests wait at a time."""
    most = facts.catalogue.agents[facts.run.agent].contract.approvals.max_pending
    if (standing is not None and standing.state == "pending") or facts.waiting() < most:
        return None
    return deny(
        f"contract/{facts.run.agent}/max_pending",
        f"{most} of its requests wait for a person already",
        "wait until some are decided",
    )


def _refused_before(standing: Standing | None) -> Ruling | None:
    """A person's no, or a deadline, holds for the same call in the same run."""
    if standing is None:
        return None
    rule = f"approval/{standing.request}"
    instead = "something else; the same call stays refused in this run"
    match standing.state:
        case "denied":
            said = f": {standing.reason}" if standing.reason else ""
            return deny(rule, f"rejected by {standing.decided_by}{said}", instead)
        case "expired":
            return deny(rule, "nobody decided in time, and the declared outcome is deny", instead)
        case "revoked":
            return deny(rule, "the request was revoked by a kill", instead)
        case _:
            return None
