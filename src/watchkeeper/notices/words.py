"""What messages say: plain text, short, with the command that decides. No clock, no storage.

What an agent wrote is quoted as text only: no line of its own, no link, mention or markup that a
chat or mail program would act on.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from watchkeeper.core.clock import MICROSECONDS, utc_text
from watchkeeper.core.text import make_safe
from watchkeeper.notices.model import Message, Notice, Place, Why

LONGEST_ASKS = 160
_LISTED = 5
_WHY = ("--reason", '"…"')
_SHORT = 150
_LONGEST_TITLE = 200
_PLAIN = str.maketrans({
    "<": "‹", ">": "›", "@": "＠", "`": "ˋ", "*": "∗", "[": "⦋", "]": "⦌", "|": "¦", "~": "∼",
    "\\": "⧵", "#": "♯",
})  # fmt: skip
_EMPHASIS = re.compile(r"(?<![^\W_])_|_(?![^\W_])")
_LINK = re.compile(r"(?i)(:)(//)|(mailto|tel|data|javascript)(:)|(www)(\.)")

_HAPPENED: dict[Why, str] = {
    "created": "",
    "escalated": "escalated: ",
    "reminded": "still waits: ",
    "rerouted": "asks you now: ",
    "no_coverage": "NOBODY IS ON CALL for ",
    "break_glass": "BREAK GLASS, approved by one person alone: ",
    "expired": "expired undecided: ",
    "lock": "",
    "handover": "",
    "budget": "",
    "breaker": "",
    "health": "",
    "rogue": "",
    "telemetry": "",
}
_SEE: dict[Why, tuple[str, ...]] = {
    "lock": ("locks", "list"),
    "handover": ("handover", "list", "--which", "given"),
    "budget": ("budgets", "list"),
    "breaker": ("breakers", "list"),
    "rogue": ("runtimes", "list"),
    "telemetry": ("telemetry", "findings"),
}


def plain(text: object, *, limit: int = LONGEST_ASKS) -> str:
    """Return outside text as one line in which nothing is a link, a mention or markup."""
    safe = _EMPHASIS.sub("＿", str(make_safe(text, limit=limit)).translate(_PLAIN))
    return _LINK.sub(_broken, safe)


def _broken(found: re.Match[str]) -> str:
    return "·".join(part for part in found.groups() if part)


def left(due_at: int, now: int) -> str:
    """Return the time left in its largest units: `14 min`, `3 h 10 min`, `no time`."""
    seconds = max(0, due_at - now) // MICROSECONDS
    if seconds < 60:
        return f"{seconds} s" if seconds else "no time"
    if seconds < 3600:
        return f"{seconds // 60} min"
    if seconds < 86_400:
        return f"{seconds // 3600} h {seconds % 3600 // 60} min"
    return f"{seconds // 86_400} d {seconds % 86_400 // 3600} h"


def command(place: Place, *words: str) -> str:
    """Return a command line that leads to this plane."""
    at = (f"--connect {place.connect}",) if place.connect else ()
    return " ".join(("watchkeeper", *at, *words))


def line(notice: Notice) -> str:
    """Return a notice in one line."""
    if notice.request is None:
        return plain(notice.asks)
    role = f"{plain(notice.role, limit=80)}: " if notice.why == "no_coverage" else ""
    who = plain(notice.agent, limit=63)
    return f"[{notice.risk}] {_HAPPENED[notice.why]}{role}{who}: {plain(notice.asks)}"


def message(notices: Sequence[Notice], place: Place, now: int, *, more: int = 0) -> Message:
    """Return one message for everything that one person is told now.

    `more` are those that wait beside it and are only counted. Raises `ValueError` for none.
    """
    if not notices:
        raise ValueError("a message tells something")
    if len(notices) > 1 or more:
        return _digest(notices, place, now, more)
    if notices[0].request is None:
        return _other(notices[0], place)
    return _request(notices[0], notices[0].request, place, now)


def _request(notice: Notice, request: str, place: Place, now: int) -> Message:
    what = line(notice)
    facts = [f"risk {notice.risk}", f"asks {plain(notice.role, limit=80)}"]
    if notice.quorum:
        facts.append(f"{plain(notice.quorum)} must agree")
    if notice.levels > 1:
        facts.append(f"level {notice.level} of {notice.levels}")
    show = command(place, "requests", "show", request)
    commands, time_left = [show], ""
    if notice.waits:
        if notice.decide_by is not None:
            time_left = f" ({left(notice.decide_by, now)} left)"
            facts.append(f"{left(notice.decide_by, now)} left, until {utc_text(notice.decide_by)}")
        commands += [
            command(place, "requests", "approve", request, *(_WHY if notice.reason else ())),
            command(place, "requests", "deny", request, *_WHY),
            f"or decide it in the console: {command(place)}",
        ]
    body = "\n".join((what, ", ".join(facts), "", *commands))
    tail = f"{time_left}: {show}"
    short = make_safe(what, limit=max(40, _SHORT - len(tail))) + tail
    return Message(_title(what, place), body, short)


def _other(notice: Notice, place: Place) -> Message:
    what = line(notice)
    see = command(place, *_SEE.get(notice.why, ("watch",)))
    short = f"{make_safe(what, limit=max(40, _SHORT - len(see) - 2))}: {see}"
    return Message(_title(what, place), f"{what}\n\n{see}", short)


def _digest(notices: Sequence[Notice], place: Place, now: int, more: int) -> Message:
    waiting = [one for one in notices if one.waits]
    asking = len({one.request for one in waiting}) + more
    counts = [f"{asking} wait for you"] if asking else []
    if late := len({one.request for one in waiting if one.level > 1}):
        counts.append(f"{late} late")
    for risk in ("critical", "high"):
        if found := len({one.request for one in waiting if one.risk == risk}):
            counts.append(f"{found} {risk}")
    if rest := len(notices) - len(waiting):
        counts.append(f"{rest} to know of")
    head = ", ".join(counts)
    order = sorted(notices, key=lambda one: (not one.urgent, not one.waits, one.decide_by or 0))
    distinct: dict[tuple[object, ...], Notice] = {}
    for one in order:
        distinct.setdefault(_said(one), one)
    # of a storm only the first are put into words
    lines: dict[str, None] = {}
    for one in distinct.values():
        if len(lines) == _LISTED:
            break
        lines[_with_time(one, now)] = None
    told = list(lines)
    if len(distinct) + more > len(told):
        told.append(f"and {len(distinct) + more - len(told)} more")
    see = command(place, "requests", "list") if asking else command(place, "watch")
    body = "\n".join((f"{head}: {see}", "", *told))
    return Message(_title(head, place), body, f"{head}: {see}")


def _said(notice: Notice) -> tuple[object, ...]:
    """Return what of a notice its line says: where that is the same, one line stands for both."""
    role = notice.role if notice.why == "no_coverage" else ""
    return notice.why, role, notice.asks, notice.agent, notice.risk, notice.decide_by


def _with_time(notice: Notice, now: int) -> str:
    if not notice.waits or notice.decide_by is None:
        return line(notice)
    return f"{line(notice)} ({left(notice.decide_by, now)} left)"


def trial_of(channel: str, person: str, place: Place) -> Message:
    """Return what a test says."""
    who = plain(person, limit=63)
    text = f"Watchkeeper can tell people by channel {channel}; {who} tested it. Nothing to do."
    return Message(_title(f"Test of channel {channel}", place), text, text)


def _title(text: str, place: Place) -> str:
    where = f" ({place.environment})" if place.environment else ""
    return make_safe(text, limit=_LONGEST_TITLE - len(where)) + where
