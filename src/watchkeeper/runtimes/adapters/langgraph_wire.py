"""How LangGraph's agent server writes threads and runs. Every byte of it is untrusted."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.runtimes.calling import Answered, path_of
from watchkeeper.runtimes.model import OUR_RUN, RemoteRun
from watchkeeper.tools.upstreams.model import UpstreamFailure
from watchkeeper.wire.runtimes import RunState

PAUSED = "watchkeeper_paused"
"""The key of a thread's metadata that names the run which was paused, not stopped."""
RUN_STATES: Mapping[str, RunState] = {
    "pending": "pending",
    "running": "running",
    "success": "done",
    "error": "failed",
    "timeout": "failed",
    "interrupted": "stopped",
}


def state_of(status: str, thread: Mapping[str, Any], run: str, *, newest: bool) -> RunState:
    """Return the state of a run in a thread; `newest`: it is the last that ran there."""
    state = RUN_STATES.get(status, "unknown")
    if thread.get("status") != "interrupted" or not newest or state not in {"done", "stopped"}:
        return state
    if thread.get("interrupts"):
        return "waiting"
    if mark_of(thread) == run or state == "done":
        return "paused"  # by us, or at a breakpoint of its own
    return state


def interrupts_of(thread: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Return the task and the interrupt of each that a thread waits for."""
    found = thread.get("interrupts")
    if not isinstance(found, dict):
        return []
    return [
        (task, one)
        for task, rows in found.items()
        if isinstance(rows, list)
        for one in rows
        if isinstance(one, dict) and text_in(one, "id")
    ]


def mark_of(thread: Mapping[str, Any]) -> str:
    """Return the run that a thread is marked to be paused in, or an empty text."""
    metadata = thread.get("metadata")
    return text_in(metadata, PAUSED) if isinstance(metadata, dict) else ""


def metadata_of(run: RemoteRun) -> dict[str, Any]:
    """Return the metadata of a run that goes on with another's work."""
    return {OUR_RUN: run.our_run} if run.our_run else {}


def run_path(run: RemoteRun) -> str:
    """Return the path of a run."""
    return path_of("threads", run.thread or "", "runs", run.id)


def text_in(row: Mapping[str, Any], key: str) -> str:
    """Return a text of an object, or an empty one."""
    value = row.get(key)
    return value if isinstance(value, str) else ""


def time_of(text: object) -> int | None:
    """Return a time of theirs (ISO 8601) in microseconds."""
    try:
        at = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
    if at is None:
        return None
    try:
        return round((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * MICROSECONDS)
    except (OverflowError, ValueError):
        return None


def check(answer: Answered, method: str, what: str) -> None:
    """Raise `UpstreamFailure` unless it did what it was asked for."""
    if not answer.well:
        raise UpstreamFailure(f"it answered {answer.status} to {method} of {what}", reached=True)


def object_in(answer: Answered, what: str) -> dict[str, Any]:
    """Return what an answer tells of; raise `UpstreamFailure` where that is none."""
    if not isinstance(answer.value, dict):
        raise UpstreamFailure(f"it tells of {what} in a way that can't be read", reached=True)
    return answer.value


def list_in(answer: Answered, what: str) -> list[dict[str, Any]]:
    """Return what an answer lists: that something can't be read must not hide that it is there."""
    value = answer.value
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise UpstreamFailure(f"it lists {what} in a way that can't be read", reached=True)
    return value
