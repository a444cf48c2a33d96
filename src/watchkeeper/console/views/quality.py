"""How approving goes, for the team: figures with what they are of, and what would spare work."""

from __future__ import annotations

from collections.abc import Sequence

from watchkeeper.console.blocks import Blank, Block, Fact, Line, Prose, Title
from watchkeeper.console.painting import Span, span
from watchkeeper.console.views.aligned import Aligned
from watchkeeper.console.words import plural, span_text
from watchkeeper.wire.quality import FEWEST, Hint, Quality, QualityRow

HEADS = ("", "votes", "to decide", "on screen", "unread", "overridden", "late", "waiting")
WORDS = {"person": "By person", "role": "By role", "tool": "By tool"}


def quality_blocks(found: Sequence[Quality]) -> list[Block]:
    """Write the figures by role, tool and person; rows stand by name, best and worst alike."""
    if not found or not found[0].everything.decisions:
        return [Prose("Nothing was decided in this time: there is nothing to say yet.", "quiet")]
    whole = found[0].everything
    written: list[Block] = [
        Fact("decisions", plural(whole.decisions, "vote")),
        Fact("to decide", f"{_seconds(whole.decide_seconds_median)}, at p95 "
             f"{_seconds(whole.decide_seconds_p95)}"),
        Fact("judged later", f"{whole.judged}, of which {whole.wrong} were found wrong"),
    ]  # fmt: skip
    for one in found:
        if one.rows:
            written += [Title(WORDS.get(one.by, one.by)), _table(one.rows)]
        if one.rows_left_out:
            written.append(Prose(f"and {one.rows_left_out} more", "quiet"))
    return [
        *written,
        Blank(),
        Prose("unread: approved faster than what was shown can be read. overridden: later judged "
              "wrong, or rejected or narrowed by somebody else. late: in the last tenth of the "
              f"time. Under {FEWEST} decisions nothing is said. Times are medians.", "quiet"),
    ]  # fmt: skip


def hint_blocks(hints: Sequence[Hint]) -> list[Block]:
    """Write what would spare approvers work."""
    if not hints:
        return [Prose("Nothing repeats often enough to be worth a hint.", "quiet")]
    written: list[Block] = []
    for hint in hints:
        written += [
            Title(f"{hint.agent} → {hint.tool}"),
            Prose(hint.text),
            Line([span(f"newest: {', '.join(hint.requests[:3])}", "quiet")]),
        ]
    return [
        *written,
        Blank(),
        Prose("In the queue: = marks what is alike, s proposes a standing approval.", "quiet"),
    ]


def _table(rows: Sequence[QualityRow]) -> Block:
    lines = [tuple(span(head, "quiet") for head in HEADS)]
    lines += [_line(row) for row in rows]
    return Aligned(lines, right=(1, 2, 3, 4, 5, 6))


def _line(row: QualityRow) -> tuple[Span, ...]:
    waiting = "–" if row.pending is None else str(row.pending)
    if row.holders is not None:
        waiting += f" for {plural(row.holders, 'person', 'people')}"
    if not row.enough:
        few = span("too few", "quiet")
        return (span(row.name), span(str(row.decisions)), few, *[span("–", "quiet")] * 4,
                span(waiting))  # fmt: skip
    return (
        span(row.name),
        span(str(row.decisions)),
        span(_seconds(row.decide_seconds_median)),
        span(_seconds(row.view_seconds_median)),
        span(_share(row.unread_share)),
        span(_share(row.overridden_share)),
        span(str(row.late)),
        span(waiting),
    )


def _seconds(seconds: float | None) -> str:
    return "–" if seconds is None else span_text(round(seconds))


def _share(share: float | None) -> str:
    return "–" if share is None else f"{share:.0%}"
