"""Reading the obligations that annotated policies carry."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import get_args

from watchkeeper.core.durations import read_duration
from watchkeeper.core.errors import Invalid
from watchkeeper.core.text import make_safe
from watchkeeper.policy.model import Obligation
from watchkeeper.wire.base import NAME
from watchkeeper.wire.data import DATA_CLASSES
from watchkeeper.wire.decisions import LARGEST_USAGE, Duty, Risk
from watchkeeper.wire.quorum import Groups, read_quorum

LONGEST_ID = 120
_BELONGS: dict[str, frozenset[str]] = {
    "require_approval": frozenset({"approver_role", "quorum", "escalation", "sla", "risk"}),
    "route": frozenset({"route_to"}),
    "redact": frozenset({"redact"}),
    "degrade": frozenset({"degrade_to", "max_output_tokens"}),
}
"""Obligation → the annotations that say more of it."""
_DETAILS = frozenset().union(*_BELONGS.values())
_KNOWN = frozenset({"id", "message", "obligation"}) | _DETAILS
_NAME = re.compile(NAME)


@dataclass(frozen=True, slots=True)
class Annotated:
    """A policy's name and message, and what it asks for if it is more than a yes or no."""

    policy: str
    message: str
    obligation: Obligation | None
    """The approval that it asks for."""
    duties: tuple[Duty, ...] = ()
    """What it attaches to a permit."""


@dataclass(frozen=True, slots=True)
class _Said:
    policy: str
    values: dict[str, str]
    where: str

    def wrong(self, problem: str, remedy: str | None = None) -> Invalid:
        return Invalid(f"policy {self.policy!r}: {problem}", where=self.where, remedy=remedy)

    def name(self, annotation: str, what: str) -> str:
        value = self.values.get(annotation, "")
        if not _NAME.fullmatch(value):
            raise self.wrong(f"@{annotation}({value!r}) is not {what}")
        return value


def read_annotations(
    policy: str, effect: str, annotations: dict[str, str], where: str
) -> Annotated:
    """Check a policy's annotations; raise `Invalid` for one that could be misread."""
    said = _Said(policy, annotations, where)
    if not 0 < len(annotations.get("id", policy)) <= LONGEST_ID or make_safe(policy) != policy:
        # an empty one would name no policy, and what it decided would be nobody's
        raise Invalid(f"@id is 1 to {LONGEST_ID} characters that can be shown", where=where)
    unknown = sorted(set(annotations) - _KNOWN)
    if unknown:
        raise said.wrong(
            f"unknown annotation @{unknown[0]}",
            f"known ones: {', '.join('@' + name for name in sorted(_KNOWN))}",
        )
    message = annotations.get("message", "")
    kind = annotations.get("obligation")
    belongs = _BELONGS.get(kind, frozenset()) if kind is not None else frozenset()
    stray = sorted(set(annotations) & _DETAILS - belongs)
    if kind is None:
        if stray:
            raise said.wrong(f"@{stray[0]} without @obligation means nothing")
        return Annotated(policy, message, None)
    if kind not in _BELONGS or effect != "forbid":
        raise said.wrong(
            f"@obligation({kind!r}) on a {effect}",
            f"an obligation stands on a forbid and is one of: {', '.join(_BELONGS)}",
        )
    if stray:
        raise said.wrong(f"@{stray[0]} has no meaning beside @obligation({kind!r})")
    if kind == "require_approval":
        return Annotated(policy, message, _read_approval(said, message))
    return Annotated(policy, message, None, _read_duties(said, kind))


def _read_approval(said: _Said, message: str) -> Obligation:
    role = said.name("approver_role", "a role")
    risk = said.values.get("risk")
    if risk is not None and risk not in get_args(Risk):
        raise said.wrong(f"@risk({risk!r}) is not a risk class")
    return Obligation(
        said.policy,
        role,
        message,
        said.values.get("escalation"),
        _seconds(said),
        risk,  # type: ignore[arg-type]
        _quorum(said, role),
    )


def _quorum(said: _Said, role: str) -> Groups:
    text = said.values.get("quorum")
    if text is None:
        return ()
    try:
        groups = read_quorum(text)
    except Invalid as error:
        raise said.wrong(f"@quorum: {error.message}", error.remedy) from error
    if role not in dict(groups):
        raise said.wrong(
            f"@quorum({text!r:.80}) does not name the role that is asked first",
            f'name it too: "1 of {role} and …"',
        )
    return groups


def _read_duties(said: _Said, kind: str) -> tuple[Duty, ...]:
    policy = said.policy
    if kind == "route":
        return (Duty(kind="route", policy=policy, model=said.name("route_to", "a model")),)
    if kind == "redact":
        classes = [one.strip() for one in said.values.get("redact", "").split(",")]
        unknown = [one for one in classes if one not in DATA_CLASSES]
        if unknown:
            raise said.wrong(
                f"@redact({said.values.get('redact', '')!r}): no class of data is called "
                f"{unknown[0]!r:.60}",
                f'write them as "email,phone"; classes: {", ".join(DATA_CLASSES)}',
            )
        return (Duty(kind="redact", policy=policy, classes=tuple(dict.fromkeys(classes))),)
    duties = []
    if "degrade_to" in said.values:
        model = said.name("degrade_to", "a model")
        duties.append(Duty(kind="route", policy=policy, model=model))
    most = said.values.get("max_output_tokens")
    if most is not None:
        if not re.fullmatch("[1-9][0-9]{0,10}", most) or int(most) > LARGEST_USAGE:
            raise said.wrong(f"@max_output_tokens({most!r}) is not a number of tokens")
        duties.append(Duty(kind="max_output_tokens", policy=policy, max_output_tokens=int(most)))
    if not duties:
        raise said.wrong(
            '@obligation("degrade") says not to what',
            'add @degrade_to("MODEL") or @max_output_tokens("500")',
        )
    return tuple(duties)


def _seconds(said: _Said) -> int | None:
    text = said.values.get("sla")
    if text is None:
        return None
    try:
        if seconds := read_duration(text):
            return seconds
    except Invalid:
        pass
    raise said.wrong(f"@sla({text!r}) is not a duration", 'write it as "90s", "15m", "4h" or "2d"')
