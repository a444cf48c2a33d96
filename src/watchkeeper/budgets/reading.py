"""Budgets as screens show them: a row per capped measure, and one in full."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType

from sqlalchemy import ColumnElement, and_, literal_column, or_, select

from watchkeeper.budgets import history
from watchkeeper.budgets import statements as sql
from watchkeeper.budgets.changes import ChangedCap, with_changes
from watchkeeper.budgets.model import MEASURES, NO_CAP, Account, Cap, budget_id
from watchkeeper.budgets.periods import (
    CALENDAR,
    HOUR_US,
    period_key,
    resets_at,
    starts_at,
    zone_of,
)
from watchkeeper.budgets.rules import (
    WARN_PERCENT,
    budget_state,
    forecast,
    hourly_rate,
    likely_rate,
    read_budget_id,
    zone_over,
)
from watchkeeper.budgets.tables import balances, holds, spenders
from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.core.errors import Invalid, NotFound
from watchkeeper.store.statement import Row
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.budgets import (
    BudgetDetail,
    BudgetRow,
    BudgetState,
    Measure,
    Period,
    Spender,
)
from watchkeeper.wire.pages import Page

RECENT_HOURS = 24
"""Budgets of runs that began to spend before this are left out of lists."""
MOST_SPENDERS = 20
MOST_LOOKED_THROUGH = 4000
"""How many of the newest holds are looked through for those that a budget paid for."""
NO_CHANGES: Mapping[str, ChangedCap] = MappingProxyType({})

_Key = tuple[str, Period, str, int]
_Caps = dict[tuple[str, Period, Measure], tuple[int, str]]
"""The lowest cap of each, and the zone of its period."""


def list_budgets(
    tx: Transaction,
    *,
    standing: Sequence[Cap] = (),
    changed: Mapping[str, ChangedCap] = NO_CHANGES,
    scope: str | None = None,
    text: str | None = None,
    near: bool = False,
    after: str | None = None,
    limit: int = 100,
    sequence: int = 0,
) -> Page[BudgetRow]:
    """Return a page of the budgets of the current periods, by scope.

    `standing` are the caps in force beside those of runs, so that unused ones are listed
    and a changed cap shows at once. Of runs, and of each one that a `kind/*` budget stands for,
    only those near or at a cap are listed, unless `scope` (`run`, `team`, `agent/x` …) or `text`
    asks for them. `text` must occur in the id; with `near` only those come that refuse or soon
    will.
    Raises `Invalid` for an `after` that no page gave.
    """
    caps = _lowest(with_changes(standing, changed, tx.now))
    start = _read_key(after) if after is not None else None
    words = (text or "").lower().split()
    used = _used(tx, caps, scope, start, near=near, each=bool(scope or words))
    unused = ((key, None, cap) for key, cap in _keyed(caps, tx.now) if not (near and cap))
    found: list[tuple[_Key, Row | None, int]] = []
    last: _Key | None = None
    for key, row, cap in heapq.merge(used, unused, key=lambda entry: entry[0]):
        # a used one comes before the same unused; a row is only made if it is shown
        seen, last = key == last, key
        if seen or (start is not None and key <= start) or not _matches(key, scope, words):
            continue
        measure = MEASURES[key[3]]
        one_of_many = scope is None and not words and (key[0], key[1], measure) not in caps
        if (near or one_of_many) and (_state(row, measure, cap) if row else cap and "ok") == "ok":
            continue
        found.append((key, row, cap))
        if len(found) > limit:
            break
    page = found[:limit]
    sums = history.sums_of(tx, (_account(row) for _, row, _ in page if row is not None))
    shown = [
        _show(row, MEASURES[key[3]], cap, sums.get(_account(row), ()), tx.now)
        if row is not None
        else _empty(key, cap, tx.now)
        for key, row, cap in page
    ]
    return Page[BudgetRow](
        rows=tuple(_with_change(row, changed, tx.now) for row in shown),
        next="|".join(map(str, page[-1][0])) if len(found) > limit else None,
        sequence=sequence,
    )


def read_budget(
    tx: Transaction,
    budget: str,
    *,
    standing: Sequence[Cap] = (),
    changed: Mapping[str, ChangedCap] = NO_CHANGES,
) -> BudgetDetail:
    """Return a budget in its current period with who spent from it; raise `NotFound`."""
    scope, period, measure = read_budget_id(budget)
    zone = zone_over(standing, scope, period)
    key = period_key(period, tx.now, scope.removeprefix("run/"), zone)
    row = sql.BALANCE.first(tx, scope_is=scope, period_is=period, key_is=key)
    caps = _lowest(with_changes(standing, changed, tx.now))
    known = caps.get((scope, period, measure))
    cap = known[0] if known else None
    if row is None and cap is not None:
        place = (scope, period, key, MEASURES.index(measure))
        return BudgetDetail(
            **_with_change(_empty(place, cap, tx.now), changed, tx.now).model_dump()
        )
    if row is not None and cap is None:
        cap = getattr(row, f"cap_{measure}")
    if row is None or cap is None or cap == NO_CAP:
        raise NotFound(
            f"there is no budget {budget!r:.120} in this {period}",
            remedy="see `watchkeeper budgets list` for those in use",
        )
    sums = history.sums_of(tx, [_account(row)]).get(_account(row), ())
    shown = _with_change(_show(row, measure, cap, sums, tx.now), changed, tx.now)
    return BudgetDetail(**shown.model_dump(), spenders=tuple(_spenders(tx, row, measure)))


def newest_holds(tx: Transaction, shown: BudgetRow) -> list[Row]:
    """Return the newest holds that draw on a balance: of the last few thousand, a few dozen."""
    line = f"\n{shown.scope} {shown.period} {shown.period_key}\n"
    newest = (
        select(
            holds.c.decision,
            holds.c.agent,
            holds.c.run,
            holds.c.created_at,
            holds.c.state,
            holds.c.accounts,
            holds.c[f"reserved_{shown.measure}"].label("reserved"),
            holds.c[f"posted_{shown.measure}"].label("posted"),
        )
        .where(holds.c.decision < literal_column("'run_'"))
        .order_by(holds.c.decision.desc())
        .limit(MOST_LOOKED_THROUGH)
    )
    return [
        row
        for row in tx.connection.execute(newest)
        if line in f"\n{row.accounts}\n"
        and (row.reserved if row.state == "live" else row.posted) > 0
    ]


def _account(row: Row) -> Account:
    return Account(row.scope, row.period, row.period_key)


def _with_change(row: BudgetRow, changed: Mapping[str, ChangedCap], now: int) -> BudgetRow:
    """Return a budget with who changed its cap, where the documents' does not hold."""
    found = changed.get(row.budget)
    if found is None or not found.holds(now):
        return row
    return row.model_copy(update={"cap_by": found.by, "cap_until": found.until})


def _spenders(tx: Transaction, row: Row, measure: Measure) -> Iterator[Spender]:
    if row.agent:
        posted = getattr(row, f"posted_{measure}")
        if posted:
            yield Spender(agent=row.agent, amount=posted, calls=row.posted_tool_calls)
        return
    amount = spenders.c[f"posted_{measure}"]
    query = (
        select(spenders.c.agent, amount.label("amount"), spenders.c.actions)
        .where(
            spenders.c.scope == row.scope,
            spenders.c.period == row.period,
            spenders.c.period_key == row.period_key,
            amount > 0,
        )
        .order_by(amount.desc(), spenders.c.agent)
        .limit(MOST_SPENDERS)
    )
    for one in tx.connection.execute(query):
        yield Spender(agent=one.agent, amount=one.amount, calls=one.actions)


def _lowest(standing: Iterable[Cap]) -> _Caps:
    caps: _Caps = {}
    for cap in standing:
        if cap.period in CALENDAR:  # the others are kept with each run, or nowhere
            key = (cap.scope, cap.period, cap.measure)
            lowest, _ = caps.get(key, (NO_CAP, ""))
            caps[key] = (min(cap.cap, lowest), cap.zone)
    return caps


def _keyed(caps: _Caps, now: int) -> list[tuple[_Key, int]]:
    return sorted(
        ((scope, period, period_key(period, now, "", zone), MEASURES.index(measure)), cap)
        for (scope, period, measure), (cap, zone) in caps.items()
        if not scope.endswith("/*")
    )


def _matches(key: _Key, scope: str | None, words: Sequence[str]) -> bool:
    if scope is not None and key[0] != scope and not key[0].startswith(f"{scope}/"):
        return False
    name = budget_id(key[0], key[1], MEASURES[key[3]]).lower() if words else ""
    return all(word in name for word in words)


def _used(
    tx: Transaction, caps: _Caps, scope: str | None, start: _Key | None, *, near: bool, each: bool
) -> Iterator[tuple[_Key, Row, int]]:
    """Yield what was drawn on; without `each` only those persons that press or are named in caps:
    agents say for whom they act, so there may be very many.
    """
    conditions: list[ColumnElement[bool]] = [_is_current(tx.now, scope, caps)]
    if scope is not None:
        exact, under = balances.c.scope == scope, f"{scope}/"
        conditions.append(
            or_(exact, and_(balances.c.scope >= under, balances.c.scope < under[:-1] + "0"))
        )
    if near:
        conditions.append(_is_pressing())
    elif not each:
        named = {known for known, _, _ in caps if known.startswith("person/")}
        before, after = balances.c.scope < "person/", balances.c.scope >= "person0"
        conditions.append(or_(before, after, balances.c.scope.in_(named), _is_pressing()))
    if start is not None:
        conditions.append(balances.c.scope >= start[0])
    query = (
        select(balances)
        .where(*conditions)
        .order_by(balances.c.scope, balances.c.period, balances.c.period_key)
    )
    for row in tx.connection.execute(query):
        for index, measure in enumerate(MEASURES):
            known = caps.get((row.scope, row.period, measure))
            cap = known[0] if known else getattr(row, f"cap_{measure}")
            if cap != NO_CAP:
                yield (row.scope, row.period, row.period_key, index), row, cap


def _is_current(now: int, scope: str | None, caps: _Caps) -> ColumnElement[bool]:
    """Select the balances of the current hour, day, week and month, and of runs as listed."""
    zones = {(period, zone) for (_, period, _), (_, zone) in caps.items()}
    kept = zones | {(period, "UTC") for period in CALENDAR}
    current = [
        and_(
            balances.c.period == period,
            balances.c.opened_at >= starts_at(period, now, zone),
            balances.c.period_key == period_key(period, now, "", zone),
        )
        for period, zone in sorted(kept)
    ]
    runs = and_(balances.c.period == "run", balances.c.opened_at >= now - RECENT_HOURS * HOUR_US)
    if scope is None:
        runs = and_(runs, _is_pressing())
    return or_(*current, runs)


def _is_pressing() -> ColumnElement[bool]:
    """Select balances of which some measure refuses or is near its cap."""
    return or_(*(_is_near(measure) for measure in MEASURES))


def _is_near(measure: Measure) -> ColumnElement[bool]:
    cap = balances.c[f"cap_{measure}"]
    used = balances.c[f"posted_{measure}"] + balances.c[f"held_{measure}"]
    limit = cap + balances.c[f"topped_{measure}"]
    return and_(
        cap != NO_CAP,
        or_(balances.c[f"asked_{measure}"] > 0, used * 100 >= limit * WARN_PERCENT),
    )


def _state(row: Row, measure: Measure, cap: int) -> BudgetState:
    limit = cap + getattr(row, f"topped_{measure}")
    used = getattr(row, f"posted_{measure}") + getattr(row, f"held_{measure}")
    return budget_state(cap=limit, used=used, last_refused=getattr(row, f"asked_{measure}"))


def _show(row: Row, measure: Measure, cap: int, sums: history.Sums, now: int) -> BudgetRow:
    def of(name: str) -> int:
        return int(getattr(row, f"{name}_{measure}"))

    limit, used = cap + of("topped"), of("posted") + of("held")
    zone = zone_of(row.period_key)
    reset = resets_at(row.period, now, zone)
    account = _account(row)
    hour = hourly_rate(recent=of("recent"), earlier=of("earlier"), bucket=row.bucket, now=now)
    day, elapsed = history.lately(
        account, measure, of("posted"), sums, opened_at=row.opened_at, now=now
    )
    rate = likely_rate(hour=hour, day=day, elapsed=elapsed)
    state = _state(row, measure, cap)
    ends = None
    if state != "exhausted":
        ends = forecast(left=limit - used, rate=rate, now=now, resets_at=reset)
    return BudgetRow(
        budget=budget_id(row.scope, row.period, measure),
        scope=row.scope,
        measure=measure,
        period=row.period,
        period_key=row.period_key,
        cap=cap,
        topped_up=of("topped"),
        posted=of("posted"),
        held=of("held"),
        resets_at=reset,
        zone=zone,
        state=state,
        refused=of("refused"),
        exhausts_at=ends,
        per_hour=hour,
        history=history.history_of(account, measure, of("posted"), sums, now),
        history_seconds=history.PART_US.get(row.period, 0) // MICROSECONDS,
    )


def _empty(key: _Key, cap: int, now: int) -> BudgetRow:
    scope, period, name, index = key
    return BudgetRow(
        budget=budget_id(scope, period, MEASURES[index]),
        scope=scope,
        measure=MEASURES[index],
        period=period,
        period_key=name,
        cap=cap,
        topped_up=0,
        posted=0,
        held=0,
        resets_at=resets_at(period, now, zone_of(name)),
        zone=zone_of(name),
        state="ok" if cap else "exhausted",
    )


def _read_key(after: str) -> _Key:
    parts = after.split("|")
    if len(parts) != 4 or not parts[3].isdecimal():
        raise Invalid("not a key that a page ended with", where="after")
    return parts[0], parts[1], parts[2], int(parts[3])  # type: ignore[return-value]
