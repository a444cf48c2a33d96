"""A pane: one list of the plane, what its rows say, and what can be done with them.

A pane draws nothing. It reads pages, turns rows into cells and details into blocks; the
console shows the one that is in front.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Generic, TypeVar

from watchkeeper.console.actions import Action
from watchkeeper.console.blocks import Block
from watchkeeper.console.columns import Column
from watchkeeper.console.desk import Desk
from watchkeeper.console.moment import Moment
from watchkeeper.console.painting import Span
from watchkeeper.console.window import Wanted, Window
from watchkeeper.wire.base import Shown
from watchkeeper.wire.pages import Page
from watchkeeper.wire.plane import EventRow

Row = TypeVar("Row", bound=Shown)


class Pane(Generic[Row]):
    """One list. Subclasses say what it reads and how it reads to a person."""

    key: ClassVar[str]
    """Its name on the command line and in action ids."""
    title: str
    columns: tuple[Column, ...]
    empty: str = "Nothing here."
    """What an empty list says."""
    watched: ClassVar[tuple[str, ...]] = ("",)
    """Beginnings of the event types that change it."""
    page_size: ClassVar[int] = 64
    filter_keys: ClassVar[tuple[str, ...]] = ()
    """What a filter may name besides words, as in `agent:refunds`."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.window: Window[Row] = Window(self.row_id, page_size=self.page_size)
        self.top = 0
        """The first row on the screen."""
        self.dirty = True
        self.detail: Any = None
        """What was last read of the current row, None until then."""
        self._detail_of: str | None = None
        self.failure: str | None = None
        """Why the list could not be read, in words."""

    # What subclasses say

    async def fetch(self, after: str | None, limit: int, filter: str) -> Page[Row]:
        """Read one page of the list."""
        raise AssertionError("a pane reads its list")

    def row_id(self, row: Row) -> str:
        """Return what tells a row from all others, and stays."""
        raise AssertionError("a pane names its rows")

    def cells(self, row: Row, moment: Moment) -> Mapping[str, Span]:
        """Return what each column shows of a row; asked for visible rows only."""
        raise AssertionError("a pane writes its rows")

    def subject(self, row: Row) -> str:
        """Return what is copied of a row: its id."""
        return self.row_id(row)

    async def fetch_detail(self, row: Row) -> Any:
        """Read what the list does not hold of a row."""
        return None

    def blocks(self, row: Row, detail: Any, moment: Moment) -> Sequence[Block]:
        """Write the detail of a row; `detail` is None until it was read."""
        return ()

    def actions(self) -> Sequence[Action]:
        """Return what can be done here."""
        return ()

    def on_events(self, events: Sequence[EventRow]) -> None:
        """Hear what happened; by default a watched type has the list read again."""
        if any(event.type.startswith(self.watched) for event in events):
            self.dirty = True

    def open(self, row: Row) -> bool:
        """Open a row in another place on enter; False has its detail opened here."""
        return False

    async def turn_to(self, identity: str) -> bool:
        """Show the part of the list that holds a row which is not in it now; tell whether."""
        return False

    def caption(self) -> Sequence[Span]:
        """Return a line of figures above the list, or nothing."""
        return ()

    def badge(self) -> str:
        """Return a short count for the tab, or nothing."""
        return ""

    # What subclasses use

    @property
    def current(self) -> Row | None:
        """The row under the cursor."""
        return self.window.current

    @property
    def marked(self) -> list[Row]:
        """The marked rows, in the order shown; those a filter hides come last."""
        window = self.window
        found = [i for i in window.ids if i in window.marks]
        found += sorted(i for i in window.marks if window.place(i) is None)
        return [row for i in found if (row := window.find(i)) is not None]

    def chosen(self) -> list[Row]:
        """The marked rows, or else the current one."""
        marked = self.marked
        if marked:
            return marked
        return [] if self.current is None else [self.current]

    @property
    def rows(self) -> list[Row]:
        """The rows read so far."""
        return [self.window.value(index) for index in range(len(self.window))]

    def select(self, identity: str) -> bool:
        """Put the cursor on a row; tell whether it is there."""
        return self.window.select(identity)

    def clear_marks(self, identities: Sequence[str] | None = None) -> None:
        """Take marks away: these, or all."""
        self.window.unmark(identities)

    def mark_dirty(self) -> None:
        """Have the list read again at the next refresh."""
        self.dirty = True

    async def reload(self, height: int = 0) -> None:
        """Read what is on the screen again, and what follows if its end is near."""
        self.dirty = False
        for asked in self.window.wanted(self.top, self.top + max(height, 1) - 1):
            wanted = self.window.again(asked)
            if wanted is not None:
                await self._read(wanted)
        following = self.window.more(self.top + height)
        if following is not None:
            await self._read(following)

    def refuse(self, why: str) -> None:
        """Show why nothing can match instead of rows: what was asked for makes no sense."""
        self.failure = why
        self.window.take(self.window.head(), (), None, 0)

    async def read_on(self, height: int) -> bool:
        """Read the next page if the screen comes near the end of what is read."""
        following = self.window.more(max(self.top + height, self.window.cursor))
        return following is not None and await self._read(following)

    async def read_detail(self) -> None:
        """Read the detail of the current row."""
        row = self.current
        if row is None:
            self.forget_detail()
            return
        identity = self.row_id(row)
        detail = await self.fetch_detail(row)
        if self.window.current_id == identity:
            self.detail, self._detail_of = detail, identity

    def forget_detail(self) -> None:
        """Drop what was read of a row that is no longer current."""
        if self._detail_of != self.window.current_id:
            self.detail, self._detail_of = None, None

    @property
    def detail_known(self) -> bool:
        """Whether the detail of the current row was read."""
        return self._detail_of is not None and self._detail_of == self.window.current_id

    async def _read(self, wanted: Wanted) -> bool:
        page = await self.fetch(wanted.after, self.page_size, wanted.filter)
        return self.window.take(wanted, page.rows, page.next, page.total)
