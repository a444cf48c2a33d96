"""Any runtime over HTTP that its document describes: which requests list, stop, pause and resume.

What a run is after a stop is read from the list: one that is not in it any more has ended, if the
list is whole.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

from watchkeeper.core.clock import Clock
from watchkeeper.registry.runtimes import HttpRuntime, HttpVerb, Runtime
from watchkeeper.runtimes.adapters.bare import Bare
from watchkeeper.runtimes.adapters.reading import at, id_in, time_in, word_in
from watchkeeper.runtimes.adapters.stopping import Tell, hold_and_look, stop_and_look
from watchkeeper.runtimes.calling import Answered, RuntimeCalls
from watchkeeper.runtimes.model import (
    MOST_RUNS,
    Information,
    Listing,
    RemoteRun,
    Stopping,
)
from watchkeeper.tools.upstreams.model import UpstreamFailure
from watchkeeper.wire.runtimes import ENDED, Verb

_PLACE = re.compile(r"\{(run|thread|agent)\}")
_DEEPEST_BODY = 20


class Described(Bare):
    """One described runtime."""

    called = "this runtime, as its document describes it,"

    def __init__(
        self, document: Runtime, calls: RuntimeCalls, clock: Clock, directory: Path
    ) -> None:
        super().__init__(document, calls, clock, directory)
        assert document.http is not None
        self._http: HttpRuntime = document.http
        offered: dict[Verb, object] = {
            "list": self._http.runs,
            "inspect": self._http.runs,
            "stop": self._http.stop,
            "stop all": self._http.stop_all,
            "pause": self._http.pause,
            "resume": self._http.resume,
        }
        self.can: frozenset[Verb] = frozenset(verb for verb, there in offered.items() if there)

    async def information(self) -> Information:
        """Return that it is well, by the request that its document names."""
        answer = await self._ask(self._http.health, None)
        if answer.status in (401, 403):
            return Information(authorised=False)
        if not answer.well:
            raise UpstreamFailure(f"it answered {answer.status} for its health", reached=True)
        return Information()

    async def list_runs(self) -> Listing:
        """Return the runs in its list that have not ended."""
        runs, complete = await self._all()
        return Listing(tuple(run for run in runs if run.state not in ENDED), complete=complete)

    async def inspect(self, run: RemoteRun) -> RemoteRun | None:
        """Return a run as the list has it; None if a whole list has it not."""
        runs, complete = await self._all()
        found = next((one for one in runs if one.id == run.id), None)
        if found is None and not complete:
            raise UpstreamFailure("its list is not whole, and does not have the run", reached=True)
        return found

    async def stop(self, run: RemoteRun, *, now: bool) -> Stopping:
        """Send the request that stops a run."""
        if self._http.stop is None:
            return self.lacks("stop a run")
        tell = self._telling(self._http.stop, run)
        return await stop_and_look(tell, lambda: self.inspect(run))

    async def stop_all(self) -> bool:
        """Send the request that stops all."""
        if self._http.stop_all is None:
            return False
        return (await self._ask(self._http.stop_all, None)).well

    async def pause(self, run: RemoteRun) -> Stopping:
        """Send the request that pauses a run."""
        if self._http.pause is None:
            return self.lacks("pause a run")
        tell = self._telling(self._http.pause, run)
        return await hold_and_look(tell, lambda: self.inspect(run), paused=True)

    async def resume(self, run: RemoteRun) -> Stopping:
        """Send the request that resumes a run."""
        if self._http.resume is None:
            return self.lacks("resume a run")
        tell = self._telling(self._http.resume, run)
        return await hold_and_look(tell, lambda: self.inspect(run), paused=False)

    async def _all(self) -> tuple[list[RemoteRun], bool]:
        """Return the runs in its list, and whether these are all that it has."""
        described = self._http.runs
        answer = await self._ask(described.request, None)
        if not answer.well:
            raise UpstreamFailure(f"it answered {answer.status} for its runs", reached=True)
        rows = at(answer.value, described.rows)
        if not isinstance(rows, list):
            where = repr(described.rows) if described.rows else "its answer"
            raise UpstreamFailure(f"there is no list of runs at {where}", reached=True)
        runs = {run.id: run for row in rows[:MOST_RUNS] if (run := self._run(row)) is not None}
        return list(runs.values()), len(runs) == len(rows)

    def _run(self, row: Any) -> RemoteRun | None:
        described = self._http.runs
        id = id_in(row, described.id)
        if id is None:
            return None
        said = word_in(row, described.state)
        return RemoteRun(
            id=id,
            state=described.states.get(said, "unknown"),
            said=said,
            offered=id_in(row, described.agent) if described.agent else None,
            our_run=id_in(row, described.run) if described.run else None,
            started_at=time_in(row, described.started) if described.started else None,
        )

    def _telling(self, verb: HttpVerb, run: RemoteRun) -> Tell:
        async def tell() -> bool:
            return (await self._ask(verb, run)).well

        return tell

    async def _ask(self, verb: HttpVerb, run: RemoteRun | None) -> Answered:
        places = {} if run is None else _places(run)
        body = None if verb.body is None else fill_body(verb.body, places)
        return await self.calls.ask(verb.method, fill_path(verb.path, places), body=body)


def _places(run: RemoteRun) -> dict[str, str]:
    named = {"run": run.id, "thread": run.thread, "agent": run.offered}
    return {place: value for place, value in named.items() if value}


def fill_path(path: str, places: dict[str, str]) -> str:
    """Return a document's path with its places filled, each as one quoted segment.

    Raises `UpstreamFailure` for a place that nothing is known for, or that would lead elsewhere.
    """

    def fill(found: re.Match[str]) -> str:
        value = _value_for(found, places)
        # a dot alone is a segment that means a place, quoted or not
        if value in {".", ".."}:
            raise UpstreamFailure("it names something by an id that can't be used", reached=False)
        return quote(value, safe="")

    return _PLACE.sub(fill, path)


def fill_body(value: Any, places: dict[str, str], depth: int = 0) -> Any:
    """Return a document's body with the places in its texts filled, as they are."""
    if isinstance(value, str):
        return _PLACE.sub(lambda found: _value_for(found, places), value)
    if depth < _DEEPEST_BODY:
        if isinstance(value, dict):
            return {key: fill_body(one, places, depth + 1) for key, one in value.items()}
        if isinstance(value, list):
            return [fill_body(one, places, depth + 1) for one in value]
    return value


def _value_for(found: re.Match[str], places: dict[str, str]) -> str:
    value = places.get(found[1])
    if value is None:
        raise UpstreamFailure(
            f"its list does not tell the {found[1]} that the path needs", reached=False
        )
    return value
