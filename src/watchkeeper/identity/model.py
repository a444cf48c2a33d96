"""Who acts: agents, their runs, and people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from watchkeeper.wire.plane import Permission

PERMISSIONS: tuple[Permission, ...] = get_args(Permission)
"""In rising order: each includes those before it."""


@dataclass(frozen=True, slots=True)
class RunFacts:
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


@dataclass(frozen=True, slots=True)
class Caller:
    """Who a run token belongs to."""

    agent: str
    run: str


@dataclass(frozen=True, slots=True)
class NewRun:
    """What an agent says of a run it opens."""

    goal: str
    on_behalf_of: str | None = None
    object_kind: str | None = None
    object_id: str | None = None
    environment: str = "production"


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
    permission: Permission
    via: Literal["socket", "token"]
    owner: bool = False
    """Whether this is the account that runs the plane."""

    def may(self, needed: Permission) -> bool:
        """Tell whether the person has a permission or a higher one."""
        return PERMISSIONS.index(self.permission) >= PERMISSIONS.index(needed)
