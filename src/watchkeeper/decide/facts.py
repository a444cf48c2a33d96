"""What the gates may look at: the state of the world at one time.

The path never touches storage itself. Deciding for real, a dry run and a replay differ only
in the facts they are given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from watchkeeper.approvals.model import Grant, Standing
from watchkeeper.approvals.standing.model import StandingApproval
from watchkeeper.budgets.model import Cap
from watchkeeper.decide.catalogue import Catalogue
from watchkeeper.identity.details import Used
from watchkeeper.identity.model import RunFacts
from watchkeeper.kill.model import LockInForce
from watchkeeper.tools.rates.rules import Limit
from watchkeeper.tools.rates.service import TooSoon


@dataclass(frozen=True, slots=True)
class NoRoom:
    """A budget without room for an action."""

    budget: str
    sentence: str
    remedy: str


class Facts(Protocol):
    """The world as the gates see it."""

    now: int
    catalogue: Catalogue
    run: RunFacts
    locks: Sequence[LockInForce]

    def answered_by(self) -> str | None:
        """Return the model that the run last had an answer from."""
        ...

    def approved(self, digest: str) -> Grant | None:
        """Return the unredeemed, unexpired grant for an action's digest."""
        ...

    def standing(self, digest: str) -> Standing | None:
        """Return where the newest request for an action's digest stands."""
        ...

    def standing_approvals(self, tool: str) -> Sequence[StandingApproval]:
        """Return what people approved beforehand of the agent's calls of a tool."""
        ...

    def why_void(self, standing: str) -> str | None:
        """Say why who approved something beforehand could not do so now, or return None."""
        ...

    def close_to(self, person: str) -> frozenset[str]:
        """Return the keys of a person, under every name, and of their delegates both ways."""
        ...

    def waiting(self) -> int:
        """Return how many requests of the agent wait for a person."""
        ...

    def used(self, counter: str) -> Used:
        """Return what was used under a counter of the token's authorization details."""
        ...

    def pass_rates(self, limits: Sequence[Limit]) -> TooSoon | None:
        """Spend one call of every limit, all or nothing; given back where `reserve` refuses."""
        ...

    def reserve(self, caps: Sequence[Cap], amounts: Mapping[str, int]) -> NoRoom | None:
        """Hold amounts under every cap, all or nothing."""
        ...
