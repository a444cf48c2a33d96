"""What a pane may ask of the console around it; panes know nothing else of the screen."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from watchkeeper.client.api import PlaneClient
from watchkeeper.console.blocks import Block
from watchkeeper.console.completion import Complete
from watchkeeper.console.configuration import Configuration
from watchkeeper.console.moment import Moment
from watchkeeper.console.painting import Token
from watchkeeper.core.clock import Clock
from watchkeeper.wire.plane import Status

Body = Sequence[Block] | Callable[[], Sequence[Block]]


@dataclass(frozen=True)
class Field:
    """One line that a dialog asks for; `check` answers None or what is wrong, in words."""

    key: str
    label: str
    check: Callable[[str], str | None] = field(default=lambda text: None)
    value: str = ""
    complete: Complete | None = None
    """What the line could become; tab offers it."""


def one_of(key: str, label: str, allowed: Sequence[str], value: str = "") -> Field:
    """Return a line that takes one of some words; tab goes through them."""

    def check(text: str) -> str | None:
        return None if text.strip() in allowed else f"one of {', '.join(allowed)}"

    def complete(text: str) -> Sequence[str]:
        word = text.strip()
        return allowed if word in allowed else [one for one in allowed if one.startswith(word)]

    return Field(key, label, check, value, complete)


@dataclass(frozen=True)
class Choice:
    """Another way out of a dialog: pressing `key` closes it and names the choice."""

    key: str
    label: str


@dataclass(frozen=True)
class Question:
    """What a dialog asks.

    A dangerous one has its cancel in focus and is never confirmed by the first enter;
    `type_name` must be typed exactly; `read_to_end` keeps the confirmation closed until the
    last line of the body was on the screen; `live` reads the body anew once a second.
    """

    title: str
    body: Sequence[Block] = ()
    confirm: str = "Confirm"
    cancel: str = "Cancel"
    danger: bool = False
    reason: Literal["none", "optional", "required"] = "none"
    type_name: str | None = None
    read_to_end: bool = False
    fields: tuple[Field, ...] = ()
    live: Callable[[], Awaitable[Sequence[Block]]] | None = None
    choices: tuple[Choice, ...] = ()
    reason_value: str = ""
    """What the reason holds at first."""
    reason_label: str = "Reason"


@dataclass(frozen=True)
class Reply:
    """What a person answered; `values` by the keys of the question's fields."""

    confirmed: bool
    reason: str | None = None
    values: dict[str, str] = field(default_factory=dict)
    choice: str | None = None
    """The key of the choice that closed it; then nothing is confirmed."""


class Desk(Protocol):
    """The console, as panes see it."""

    @property
    def client(self) -> PlaneClient:
        """The plane."""
        ...

    @property
    def clock(self) -> Clock:
        """This machine's time; what panes show comes from `moment`."""
        ...

    @property
    def configuration(self) -> Configuration:
        """The person's settings."""
        ...

    @property
    def status(self) -> Status | None:
        """What the plane last said of itself."""
        ...

    @property
    def offline(self) -> str | None:
        """Why nothing can be sent now, in words; None while the plane answers."""
        ...

    def moment(self) -> Moment:
        """Return now by the plane's clock, and how times are to be shown."""
        ...

    def say(self, text: object, token: Token = "text", *, seconds: float = 6.0) -> None:
        """Show one line for a while."""
        ...

    async def ask(self, question: Question) -> Reply:
        """Open a dialog and wait for its answer."""
        ...

    async def view(self, title: str, body: Body) -> None:
        """Show text over everything until it is closed; a callable body is read once a second."""
        ...

    def edit(self, text: str) -> str | None:
        """Have a text of many lines written in the person's editor; None if it was not."""
        ...

    def copy(self, text: str) -> None:
        """Put text on the person's clipboard and say what was tried."""
        ...

    def show(
        self,
        pane: str,
        identity: str | None = None,
        *,
        detail: bool = False,
        filter: str | None = None,
    ) -> None:
        """Go to a pane and, if given, to one of its rows; `detail` opens it, `filter` narrows."""
        ...

    def mark_dirty(self, pane: str | None = None) -> None:
        """Have a pane, or all, read again at the next refresh."""
        ...

    def later(
        self, seconds: float, key: str, words: str, run: Callable[[], Awaitable[None]]
    ) -> None:
        """Run something unless it is undone within `seconds`; enter runs it at once."""
        ...

    @property
    def unsent(self) -> Collection[str]:
        """The keys of what waits to be sent and can still be undone."""
        ...

    @property
    def beside(self) -> bool:
        """Whether the detail of the current row stands beside its list."""
        ...
