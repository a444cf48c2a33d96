"""Has a person approved exactly this, where one must?"""

from __future__ import annotations

from watchkeeper.approvals.deciding import DEADLINE
from watchkeeper.approvals.model import OPEN, Grant, Standing
from watchkeeper.approvals.rules import why_short
from watchkeeper.approvals.superseding import narrowing_words
from watchkeeper.core.errors import Forbidden
from watchkeeper.decide.facts import Facts
from watchkeeper.decide.gates.kill import lock_on_approval, refused_by
from watchkeeper.decide.gates.requirement import require
from watchkeeper.decide.gates.standing import covering
from watchkeeper.decide.model import Action, Progress, Requirement, Ruling, deny
from watchkeeper.wire.decisions import Narrowed, Risk


def approval_gate(action: Action, facts: Facts, progress: Progress) -> Ruling | None:
    """What needs people has been approved, exactly as it stands; otherwise it is held.

    An approval must be good for what it takes now: where that has become more since, it is
    asked for again; where it has become less, nothing changes.
    """
    requirement = require(action, facts, progress)
    if requirement is None and action.stands_for is None:
        return None
    grant = facts.approved(progress.digest)
    lock = lock_on_approval(facts.locks, grant.request if grant else None)
    if lock is not None:
        return refused_by(lock)
    short = _falls_short(grant, requirement) if grant else None
    if grant is None or short is not None:
        standing = facts.standing(progress.digest)
        refused = _refused_before(standing)
        if refused is None and _stands(action, facts, progress, requirement, standing):
            return None
        refused = refused or _refuse_a_flood(standing, facts)
        if refused is not None:
            return refused
        if standing is not None and standing.narrowed is not None and standing.state in OPEN:
            return _narrowed(standing, standing.narrowed, requirement)
        voids = (grant.request, short) if grant and short else None
        if requirement is None:
            # nothing asks for it any more, but this was only ever approved in place of more
            return Ruling(
                "deny",
                "approval/narrowing",
                "the approval of the narrowed call is good no longer",
                "send the call again to have it decided anew",
                voids=voids,
            )
        return Ruling(
            "hold",
            requirement.rule,
            f"held for {requirement.words}: {requirement.rule_text}"
            + (f"; an earlier approval is void: {short}" if short else ""),
            "wait for the decision, then send exactly the same call again",
            requirement,
            voids=voids,
        )
    progress.grant = grant
    progress.permit_rule = f"approval/{grant.request}"
    progress.permit_reason = f"approved by {', '.join(grant.by)}"
    return None


def _stands(
    action: Action,
    facts: Facts,
    progress: Progress,
    requirement: Requirement | None,
    standing: Standing | None,
) -> bool:
    """Tell whether people approved such calls beforehand; not one that a person narrowed."""
    narrowed = standing is not None and standing.narrowed is not None and standing.state in OPEN
    if requirement is None or narrowed or action.stands_for is not None:
        return False
    found = covering(action, facts, progress, requirement)
    if found is None:
        return False
    progress.standing = found
    progress.permit_rule = f"standing/{found.standing}"
    progress.permit_reason = found.words()
    return True


def _narrowed(standing: Standing, narrowed: Narrowed, requirement: Requirement | None) -> Ruling:
    """Hold a call that an approver narrowed; what stands for it waits, or may run."""
    words = "; ".join(narrowing_words(change) for change in narrowed.changes)
    said = f" ({narrowed.reason})" if narrowed.reason else ""
    return Ruling(
        "hold",
        f"approval/{standing.request}",
        f"{narrowed.by} narrowed it to {words}{said}, and that waits for a person",
        "wait for the decision, then send exactly the same call again",
        requirement,
        request=standing.request,
        narrowed=narrowed,
    )


def _falls_short(grant: Grant, requirement: Requirement | None) -> str | None:
    """Say what an approval lacks of what is asked for now, or return None."""
    if grant.spoiled is not None:
        return grant.spoiled
    if grant.groups is None or requirement is None:
        return None
    if grant.by == (DEADLINE,) and requirement.timeout_outcome == "deny":
        return "nobody approved it, and time alone does not decide it any more"
    if grant.alone and not requirement.deciding.break_glass:
        return "one person gave it alone, and nobody may by now"
    if requirement.deciding.signed and not grant.signed:
        return "its votes are not signed, as they must be by now"
    later = (level.role for level in requirement.escalation.levels[1:] if level.role)
    return why_short(grant.groups, requirement.groups, later)


def _refuse_a_flood(standing: Standing | None, facts: Facts) -> Ruling | None:
    """An agent can't bury its approvers: only so many of its requests wait at a time."""
    most = facts.catalogue.agents[facts.run.agent].contract.approvals.max_pending
    if (standing is not None and standing.state == "pending") or facts.waiting() < most:
        return None
    return deny(
        f"contract/{facts.run.agent}/max_pending",
        f"{most} of its requests wait for a person already, or were just taken back",
        "wait until some are decided",
    )


def _refused_before(standing: Standing | None) -> Ruling | None:
    """A person's no, or a deadline, holds for the same call in the same run."""
    if standing is None:
        return None
    rule = f"approval/{standing.request}"
    instead = "something else; the same call stays refused in this run"
    match standing.state:
        case "denied" if standing.asks_changes:
            return deny(
                rule,
                f"changes requested by {standing.decided_by}: {standing.reason}",
                "another call that does what was asked for; this one stays refused in this run",
            )
        case "denied":
            said = f": {standing.reason}" if standing.reason else ""
            return deny(rule, f"rejected by {standing.decided_by}{said}", instead)
        case "expired":
            return deny(rule, "nobody decided in time, and the declared outcome is deny", instead)
        case "revoked" if (standing.decided_by or "").startswith("lock/"):
            return deny(rule, "the request was revoked by a kill", instead)
        case _:
            return None


def check_critical(risk: Risk, ruling: Ruling, digest: str) -> None:
    """Raise `Forbidden` for a permit of a critical action without people's approval of it.

    The gates ask for one. Should a gate, a policy or a standing approval ever let it by, this is
    where it ends: what is redeemed next must be votes of people on exactly this action.
    """
    grant = ruling.grant
    if risk != "critical":
        return
    if grant is None or grant.digest != digest or DEADLINE in grant.by:
        raise Forbidden(
            "a critical action needs people's approval of exactly this call",
            rule="risk/critical",
            remedy="report this: no gate held it",
        )
