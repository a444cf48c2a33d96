"""The window keeps the person's place whatever the list does."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from watchkeeper.console.window import LARGEST_WINDOW, Wanted, Window


@dataclass(frozen=True)
class Row:
    id: str
    value: int = 0


def rows(*names: str) -> list[Row]:
    return [Row(name) for name in names]


def loaded(*names: str, page_size: int = 4) -> Window[Row]:
    window: Window[Row] = Window(lambda row: row.id, page_size=page_size)
    read_all(window, list(rows(*names)))
    return window


def read_all(window: Window[Row], listed: list[Row]) -> None:
    """Answer the window's questions as a plane that lists by key would."""
    size = window.page_size
    for asked in window.wanted(0, len(window) + size):
        wanted = window.again(asked)
        if wanted is not None:
            answer(window, wanted, listed)
    while (wanted_more := window.more(len(window))) is not None:
        answer(window, wanted_more, listed)


def answer(window: Window[Row], wanted: Wanted, listed: list[Row]) -> bool:
    found = [row for row in listed if wanted.filter in row.id]
    start = 0
    if wanted.after is not None:
        start = next((i for i, row in enumerate(found) if row.id > wanted.after), len(found))
    page = found[start : start + window.page_size]
    more = start + window.page_size < len(found)
    return window.take(wanted, page, page[-1].id if more else None, len(found))


def test_the_first_row_has_the_cursor() -> None:
    window = loaded("a", "b", "c")
    assert list(window.ids) == ["a", "b", "c"]
    assert window.current == Row("a")
    assert window.complete
    assert window.total == 3


def test_the_cursor_stays_on_its_row_when_others_come_and_go() -> None:
    window = loaded("b", "d", "f")
    window.select("d")
    read_all(window, rows("a", "b", "c", "d", "f"))
    assert window.current_id == "d"
    assert window.cursor == 3
    read_all(window, rows("d", "f"))
    assert window.current_id == "d"
    assert window.cursor == 0


def test_a_vanished_row_hands_the_cursor_to_the_next_and_says_so() -> None:
    window = loaded("a", "b", "c", "d")
    window.select("b")
    read_all(window, rows("a", "c", "d"))
    assert window.current_id == "c"
    assert window.notice is not None
    assert "gone" in window.notice


def test_the_last_row_gone_leaves_the_cursor_on_the_new_last() -> None:
    window = loaded("a", "b", "c")
    window.select("c")
    read_all(window, rows("a", "b"))
    assert window.current_id == "b"


def test_an_emptied_list_has_no_current_row() -> None:
    window = loaded("a")
    read_all(window, [])
    assert window.current is None
    assert window.cursor == 0
    assert len(window) == 0
    read_all(window, rows("x"))
    assert window.current_id == "x"


def test_held_still_nothing_moves_but_values_change() -> None:
    window = loaded("a", "b", "c")
    window.select("b")
    window.hold(True)
    read_all(window, [Row("b", 7), Row("c"), Row("d"), Row("e")])
    assert list(window.ids) == ["a", "b", "c"]
    assert window.current == Row("b", 7)
    assert window.gone == {"a"}
    assert window.fresh == 2
    window.hold(False)
    assert list(window.ids) == ["b", "c", "d", "e"]
    assert window.current_id == "b"
    assert window.fresh == 0
    assert not window.gone


def test_marks_survive_refresh_and_filter_and_hidden_ones_are_counted() -> None:
    window = loaded("apple", "bean", "cherry")
    window.toggle("apple")
    window.toggle("bean")
    window.narrow("an")
    read_all(window, rows("apple", "bean", "cherry"))
    assert list(window.ids) == ["bean"]
    assert window.marks == {"apple", "bean"}
    assert window.hidden_marks == 1
    assert window.find("apple") == Row("apple")
    window.narrow("")
    read_all(window, rows("apple", "bean", "cherry"))
    assert window.hidden_marks == 0
    window.unmark(["apple"])
    assert window.marks == {"bean"}
    window.toggle("bean")
    assert not window.marks


def test_mark_all_takes_only_what_matches() -> None:
    window = loaded("apple", "bean")
    window.narrow("bean")
    read_all(window, rows("apple", "bean"))
    window.mark_all()
    assert window.marks == {"bean"}


def test_an_answer_to_an_older_filter_is_dropped() -> None:
    window = loaded("a", "b")
    old = window.head()
    window.narrow("b")
    assert not window.take(old, rows("a", "b"), None, 2)
    assert answer(window, window.head(), rows("a", "b"))
    assert list(window.ids) == ["b"]


def test_only_pages_that_are_seen_are_read_again() -> None:
    names = [f"{number:03d}" for number in range(40)]
    window = loaded(*names)
    assert [wanted.index for wanted in window.wanted(0, 3)] == [0]
    assert [wanted.index for wanted in window.wanted(21, 25)] == [0, 5, 6]


def test_more_is_read_only_near_the_end() -> None:
    window: Window[Row] = Window(lambda row: row.id, page_size=10)
    listed = rows(*[f"{number:03d}" for number in range(100)])
    answer(window, window.head(), listed)
    assert window.more(3) is None
    following = window.more(6)
    assert following is not None
    assert following.after == "009"
    answer(window, following, listed)
    assert len(window) == 20


def test_a_window_stops_growing() -> None:
    window: Window[Row] = Window(lambda row: row.id, page_size=LARGEST_WINDOW)
    window.take(window.head(), rows(*map(str, range(LARGEST_WINDOW))), "next", None)
    assert window.more(LARGEST_WINDOW) is None


def test_rows_inserted_across_pages_appear_once() -> None:
    window = loaded("b", "d", "f", "h", "j", "l", page_size=2)
    read_all(window, rows("a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"))
    assert len(set(window.ids)) == len(window.ids)


def test_the_expected_row_gets_the_cursor_when_it_is_read() -> None:
    window: Window[Row] = Window(lambda row: row.id)
    window.expect("c")
    read_all(window, rows("a", "b", "c"))
    assert window.current_id == "c"
    assert window.notice is None


def test_a_row_that_newer_ones_push_off_the_page_keeps_the_cursor() -> None:
    """It stands in the next page; until that is read, the cursor is lent to another row."""
    window: Window[Row] = Window(lambda row: row.id, page_size=3)
    read_all(window, [Row("d", 0)])
    listed = [Row(name, 0) for name in "abcd"]
    answer(window, window.head(), listed)
    assert window.current_id != "d"
    following = window.more(len(window))
    assert following is not None
    answer(window, following, listed)
    assert window.current_id == "d"
    assert window.notice is None


def test_a_person_who_moves_meanwhile_is_not_taken_back() -> None:
    window: Window[Row] = Window(lambda row: row.id, page_size=3)
    read_all(window, [Row("d", 0)])
    listed = [Row(name, 0) for name in "abcd"]
    answer(window, window.head(), listed)
    window.move_to(1)
    following = window.more(len(window))
    assert following is not None
    answer(window, following, listed)
    assert window.current_id == "b"


class WindowMachine(RuleBasedStateMachine):
    """Rows come and go while a person moves, marks, filters and holds the list."""

    def __init__(self) -> None:
        super().__init__()
        self.listed: dict[str, Row] = {}
        self.window: Window[Row] = Window(lambda row: row.id, page_size=3)
        self.marked: set[str] = set()
        self.read()

    def read(self) -> None:
        read_all(self.window, [self.listed[name] for name in sorted(self.listed)])

    @rule(name=st.sampled_from("abcdefghij"), value=st.integers(0, 3))
    def put(self, name: str, value: int) -> None:
        self.listed[name] = Row(name, value)

    @rule(name=st.sampled_from("abcdefghij"))
    def drop(self, name: str) -> None:
        self.listed.pop(name, None)

    @rule()
    def refresh(self) -> None:
        before, present = self.window.current_id, set(self.listed)
        self.read()
        if before in present and self.window.filter in str(before):
            assert self.window.current_id == before

    @rule(step=st.integers(-4, 4))
    def move(self, step: int) -> None:
        self.window.move_to(self.window.cursor + step)

    @rule()
    def mark(self) -> None:
        if self.window.current_id is not None:
            self.window.toggle(self.window.current_id)
            self.marked ^= {self.window.current_id}

    @rule(held=st.booleans())
    def hold(self, held: bool) -> None:
        shown = list(self.window.ids)
        self.window.hold(held)
        if held:
            assert list(self.window.ids) == shown

    @rule(text=st.sampled_from(["", "a", "z"]))
    def narrow(self, text: str) -> None:
        self.window.hold(False)
        self.window.narrow(text)
        self.read()

    @invariant()
    def one_place_each(self) -> None:
        ids = list(self.window.ids)
        assert len(set(ids)) == len(ids)
        assert self.window.marks == self.marked
        if ids:
            assert self.window.current_id == ids[self.window.cursor]
            assert self.window.current is not None
        else:
            assert self.window.current is None or self.window.held


TestWindow = WindowMachine.TestCase
TestWindow.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


@given(st.lists(st.integers(0, 200), unique=True, max_size=40), st.integers(1, 9))
def test_reading_page_by_page_gives_the_whole_list(numbers: list[int], size: int) -> None:
    names = sorted(f"{number:03d}" for number in numbers)
    assert list(loaded(*names, page_size=size).ids) == names
