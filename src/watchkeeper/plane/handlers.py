"""What is done as stored timers come due, of every room that sets any."""

from __future__ import annotations

from collections.abc import Mapping

from watchkeeper.approvals.standing.service import HANDLERS as STANDING_TIMERS
from watchkeeper.approvals.timers import handlers as approval_timers
from watchkeeper.breakers.service import HANDLERS as BREAKER_TIMERS
from watchkeeper.budgets import history
from watchkeeper.budgets.changes import HANDLERS as CAP_TIMERS
from watchkeeper.decide.budgets.holds import hold_timers
from watchkeeper.decide.kill.stop import KillSwitch
from watchkeeper.decide.runs.children import HANDLERS as CHILD_TIMERS
from watchkeeper.decide.runs.health import Health
from watchkeeper.decide.runs.unsettled import SWEEP as UNSETTLED
from watchkeeper.decide.runs.unsettled import sweeping
from watchkeeper.decide.service import Decider
from watchkeeper.decide.telemetry import bypass
from watchkeeper.oncall.handovers.service import HANDLERS as HANDOVER_TIMERS
from watchkeeper.store.timers import Handler

TIMERS: Mapping[str, Handler] = {
    **BREAKER_TIMERS,
    **CAP_TIMERS,
    **history.HANDLERS,
    **CHILD_TIMERS,
    **HANDOVER_TIMERS,
    **STANDING_TIMERS,
}
"""Timers by kind, of the rooms that need nothing else."""


def handlers_of(decider: Decider, kill: KillSwitch, run_health: Health) -> Mapping[str, Handler]:
    """Return what is done as timers come due, by their kind."""
    return {
        **TIMERS,
        **kill.handlers,
        **approval_timers(decider.coverage),
        **hold_timers(decider),
        UNSETTLED: sweeping(decider),
        **run_health.handlers,
        bypass.CHECK: bypass.checking(decider.catalogue),
    }
