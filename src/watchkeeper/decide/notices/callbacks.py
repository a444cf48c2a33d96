"""What a request's webhook is told: how the request was decided, and how it ended."""

from __future__ import annotations

import json
from collections.abc import Sequence

from sqlalchemy import bindparam, select

from watchkeeper.approvals.tables import requests
from watchkeeper.core.clock import utc_text
from watchkeeper.core.errors import Forbidden
from watchkeeper.decide.catalogue import Catalogue
from watchkeeper.decide.notices.routing import Route
from watchkeeper.outbox.model import NewDelivery
from watchkeeper.store.journal import Event
from watchkeeper.store.statement import Statement
from watchkeeper.store.transaction import Transaction

STATES = {
    f"request.{state}": state
    for state in (
        "approved", "denied", "expired", "revoked", "cancelled", "superseded", "lapsed",
        "succeeded", "failed", "unknown",
    )
}  # fmt: skip
"""The events that a callback tells of, each with the state that the request then had."""
_LONGEST_REASON = 2000
_REQUEST = Statement(
    select(
        requests.c.callback,
        requests.c.tool,
        requests.c.run,
        requests.c.agent,
        requests.c.digest,
        requests.c.decided_by,
        requests.c.decided_at,
        requests.c.decided_why,
        requests.c.superseded_by,
    ).where(requests.c.request == bindparam("request_is"))
)


def check_callback(catalogue: Catalogue, agent: str, webhook: str) -> None:
    """Raise `Forbidden` unless an agent may ask to be told by a webhook."""
    governed = catalogue.agents.get(agent)
    allowed = governed.contract.approvals.callbacks if governed else ()
    if webhook not in allowed or webhook not in catalogue.webhooks:
        raise Forbidden(
            f"{agent} may not be told by webhook {webhook}",
            where="callback",
            rule=f"contract/{agent}/callbacks",
            remedy="name one of: " + ", ".join(allowed)
            if allowed
            else "its contract names the webhooks that it may be told by, "
            "under `approvals.callbacks`: none yet",
        )


def plan_callback(tx: Transaction, event: Event, catalogue: Catalogue) -> Sequence[NewDelivery]:
    """Return the callback that an event of a request leads to, if the request asked for one."""
    row = _REQUEST.first(tx, request_is=event.request)
    if row is None or row.callback is None:
        return ()
    data = {
        "request": event.request,
        "state": STATES[event.type],
        "decided_by": row.decided_by,
        "decided_at": None if row.decided_at is None else utc_text(row.decided_at),
        "reason": (row.decided_why or "")[:_LONGEST_REASON] or None,
        "digest": row.digest,
        "agent": row.agent,
        "run": row.run,
        "tool": row.tool,
        "superseded_by": row.superseded_by,
        "sequence": event.sequence,
    }
    payload = {"type": event.type, "timestamp": utc_text(event.at), "data": data}
    return (
        NewDelivery(
            kind="webhook",
            target=row.callback,
            payload=json.dumps(payload, separators=(",", ":")),
            request=event.request,
            agent=row.agent,
            run=row.run,
            event=event.sequence,
        ),
    )


CALLBACKS = Route(frozenset(STATES), plan_callback)


def tells_of_approval(payload: str) -> bool:
    """Tell whether a callback says that an action may run now."""
    return bool(json.loads(payload).get("type") == "request.approved")
