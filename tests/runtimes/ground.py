"""What tests of runtimes stand on: a real server in its own environment, and an adapter to it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.rig.environments import environment
from tests.rig.process import ROOT, Child, clean_environment
from watchkeeper.core.clock import Clock, SystemClock
from watchkeeper.registry.runtimes import Runtime
from watchkeeper.runtimes.adapters import open_adapter
from watchkeeper.runtimes.model import Adapter, RemoteRun
from watchkeeper.tools.secrets.known import KnownValues
from watchkeeper.tools.secrets.references import References
from watchkeeper.tools.upstreams.credentials import Credentials
from watchkeeper.tools.upstreams.egress import Egress

STARTING_SECONDS = 60.0


class Server:
    """A runtime's real server: `tests/runtimes/NAME/app.py`, run by the environment's Python.

    The app takes the path of a file, and writes there as JSON the `url` that it serves.
    """

    def __init__(self, name: str, directory: Path) -> None:
        ready = directory / f"{name}.json"
        self._child = Child(
            [
                str(environment(name)),
                str(ROOT / "tests" / "runtimes" / name / "app.py"),
                str(ready),
            ],
            log=directory / f"{name}.out",
            # an environment of its own: nothing of ours is importable there
            env={**clean_environment(directory), "PYTHONPATH": ""},
        )
        found = self._child.wait_for_file(ready, seconds=STARTING_SECONDS)
        self.url: str = found["url"]

    def ask(self, method: str, path: str, body: Any = None, **options: Any) -> Any:
        """Do as an agent's own program would: one request, answered with JSON."""
        answer = httpx.request(method, self.url + path, json=body, timeout=20, **options)
        answer.raise_for_status()
        return answer.json()

    @property
    def output(self) -> str:
        """What the server printed."""
        return self._child.output

    def stop(self) -> None:
        """End it."""
        self._child.kill()


@asynccontextmanager
async def speaking_to(
    url: str | None, kind: str, directory: Path, *, clock: Clock | None = None, **more: Any
) -> AsyncIterator[Adapter]:
    """Open the adapter of a kind of runtime."""
    known = KnownValues()
    egress = Egress()
    wanted = {"name": "there", "kind": kind, "url": url, **more}
    if kind == "process":
        wanted.setdefault("agents", [{"id": "there", "agent": "clerk"}])
    document = Runtime.model_validate(wanted)
    credentials = Credentials(References(known), None, known)
    adapter = open_adapter(document, egress, credentials, clock or SystemClock(), directory)
    try:
        yield adapter
    finally:
        await adapter.close()
        await egress.close()


async def stop_what_runs(adapter: Adapter) -> set[str]:
    """Stop each run that is listed; return what came of it."""
    runs = (await adapter.list_runs()).runs
    return {(await adapter.stop(run, now=True)).result for run in runs}


def pid_of(run: RemoteRun) -> int:
    """Return the number of a supervised run's first process."""
    found = re.search(r"pid (\d+)", run.said)
    assert found is not None, run
    return int(found[1])
