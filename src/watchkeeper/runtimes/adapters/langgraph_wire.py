"""How LangGraph's agent server writes threads and runs. Every byte of it is untrusted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from watchkeeper.runtimes.adapters.reading import id_in, object_in, word_in
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
_MOST_INTERRUPTS = 100
"""Of one thread."""


def state_of(status: str, thread: Mapping[str, Any], run: str, *, newest: bool) -> RunState:
    """Return the state of a run in a thread; `newest`: it is the last that ran there."""
    state = RUN_STATES.get(status, "unknown")
    if not is_interrupted(thread) or not newest or state not in {"done", "stopped"}:
        return state
    if thread.get("interrupts"):
        return "waiting"
    if mark_of(thread) == run or state == "done":
        return "paused"  # by us, or at a breakpoint of its own
    return state


def is_interrupted(thread: Mapping[str, Any]) -> bool:
    """Tell whether a thread waits for somebody, or is held."""
    return word_in(thread, "status") == "interrupted"


def interrupts_of(thread: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the interrupts that a thread waits for, by id."""
    found = [
        (id, one)
        for rows in object_in(thread, "interrupts").values()
        if isinstance(rows, list)
        for one in rows
        if isinstance(one, dict) and (id := id_in(one, "id"))
    ]
    return dict(found[:_MOST_INTERRUPTS])


def mark_of(thread: Mapping[str, Any]) -> str | None:
    """Return the run that a thread is marked to be paused in."""
    return id_in(thread, f"metadata.{PAUSED}")


def metadata_of(run: RemoteRun) -> dict[str, Any]:
    """Return the metadata of a run that goes on with another's work."""
    return {OUR_RUN: run.our_run} if run.our_run else {}


def run_path(run: RemoteRun) -> str:
    """Return the path of a run."""
    return path_of("threads", run.thread or "", "runs", run.id)


def check(answer: Answered, method: str, what: str) -> None:
    """Raise `UpstreamFailure` unless it did what it was asked for."""
    if not answer.well:
        raise UpstreamFailure(f"it answered {answer.status} to {method} of {what}", reached=True)


def one_of(answer: Answered, what: str) -> dict[str, Any]:
    """Return what an answer tells of; raise `UpstreamFailure` where that is none."""
    if not isinstance(answer.value, dict):
        raise UpstreamFailure(f"it tells of {what} in a way that can't be read", reached=True)
    return answer.value


def listed(answer: Answered, what: str) -> list[dict[str, Any]]:
    """Return what an answer lists: that something can't be read must not hide that it is there."""
    value = answer.value
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise UpstreamFailure(f"it lists {what} in a way that can't be read", reached=True)
    return value
