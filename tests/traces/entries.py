"""Entries of a ledger as the plane writes them, for what is derived from them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from watchkeeper.store.journal import Event
from watchkeeper.store.transaction import Transaction

RUN = "run_1"
DECISION = "dec_1"
REQUEST = "req_1"
CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
"""A caller's trace context."""


def entry(
    type_: str,
    subject: str,
    *,
    run: str | None = RUN,
    request: str | None = None,
    **body: Any,
) -> dict[str, Any]:
    """Return an entry as `Transaction.record` takes it."""
    return {
        "type": type_,
        "actor": "agent/clerk",
        "subject": subject,
        "agent": "clerk",
        "run": run,
        "request": request,
        "body": body,
    }


def opened(run: str = RUN, **more: Any) -> dict[str, Any]:
    """Return that a run was opened."""
    return entry(
        "run.opened", f"run/{run}", run=run, version=1, goal="work",
        on_behalf_of="user/ada", environment="production", **more,
    )  # fmt: skip


def closed(run: str = RUN, outcome: str = "succeeded") -> dict[str, Any]:
    """Return that a run was closed."""
    return entry("run.closed", f"run/{run}", run=run, outcome=outcome, summary=None)


def decided(
    verdict: str = "permitted",
    decision: str = DECISION,
    *,
    run: str = RUN,
    request: str | None = None,
    kind: str = "tool",
    name: str = "books.refund",
    **more: Any,
) -> dict[str, Any]:
    """Return what was decided."""
    body = {"digest": "sha256:0", "rule": "policy/p", "reason": "so", "version": 1, "epoch": 0}
    return entry(
        f"decision.{verdict}", f"decision/{decision}", run=run, request=request,
        **{**body, "decision": decision, "kind": kind, "name": name, **more},
    )  # fmt: skip


def ended(
    decision: str = DECISION, status: str = "succeeded", *, run: str = RUN, **more: Any
) -> dict[str, Any]:
    """Return how an action ended."""
    body = {"kind": "tool", "name": "books.refund", "version": 1, "error": None}
    used = {"input_tokens": 10, "output_tokens": 5, "cost_micros": 200, "result_digest": None}
    return entry(
        "outcome.recorded", f"decision/{decision}", run=run,
        **{**body, **used, "decision": decision, "status": status, **more},
    )  # fmt: skip


def asked(request: str = REQUEST, decision: str = DECISION, **more: Any) -> dict[str, Any]:
    """Return that approval was asked for."""
    return entry(
        "request.created", f"request/{request}", request=request, decision=decision,
        tool="books.refund", digest="sha256:0", asks="refund $5", rule="policy/p", risk="high",
        text="clerk asks ops", **more,
    )  # fmt: skip


def about(type_: str, request: str = REQUEST, **more: Any) -> dict[str, Any]:
    """Return what else happened to a request."""
    return entry(type_, f"request/{request}", request=request, **{"text": type_, **more})


def as_events(entries: Sequence[Mapping[str, Any]]) -> list[Event]:
    """Return entries as they stand in a ledger, a second apart."""
    return [
        Event(
            sequence, sequence * 1_000_000, one["type"], one["actor"], one["subject"],
            one["agent"], one["run"], one["request"], json.dumps(one["body"]), "", "",
        )
        for sequence, one in enumerate(entries, start=1)
    ]  # fmt: skip


def record(tx: Transaction, one: Mapping[str, Any]) -> None:
    """Write an entry."""
    tx.record(
        one["type"], actor=one["actor"], subject=one["subject"], agent=one["agent"],
        run=one["run"], request=one["request"], body=one["body"],
    )  # fmt: skip
