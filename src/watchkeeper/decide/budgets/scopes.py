"""The scopes of budgets: who they are of, and which may be of the same."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations
from urllib.parse import quote

from watchkeeper.approvals.people import person_key
from watchkeeper.core.digest import digest
from watchkeeper.core.errors import Invalid
from watchkeeper.registry.spending import Budget
from watchkeeper.wire.budgets import Period

_LONGEST_PERSON = 120
_EACH = "*"


def person_scope(person: str) -> str:
    """Return the scope of a person: what a document can't name is written in percent signs.

    Agents say for whom they act, in up to 200 characters of any kind. Another spelling of a name
    (`person/ada`, `Ada`) is no other person.
    """
    person = person_key(person)
    written = quote(person, safe="@+:,=", errors="replace")
    if len(written) > _LONGEST_PERSON:
        written = f"{written[:_LONGEST_PERSON]}~{digest('watchkeeper/person/v1', person)[-32:]}"
    return f"person/{written}"


def check_zones(budgets: Iterable[Budget]) -> None:
    """Raise `Invalid` where two budgets may meet on one scope and period in different zones.

    So a budget's id, which has no zone, means one balance.
    """
    by_kind: dict[tuple[str, Period], list[Budget]] = {}
    for budget in budgets:
        if budget.period in ("day", "week", "month"):
            kind = budget.scope.partition("/")[0]
            by_kind.setdefault((kind, budget.period), []).append(budget)
    for found in by_kind.values():
        if len({budget.zone for budget in found}) == 1:
            continue
        for one, other in combinations(found, 2):
            if one.zone != other.zone and _meet(one.scope, other.scope):
                raise Invalid(
                    f"budgets {one.name!r} ({one.zone}) and {other.name!r} ({other.zone}) are "
                    f"both per {one.period} of {other.scope}, in different zones",
                    where="zone",
                    remedy="give both the same zone; nothing was changed",
                )


def _meet(one: str, other: str) -> bool:
    """Whether one scope may be of both: they are the same, or differ where one says `*`."""
    here, there = _parts(one), _parts(other)
    return all(a == b or _EACH in (a, b) for a, b in zip(here, there, strict=True))


def _parts(scope: str) -> tuple[str, ...]:
    kind, _, name = whole(scope).partition("/")
    return (kind, *name.split("@")) if kind == "version" else (kind, name)


def whole(scope: str) -> str:
    """Write a scope out: `version/x` is each version of x."""
    return f"{scope}@*" if scope.startswith("version/") and "@" not in scope else scope


def patterns(scope: str) -> tuple[str, ...]:
    """Return how documents may name a scope: as it is, or as one of its kind."""
    kind, slash, name = scope.partition("/")
    if not slash:
        return (scope,)
    if kind != "version":
        return (scope, f"{kind}/*")
    agent, _, number = name.partition("@")
    return (scope, f"version/{agent}@*", f"version/*@{number}", "version/*@*")
