"""Whose a name is, and where it is one: nobody goes with somebody who is called alike."""

from __future__ import annotations

import json
import re

import pytest

from watchkeeper.decide.erasing.sought import pattern_of
from watchkeeper.store.vault import name_of

KIM = "kim@people.example"


@pytest.mark.parametrize(
    "said",
    [
        KIM, "Kim@People.example", f"user/{KIM}", f"/home/{KIM}", f"/srv/mail/{KIM}",
        f"email={KIM}", f"https://x.example/?a=1&user={KIM}", f"'{KIM}", f"_{KIM}", f"{{{KIM}",
        f"  {KIM}\n",
    ],
)  # fmt: skip
def test_an_address_is_one_person_whatever_is_before_it(said: str) -> None:
    assert name_of(said) == KIM


@pytest.mark.parametrize("other", ["j.kim@people.example", "a+kim@people.example", "o'kim@x.org"])
def test_what_belongs_to_an_address_stays(other: str) -> None:
    assert name_of(other) == other


def found(text: str) -> bool:
    return re.search(pattern_of([KIM]), text, re.IGNORECASE) is not None


@pytest.mark.parametrize(
    "text",
    [
        KIM, f"to {KIM}.", f"<{KIM}>", f"_{KIM}_", f"mailto:{KIM}?x", f"/home/{KIM}/cv.pdf",
        f"a={KIM}&b", f"q=%20{KIM}", json.dumps(f"line\n{KIM}"), json.dumps(json.dumps(f"\t{KIM}")),
        json.dumps(f"\u00e9{KIM}"), f"{KIM}.Next", f"({KIM})", f"{KIM},{KIM}", f"--{KIM}",
    ],
)  # fmt: skip
def test_a_person_is_found_wherever_they_are_told_of(text: str) -> None:
    assert found(text)


@pytest.mark.parametrize(
    "text",
    [f"j{KIM}", f"a.{KIM}", f"a_{KIM}", f"a-{KIM}", f"a+{KIM}", f"7{KIM}", f"{KIM}s", f"{KIM}-s"],
)
def test_nobody_else_is(text: str) -> None:
    assert not found(text)
