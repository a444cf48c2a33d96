"""How a held action stands, as the agent that asked for it is told."""

from __future__ import annotations

from typing import Any

from watchkeeper.wire.base import Shown
from watchkeeper.wire.decisions import Verdict
from watchkeeper.wire.requests import RequestState


class Asked(Shown):
    """What became of a request. Reading it uses nothing up and runs nothing."""

    request: str
    state: RequestState
    verdict: Verdict
    """hold: nobody has decided yet; permit: send the same call again, it is let through once (or
    was already); deny: the same call is refused, or needs to be asked anew."""
    text: str
    """What to do now, in words."""
    tool: str
    arguments: dict[str, Any]
    """What may run, where it is approved: personal data and secrets as they were kept."""
    digest: str
    decide_by: int
    decided_by: str | None = None
    decided_at: int | None = None
    reason: str | None = None
    """What the person who decided said."""
    approved_until: int | None = None
    """Until when the approval may be used, once."""
    superseded_by: str | None = None
    """The request that stands for it since it was edited: its `arguments` are what may run."""
    callback: str | None = None
    """The webhook that is told how it ends."""
