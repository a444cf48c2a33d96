"""Floor 1: the ledger of events: reading it, and proving that it is whole."""

from __future__ import annotations

from watchkeeper.ledger.reading import read_events, timeline
from watchkeeper.ledger.verification import Verification, verify
from watchkeeper.store.journal import Event

__all__ = ["Event", "Verification", "read_events", "timeline", "verify"]
