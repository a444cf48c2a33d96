"""Reading the obligations that annotated policies carry."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import get_args

from watchkeeper.core.errors import Invalid
from watchkeeper.policy.model import Obligation
from watchkeeper.wire.base import NAME
from watchkeeper.wire.decisions import Risk

_KNOWN = {"id", "message", "obligation", "approver_role", "escalation", "sla", "risk"}
_DURATION = re.compile(r"([0-9]{1,6})([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_NAME = re.compile(NAME)


@dataclass(frozen=True, slots=True)
class Annotated:
    """A policy's name, its message, and the approval it asks for, if it does."""

    policy: str
    message: str
    obligation: Obligation | None


def read_annotations(
    policy: str, effect: str, annotations: dict[str, str], where: str
) -> Annotated:
    """Check a policy's annotations; raise `Invalid` for one that could be misread."""
    unknown = sorted(set(annotations) - _KNOWN)
    if unknown:
        raise Invalid(
            f"policy {policy!r}: unknown annotation @{unknown[0]}",
            where=where,
            remedy=f"known ones: {', '.join('@' + name for name in sorted(_KNOWN))}",
        )
    message = annotations.get("message", "")
    kind = annotations.get("obligation")
    if kind is None:
        stray = sorted(set(annotations) & {"approver_role", "escalation", "sla", "risk"})
        if stray:
            raise Invalid(
                f"policy {policy!r}: @{stray[0]} without @obligation means nothing",
                where=where,
            )
        return Annotated(policy, message, None)
    if kind != "require_approval" or effect != "forbid":
        raise Invalid(
            f"policy {policy!r}: @obligation({kind!r}) on a {effect}",
            where=where,
            remedy='an approval is asked for by forbid with @obligation("require_approval")',
        )
    role = annotations.get("approver_role", "")
    if not _NAME.fullmatch(role):
        raise Invalid(f"policy {policy!r}: @approver_role({role!r}) is not a role", where=where)
    risk = annotations.get("risk")
    if risk is not None and risk not in get_args(Risk):
        raise Invalid(f"policy {policy!r}: @risk({risk!r}) is not a risk class", where=where)
    return Annotated(
        policy,
        message,
        Obligation(
            policy,
            role,
            message,
            annotations.get("escalation"),
            _seconds(policy, annotations.get("sla"), where),
            risk,  # type: ignore[arg-type]
        ),
    )


def _seconds(policy: str, text: str | None, where: str) -> int | None:
    if text is None:
        return None
    match = _DURATION.fullmatch(text)
    if not match or int(match[1]) == 0:
        raise Invalid(
            f"policy {policy!r}: @sla({text!r}) is not a duration",
            where=where,
            remedy='write it as "90s", "15m", "4h" or "2d"',
        )
    return int(match[1]) * _SECONDS[match[2]]
