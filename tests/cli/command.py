"""The command line as a person or a script uses it: a process, its output, its exit code."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.rig.plane import Plane
from tests.rig.process import clean_environment, run_to_end


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        """Return what it printed, parsed."""
        return json.loads(self.out)


def watchkeeper(
    home: Path,
    *arguments: str,
    state: Path | None = None,
    token: str | None = None,
    environ: Mapping[str, str] | None = None,
    typed: str | None = None,
) -> Ended:
    """Run `watchkeeper` to its end; `typed` is its standard input."""
    more = dict(environ or {})
    if state is not None:
        more["WATCHKEEPER_STATE"] = str(state)
    if token is not None:
        more["WATCHKEEPER_TOKEN"] = token
    ended = run_to_end(
        *("-m", "watchkeeper", *arguments), env=clean_environment(home, **more), typed=typed or ""
    )
    return Ended(ended.returncode, ended.stdout, ended.stderr)


def on(
    plane: Plane,
    *arguments: str,
    typed: str | None = None,
    environ: Mapping[str, str] | None = None,
) -> Ended:
    """Run `watchkeeper` against a plane of this machine."""
    return watchkeeper(plane.directory, *arguments, state=plane.state, typed=typed, environ=environ)
