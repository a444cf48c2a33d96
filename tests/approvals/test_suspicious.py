"""What is shown is what was digested; what could mislead a reader is named."""

from __future__ import annotations

from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st

from tests.approvals.ground import open_one, read, wanted
from watchkeeper.approvals.suspicious import MOST, read_canonical, suspicions
from watchkeeper.approvals.tables import requests
from watchkeeper.core.digest import canonical
from watchkeeper.core.errors import Invalid
from watchkeeper.core.text import has_hidden, looks_alike, make_safe
from watchkeeper.store.store import Store
from watchkeeper.store.transaction import Transaction
from watchkeeper.wire.digests import action_digest

_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8)
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.text("abc", min_size=1, max_size=2), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip
ARGUMENTS = st.dictionaries(st.text("abcdef", min_size=1, max_size=3), _VALUES, max_size=4)


def digest_of(arguments: dict[str, Any]) -> str:
    """Return what an approval of a call with these arguments is bound to."""
    return action_digest(
        agent="a", arguments=arguments, contract="c", kind="tool", name="t",
        on_behalf_of=None, run="r", target="definition",
    )  # fmt: skip


@given(ARGUMENTS, st.data())
def test_a_bit_flipped_in_the_text_is_refused_or_shows_and_digests_otherwise(
    arguments: dict[str, Any], data: st.DataObject
) -> None:
    text = canonical(arguments)
    shown = read_canonical(text.decode())
    assert canonical(shown) == text
    assert digest_of(shown) == digest_of(arguments)
    at = data.draw(st.integers(0, len(text) * 8 - 1))
    flipped = bytearray(text)
    flipped[at // 8] ^= 1 << at % 8
    try:
        other = read_canonical(flipped.decode())
    except (Invalid, UnicodeDecodeError):
        return
    assert canonical(other) != text
    assert digest_of(other) != digest_of(arguments)


async def test_a_text_that_was_changed_behind_the_planes_back_is_not_taken_for_what_was_asked(
    store: Store,
) -> None:
    request = await open_one(store)
    assert (await read(store, request)).suspicious == ()
    for text, says in (
        ('{"amount_usd":4,"charge_id":"ch_81"}', "differ from what was digested"),
        ('{"amount_usd":4, "charge_id":"ch_81"}', "are damaged"),
        ("[]", "are damaged"),
        ("{", "are damaged"),
    ):

        def change(tx: Transaction, text: str = text) -> None:
            tx.silent("somebody else writes into the database")
            tx.connection.execute(requests.update().values(canonical=text))

        await store.write(change)
        shown = await read(store, request)
        assert says in shown.suspicious[0]
        if "damaged" in says:
            assert shown.arguments == {}


async def test_where_something_odd_stands_is_told_in_words(store: Store) -> None:
    arguments = {"to": ["ok", {"name": "p\u0430ypal"}], "note": "a\u200bb", "z\u202e": 1}
    request = await open_one(
        store, arguments=arguments, canonical=canonical(arguments).decode(), asks="pay \u0430lice"
    )
    assert (await read(store, request)).suspicious == (
        "what is asked: U+0430 CYRILLIC SMALL LETTER A at 5 looks like another letter",
        "a name in the arguments: U+202E RIGHT-TO-LEFT OVERRIDE at 2 cannot be seen as such",
        "note: U+200B ZERO WIDTH SPACE at 2 cannot be seen as such",
        "to[2].name: U+0430 CYRILLIC SMALL LETTER A at 2 looks like another letter",
    )
    assert wanted().asks.isascii()


@given(st.text(max_size=40))
def test_a_text_is_odd_exactly_where_screens_say_that_it_hides_something(text: str) -> None:
    found = suspicions("", {"x": text})
    assert bool(found) == (has_hidden(text) or looks_alike(text))
    assert all(line == make_safe(line) for line in found)


@given(st.integers(0, 200))
def test_findings_are_bounded(count: int) -> None:
    assume(count)
    found = suspicions("", {"x": ["\u200b"] * count})
    assert len(found) == min(count, MOST + 1)
    assert (found[-1] == "and more") == (count > MOST)
