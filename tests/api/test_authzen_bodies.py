"""AuthZEN's routes answer or refuse whatever they are sent, and never fail."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.rig.agent import Run
from tests.rig.plane import Plane
from tests.rig.world import POLICY, world

USE = {"name": "use_tool"}
REFUND = {"type": "tool", "id": "books.create_refund"}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
BODIES = st.fixed_dictionaries(
    {},
    optional={
        "subject": JSON
        | st.fixed_dictionaries(
            {"type": st.sampled_from(["agent", "run"]), "id": st.text(max_size=9)}
        ),
        "action": JSON | st.just(USE),
        "resource": JSON | st.just(REFUND),
        "context": JSON
        | st.fixed_dictionaries(
            {},
            optional=dict.fromkeys(
                ("arguments", "run", "agent", "approval", "estimate", "fulfils", "environment"),
                JSON,
            ),
        ),
        "denial": JSON
        | st.fixed_dictionaries(
            {"expires_at": st.text(max_size=9), "binding_token": st.text(max_size=40)}
        ),
        "evaluations": JSON,
        "options": JSON,
    },
)


@pytest.fixture(scope="module")
def open_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    plane = Plane(tmp_path_factory.mktemp("bodies")).start()
    plane.apply(*world(), policy__cedar=POLICY)
    yield plane.enrol("clerk").open_run()
    plane.close()


@settings(max_examples=150, deadline=None)
@given(body=BODIES, route=st.sampled_from(["evaluation", "evaluations", "requests"]))
def test_whatever_is_sent_is_answered_or_refused(open_run: Run, body: Any, route: str) -> None:
    found = open_run.caller.http.post(f"/access/v1/{route}", json=body)
    assert found.status_code in (200, 400, 403), found.text
    if found.status_code == httpx.codes.OK and "decision" in found.json():
        assert found.json()["decision"] in (True, False)
