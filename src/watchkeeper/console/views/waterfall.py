"""A run's steps as a waterfall: when, for how long, decided how, at what cost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from watchkeeper.console.blocks import Block, Code, Fact, Line, Prose, Quoted, Title
from watchkeeper.console.moment import Moment, duration_text
from watchkeeper.console.painting import Span, Token, span
from watchkeeper.console.views import runs
from watchkeeper.console.views.aligned import aligned
from watchkeeper.console.views.contents import content_blocks
from watchkeeper.console.words import (
    REQUEST_STATES,
    RUN_STATES,
    VERDICTS,
    Said,
    actor_text,
    brief_text,
    count_text,
    moment_text,
    money_text,
    plural,
    say,
    time_text,
)
from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.core.digest import canonical
from watchkeeper.core.errors import WatchkeeperError
from watchkeeper.core.money import dollars
from watchkeeper.wire.agents import RunDetail
from watchkeeper.wire.traces import Contents, SpanLink, SpanRow

BAR = 12
"""Cells of a bar."""
_DEEPEST = 8
"""How deep steps are indented."""
_SHORT_SECONDS, _MINUTE = 10, 60
OUTCOMES: dict[str, Said] = {
    "running": Said("●", "running", "accent"),
    "succeeded": Said("✓", "done", "good"),
    "failed": Said("✗", "failed", "critical"),
    "unknown": Said("?", "unknown", "warning"),
    "stopped": Said("■", "stopped", "critical"),
}
_RELATIONS = {
    "approval": "ran or waits under this approval",
    "held": "this action was held for it",
    "caller": "the caller's own span",
    "said": "the same, as the agent's telemetry tells it",
}


@dataclass(frozen=True)
class Time:
    """What a waterfall covers, in microseconds; while it is live it ends now."""

    began: int = 0
    ended: int = 0
    live: bool = False

    def until(self, now: int) -> int:
        """Return where the waterfall ends."""
        return max(self.began + 1, self.ended, now if self.live else 0)

    def with_rows(self, rows: Sequence[SpanRow]) -> Time:
        """Return what it covers with more steps."""
        if not rows:
            return self
        began = min(row.start for row in rows)
        ended = max(row.end or row.start for row in rows)
        return Time(
            began if not self.began else min(began, self.began),
            max(ended, self.ended),
            self.live or any(row.end is None for row in rows),
        )


@dataclass(frozen=True)
class StepFile:
    """What the list does not hold of a step."""

    contents: Contents | None = None
    no_contents: str = ""
    """Why there are none, in words."""
    run: RunDetail | None = None


def cells(row: SpanRow, time: Time, moment: Moment) -> Mapping[str, Span]:
    """Return the cells of a step."""
    said = how(row)
    token: Token = "strong" if row.kind == "run" else "text"
    tokens = row.input_tokens + row.output_tokens
    why = brief_text(row.error or row.rule or "")
    return {
        "at": span(f"+{time_of(row.start - time.began)}", "quiet"),
        "bar": span(bar(row, time, moment.now), said.token if row.kind != "run" else "quiet"),
        "took": span(_took(row, moment), "accent" if row.end is None else "text"),
        "step": span("  " * min(row.depth, _DEEPEST) + name_of(row), token),
        "how": said.span,
        "cost": span(money_text(row.cost_micros) if row.cost_micros else "", "text"),
        "tokens": span(count_text(tokens) if tokens else "", "quiet"),
        "why": span(why, "critical" if troubled(row) else "quiet"),
    }  # fmt: skip


def name_of(row: SpanRow) -> str:
    """Return a step's name, with a mark where another has to do with it."""
    name = row.subject if row.operation == "execute_tool" else row.name
    return f"{'' if row.source == 'plane' else '◌ '}{name}{' →' if row.links else ''}"


def bar(row: SpanRow, time: Time, now: int) -> str:
    """Draw when a step was within what is shown; what still lasts ends in an arrow."""
    per_cell = (time.until(now) - time.began) / BAR
    left = max(0, min(int((row.start - time.began) / per_cell), BAR - 1))
    if row.end == row.start:
        return " " * left + "│"
    end = time.until(now) if row.end is None else row.end
    right = min(BAR, max(left + 1, round((end - time.began) / per_cell)))
    drawn = "━" * (right - left)
    return " " * left + (drawn[:-1] + "▸" if row.end is None else drawn)


def how(row: SpanRow) -> Said:
    """Say how it was decided and how it ended."""
    if row.kind == "approval":
        return say(REQUEST_STATES, row.verdict or "pending")
    if row.verdict in ("hold", "deny"):
        return say(VERDICTS, row.verdict)
    if row.kind == "run":
        return say(RUN_STATES, "open" if row.outcome == "running" else row.outcome or "open")
    if row.source == "agent" and row.outcome is None:
        ended = {"error": OUTCOMES["failed"], "ok": OUTCOMES["succeeded"]}
        return ended.get(row.status, Said("·", "told", "quiet"))
    return say(OUTCOMES, row.outcome or "running")


def troubled(row: SpanRow) -> bool:
    """Whether somebody who looks for what went wrong would stop here."""
    return row.status == "error" or row.verdict in ("hold", "deny")


def time_of(microseconds: int) -> str:
    """Write a time within a run in at most six cells: `0`, `0.012`, `12.3`, `02:11`, `1h04`."""
    seconds = max(0, microseconds) / MICROSECONDS
    if seconds < _SHORT_SECONDS:
        return f"{seconds:.3f}"
    if seconds < _MINUTE:
        return f"{seconds:.1f}"
    return duration_text(int(seconds))


def _took(row: SpanRow, moment: Moment) -> str:
    if row.end is not None:
        return time_of(row.end - row.start) if row.end > row.start else "–"
    return duration_text(max(0, moment.now - row.start) // MICROSECONDS)


def matches(row: SpanRow, words: str) -> bool:
    """Whether a step has every word of a filter in what its line says."""
    said = how(row)
    text = f"{row.name} {said.word} {row.verdict} {row.outcome} {row.rule} {row.error} {row.key}"
    text = f"{text} {row.kind} {row.source} {' '.join(row.classes)}".lower()
    return all(word in text for word in words.lower().split())


def headline(top: SpanRow, moment: Moment) -> Sequence[Span]:
    """Say what the run is, in one line."""
    version = f" version {top.version}" if top.version is not None else ""
    used = f"  {plural(top.calls, 'call')}, {top.refusals} refused, {dollars(top.cost_micros)}"
    return (
        span(f"{top.agent}{version}  ", "strong"),
        how(top).span,
        span(f"  {_took(top, moment)}{used}", "quiet"),
        span("  esc goes back", "quiet"),
    )


def blocks(row: SpanRow, file: StepFile | None, moment: Moment) -> list[Block]:
    """Write a step: how it was decided, what it used and links to, what is kept of it."""
    if file is not None and file.run is not None:
        return [*runs.blocks(file.run, moment), *_marks(row), *_attributes(row)]
    held: list[Block] = [
        Prose(row.name, "strong"),
        Line([how(row).span, span(f"  {row.agent}", "quiet")]),
    ]
    if row.source == "agent":
        held.append(
            Prose("The agent's own telemetry tells of it; the plane did not see it.", "warning")
        )
    if row.error:
        held.append(Quoted("what went wrong, in the words of who refused or failed", row.error, 8))
    held += [Title("Decision"), *_decision(row)]
    held += [Title("Used"), *_used(row, moment)]
    if row.links:
        held += [Title("Links"), *aligned(_link(link) for link in row.links)]
    if row.kind == "action" and row.verdict == "permit":
        held += _contents(file)
    return [*held, *_marks(row), *_attributes(row)]


def _decision(row: SpanRow) -> Iterator[Block]:
    if row.verdict:
        said = REQUEST_STATES if row.kind == "approval" else VERDICTS
        yield Fact("verdict", say(said, row.verdict).span)
    else:
        yield Prose("None: the plane did not decide on it.", "quiet")
    if row.rule:
        yield Fact("rule", row.rule)
    if row.principal:
        yield Fact("by" if row.kind == "approval" else "on behalf of", actor_text(row.principal))
    if row.version is not None:
        yield Fact("version", str(row.version))
    if row.request:
        yield Fact("request", f"{row.request}  (o opens it)")
    if row.sequence is not None:
        yield Fact("entry", f"{row.sequence} of the ledger  (e opens it)")


def _used(row: SpanRow, moment: Moment) -> Iterator[Block]:
    yield Fact("began", moment_text(row.start, moment.now))
    yield Fact(
        "took",
        "still running" if row.end is None else f"{(row.end - row.start) / MICROSECONDS:.3f} s",
    )
    yield Fact("cost", dollars(row.cost_micros))
    if row.input_tokens or row.output_tokens:
        yield Fact("tokens", f"{row.input_tokens:,} in, {row.output_tokens:,} out")
    if row.classes:
        yield Fact("data", ", ".join(row.classes), "warning")


def _link(link: SpanLink) -> tuple[Span, ...]:
    words = _RELATIONS.get(link.relation, link.relation)
    return span(link.relation), span(link.span, "quiet"), span(words, "quiet")


def _contents(file: StepFile | None) -> Iterator[Block]:
    yield Title("What went in and came out")
    if file is None:
        yield Prose("reading …", "quiet")
        return
    if file.contents is None:
        yield Prose(file.no_contents or "Nothing is kept.", "quiet")
        return
    agent = file.contents.agent
    yield Prose(
        f"Whoever may read in the team of {agent} sees this; its contract (logging) says what is "
        "kept, and for how long the plane's settings.",
        "quiet",
    )
    yield from content_blocks(file.contents.rows)


def _marks(row: SpanRow) -> Iterator[Block]:
    if row.marks:
        yield Title("Entries of the ledger about it")
        yield from aligned(
            (
                span(time_text(mark.at), "quiet"),
                span(mark.name),
                span(brief_text(mark.text), "quiet"),
            )
            for mark in row.marks
        )


def _attributes(row: SpanRow) -> Iterator[Block]:
    yield Title("Attributes, as OpenTelemetry names them")
    try:
        lines = [f"{name} = {canonical(value).decode()}" for name, value in row.attributes.items()]
    except WatchkeeperError as error:
        lines = [f"these have no canonical form: {error.message}"]
    yield Code("\n".join(sorted(lines)), 200)
    yield Fact("span", f"{row.span} in trace {row.trace}", "quiet")
    yield Fact("id", row.key, "quiet")
