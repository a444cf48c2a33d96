"""OpenID AuthZEN 1.0: evaluation, evaluations and metadata, on the decision path.

Evaluations are not recorded: nothing can be run on them, and a policy enforcement point may ask
without end. What it then does goes through the decision path, which records it.
"""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError
from starlette.responses import Response

from watchkeeper.api import authzen_requests
from watchkeeper.api.authzen_exchange import answering, as_json, read_body
from watchkeeper.api.authzen_requests import REQUESTS
from watchkeeper.api.authzen_seeking import Asker, Sought, find_asker, seek
from watchkeeper.api.table import Call, Operation, say_invalid
from watchkeeper.core import ids
from watchkeeper.core.clock import utc_text
from watchkeeper.core.errors import Invalid, TooLarge
from watchkeeper.decide.access import Evaluated, binding_of, evaluate
from watchkeeper.decide.kill.locks import switch_ruling
from watchkeeper.decide.model import Progress, deny
from watchkeeper.decide.replay.rehearsal import REHEARSED
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.authzen import (
    AllDecided,
    Configuration,
    Decided,
    Evaluation,
    Evaluations,
    PartialEvaluation,
    Semantic,
)

EVALUATION = "/access/v1/evaluation"
EVALUATIONS = "/access/v1/evaluations"
MOST_CHARACTERS = 4 * 1024 * 1024
"""In all evaluations of one request: each looks through its arguments, though many share them."""
CAPABILITY = "urn:openid:authzen:capability:access-request"
_LAST: dict[Semantic, bool | None] = {
    "execute_all": None,
    "deny_on_first_deny": False,
    "permit_on_first_permit": True,
}
"""Semantic → the decision after which no more is evaluated."""


@answering
async def one(call: Call) -> Response:
    """Answer one evaluation."""
    asker = await find_asker(call)
    body = await read_body(call, Evaluation)
    (found,) = await _evaluate(call, asker, [body])
    return as_json(found)


@answering
async def several(call: Call) -> Response:
    """Answer several evaluations, in order, up to where their semantic lets go on."""
    asker = await find_asker(call)
    body = await read_body(call, Evaluations)
    if not body.evaluations:
        (found,) = await _evaluate(call, asker, [_whole(body, PartialEvaluation(), "")])
        return as_json(found)
    again = sum(None in (part.action, part.context) for part in body.evaluations)
    if len(await call.request.body()) * (1 + again) > MOST_CHARACTERS:
        raise TooLarge(
            f"{again} of {len(body.evaluations)} evaluations take over what they lack, and the "
            "body is long",
            remedy="send fewer at once, or each with what it needs",
        )
    wanted = [_whole(part, body, f"evaluations.{i}") for i, part in enumerate(body.evaluations)]
    last = _LAST[body.options.evaluations_semantic]
    return as_json(AllDecided(evaluations=await _evaluate(call, asker, wanted, last)))


async def configuration(call: Call) -> Configuration:
    """Say where what is."""
    http = call.rooms.http
    return Configuration(
        policy_decision_point=http,
        access_evaluation_endpoint=http + EVALUATION,
        access_evaluations_endpoint=http + EVALUATIONS,
        access_request_endpoint=http + REQUESTS,
        capabilities=[CAPABILITY],
    )


async def _evaluate(
    call: Call, asker: Asker, wanted: list[Evaluation], last: bool | None = None
) -> list[Decided]:
    """Answer each evaluation on one state, up to the first whose decision is `last`."""
    catalogue = call.rooms.view.now
    stopped = switch_ruling(call.rooms.decider)

    def query(tx: Transaction) -> list[Decided]:
        found: list[Decided] = []
        for evaluation in wanted:
            sought = seek(call, tx, asker, evaluation)
            if stopped is not None:
                evaluated = Evaluated(stopped, Progress(), tx.now)
            elif sought.problem is None:
                evaluated = evaluate(tx, catalogue, sought.run, sought.action, sought.approval)
            else:
                ruling = deny("access/not-understood", sought.problem, None)
                evaluated = Evaluated(ruling, Progress(), tx.now)
            found.append(_answer(call, sought, evaluated))
            if found[-1].decision is last:
                break
        return found

    return await call.rooms.store.scan(query)


def _answer(call: Call, sought: Sought, found: Evaluated) -> Decided:
    ruling = found.ruling
    context: dict[str, Any] = {
        "evaluation_id": ids.new("evl", call.rooms.clock),
        "evaluated_at": utc_text(found.at),
        "reason": _reason(ruling.verdict),
        "rule": ruling.rule,
        "message": ruling.reason,
    }
    if ruling.allowed_instead:
        context["allowed_instead"] = ruling.allowed_instead
    permitted = ruling.verdict == "permit"
    grant = ruling.grant
    if (
        permitted
        and sought.approval is not None
        and (grant is None or grant.request != sought.approval)
    ):
        permitted = grant is None
        if not permitted:
            context |= {"reason": "approval_unverifiable", "next_action": "none"}
    elif permitted and grant is not None:
        context["approval"] = {"id": grant.request, "approved_until": utc_text(grant.expires_at)}
    if permitted and found.progress.obligations:
        context["obligations"] = [
            duty.model_dump(mode="json", exclude_none=True) for duty in found.progress.obligations
        ]
    if ruling.verdict == "hold" and sought.run.run != REHEARSED:
        bound = binding_of(found, sought.run.run)
        context["access_request"] = {
            "endpoint": call.rooms.http + REQUESTS,
            "template": ruling.requirement.role if ruling.requirement else ruling.rule,
            "expires_at": utc_text(bound.expires_at),
            "binding_token": call.rooms.bindings.seal(bound),
        }
    if not permitted and sought.approval is not None and "next_action" not in context:
        context |= _why_not(found)
    return Decided(decision=permitted, context=context)


def _reason(verdict: str) -> str:
    return {"permit": "permitted", "hold": "approval_required"}.get(verdict, "policy_denied")


def _why_not(found: Evaluated) -> dict[str, str]:
    """Say what became of an approval that did not help, as the profile's codes have it."""
    row = found.approval
    if row is None:
        return {"reason": "approval_unverifiable", "next_action": "none"}
    if row.digest != found.progress.digest:
        return {"reason": "out_of_scope", "next_action": "request"}
    if found.ruling.verdict == "hold":
        return {"reason": "approval_expired", "next_action": "request"}
    return {"reason": "policy_denied", "next_action": "none"}


def _whole(part: PartialEvaluation, defaults: PartialEvaluation, where: str) -> Evaluation:
    """Return one evaluation with what it lacks taken from the defaults."""
    value = {
        name: (getattr(part, name) or getattr(defaults, name))
        for name in ("subject", "action", "resource", "context")
    }
    try:
        return Evaluation(**{name: one for name, one in value.items() if one is not None})
    except ValidationError as error:
        problem = say_invalid(error)
        raise Invalid(f"{where}: {problem.message}" if where else problem.message) from None


OPERATIONS = (
    Operation(
        "POST",
        EVALUATION,
        "agent",
        one,
        "AuthZEN: say whether one action would be permitted; nothing is recorded or reserved.",
        answers=Decided,
        reads=Evaluation,
        tags=("authzen",),
    ),
    Operation(
        "POST",
        EVALUATIONS,
        "agent",
        several,
        "AuthZEN: say which of several actions would be permitted.",
        answers=AllDecided,
        reads=Evaluations,
        tags=("authzen",),
    ),
    Operation(
        "GET",
        "/.well-known/authzen-configuration",
        "anyone",
        configuration,
        "AuthZEN: the decision point's metadata.",
        answers=Configuration,
        tags=("authzen",),
    ),
    *authzen_requests.OPERATIONS,
)
