"""Calls that an approver narrowed: narrowing one, and what then comes of the agent's own call."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import replace
from typing import Any, get_args

from watchkeeper.approvals import superseding
from watchkeeper.approvals.delegations import voter_of
from watchkeeper.approvals.narrowing import RULE, narrow
from watchkeeper.approvals.people import STRANGERS, People
from watchkeeper.approvals.rows import ballot_of, find
from watchkeeper.approvals.rules import why_not
from watchkeeper.approvals.signing import check_seen
from watchkeeper.approvals.voiding import void
from watchkeeper.approvals.voting import refusal
from watchkeeper.core.digest import canonical, parse
from watchkeeper.core.errors import Conflict, Forbidden, Invalid
from watchkeeper.decide.catalogue import Catalogue
from watchkeeper.decide.contents import LARGEST_AT_ONCE, Contents, examine, kept_words
from watchkeeper.decide.facts import Facts
from watchkeeper.decide.glancing import GlancingFacts
from watchkeeper.decide.model import RISKS, Action, Progress, Requirement, Ruling, deny, describe
from watchkeeper.decide.path import decide as decide_by_gates
from watchkeeper.identity.recorded import recorded_run
from watchkeeper.registry.documents import ToolContract
from watchkeeper.store.statement import Row
from watchkeeper.store.transaction import Transaction
from watchkeeper.tools.inspection.values import is_larger
from watchkeeper.wire.decisions import DutyKind, Narrowed, Performer
from watchkeeper.wire.requests import Edit

_LONGEST_WORDS = 2000


def edits_of(contract: ToolContract | None) -> dict[str, str]:
    """Return which arguments of a tool an approver may narrow, and how."""
    if contract is None:
        return {}
    amount = {contract.amount_usd: "lower"} if contract.amount_usd else {}
    return {**contract.edits, **amount}


class _Rehearsing(GlancingFacts):
    """The facts of an action that takes the place of one that waits."""

    def waiting(self) -> int:
        """It is one more than none: the other waits no longer."""
        return 0


def narrow_request(
    tx: Transaction,
    catalogue: Catalogue,
    request: str,
    edit: Edit,
    contents: Contents,
    *,
    person: str,
    roles: Set[str],
    people: People = STRANGERS,
) -> Row:
    """Put a narrower request in the place of a pending one and return it; nobody has voted yet.

    `contents` is what is in the new arguments. They go through the same gates as the agent's
    would. Raises what `cast_vote` does for who may not vote on it or looked at something else;
    `Conflict` with code `cannot_narrow` or `already_asked`; `Invalid` (`not_narrower`);
    `Forbidden` where a gate refuses the narrower action, or it needs somebody else.
    """
    row = find(tx, request)
    barrier = why_not(ballot_of(row), voter_of(tx, person, roles, people), voted=False, now=tx.now)
    if barrier is not None:
        raise refusal(barrier)
    check_seen(row, edit.digest)
    tool = catalogue.tools.get(row.tool)
    run = recorded_run(tx, row.run)
    if tool is None or run is None or (row.kind or "action") != "action":
        raise _cannot("it is no call of a tool under contract")
    if is_larger(edit.arguments, LARGEST_AT_ONCE):
        # they are looked through again where the call is decided
        raise _cannot(f"its arguments are longer than {LARGEST_AT_ONCE:,} characters")
    before = parse(row.canonical)
    facts = _Rehearsing(tx, catalogue, run)
    _, progress = decide_by_gates(_as_sent(row, before), facts)
    if progress.digest != row.digest:
        raise _cannot(
            "the same call would be another action now: a contract or the tool's definition "
            "changed since, or it holds a secret, which is not kept"
        )
    changes = narrow(before, edit.arguments, edits_of(tool.contract))
    if contents.arguments != edit.arguments:
        raise Invalid(
            "the new arguments hold what looks like a secret, and are recorded",
            where="body: arguments",
            rule="data/secret",
            remedy="leave it out",
        )
    action = replace(_as_sent(row, edit.arguments), examined=contents)
    ruling, progress = decide_by_gates(action, facts)
    if ruling.verdict == "deny":
        raise Forbidden(
            f"the narrowed call is refused: {ruling.reason}",
            code="narrowed_refused",
            rule=ruling.rule,
            remedy=f"what would be allowed: {ruling.allowed_instead or 'nothing'}",
        )
    if ruling.requirement is not None:
        _check_asked(row, ruling.requirement)
    asks = describe(action, progress, tool.contract.display)
    risk = max(
        row.risk, ruling.requirement.risk if ruling.requirement else row.risk, key=RISKS.index
    )
    level = catalogue.redaction_of(row.agent)
    lesser = superseding.Lesser(
        digest=progress.digest,
        arguments=edit.arguments,
        asks=asks,
        told=kept_words(asks, level) or asks,
        risk=risk,
        amount_micros=progress.amount_micros or None,
        object_kind=progress.object_kind or run.object_kind,
        object_id=progress.object_id or run.object_id,
        blast_radius=tool.contract.blast_radius,
        changes=changes,
        told_changes=kept_words(superseding.changes_words(changes), level),
    )
    new = superseding.stand_in(tx, row, lesser, person=person, reason=edit.reason)
    return find(tx, new)


def follow_narrowed(
    tx: Transaction, facts: Facts, action: Action, ruling: Ruling, performer: Performer
) -> tuple[Action, Ruling, Progress | None]:
    """Return what becomes of a call that an approver narrowed, once that is approved.

    What the plane performs runs as it was narrowed; an agent that performs it itself is told
    what to send. The progress is of the new action; None where the ruling is about the old one.
    """
    narrowed = ruling.narrowed
    assert narrowed is not None
    standing = superseding.last_of(tx, narrowed.request)
    if standing.state != "approved":
        return action, ruling, None
    if performer == "agent":
        return action, _send_instead(narrowed), None
    lesser = replace(
        action,
        arguments=narrowed.arguments,
        examined=examine(narrowed.arguments),
        stands_for=action.call_digest,
    )
    found, progress = decide_by_gates(lesser, facts)
    # one that is held for room in a budget is good; the room is asked for
    lacks_room = found.verdict == "hold" and found.rule.startswith("budget/")
    if (found.verdict == "hold" and not lacks_room) or found.voids is not None:
        # the approval is not good enough any more: it starts over with what the agent sent
        if found.voids is not None:
            void(tx, *found.voids)
        again, progress = decide_by_gates(action, facts)
        return action, again, progress
    return lesser, replace(found, narrowed=narrowed), progress


def read_for(tx: Transaction, request: str, sent: Mapping[str, Any]) -> Narrowed | None:
    """Return what an approver made of what was sent, where its request was narrowed."""
    narrowed = superseding.read_narrowed(tx, find(tx, request))
    same = narrowed is not None and narrowed.arguments == dict(sent)
    return None if same else narrowed


def _as_sent(row: Row, arguments: dict[str, object]) -> Action:
    return Action("tool", row.tool, arguments, fulfils=get_args(DutyKind))


def _check_asked(row: Row, wanted: Requirement) -> None:
    """Refuse a narrowing that would need somebody whom the request does not ask."""
    ballot = ballot_of(row)
    asked = {*ballot.asked, *(level.role for level in ballot.levels)}
    missing = sorted({role for role, _ in wanted.groups} - asked)
    if missing:
        raise Forbidden(
            f"the narrowed call needs {', '.join(missing)}, whom this request does not ask",
            code="narrowed_refused",
            rule=wanted.rule,
            remedy="ask for changes instead: `watchkeeper requests changes`",
        )


def _cannot(problem: str) -> Conflict:
    return Conflict(
        f"it cannot be narrowed: {problem}",
        code="cannot_narrow",
        rule=RULE,
        remedy="approve or reject it as it is, or ask for changes",
    )


def _send_instead(narrowed: Narrowed) -> Ruling:
    words = "; ".join(superseding.narrowing_words(change) for change in narrowed.changes)
    arguments = canonical(narrowed.arguments).decode()
    exact = (
        f"send exactly these arguments: {arguments}"
        if len(arguments) <= _LONGEST_WORDS
        else "send exactly the arguments under `narrowed`"
    )
    said = f" ({narrowed.reason})" if narrowed.reason else ""
    return replace(
        deny(
            f"approval/{narrowed.request}",
            f"{narrowed.by} approved it with other arguments: {words}{said}",
            exact,
        ),
        request=narrowed.request,
        narrowed=narrowed,
    )
