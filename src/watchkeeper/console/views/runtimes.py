"""Runtimes and what runs in them, as their pollings tell."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from watchkeeper.console.blocks import Block, Fact, Line, Prose, Title
from watchkeeper.console.moment import Moment
from watchkeeper.console.painting import Span, span
from watchkeeper.console.views.aligned import aligned
from watchkeeper.console.words import (
    REMOTE_STATES,
    RUNTIME_STATES,
    Said,
    age_text,
    moment_text,
    person_text,
    plural,
    say,
)
from watchkeeper.core.clock import MICROSECONDS
from watchkeeper.wire.base import Shown
from watchkeeper.wire.runtimes import RemoteRunRow, RuntimeRow

STALE_SECONDS = 60
"""What is known of a runtime's runs is coloured from this age on."""


class RuntimeLine(Shown):
    """A runtime, or a run in one."""

    kind: Literal["runtime", "run"]
    runtime: RuntimeRow
    run: RemoteRunRow | None = None

    @property
    def name(self) -> str:
        """What it is called: the runtime's name, or the run's id there."""
        return self.run.id if self.run else self.runtime.runtime


def lines(
    runtimes: Sequence[RuntimeRow], runs: Mapping[str, Sequence[RemoteRunRow]]
) -> tuple[RuntimeLine, ...]:
    """Put runs below their runtimes: the rogue ones first, then those that wait."""
    found: list[RuntimeLine] = []
    for runtime in sorted(runtimes, key=lambda row: (row.health != "down", row.runtime)):
        found.append(RuntimeLine(kind="runtime", runtime=runtime))
        ranked = sorted(
            runs.get(runtime.runtime, ()),
            key=lambda run: (run.standing != "rogue", run.state != "waiting", run.id),
        )
        found += [RuntimeLine(kind="run", runtime=runtime, run=run) for run in ranked]
    return tuple(found)


def state_of(row: RuntimeLine) -> Said:
    """Say how it stands."""
    if row.run is None:
        return say(RUNTIME_STATES, row.runtime.health)
    return say(REMOTE_STATES, row.run.state)


def cells(row: RuntimeLine, moment: Moment) -> Mapping[str, Span]:
    """Return the cells of a line."""
    runtime, run = row.runtime, row.run
    if run is None:
        return {
            "state": state_of(row).span,
            "name": span(runtime.runtime, "strong"),
            "standing": span(_counts(runtime), "critical" if runtime.rogue else "text"),
            "agent": span(""),
            "seen": _stale(
                moment.age(moment.now - (runtime.age_seconds or 0) * MICROSECONDS), runtime
            ),
            "what": span(runtime.problem or _kind_words(runtime), "quiet"),
        }
    rogue = run.standing == "rogue"
    return {
        "state": state_of(row).span,
        "name": span(f"  {run.id}"),
        "standing": span(f"! {run.standing}" if rogue else run.standing,
                         "critical" if rogue else "quiet"),
        "agent": span(run.agent or run.offered or "nobody's", "text" if run.agent else "warning"),
        "seen": moment.age(run.updated_at or run.seen_at),
        "what": span(run.waiting_on or run.why or run.said or "", "quiet"),
    }  # fmt: skip


def summary(rows: Iterable[RuntimeLine]) -> Sequence[Span]:
    """Count runtimes and what runs in them, what is wrong first."""
    runtimes = [row.runtime for row in rows if row.run is None]
    rogue = sum(one.rogue for one in runtimes)
    down = [one.runtime for one in runtimes if one.health == "down"]
    running, waiting = sum(one.running for one in runtimes), sum(one.waiting for one in runtimes)
    words = f"{plural(len(runtimes), 'runtime')} · {running:,} running · {waiting:,} waiting"
    spans = [span(words, "quiet")]
    if rogue:
        spans.append(span(f" · ! {plural(rogue, 'rogue run')}", "critical"))
    if down:
        spans.append(span(f" · ■ down: {', '.join(down)}", "critical"))
    return spans


def blocks(row: RuntimeLine, moment: Moment) -> list[Block]:
    """Write a line in full."""
    return _run_blocks(row.run, moment) if row.run else _runtime_blocks(row.runtime, moment)


def _runtime_blocks(row: RuntimeRow, moment: Moment) -> list[Block]:
    said = say(RUNTIME_STATES, row.health)
    held: list[Block] = [Line([span(row.runtime, "strong"), span("  "), said.span])]
    if row.problem:
        held.append(Fact("because", row.problem, "critical"))
    held += [
        Fact("kind", f"{row.kind} {row.version or ''}".strip()),
        Fact("owner", row.owner or "nobody is named", "text" if row.owner else "warning"),
        Fact("runs", _counts(row)),
        Fact("as of", _age(row)),
    ]
    if row.url:
        held.append(Fact("at", row.url))
    if row.latency_ms is not None:
        held.append(Fact("answers in", f"{row.latency_ms:,.0f} ms"))
    if not row.complete:
        held.append(Prose("It has more runs than are listed here.", "warning"))
    held.append(Fact("can", ", ".join(row.can) or "nothing"))
    if row.cannot:
        held.append(Fact("cannot", ", ".join(row.cannot), "warning"))
        held.append(
            Prose("What it can't do the gateways cover: its agents' calls are refused.", "quiet")
        )
    if row.agents:
        held.append(Title("Its agents"))
        held += aligned(
            [(span(one.name), span("is", "quiet"), _agent(one.agent)) for one in row.agents]
        )
    return held


def _run_blocks(run: RemoteRunRow, moment: Moment) -> list[Block]:
    said = say(REMOTE_STATES, run.state)
    held: list[Block] = [Line([span(run.id, "strong"), span("  "), said.span])]
    if run.standing == "rogue":
        held.append(
            Prose(
                f"Rogue: {run.why or 'no run of ours covers it'}. Nothing that it does passes "
                "here. Adopt it (A) or stop it (S).",
                "critical",
            )
        )
    held += [
        Fact("runtime", run.runtime),
        Fact("agent", _agent(run.agent)),
        Fact("there", run.offered or "–"),
    ]
    if run.run:
        held.append(Fact("our run", run.run))
    if run.waiting_on:
        held.append(Fact("waits on", run.waiting_on, "warning"))
    if run.request:
        held.append(Fact("request", run.request))
    if run.said and run.said != run.state:
        held.append(Fact("its word", run.said, "quiet"))
    for label, at in (
        ("began", run.started_at),
        ("changed", run.updated_at),
        ("first seen", run.first_seen_at),
        ("last seen", run.seen_at),
        ("lost since", run.lost_at),
        ("ended", run.ended_at),
    ):
        if at is not None:
            held.append(Fact(label, moment_text(at, moment.now)))
    if run.adopted_by:
        held.append(Fact("adopted by", f"{person_text(run.adopted_by)}: {run.reason or ''}"))
    return held


def _agent(name: str | None) -> Span:
    return span(name) if name else span("nobody said", "warning")


def _counts(row: RuntimeRow) -> str:
    """Say what there is of each; the gravest first, as the end may be cut off."""
    counts = ((row.rogue, "rogue"), (row.running, "running"), (row.waiting, "waiting"))
    return ", ".join(f"{number:,} {word}" for number, word in counts if number) or "nothing runs"


def _kind_words(row: RuntimeRow) -> str:
    words = f"{row.kind} {row.version or ''}".strip()
    return f"{words}; can't {', '.join(row.cannot)}" if row.cannot else words


def _age(row: RuntimeRow) -> Span:
    return _stale(span(age_text(0, (row.age_seconds or 0) * MICROSECONDS)), row)


def _told_at(row: RuntimeRow, moment: Moment) -> int:
    return moment.now - (row.age_seconds or 0) * MICROSECONDS


def _stale(age: Span, row: RuntimeRow) -> Span:
    if row.age_seconds is None:
        return span("never", "warning")
    return age._replace(token="warning" if row.age_seconds > STALE_SECONDS else "text")
