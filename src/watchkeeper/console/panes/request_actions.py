"""Every key of the Approvals pane."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from watchkeeper.console.actions import Action
from watchkeeper.console.dialogs.exporting import evidence_action
from watchkeeper.console.dialogs.killing import kill_action
from watchkeeper.console.panes.trace import trace_action

if TYPE_CHECKING:
    from watchkeeper.console.panes.approvals import ApprovalsPane

DECIDE, SEE_TO, LOOK = "Decide", "See to it", "Look"


def request_actions(pane: ApprovalsPane) -> Sequence[Action]:
    """Return what can be done with requests, in the order in which help lists it."""
    return (
        *_deciding(pane),
        *_seeing_to(pane),
        *_looking(pane),
        trace_action(pane),
        evidence_action(pane),
        kill_action(pane),
    )


def _deciding(pane: ApprovalsPane) -> list[Action]:
    deciding, handling = pane.deciding, pane.handling
    return [
        Action("approvals.approve", "approve", deciding.approve, ("a",), DECIDE,
               "Approve this request, or the marked ones where all are of low risk and one kind.",
               pane.key, footer=10, danger=True, needs="decide",
               why_not=deciding.why_not_approve),
        Action("approvals.reject", "reject", deciding.reject, ("x",), DECIDE,
               "Reject this request, or the marked ones, with a reason.",
               pane.key, footer=11, danger=True, needs="decide",
               why_not=deciding.why_not_reject),
        Action("approvals.changes", "changes", deciding.ask_changes, ("c",), DECIDE,
               "Refuse it, and tell the agent what you would approve.",
               pane.key, danger=True, needs="decide", why_not=deciding.why_not_one),
        Action("approvals.narrow", "narrow", handling.narrow, ("n",), DECIDE,
               "Approve less: a lower amount, fewer items, other words, as its tool allows.",
               pane.key, danger=True, needs="decide", why_not=deciding.why_not_one),
        Action("approvals.break-glass", "break the glass", handling.break_glass,
               ("exclamation_mark",), DECIDE,
               "Approve alone, in an emergency; somebody else must review it.",
               pane.key, danger=True, needs="break-glass", why_not=handling.why_not_pending),
        Action("approvals.take-back", "take back", handling.take_back, ("U",), DECIDE,
               "Take back an approval that was not used yet: this one, or your last.",
               pane.key, danger=True, needs="decide", why_not=handling.why_not_take_back),
    ]  # fmt: skip


def _seeing_to(pane: ApprovalsPane) -> list[Action]:
    handling = pane.handling
    return [
        Action("approvals.escalate", "escalate", handling.escalate, ("e",), SEE_TO,
               "Ask the next level now instead of when its time comes.",
               pane.key, footer=12, changes=True, needs="decide",
               why_not=handling.why_not_escalate),
        Action("approvals.acknowledge", "on it", handling.acknowledge, ("i",), SEE_TO,
               "Say that you are on it: nobody else is called for a while.",
               pane.key, footer=13, changes=True, needs="decide",
               why_not=handling.why_not_acknowledge),
        Action("approvals.comment", "comment", handling.comment, ("m",), SEE_TO,
               "Say something to everybody who decides it.",
               pane.key, changes=True, needs="decide"),
        Action("approvals.standing", "stand for more", handling.propose, ("s",), SEE_TO,
               "Propose that calls like this need nobody for a while, within bounds.",
               pane.key, danger=True, needs="decide"),
        Action("approvals.review", "review", handling.review, ("w",), SEE_TO,
               "Say whether what one person approved alone was justified.",
               pane.key, changes=True, needs="decide", why_not=handling.why_not_review),
        Action("approvals.judge", "judge", handling.judge, ("b",), SEE_TO,
               "Say whether a decision was right, as is known now.",
               pane.key, changes=True, needs="decide", why_not=handling.why_not_judge),
    ]  # fmt: skip


def _looking(pane: ApprovalsPane) -> list[Action]:
    return [
        Action("approvals.alike", "mark alike", pane.mark_alike, ("equals_sign",), LOOK,
               "Mark what asks the same as this: one agent, one tool, one kind of object.",
               pane.key, layers=("list",)),
        Action("approvals.together", "together", pane.toggle_together, ("o",), LOOK,
               "Have what shares a tool, an agent or an object stand together.",
               pane.key, layers=("list",)),
        Action("approvals.decided", "decided", pane.toggle_decided, ("d",), LOOK,
               "Go on to what was decided, to what is to review, and back to what waits.",
               pane.key, layers=("list",), footer=30),
        Action("approvals.hints", "hints", pane.show_hints, ("H",), LOOK,
               "What would spare work: kinds of requests that repeat.", pane.key),
        Action("approvals.quality", "quality", pane.show_quality, ("Q",), LOOK,
               "How approving goes: times, overrides, load.", pane.key),
        Action("approvals.run", "run", pane.handling.show_run, ("R",), LOOK,
               "Go to the run that asks, with everything it did.", pane.key,
               why_not=pane.handling.why_not_run),
        Action("approvals.stands", "standing", pane.handling.show_standing, ("S",), LOOK,
               "What was agreed to beforehand, and what is left of it.", pane.key),
    ]  # fmt: skip
