"""Which targets of a model policies and locks let a call go to.

A policy may know a model by its region and provider, and these differ from target to target.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from watchkeeper.decide.entities import place_of
from watchkeeper.decide.gates.kill import lock_on_provider, words_of
from watchkeeper.decide.models.pricing import GovernedTarget
from watchkeeper.kill.model import LockInForce
from watchkeeper.models.targets import name_of
from watchkeeper.policy.model import PolicyAnswer


@dataclass(frozen=True, slots=True)
class Barred:
    """A target that a policy or a lock keeps a call from."""

    target: str
    rule: str
    """`policy/NAME` or `lock/ID`."""
    why: str

    @property
    def words(self) -> str:
        """Say it in one sentence."""
        by, _, name = self.rule.partition("/")
        return f"{self.target} is barred by {by} {name}: {self.why}"


def unlocked_targets(
    targets: Sequence[GovernedTarget], locks: Sequence[LockInForce]
) -> tuple[Sequence[GovernedTarget], tuple[Barred, ...]]:
    """Return the targets at providers that no lock is on, and the others."""
    if not locks:
        return targets, ()
    passed, barred = [], []
    for target in targets:
        lock = lock_on_provider(locks, target.provider.name)
        if lock is None:
            passed.append(target)
        else:
            barred.append(Barred(name_of(target), f"lock/{lock.lock}", words_of(lock)))
    return passed, tuple(barred)


def permitted_targets(
    targets: Sequence[GovernedTarget], answer: PolicyAnswer | None, ensemble: PolicyAnswer | None
) -> tuple[Sequence[GovernedTarget], tuple[Barred, ...]]:
    """Return the targets that a model's call may go to, and those that it may not.

    A target where policies ask for more than the call needs elsewhere is none: nobody was asked
    for that. What they ask of an `ensemble` at each of its places is asked of all of it.
    """
    alone = answer is None or not answer.at
    if alone and (ensemble is None or not ensemble.at):
        return targets, ()
    passed, barred = [], []
    for target in targets:
        found = _more(target, answer, whole=False) or _more(target, ensemble, whole=True)
        if found is None:
            passed.append(target)
        else:
            policy, why = found
            barred.append(Barred(name_of(target), f"policy/{policy}", why))
    return passed, tuple(barred)


def _more(
    target: GovernedTarget, answer: PolicyAnswer | None, *, whole: bool
) -> tuple[str, str] | None:
    """Return the policy that forbids a target, or asks for more there, and why."""
    if answer is None or not answer.at:
        return None
    there = answer.at.get(place_of(target))
    if there is None:
        return "error", "policies do not know where it is"
    if there.verdict == "deny":
        return there.policy, there.message
    for ask in there.asks:
        if ask not in answer.asks and not whole:
            return ask.policy, f"it asks for an approval there ({ask.message or ask.role})"
    for duty in there.duties:
        if duty not in answer.duties and (duty.kind == "route" or not whole):
            return duty.policy, f"it asks for more there ({duty.kind})"
    return None
