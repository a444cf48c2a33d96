"""An agent server over HTTP that does as a test says: it speaks LangGraph's protocol, or worse."""

from __future__ import annotations

import json
import threading
from typing import Any, Literal
from urllib.parse import unquote, urlsplit
from uuid import UUID, uuid5

from tests.rig.credential_servers import Answer, HttpServer

GRAPHS = UUID("6ba7b821-9dad-11d1-80b4-00c04fd430c8")
Mode = Literal["well", "broken", "garbled", "hanging"]


class AgentServer(HttpServer):
    """Threads with a run or two in each."""

    def __init__(self) -> None:
        super().__init__()
        self.mode: Mode = "well"
        self.released = threading.Event()
        """Set, what hangs is answered."""
        self.threads: dict[str, dict[str, Any]] = {}
        self.runs: dict[str, list[dict[str, Any]]] = {}
        """Of each thread, the newest first."""
        self.asked: list[tuple[str, str]] = []
        self.resumed: list[Any] = []
        """What interrupts were answered with."""
        self.started = 0
        """How many runs were started in threads that there were."""
        self.holds_back = False
        """Whether whoever answers an interrupt hears nothing of it."""
        self.lets_go = True
        """Whether a run that is cancelled ends."""
        self._ticks = 0

    def __exit__(self, *exception: object) -> None:
        self.released.set()
        super().__exit__(*exception)

    def begin(self, graph: str = "refund", ours: str | None = None, **more: Any) -> str:
        """Have something run in a thread of its own; return the run."""
        self._ticks += 1
        thread, run = f"thread-{self._ticks}", f"run-{self._ticks}"
        self.threads[thread] = {"thread_id": thread, "status": "busy", "metadata": {}}
        self.runs[thread] = [
            {
                "run_id": run,
                "status": "running",
                "assistant_id": str(uuid5(GRAPHS, graph)),
                "metadata": {"watchkeeper_run_id": ours} if ours else {},
                **more,
            }
        ]
        self._touch(thread)
        return run

    def ask(self, run: str, value: Any, id: str = "ask-1") -> None:
        """Have a run wait for a person."""
        thread = self.thread_of(run)
        self.threads[thread] |= {"status": "interrupted", "interrupts": {"t": [
            {"id": id, "value": value}]}}  # fmt: skip
        self.runs[thread][0]["status"] = "success"
        self._touch(thread)

    def end(self, run: str, status: str = "success") -> None:
        """Have a run end by itself."""
        thread = self.thread_of(run)
        self.runs[thread][0]["status"] = status
        self.threads[thread] |= {"status": "idle", "interrupts": {}}
        self._touch(thread)

    def forget(self, run: str) -> None:
        """Know nothing of a run any more."""
        thread = self.thread_of(run)
        del self.runs[thread], self.threads[thread]

    def thread_of(self, run: str) -> str:
        """Return the thread of a run."""
        return next(name for name, runs in self.runs.items() if runs[0]["run_id"] == run)

    def count(self, path: str) -> int:
        """Return how often a path was asked for."""
        return sum(asked == path for _, asked in self.asked)

    def _touch(self, thread: str) -> None:
        self._ticks += 1
        self.threads[thread]["updated_at"] = f"2026-01-01T00:00:{self._ticks % 60:02}.{self._ticks}"

    def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        path = urlsplit(path).path
        self.asked.append((method, path))
        if self.mode == "hanging":
            self.released.wait(30)
        if self.mode == "broken":
            return 500, {}
        if self.mode == "garbled":
            return 200, _GARBLED[len(self.asked) % len(_GARBLED)]
        parts = [unquote(one) for one in path.strip("/").split("/")]
        sent = json.loads(body) if body else {}
        match (method, *parts):
            case ("GET", "info"):
                return 200, {"version": "0.16.7"}
            case ("POST", "assistants", "search"):
                names = ("refund", "report")
                rows = [(str(uuid5(GRAPHS, one)), one) for one in names]
                return 200, [{"assistant_id": i, "graph_id": g, "name": g} for i, g in rows]
            case ("POST", "threads", "search"):
                wanted = sent["status"]
                return 200, [one for one in self.threads.values() if one["status"] == wanted]
            case ("POST", "runs", "cancel"):
                for thread in self.threads:
                    self._cancel(thread)
                return 204, b""
        if len(parts) < 2 or parts[0] != "threads" or parts[1] not in self.threads:
            return 404, {}
        return self._of_thread(method, parts[1], parts[2:], sent)

    def _of_thread(self, method: str, thread: str, rest: list[str], sent: Any) -> Answer:
        row, runs = self.threads[thread], self.runs[thread]
        match (method, *rest):
            case ("GET",):
                return 200, row
            case ("PATCH",):
                row["metadata"] |= sent["metadata"]
                return 200, row
            case ("POST", "state"):
                row |= {"status": "idle", "interrupts": {}}
                return 200, {}
            case ("GET", "runs"):
                return 200, runs
            case ("GET", "runs", run):
                found = [one for one in runs if one["run_id"] == run]
                return (200, found[0]) if found else (404, {})
            case ("POST", "runs", _, "cancel"):
                if row["status"] != "busy":
                    return 404, {}
                if runs[0].get("refuses"):
                    return 500, {}
                self._cancel(thread)
                return 202, {}
            case ("POST", "runs"):
                return self._start(thread, sent)
        return 404, {}

    def _cancel(self, thread: str) -> None:
        if self.lets_go and self.threads[thread]["status"] == "busy":
            self.runs[thread][0]["status"] = "interrupted"
            self.threads[thread] |= {"status": "interrupted", "interrupts": {}}
            self._touch(thread)

    def _start(self, thread: str, sent: Any) -> Answer:
        row = self.threads[thread]
        if row["status"] == "busy":
            return 409, {}
        self._ticks += 1
        self.started += 1
        run = {"run_id": f"run-{self._ticks}", "status": "running"}
        run |= {"assistant_id": sent["assistant_id"], "metadata": sent.get("metadata", {})}
        self.runs[thread].insert(0, run)
        row |= {"status": "busy", "interrupts": {}}
        if "command" in sent:
            self.resumed.append(sent["command"]["resume"])
            if self.holds_back:
                self.released.wait(30)
                return 0, b""
        self._touch(thread)
        return 200, run


_GARBLED: tuple[Any, ...] = (
    b"{", [], {"detail": 1}, [1, None, "x", {"thread_id": 7}], "text",
    [{"thread_id": "../..", "status": "busy"}], [{"thread_id": "t", "interrupts": [1]}],
    {"version": {"a": 1}}, b"\xff\xfe", b"[" * 10_000,
)  # fmt: skip
