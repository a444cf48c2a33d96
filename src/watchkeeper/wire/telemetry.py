"""Telemetry: what agents send, what was found in it, and what the plane exports."""

from __future__ import annotations

from typing import Literal

from watchkeeper.wire.base import Reason, Sent, Shown

FindingKind = Literal["bypass", "unknown_agent", "unmetered"]
"""A call that no gateway saw; an agent that no contract names; tokens that nothing metered."""


class SenderRow(Shown):
    """What an agent has sent so far."""

    agent: str
    spans: int
    joined: int
    """Spans whose run was known when they came."""
    rejected: int
    """Spans that were malformed, or of no time near the plane's."""
    logs: int
    """Log records; those that tell of an action are among the spans as well."""
    points: int
    """Points of metrics; tokens and costs are summed, nothing else is kept."""
    last_at: int


class Export(Shown):
    """How the plane's own spans are exported."""

    url: str
    state: Literal["up", "down", "unknown"]
    problem: str = ""
    behind: int
    """Events of the ledger whose spans are not exported yet."""
    sent: int
    refused: int
    """Spans that the receiver said it did not take."""
    lost: int
    """Spans of batches that it would never take."""
    passed_over: int
    """Events that were too far behind to be exported."""
    sent_at: int | None = None
    since: int | None = None
    """Since when it is down."""


class StrangerRow(Shown):
    """Requests with a token of nobody, from one address."""

    source: str
    requests: int
    first_at: int
    last_at: int


class Intake(Shown):
    """How busy the taking of telemetry is, since this plane began."""

    in_hand: int
    """Requests that wait or are being kept."""
    most: int
    """With so many, others are told to come again."""
    turned_away: int
    """Requests that were told so."""
    broken_off: int
    """Requests that are to come again since their reading ended."""
    per_second: float
    """Spans, over the last minute."""


class TelemetryStatus(Shown):
    """Telemetry, in and out."""

    address: str
    """What exporters of agents are given."""
    senders: tuple[SenderRow, ...]
    refused: int
    """Requests with a token of nobody, since this plane began."""
    strangers: tuple[StrangerRow, ...]
    """Where those came from; seen by whoever sees all agents."""
    intake: Intake
    waiting: int
    """Reported calls that are still to be held against what gateways saw."""
    findings: int
    """Findings that nobody has seen to."""
    export: Export | None
    """None: nothing is exported."""


class UsageRow(Shown):
    """What an agent's metrics say it used, beside what the plane metered meanwhile."""

    agent: str
    run: str | None
    """None: of no run that is known; then what came in one hour."""
    metric: str
    since: int
    last_at: int
    input_tokens: int
    output_tokens: int
    cost_micros: int
    metered_tokens: int | None
    """Of all kinds, those of caches too; None: not looked at yet, or too much to look through."""
    metered_micros: int | None


class Usage(Shown):
    """What changed last, the latest first."""

    rows: tuple[UsageRow, ...]


class FindingRow(Shown):
    """Something that an agent reports and the plane does not know of."""

    finding: str
    kind: FindingKind
    agent: str
    subject: str
    """The tool, model, agent or metric, as it was reported."""
    text: str
    count: int
    first_at: int
    last_at: int
    run: str | None
    trace: str | None
    """Of the last."""
    dismissed_at: int | None = None
    dismissed_by: str | None = None
    reason: str | None = None


class DismissFinding(Sent):
    """Take a finding off the list, until it is found again."""

    reason: Reason
