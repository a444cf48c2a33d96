"""Answers to questions about what happened; each says what it counted and what is missing."""

from __future__ import annotations

from collections.abc import Iterator

from watchkeeper.console.blocks import Block, Fact, Prose, Quoted, Title
from watchkeeper.console.moment import Moment
from watchkeeper.console.painting import Span, Token, span
from watchkeeper.console.views.aligned import aligned
from watchkeeper.console.words import actor_text, id_text, moment_text, plural
from watchkeeper.core.money import dollars
from watchkeeper.wire.asking import (
    Answer,
    Measure,
    Rest,
    RestedOn,
    Saved,
    Spike,
    SpikePart,
    Touched,
    Under,
)

_SHORT = 19
"""Of a digest."""


def spike_blocks(found: Spike, moment: Moment) -> list[Block]:
    """Write who made something rise."""
    rose = found.during > found.before
    token: Token = "warning" if rose else "good"
    held: list[Block] = [
        Prose(
            f"{found.measure} {'rose' if rose else 'did not rise'}: "
            f"{_amount(found.measure, found.before)} before, "
            f"{_amount(found.measure, found.during)} in this period.",
            token,
        ),
        Title(f"What each {_by(found)} adds"),
        *aligned((_part(found, part) for part in found.rows), right=(1, 2, 3)),
    ]
    if not found.rows:
        held.append(Prose("Nothing of it in either period.", "quiet"))
    if found.left_out:
        held.append(Prose(f"{found.left_out:,} more add less than these.", "quiet"))
    return [*held, *_limits(found, moment)]


def _by(found: Spike) -> str:
    return "version" if found.by == "version" else f"version with its {found.by}"


def _part(found: Spike, part: SpikePart) -> tuple[Span, ...]:
    version = f" version {part.version}" if part.version is not None else ""
    share = "" if part.share is None else f"{part.share:.0%} of the rise"
    sign = "+" if part.rise > 0 else ""
    what = f"  {part.what}" if part.what else ""
    return (
        span(f"{part.agent}{version}{what}", "strong" if part.rise > 0 else "text"),
        span(f"{sign}{_amount(found.measure, part.rise)}", "warning" if part.rise > 0 else "quiet"),
        span(share),
        span(f"{_amount(found.measure, part.before)} > {_amount(found.measure, part.during)}"),
        span(f"calls {part.calls_before:,} > {part.calls:,}, {plural(part.runs, 'run')}", "quiet"),
    )


def _amount(measure: Measure, value: int) -> str:
    return dollars(value) if measure == "cost" else f"{value:,}"


def touched_blocks(found: Touched, moment: Moment) -> list[Block]:
    """Write who touched a class of data."""
    held: list[Block] = []
    if not found.rows:
        held.append(Prose(f"No agent is known to have touched data of class {found.data}."))
    for row in found.rows:
        versions = ", ".join(map(str, row.versions))
        held += [
            Title(f"{row.agent}{f' version {versions}' if versions else ''}"),
            Prose(f"{plural(row.actions, 'action')} in {plural(row.runs, 'run')}", "strong"),
            Fact("first", moment_text(row.first, moment.now)),
            Fact("last", moment_text(row.last, moment.now)),
            *aligned(
                (span(id_text(one.key), "quiet"), moment.time(one.at), span(one.name))
                for one in row.examples
            ),
        ]
    return [*held, *_limits(found, moment)]


def saved_blocks(found: Saved, moment: Moment) -> list[Block]:
    """Write what the question of a document was; its table has the answer."""
    held: list[Block] = [
        Quoted(f"question {found.name}, as a document asks it", found.asks, 8),
        *(Fact(name, value) for name, value in found.where.items()),
    ]
    if found.group_by:
        held.append(Fact("by", ", ".join(found.group_by)))
    held.append(Fact("first", found.order))
    if found.more:
        held.append(Prose("There are more than are shown.", "warning"))
    return [*held, *_limits(found, moment)]


def rested_on_blocks(found: RestedOn, moment: Moment) -> list[Block]:
    """Write what an output rested on."""
    held: list[Block] = [Prose(found.name, "strong"), Fact("id", found.key, "quiet")]
    for place, one in enumerate(found.runs):
        held += [Title("Its run" if place == 0 else "The run above"), *_under(one)]
    if found.policies:
        held.append(Title("Policy sets then"))
        held += [Fact(name, digest[:_SHORT], "quiet") for name, digest in found.policies.items()]
    held.append(Title("What came before it, the latest first"))
    for row in found.rows:
        held += _rest(row, moment)
    if not found.rows:
        held.append(Prose("Nothing that the plane saw.", "quiet"))
    if found.left_out:
        held.append(Prose(f"{plural(found.left_out, 'step')} before these.", "quiet"))
    return [*held, *_limits(found, moment)]


def _under(one: Under) -> Iterator[Block]:
    version = f", version {one.version}" if one.version is not None else ""
    yield Prose(f"{one.agent}{version}")
    yield Fact("run", one.run, "quiet")
    yield Fact("contract", one.contract or "not known", "quiet")
    if one.policies:
        yield Fact("policies", one.policies, "quiet")
    if one.principal:
        yield Fact("on behalf of", actor_text(one.principal))
    if one.epoch:
        yield Fact("locks", f"known up to number {one.epoch}")
    if one.rules:
        yield Fact("decided by", ", ".join(one.rules))


def _rest(row: Rest, moment: Moment) -> list[Block]:
    said = " (the agent's word)" if row.source == "agent" else ""
    by = f" by {actor_text(row.by)}" if row.by else ""
    digests = "  ".join(f"{name} {value[:_SHORT]}" for name, value in row.digests.items())
    return [
        *aligned(
            [
                (
                    span(moment.time(row.at).text, "quiet"),
                    span(f"{row.basis}{said}", "accent"),
                    span(f"{row.name}: {row.outcome or 'told'}{by}"),
                )
            ]
        ),
        *([Fact("", digests, "quiet")] if digests else []),
    ]


def _limits(found: Answer, moment: Moment) -> list[Block]:
    began = "the beginning" if found.since is None else moment_text(found.since, moment.now)
    return [
        Title("What this counts, and what it cannot"),
        Fact("from", began),
        Fact("to", moment_text(found.until, moment.now)),
        Fact("counted", found.counted),
        *(Fact("not in it", missing, "warning") for missing in found.missing),
    ]
