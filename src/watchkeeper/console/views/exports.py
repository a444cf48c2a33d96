"""What was written to a file to be taken away, and what proves it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from watchkeeper.console.blocks import Blank, Block, Code, Fact, Prose, Title
from watchkeeper.console.painting import Token
from watchkeeper.core.evidence.findings import Findings
from watchkeeper.wire.audit import Progress

_BAR = 40


def size_text(size: int) -> str:
    """Write a size in bytes as a person would say it."""
    for unit, letters in ((10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if size >= unit:
            return f"{size / unit:.1f} {letters}"
    return f"{size} bytes"


def progress_blocks(doing: str, now: Progress, more: str) -> list[Block]:
    """Write how far some work on the ledger is; `more` says what giving it up means."""
    held: list[Block] = [Prose(doing, "strong"), Blank()]
    if now.total:
        full = min(_BAR, _BAR * now.done // now.total)
        held.append(Code("█" * full + "░" * (_BAR - full)))
        share = 100 * now.done // now.total
        held.append(Fact("looked at", f"{now.done:,} of {now.total:,} {now.what}, {share} %"))
    return [*held, Blank(), Prose(more, "quiet")]


def written_blocks(place: Path, size: int) -> list[Block]:
    """Say where a file is."""
    return [
        Prose(f"✓ Written: {size_text(size)}", "good"),
        Fact("file", place.name, "strong"),
        Fact("in", str(place.parent)),
    ]


def evidence_blocks(place: Path, size: int, key: str, found: Findings) -> Sequence[Block]:
    """Say where a bundle is, what it proves, and how somebody else finds out the same."""
    held: list[Block] = [*written_blocks(place, size), Title("Verified as it was written")]
    for words, lines in (("✗ fails", found.failed), ("✓ proven", found.proven)):
        token: Token = "critical" if lines is found.failed else "text"
        held += [Fact(words, line, token) for line in lines]
    held += [Fact("– not proven", line, "quiet") for line in found.unproven]
    if found.failed:
        held.append(Prose("✗ This bundle does not hold: something in it is not as it was signed. "
                          "Keep the ledger as it is, and verify it.", "critical"))  # fmt: skip
    return [
        *held,
        Title("How anybody verifies it, without Watchkeeper"),
        Code(
            "watchkeeper evidence verifier > verify.py\n"
            f"python3 -I verify.py {place.name} --key {key}"
        ),
        Prose(
            "Whoever verifies it has to have the key from elsewhere, e.g. since the first audit; "
            "the key in this command proves nothing to somebody who has it from you alone.",
            "quiet",
        ),
    ]
