"""HumanLayer's two endpoints for approvals, over the same decision path.

An agent that uses its SDK sets `HUMANLAYER_API_BASE` to this and its key to the run's token.
"""

from __future__ import annotations

from pydantic import ValidationError

from watchkeeper.api.table import Call, Operation, say_invalid
from watchkeeper.core.clock import utc_text
from watchkeeper.decide.held.function_calls import FunctionCallState, look, submit
from watchkeeper.wire.decisions import Ask
from watchkeeper.wire.humanlayer import (
    FunctionCall,
    FunctionCallStatus,
    FunctionSpec,
    SubmitFunctionCall,
)

CALLS = "/humanlayer/v1/function_calls"


async def submit_call(call: Call) -> FunctionCall:
    """Put a function call to the gates; it is approved, refused, or waits for a person."""
    body: SubmitFunctionCall = call.body
    try:
        ask = Ask(
            name=call.rooms.view.now.functions.tool(body.spec.fn),
            arguments=body.spec.kwargs,
            traceparent=call.caller.text() if call.caller else None,
        )
    except ValidationError as error:
        raise say_invalid(error) from None
    return _show(await submit(call.rooms.decider, call.token, body.call_id, ask), body.run_id)


async def read_call(call: Call) -> FunctionCall:
    """Show how a function call stands; once it says approved, the agent carries it out."""
    return _show(await look(call.rooms.decider, call.token, call.path("call_id")), "")


def _show(state: FunctionCallState, run: str) -> FunctionCall:
    return FunctionCall(
        run_id=run,
        call_id=state.call,
        spec=FunctionSpec(fn=state.ask.name, kwargs=dict(state.ask.arguments)),
        status=FunctionCallStatus(
            requested_at=utc_text(state.requested_at),
            responded_at=None if state.responded_at is None else utc_text(state.responded_at),
            approved=state.approved,
            comment=state.comment,
        ),
    )


OPERATIONS = (
    Operation(
        "POST",
        CALLS,
        "agent",
        submit_call,
        "HumanLayer: ask for approval of a function call (bearer: the run's token).",
        answers=FunctionCall,
        takes=SubmitFunctionCall,
        tags=("humanlayer",),
    ),
    Operation(
        "GET",
        CALLS + "/{call_id}",
        "agent",
        read_call,
        "HumanLayer: how a function call stands.",
        answers=FunctionCall,
        tags=("humanlayer",),
    ),
)
