"""From the ledger's events to the deliveries that they lead to: exactly once, also over a crash."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from watchkeeper.decide.catalogue import Catalogue
from watchkeeper.outbox.model import NewDelivery
from watchkeeper.store.journal import Event
from watchkeeper.store.transaction import Transaction

Plan = Callable[[Transaction, Event, Catalogue], Sequence[NewDelivery]]
"""Reads what it needs and returns the deliveries that an event leads to; it changes nothing."""


@dataclass(frozen=True, slots=True)
class Route:
    """Which events lead to deliveries, and to which."""

    types: frozenset[str]
    """Of the events that `plan` is asked about; the others cost nothing."""
    plan: Plan
