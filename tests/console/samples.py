"""Rows as a plane sends them, with only what a test cares about spelled out."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from watchkeeper.console.blocks import Block, lay_out_blocks, text_of
from watchkeeper.console.moment import Moment
from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.wire.agents import AgentDetail, AgentRow, BusinessObject, Envelope, EnvelopeRow
from watchkeeper.wire.breakers import BreakerRow
from watchkeeper.wire.budgets import BudgetRow
from watchkeeper.wire.locks import BlastRadius, LockRow, Target
from watchkeeper.wire.models import (
    ModelRow,
    ProviderModelRow,
    ProviderRow,
    RouteCount,
    TargetShown,
)
from watchkeeper.wire.plane import EventRow, Need
from watchkeeper.wire.requests import Change, RequestDetail, RequestRow, TimelineEntry
from watchkeeper.wire.runtimes import RemoteRunRow, RuntimeAgent, RuntimeRow

NOW = 1_795_201_471 * MICROSECONDS  # 2026-11-20T19:04:31Z


def seconds(count: float) -> int:
    return round(count * MICROSECONDS)


def read(blocks: Iterable[Block], width: int = 76) -> str:
    """Return blocks as they read, without their colours."""
    return text_of(lay_out_blocks(blocks, width))


def moment(**changed: Any) -> Moment:
    return Moment(**{"now": NOW, **changed})


def request_fields(**changed: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "request": "req_01jd0000000000000000000001",
        "state": "pending",
        "risk": "high",
        "agent": "refund-assistant",
        "run": "run_01jd0000000000000000000001",
        "tool": "stripe.create_refund",
        "asks": "refund $250.00 on charge ch_81",
        "object": BusinessObject(kind="charge", id="ch_81"),
        "amount_micros": 250_000_000,
        "role": "finance-ops",
        "level": 1,
        "levels": 2,
        "approvals": 0,
        "quorum": 1,
        "created_at": NOW - seconds(60),
        "decide_by": NOW + seconds(131),
        "digest": "sha256:7f3a00",
        "mine": True,
    }
    return {**fields, **changed}


def request_row(**changed: Any) -> RequestRow:
    return RequestRow(**request_fields(**changed))


def request_detail(**changed: Any) -> RequestDetail:
    fields: dict[str, Any] = {
        "version": 3,
        "on_behalf_of": "person/dora",
        "goal": "answer ticket 4711",
        "arguments": {"amount_usd": 250},
        "canonical": '{"amount_usd":250,"charge_id":"ch_81"}',
        "changes": (Change(field="refunded_usd", before="0", after="250", source="measured"),),
        "blast_radius": "one charge of one customer",
        "rollback": "charge the card again",
        "rule": "policy/refund-over-200",
        "rule_text": "Refunds over $200 need finance-ops.",
        "escalation": ("finance-ops", "finance-lead after 1 min"),
        "history": "12 like requests: 11 approved, 1 denied",
        "explanation": "The customer waited long.",
        "timeline": (
            TimelineEntry(
                sequence=1, at=NOW, type="request.created", actor="agent/a", text="asked for"
            ),
        ),
    }
    return RequestDetail(**request_fields(**{**fields, **changed}))


def agent_fields(**changed: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "name": "refund-assistant",
        "owner": "finance-ops",
        "version": 3,
        "state": "working",
        "doing": "stripe.lookup_charge for ticket 4711",
        "open_runs": 1,
        "calls_hour": 120,
        "denied_hour": 2,
        "held": 1,
        "spend_hour_micros": 1_250_000,
        "spend_day_micros": 4_000_000,
        "last_seen_at": NOW - seconds(4),
    }
    return {**fields, **changed}


def agent_row(**changed: Any) -> AgentRow:
    return AgentRow(**agent_fields(**changed))


def agent_detail(**changed: Any) -> AgentDetail:
    read = EnvelopeRow(
        kind="tool", name="zendesk.read_ticket", may="yes", words="freely",
        rule="policy/contracts-permit", does="Read a ticket.",
    )  # fmt: skip
    refund = EnvelopeRow(
        kind="tool", name="stripe.create_refund", may="approval",
        words="with approval by finance-ops", rule="contract/refund-assistant/requires_approval",
        risk="high", does="Refund a charge.",
    )  # fmt: skip
    transfer = EnvelopeRow(
        kind="tool", name="bank.transfer", may="never", words="no agent moves money out",
        rule="policy/no-transfers", risk="critical", does="Send money.",
    )  # fmt: skip
    fields: dict[str, Any] = {
        "contract_digest": "sha256:00",
        "contract_yaml": "agent:\n  name: refund-assistant\n",
        "envelope": Envelope(rows=(read, refund, transfer)),
        "budgets": ("agent/refund-assistant/run/spend",),
    }
    return AgentDetail(**agent_fields(**{**fields, **changed}))


def budget_row(**changed: Any) -> BudgetRow:
    fields: dict[str, Any] = {
        "budget": "team/finance-ops/day/spend",
        "scope": "team/finance-ops",
        "measure": "spend",
        "period": "day",
        "period_key": "2026-11-20",
        "cap": 10_000_000,
        "topped_up": 0,
        "posted": 4_000_000,
        "held": 1_000_000,
        "resets_at": NOW + seconds(3 * 3600),
        "state": "ok",
    }
    return BudgetRow(**{**fields, **changed})


def breaker_row(**changed: Any) -> BreakerRow:
    fields: dict[str, Any] = {
        "breaker": "fleet/refund-assistant",
        "agent": "refund-assistant",
        "version": 3,
        "state": "open",
        "does": "pause",
        "detector": "cost",
        "reason": "a call costs $0.42, ten times the usual $0.04",
        "opened_at": NOW - seconds(60),
        "probes_at": NOW + seconds(600),
        "trips": 1,
        "refused": 7,
    }
    return BreakerRow(**{**fields, **changed})


def provider_row(**changed: Any) -> ProviderRow:
    fields: dict[str, Any] = {
        "name": "local",
        "protocol": "openai",
        "region": "eu",
        "retention": "zero",
        "state": "up",
        "calls": 200,
        "errors": 1,
        "retries": 2,
        "latency_p50_ms": 420,
        "latency_p95_ms": 12_300,
        "spend_today_micros": 4_200_000,
        "models": (
            ProviderModelRow(
                name="small-1", context_window=32_000, input_micros=400_000, output_micros=1_600_000
            ),
            ProviderModelRow(
                name="odd-1", context_window=8_000, input_micros=None, output_micros=None
            ),
        ),
    }
    return ProviderRow(**{**fields, **changed})


def model_row(**changed: Any) -> ModelRow:
    fields: dict[str, Any] = {
        "name": "small-fast",
        "strategy": "first",
        "targets": (
            TargetShown(provider="local", model="small-1"),
            TargetShown(provider="overseas", model="small-1"),
        ),
        "leads_to": ("large-careful",),
        "calls_today": 40,
        "cache": "team, 1 h",
        "cache_hits_today": 10,
        "routes": (
            RouteCount(
                cause="contract", model="large-careful", calls=3,
                reason="3 of 20 tool calls failed (15 % > 5 %)",
            ),
        ),
        "agents": ("refund-assistant",),
    }  # fmt: skip
    return ModelRow(**{**fields, **changed})


def lock_row(**changed: Any) -> LockRow:
    fields: dict[str, Any] = {
        "lock": "lck_1",
        "target": Target(kind="agent", name="refund-assistant"),
        "mode": "stop",
        "reason": "loops",
        "by": "person/ada",
        "epoch": 4,
        "created_at": NOW - seconds(5),
    }
    return LockRow(**{**fields, **changed})


def radius(**changed: Any) -> BlastRadius:
    fields: dict[str, Any] = {
        "target": Target(kind="agent", name="refund-assistant"),
        "agents": ("refund-assistant",),
        "open_runs": 2,
        "in_flight": 1,
        "pending_requests": 3,
        "live_holds_micros": 750_000,
        "told": ("finance-ops",),
        "confirmation": "name",
        "confirm_text": "refund-assistant",
        "wider": (
            Target(kind="team", name="finance-ops"),
            Target(kind="everything", name="*"),
        ),
    }
    return BlastRadius(**{**fields, **changed})


def runtime_row(**changed: Any) -> RuntimeRow:
    fields: dict[str, Any] = {
        "runtime": "graphs",
        "kind": "langgraph",
        "url": "http://127.0.0.1:2024",
        "owner": "support-engineering",
        "health": "ok",
        "version": "0.16.7",
        "latency_ms": 8.4,
        "seen_at": NOW - seconds(3),
        "looked_at": NOW - seconds(3),
        "age_seconds": 3,
        "can": ("list", "inspect", "stop", "stop all", "pause", "resume", "answer"),
        "cannot": (),
        "agents": (RuntimeAgent(id="refund", name="refund", agent="refund-assistant"),),
        "running": 2,
        "waiting": 1,
        "rogue": 0,
    }
    return RuntimeRow(**fields | changed)


def remote_run(**changed: Any) -> RemoteRunRow:
    fields: dict[str, Any] = {
        "runtime": "graphs",
        "id": "1f0c-77",
        "offered": "refund",
        "agent": "refund-assistant",
        "run": "run_01jd0000000000000000000001",
        "standing": "ours",
        "state": "running",
        "said": "running",
        "started_at": NOW - seconds(90),
        "updated_at": NOW - seconds(4),
        "first_seen_at": NOW - seconds(88),
        "seen_at": NOW - seconds(3),
    }
    return RemoteRunRow(**fields | changed)


def incident_fields(**changed: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "incident": "inc_01jd0000000000000000000001",
        "title": "refund-assistant stopped: wrong refunds",
        "severity": "high",
        "state": "open",
        "owner": "person/ada",
        "targets": (Target(kind="agent", name="refund-assistant"),),
        "in_force": 1,
        "opened_at": NOW - seconds(300),
        "opened_by": "person/ada",
        "since": NOW - seconds(86_700),
        "sequence": 4100,
    }
    return fields | changed


def event_row(**changed: Any) -> EventRow:
    fields: dict[str, Any] = {
        "sequence": 7,
        "at": NOW,
        "type": "decision.denied",
        "actor": "agent/refund-assistant",
        "subject": "dec_1",
        "agent": "refund-assistant",
        "text": "refund-assistant may not use stripe.delete_customer",
        "body": {"b": 1, "a": [True, None]},
    }
    return EventRow(**{**fields, **changed})


def need(**changed: Any) -> Need:
    fields: dict[str, Any] = {
        "need": "request/req_1",
        "kind": "request",
        "subject": "req_1",
        "score": 100,
        "risk": "high",
        "text": "refund-assistant asks finance-ops: refund $250.00",
        "todo": "approve or reject",
        "due_at": NOW + seconds(40),
        "since": NOW - seconds(90),
    }
    return Need(**{**fields, **changed})
