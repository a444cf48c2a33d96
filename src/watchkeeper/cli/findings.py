"""What `doctor` finds."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Finding:
    """What one check found."""

    what: str
    good: bool
    detail: str
    remedy: str = ""
    run: tuple[str, str] | None = field(default=None, repr=False)
    """The run that was opened to look further, and its token."""
