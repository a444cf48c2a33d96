"""What was spent, by whom and on what; what runs cost; the chargeback report."""

from __future__ import annotations

from typing import Literal

from watchkeeper.wire.base import Shown

NOTHING = "-"
"""Asks for what has none of something, e.g. no project: no name is written so."""

SpendingBy = Literal[
    "agent", "version", "model", "provider", "tool", "team", "project", "person", "object", "run"
]


class Used(Shown):
    """What some permitted actions used that were settled; money in micro-dollars."""

    calls: int
    failed: int
    unknown: int = 0
    """Of the calls: nobody knows how they ended."""
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    """Of the input: what the provider had in its prompt cache."""
    cost_micros: int
    value_micros: int
    """Money that tools moved."""
    share_percent: float
    """Of the whole's cost."""


class SpendingRow(Used):
    """What one agent, model, team … used in a time."""

    name: str
    """Empty: what has none, e.g. no project."""
    before_micros: int = 0
    """What it cost in the time before, as long."""


class NotCounted(Shown):
    """What is not in the sums of a time, or not as budgets count it."""

    unsettled: int = 0
    """Permitted actions that have not ended."""
    unsettled_micros: int = 0
    """What budgets hold for them: they cost this at most."""
    unknown_micros: int = 0
    """What budgets count for actions of which nobody knows how they ended, beyond the cost that
    was reported of them."""


class Spending(Shown):
    """What was used in a time, by one dimension, the dearest first.

    An action is of the time when it was permitted.
    """

    by: SpendingBy
    since: int
    until: int
    total: SpendingRow
    rows: tuple[SpendingRow, ...]
    more: int = 0
    """How many rows are left out; their sums are in `total`."""
    not_counted: NotCounted = NotCounted()


class ChargebackRow(Used):
    """One line of a chargeback report."""

    names: dict[SpendingBy, str]
    """Of each dimension that the report is by; empty: what has none."""
    cost: str
    """In dollars, to the micro-dollar."""
    others: bool = False
    """The last line, where there are too many: all that are left out, together."""


class Chargeback(Shown):
    """What each team, project, agent … is charged for a time. The lines add up to the total."""

    period: str
    """As it was asked for: `2026-11`, `2026-W47`, `2026-11-01..2026-11-15`."""
    since: int
    until: int
    zone: str
    over: bool
    """Whether the period has ended."""
    produced_at: int
    by: tuple[SpendingBy, ...]
    teams: tuple[str, ...] | None = None
    """The only teams that the reader may see; None: all."""
    prices: tuple[str, ...] = ()
    """Where the prices are from that calls were charged with."""
    total: ChargebackRow
    rows: tuple[ChargebackRow, ...]
    not_counted: NotCounted = NotCounted()


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
    """Of the P95 against the week before; None: too few runs to say, or they cost nothing."""
    drifts: bool = False
    """Whether it is beyond ten percent either way."""


class RunCosts(Shown):
    """What runs cost that ended in a week, by agent and version, the dearest P95 first.

    P95 is by nearest rank (the smallest cost that at least 95 % of the runs do not exceed), so
    it is one that occurred.
    """

    since: int
    until: int
    fewest: int
    """Of fewer runs no drift is said."""
    rows: tuple[RunCostRow, ...]
    more: int = 0
    """How many versions are left out."""
