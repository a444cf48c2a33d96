"""Runtimes, as documents: where agents' work runs, and which agent is which there."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from watchkeeper.registry.parts import Part
from watchkeeper.registry.references import CredentialUse, Url
from watchkeeper.wire.base import Name
from watchkeeper.wire.runtimes import RunState, RuntimeKind

PlacePath = str
"""A path with `{run}`, `{thread}` and `{agent}` in it, filled in as whole segments."""


class RuntimeAgent(Part):
    """Which registered agent one that the runtime offers is."""

    id: str = Field(min_length=1, max_length=200)
    agent: Name


class HttpVerb(Part):
    """One request of a runtime that is described, not known."""

    method: Literal["GET", "POST", "PUT", "DELETE"] = "POST"
    path: PlacePath = Field(max_length=500, pattern=r"^/")
    body: dict[str, object] | None = None


class HttpRuns(Part):
    """How a described runtime lists its runs: the request, and where each field is."""

    request: HttpVerb
    rows: str = Field("", max_length=200)
    """Where the list is in the answer, as `a.b`; empty: the answer itself."""
    id: str = Field("id", max_length=200)
    state: str = Field("status", max_length=200)
    agent: str | None = Field(None, max_length=200)
    started: str | None = Field(None, max_length=200)
    run: str | None = Field(None, max_length=200)
    """Where the run of ours is named."""
    states: dict[str, RunState] = Field(default_factory=dict)
    """The runtime's words for states; any other is `unknown`."""


class HttpRuntime(Part):
    """A runtime over HTTP that no adapter knows, described."""

    health: HttpVerb = HttpVerb(method="GET", path="/health")
    runs: HttpRuns
    stop: HttpVerb | None = None
    pause: HttpVerb | None = None
    resume: HttpVerb | None = None
    stop_all: HttpVerb | None = None


class SupervisedProcess(Part):
    """A process on this machine that the plane starts, and stops with all its children."""

    command: tuple[str, ...] = Field(min_length=1, max_length=64)
    directory: str | None = Field(None, max_length=500)
    environment: dict[str, str] = Field(default_factory=dict)
    restart: Literal["never", "on failure"] = "never"
    grace_seconds: int = Field(10, ge=0, le=600)
    """Between asking it to end and killing its process group."""


class Runtime(Part):
    """Where agents' work runs: polled for what runs there, and told to stop it."""

    name: Name
    kind: RuntimeKind
    url: Url | None = None
    credential: CredentialUse | None = None
    allow_private: bool = False
    owner: Name | None = None
    """The role or team that is told of what is found there."""
    agents: tuple[RuntimeAgent, ...] = Field((), max_length=500)
    poll_seconds: int = Field(10, ge=1, le=3600)
    timeout_seconds: float = Field(5, gt=0, le=5)
    http: HttpRuntime | None = None
    process: SupervisedProcess | None = None

    @model_validator(mode="after")
    def _check(self) -> Runtime:
        if (self.kind == "http") != (self.http is not None):
            raise ValueError("kind http, and only that, is described under http")
        if (self.kind == "process") != (self.process is not None):
            raise ValueError("kind process, and only that, is described under process")
        if (self.kind == "process") == (self.url is not None):
            raise ValueError("give its url; a process has none")
        if self.kind == "process" and not self.agents:
            raise ValueError("agents: name the agent that the process is")
        ids = [one.id for one in self.agents]
        if len(ids) != len(set(ids)):
            raise ValueError("agents: each id once")
        return self
