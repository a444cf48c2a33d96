"""A window over a long list that the plane holds: pages by key, a cursor by id, marks by id.

No screen is touched here. The list is read from its head in pages; a page is asked for again
with the key it began after, so a list of any length costs what is looked at. Rows keep their
order while `held` (a person is typing or a dialog is open): values change in place, and what
came or went waits until it is let go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

Value = TypeVar("Value")

LARGEST_WINDOW = 20_000
"""Rows kept; further ones are not read until the list is narrowed by a filter."""


@dataclass(frozen=True)
class Wanted:
    """A page to read: its place in the window and the key it begins after."""

    index: int
    after: str | None
    filter: str
    epoch: int


@dataclass
class _Page(Generic[Value]):
    after: str | None
    ids: list[str]
    next: str | None


class Window(Generic[Value]):
    """The rows read so far, in order, with the cursor, the marks and the filter."""

    def __init__(self, id_of: Callable[[Value], str], *, page_size: int = 64) -> None:
        self.page_size = page_size
        self.filter = ""
        self.marks: set[str] = set()
        self.total: int | None = None
        self.loaded = False
        self.notice: str | None = None
        """What happened to the cursor's row, said once."""
        self._id_of = id_of
        self._values: dict[str, Value] = {}
        self._pages: list[_Page[Value]] = []
        self._ids: list[str] = []
        self._places: dict[str, int] = {}
        self._cursor: str | None = None
        self._index = 0
        self._pushed: tuple[str, str] | None = None
        """The cursor's row where newer ones pushed it beyond what is read, and its stand-in."""
        self._held = False
        self._waiting: list[str] | None = None
        self._epoch = 0
        self._narrowed = False
        self.fresh = 0
        """Rows that came while the order was held."""

    # What is shown

    @property
    def ids(self) -> Sequence[str]:
        """The rows in the order shown."""
        return self._ids

    def __len__(self) -> int:
        return len(self._ids)

    def value(self, index: int) -> Value:
        """Return the row at a place."""
        return self._values[self._ids[index]]

    def find(self, identity: str) -> Value | None:
        """Return a row by its id, if it is read."""
        return self._values.get(identity)

    def place(self, identity: str) -> int | None:
        """Return where a row is shown."""
        return self._places.get(identity)

    @property
    def gone(self) -> frozenset[str]:
        """Rows still shown because the order is held, that the plane no longer lists."""
        return frozenset() if self._waiting is None else frozenset(self._ids) - set(self._waiting)

    # The cursor

    @property
    def cursor(self) -> int:
        """The place of the cursor; 0 in an empty list."""
        return self._index

    @property
    def current(self) -> Value | None:
        """The row under the cursor."""
        return None if self._cursor is None else self._values.get(self._cursor)

    @property
    def current_id(self) -> str | None:
        """The id of the row under the cursor."""
        return self._cursor

    def move_to(self, index: int) -> bool:
        """Put the cursor on a place, as near as there is one; tell whether it moved."""
        if not self._ids:
            return False
        index = max(0, min(index, len(self._ids) - 1))
        moved = self._ids[index] != self._cursor
        self._index, self._cursor = index, self._ids[index]
        return moved

    def select(self, identity: str) -> bool:
        """Put the cursor on a row; tell whether it is there."""
        place = self._places.get(identity)
        if place is None:
            return False
        self.move_to(place)
        return True

    def expect(self, identity: str) -> None:
        """Have the cursor go to a row once it is read."""
        if not self._ids:
            self._cursor = identity

    # Marks

    def toggle(self, identity: str) -> None:
        """Mark a row, or take its mark away."""
        self.marks ^= {identity}

    def mark_all(self) -> None:
        """Mark every row read; what does not match the filter is not among them."""
        self.marks.update(self._ids)

    def unmark(self, identities: Iterable[str] | None = None) -> None:
        """Take marks away: these, or all."""
        self.marks -= set(self.marks if identities is None else identities)

    @property
    def hidden_marks(self) -> int:
        """Marked rows that the filter hides or that are not read."""
        return sum(1 for identity in self.marks if identity not in self._places)

    # Reading

    @property
    def complete(self) -> bool:
        """Whether the end of the list was read."""
        return bool(self._pages) and self._pages[-1].next is None

    def narrow(self, text: str) -> None:
        """Change the filter; the list is read anew, the marks stay."""
        if text != self.filter:
            self.filter = text
            self._narrowed = True
            self._epoch += 1
            self._pages = []
            self.loaded = False

    def forget(self) -> None:
        """Read everything anew at the next refresh, keeping what is shown until then."""
        self._epoch += 1
        self._pages = []

    def head(self) -> Wanted:
        """Return the first page."""
        return Wanted(0, None, self.filter, self._epoch)

    def wanted(self, first: int, last: int) -> list[Wanted]:
        """Return the pages to read again so that places `first` to `last` are up to date."""
        if not self._pages:
            return [self.head()]
        found, start = [], 0
        for number, page in enumerate(self._pages):
            end = start + len(page.ids)
            if number == 0 or (start <= last and end > first):
                found.append(Wanted(number, page.after, self.filter, self._epoch))
            start = end
        return found

    def again(self, wanted: Wanted) -> Wanted | None:
        """Return a page as it begins now, after those before it were read; None if it is gone."""
        if wanted.index >= max(1, len(self._pages)):
            return None
        after = self._pages[wanted.index].after if self._pages else None
        return replace(wanted, after=after)

    def more(self, last: int) -> Wanted | None:
        """Return the page that follows, when `last` comes near the end of what is read."""
        if not self._pages or self.complete or len(self._ids) >= LARGEST_WINDOW:
            return None
        if last < len(self._ids) - self.page_size // 2:
            return None
        return Wanted(len(self._pages), self._pages[-1].next, self.filter, self._epoch)

    def take(
        self, wanted: Wanted, rows: Sequence[Value], next_key: str | None, total: int | None
    ) -> bool:
        """Take in a page that was read; an answer to an older question changes nothing."""
        if wanted.epoch != self._epoch or wanted.index > len(self._pages):
            return False
        if wanted.index == 0:
            self._pushed = None  # a row that comes back later does not take the cursor back
        ids = []
        for row in rows:
            identity = self._id_of(row)
            self._values[identity] = row
            ids.append(identity)
        page = _Page[Value](wanted.after, ids, next_key)
        if wanted.index == len(self._pages):
            self._pages.append(page)
        else:
            self._pages[wanted.index] = page
            following = self._pages[wanted.index + 1 :]
            if next_key is None:
                del self._pages[wanted.index + 1 :]
            elif following:
                following[0].after = next_key
        self.total = total
        self.loaded = True
        order: list[str] = []
        known: set[str] = set()
        for page in self._pages:
            for identity in page.ids:
                if identity not in known:
                    known.add(identity)
                    order.append(identity)
        self._arrange(order)
        return True

    def change(self, row: Value) -> bool:
        """Take a newer state of one row that is already here."""
        identity = self._id_of(row)
        if identity not in self._values:
            return False
        self._values[identity] = row
        return True

    # Holding still

    @property
    def held(self) -> bool:
        """Whether the order stands still."""
        return self._held

    def hold(self, held: bool) -> None:
        """Keep the order as it is, or let go and show what waited."""
        self._held = held
        if not held and self._waiting is not None:
            order, self._waiting = self._waiting, None
            self._show(order)
        if not held:
            self.fresh = 0

    def _arrange(self, order: list[str]) -> None:
        if self._held and self._ids and order != self._ids:
            self._waiting = order
            self.fresh = sum(1 for identity in order if identity not in self._places)
            return
        self._waiting = None
        self._show(order)

    def _show(self, order: list[str]) -> None:
        followers = self._followers()
        places = {identity: index for index, identity in enumerate(order)}
        pushed, self._pushed = self._pushed, None
        if pushed is not None and pushed[1] == self._cursor and pushed[0] in places:
            self._cursor, self.notice = pushed[0], None
        if self._cursor not in places:
            lost = self._cursor is not None and bool(order) and bool(self._ids)
            heir = next((identity for identity in followers if identity in places), None)
            if heir is None and order:
                heir = order[min(self._index, len(order) - 1)]
            if lost and not self._narrowed:
                self.notice = "the row under the cursor is gone; this is the next one"
                if self._cursor is not None and heir is not None:
                    self._pushed = self._cursor, heir
            self._cursor = heir
        elif pushed is not None and pushed[1] == self._cursor:
            self._pushed = pushed
        self._ids, self._places = order, places
        self._index = places.get(self._cursor, 0) if self._cursor is not None else 0
        self._narrowed = False
        if len(self._values) > 2 * len(order) + 256:
            kept = places.keys() | self.marks
            self._values = {key: row for key, row in self._values.items() if key in kept}

    def _followers(self) -> list[str]:
        return self._ids[self._index + 1 :] if self._ids else []
