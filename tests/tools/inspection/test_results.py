"""Results of tools as agents get them: whole, with markers, or not at all."""

from __future__ import annotations

import base64
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tools.inspection.corpus import made
from tests.tools.inspection.test_values import values
from watchkeeper.tools.inspection.results import Released, Terms, Withheld, release
from watchkeeper.tools.inspection.rules import ALL, SECRETS
from watchkeeper.tools.inspection.schemas import compile_schema
from watchkeeper.tools.inspection.values import MOST_VALUES, inspect

OPEN = Terms("crm.read", SECRETS)
STRICT = Terms("crm.read", ALL)


def result(**members: Any) -> dict[str, msgspec.Raw]:
    return {name: msgspec.Raw(json.dumps(value).encode()) for name, value in members.items()}


def text(said: str) -> list[dict[str, Any]]:
    return [{"type": "text", "text": said}]


def read(released: Released) -> dict[str, Any]:
    assert not isinstance(released.result, Withheld)
    return {name: json.loads(bytes(raw)) for name, raw in released.result.items()}


def withheld(released: Released) -> Withheld:
    assert isinstance(released.result, Withheld)
    return released.result


def test_what_may_pass_passes_as_the_bytes_it_came_in() -> None:
    raw = {"content": msgspec.Raw(b'[ {"type":"text", "text":"ada@example.com"} ]')}
    released = release(raw, OPEN)
    assert released.result is raw
    assert (released.classes, released.redacted) == (frozenset({"email"}), frozenset())


def test_a_class_that_may_not_pass_is_replaced_everywhere() -> None:
    mail = "ada@example.com"
    blob = base64.b64encode(f"name,mail\nada,{mail}\n".encode()).decode()
    given_ = result(
        content=[
            *text(json.dumps({"mail": mail})),
            {"type": "resource", "resource": {"uri": "file:///a.csv", "blob": blob}},
            {"type": "resource", "resource": {"uri": f"mailto:{mail}", "text": mail}},
            {"type": "image", "mimeType": "image/png", "data": "iVBORw0KGgo="},
        ],
        structuredContent={"mail": mail, mail: [mail], "n": 1},
        _meta={"from": mail},
        unheard={"of": mail},
    )
    released = release(given_, STRICT)
    shown = read(released)
    assert mail not in json.dumps(shown)
    assert json.loads(shown["content"][0]["text"]) == {"mail": "[email redacted]"}
    opened = base64.b64decode(shown["content"][1]["resource"]["blob"]).decode()
    assert opened == "name,mail\nada,[email redacted]\n"
    assert shown["content"][3]["data"] == "iVBORw0KGgo="
    assert shown["structuredContent"]["n"] == 1
    assert released.redacted == {"email"}


def test_what_holds_too_many_values_is_withheld_unread() -> None:
    most = msgspec.Raw(b"[" + b"[]," * MOST_VALUES + b"1]")
    why = withheld(release({"content": most}, STRICT))
    assert (why.rule, why.problem) == (
        "tool/crm.read/output",
        "the result holds more than 200,000 values",
    )
    inside = result(content=text(f'[{"[]," * MOST_VALUES}1, "{"ada@example.com"}"]'))
    assert "200,000 values" in withheld(release(inside, STRICT)).problem
    commas = result(content=text("," * 3 * MOST_VALUES))
    assert release(commas, STRICT).result is commas


def test_a_number_becomes_a_marker_only_where_the_schema_lets_it() -> None:
    given_ = result(content=text("x"), structuredContent={"card": 4111111111111111})
    assert read(release(given_, STRICT))["structuredContent"] == {"card": "[card redacted]"}
    numbers = compile_schema({"properties": {"card": {"type": "integer"}}}, "result")
    why = withheld(release(given_, Terms("crm.read", ALL, numbers)))
    assert why.rule == "tool/crm.read/data-out"
    assert "card" in why.problem
    assert "4111" not in why.problem


def test_a_result_that_does_not_fit_is_withheld_and_its_value_not_told() -> None:
    check = compile_schema(
        {
            "type": "object",
            "required": ["total"],
            "properties": {"total": {"type": "number"}, "note": {"enum": ["paid"]}},
            "additionalProperties": False,
        },
        "result",
    )
    terms = Terms("crm.read", SECRETS, check)
    wrong = {"total": "hunter2hunter2", "note": "the-secret-note", "ada@example.com": 1}
    why = withheld(release(result(content=text("x"), structuredContent=wrong), terms))
    assert why.rule == "tool/crm.read/output"
    assert "total: the value is not of type" in why.problem
    for value in ("hunter2", "secret-note", "ada@"):
        assert value not in why.problem
    assert "is missing" in withheld(release(result(content=text("x")), terms)).problem
    fits = result(content=text("x"), structuredContent={"total": 1})
    assert release(fits, terms).result is fits
    failed = result(content=text("no"), isError=True)
    assert release(failed, terms).result is failed


@pytest.mark.parametrize(
    "raw",
    [b'{"a":1,"a":2}', b"NaN", b"1e999", b"{", b'"\xff"', b'"\\ud800"', b"[" * 100_000,
     b"1" * 5000],
)  # fmt: skip
def test_what_can_be_read_two_ways_or_not_at_all_is_withheld(raw: bytes) -> None:
    why = withheld(release({"structuredContent": msgspec.Raw(raw)}, OPEN))
    assert why.rule == "tool/crm.read/output"


def test_what_is_too_large_to_inspect_is_withheld_unless_everything_may_pass() -> None:
    given_ = result(content=text("x@y.zz " * 60_000))
    assert withheld(release(given_, OPEN)).rule == "tool/crm.read/data-out"
    assert release(given_, Terms("crm.read", frozenset())).result is given_


@settings(max_examples=150, deadline=None)
@given(values, st.sampled_from([OPEN, STRICT]))
def test_no_result_carries_what_it_may_not(value: Any, terms: Terms) -> None:
    released = release(result(content=text(json.dumps(value)), structuredContent=value), terms)
    if isinstance(released.result, Withheld):
        return
    shown = read(released)
    assert inspect(shown).classes.isdisjoint(terms.unwanted)
    assert released.redacted == released.classes & terms.unwanted


@pytest.mark.parametrize(("data_class", "planted"), made(seed=1, count=2))
def test_every_class_is_tagged(data_class: Any, planted: str) -> None:
    assert data_class in release(result(content=text(planted)), STRICT).classes
