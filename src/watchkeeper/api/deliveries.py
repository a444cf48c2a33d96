"""Callbacks and notices on their way: listed, sent again, given up."""

from __future__ import annotations

from typing import get_args

from watchkeeper.api.table import Call, Operation
from watchkeeper.core.errors import Invalid
from watchkeeper.outbox import reading
from watchkeeper.outbox import service as outbox
from watchkeeper.outbox.model import Delivery
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.deliveries import (
    DeliveryKind,
    DeliveryRow,
    DeliveryState,
    Discard,
    Redrive,
    Redriven,
    WebhookKey,
)
from watchkeeper.wire.pages import Page

_STATES: tuple[DeliveryState, ...] = get_args(DeliveryState)
_KINDS: tuple[DeliveryKind, ...] = get_args(DeliveryKind)


async def list_deliveries(call: Call) -> Page[DeliveryRow]:
    """List deliveries, newest first."""
    states, kind = _states(call.text("state")), call.text("kind")
    chosen = next((one for one in _KINDS if one == kind), None)
    if kind is not None and chosen is None:
        raise Invalid(f"kind must be one of {', '.join(_KINDS)}", where="query: kind")
    target, request = call.text("target"), call.text("request")
    after, limit, head = call.text("after"), call.limit(), call.rooms.store.head
    seen = call.agents_seen()

    def query(tx: Transaction) -> list[Delivery]:
        return reading.list_deliveries(
            tx,
            states=states,
            kind=chosen,
            target=target,
            request=request,
            agents=seen,
            before=after,
            limit=limit + 1,
        )

    # what is rare may be looked for through the whole table
    read = call.rooms.store.scan if states or kind else call.rooms.store.read
    found = await read(query)
    page = found[:limit]
    return Page[DeliveryRow](
        rows=tuple(_show(one) for one in page),
        next=page[-1].id if len(found) > limit else None,
        sequence=head,
    )


async def redrive(call: Call) -> DeliveryRow:
    """Send one again that was given up, or of which nobody knows."""
    delivery, actor = call.path("delivery"), call.actor
    found = await call.rooms.store.write(lambda tx: outbox.redrive(tx, delivery, actor=actor))
    call.rooms.send_due()
    return _show(found)


async def redrive_all(call: Call) -> Redriven:
    """Send again what was given up of a target."""
    body: Redrive = call.body
    actor = call.actor
    redriven, left = await call.rooms.store.write(
        lambda tx: outbox.redrive_all(tx, body.kind, body.target, actor=actor)
    )
    call.rooms.send_due()
    return Redriven(redriven=redriven, left=left)


async def discard(call: Call) -> DeliveryRow:
    """Give a delivery up for good."""
    body: Discard = call.body
    delivery, actor = call.path("delivery"), call.actor
    return _show(
        await call.rooms.store.write(
            lambda tx: outbox.discard(tx, delivery, actor=actor, reason=body.reason)
        )
    )


async def webhook_key(call: Call) -> WebhookKey:
    """Show the key that webhooks signed with ed25519 are verified with."""
    return WebhookKey(key=await call.rooms.webhook_key.public())


def _states(text: str | None) -> tuple[DeliveryState, ...]:
    """Read `dead` or `dead,unknown`; nothing means all."""
    if text is None:
        return ()
    wanted = text.split(",")
    found = tuple(one for one in _STATES if one in wanted)
    if len(found) != len(wanted):
        raise Invalid(f"state is any of {', '.join(_STATES)}", where="query: state")
    return found


def _show(one: Delivery) -> DeliveryRow:
    return DeliveryRow(
        delivery=one.id,
        kind=one.kind,
        target=one.target,
        state=one.state,
        attempts=one.attempts,
        created_at=one.created_at,
        recipient=one.recipient,
        request=one.request,
        next_at=one.next_at,
        sent_at=one.sent_at,
        last_status=one.last_status,
        last_error=one.last_error,
    )


OPERATIONS = (
    Operation(
        "GET",
        "/v1/deliveries",
        "read",
        list_deliveries,
        "List callbacks and notices, newest first; `state` may name several, with commas.",
        answers=Page[DeliveryRow],
        query=("state", "kind", "target", "request", "after", "limit"),
        tags=("deliveries",),
    ),
    Operation(
        "POST",
        "/v1/deliveries/redrive",
        "deliveries",
        redrive_all,
        "Send again what was given up of a target; a webhook that is off is on again.",
        answers=Redriven,
        takes=Redrive,
        tags=("deliveries",),
    ),
    Operation(
        "POST",
        "/v1/deliveries/{delivery}/redrive",
        "deliveries",
        redrive,
        "Send one again that is dead or unknown.",
        answers=DeliveryRow,
        tags=("deliveries",),
    ),
    Operation(
        "POST",
        "/v1/deliveries/{delivery}/discard",
        "deliveries",
        discard,
        "Give one up for good.",
        answers=DeliveryRow,
        takes=Discard,
        tags=("deliveries",),
    ),
    Operation(
        "GET",
        "/v1/webhook-key",
        "anyone",
        webhook_key,
        "The key (`whpk_…`) that webhooks signed with ed25519 are verified with.",
        answers=WebhookKey,
        tags=("deliveries",),
    ),
)
