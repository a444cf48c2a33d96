"""How well the ledger is proven: its signed size, its anchors, its keys, its forks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from watchkeeper.console.blocks import Block, Fact, Prose, Title
from watchkeeper.console.moment import Moment
from watchkeeper.console.painting import Span, span
from watchkeeper.console.words import moment_text, person_text, plural
from watchkeeper.wire.audit import CheckpointRow, LogKeyRow


@dataclass(frozen=True)
class Standing:
    """What of the ledger is signed and anchored."""

    entries: int
    last: CheckpointRow | None
    """The newest checkpoint."""
    anchored: CheckpointRow | None
    """The newest that an anchor has, as far as was looked."""
    looked_at: int
    """Checkpoints that were looked through for one."""
    checkpoints: int
    keys: Sequence[LogKeyRow]

    @property
    def unsigned(self) -> int:
        """Entries that the newest checkpoint does not have."""
        return self.entries - (self.last.size if self.last is not None else 0)

    @property
    def unanchored(self) -> int:
        """Entries that no anchor is known to have."""
        return self.entries - (self.anchored.size if self.anchored is not None else 0)

    @property
    def forks(self) -> list[LogKeyRow]:
        """Keys that began because signed entries were gone."""
        return [key for key in self.keys if key.lost_size is not None]


def line(found: Standing) -> Sequence[Span]:
    """Say it in one line: what is signed, what is not anchored, whether anything was lost."""
    if found.last is None:
        return (span("  nothing is signed yet", "warning"),)
    loose = found.unanchored
    parts = [span(f"  signed {found.last.size:,} of {found.entries:,}", "quiet")]
    if found.anchored is None:
        parts.append(span("  not anchored", "warning"))
    else:
        told = f"  {loose:,} not anchored" if loose > 0 else "  all anchored"
        parts.append(span(told, "warning" if loose > 0 else "good"))
    open_forks = [key for key in found.forks if key.accepted_by is None]
    if open_forks:
        parts.append(span(f"  ! {plural(len(open_forks), 'fork')}", "critical"))
    return parts


def blocks(found: Standing, moment: Moment) -> Iterator[Block]:
    """Write it with the checkpoint, the anchors, the keys, and what each stands for."""
    yield Fact("entries", f"{found.entries:,}")
    if found.last is not None:
        last = found.last
        yield Title("The newest checkpoint")
        yield Fact("signs", f"{plural(last.size, 'entry', 'entries')}, the first ones")
        yield Fact("when", moment_text(last.at, moment.now))
        yield Fact("origin", last.origin)
        yield Fact("root", last.root)
        yield Fact("in all", plural(found.checkpoints, "checkpoint"), "quiet")
    yield Title("Outside this plane")
    if found.last is None:
        yield Prose("Nothing is signed yet, so there is nothing to anchor.", "warning")
    elif found.anchored is None:
        yield Prose(
            f"None of the newest {plural(found.looked_at, 'checkpoint')} is anchored: whoever has "
            "this machine could write the ledger anew.",
            "warning",
        )
    else:
        yield Fact("anchored", f"{found.anchored.size:,} entries, by "
                               f"{', '.join(found.anchored.anchored)}")  # fmt: skip
        yield Fact("when", moment_text(found.anchored.at, moment.now))
        loose = plural(found.unanchored, "entry", "entries")
        yield Fact("after it", f"{loose} that could be cut off without a trace",
                   "warning" if found.unanchored else "quiet")  # fmt: skip
    yield Title("Keys that sign, and have signed; the newest first")
    for key in found.keys:
        yield Fact("key", key.key)
        yield Fact("since", f"{moment_text(key.made_at, moment.now)}: {key.cause}, {key.reason}")
        if key.lost_size is not None:
            yield from _fork(key)
    yield Prose("An auditor has to have the key from elsewhere, e.g. since the first audit.",
                "quiet")  # fmt: skip


def _fork(key: LogKeyRow) -> Iterator[Block]:
    lost = f"entries that were signed, up to {key.lost_size:,}, were gone"
    if key.accepted_by is None:
        words = f"{lost}; nobody has said why: watchkeeper audit accept-fork"
        yield Fact("fork", words, "critical")
    else:
        yield Fact("fork", f"{lost}; accepted by {person_text(key.accepted_by)}", "warning")
