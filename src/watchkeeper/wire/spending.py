"""What was spent, by whom and on what; what runs cost; the chargeback report."""

from __future__ import annotations

from typing import Literal

from watchkeeper.wire.base import Shown

SpendingBy = Literal[
    "agent", "version", "model", "provider", "tool", "team", "project", "person", "object", "run"
]


class SpendingRow(Shown):
    """What one agent, model, team … used in a time."""

    name: str
    """Empty: what has none, e.g. no project."""
    calls: int
    """Permitted actions that were settled."""
    failed: int
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cost_micros: int
    value_micros: int
    """Money that its tools moved."""
    share_percent: float
    """Of the whole's cost."""
    before_micros: int = 0
    """What it cost in the time before, as long."""


class Spending(Shown):
    """What was used in a time, by one dimension, the dearest first."""

    by: SpendingBy
    since: int
    until: int
    total: SpendingRow
    rows: tuple[SpendingRow, ...]
    more: int = 0
    """How many rows are left out; their sums are in `total`."""


class RunCostRow(Shown):
    """What the runs of one version cost: this week against the one before."""

    agent: str
    version: int
    runs: int
    p50_micros: int
    p95_micros: int
    before_runs: int = 0
    before_p95_micros: int | None = None
    drift_percent: float | None = None
    """Of the P95 against the week before; None: too few runs to say."""
    drifts: bool = False
    """Whether it is beyond ten percent either way."""
