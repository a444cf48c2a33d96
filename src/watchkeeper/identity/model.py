"""Who acts: agents, their runs, and people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from watchkeeper.core.tracing import TraceContext
from watchkeeper.identity.operators import Permissions
from watchkeeper.identity.scope import UNLIMITED, TokenScope
from watchkeeper.wire.people import Via
from watchkeeper.wire.permissions import Permission

_LINE = 3
_NO_VERSIONS: Mapping[str, int] = MappingProxyType({})


class _Descended:
    """What has the runs above it in its lineage."""

    __slots__ = ()
    lineage: str | None

    @property
    def ancestors(self) -> tuple[tuple[str, str], ...]:
        """The runs above it with their agents, outermost first."""
        return read_lineage(self.lineage)

    @property
    def versions_above(self) -> Mapping[str, int]:
        """The versions of the agents of the runs above it, by run."""
        return read_versions(self.lineage)


@dataclass(frozen=True, slots=True)
class RunFacts(_Descended):
    """A run as its token shows it. Times in microseconds."""

    run: str
    agent: str
    version: int
    state: str
    on_behalf_of: str | None
    environment: str
    goal: str
    object_kind: str | None
    object_id: str | None
    token_expires_at: int
    token_revoked_at: int | None
    scope: str | None = None
    """What narrows the token, as `scope.read_token_scope` reads it; None: nothing."""
    on_behalf_of_proof: str | None = None
    """Issuer and subject that prove on whose behalf it acts; None: it is only claimed."""
    lineage: str | None = None
    """The runs above it, outermost first: a line `run agent version` for each."""
    grants: str | None = None
    """What its parent's budget lent it, by measure, as JSON; None for a run of its own."""
    opened_at: int | None = None
    """None for a run that is only rehearsed: it has just begun."""


def read_lineage(text: str | None) -> tuple[tuple[str, str], ...]:
    """Read runs and their agents, outermost first, as a run keeps them."""
    if text is None:
        return ()
    lines = (line.split(" ") for line in text.split("\n"))
    return tuple((line[0], line[1]) for line in lines)


def read_versions(text: str | None) -> Mapping[str, int]:
    """Read the versions of the agents of the runs above a run, as it keeps them."""
    if text is None:
        return _NO_VERSIONS
    lines = (line.split(" ") for line in text.split("\n"))
    # runs that were opened before versions were kept have none
    return {line[0]: int(line[2]) for line in lines if len(line) == _LINE}


def write_lineage(above: Iterable[tuple[str, str]], versions: Mapping[str, int]) -> str:
    """Write the runs above a run, outermost first, as it keeps them."""
    return "\n".join(
        f"{run} {agent} {versions[run]}" if run in versions else f"{run} {agent}"
        for run, agent in above
    )


@dataclass(frozen=True, slots=True)
class Caller(_Descended):
    """Who a run token belongs to, and what it may be used for."""

    agent: str
    run: str
    scope: TokenScope = UNLIMITED
    on_behalf_of: str | None = None
    environment: str = "production"
    version: int | None = None
    stopped: bool = False
    """Whether a kill stopped the run."""
    lineage: str | None = None
    """The runs above it, as `RunFacts` has them."""


@dataclass(frozen=True, slots=True)
class NewRun:
    """What an agent says of a run it opens."""

    goal: str
    on_behalf_of: str | None = None
    object_kind: str | None = None
    object_id: str | None = None
    environment: str = "production"
    on_behalf_of_proof: str | None = None
    """Issuer and subject that prove on whose behalf; None: it is only said."""
    proof_hash: str | None = None
    """The hash of the token it is opened with: a person's, or its parent's."""
    proof_expires_at: int | None = None
    scope: TokenScope = UNLIMITED
    child: ChildOf | None = None
    caller: TraceContext | None = None
    """The span that it is opened in, where its opener has one."""
    replay: ReplayOf | None = None
    """What it replays; None: it is a run as agents open them."""


@dataclass(frozen=True, slots=True)
class ReplayOf:
    """The run that another replays, from which decision on, and the person who asked for it."""

    run: str
    decision: str
    by: str


@dataclass(frozen=True, slots=True)
class ChildOf:
    """What a child run has from the run that opens it."""

    parent: str
    lineage: str
    grants: str


@dataclass(frozen=True, slots=True)
class Workload:
    """An agent that proved itself, and what with: the hash of a secret, or a key."""

    agent: str
    proof: str


@dataclass(frozen=True, slots=True)
class IssuedRun:
    """A run with its token in clear: shown once, hashed at rest."""

    run: str
    token: str
    expires_at: int


@dataclass(frozen=True, slots=True)
class Person:
    """A person as the plane knows the caller."""

    name: str
    roles: tuple[str, ...]
    """The operator roles that what they may do comes from, in words."""
    permissions: Permissions
    via: Via
    owner: bool = False
    """Whether this is the account that runs the plane."""
    token: str | None = None
    """The id of the token they called with."""

    def may(self, needed: Permission) -> bool:
        """Tell whether the person has a permission, in one team at least."""
        return needed in self.permissions.anywhere()
