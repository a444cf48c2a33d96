"""Bad habits: what an agent does now and then that somebody should notice."""

from __future__ import annotations

from dataclasses import dataclass

LARGE = "large-careful"


@dataclass(slots=True)
class Lavishness:
    """Asks the large model for everything, from time to time; shared by an agent's hands."""

    after: int = 0
    """Model calls until it begins; 0: never."""
    times: int = 0
    """How often, unless it is stopped before."""
    _calls: int = 0

    @property
    def model(self) -> str | None:
        """The model to ask while it lasts."""
        return LARGE if self.after and self._calls >= self.after else None

    def count(self) -> None:
        """Note a call that was answered."""
        self._calls += 1
        if self._calls >= self.after + self.times:
            self.stop()

    def stop(self) -> None:
        """Ask as usual again, for as long as before."""
        self._calls = 0
