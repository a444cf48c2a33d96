"""What may be proposed, and which standing approval covers an action. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, get_args

from watchkeeper.approvals.standing.model import StandingApproval, Terms, Use
from watchkeeper.core.digest import canonical
from watchkeeper.core.errors import Forbidden, Invalid
from watchkeeper.core.money import micros_from_number
from watchkeeper.wire.decisions import Risk
from watchkeeper.wire.quorum import Groups

_RISKS: tuple[Risk, ...] = get_args(Risk)
_SCOPE = "standing/scope"


def check_scope(terms: Terms, known: Collection[str] | None, amount: str | None) -> None:
    """Raise `Invalid` for terms without a scope: whoever approves them must know what may happen.

    `known` are the tool's arguments where its schema names them all; `amount` is the argument
    that holds the money a call moves.
    """
    if known is not None:
        unknown = sorted(name for name in terms.pins if name not in known)
        if unknown:
            raise Invalid(
                f"{terms.tool} has no argument {unknown[0]!r:.60}",
                where="pins",
                rule=_SCOPE,
                remedy="its arguments: " + (", ".join(sorted(known)) or "none"),
            )
    if not terms.pins and amount is None and (known is None or known):
        raise Invalid(
            "it has no pin, so nothing would bound what is done",
            where="pins",
            rule=_SCOPE,
            remedy="pin at least one argument to the value it must have",
        )
    if amount is not None:
        _check_money(terms, amount)
    elif terms.each_micros is not None or terms.total_micros is not None:
        raise Invalid(
            f"{terms.tool} declares no amount, so money cannot bound it",
            where="each_micros",
            rule=_SCOPE,
            remedy="leave the amounts out, or declare `amount_usd` in the tool's contract",
        )


def _check_money(terms: Terms, amount: str) -> None:
    if terms.each_micros is None or terms.total_micros is None:
        raise Invalid(
            f"{terms.tool} moves money: say how much each call and all together may move",
            where="each_micros",
            rule=_SCOPE,
            remedy="give the most for one call (`--each`) and in all (`--total`)",
        )
    if terms.total_micros < terms.each_micros:
        raise Invalid(
            "all together may move less than one call may",
            where="total_micros",
            rule=_SCOPE,
            remedy="raise the total, or lower the most for one call",
        )
    if amount in terms.pins and micros_from_number(terms.pins[amount]) > terms.each_micros:
        raise Invalid(
            f"{amount} is pinned to more than one call may move", where="pins", rule=_SCOPE
        )


def check_risk(risk: Risk) -> None:
    """Raise `Forbidden` for a critical risk: each such action is decided by itself."""
    if risk == "critical":
        raise Forbidden(
            "nothing critical is approved beforehand",
            rule="standing/critical",
            remedy="have each of these actions decided by itself",
        )


def covering(standing: Iterable[StandingApproval], use: Use) -> list[StandingApproval]:
    """Return the standing approvals that cover an action, the one that ends first in front."""
    found = [one for one in standing if covers_use(one, use)]
    return sorted(found, key=lambda one: (one.expires_at, one.standing))


def covers_use(one: StandingApproval, use: Use) -> bool:
    """Whether a standing approval covers an action as it stands now.

    Not a critical one, nor one that would now need more people, or a higher risk's people,
    than approved it; nor one that is done on behalf of whoever approved or proposed it.
    """
    return (
        use.risk != "critical"
        and is_unchanged(one, use.contract, use.agent_version, use.tool_digest, use.definition)
        and use.now < one.expires_at
        and one.uses_left > 0
        and _has_room(one, use.amount_micros)
        and _RISKS.index(use.risk) <= _RISKS.index(one.risk)
        and covers_groups(one.groups, use.groups)
        and (one.signed or not use.signed)
        and not (one.people & use.on_behalf_of)
        and pins_match(one.pins, use.arguments)
    )


def is_unchanged(
    one: StandingApproval,
    contract: str,
    agent_version: int,
    tool_digest: str,
    definition: str | None,
) -> bool:
    """Whether agent and tool are still as they were when it was proposed."""
    return (one.contract, one.agent_version, one.tool_digest, one.definition) == (
        contract, agent_version, tool_digest, definition,
    )  # fmt: skip


def covers_groups(approved: Groups, needed: Groups) -> bool:
    """Whether people who agreed under one quorum are enough for another: role by role."""
    had = dict(approved)
    return bool(needed) and all(had.get(role, 0) >= count for role, count in needed)


def pins_match(pins: Mapping[str, bytes], arguments: Mapping[str, Any]) -> bool:
    """Whether every pinned argument has exactly its one value, as canonical JSON tells it."""
    return all(
        name in arguments and canonical(arguments[name]) == value for name, value in pins.items()
    )


def _has_room(one: StandingApproval, amount: int) -> bool:
    return (one.each_micros is None or amount <= one.each_micros) and (
        one.money_left is None or amount <= one.money_left
    )
