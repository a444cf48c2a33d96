"""The panes, in the order of their keys."""

from __future__ import annotations

from typing import Any

from watchkeeper.console.actions import Action
from watchkeeper.console.desk import Desk
from watchkeeper.console.dialogs.asking import ask_actions
from watchkeeper.console.dialogs.exporting import report_action
from watchkeeper.console.pane import Pane
from watchkeeper.console.panes.answers import AnswersPane
from watchkeeper.console.panes.approvals import ApprovalsPane
from watchkeeper.console.panes.budgets import BudgetsPane
from watchkeeper.console.panes.fleet import FleetPane
from watchkeeper.console.panes.incidents import IncidentsPane
from watchkeeper.console.panes.ledger import LedgerPane
from watchkeeper.console.panes.locks import LocksPane
from watchkeeper.console.panes.models import ModelsPane
from watchkeeper.console.panes.oncall import OnCallPane
from watchkeeper.console.panes.policy import PolicyPane
from watchkeeper.console.panes.replay import ReplayPane
from watchkeeper.console.panes.runs import RunsPane
from watchkeeper.console.panes.runtimes import RuntimesPane
from watchkeeper.console.panes.tools import ToolsPane
from watchkeeper.console.panes.trace import TracePane
from watchkeeper.console.panes.watch import WatchPane


def all_panes(desk: Desk) -> list[Pane[Any]]:
    """Return one of each pane."""
    return [
        WatchPane(desk),
        FleetPane(desk),
        ApprovalsPane(desk),
        RunsPane(desk),
        BudgetsPane(desk),
        ToolsPane(desk),
        PolicyPane(desk),
        OnCallPane(desk),
        LedgerPane(desk),
        LocksPane(desk),
        ModelsPane(desk),
        RuntimesPane(desk),
        IncidentsPane(desk),
        TracePane(desk),
        ReplayPane(desk),
        AnswersPane(desk),
    ]


def console_actions(desk: Desk) -> list[Action]:
    """Return what can be done in every pane alike, beyond the shell's own."""
    return [*ask_actions(desk), report_action(desk)]
