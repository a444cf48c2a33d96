"""What locks refuse beside actions: people who operate the plane, and what callers are shown."""

from __future__ import annotations

from collections.abc import Iterable

from watchkeeper.core.errors import Forbidden
from watchkeeper.decide.catalogue import Catalogue
from watchkeeper.decide.gates.kill import (
    NO_VERSIONS,
    covered_run,
    lock_on_provider,
    words_of,
)
from watchkeeper.decide.model import Ruling, deny
from watchkeeper.decide.people.directory import lock_on_person
from watchkeeper.decide.service import SWITCHED_OFF, UNREAD, Decider
from watchkeeper.identity.model import Caller
from watchkeeper.identity.recorded import recorded_run
from watchkeeper.kill.model import LockInForce
from watchkeeper.kill.rules import covering
from watchkeeper.kill.service import locks_in_force
from watchkeeper.oncall.model import OWNER
from watchkeeper.store.transaction import Transaction


def lock_on_caller(
    decider: Decider, caller: Caller, *, tool: str | None = None, model: str | None = None
) -> str | None:
    """Return what refuses a caller now, as last committed, with what it would use; or None."""
    if decider.unread:
        return UNREAD
    if decider.switched_off() is not None:
        return SWITCHED_OFF
    if caller.stopped:
        return "run-stopped"
    if not decider.locks:
        return None
    catalogue = decider.catalogue.now
    covered = covered_run(
        catalogue,
        caller.run,
        caller.agent,
        caller.version,
        caller.on_behalf_of,
        caller.ancestors,
        caller.versions_above,
        tool=tool,
        model=model,
    )
    lock = covering(decider.locks, covered)
    if lock is None and model is not None:
        return _without_providers(catalogue, decider.locks, model)
    return lock.lock if lock is not None else None


def _without_providers(
    catalogue: Catalogue, locks: Iterable[LockInForce], model: str
) -> str | None:
    """Return the lock on the last provider that is left of a model, if none is."""
    known, found = catalogue.models.get(model), None
    for target in known.targets if known is not None else ():
        found = lock_on_provider(tuple(locks), target.provider.name)
        if found is None:
            return None
    return found.lock if found is not None else None


def switch_ruling(decider: Decider) -> Ruling | None:
    """Return the refusal of everything while the switch file is there, or None."""
    why = decider.switched_off()
    if why is None:
        return None
    remedy = "nothing until a person has taken the plane's switch file away"
    return deny(f"lock/{SWITCHED_OFF}", f"everything is stopped: {why}", remedy)


def check_operator(
    catalogue: Catalogue, locks: Iterable[LockInForce], person: str, *, owner: bool = False
) -> None:
    """Raise `Forbidden` where a lock is on somebody who would change something.

    `owner`: it is the account that runs the plane, which is `owner` too.
    """
    names = catalogue.names.names(person)
    lock = lock_on_person(locks, names | {OWNER} if owner else names)
    if lock is not None:
        raise Forbidden(
            f"{words_of(lock)}; they may read, and change nothing",
            code="locked",
            rule=f"lock/{lock.lock}",
            remedy="have another person, or the account that runs the plane, lift the lock",
        )


def lock_on_request(
    tx: Transaction, catalogue: Catalogue, request: str, run: str, agent: str, tool: str
) -> LockInForce | None:
    """Return the lock under which the approval of a request would not be used, or None."""
    locks = locks_in_force(tx)
    if not locks:
        return None
    facts = recorded_run(tx, run)
    covered = covered_run(
        catalogue,
        run,
        agent,
        facts.version if facts else None,
        facts.on_behalf_of if facts else None,
        facts.ancestors if facts else (),
        facts.versions_above if facts else NO_VERSIONS,
        tool=tool,
        model=tool,
        approval=request,
    )
    return covering(locks, covered)
