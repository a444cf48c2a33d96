"""Names that could be mistaken for one another."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from watchkeeper.tools.pins.names import KnownNames, disguised, skeleton

WORDS = st.text("abcdefghijklmnopqrstuvwxyz_", min_size=6, max_size=30)


@given(st.text(max_size=60))
def test_a_skeleton_is_total_and_keeps_its_own(name: str) -> None:
    assert skeleton(skeleton(name)) == skeleton(skeleton(skeleton(name)))
    assert KnownNames([name], [name]).like(name) is None
    disguised(name)


@given(WORDS, st.data())
def test_one_edit_of_a_guarded_name_is_told(name: str, data: st.DataObject) -> None:
    if len(skeleton(name)) < 5:
        return
    at = data.draw(st.integers(0, len(name) - 1))
    letter = data.draw(st.sampled_from("abcdefghijklmnopqrstuvwxyz"))
    for edited in (
        name[:at] + name[at + 1 :],
        name[:at] + letter + name[at + 1 :],
        name[:at] + letter + name[at:],
    ):
        pairs = ("rn", "vv", "cl")
        if edited != name and not any(pair in name + edited for pair in pairs):
            assert KnownNames([], [name]).like(edited) == name


@given(WORDS, st.sampled_from(["\u200b", "\u00ad", "\u202e", "\u2060", "\ufeff", "\U000e0041"]))
def test_what_cannot_be_seen_is_told(name: str, hidden: str) -> None:
    twin = name[:3] + hidden + name[3:]
    assert disguised(twin) is not None
    assert KnownNames([name]).like(twin) == name


def test_other_words_are_no_twins() -> None:
    known = KnownNames(["create_refund", "get"], ["create_refund", "get"])
    for other in ("delete_refund", "create_charge", "set", "lookup_charge", "refund"):
        assert known.like(other) is None
