"""The lines around the list: where I am, what is open, what happened, which keys act."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from watchkeeper.console.actions import HELP_ACTION, Action, key_label
from watchkeeper.console.blocks import Row
from watchkeeper.console.moment import duration_text
from watchkeeper.console.painting import Span, Token, spaces, span
from watchkeeper.console.refresh import Refresh
from watchkeeper.console.words import DAY
from watchkeeper.core.clock import MICROSECONDS, utc_text
from watchkeeper.core.money import MICROS
from watchkeeper.core.text import cell_width, cut, make_safe
from watchkeeper.wire.plane import Status

SMALLEST = (40, 10)


def is_production(status: Status | None) -> bool:
    """Whether what is done here has consequences outside of any rehearsal."""
    return status is not None and status.environment.lower().startswith("prod")


def header_row(status: Status | None, state: Sequence[Span], width: int) -> Row:
    """Say which plane, who I am, what is in force, and how old this is."""
    if status is None:
        return _spread([span(" Watchkeeper", "strong")], list(state), width)
    alarms = [*state, *_alarms(status)]
    locks, waiting = _locks(status), _waiting(status)
    rights = [
        [*alarms, *locks, *_figures(status)],
        [*alarms, *locks, *waiting],
        [*state, *locks, *waiting],
        [*state, *locks],
        locks,
    ]
    lefts = _identity(status)
    for right in rights:
        for left in lefts:
            if _cells(left) + _cells(right) < width:
                return _spread(left, right, width)
    return _spread(lefts[-1], [], width)


def _cells(parts: Sequence[Span]) -> int:
    return sum(cell_width(part.text) for part in parts)


def _alarms(status: Status) -> list[Span]:
    """Say what is not as it should be with the plane itself."""
    parts: list[Span] = []
    if status.rehearsal:
        parts.append(span("rehearsal  ", "warning"))
    if status.store != "ok":
        parts.append(span("STORE DOWN  ", "critical"))
    if status.upstreams_down:
        count = len(status.upstreams_down)
        parts.append(span(f"{count} upstream{'s' * (count > 1)} down  ", "critical"))
    return parts


def _locks(status: Status) -> list[Span]:
    """Say what is in force; no screen leaves it out."""
    if not status.locks:
        return []
    return [span(f"■ {status.locks} lock{'s' * (status.locks > 1)}  ", "warning")]


def _waiting(status: Status) -> list[Span]:
    if not status.waiting:
        return [span("none for you  ", "quiet")]
    return [span(f"{status.waiting:,} for you  ", "strong")]


def _figures(status: Status) -> list[Span]:
    """Say what waits, and what is spent."""
    parts: list[Span] = []
    if status.waiting and status.late:
        parts.append(span(f"{status.waiting:,} for you", "strong"))
        parts.append(span(f" ({status.late:,} late)  ", "critical"))
    else:
        parts += _waiting(status)
    parts.append(span(f"${status.spend_hour_micros / MICROS:,.2f}/h "))
    return parts


def _identity(status: Status) -> list[list[Span]]:
    """Say where and who I am, at length and shorter; environment, name and role are in all."""
    production = is_production(status)
    environment = f"{status.environment.upper()} !" if production else status.environment
    roles = [role for role in status.me.roles if role != "*" and "/" not in role][:2]
    on_call = _on_call(status)
    person, permission = status.me.person, status.me.permission
    dot = span(" ▪ ", "rule")
    place = [span(" "), span(environment, "critical" if production else "strong"), dot]
    short = span(f"{person} ({permission})")
    watch = [[*place, span(status.plane), dot, span(f"{person} ({permission}, {on_call})")]]
    return [
        *(watch if on_call else []),
        [*place, span(status.plane), dot, span(f"{person} ({', '.join([permission, *roles])})")],
        [*place, span(status.plane), dot, short],
        [*place, short],
    ]


def _on_call(status: Status) -> str:
    """Say that the caller is on call, and until when where that is in sight."""
    if not status.on_call:
        return ""
    until = status.on_call_until
    if until is None:
        return "on call"
    day = "" if until - status.now < DAY * MICROSECONDS else utc_text(until)[5:10] + " "
    return f"on call till {day}{utc_text(until)[11:16]}Z"


def state_spans(refresh: Refresh, offline: str | None, now: float) -> list[Span]:
    """Say what is wrong with what is shown: paused, stale, or a plane that is lost."""
    age = refresh.age(now)
    old = "" if age is None else f" {duration_text(age)}"
    if offline is not None:
        return [span(f"✗ LOST{old}  ", "critical")]
    if refresh.stale:
        return [span(f"! STALE{old}  ", "critical")]
    if refresh.paused:
        return [span(f"‖ paused{old}  ", "warning")]
    return []


TABS_WITH_KEYS = 10


@dataclass(frozen=True)
class Tab:
    """A pane's place in the line of panes."""

    title: str
    badge: str
    front: bool


_FEW_LETTERS = 4
"""A name of fewer letters than this is no name any more."""


def tab_key(number: int) -> str:
    """Return the key of a pane by its place; the eleventh and later are opened by name."""
    return str(number % 10) if number <= TABS_WITH_KEYS else ":"


def _places(tabs: Sequence[Tab], width: int) -> list[int]:
    """Return the places of the tabs that are shown.

    Where names would lose too many letters, those without a key are, but for the one in front.
    """
    every = list(range(len(tabs)))
    if _letters(tabs, width) >= _FEW_LETTERS:
        return every
    return [n for n in every if n < TABS_WITH_KEYS or tabs[n].front]


def _letters(tabs: Sequence[Tab], width: int) -> int:
    """Return how many letters of each name fit; none where only the numbers do."""
    around = sum(4 + bool(tab.badge) * (len(tab.badge) + 1) for tab in tabs)
    for letters in range(max(len(tab.title) for tab in tabs), 0, -1):
        names = sum(len(tab.title) if tab.front else min(len(tab.title), letters) for tab in tabs)
        if around + names <= width:
            return letters
    return 0


def tab_rows(tabs: Sequence[Tab], width: int, *, production: bool = False) -> tuple[Row, Row]:
    """Return the line of panes and the rule below it, heavy under the one in front.

    Where all names don't fit, the longest give way first; the one in front stays whole. How many
    panes are left out is told at the end, and whether one of them has something to tell.
    """
    places = _places(tabs, width)
    left_out = [tab for place, tab in enumerate(tabs) if place not in places]
    telling = any(tab.badge for tab in left_out)
    more = f" : +{len(left_out)}{'!' * telling} " if left_out else ""
    letters = _letters([tabs[n] for n in places], width - len(more))
    line: list[Span] = []
    rule: list[Span] = []
    thin, heavy = ("═", "█") if production else ("─", "━")
    for place in places:
        tab = tabs[place]
        title = tab.title if tab.front else tab.title[:letters].rstrip()
        parts = [
            span(f" {tab_key(place + 1)}", "key" if not tab.front else "accent"),
            span(f" {title}" if title else "", "accent" if tab.front else "text"),
        ]
        if tab.badge:
            parts.append(span(f" {tab.badge}", "warning"))
        parts.append(span(" "))
        cells = sum(cell_width(part.text) for part in parts)
        line += parts
        rule.append(
            span(heavy * cells if tab.front else thin * cells, "accent" if tab.front else "rule")
        )
    if more:
        line.append(span(more, "warning" if telling else "quiet"))
    used = sum(cell_width(part.text) for part in rule)
    rule.append(span(thin * max(0, width - used), "rule"))
    return tuple(line), tuple(rule)


def key_row(actions: Sequence[Action], why_not: Callable[[Action], str | None], width: int) -> Row:
    """Say which keys act now; what is not allowed is dim, and says why when pressed.

    What does not fit is left out, except for the key that lists them all.
    """
    parts: list[Span] = [span(" ")]
    used = 1
    kept = sum(_key_cells(action) for action in actions if action.id == HELP_ACTION)
    for action in actions:
        label, title = make_safe(key_label(action.keys[0])), make_safe(action.title)
        cells = _key_cells(action)
        if action.id == HELP_ACTION:
            kept = 0
        if used + cells + kept > width + 1:
            continue
        allowed = why_not(action) is None
        parts += [
            Span(label, "key" if allowed else "quiet"),
            span(" "),
            Span(title, "text" if allowed else "quiet"),
            spaces(2),
        ]
        used += cells
    return tuple(parts[:-1]) if used > 1 else tuple(parts)


def _key_cells(action: Action) -> int:
    label, title = make_safe(key_label(action.keys[0])), make_safe(action.title)
    return cell_width(label) + 1 + cell_width(title) + 2


def rule_row(facts: Sequence[Span], message: Span | None, place: str, width: int) -> Row:
    """Return the rule under the list: what narrows it, what just happened, where the cursor is."""
    tail = f" {place} ─" if place else ""
    room = width - len(tail) - 2
    parts: list[Span] = [span("─", "rule")]
    used = 0
    for part in [*([message] if message is not None else []), *facts]:
        short = cut(part.text, room - used - 2)
        if room - used < 6 or not short:
            break
        parts += [span(" "), Span(short, part.token), span(" ─", "rule")]
        used += cell_width(short) + 3
    fill = max(0, width - 1 - used - len(tail))
    parts.append(span("─" * fill, "rule"))
    if tail:
        parts += [span(f" {place} ", "quiet"), span("─", "rule")]
    return tuple(parts)


def too_small_rows(width: int, height: int) -> list[Row]:
    """Say that the screen is too small, in whatever room there is."""
    words = [f"This screen is {width}×{height}.", f"The console needs {SMALLEST[0]}×{SMALLEST[1]}."]
    rows: list[Row] = [(span(cut(make_safe(word), width), "warning"),) for word in words]
    return rows[: max(1, height)]


def _spread(left: list[Span], right: list[Span], width: int) -> Row:
    taken = _cells(right)
    room = max(0, width - taken - 1)
    kept: list[Span] = []
    used = 0
    for part in left:
        short = cut(part.text, room - used)
        if short:
            kept.append(Span(short, part.token))
            used += cell_width(short)
    gap = max(0, width - taken - used)
    return (*kept, spaces(gap), *right)


def loud(text: object, token: Token) -> Span:
    """Return a message with a mark that tells its kind without colour."""
    mark = {"critical": "✗ ", "warning": "! ", "good": "✓ "}.get(token, "")
    return span(f"{mark}{make_safe(text, limit=400)}", token)
