"""What is recognised, what is not, and that nothing makes it slow or fail."""

from __future__ import annotations

import json
import random
import uuid
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tools.inspection.corpus import PROSE, made
from watchkeeper.core.clock import utc_text
from watchkeeper.core.ids import new_at, secret
from watchkeeper.tools.inspection.detection import LARGEST, find
from watchkeeper.tools.inspection.model import MOST_FINDINGS, TooLarge
from watchkeeper.tools.inspection.values import inspect
from watchkeeper.wire.data import DataClass

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("around", ["{}", "before {} after", "({})", '"{}",', "a:\n{}\nb"])
def test_everything_made_up_is_found_whatever_stands_around_it(around: str) -> None:
    missed = [
        (data_class, value)
        for data_class, value in made(seed=20261121, count=40)
        if data_class not in {found.data_class for found in find(around.format(value))}
    ]
    assert missed == []


@pytest.mark.parametrize("prefix", ["wka", "wkr", "wkp", "wke", "wkd", "wkn", "wksk"])
def test_what_the_plane_itself_issues_is_a_secret(prefix: str) -> None:
    text = f"use {(issued := secret(prefix))} now"
    assert [text[f.start : f.end] for f in find(text)] == [issued]


def test_ordinary_prose_holds_nothing() -> None:
    assert [(f.recogniser, PROSE[f.start : f.end]) for f in find(PROSE)] == []


def test_ids_hashes_and_times_hold_nothing() -> None:
    chance = random.Random(7)
    for at in range(1_700_000_000_000_000, 1_900_000_000_000_000, 977_777_777_777):
        value = {
            "id": new_at("run", at),
            "uuid": str(uuid.UUID(int=chance.getrandbits(128), version=4)),
            "sha": f"{chance.getrandbits(256):064x}",
            "short": f"{chance.getrandbits(28):07x}",
            "at": utc_text(at),
            "microseconds": at,
            "milliseconds": at // 1000,
            "seconds": at // 1_000_000,
            "order": chance.randint(10**6, 10**9),
            "share": chance.random(),
            "amount_usd": chance.randint(1, 10**7) / 100,
            "ip": ".".join(str(chance.randint(0, 255)) for _ in range(4)),
        }
        assert inspect(value).classes == frozenset(), value


def test_numbers_of_sixteen_digits_are_cards_only_by_their_check_digit() -> None:
    assert not find("4111111111111112")
    assert not find("order 1234567890123456")
    assert [f.data_class for f in find("4111111111111111")] == ["card"]


@pytest.mark.parametrize(
    "text",
    [
        "ch_4111111111111111",
        "0.4111111111111111",
        "41111111111111110",
        "DE89370400440532013001",
        "123-45-67890",
        "000-12-3456",
        "X1234567A",
        "name@localhost",
        "sk-short",
        "AKIAIOSFODNN7EXAMPLES",
        "eyJhbGciOi.notajwt.x",
        "+1234",
    ],
)
def test_what_only_looks_like_it_is_not_taken_for_it(text: str) -> None:
    assert [f.recogniser for f in find(text)] == []


def test_other_widths_and_scripts_of_digits_hide_nothing() -> None:
    assert [f.data_class for f in find("４１１１ １１１１ １１１１ １１１１")] == ["card"]
    assert [f.data_class for f in find("٤١١١١١١١١١١١١١١١")] == ["card"]
    assert [f.data_class for f in find("DE89\u00a03704\u00a00044\u00a00532\u00a00130\u00a000")] == [
        "iban"
    ]


@pytest.mark.parametrize(
    "piece",
    ["1", "1 ", "12345678 x", "4111111111111111,", "-eyJ", ".eyJ", "@", "a@a.", "AA11 ", "+1 ",
     "ghp_", "password=", "-----BEGIN PRIVATE KEY-----", "://a:", "DE89 3704 0044 0532 0130 01 ",
     "sk-", "A", "\u0661", "\ud800", "(", "bearer "],
)  # fmt: skip
def test_hostile_text_is_inspected_or_refused(piece: str) -> None:
    try:
        found = find(piece * (300_000 // len(piece)))
    except TooLarge:
        return
    assert len(found) <= MOST_FINDINGS


def test_more_than_can_be_inspected_is_refused() -> None:
    with pytest.raises(TooLarge):
        find("x" * (LARGEST + 1))


@given(st.text(st.characters(min_codepoint=0, max_codepoint=0x10FFFF), max_size=300))
def test_any_text_can_be_inspected(text: str) -> None:
    for found in find(text):
        assert 0 <= found.start < found.end <= len(text)


def test_every_code_point_can_be_inspected() -> None:
    for start in range(0, 0x110000, 0x1000):
        find("".join(map(chr, range(start, start + 0x1000))))


def test_the_sample_data_holds_only_what_it_means_to() -> None:
    """Every finding in what is shipped is a person's address or number that is meant as one."""
    found: dict[DataClass, set[str]] = {}
    for path in sorted((ROOT / "sample_data").rglob("*")):
        if path.is_file():
            text = path.read_text(encoding="utf-8", errors="replace")
            for one in find(text):
                found.setdefault(one.data_class, set()).add(text[one.start : one.end])
    assert set(found) <= {"email", "phone"}, json.dumps({k: sorted(v) for k, v in found.items()})


@pytest.mark.parametrize("before", range(1985, 2005))
def test_a_number_is_found_wherever_a_long_run_of_digits_is_cut(before: int) -> None:
    text = "7 " * before + "4111 1111 1111 1111" + " 7" * 5
    cards = [found for found in find(text) if found.data_class == "card"]
    assert {text[found.start : found.end] for found in cards} == {"4111 1111 1111 1111"}


@pytest.mark.parametrize("hidden", ["\u200b", "\u00ad", "\u2060\ufeff", "\u200d\ufe0f\u202e"])
@pytest.mark.parametrize(
    "value", ["4111111111111111", "ada@example.com", "ghp_" + "aB3" * 12, "DE89370400440532013000"]
)
def test_what_cannot_be_seen_hides_nothing(hidden: str, value: str) -> None:
    for at in range(1, len(value)):
        text = f"é{hidden} a {value[:at]}{hidden}{value[at:]}{hidden} b{hidden}"
        spans = [text[found.start : found.end] for found in find(text)]
        assert f"{value[:at]}{hidden}{value[at:]}" in spans
    text = f"x{hidden} {value} {hidden}"
    assert value in [text[found.start : found.end] for found in find(text)]


def test_what_is_full_of_beginnings_is_not_gone_through() -> None:
    with pytest.raises(TooLarge):
        find("DE89 " * 200_000)
    with pytest.raises(TooLarge):
        find("4111111111111111\n" * 60_000)
