"""How times, money, counts and states are said, the same on every screen.

Every state has a word and most a symbol; `token` names the meaning that a theme colours, and
nothing is told by colour alone.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from watchkeeper.console.painting import Span, Token, span
from watchkeeper.core.clock import MICROSECONDS, utc_text
from watchkeeper.core.durations import duration_text
from watchkeeper.core.money import MICROS, dollars
from watchkeeper.wire.locks import ShownKind, target_words

MINUTE = 60
HOUR = 60 * MINUTE
DAY = 24 * HOUR
SOON_SECONDS = 60


class Said(NamedTuple):
    """A symbol, a word and the colour that goes with them."""

    symbol: str
    word: str
    token: Token

    @property
    def text(self) -> str:
        """Symbol and word."""
        return f"{self.symbol} {self.word}" if self.symbol else self.word

    @property
    def span(self) -> Span:
        """Symbol and word, ready to draw."""
        return span(self.text, self.token)


AGENT_STATES: dict[str, Said] = {
    "working": Said("●", "working", "good"),
    "waiting": Said("◐", "waiting", "warning"),
    "stopped": Said("■", "stopped", "critical"),
    "paused": Said("‖", "paused", "warning"),
    "idle": Said("○", "idle", "quiet"),
    "silent": Said("?", "silent", "warning"),
    "never seen": Said("·", "never seen", "quiet"),
}
RUN_STATES: dict[str, Said] = {
    "open": Said("●", "open", "good"),
    "held": Said("◐", "held", "warning"),
    "stopped": Said("■", "stopped", "critical"),
    "succeeded": Said("✓", "succeeded", "quiet"),
    "failed": Said("✗", "failed", "critical"),
    "expired": Said("×", "expired", "quiet"),
}
RUN_HEALTH: dict[str, Said] = {
    "silent": Said("?", "silent", "warning"),
    "lost": Said("×", "lost", "critical"),
    "stuck": Said("!", "stuck", "critical"),
}
"""What is said instead of `open` of a run that somebody should look at."""
REQUEST_STATES: dict[str, Said] = {
    "pending": Said("◐", "pending", "warning"),
    "approved": Said("✓", "approved", "good"),
    "denied": Said("✗", "denied", "critical"),
    "expired": Said("×", "expired", "quiet"),
    "revoked": Said("■", "revoked by a kill", "critical"),
    "cancelled": Said("×", "cancelled by the agent", "quiet"),
    "superseded": Said("×", "superseded", "quiet"),
    "redeemed": Said("●", "running", "accent"),
    "succeeded": Said("✓", "done", "good"),
    "failed": Said("✗", "failed", "critical"),
    "unknown": Said("?", "outcome unknown", "warning"),
    "lapsed": Said("×", "never used", "quiet"),
}
BUDGET_STATES: dict[str, Said] = {
    "ok": Said("", "ok", "quiet"),
    "warning": Said("!", "warning", "warning"),
    "degraded": Said("▼", "degraded", "warning"),
    "throttled": Said("▼", "throttled", "warning"),
    "exhausted": Said("■", "exhausted", "critical"),
}
BREAKER_STATES: dict[str, Said] = {
    "closed": Said("○", "closed", "quiet"),
    "open": Said("■", "open", "critical"),
    "half-open": Said("◐", "probing", "warning"),
}
VERDICTS: dict[str, Said] = {
    "permit": Said("✓", "permitted", "good"),
    "hold": Said("◐", "held", "warning"),
    "deny": Said("✗", "denied", "critical"),
}
LOCK_MODES: dict[str, Said] = {
    "stop": Said("■", "killed", "critical"),
    "drain": Said("▼", "drained", "critical"),
    "deny-new": Said("×", "no new", "warning"),
    "pause": Said("‖", "paused", "warning"),
}
RECEIPTS: dict[str, Said] = {
    "attempted": Said("…", "attempted", "text"),
    "acknowledged": Said("✓", "acknowledged", "good"),
    "unconfirmed": Said("?", "unconfirmed", "warning"),
    "not supported": Said("–", "not supported", "quiet"),
}
RUNTIME_STATES: dict[str, Said] = {
    "ok": Said("●", "ok", "good"),
    "degraded": Said("!", "degraded", "warning"),
    "down": Said("■", "down", "critical"),
    "unknown": Said("?", "not asked yet", "quiet"),
}
REMOTE_STATES: dict[str, Said] = {
    "pending": Said("·", "pending", "quiet"),
    "running": Said("●", "running", "good"),
    "waiting": Said("◐", "waiting", "warning"),
    "paused": Said("‖", "paused", "warning"),
    "done": Said("✓", "done", "quiet"),
    "failed": Said("✗", "failed", "critical"),
    "stopped": Said("■", "stopped", "quiet"),
    "unknown": Said("?", "unknown", "warning"),
}
UPSTREAM_STATES: dict[str, Said] = {
    "up": Said("●", "up", "good"),
    "down": Said("■", "down", "critical"),
    "unknown": Said("?", "not tried yet", "quiet"),
}
TOOL_STATES: dict[str, Said] = {
    "pinned": Said("●", "trusted", "good"),
    "changed": Said("!", "changed", "critical"),
    "new": Said("!", "new", "critical"),
    "look-alike": Said("!", "look-alike", "critical"),
    "gone": Said("■", "gone", "warning"),
    "unseen": Said("?", "unseen", "warning"),
    "own": Said("○", "agent's own", "quiet"),
}
QUARANTINED = frozenset({"changed", "new", "look-alike"})
"""States in which every call is refused until a person has accepted the definition."""
STAGES: dict[str, Said] = {
    "enforce": Said("●", "enforce", "good"),
    "warn": Said("!", "warn", "warning"),
    "observe": Said("○", "observe", "quiet"),
}


def say(states: dict[str, Said], state: str) -> Said:
    """Return how `state` is said; a state newer than this console is said as it is."""
    return states.get(state) or Said("?", state, "text")


def seconds_between(earlier: int, later: int) -> int:
    """Return whole seconds from `earlier` to `later` (microseconds), rounded down."""
    return (later - earlier) // MICROSECONDS


def span_text(seconds: int) -> str:
    """Write a duration in one unit, as a person would say it: ``12 s``, ``4 min``, ``2 h``."""
    seconds = max(0, seconds)
    if seconds < MINUTE:
        return f"{seconds} s"
    if seconds < 2 * HOUR:
        return f"{seconds // MINUTE} min"
    if seconds < 2 * DAY:
        return f"{seconds // HOUR} h"
    return f"{seconds // DAY} d"


def age_text(at: int | None, now: int) -> str:
    """Write how long ago `at` was; ``never`` if it was not."""
    if at is None:
        return "never"
    seconds = seconds_between(at, now)
    return "now" if seconds < 1 else f"{span_text(seconds)} ago"


def until_text(at: int, now: int) -> str:
    """Write how far ahead `at` is, or how far past."""
    seconds = seconds_between(now, at)
    return f"in {span_text(seconds)}" if seconds >= 0 else f"{span_text(-seconds)} ago"


def time_text(at: int) -> str:
    """Write a time of day in UTC: ``12:04:31Z``."""
    return utc_text(at)[11:]


def moment_text(at: int, now: int) -> str:
    """Write a time with its age: ``12:04:31Z, 4 min ago``; with the date when not today."""
    text = utc_text(at)
    shown = text[11:] if text[:10] == utc_text(now)[:10] else f"{text[:10]} {text[11:]}"
    return f"{shown}, {age_text(at, now) if at <= now else until_text(at, now)}"


def money_text(micros: int) -> str:
    """Write money for a column: two decimals, and whole dollars from 10,000 up."""
    size = abs(micros)
    if 0 < size < MICROS // 100:
        return "<$0.01" if micros > 0 else ">-$0.01"
    if size >= 10_000 * MICROS:
        return dollars(round(micros / MICROS) * MICROS)[:-3]
    return dollars(round(micros / 10_000) * 10_000)


def count_text(count: int) -> str:
    """Write a count for a column: ``1,204``, ``48.2k``, ``3.1M``."""
    for size, letter in ((1_000_000, "M"), (1_000, "k")):
        if abs(count) >= 10 * size:
            return f"{count / size:.1f}{letter}"
    return f"{count:,}"


MONEY = frozenset({"spend", "value"})
"""Measures that are counted in micro-dollars."""
_MEASURE_WORDS = {"wall_time": "time", "value": "money moved", "risk": "risk points"}


def measure_text(measure: str, amount: int) -> str:
    """Write an amount of a budget's measure: money, time, or a count."""
    if measure in MONEY:
        return money_text(amount)
    if measure == "wall_time":
        return duration_text(amount)
    return count_text(amount)


def measure_word(measure: str) -> str:
    """Say a budget's measure."""
    return _MEASURE_WORDS.get(measure) or measure.replace("_", " ")


def period_text(period: str) -> str:
    """Say a budget's period: ``a day``, ``an hour``."""
    return f"an {period}" if period in ("hour", "invocation") else f"a {period}"


def plural(count: int, one: str, many: str | None = None) -> str:
    """Write a count with its noun: ``1 run``, ``3 runs``."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def actor_text(principal: str | None) -> str:
    """Write a principal in its short form: ``agent/refund-assistant``, ``person/ada``."""
    if not principal:
        return ""
    if principal.startswith("spiffe://"):
        principal = principal.removeprefix("spiffe://").partition("/")[2]
    return principal


def person_text(principal: str | None) -> str:
    """Write a person by name only."""
    return actor_text(principal).removeprefix("person/")


def target_text(kind: ShownKind, name: str) -> str:
    """Say what a lock covers."""
    return brief_text(name) if kind == "run" else target_words(kind, name)


def id_text(identifier: str) -> str:
    """Shorten a long id to its kind and its last letters, which are what tells two apart."""
    kind, _, rest = identifier.rpartition("_")
    return f"{kind}_…{rest[-6:]}" if kind and len(rest) > 10 else identifier


_ID = re.compile(r"\b([a-z]{2,5})_[0-9a-hjkmnp-tv-z]{20}([0-9a-hjkmnp-tv-z]{6})\b")


def brief_text(text: str) -> str:
    """Shorten every long id in a text, for a cell; the detail has them whole."""
    return _ID.sub(r"\1_…\2", text)


def proof_text(proof: str | None) -> str:
    """Say whether it was proven on whose behalf a run acts, and by whom."""
    return "only claimed" if proof is None else f"proven by {proof}"
