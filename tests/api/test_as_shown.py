"""Whoever decides can compute for themselves that the digest is of what they are shown."""

from __future__ import annotations

import sqlite3
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.rig.plane import Plane
from tests.rig.world import POLICY, world
from watchkeeper.wire.digests import action_digest, is_as_shown
from watchkeeper.wire.requests import RequestDetail

TOOL = "books.create_refund"
REFUND = {"charge_id": "ch_81", "amount_usd": 250}


def read(plane: Plane, request: str) -> RequestDetail:
    return RequestDetail.model_validate(plane.operator.get(f"/v1/requests/{request}"))


@pytest.fixture
def held(plane: Plane) -> str:
    plane.apply(*world(), policy__cedar=POLICY)
    run = plane.enrol("clerk").open_run("answer", on_behalf_of="person/dora")
    return str(run.decide(TOOL, REFUND)["request"])


def test_the_digest_is_of_what_is_shown(plane: Plane, held: str) -> None:
    detail = read(plane, held)
    assert is_as_shown(detail) is True
    for changed in ({"agent": "other"}, {"run": "run_2"}, {"on_behalf_of": None},
                    {"tool": "books.echo"}, {"canonical": '{"amount_usd":9,"charge_id":"ch_81"}'},
                    {"canonical": "nothing"}):  # fmt: skip
        assert is_as_shown(detail.model_copy(update=changed)) is False, changed


def test_where_a_secret_was_taken_out_it_cannot_be_told(plane: Plane, held: str) -> None:
    detail = read(plane, held)
    assert detail.covers is not None
    partly = detail.covers.model_copy(update={"whole": False})
    assert is_as_shown(detail.model_copy(update={"covers": partly})) is None
    assert is_as_shown(detail.model_copy(update={"covers": None})) is None


def test_what_is_narrowed_has_a_digest_of_what_it_shows(plane: Plane, held: str) -> None:
    edit = {"digest": read(plane, held).digest, "arguments": {**REFUND, "amount_usd": 210}}
    after = plane.operator.post(f"/v1/requests/{held}/edit", edit)
    assert is_as_shown(read(plane, after["request"])) is True


def test_arguments_changed_in_the_database_are_seen(plane: Plane, held: str) -> None:
    """Both copies changed alike, so that nothing but the digest can tell."""
    database = sqlite3.connect(plane.state / "plane.sqlite3")
    forged = '{"amount_usd":9000,"charge_id":"ch_81"}'
    with database:
        database.execute(
            "UPDATE requests SET canonical = ?, arguments = ? WHERE request = ?",
            (forged, forged, held),
        )
    database.close()
    detail = read(plane, held)
    assert detail.arguments["amount_usd"] == 9000
    assert is_as_shown(detail) is False


@given(st.sampled_from(["agent", "run", "tool", "canonical", "digest"]), st.data())
def test_no_changed_letter_goes_unseen(part: str, data: Any) -> None:
    """Nothing that is shown can be changed in one letter and still be what the digest covers."""
    from tests.console.samples import request_detail
    from watchkeeper.wire.requests import Covers

    found = action_digest(
        kind="tool", name="stripe.create_refund", contract="c", target="t", agent="clerk",
        run="run_1", on_behalf_of=None, arguments={"amount_usd": 250, "charge_id": "ch_81"},
    )  # fmt: skip
    covers = Covers(kind="tool", contract="c", target="t", whole=True)
    who = {"agent": "clerk", "run": "run_1", "on_behalf_of": None}
    detail = request_detail(**who, digest=found, covers=covers)
    assert is_as_shown(detail) is True
    text = getattr(detail, part)
    at = data.draw(st.integers(0, len(text) - 1))
    letter = data.draw(st.characters(codec="ascii").filter(lambda c: c != text[at]))
    changed = text[:at] + letter + text[at + 1 :]
    assert is_as_shown(detail.model_copy(update={part: changed})) is False
