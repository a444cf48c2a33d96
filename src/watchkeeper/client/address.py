"""Where a plane answers, and as whom we call it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Address:
    """A plane on this machine (`socket`) or elsewhere (`url` with a person's `token`)."""

    socket: Path | None = None
    url: str | None = None
    token: str | None = field(default=None, repr=False)

    @property
    def text(self) -> str:
        """The address as a person would write it; never the token."""
        return str(self.socket) if self.socket is not None else str(self.url)

    @property
    def base_url(self) -> str:
        """What paths are appended to; a socket needs a host name that planes accept."""
        return "http://localhost" if self.socket is not None else str(self.url).rstrip("/")
