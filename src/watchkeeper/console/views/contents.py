"""What is kept of what went into an action and came out of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from watchkeeper.console.blocks import Block, Fact, Quoted
from watchkeeper.wire.traces import ContentRow

_LINES = 40


def content_blocks(rows: Sequence[ContentRow]) -> Iterator[Block]:
    """Write each part behind its gutter, or why there is no text of it."""
    for part in rows:
        label = f"{part.part}, {part.size:,} bytes, {part.digest or 'no digest'}"
        if part.text is None:
            yield Fact(part.part, f"not kept: {part.left_out or 'no text'}; {label}", "quiet")
        else:
            yield Quoted(label, part.text, _LINES)
